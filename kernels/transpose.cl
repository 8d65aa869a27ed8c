// transpose.cl - turns a square of numbers in registers.   to[c,r] = from[r,c]
// Shapes   from (size rows, from_stride apart), to (size rows, to_stride apart), size 1 or 8
// Launch   called by the item that owns the square
// Twin     NumPy's .T in reference.py: dense_backward      Source  butterfly of interleaved pairs

#define INTERLEAVE_LOW(a, b) ((real8)(a.s0, b.s0, a.s1, b.s1, a.s2, b.s2, a.s3, b.s3))
#define INTERLEAVE_HIGH(a, b) ((real8)(a.s4, b.s4, a.s5, b.s5, a.s6, b.s6, a.s7, b.s7))

#define transpose_1(to, to_stride, from, from_stride) (*(to) = *(from))
// Three rounds: row i meets row i + 4, and each pair becomes two rows of interleaved numbers.
FUNCTION transpose_8(global real* to, const int to_stride, global const real* from, const int from_stride) {
  real8 a[8], b[8];
  #pragma unroll
  for (int r = 0; r < 8; ++r) a[r] = vload8(0, from + r * from_stride);
  #pragma unroll
  for (int r = 0; r < 4; ++r) { b[2*r] = INTERLEAVE_LOW(a[r], a[r+4]); b[2*r+1] = INTERLEAVE_HIGH(a[r], a[r+4]); }
  #pragma unroll
  for (int r = 0; r < 4; ++r) { a[2*r] = INTERLEAVE_LOW(b[r], b[r+4]); a[2*r+1] = INTERLEAVE_HIGH(b[r], b[r+4]); }
  #pragma unroll
  for (int r = 0; r < 4; ++r) { b[2*r] = INTERLEAVE_LOW(a[r], a[r+4]); b[2*r+1] = INTERLEAVE_HIGH(a[r], a[r+4]); }
  #pragma unroll
  for (int r = 0; r < 8; ++r) vstore8(b[r], 0, to + r * to_stride);
}

#define TRANSPOSE(size, to, to_stride, from, from_stride) \
  JOIN(transpose_, size)(to, to_stride, from, from_stride)
