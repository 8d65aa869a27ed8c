// conv1d.cl - gradient of a convolution's input where windows overlap or leave gaps; the rest is dense.cl.
//   dinp[i] = sum of drows[p,k] over all windows p that hold i = p STRIDE + k
// Shapes   drows (POSITIONS, N_IN)   dinp (N)
// Launch   inside the network's one work-group; an item owns its inputs, so the order of sums is fixed
// Twin     reference.py: conv1d_fold      Source  transpose of the window view, conv1d_rows

#ifndef SHAPE
  #define SHAPE default      // name of this stamp
  #define N 1                // inputs
  #define POSITIONS 1        // windows
  #define N_IN 1             // numbers a window
  #define STRIDE 1           // from one window's start to the next
#endif

// OVERWRITES dinp.
FUNCTION NAMED(conv1d_fold)(global real* restrict dinp, global const real* restrict drows) {
  FOR_ITEMS(i, N) {
    const int first = i < N_IN ? 0 : (i - N_IN) / STRIDE + 1;
    const int last = min(i / STRIDE, POSITIONS - 1);
    real sum = 0;
    for (int p = first; p <= last; ++p) sum += drows[p * N_IN + i - p * STRIDE];
    dinp[i] = sum;
  }
  SYNC;
}
