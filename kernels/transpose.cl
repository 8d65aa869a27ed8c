// transpose.cl - turns a square of numbers in registers, or a matrix by many work-items.   to[c,r] = from[r,c]
// Shapes   from (size rows, from_stride apart), to (size rows, to_stride apart), size 1 or 8; from (rows, columns)
// Launch   one item: called for each square; its vectors are halves of rows r and r + 4: no number crosses over. Many:
//          an item takes eight numbers of a row, which a GPU's memory reads at a time; neighbours write side by side
// Twin     NumPy's .T in reference/layers.py: dense_backward      Source  butterfly of interleaved pairs

#define transpose_1(to, to_stride, from, from_stride) (*(to) = *(from))
inline real8 numbers(const real4 a, const real4 b) { real8 r; r.even = a; r.odd = b; return r; }
inline real8 pairs(const real4 a, const real4 b) { real8 r; r.s0145 = a; r.s2367 = b; return r; }

FUNCTION transpose_8(global real* to, const int to_stride, global const real* from, const int from_stride) {
  #pragma unroll
  for (int c = 0; c < 8; c += 4) {
    real8 a[4], b[4];
    #pragma unroll
    for (int r = 0; r < 4; ++r)
      a[r] = (real8)(vload4(0, from + r * from_stride + c), vload4(0, from + (r + 4) * from_stride + c));
    #pragma unroll
    for (int r = 0; r < 4; r += 2) {
      b[r] = numbers(a[r].s0145, a[r + 1].s0145);
      b[r + 1] = numbers(a[r].s2367, a[r + 1].s2367);
    }
    #pragma unroll
    for (int r = 0; r < 2; ++r) {
      vstore8(pairs(b[r].s0145, b[r + 2].s0145), 0, to + (c + 2 * r) * to_stride);
      vstore8(pairs(b[r].s2367, b[r + 2].s2367), 0, to + (c + 2 * r + 1) * to_stride);
    }
  }
}
#define TRANSPOSE(size, to, to_stride, from, from_stride) JOIN(transpose_, size)(to, to_stride, from, from_stride)

#if WORK_ITEMS > 1
FUNCTION transpose_matrix(global real* restrict to, global const real* restrict from, const int rows, const int columns) {
  FOR_ITEMS(k, rows * ((columns + 7) / 8)) {
    const int r = k % rows, first = k / rows * 8;
    for (int c = first; c < min(first + 8, columns); ++c) to[c * rows + r] = from[r * columns + c];
  }
  SYNC;
}
#endif
