// layer_normalization.cl - the channels of every sample made mean 0 and variance 1.
//   out = (x - mean) rate   rate = 1 / sqrt(mean((x - mean)^2) + EPSILON)
//   dinp = (dout - mean(dout) - out mean(dout out)) rate, within 10
// Shapes   inp, out (BATCH_SIZE, POSITIONS, CHANNELS), a sample a position   saved: rate (BATCH_SIZE, POSITIONS)
// Macros   POSITIONS; CHANNELS; WIDTH vector: divides CHANNELS; EPSILON
// Launch   inside the network's one work-group; an item owns whole samples
// Twin     reference/normalization.py: layer_normalization_forward, layer_normalization_backward
// Source   Ba, Kiros, Hinton 2016

#define FOR_CHANNELS(i, s) for (int i = (s) * CHANNELS; i < ((s) + 1) * CHANNELS; i += WIDTH)

FUNCTION NAMED(layer_normalization_forward)(FORWARD_ARGUMENTS) {
  FOR_ITEMS(s, BATCH_SIZE * POSITIONS) {
    VEC(WIDTH) sum = 0, square = 0;
    FOR_CHANNELS(i, s) sum += LOAD(WIDTH, inp + i);
    const real mean = SUM(WIDTH, sum) / (real)CHANNELS;
    FOR_CHANNELS(i, s) square += (LOAD(WIDTH, inp + i) - mean) * (LOAD(WIDTH, inp + i) - mean);
    saved[s] = ONE / sqrt(SUM(WIDTH, square) / (real)CHANNELS + (real)EPSILON);
    FOR_CHANNELS(i, s) STORE(WIDTH, (LOAD(WIDTH, inp + i) - mean) * saved[s], out + i);
  }
  SYNC;
}

// OVERWRITES dinp.
FUNCTION NAMED(layer_normalization_backward)(BACKWARD_ARGUMENTS) {
  FOR_ITEMS(s, BATCH_SIZE * POSITIONS) {
    VEC(WIDTH) sum = 0, product = 0;
    FOR_CHANNELS(i, s) {
      sum += LOAD(WIDTH, dout + i);
      product = fma(LOAD(WIDTH, dout + i), LOAD(WIDTH, out + i), product);
    }
    const real mean = SUM(WIDTH, sum) / (real)CHANNELS, slope = SUM(WIDTH, product) / (real)CHANNELS;
    FOR_CHANNELS(i, s)
      STORE(WIDTH, BOUNDED((LOAD(WIDTH, dout + i) - mean - LOAD(WIDTH, out + i) * slope) * saved[s]), dinp + i);
  }
  SYNC;
}
#undef FOR_CHANNELS
