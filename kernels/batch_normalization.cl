// batch_normalization.cl - every channel normalised over samples: the rows of a batch, and their positions.
//   learning rows, rows > 1 (or RENORM, samples > 1): mean, variance of the samples, share b = 1
//   else running ones, first (if `moves`) mean <- MOMENTUM mean + b avg(x), variance alike with (x - mean)^2,
//   b = 1 - MOMENTUM (while the variance is 0, the samples' own is taken whole)
//   z = (x - mean) / sqrt(variance + EPSILON)   xhat = z r + d   out = act(gamma xhat + beta)
//   RENORM: r = deviation / running deviation, d = (mean - running mean) / running deviation, both clipped
//   dx = r rate (g - b avg(g) - b (z - b avg(z)) avg(g z))   g = dy gamma   dgamma = sum dy xhat   dbeta = sum dy
// Shapes   inp, out (ROWS, POSITIONS, CHANNELS)   saved: z as inp, then rate, r and d (CHANNELS)
// Launch   inside the network's one work-group; an item owns a vector of channels
// Twin     reference_norms.py: batch_normalization_forward, batch_normalization_backward
// Source   Ioffe and Szegedy 2015; Ioffe 2017; with b < 1 Gizlyk, "Neural networks made easy (Part 13)"

#ifndef SHAPE
  #define SHAPE default      // name of this stamp
  #define ROWS 1             // windows there is room for
  #define POSITIONS 1        // samples of a channel in a window
  #define CHANNELS 1
  #define WIDTH 1            // vector: divides CHANNELS
  #define EPSILON 1e-3       // added to the variance
  #define MOMENTUM 0.99      // of the running averages
  #define RENORM 0
  #define R_MAX 3.0
  #define D_MAX 5.0
  #define SCALES 1           // there is a gamma
  #define CENTERS 1          // there is a beta
  #define ACTIVATION NONE
  #define AT_GAMMA 0         // offsets of its tensors
  #define AT_BETA 0
  #define AT_MOVING_MEAN 0
  #define AT_MOVING_VARIANCE 0
#endif
#define AVERAGE(channel) (saved + ROWS * POSITIONS * CHANNELS + channel)
#define BY_BATCH(rows) ((rows) > 1 || (RENORM && POSITIONS > 1))
#define GAMMA(c) (SCALES ? LOAD(WIDTH, net + AT_GAMMA + (c)) : (VEC(WIDTH))(1))

