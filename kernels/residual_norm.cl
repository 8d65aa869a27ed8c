// residual_norm.cl - adds two arrays and makes each row of the sum, as a whole, mean 0 and variance 1.
//   z = a + b   rate = 1 / sqrt(mean((z - mean z)^2) + EPSILON)   out = (z - mean z) rate
//   dz = (dout - mean(dout) - out mean(dout out)) rate, within 10, which is da and db
// Shapes   a, b, out, dout (BATCH_SIZE, N)   rate (BATCH_SIZE)
// Macros   N numbers a row; WIDTH vector: divides N; EPSILON
// Launch   inside the network's one work-group; partial sums meet in local memory, in the items' order
// Twin     reference/normalization.py: residual_norm_forward, residual_norm_backward      Source  Ba, Kiros, Hinton 2016

FUNCTION NAMED(residual_norm_forward)(
    global real* restrict out, global real* restrict rate,
    global const real* restrict a, global const real* restrict b, local real* shared) {
  for (int row = 0; row < BATCH_SIZE; ++row, out += N, a += N, b += N, ++rate) {
    VEC(WIDTH) sum = 0, square = 0;
    FOR_ITEMS(block, N / WIDTH) {
      const VEC(WIDTH) z = LOAD(WIDTH, a + block * WIDTH) + LOAD(WIDTH, b + block * WIDTH);
      STORE(WIDTH, z, out + block * WIDTH);
      sum += z;
    }
    const real mean = group_sum(SUM(WIDTH, sum), shared) / (real)N;
    FOR_ITEMS(block, N / WIDTH) {
      const VEC(WIDTH) d = LOAD(WIDTH, out + block * WIDTH) - mean;
      square = fma(d, d, square);
    }
    const real r = ONE / sqrt(group_sum(SUM(WIDTH, square), shared) / (real)N + (real)EPSILON);
    FOR_ITEMS(block, N / WIDTH)
      STORE(WIDTH, (LOAD(WIDTH, out + block * WIDTH) - mean) * r, out + block * WIDTH);
    if (LOCAL_ID == 0) *rate = r;
  }
  SYNC;
}

// OVERWRITES dout with dz.
FUNCTION NAMED(residual_norm_backward)(
    global real* restrict dout, global const real* restrict out, global const real* rate, local real* shared) {
  for (int row = 0; row < BATCH_SIZE; ++row, dout += N, out += N, ++rate) {
    VEC(WIDTH) sum = 0, product = 0;
    FOR_ITEMS(block, N / WIDTH) {
      const VEC(WIDTH) d = LOAD(WIDTH, dout + block * WIDTH);
      sum += d;
      product = fma(d, LOAD(WIDTH, out + block * WIDTH), product);
    }
    const real mean = group_sum(SUM(WIDTH, sum), shared) / (real)N;
    const real slope = group_sum(SUM(WIDTH, product), shared) / (real)N;
    FOR_ITEMS(block, N / WIDTH) {
      const VEC(WIDTH) y = LOAD(WIDTH, out + block * WIDTH);
      STORE(WIDTH, BOUNDED((LOAD(WIDTH, dout + block * WIDTH) - mean - y * slope) * *rate), dout + block * WIDTH);
    }
  }
  SYNC;
}
