// dense.cl - fully connected layer over positions; Conv1D is the same on rows that may overlap.
//   out[p,o] = act( bias[o] + sum_i inp[p STRIDE + i] weight[i,o] )
//   dz = dout act'(out)   dinp = dz weight^T   dweight = inp^T dz   dbias = sum_p dz
// Shapes   inp (POSITIONS rows of N_IN, STRIDE apart)   weight (N_IN, N_OUT)   bias (N_OUT)
//          out (POSITIONS, N_OUT)
// Macros   POSITIONS rows of N_IN numbers; STRIDE from one row's start to the next; N_OUT columns; ACTIVATION;
//          LINEAR 1: that is NONE, so dout is dz; WANTS_DINP 0 in a network's first layer; HAS_BIAS 0: bias is neither
//          there nor moved; WIDTH vector of columns, DOTS of them at a time: WIDTH * DOTS divides N_OUT; a tile of the
//          update is WEIGHT_ROWS inputs, which divide N_IN, by STRIP columns, which divide N_OUT, in COLS vectors of
//          WIDE, of which the last may overlap, and TAIL columns in a narrower one; FLAT vector of the optimiser, over
//          the ends of rows, which lie one behind the other; PAIRS 1: a single position's rows go in pairs, as a row
//          ends with half a FLAT; TILE edge of the squares that are transposed: divides N_IN and N_OUT; MATMUL_OUT,
//          MATMUL_INP the functions of matmul.cl for out and for dinp
// Launch   inside the network's one work-group, of one item; for many items dense_items.cl stands in its place, whose
//          `shared` is not used here. The parameters move in the pass that makes their gradient: weights and moments
//          are the largest thing in memory and are read and written once a step
// Twin     reference/layers.py: dense_forward, dense_backward      Source  Goodfellow et al. 2016, section 6.5

#define COLUMN(c) min((c) * WIDE, STRIP - WIDE)

FUNCTION NAMED(dense_forward)(
    global real* out, global const real* inp, global const real* weight, global const real* bias, local real* shared) {
  MATMUL_OUT(out, inp, weight, bias);
}

#if POSITIONS > 1 && WANTS_DINP
FUNCTION NAMED(transpose)(global real* restrict to, global const real* restrict from) {
  FOR_ITEMS(tile, (N_IN / TILE) * (N_OUT / TILE)) {
    const int i0 = tile / (N_OUT / TILE) * TILE, o0 = tile % (N_OUT / TILE) * TILE;
    TRANSPOSE(TILE, to + o0 * N_IN + i0, N_IN, from + i0 * N_OUT + o0, N_OUT);
  }
  SYNC;
}
#endif

