// pooling.cl - the largest, or the mean, of every SIZE positions, channel by channel.
//   out[p] = max_k inp[p STRIDE + k]  or  avg_k inp[p STRIDE + k]
//   dinp = sum over windows of dout, given to the first of the largest, or to all in equal parts
// Shapes   inp (BATCH_SIZE, POSITIONS, CHANNELS)   out (BATCH_SIZE, POOLED, CHANNELS)
// Macros   POSITIONS; CHANNELS; WIDTH vector: divides CHANNELS; POOLED positions of the output; SIZE
//          positions that make one; STRIDE; LARGEST 1: the largest, 0: the mean
// Launch   inside the network's one work-group; an item owns a vector of channels of a row
// Twin     reference/layers.py: pooling_forward, pooling_backward      Source  Goodfellow et al. 2016, section 9.3

#define INPUT(k) (((row) * POSITIONS + p * STRIDE + (k)) * CHANNELS + c)
#define OUTPUT ((row * POOLED + p) * CHANNELS + c)

FUNCTION NAMED(pooling_forward)(FORWARD_ARGUMENTS) {
  FOR_ITEMS(j, BATCH_SIZE * CHANNELS / WIDTH) {
    const int row = j / (CHANNELS / WIDTH), c = j % (CHANNELS / WIDTH) * WIDTH;
    for (int p = 0; p < POOLED; ++p) {
      VEC(WIDTH) pooled = LOAD(WIDTH, inp + INPUT(0));
      for (int k = 1; k < SIZE; ++k) {
        const VEC(WIDTH) x = LOAD(WIDTH, inp + INPUT(k));
        pooled = LARGEST ? fmax(pooled, x) : pooled + x;
      }
      STORE(WIDTH, LARGEST ? pooled : pooled / (real)SIZE, out + OUTPUT);
    }
  }
  SYNC;
}

// OVERWRITES dinp.
FUNCTION NAMED(pooling_backward)(BACKWARD_ARGUMENTS) {
  FOR_ITEMS(j, BATCH_SIZE * CHANNELS / WIDTH) {
    const int row = j / (CHANNELS / WIDTH), c = j % (CHANNELS / WIDTH) * WIDTH;
    for (int i = 0; i < POSITIONS; ++i)
      STORE(WIDTH, (VEC(WIDTH))(0), dinp + (row * POSITIONS + i) * CHANNELS + c);
    for (int p = 0; p < POOLED; ++p) {
      const VEC(WIDTH) y = LOAD(WIDTH, out + OUTPUT), d = LOAD(WIDTH, dout + OUTPUT);
      VEC(WIDTH) left = d;  // for the first of the largest
      for (int k = 0; k < SIZE; ++k) {
        const VEC(WIDTH) share = !LARGEST ? d / (real)SIZE : LOAD(WIDTH, inp + INPUT(k)) == y ? left : (VEC(WIDTH))(0);
        left -= share;
        STORE(WIDTH, LOAD(WIDTH, dinp + INPUT(k)) + share, dinp + INPUT(k));
      }
    }
  }
  SYNC;
}
#undef INPUT
#undef OUTPUT
