// encoder.cl - a stack of encoder blocks: self-attention and a feed-forward pair, each added and normalised.
//   mid = norm(inp + project(attention(qkv(inp))))      out = norm(mid + contract(leaky_relu(expand(mid))))
//   and after the last block act(out)
// Shapes   inp, out (ROWS, POSITIONS, CHANNELS); a block's weights lie BLOCK_PARAMETERS apart, what it saves for its
//          backward pass BLOCK_SAVED apart
// Launch   inside the network's one work-group
// Twin     reference.py: encoder_forward, encoder_backward      Source  Vaswani et al. 2017; Gizlyk, "Neural networks made easy" (MQL5)

#ifndef SHAPE
  #define SHAPE default           // name of this stamp
  #define ROWS 1                  // windows
  #define BLOCKS 1
  #define N 1                     // POSITIONS * CHANNELS
  #define CONTEXT_SIZE 1          // numbers of one window's context
  #define WEIGHTS_SIZE 1          // ... and of its attention's weights
  #define WIDTH 1                 // vector: divides N
  #define ACTIVATION NONE         // of the last block
  #define BLOCK_PARAMETERS 16     // numbers from one block's weights to the next one's
  #define BLOCK_SAVED 16          // numbers from what one block saved to the next one's
  #define AT_QKV_KERNEL 0         // offsets among a block's weights ...
  #define AT_QKV_BIAS 0
  #define AT_PROJECT_KERNEL 0
  #define AT_PROJECT_BIAS 0
  #define AT_EXPAND_KERNEL 0
  #define AT_EXPAND_BIAS 0
  #define AT_CONTRACT_KERNEL 0
  #define AT_CONTRACT_BIAS 0
  #define AT_QKV 0                // ... among what it saves ...
  #define AT_WEIGHTS 0
  #define AT_CONTEXT 0
  #define AT_MID 0
  #define AT_HIDDEN 0
  #define AT_NORM 0
  #define AT_RATES 0
  #define AT_WIDE 0               // ... and in the scratch that the blocks share
  #define AT_NARROW 0
  #define AT_TURNED 0
  #define AT_LANES 0
  #define QKV default             // the stamps of dense.cl, attention.cl and layer_norm.cl it calls
  #define PROJECT default
  #define EXPAND default
  #define CONTRACT default
  #define ATTENTION default
  #define NORM default
#endif
#define PARAMETER(name) (parameters + block * BLOCK_PARAMETERS + AT_##name)
#define SAVED(name) (saved + block * BLOCK_SAVED + AT_##name)
#define SCRATCH(name) (scratch + AT_##name)
#define INPUT (block ? saved + (block - 1) * BLOCK_SAVED + AT_NORM : inp)
#define CALL(function, stamp) JOIN(function##_, stamp)

FUNCTION NAMED(encoder_forward)(
    global real* out, global real* saved, global real* scratch, global const real* inp,
    global const real* parameters, local real* shared) {
  for (int block = 0; block < BLOCKS; ++block) {
    CALL(dense_forward, QKV)(SAVED(QKV), INPUT, PARAMETER(QKV_KERNEL), PARAMETER(QKV_BIAS));
    for (int row = 0; row < ROWS; ++row)
      CALL(attention_forward, ATTENTION)(SAVED(CONTEXT) + row * CONTEXT_SIZE,
          SAVED(WEIGHTS) + row * WEIGHTS_SIZE, SCRATCH(LANES), SAVED(QKV) + 3 * row * CONTEXT_SIZE);
    CALL(dense_forward, PROJECT)(
        SCRATCH(NARROW), SAVED(CONTEXT), PARAMETER(PROJECT_KERNEL), PARAMETER(PROJECT_BIAS));
    CALL(layer_norm_forward, NORM)(SAVED(MID), SAVED(RATES), INPUT, SCRATCH(NARROW), shared);
    CALL(dense_forward, EXPAND)(SAVED(HIDDEN), SAVED(MID), PARAMETER(EXPAND_KERNEL), PARAMETER(EXPAND_BIAS));
    CALL(dense_forward, CONTRACT)(
        SCRATCH(NARROW), SAVED(HIDDEN), PARAMETER(CONTRACT_KERNEL), PARAMETER(CONTRACT_BIAS));
    CALL(layer_norm_forward, NORM)(SAVED(NORM), SAVED(RATES) + ROWS, SAVED(MID), SCRATCH(NARROW), shared);
  }
  global const real* last = saved + (BLOCKS - 1) * BLOCK_SAVED + AT_NORM;
  FOR_ITEMS(i, ROWS * N / WIDTH)
    STORE(WIDTH, ACTIVATE(ACTIVATION, LOAD(WIDTH, last + i * WIDTH)), out + i * WIDTH);
  SYNC;
}

