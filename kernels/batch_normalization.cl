// batch_normalization.cl - every channel normalised over samples: the windows of a batch, and their positions.
//   learning, batch > 1: mean, variance of the samples, share b = 1
//   else running ones, first (if `moves`) mean <- MOMENTUM mean + b avg(x), variance alike with (x - mean)^2,
//   b = 1 - MOMENTUM (while the variance is 0, the samples' own is taken whole)
//   out = (x - mean) rate   rate = 1 / sqrt(variance + EPSILON)
//   dinp = rate (dout - b avg(dout) - b (out - b avg(out)) avg(dout out)), within 10
// Shapes   inp, out (BATCH_SIZE, POSITIONS, CHANNELS)   saved: rate (CHANNELS)
// Macros   POSITIONS samples of a channel in a window; CHANNELS; WIDTH vector: divides CHANNELS; EPSILON; MOMENTUM;
//          offsets AT_MOVING_MEAN AT_MOVING_VARIANCE
// Launch   inside the network's one work-group; an item owns a vector of channels
// Twin     reference/normalization.py: batch_normalization_forward, batch_normalization_backward
// Source   Ioffe and Szegedy 2015; with b < 1 Gizlyk, "Neural networks made easy (Part 13)"

#define FOR_SAMPLES(i, count) for (int i = c; i < (count) * POSITIONS * CHANNELS; i += CHANNELS)

FUNCTION NAMED(batch_normalization_forward)(FORWARD_ARGUMENTS) {
  const int by_batch = learns && batch > 1;
  const real count = batch * POSITIONS, keep = by_batch ? 0 : (real)MOMENTUM, share = by_batch ? ONE : (real)(1 - MOMENTUM);
  FOR_ITEMS(block, CHANNELS / WIDTH) {
    const int c = block * WIDTH;
    const VEC(WIDTH) old_mean = LOAD(WIDTH, net + AT_MOVING_MEAN + c);
    const VEC(WIDTH) old_var = LOAD(WIDTH, net + AT_MOVING_VARIANCE + c);
    VEC(WIDTH) mean = old_mean, var = old_var;
    if (by_batch || moves) {
      VEC(WIDTH) sum = 0, square = 0;
      FOR_SAMPLES(i, batch) sum += LOAD(WIDTH, inp + i);
      mean = keep * old_mean + share * sum / count;
      FOR_SAMPLES(i, batch) square += (LOAD(WIDTH, inp + i) - mean) * (LOAD(WIDTH, inp + i) - mean);
      square = FINITE_SQUARE(VEC(WIDTH), square / count);
      var = old_var == (real)0 ? square : keep * old_var + share * square;
    }
    if (moves) {
      VEC(WIDTH) to_mean = mean, to_var = var;
      if (by_batch) {
        to_var *= count / (count - 1);
        to_mean = (real)MOMENTUM * old_mean + (real)(1 - MOMENTUM) * to_mean;
        to_var = old_var == (real)0 ? to_var : (real)MOMENTUM * old_var + (real)(1 - MOMENTUM) * to_var;
      }
      STORE(WIDTH, to_mean, net + AT_MOVING_MEAN + c);
      STORE(WIDTH, to_var, net + AT_MOVING_VARIANCE + c);
    }
    const VEC(WIDTH) rate = ONE / sqrt(var + (real)EPSILON);
    STORE(WIDTH, rate, saved + c);
    FOR_SAMPLES(i, BATCH_SIZE) STORE(WIDTH, (LOAD(WIDTH, inp + i) - mean) * rate, out + i);
  }
  SYNC;
}

// OVERWRITES dinp.
FUNCTION NAMED(batch_normalization_backward)(BACKWARD_ARGUMENTS) {
  const real share = (batch > 1 ? ONE : (real)(1 - MOMENTUM)) / (real)(batch * POSITIONS);
  FOR_ITEMS(block, CHANNELS / WIDTH) {
    const int c = block * WIDTH;
    const VEC(WIDTH) rate = LOAD(WIDTH, saved + c);
    VEC(WIDTH) sum = 0, product = 0, normal = 0;  // of dout, dout z, z
    FOR_SAMPLES(i, batch) {
      const VEC(WIDTH) g = LOAD(WIDTH, dout + i), z = LOAD(WIDTH, out + i);
      sum += g;
      product = fma(g, z, product);
      normal += z;
    }
    FOR_SAMPLES(i, BATCH_SIZE) {
      const VEC(WIDTH) z = LOAD(WIDTH, out + i);
      const VEC(WIDTH) g = LOAD(WIDTH, dout + i) - share * (sum + (z - share * normal) * product);
      STORE(WIDTH, i < batch * POSITIONS * CHANNELS ? BOUNDED(rate * g) : (VEC(WIDTH))(0), dinp + i);
    }
  }
  SYNC;
}
#undef FOR_SAMPLES