// OVERWRITES dinp (POSITIONS, N_IN), and dout with dz; moves weight and bias. `turned` (N_OUT, N_IN) is scratch.
// out may be dout where ACTIVATION is NONE, so neither is restrict.
FUNCTION NAMED(dense_backward)(
    global real* restrict dinp, global real* dout, global real* restrict turned,
    global const real* out, global const real* restrict inp,
    global real* weight, global real* bias, const rates_t rates, local real* shared) {
#if !LINEAR
  FOR_ITEMS(i, POSITIONS * N_OUT / WIDTH) {
    const VEC(WIDTH) y = LOAD(WIDTH, out + i * WIDTH);
    STORE(WIDTH, LOAD(WIDTH, dout + i * WIDTH) * SLOPE(ACTIVATION, y), dout + i * WIDTH);
  }
  SYNC;
#endif

#if POSITIONS == 1
  // A row of weights is in the cache for both of its uses. The optimiser stays a loop of its own: unrolled
  // it takes seconds to compile.
  FOR_ITEMS(group, N_IN / (1 + PAIRS)) {
    const int i0 = group * (1 + PAIRS);
    for (int i = i0; WANTS_DINP && i <= i0 + PAIRS; ++i) {
      VEC(WIDTH) sum[DOTS];
      #pragma unroll
      for (int c = 0; c < DOTS; ++c) sum[c] = 0;
      for (int o0 = 0; o0 < N_OUT; o0 += WIDTH * DOTS) {
        #pragma unroll
        for (int c = 0; c < DOTS; ++c)
          sum[c] = fma(LOAD(WIDTH, weight + i * N_OUT + o0 + c * WIDTH), LOAD(WIDTH, dout + o0 + c * WIDTH), sum[c]);
      }
      #pragma unroll
      for (int c = 1; c < DOTS; ++c) sum[0] += sum[c];
      dinp[i] = SUM(WIDTH, sum[0]);
    }
    #pragma unroll 1
    for (int o = 0; o + FLAT <= N_OUT; o += FLAT)
      OPTIMIZER_STEP(FLAT, weight + i0 * N_OUT + o, LOAD(FLAT, dout + o) * inp[i0], rates);
  #if PAIRS
    // The middle vector of a pair: the end of one row, the beginning of the next.
    const VEC(FLAT) middle = (VEC(FLAT))(LOAD(WIDTH, dout + N_OUT - WIDTH) * inp[i0], LOAD(WIDTH, dout) * inp[i0 + 1]);
    OPTIMIZER_STEP(FLAT, weight + (i0 + 1) * N_OUT - WIDTH, middle, rates);
    #pragma unroll 1
    for (int o = WIDTH; o < N_OUT; o += FLAT)
      OPTIMIZER_STEP(FLAT, weight + (i0 + 1) * N_OUT + o, LOAD(FLAT, dout + o) * inp[i0 + 1], rates);
  #endif
  }
#else
  #if WANTS_DINP
    NAMED(transpose)(turned, weight);
    MATMUL_INP(dinp, dout, turned, 0);
  #endif
  const int strips = N_OUT / STRIP;
  FOR_ITEMS(tile, N_IN / WEIGHT_ROWS * strips) {
    const int i0 = tile / strips * WEIGHT_ROWS, o0 = tile % strips * STRIP;
    VEC(WIDE) sum[WEIGHT_ROWS][COLS];
  #if TAIL
    VEC(TAIL) tail[WEIGHT_ROWS];
  #endif
    #pragma unroll
    for (int r = 0; r < WEIGHT_ROWS; ++r) {
      #pragma unroll
      for (int c = 0; c < COLS; ++c) sum[r][c] = 0;
  #if TAIL
      tail[r] = 0;
  #endif
    }
    for (int p = 0; p < POSITIONS; ++p) {
      #pragma unroll
      for (int c = 0; c < COLS; ++c) {
        const VEC(WIDE) dz = LOAD(WIDE, dout + p * N_OUT + o0 + COLUMN(c));
        #pragma unroll
        for (int r = 0; r < WEIGHT_ROWS; ++r)
          sum[r][c] = fma((VEC(WIDE))(inp[p * STRIDE + i0 + r]), dz, sum[r][c]);
      }
  #if TAIL
      const VEC(TAIL) dz = LOAD(TAIL, dout + (p + 1) * N_OUT - TAIL);
      #pragma unroll
      for (int r = 0; r < WEIGHT_ROWS; ++r) tail[r] = fma((VEC(TAIL))(inp[p * STRIDE + i0 + r]), dz, tail[r]);
  #endif
    }
    // The sums leave their registers, so that the optimiser is one loop: unrolled it takes seconds to compile.
    real gradient[WEIGHT_ROWS * STRIP];
    #pragma unroll
    for (int r = 0; r < WEIGHT_ROWS; ++r) {
      #pragma unroll
      for (int c = 0; c < COLS; ++c) STORE(WIDE, sum[r][c], gradient + r * STRIP + COLUMN(c));
  #if TAIL
      STORE(TAIL, tail[r], gradient + (r + 1) * STRIP - TAIL);
  #endif
    }
    #pragma unroll 1
    for (int k = 0; k < WEIGHT_ROWS * STRIP; k += FLAT)
      OPTIMIZER_STEP(FLAT, weight + (i0 + k / STRIP) * N_OUT + o0 + k % STRIP, LOAD(FLAT, gradient + k), rates);
  }
#endif
  FOR_ITEMS(strip, HAS_BIAS * N_OUT / (WIDTH * DOTS)) {
    const int o0 = strip * WIDTH * DOTS;
    VEC(WIDTH) sum[DOTS];
    for (int c = 0; c < DOTS; ++c) sum[c] = 0;
    for (int p = 0; p < POSITIONS; ++p) {
      #pragma unroll
      for (int c = 0; c < DOTS; ++c) sum[c] += LOAD(WIDTH, dout + p * N_OUT + o0 + c * WIDTH);
    }
    #pragma unroll 1
    for (int c = 0; c < DOTS; ++c) OPTIMIZER_STEP(WIDTH, bias + o0 + c * WIDTH, sum[c], rates);
  }
  SYNC;
}
#undef COLUMN
