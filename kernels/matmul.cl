// matmul.cl - rows times a matrix, the product under every dense layer, forward and backward.
//   out[p,o] = act( bias[o] + sum_i inp[p STRIDE + i] weight[i,o] )
// Shapes   inp (POSITIONS rows of N_IN, STRIDE apart)   weight (N_IN, N_OUT)   bias (N_OUT) or 0
//          out (POSITIONS, N_OUT)
// Macros   POSITIONS rows of N_IN numbers; STRIDE from one row's start to the next; N_OUT columns; ACTIVATION of the
//          sum; WIDTH vector of columns: at most N_OUT; STRIPS of TILE_COLS vectors that a row is cut into; TILE_ROWS
//          positions a tile: divides POSITIONS
// Launch   inside the network's one work-group; an item takes tiles of TILE_ROWS positions x TILE_COLS vectors, whose
//          sums stay in registers; vectors that do not fill a row overlap: twice made is quicker than narrow
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
    for (int i = 0; i < N_IN; ++i) {
      #pragma unroll
      for (int c = 0; c < TILE_COLS; ++c) {
        const VEC(WIDTH) w = LOAD(WIDTH, weight + i * N_OUT + column[c]);
        #pragma unroll
        for (int r = 0; r < TILE_ROWS; ++r)
          sum[r][c] = fma((VEC(WIDTH))(inp[(p0 + r) * STRIDE + i]), w, sum[r][c]);
      }
    }
    #pragma unroll
    for (int r = 0; r < TILE_ROWS; ++r) {
      #pragma unroll
      for (int c = 0; c < TILE_COLS; ++c)
        STORE(WIDTH, ACTIVATE(ACTIVATION, sum[r][c]), out + (p0 + r) * N_OUT + column[c]);
    }
  }
  SYNC;
}
