// loss.cl - gradients of the losses, of the mean over the windows of a step.
//   mean squared error   dout[o] = 2 / N (out[o] - target[o])
//   cross-entropy        dlogit[o] = out[o] sum_c pull[c] - pull[o],   pull[c] = target[c] (1 - p)^GAMMA
//                        - target[c] GAMMA (1 - p)^(GAMMA - 1) p log(p),   p = out[c]: before the softmax
// Shapes   out, dout (BATCH_SIZE, N), of which `batch` are windows   target (batch, N)
// Macros   N outputs; GAMMA; FOCAL 1: GAMMA is not 0
// Launch   inside the network's one work-group
// Twin     reference/training.py: mean_squared_error_backward, categorical_crossentropy_backward
// Source   Gizlyk, "Neural networks made easy" (MQL5); Lin et al. 2017 (GAMMA)

// OVERWRITES dout.
FUNCTION NAMED(mean_squared_error_backward)(
    global real* restrict dout, global const real* restrict out, global const real* restrict target,
    const int batch) {
  FOR_ITEMS(i, BATCH_SIZE * N) dout[i] = i < batch * N ? (real)(2.0 / N) * (out[i] - target[i]) / (real)batch : 0;
  SYNC;
}

inline real NAMED(pull)(const real target, const real p) {
#if FOCAL
  const real rest = ONE - p;
  // 0 to a power below 1: where all is known, nothing pulls.
  const real slope = rest > 0 ? pow(rest, (real)(GAMMA - 1)) : (real)0;
  return target * (pow(rest, (real)GAMMA) - (real)GAMMA * slope * p * log(fmax(p, (real)SMALLEST)));
#else
  return target;
#endif
}

// OVERWRITES dlogit.
FUNCTION NAMED(categorical_crossentropy_backward)(
    global real* restrict dlogit, global const real* restrict out, global const real* restrict target,
    const int batch) {
  FOR_ITEMS(row, BATCH_SIZE) {
    const int first = row * N;
    real sum = 0;
    for (int c = first; row < batch && c < first + N; ++c) sum += NAMED(pull)(target[c], out[c]);
    for (int c = first; c < first + N; ++c)
      dlogit[c] = row < batch ? (out[c] * sum - NAMED(pull)(target[c], out[c])) / (real)batch : 0;
  }
  SYNC;
}
