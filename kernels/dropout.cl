// dropout.cl - zeroes a share of the inputs at a learning step; the identity when predicting.
//   mask[i] = bits(i, step, key) < THRESHOLD ? 0 : 1 / (1 - rate)      out = inp mask      dinp = dout mask
// Shapes   all (N)
// Launch   inside the network's one work-group; masks depend on seed, layer, step and neuron only
// Twin     reference.py: dropout_forward, dropout_backward      Source  Srivastava et al. 2014; Gizlyk, "Neural networks made easy" (MQL5)

#ifndef SHAPE
  #define SHAPE default      // name of this stamp
  #define N 1                // neurons
  #define THRESHOLD 0u       // rate 2^32
  #define KEEP 1.0           // 1 / (1 - rate)
#endif

FUNCTION NAMED(dropout_forward)(
    global real* restrict out, global real* restrict mask, global const real* restrict inp,
    const uint key, const uint step, const int learns) {
  FOR_ITEMS(i, N) {
    mask[i] = !learns ? ONE : philox(i, step, key) < THRESHOLD ? (real)0 : (real)KEEP;
    out[i] = inp[i] * mask[i];
  }
  SYNC;
}

// OVERWRITES dinp.
FUNCTION NAMED(dropout_backward)(
    global real* restrict dinp, global const real* restrict dout, global const real* restrict mask) {
  FOR_ITEMS(i, N) dinp[i] = dout[i] * mask[i];
  SYNC;
}
