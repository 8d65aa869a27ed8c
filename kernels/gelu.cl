// gelu.cl - an activation whose slope needs the input, hence a layer of its own.
//   out = x P(x)      dinp = dout (P(x) + x exp(-x^2 / 2) / sqrt(2 pi))      P(x) = (1 + erf(x / sqrt(2))) / 2
// Shapes   all (BATCH_SIZE, N)
// Macros   N numbers of a window; WIDTH vector: divides N
// Launch   inside the network's one work-group, vectors dealt out to the items
// Twin     reference/activations.py: gelu_forward, gelu_backward      Source  Hendrycks and Gimpel 2016

#define BELOW(x) ((real)0.5 * (ONE + erf((x) * (real)0.70710678118654752)))

FUNCTION NAMED(gelu_forward)(FORWARD_ARGUMENTS) {
  FOR_ITEMS(i, BATCH_SIZE * N / WIDTH) {
    const VEC(WIDTH) x = LOAD(WIDTH, inp + i * WIDTH);
    STORE(WIDTH, x * BELOW(x), out + i * WIDTH);
  }
  SYNC;
}

// OVERWRITES dinp.
FUNCTION NAMED(gelu_backward)(BACKWARD_ARGUMENTS) {
  FOR_ITEMS(i, BATCH_SIZE * N / WIDTH) {
    const VEC(WIDTH) x = LOAD(WIDTH, inp + i * WIDTH);
    const VEC(WIDTH) slope = fma(x * (real)0.39894228040143268, exp((real)-0.5 * x * x), BELOW(x));
    STORE(WIDTH, LOAD(WIDTH, dout + i * WIDTH) * slope, dinp + i * WIDTH);
  }
  SYNC;
}
#undef BELOW
