// encoder.cl - a stack of encoder blocks: self-attention and a feed-forward pair, each added and normalised.
//   mid = norm(inp + project(attention(qkv(inp))))      out = norm(mid + contract(leaky_relu(expand(mid))))
//   and after the last block act(out)
// Shapes   inp, out (BATCH_SIZE, POSITIONS, CHANNELS); a block's weights lie BLOCK_PARAMETERS apart, what it saves for
//          its backward pass BLOCK_SAVED apart
// Macros   BLOCKS; N = POSITIONS * CHANNELS; CONTEXT_SIZE, WEIGHTS_SIZE numbers of one window's context
//          and of its attention's weights; WIDTH vector: divides N; ACTIVATION of the last block; BLOCK_PARAMETERS,
//          BLOCK_SAVED; AT_ and a tensor's name, offsets among a block's weights; AT_QKV to AT_RATES, among what it
//          saves; AT_WIDE to AT_LANES, in the scratch that blocks share; QKV PROJECT EXPAND CONTRACT, ATTENTION, NORM
//          names of the functions it calls, of dense.cl, attention.cl and residual_norm.cl
// Launch   inside the network's one work-group
// Twin     reference/layers.py: encoder_forward, encoder_backward      Source  Vaswani et al. 2017; Gizlyk, "Neural networks made easy" (MQL5)

#define PARAMETER(name) (parameters + block * BLOCK_PARAMETERS + AT_##name)
#define SAVED(name) (saved + block * BLOCK_SAVED + AT_##name)
#define SCRATCH(name) (scratch + AT_##name)
#define INPUT (block ? saved + (block - 1) * BLOCK_SAVED + AT_NORM : inp)
#define CALL(function, stamp) JOIN(function##_, stamp)

FUNCTION NAMED(encoder_forward)(
    global real* out, global real* saved, global real* scratch, global const real* inp,
    global const real* parameters, local real* shared) {
  for (int block = 0; block < BLOCKS; ++block) {
    CALL(dense_forward, QKV)(SAVED(QKV), INPUT, PARAMETER(QKV_KERNEL), PARAMETER(QKV_BIAS), shared);
    for (int row = 0; row < BATCH_SIZE; ++row)
      CALL(attention_forward, ATTENTION)(SAVED(CONTEXT) + row * CONTEXT_SIZE,
          SAVED(WEIGHTS) + row * WEIGHTS_SIZE, SCRATCH(LANES), SAVED(QKV) + 3 * row * CONTEXT_SIZE);
    CALL(dense_forward, PROJECT)(
        SCRATCH(NARROW), SAVED(CONTEXT), PARAMETER(PROJECT_KERNEL), PARAMETER(PROJECT_BIAS), shared);
    CALL(residual_norm_forward, NORM)(SAVED(MID), SAVED(RATES), INPUT, SCRATCH(NARROW), shared);
    CALL(dense_forward, EXPAND)(SAVED(HIDDEN), SAVED(MID), PARAMETER(EXPAND_KERNEL), PARAMETER(EXPAND_BIAS), shared);
    CALL(dense_forward, CONTRACT)(
        SCRATCH(NARROW), SAVED(HIDDEN), PARAMETER(CONTRACT_KERNEL), PARAMETER(CONTRACT_BIAS), shared);
    CALL(residual_norm_forward, NORM)(SAVED(NORM), SAVED(RATES) + BATCH_SIZE, SAVED(MID), SCRATCH(NARROW), shared);
  }
  global const real* last = saved + (BLOCKS - 1) * BLOCK_SAVED + AT_NORM;
  FOR_ITEMS(i, BATCH_SIZE * N / WIDTH)
    STORE(WIDTH, ACTIVATE(ACTIVATION, LOAD(WIDTH, last + i * WIDTH)), out + i * WIDTH);
  SYNC;
}

FUNCTION NAMED(add)(global real* restrict to, global const real* restrict from) {  // ADDS INTO to
  FOR_ITEMS(i, BATCH_SIZE * N / WIDTH)
    STORE(WIDTH, LOAD(WIDTH, to + i * WIDTH) + LOAD(WIDTH, from + i * WIDTH), to + i * WIDTH);
  SYNC;
}

// OVERWRITES dinp and scratch; dout is left as it is.
FUNCTION NAMED(encoder_backward)(
    global real* dinp, global const real* dout, global real* scratch, global const real* out,
    global const real* saved, global const real* inp, global real* parameters, const rates_t rates,
    local real* shared) {
  FOR_ITEMS(i, BATCH_SIZE * N / WIDTH) {
    const VEC(WIDTH) y = LOAD(WIDTH, out + i * WIDTH);
    STORE(WIDTH, LOAD(WIDTH, dout + i * WIDTH) * SLOPE(ACTIVATION, y), dinp + i * WIDTH);
  }
  SYNC;
  for (int block = BLOCKS - 1; block >= 0; --block) {
    CALL(residual_norm_backward, NORM)(dinp, SAVED(NORM), SAVED(RATES) + BATCH_SIZE, shared);
    CALL(dense_backward, CONTRACT)(SCRATCH(WIDE), dinp, SCRATCH(TURNED), dinp, SAVED(HIDDEN),
        PARAMETER(CONTRACT_KERNEL), PARAMETER(CONTRACT_BIAS), rates, shared);
    CALL(dense_backward, EXPAND)(SCRATCH(NARROW), SCRATCH(WIDE), SCRATCH(TURNED), SAVED(HIDDEN), SAVED(MID),
        PARAMETER(EXPAND_KERNEL), PARAMETER(EXPAND_BIAS), rates, shared);
    NAMED(add)(dinp, SCRATCH(NARROW));
    CALL(residual_norm_backward, NORM)(dinp, SAVED(MID), SAVED(RATES), shared);
    CALL(dense_backward, PROJECT)(SCRATCH(NARROW), dinp, SCRATCH(TURNED), dinp, SAVED(CONTEXT),
        PARAMETER(PROJECT_KERNEL), PARAMETER(PROJECT_BIAS), rates, shared);
    for (int row = 0; row < BATCH_SIZE; ++row)
      CALL(attention_backward, ATTENTION)(SCRATCH(WIDE) + 3 * row * CONTEXT_SIZE, SCRATCH(LANES),
          SCRATCH(NARROW) + row * CONTEXT_SIZE, SAVED(WEIGHTS) + row * WEIGHTS_SIZE,
          SAVED(QKV) + 3 * row * CONTEXT_SIZE);
    CALL(dense_backward, QKV)(SCRATCH(NARROW), SCRATCH(WIDE), SCRATCH(TURNED), SCRATCH(WIDE), INPUT,
        PARAMETER(QKV_KERNEL), PARAMETER(QKV_BIAS), rates, shared);
    NAMED(add)(dinp, SCRATCH(NARROW));
  }
}
#undef PARAMETER
#undef SAVED
#undef SCRATCH
#undef INPUT
#undef CALL
