// dense_items.cl - the layer of dense.cl where many work-items share a network: a GPU's form.
//   out[p,o] = act( bias[o] + sum_i inp[p STRIDE + i] weight[i,o] )
//   dz = dout act'(out)   dinp = dz weight^T   dweight = inp^T dz   dbias = sum_p dz
// Shapes   inp (POSITIONS rows of N_IN, STRIDE apart)   weight (N_IN, N_OUT)   bias (N_OUT)
//          out (POSITIONS, N_OUT)   shared (GROUP, WORK_ITEMS + PARTS) and (WORK_ITEMS), PARTS = WORK_ITEMS / GROUP
// Macros   POSITIONS rows of N_IN numbers; STRIDE from one row's start to the next; N_OUT columns; ACTIVATION;
//          LINEAR 1: that is NONE, so dout is dz; WANTS_DINP 0 in a network's first layer; HAS_BIAS 0: bias is neither
//          there nor moved; ROWS of weights that an item moves at a time: a power of 2, divides N_IN and GROUP; GROUP
//          rows of weights between two barriers: divides WORK_ITEMS; SLICES of a row of inputs that are summed apart,
//          a power of 2, 1: whole columns; MATMUL_OUT, MATMUL_INP the functions of matmul.cl for out and for dinp
// Launch   inside the network's one work-group of many items; neighbours take neighbouring weights, so that their
//          loads and stores fill whole cache lines. Sums over items meet in local memory in a fixed order: two runs
//          are equal to the bit
// Twin     reference/layers.py: dense_forward, dense_backward      Source  Harris 2007, "Optimizing parallel reduction"

#define PARTS (WORK_ITEMS / GROUP)
#define LINE (WORK_ITEMS + PARTS)  // longer than a row of partial sums, so that no two parts share a bank of memory

// Few columns of many inputs: item k reads the numbers k, k + SLICES N_OUT ... of the weights, which are one column's.
#if SLICES > 1
FUNCTION NAMED(dense_forward)(
    global real* restrict out, global const real* restrict inp, global const real* restrict weight,
    global const real* restrict bias, local real* shared) {
  if (LOCAL_ID < SLICES * N_OUT) {
    real sum = 0;
    for (int k = LOCAL_ID; k < N_IN * N_OUT; k += SLICES * N_OUT) sum = fma(inp[k / N_OUT], weight[k], sum);
    shared[LOCAL_ID] = sum;
  }
  SYNC;
  for (int adders = SLICES / 2; adders > 0; adders /= 2) {
    if (LOCAL_ID < adders * N_OUT) shared[LOCAL_ID] += shared[LOCAL_ID + adders * N_OUT];
    SYNC;
  }
  // No loop: PoCL 3.1 may lose the stores of one whose items run through it once or never.
  if (LOCAL_ID < N_OUT) out[LOCAL_ID] = ACTIVATE(ACTIVATION, shared[LOCAL_ID] + bias[LOCAL_ID]);
  SYNC;
}
#else
FUNCTION NAMED(dense_forward)(
    global real* out, global const real* inp, global const real* weight, global const real* bias,
    local real* shared) {
  MATMUL_OUT(out, inp, weight, bias);
}
#endif

// Moves the rows of weights from first to last - 1.
FUNCTION NAMED(move_rows)(
    global real* weight, global const real* dz, global const real* inp, const int first, const int last,
    const rates_t rates) {
  FOR_ITEMS(j, (last - first) / ROWS * N_OUT) {
    const int i = first + j / N_OUT * ROWS, o = j % N_OUT;
    VEC(ROWS) sum = 0;
    for (int p = 0; p < POSITIONS; ++p)
      sum = fma(LOAD(ROWS, inp + p * STRIDE + i), (VEC(ROWS))(dz[p * N_OUT + o]), sum);
    OPTIMIZER_ROWS(ROWS, weight + i * N_OUT + o, N_OUT, sum, rates);
  }
}

// One row of inputs: dinp and the step of the weights in one pass, as in dense.cl. Items share a row of weights,
// so dinp is a sum over items: GROUP rows at a time by parts, then the parts, with one barrier for each.
FUNCTION NAMED(move_and_sum)(
    global real* dinp, global const real* dz, global const real* inp, global real* weight, const rates_t rates,
    local real* shared) {
  local real* parts = shared + GROUP * LINE;
  const int own = LOCAL_ID / PARTS, part = LOCAL_ID % PARTS;
  for (int i0 = 0; i0 < N_IN; i0 += GROUP) {
    const int rows = min(GROUP, N_IN - i0);
    for (int r = 0; r < rows; ++r) {
      real sum = 0;
      FOR_ITEMS(o, N_OUT) sum = fma(weight[(i0 + r) * N_OUT + o], dz[o], sum);
      shared[r * LINE + LOCAL_ID] = sum;
    }
    SYNC;
    if (own < rows) {
      real sum = 0;
      for (int k = part; k < WORK_ITEMS; k += PARTS) sum += shared[own * LINE + k];
      parts[LOCAL_ID] = sum;
    }
    NAMED(move_rows)(weight, dz, inp, i0, i0 + rows, rates);
    SYNC;
    if (LOCAL_ID < rows) {
      real sum = 0;
      for (int k = 0; k < PARTS; ++k) sum += parts[LOCAL_ID * PARTS + k];
      dinp[i0 + LOCAL_ID] = sum;
    }
  }
}

// OVERWRITES dinp (POSITIONS, N_IN), and dout with dz; moves weight and bias. `turned` (N_OUT, N_IN) is scratch.
// out may be dout where ACTIVATION is NONE, so neither is restrict.
FUNCTION NAMED(dense_backward)(
    global real* dinp, global real* dout, global real* turned, global const real* out, global const real* inp,
    global real* weight, global real* bias, const rates_t rates, local real* shared) {
#if !LINEAR
  FOR_ITEMS(i, POSITIONS * N_OUT) dout[i] *= SLOPE(ACTIVATION, out[i]);
  SYNC;
#endif
#if WANTS_DINP && POSITIONS == 1 && SLICES == 1
  NAMED(move_and_sum)(dinp, dout, inp, weight, rates, shared);
#else
  #if WANTS_DINP && POSITIONS == 1
  FOR_ITEMS(i, N_IN) {  // a short row, whose neighbours lie in the same cache lines
    real sum = 0;
    for (int o = 0; o < N_OUT; ++o) sum = fma(weight[i * N_OUT + o], dout[o], sum);
    dinp[i] = sum;
  }
  SYNC;
  #elif WANTS_DINP
  transpose_matrix(turned, weight, N_IN, N_OUT);
  MATMUL_INP(dinp, dout, turned, 0);
  #endif
  NAMED(move_rows)(weight, dout, inp, 0, N_IN, rates);
#endif
  FOR_ITEMS(o, HAS_BIAS * N_OUT) {
    real sum = 0;
    for (int p = 0; p < POSITIONS; ++p) sum += dout[p * N_OUT + o];
    OPTIMIZER_STEP(1, bias + o, sum, rates);
  }
  SYNC;
}
#undef PARTS
#undef LINE
