// dropout.cl - zeroes a share of the inputs at a learning step; the identity when predicting.
//   saved[i] = bits(i, step, key) < THRESHOLD ? 0 : 1 / (1 - rate)      out = inp saved      dinp = dout saved
// Shapes   all (BATCH_SIZE, N)
// Macros   N neurons; THRESHOLD rate 2^32; KEEP 1 / (1 - rate)
// Launch   inside the network's one work-group; masks depend on seed, layer, step and neuron only
// Twin     reference/layers.py: dropout_forward, dropout_backward      Source  Srivastava et al. 2014; Gizlyk, "Neural networks made easy" (MQL5)

FUNCTION NAMED(dropout_forward)(FORWARD_ARGUMENTS) {
  FOR_ITEMS(i, BATCH_SIZE * N) {
    saved[i] = !learns ? ONE : philox(i, step, key) < THRESHOLD ? (real)0 : (real)KEEP;
    out[i] = inp[i] * saved[i];
  }
  SYNC;
}

// OVERWRITES dinp.
FUNCTION NAMED(dropout_backward)(BACKWARD_ARGUMENTS) {
  FOR_ITEMS(i, BATCH_SIZE * N) dinp[i] = dout[i] * saved[i];
  SYNC;
}
