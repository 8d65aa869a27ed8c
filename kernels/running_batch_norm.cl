// running_batch_norm.cl - every neuron normalised by its running statistics: a batch of one, a window of M samples.
//   mean <- ((m-1) mean + x) / m     variance <- ((m-1) variance + (x - mean)^2) / m    (only if `moves`; while the
//   variance is 0, the square is not divided)   m = M
//   xhat = (x - mean) / sqrt(variance + EPSILON)      out = act(gamma xhat + beta)
//   dx = dy gamma (1 - 1/m) (1 - xhat^2/m) / sqrt(variance + EPSILON), within 10   dgamma = dy xhat   dbeta = dy
//   PUBLISHED: dx and, with Adam, the step of gamma and beta as the article has them, slips included
// Shapes   all (N), one window; batches are batch_normalization.cl's
// Macros   N neurons; WIDTH vector: divides N; M window in samples; EPSILON; ACTIVATION; PUBLISHED 1:
//          the article's gradient; offsets AT_GAMMA AT_BETA AT_MOVING_MEAN AT_MOVING_VARIANCE
// Launch   inside the network's one work-group, vectors dealt out to the items
// Twin     reference/normalization.py: running_batch_norm_move, running_batch_norm_forward, running_batch_norm_backward,
//          published_gradient, published_adam_step
// Source   Gizlyk, "Neural networks made easy (Part 13)"; gradient exact, checked by finite differences

FUNCTION NAMED(running_batch_norm_forward)(FORWARD_ARGUMENTS) {
  global real* mean = net + AT_MOVING_MEAN;
  global real* variance = net + AT_MOVING_VARIANCE;
  const real m = M;
  FOR_ITEMS(block, N / WIDTH) {
    const int i = block * WIDTH;
    const VEC(WIDTH) x = LOAD(WIDTH, inp + i);
    VEC(WIDTH) mu = LOAD(WIDTH, mean + i), var = LOAD(WIDTH, variance + i);
    if (moves) {
      mu = ((m - ONE) * mu + x) / m;
      const VEC(WIDTH) square = FINITE_SQUARE(VEC(WIDTH), (x - mu) * (x - mu));
      var = var == (real)0 ? square : ((m - ONE) * var + square) / m;
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

#if PUBLISHED && OPTIMIZER_ADAM
// UpdateBatchOptionsAdam: no bias correction, 1e-8 inside the root, gamma and beta kept within 1000 (MAX_WEIGHT).
// The slip: the second moment is averaged from the slots of the first (5, 6 instead of 7, 8). The first is of
// gradients uphill there, hence the minus; where it is negative the root has no value, and the article's
// isnan() leaves the neuron's gamma and beta, and both moments, as they were. The slots of the second: never read.
inline void NAMED(published_adam_step)(
    global real* gamma, global real* beta, const VEC(WIDTH) dgamma, const VEC(WIDTH) dbeta, const rates_t rates) {
  global real* p[2] = {gamma, beta};
  const VEC(WIDTH) g[2] = {dgamma, dbeta};
  VEC(WIDTH) past[2], v[2];
  for (int k = 0; k < 2; ++k) {
    past[k] = LOAD(WIDTH, p[k] + SLOT);
    v[k] = (real)(1 - BETA_2) * g[k] * g[k] - (real)BETA_2 * past[k] + (real)1e-8;
  }
  for (int k = 0; k < 2; ++k) {
    const VEC(WIDTH) m = (real)BETA_1 * past[k] + (real)(1 - BETA_1) * g[k], old = LOAD(WIDTH, p[k]);
    const VEC(WIDTH) moved = clamp(old - rates.w * m / sqrt(v[k]), (real)-1000, (real)1000);
    STORE(WIDTH, fmin(v[0], v[1]) > (real)0 ? m : past[k], p[k] + SLOT);
    STORE(WIDTH, fmin(v[0], v[1]) > (real)0 ? moved : old, p[k]);
  }
}
#endif

// OVERWRITES dinp.
FUNCTION NAMED(running_batch_norm_backward)(BACKWARD_ARGUMENTS) {
  global real* gamma = net + AT_GAMMA;
  global real* beta = net + AT_BETA;
  global const real* variance = net + AT_MOVING_VARIANCE;
  const real weight = (real)(1.0 / M), keep = (real)(1 - 1.0 / M);
  FOR_ITEMS(block, N / WIDTH) {
    const int i = block * WIDTH;
    const VEC(WIDTH) y = LOAD(WIDTH, out + i), normal = LOAD(WIDTH, saved + i);
    const VEC(WIDTH) dy = LOAD(WIDTH, dout + i) * SLOPE(ACTIVATION, y);
    const VEC(WIDTH) spread = LOAD(WIDTH, variance + i) + (real)EPSILON;
#if PUBLISHED
    // CalcHiddenGradientBatch, kept within 1 (MAX_GRADIENT). Its slips: pow(spread, 3/2) divides whole numbers, so
    // that the power is 1; and mean * x stands where x - mean belongs.
    const VEC(WIDTH) x = LOAD(WIDTH, inp + i), gnx = dy * LOAD(WIDTH, gamma + i);
    const VEC(WIDTH) gvar = LOAD(WIDTH, net + AT_MOVING_MEAN + i) * x / ((real)2 * spread) * gnx;
    const VEC(WIDTH) gx = gnx / sqrt(spread) * keep + gvar * (real)2 * x * weight * keep * keep;
    STORE(WIDTH, clamp(gx, (real)-1, (real)1), dinp + i);
#else
    const VEC(WIDTH) share = keep * (ONE - normal * normal * weight);
    STORE(WIDTH, BOUNDED(dy * LOAD(WIDTH, gamma + i) * share / sqrt(spread)), dinp + i);
#endif
#if PUBLISHED && OPTIMIZER_ADAM
    NAMED(published_adam_step)(gamma + i, beta + i, dy * normal, dy, rates);
#else
    OPTIMIZER_STEP(WIDTH, gamma + i, dy * normal, rates);
    OPTIMIZER_STEP(WIDTH, beta + i, dy, rates);
#endif
  }
  SYNC;
}
