// layer_normalization.cl - the channels of every sample made mean 0 and variance 1, then scaled and shifted.
//   xhat = (x - mean) rate   rate = 1 / sqrt(mean((x - mean)^2) + EPSILON)   out = act(gamma xhat + beta)
//   dx = (g - mean(g) - xhat mean(g xhat)) rate   g = dy gamma   dgamma = sum dy xhat   dbeta = sum dy
// Shapes   inp, out (ROWS, POSITIONS, CHANNELS), a sample a position   saved: xhat as inp, then rate a sample
// Launch   inside the network's one work-group; an item owns whole samples, and for scale and shift channels
// Twin     reference_norms.py: layer_normalization_forward, layer_normalization_backward
// Source   Ba, Kiros, Hinton 2016

#ifndef SHAPE
  #define SHAPE default      // name of this stamp
  #define ROWS 1             // windows
  #define POSITIONS 1
  #define CHANNELS 1
  #define WIDTH 1            // vector: divides CHANNELS
  #define EPSILON 1e-3       // added to the variance
  #define SCALES 1           // there is a gamma
  #define CENTERS 1          // there is a beta
  #define ACTIVATION NONE
  #define AT_GAMMA 0         // offsets of its tensors
  #define AT_BETA 0
#endif
#define SAMPLES (ROWS * POSITIONS)
#define GAMMA(c) (SCALES ? LOAD(WIDTH, net + AT_GAMMA + (c)) : (VEC(WIDTH))(1))

FUNCTION NAMED(layer_normalization_forward)(FORWARD_ARGUMENTS) {
  FOR_ITEMS(s, SAMPLES) {
    VEC(WIDTH) sum = 0, square = 0;
    for (int c = 0; c < CHANNELS; c += WIDTH) sum += LOAD(WIDTH, inp + s * CHANNELS + c);
    const real mean = SUM(WIDTH, sum) / (real)CHANNELS;
    for (int c = 0; c < CHANNELS; c += WIDTH) {
      const VEC(WIDTH) x = LOAD(WIDTH, inp + s * CHANNELS + c) - mean;
      square = fma(x, x, square);
    }
    const real rate = ONE / sqrt(SUM(WIDTH, square) / (real)CHANNELS + (real)EPSILON);
    saved[SAMPLES * CHANNELS + s] = rate;
    for (int c = 0; c < CHANNELS; c += WIDTH) {
      const int i = s * CHANNELS + c;
      const VEC(WIDTH) xhat = (LOAD(WIDTH, inp + i) - mean) * rate;
      const VEC(WIDTH) beta = CENTERS ? LOAD(WIDTH, net + AT_BETA + c) : (VEC(WIDTH))(0);
      STORE(WIDTH, xhat, saved + i);
      STORE(WIDTH, ACTIVATE(ACTIVATION, fma(GAMMA(c), xhat, beta)), out + i);
    }
  }
  SYNC;
}

// OVERWRITES dinp, in passing with dy.
FUNCTION NAMED(layer_normalization_backward)(BACKWARD_ARGUMENTS) {
  FOR_ITEMS(i, SAMPLES * CHANNELS / WIDTH) {
    const VEC(WIDTH) y = LOAD(WIDTH, out + i * WIDTH);
    STORE(WIDTH, LOAD(WIDTH, dout + i * WIDTH) * SLOPE(ACTIVATION, y), dinp + i * WIDTH);
  }
  SYNC;
  FOR_ITEMS(block, CHANNELS / WIDTH) {
    const int c = block * WIDTH;
    VEC(WIDTH) dgamma = 0, dbeta = 0;
    const VEC(WIDTH) gamma = GAMMA(c);
    for (int i = c; i < SAMPLES * CHANNELS; i += CHANNELS) {
      const VEC(WIDTH) dy = LOAD(WIDTH, dinp + i);
      dgamma = fma(dy, LOAD(WIDTH, saved + i), dgamma);
      dbeta += dy;
      STORE(WIDTH, gamma * dy, dinp + i);
    }
    if (SCALES) OPTIMIZER_STEP(WIDTH, net + AT_GAMMA + c, dgamma, rates);
    if (CENTERS) OPTIMIZER_STEP(WIDTH, net + AT_BETA + c, dbeta, rates);
  }
  SYNC;
  FOR_ITEMS(s, SAMPLES) {
    VEC(WIDTH) sum = 0, product = 0;
    for (int i = s * CHANNELS; i < (s + 1) * CHANNELS; i += WIDTH) {
      const VEC(WIDTH) g = LOAD(WIDTH, dinp + i);
      sum += g;
      product = fma(g, LOAD(WIDTH, saved + i), product);
    }
    const real mean = SUM(WIDTH, sum) / (real)CHANNELS, slope = SUM(WIDTH, product) / (real)CHANNELS;
    const real rate = saved[SAMPLES * CHANNELS + s];
    for (int i = s * CHANNELS; i < (s + 1) * CHANNELS; i += WIDTH)
      STORE(WIDTH, (LOAD(WIDTH, dinp + i) - mean - LOAD(WIDTH, saved + i) * slope) * rate, dinp + i);
  }
  SYNC;
}
#undef SAMPLES
#undef GAMMA