FUNCTION NAMED(batch_normalization_forward)(FORWARD_ARGUMENTS) {
  const int samples = rows * POSITIONS, by_batch = learns && BY_BATCH(rows);
  const real count = samples, share = by_batch ? ONE : (real)(1 - MOMENTUM), keep = by_batch ? 0 : (real)MOMENTUM;
  FOR_ITEMS(block, CHANNELS / WIDTH) {
    const int c = block * WIDTH;
    const VEC(WIDTH) old_mean = LOAD(WIDTH, net + AT_MOVING_MEAN + c);
    const VEC(WIDTH) old_var = LOAD(WIDTH, net + AT_MOVING_VARIANCE + c);
    VEC(WIDTH) mean = old_mean, var = old_var, r = 1, d = 0;
    if (by_batch || moves) {
      VEC(WIDTH) sum = 0, square = 0;
      for (int s = 0; s < samples; ++s) sum += LOAD(WIDTH, inp + s * CHANNELS + c);
      mean = keep * old_mean + share * sum / count;
      for (int s = 0; s < samples; ++s) {
        const VEC(WIDTH) x = LOAD(WIDTH, inp + s * CHANNELS + c) - mean;
        square = fma(x, x, square);
      }
      square /= count;
      var = old_var == (real)0 ? square : keep * old_var + share * square;
    }
    if (moves) {
      VEC(WIDTH) to_mean = mean, to_var = var;
      if (by_batch) {
        const VEC(WIDTH) sample_var = var * (count / (count - 1));
        to_mean = (real)MOMENTUM * old_mean + (real)(1 - MOMENTUM) * mean;
        to_var = old_var == (real)0 ? sample_var : (real)MOMENTUM * old_var + (real)(1 - MOMENTUM) * sample_var;
      }
      STORE(WIDTH, to_mean, net + AT_MOVING_MEAN + c);
      STORE(WIDTH, to_var, net + AT_MOVING_VARIANCE + c);
    }
    const VEC(WIDTH) rate = ONE / sqrt(var + (real)EPSILON);
    if (RENORM && by_batch) {
      const VEC(WIDTH) old_rate = ONE / sqrt(old_var + (real)EPSILON);
      r = clamp(old_rate / rate, (real)(1 / R_MAX), (real)R_MAX);
      d = clamp((mean - old_mean) * old_rate, (real)-D_MAX, (real)D_MAX);
    }
    STORE(WIDTH, rate, AVERAGE(c));
    STORE(WIDTH, r, AVERAGE(c) + CHANNELS);
    STORE(WIDTH, d, AVERAGE(c) + 2 * CHANNELS);
    const VEC(WIDTH) gamma = GAMMA(c), beta = CENTERS ? LOAD(WIDTH, net + AT_BETA + c) : (VEC(WIDTH))(0);
    for (int s = 0; s < ROWS * POSITIONS; ++s) {
      const VEC(WIDTH) z = (LOAD(WIDTH, inp + s * CHANNELS + c) - mean) * rate;
      STORE(WIDTH, z, saved + s * CHANNELS + c);
      STORE(WIDTH, ACTIVATE(ACTIVATION, fma(gamma, fma(z, r, d), beta)), out + s * CHANNELS + c);
    }
  }
  SYNC;
}

// OVERWRITES dinp.
FUNCTION NAMED(batch_normalization_backward)(BACKWARD_ARGUMENTS) {
  const int samples = rows * POSITIONS;
  const real count = samples, share = BY_BATCH(rows) ? ONE : (real)(1 - MOMENTUM);
  FOR_ITEMS(block, CHANNELS / WIDTH) {
    const int c = block * WIDTH;
    const VEC(WIDTH) rate = LOAD(WIDTH, AVERAGE(c)), r = LOAD(WIDTH, AVERAGE(c) + CHANNELS);
    const VEC(WIDTH) d = LOAD(WIDTH, AVERAGE(c) + 2 * CHANNELS), gamma = GAMMA(c);
    VEC(WIDTH) sum = 0, product = 0, normal = 0;  // of dy, dy z, z
    for (int s = 0; s < samples; ++s) {
      const int i = s * CHANNELS + c;
      const VEC(WIDTH) y = LOAD(WIDTH, out + i), z = LOAD(WIDTH, saved + i);
      const VEC(WIDTH) dy = LOAD(WIDTH, dout + i) * SLOPE(ACTIVATION, y);
      sum += dy;
      product = fma(dy, z, product);
      normal += z;
    }
    const VEC(WIDTH) level = gamma * sum * share / count, slope = gamma * product * share / count;
    const VEC(WIDTH) centre = normal * share / count;
    for (int s = 0; s < ROWS * POSITIONS; ++s) {
      const int i = s * CHANNELS + c;
      const VEC(WIDTH) y = LOAD(WIDTH, out + i), z = LOAD(WIDTH, saved + i);
      const VEC(WIDTH) g = gamma * LOAD(WIDTH, dout + i) * SLOPE(ACTIVATION, y);
      const VEC(WIDTH) dx = r * rate * (g - level - (z - centre) * slope);
      STORE(WIDTH, s < samples ? dx : (VEC(WIDTH))(0), dinp + i);
    }
    if (SCALES) OPTIMIZER_STEP(WIDTH, net + AT_GAMMA + c, fma(product, r, sum * d), rates);
    if (CENTERS) OPTIMIZER_STEP(WIDTH, net + AT_BETA + c, sum, rates);
  }
  SYNC;
}
#undef AVERAGE
#undef BY_BATCH
#undef GAMMA
