// matmul.cl - rows times a matrix, the product under every dense layer, forward and backward.
//   out[p,o] = act( bias[o] + sum_i inp[p STRIDE + i] weight[i,o] )
// Shapes   inp (POSITIONS rows of N_IN, STRIDE apart)   weight (N_IN, N_OUT)   bias (N_OUT) or 0
//          out (POSITIONS, N_OUT)
// Macros   POSITIONS rows of N_IN numbers; STRIDE from one row's start to the next; N_OUT columns; ACTIVATION of the
//          sum; WIDTH vector of columns: at most N_OUT; STRIPS of TILE_COLS vectors that a row is cut into; TAIL columns
//          behind a single strip, in a narrower vector; TILE_ROWS positions a tile: divides POSITIONS
// Launch   inside the network's one work-group; an item takes tiles of TILE_ROWS positions x TILE_COLS vectors, whose
//          sums stay in registers; without a TAIL, vectors that do not fill a row overlap. Of many items each takes
//          one column of a tile, neighbours the next one, so that a tile's rows share each load of a weight
// Twin     reference/layers.py: dense_forward      Source  Goto and van de Geijn 2008 (register tiles)

FUNCTION NAMED(matmul)(
    global real* restrict out, global const real* restrict inp,
    global const real* restrict weight, global const real* restrict bias) {
  FOR_ITEMS(tile, POSITIONS / TILE_ROWS * STRIPS) {
    const int p0 = tile / STRIPS * TILE_ROWS, o0 = tile % STRIPS * (WIDTH * TILE_COLS);
    int column[TILE_COLS];
    VEC(WIDTH) sum[TILE_ROWS][TILE_COLS];
    #pragma unroll
    for (int c = 0; c < TILE_COLS; ++c) {
      column[c] = min(o0 + c * WIDTH, N_OUT - WIDTH);
      const VEC(WIDTH) start = bias != 0 ? LOAD(WIDTH, bias + column[c]) : (VEC(WIDTH))(0);
      #pragma unroll
      for (int r = 0; r < TILE_ROWS; ++r) sum[r][c] = start;
    }
#if TAIL
    VEC(TAIL) tail[TILE_ROWS];
    #pragma unroll
    for (int r = 0; r < TILE_ROWS; ++r) tail[r] = bias != 0 ? LOAD(TAIL, bias + N_OUT - TAIL) : (VEC(TAIL))(0);
#endif
    for (int i = 0; i < N_IN; ++i) {
      #pragma unroll
      for (int c = 0; c < TILE_COLS; ++c) {
        const VEC(WIDTH) w = LOAD(WIDTH, weight + i * N_OUT + column[c]);
        #pragma unroll
        for (int r = 0; r < TILE_ROWS; ++r)
          sum[r][c] = fma((VEC(WIDTH))(inp[(p0 + r) * STRIDE + i]), w, sum[r][c]);
      }
#if TAIL
      const VEC(TAIL) w = LOAD(TAIL, weight + (i + 1) * N_OUT - TAIL);
      #pragma unroll
      for (int r = 0; r < TILE_ROWS; ++r) tail[r] = fma((VEC(TAIL))(inp[(p0 + r) * STRIDE + i]), w, tail[r]);
#endif
    }
    #pragma unroll
    for (int r = 0; r < TILE_ROWS; ++r) {
      #pragma unroll
      for (int c = 0; c < TILE_COLS; ++c)
        STORE(WIDTH, ACTIVATE(ACTIVATION, sum[r][c]), out + (p0 + r) * N_OUT + column[c]);
#if TAIL
      STORE(TAIL, ACTIVATE(ACTIVATION, tail[r]), out + (p0 + r + 1) * N_OUT - TAIL);
#endif
    }
  }
  SYNC;
}
