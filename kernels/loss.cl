// loss.cl - mean squared error over a network's outputs.   dout[o] = 2 / N (out[o] - target[o])
// Shapes   all (N)
// Launch   inside the network's one work-group
// Twin     reference.py: mean_squared_error_backward      Source  Gizlyk, "Neural networks made easy" (MQL5)

#ifndef SHAPE
  #define SHAPE default      // name of this stamp
  #define N 1                // outputs
#endif

// OVERWRITES dout.
FUNCTION NAMED(mean_squared_error_backward)(
    global real* restrict dout, global const real* restrict out, global const real* restrict target) {
  FOR_ITEMS(i, N) dout[i] = (real)(2.0 / N) * (out[i] - target[i]);
  SYNC;
}
