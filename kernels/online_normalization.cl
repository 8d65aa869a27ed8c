// online_normalization.cl - every channel normalised by its past alone; two control terms mend the gradient.
//   xhat = (x - mean) / sqrt(variance + EPSILON)   out = act(gamma xhat + beta)   then, if `moves`, a = ALPHA_FORWARD:
//   variance <- a variance + (1 - a) (var(x) + a (avg(x) - mean)^2)      mean <- a mean + (1 - a) avg(x)
//   d = g - (1 - b) u xhat   u += avg(d xhat)   dx = d rate - (1 - b) v   v += avg(dx)   b = ALPHA_BACKWARD, g = dy gamma
// Shapes   inp, out (ROWS, POSITIONS, CHANNELS), row after row   saved: xhat as inp, then rate (ROWS, CHANNELS)
// Launch   inside the network's one work-group; an item owns a vector of channels
// Twin     reference_norms.py: online_normalization_forward, online_normalization_backward
// Source   Chiley et al. 2019, "Online Normalization for Training Neural Networks", section 3

#ifndef SHAPE
  #define SHAPE default      // name of this stamp
  #define ROWS 1             // windows there is room for
  #define POSITIONS 1        // samples of a channel in a window
  #define CHANNELS 1
  #define WIDTH 1            // vector: divides CHANNELS
  #define EPSILON 1e-3       // added to the variance
  #define ALPHA_FORWARD 0.999
  #define ALPHA_BACKWARD 0.99
  #define SCALES 1           // there is a gamma
  #define CENTERS 1          // there is a beta
  #define ACTIVATION NONE
  #define AT_GAMMA 0         // offsets of its tensors
  #define AT_BETA 0
  #define AT_MOVING_MEAN 0
  #define AT_MOVING_VARIANCE 0
  #define AT_CONTROL_OUTPUT 0
  #define AT_CONTROL_INPUT 0
#endif
#define RATE(row, c) (saved + (ROWS * POSITIONS + (row)) * CHANNELS + (c))
#define GAMMA(c) (SCALES ? LOAD(WIDTH, net + AT_GAMMA + (c)) : (VEC(WIDTH))(1))

FUNCTION NAMED(online_normalization_forward)(FORWARD_ARGUMENTS) {
  FOR_ITEMS(block, CHANNELS / WIDTH) {
    const int c = block * WIDTH;
    VEC(WIDTH) mean = LOAD(WIDTH, net + AT_MOVING_MEAN + c), var = LOAD(WIDTH, net + AT_MOVING_VARIANCE + c);
    const VEC(WIDTH) gamma = GAMMA(c), beta = CENTERS ? LOAD(WIDTH, net + AT_BETA + c) : (VEC(WIDTH))(0);
    for (int row = 0; row < ROWS; ++row) {
      const VEC(WIDTH) rate = ONE / sqrt(var + (real)EPSILON);
      STORE(WIDTH, rate, RATE(row, c));
      VEC(WIDTH) sum = 0, square = 0;
      for (int p = 0; p < POSITIONS; ++p) {
        const int i = (row * POSITIONS + p) * CHANNELS + c;
        const VEC(WIDTH) x = LOAD(WIDTH, inp + i), xhat = (x - mean) * rate;
        STORE(WIDTH, xhat, saved + i);
        STORE(WIDTH, ACTIVATE(ACTIVATION, fma(gamma, xhat, beta)), out + i);
        sum += x;
      }
      if (!moves || row >= rows) continue;
      const VEC(WIDTH) average = sum / (real)POSITIONS, ahead = average - mean;
      for (int p = 0; p < POSITIONS; ++p) {
        const VEC(WIDTH) x = LOAD(WIDTH, inp + (row * POSITIONS + p) * CHANNELS + c) - average;
        square = fma(x, x, square);
      }
      const VEC(WIDTH) spread = square / (real)POSITIONS + (real)ALPHA_FORWARD * ahead * ahead;
      var = (real)ALPHA_FORWARD * var + (real)(1 - ALPHA_FORWARD) * spread;
      mean = (real)ALPHA_FORWARD * mean + (real)(1 - ALPHA_FORWARD) * average;
    }
    STORE(WIDTH, mean, net + AT_MOVING_MEAN + c);
    STORE(WIDTH, var, net + AT_MOVING_VARIANCE + c);
  }
  SYNC;
}

// OVERWRITES dinp.
FUNCTION NAMED(online_normalization_backward)(BACKWARD_ARGUMENTS) {
  const real rest = 1 - ALPHA_BACKWARD;
  FOR_ITEMS(block, CHANNELS / WIDTH) {
    const int c = block * WIDTH;
    VEC(WIDTH) u = LOAD(WIDTH, net + AT_CONTROL_OUTPUT + c), v = LOAD(WIDTH, net + AT_CONTROL_INPUT + c);
    VEC(WIDTH) dgamma = 0, dbeta = 0;
    for (int row = 0; row < ROWS; ++row) {
      const VEC(WIDTH) gamma = GAMMA(c), rate = LOAD(WIDTH, RATE(row, c));
      VEC(WIDTH) product = 0, level = 0;
      for (int p = 0; p < POSITIONS; ++p) {
        const int i = (row * POSITIONS + p) * CHANNELS + c;
        const VEC(WIDTH) y = LOAD(WIDTH, out + i), xhat = LOAD(WIDTH, saved + i);
        const VEC(WIDTH) dy = LOAD(WIDTH, dout + i) * SLOPE(ACTIVATION, y);
        const VEC(WIDTH) d = gamma * dy - rest * u * xhat, dx = d * rate - rest * v;
        STORE(WIDTH, row < rows ? dx : (VEC(WIDTH))(0), dinp + i);
        dgamma = fma(dy, xhat, dgamma);
        dbeta += dy;
        product = fma(d, xhat, product);
        level += dx;
      }
      if (row >= rows) continue;
      u += product / (real)POSITIONS;
      v += level / (real)POSITIONS;
    }
    STORE(WIDTH, u, net + AT_CONTROL_OUTPUT + c);
    STORE(WIDTH, v, net + AT_CONTROL_INPUT + c);
    if (SCALES) OPTIMIZER_STEP(WIDTH, net + AT_GAMMA + c, dgamma, rates);
    if (CENTERS) OPTIMIZER_STEP(WIDTH, net + AT_BETA + c, dbeta, rates);
  }
  SYNC;
}
#undef RATE
#undef GAMMA
