// loss.cl - gradients of the losses, of the mean over the windows of a step.
//   mean squared error   dout[o] = 2 / N (out[o] - wanted[o])
//   cross-entropy        dlogit[o] = out[o] sum_c pull[c] - pull[o],   pull[c] = wanted[c] (1 - p)^GAMMA
//                        - wanted[c] GAMMA (1 - p)^(GAMMA - 1) p log(p),   p = out[c]: before the softmax
// Shapes   out, dout (ROWS, N), of which `rows` are windows   wanted (rows, N)
// Macros   ROWS windows there is room for; N outputs; GAMMA; FOCAL 1: GAMMA is not 0
// Launch   inside the network's one work-group
// Twin     reference/layers.py: mean_squared_error_backward, categorical_crossentropy_backward
// Source   Gizlyk, "Neural networks made easy" (MQL5); Lin et al. 2017 (GAMMA)

// OVERWRITES dout.
FUNCTION NAMED(mean_squared_error_backward)(
    global real* restrict dout, global const real* restrict out, global const real* restrict wanted,
    const int rows) {
  FOR_ITEMS(i, ROWS * N) dout[i] = i < rows * N ? (real)(2.0 / N) * (out[i] - wanted[i]) / (real)rows : 0;
  SYNC;
}

inline real NAMED(pull)(const real wanted, const real p) {
#if FOCAL
  const real rest = ONE - p;
  // 0 to a power below 1: where all is known, nothing pulls.
  const real slope = rest > 0 ? pow(rest, (real)(GAMMA - 1)) : (real)0;
  return wanted * (pow(rest, (real)GAMMA) - (real)GAMMA * slope * p * log(fmax(p, (real)SMALLEST)));
#else
  return wanted;
#endif
}

// OVERWRITES dlogit.
FUNCTION NAMED(categorical_crossentropy_backward)(
    global real* restrict dlogit, global const real* restrict out, global const real* restrict wanted,
    const int rows) {
  FOR_ITEMS(row, ROWS) {
    const int first = row * N;
    real sum = 0;
    for (int c = first; row < rows && c < first + N; ++c) sum += NAMED(pull)(wanted[c], out[c]);
    for (int c = first; c < first + N; ++c)
      dlogit[c] = row < rows ? (out[c] * sum - NAMED(pull)(wanted[c], out[c])) / (real)rows : 0;
  }
  SYNC;
}