FUNCTION NAMED(add)(global real* restrict to, global const real* restrict from) {  // ADDS INTO to
  FOR_ITEMS(i, ROWS * N / WIDTH)
    STORE(WIDTH, LOAD(WIDTH, to + i * WIDTH) + LOAD(WIDTH, from + i * WIDTH), to + i * WIDTH);
  SYNC;
}

// OVERWRITES dinp and scratch; dout is left as it is.
FUNCTION NAMED(encoder_backward)(
    global real* dinp, global const real* dout, global real* scratch, global const real* out,
    global const real* saved, global const real* inp, global real* parameters, const rates_t rates,
    local real* shared) {
  FOR_ITEMS(i, ROWS * N / WIDTH) {
    const VEC(WIDTH) y = LOAD(WIDTH, out + i * WIDTH);
    STORE(WIDTH, LOAD(WIDTH, dout + i * WIDTH) * SLOPE(ACTIVATION, y), dinp + i * WIDTH);
  }
  SYNC;
  for (int block = BLOCKS - 1; block >= 0; --block) {
    CALL(layer_norm_backward, NORM)(dinp, SAVED(NORM), SAVED(RATES) + ROWS, shared);
    CALL(dense_backward, CONTRACT)(SCRATCH(WIDE), dinp, SCRATCH(TURNED), dinp, SAVED(HIDDEN),
        PARAMETER(CONTRACT_KERNEL), PARAMETER(CONTRACT_BIAS), rates);
    CALL(dense_backward, EXPAND)(SCRATCH(NARROW), SCRATCH(WIDE), SCRATCH(TURNED), SAVED(HIDDEN), SAVED(MID),
        PARAMETER(EXPAND_KERNEL), PARAMETER(EXPAND_BIAS), rates);
    NAMED(add)(dinp, SCRATCH(NARROW));
    CALL(layer_norm_backward, NORM)(dinp, SAVED(MID), SAVED(RATES), shared);
    CALL(dense_backward, PROJECT)(SCRATCH(NARROW), dinp, SCRATCH(TURNED), dinp, SAVED(CONTEXT),
        PARAMETER(PROJECT_KERNEL), PARAMETER(PROJECT_BIAS), rates);
    for (int row = 0; row < ROWS; ++row)
      CALL(attention_backward, ATTENTION)(SCRATCH(WIDE) + 3 * row * CONTEXT_SIZE, SCRATCH(LANES),
          SCRATCH(NARROW) + row * CONTEXT_SIZE, SAVED(WEIGHTS) + row * WEIGHTS_SIZE,
          SAVED(QKV) + 3 * row * CONTEXT_SIZE);
    CALL(dense_backward, QKV)(SCRATCH(NARROW), SCRATCH(WIDE), SCRATCH(TURNED), SCRATCH(WIDE), INPUT,
        PARAMETER(QKV_KERNEL), PARAMETER(QKV_BIAS), rates);
    NAMED(add)(dinp, SCRATCH(NARROW));
  }
}
#undef PARAMETER
#undef SAVED
#undef SCRATCH
#undef INPUT
#undef CALL
