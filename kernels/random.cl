// random.cl - 32 random bits for a (counter, step) under a key; no state, so any work-item can make any.
//   Philox2x32, 10 rounds: (low, high) <- (hi32(low M) ^ key ^ high, lo32(low M)), key += W
// Shapes   single numbers
// Launch   called by the item that needs the bits
// Twin     reference/layers.py: philox      Source  Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers"

inline uint philox(const uint counter, const uint step, uint key) {
  uint low = counter, high = step;
  for (int round = 0; round < 10; ++round) {
    const uint top = mul_hi(low, 0xD256D193u) ^ key ^ high;
    high = low * 0xD256D193u;
    low = top;
    key += 0x9E3779B9u;
  }
  return low;
}
