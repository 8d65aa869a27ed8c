// lstm.cl - the recurrence of a long short-term memory; what does not recur is dense.cl.
//   z = gates[t] + h[t-1] recurrent   i, f, o = sigmoid(z), g = tanh(z)   cell[t] = f cell[t-1] + i g
//   h[t] = o tanh(cell[t])
//   dh = dout[t] + recurrent dgates[t+1]   dcell += dh o (1 - tanh(cell)^2)   dgates by product and chain rule
// Shapes   gates, dgates (BATCH_SIZE, POSITIONS, 4, UNITS): input, forget, cell, output
//          recurrent (UNITS, 4, UNITS)   cell, before = h[t-1] (BATCH_SIZE, POSITIONS, UNITS)
//          out (BATCH_SIZE, POSITIONS or 1, UNITS)   dcell (UNITS), and for many items `turned` (4, UNITS, UNITS)
// Macros   POSITIONS; UNITS; WIDTH vector: divides UNITS; SEQUENCES 1: out holds all positions
// Launch   inside the network's one work-group, an item owns a vector of units; the positions of a row follow
//          one another, with a barrier between. Many items first turn the recurrent weights, so that neighbours read
//          side by side in the backward pass too
// Twin     reference/layers.py: lstm_forward, lstm_backward      Source  Hochreiter and Schmidhuber 1997; Gers et al. 2000

#define GATE(k) (gates + (4 * s + (k)) * UNITS + u)
#define DGATE(k) (dgates + (4 * s + (k)) * UNITS + u)

// OVERWRITES gates, which hold the inputs' part, with the gates.
FUNCTION NAMED(lstm_forward)(
    global real* restrict out, global real* restrict gates, global real* restrict cell,
    global real* restrict before, global const real* restrict recurrent) {
  for (int s = 0; s < BATCH_SIZE * POSITIONS; ++s) {
    const int t = s % POSITIONS, last = t == POSITIONS - 1;
    FOR_ITEMS(block, UNITS / WIDTH) {
      const int u = block * WIDTH;
      if (t == 0) STORE(WIDTH, (VEC(WIDTH))(0), before + s * UNITS + u);
      VEC(WIDTH) z[4];
      for (int k = 0; k < 4; ++k) {
        z[k] = LOAD(WIDTH, GATE(k));
        for (int j = 0; j < UNITS && t; ++j)
          z[k] = fma((VEC(WIDTH))(before[s * UNITS + j]), LOAD(WIDTH, recurrent + (4 * j + k) * UNITS + u), z[k]);
        z[k] = k == 2 ? ACTIVATE_TANH(z[k]) : ACTIVATE_SIGMOID(z[k]);
        STORE(WIDTH, z[k], GATE(k));
      }
      const VEC(WIDTH) past = t ? LOAD(WIDTH, cell + (s - 1) * UNITS + u) : (VEC(WIDTH))(0);
      const VEC(WIDTH) now = fma(z[1], past, z[0] * z[2]), h = z[3] * tanh(now);
      STORE(WIDTH, now, cell + s * UNITS + u);
      if (!last) STORE(WIDTH, h, before + (s + 1) * UNITS + u);
      if (SEQUENCES) STORE(WIDTH, h, out + s * UNITS + u);
      else if (last) STORE(WIDTH, h, out + s / POSITIONS * UNITS + u);
    }
    SYNC;
  }
}

#if WORK_ITEMS == 1
  #define RECURRENT(w, j) LOAD(WIDTH, recurrent + 4 * (u + w) * UNITS + j)
#else
  #define RECURRENT(w, j) turned[(j) * UNITS + u]
#endif

// OVERWRITES dgates and dcell.
FUNCTION NAMED(lstm_backward)(
    global real* restrict dgates, global const real* restrict dout, global real* restrict dcell,
    global const real* restrict gates, global const real* restrict cell, global const real* restrict recurrent) {
#if WORK_ITEMS > 1
  global real* turned = dcell + UNITS;
  transpose_matrix(turned, recurrent, UNITS, 4 * UNITS);
#endif
  for (int s = BATCH_SIZE * POSITIONS - 1; s >= 0; --s) {
    const int t = s % POSITIONS, last = t == POSITIONS - 1;
    FOR_ITEMS(block, UNITS / WIDTH) {
      const int u = block * WIDTH;
      real sums[WIDTH];
      for (int w = 0; w < WIDTH; ++w) {
        VEC(WIDTH) sum = 0;
        for (int j = 0; j < 4 * UNITS && !last; j += WIDTH)
          sum = fma(RECURRENT(w, j), LOAD(WIDTH, dgates + 4 * (s + 1) * UNITS + j), sum);
        sums[w] = SUM(WIDTH, sum);
      }
      VEC(WIDTH) dh = LOAD(WIDTH, sums);
      if (SEQUENCES) dh += LOAD(WIDTH, dout + s * UNITS + u);
      else if (last) dh += LOAD(WIDTH, dout + s / POSITIONS * UNITS + u);
      const VEC(WIDTH) i = LOAD(WIDTH, GATE(0)), f = LOAD(WIDTH, GATE(1));
      const VEC(WIDTH) g = LOAD(WIDTH, GATE(2)), o = LOAD(WIDTH, GATE(3));
      const VEC(WIDTH) past = t ? LOAD(WIDTH, cell + (s - 1) * UNITS + u) : (VEC(WIDTH))(0);
      const VEC(WIDTH) top = tanh(LOAD(WIDTH, cell + s * UNITS + u));
      VEC(WIDTH) dc = dh * o * SLOPE_TANH(top);
      if (!last) dc += LOAD(WIDTH, dcell + u);
      STORE(WIDTH, dc * g * SLOPE_SIGMOID(i), DGATE(0));
      STORE(WIDTH, dc * past * SLOPE_SIGMOID(f), DGATE(1));
      STORE(WIDTH, dc * i * SLOPE_TANH(g), DGATE(2));
      STORE(WIDTH, dh * top * SLOPE_SIGMOID(o), DGATE(3));
      STORE(WIDTH, dc * f, dcell + u);
    }
    SYNC;
  }
}
#undef GATE
#undef DGATE
#undef RECURRENT
