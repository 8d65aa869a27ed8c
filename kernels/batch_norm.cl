// batch_norm.cl - every neuron normalised by its running statistics: a batch of one, a window of M samples.
//   mean <- ((M-1) mean + x) / M     variance <- ((M-1) variance + (x - mean)^2) / M    (only if `moves`;
//   the very first sample, variance 0, is not divided)
//   xhat = (x - mean) / sqrt(variance + EPSILON)      out = act(gamma xhat + beta)
//   dx = dy gamma (1 - 1/M) (1 - xhat^2/M) / sqrt(variance + EPSILON)   dgamma = dy xhat   dbeta = dy
// Shapes   all (N), one window; several at a step are batch_normalization.cl's
// Launch   inside the network's one work-group, vectors dealt out to the items
// Twin     reference_norms.py: batch_norm_move, batch_norm_forward, batch_norm_backward
// Source   Gizlyk, "Neural networks made easy (Part 13)"; gradient exact, checked by finite differences

#ifndef SHAPE
  #define SHAPE default      // name of this stamp
  #define N 1                // neurons
  #define WIDTH 1            // vector: divides N
  #define M 100              // window in samples
  #define EPSILON 1e-6       // added to the variance
  #define ACTIVATION NONE
  #define AT_GAMMA 0         // offsets of its tensors
  #define AT_BETA 0
  #define AT_MOVING_MEAN 0
  #define AT_MOVING_VARIANCE 0
#endif

FUNCTION NAMED(batch_norm_forward)(FORWARD_ARGUMENTS) {
  global real* mean = net + AT_MOVING_MEAN;
  global real* variance = net + AT_MOVING_VARIANCE;
  FOR_ITEMS(block, N / WIDTH) {
    const int i = block * WIDTH;
    const VEC(WIDTH) x = LOAD(WIDTH, inp + i);
    VEC(WIDTH) mu = LOAD(WIDTH, mean + i), var = LOAD(WIDTH, variance + i);
    if (moves) {
      mu = ((real)(M - 1) * mu + x) / (real)M;
      const VEC(WIDTH) square = (x - mu) * (x - mu);
      var = var == (real)0 ? square : ((real)(M - 1) * var + square) / (real)M;
      STORE(WIDTH, mu, mean + i);
      STORE(WIDTH, var, variance + i);
    }
    const VEC(WIDTH) normal = (x - mu) / sqrt(var + (real)EPSILON);
    STORE(WIDTH, normal, saved + i);
    const VEC(WIDTH) z = fma(LOAD(WIDTH, net + AT_GAMMA + i), normal, LOAD(WIDTH, net + AT_BETA + i));
    STORE(WIDTH, ACTIVATE(ACTIVATION, z), out + i);
  }
  SYNC;
}

// OVERWRITES dinp.
FUNCTION NAMED(batch_norm_backward)(BACKWARD_ARGUMENTS) {
  global real* gamma = net + AT_GAMMA;
  global real* beta = net + AT_BETA;
  global const real* variance = net + AT_MOVING_VARIANCE;
  FOR_ITEMS(block, N / WIDTH) {
    const int i = block * WIDTH;
    const VEC(WIDTH) y = LOAD(WIDTH, out + i), normal = LOAD(WIDTH, saved + i);
    const VEC(WIDTH) dy = LOAD(WIDTH, dout + i) * SLOPE(ACTIVATION, y);
    const VEC(WIDTH) share = (real)(1 - 1.0 / M) * (ONE - normal * normal * (real)(1.0 / M));
    STORE(WIDTH, dy * LOAD(WIDTH, gamma + i) * share / sqrt(LOAD(WIDTH, variance + i) + (real)EPSILON), dinp + i);
    OPTIMIZER_STEP(WIDTH, gamma + i, dy * normal, rates);
    OPTIMIZER_STEP(WIDTH, beta + i, dy, rates);
  }
  SYNC;
}
