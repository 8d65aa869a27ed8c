// conv1d.cl - windows of a convolution's input that overlap or leave gaps; the rest is dense.cl.
//   windows[p,k] = inp[p STRIDE + k]    dinp[i] = sum of drows[p,k] over all windows p that hold i = p STRIDE + k
// Shapes   windows, drows (BATCH_SIZE, POSITIONS, N_IN)   inp, dinp (BATCH_SIZE, N)
// Macros   N numbers of an input; POSITIONS windows of N_IN numbers; STRIDE from one window's start to the next
// Launch   inside the network's one work-group; an item owns its inputs, so the order of sums is fixed
// Twin     reference/layers.py: conv1d_rows, conv1d_fold      Source  transpose of the window view, conv1d_rows

// OVERWRITES windows.
FUNCTION NAMED(conv1d_unfold)(global real* restrict windows, global const real* restrict inp) {
  FOR_ITEMS(j, BATCH_SIZE * POSITIONS) {
    global const real* from = inp + j / POSITIONS * N + j % POSITIONS * STRIDE;
    for (int k = 0; k < N_IN; ++k) windows[j * N_IN + k] = from[k];
  }
  SYNC;
}

// OVERWRITES dinp.
FUNCTION NAMED(conv1d_fold)(global real* restrict dinp, global const real* restrict drows) {
  FOR_ITEMS(j, BATCH_SIZE * N) {
    const int row = j / N, i = j % N;
    const int first = i < N_IN ? 0 : (i - N_IN) / STRIDE + 1;
    const int last = min(i / STRIDE, POSITIONS - 1);
    real sum = 0;
    for (int p = first; p <= last; ++p) sum += drows[(row * POSITIONS + p) * N_IN + i - p * STRIDE];
    dinp[j] = sum;
  }
  SYNC;
}
