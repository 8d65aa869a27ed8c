// scale.cl - the scale and shift behind a normalisation, one a channel, and its activation.
//   out = act(gamma inp + beta)      dinp = dy gamma   dgamma = sum dy inp   dbeta = sum dy   dy = dout act'(out)
// Shapes   inp, out (BATCH_SIZE, POSITIONS, CHANNELS)   gamma, beta (CHANNELS), where there are any
// Macros   POSITIONS samples of a channel in a window; CHANNELS; WIDTH vector: divides CHANNELS; SCALES 1:
//          there is a gamma; CENTERS 1: there is a beta; ACTIVATION; offsets AT_GAMMA AT_BETA
// Launch   inside the network's one work-group; an item owns a vector of channels
// Twin     reference/normalization.py: scale_forward, scale_backward      Source  Ioffe and Szegedy 2015

#define GAMMA(c) (SCALES ? LOAD(WIDTH, net + AT_GAMMA + c) : (VEC(WIDTH))(1))
#define BETA(c) (CENTERS ? LOAD(WIDTH, net + AT_BETA + c) : (VEC(WIDTH))(0))

FUNCTION NAMED(scale_forward)(FORWARD_ARGUMENTS) {
  FOR_ITEMS(block, CHANNELS / WIDTH) {
    const VEC(WIDTH) gamma = GAMMA(block * WIDTH), beta = BETA(block * WIDTH);
    for (int i = block * WIDTH; i < BATCH_SIZE * POSITIONS * CHANNELS; i += CHANNELS)
      STORE(WIDTH, ACTIVATE(ACTIVATION, fma(gamma, LOAD(WIDTH, inp + i), beta)), out + i);
  }
  SYNC;
}

// OVERWRITES dinp.
FUNCTION NAMED(scale_backward)(BACKWARD_ARGUMENTS) {
  FOR_ITEMS(block, CHANNELS / WIDTH) {
    const VEC(WIDTH) gamma = GAMMA(block * WIDTH);
    VEC(WIDTH) dgamma = 0, dbeta = 0;
    for (int i = block * WIDTH; i < BATCH_SIZE * POSITIONS * CHANNELS; i += CHANNELS) {
      const VEC(WIDTH) y = LOAD(WIDTH, out + i), dy = LOAD(WIDTH, dout + i) * SLOPE(ACTIVATION, y);
      STORE(WIDTH, dy * gamma, dinp + i);
      dgamma = fma(dy, LOAD(WIDTH, inp + i), dgamma);
      dbeta += dy;
    }
    if (SCALES) OPTIMIZER_STEP(WIDTH, net + AT_GAMMA + block * WIDTH, dgamma, rates);
    if (CENTERS) OPTIMIZER_STEP(WIDTH, net + AT_BETA + block * WIDTH, dbeta, rates);
  }
  SYNC;
}
#undef GAMMA
#undef BETA
