// online_normalization.cl - every channel normalised by its past alone; two control terms mend the gradient.
//   out = (x - mean) rate   rate = 1 / sqrt(variance + EPSILON)   then, if `moves`, with a = ALPHA_FORWARD:
//   variance <- a variance + (1 - a) (var(x) + a (avg(x) - mean)^2)      mean <- a mean + (1 - a) avg(x)
//   d = dout - (1 - b) u out   u += avg(d out)   dinp = d rate - (1 - b) v   v += avg(dinp)   b = ALPHA_BACKWARD
// Shapes   inp, out (ROWS, POSITIONS, CHANNELS), row after row   saved: rate (ROWS, CHANNELS)
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
  #define AT_MOVING_MEAN 0   // offsets of its tensors
  #define AT_MOVING_VARIANCE 0
  #define AT_CONTROL_OUTPUT 0
  #define AT_CONTROL_INPUT 0
#endif
#define FOR_POSITIONS(i, row) \
  for (int i = (row) * POSITIONS * CHANNELS + c; i < ((row) + 1) * POSITIONS * CHANNELS; i += CHANNELS)

FUNCTION NAMED(online_normalization_forward)(FORWARD_ARGUMENTS) {
  const real keep = ALPHA_FORWARD, rest = 1 - ALPHA_FORWARD;
  FOR_ITEMS(block, CHANNELS / WIDTH) {
    const int c = block * WIDTH;
    VEC(WIDTH) mean = LOAD(WIDTH, net + AT_MOVING_MEAN + c), var = LOAD(WIDTH, net + AT_MOVING_VARIANCE + c);
    for (int row = 0; row < rows; ++row) {
      const VEC(WIDTH) rate = ONE / sqrt(var + (real)EPSILON);
      VEC(WIDTH) average = 0, square = 0;
      FOR_POSITIONS(i, row) {
        STORE(WIDTH, (LOAD(WIDTH, inp + i) - mean) * rate, out + i);
        average += LOAD(WIDTH, inp + i) / (real)POSITIONS;
      }
      STORE(WIDTH, rate, saved + row * CHANNELS + c);
      if (!moves) continue;
      FOR_POSITIONS(i, row) square += (LOAD(WIDTH, inp + i) - average) * (LOAD(WIDTH, inp + i) - average);
      var = keep * var + rest * (square / (real)POSITIONS + keep * (average - mean) * (average - mean));
      mean = keep * mean + rest * average;
    }
    STORE(WIDTH, mean, net + AT_MOVING_MEAN + c);
    STORE(WIDTH, var, net + AT_MOVING_VARIANCE + c);
    for (int row = rows; row < ROWS; ++row) FOR_POSITIONS(i, row) STORE(WIDTH, (VEC(WIDTH))(0), out + i);
  }
  SYNC;
}

// OVERWRITES dinp.
FUNCTION NAMED(online_normalization_backward)(BACKWARD_ARGUMENTS) {
  const real rest = 1 - ALPHA_BACKWARD;
  FOR_ITEMS(block, CHANNELS / WIDTH) {
    const int c = block * WIDTH;
    VEC(WIDTH) u = LOAD(WIDTH, net + AT_CONTROL_OUTPUT + c), v = LOAD(WIDTH, net + AT_CONTROL_INPUT + c);
    for (int row = 0; row < rows; ++row) {
      const VEC(WIDTH) rate = LOAD(WIDTH, saved + row * CHANNELS + c);
      VEC(WIDTH) product = 0, sum = 0;
      FOR_POSITIONS(i, row) {
        const VEC(WIDTH) y = LOAD(WIDTH, out + i), d = LOAD(WIDTH, dout + i) - rest * u * y;
        const VEC(WIDTH) dx = d * rate - rest * v;
        STORE(WIDTH, dx, dinp + i);
        product = fma(d, y, product);
        sum += dx;
      }
      u += product / (real)POSITIONS;
      v += sum / (real)POSITIONS;
    }
    STORE(WIDTH, u, net + AT_CONTROL_OUTPUT + c);
    STORE(WIDTH, v, net + AT_CONTROL_INPUT + c);
    for (int row = rows; row < ROWS; ++row) FOR_POSITIONS(i, row) STORE(WIDTH, (VEC(WIDTH))(0), dinp + i);
  }
  SYNC;
}
#undef FOR_POSITIONS
