// common.cl - number type, vectors and the work-group that all kernels share.
//
// One work-group is one network. Its WORK_ITEMS run every function together: loops are dealt out with
// FOR_ITEMS, and SYNC stands wherever one item reads what another has written. On a CPU there is one item,
// which works on vectors of up to VECTOR numbers; on a GPU there are many, each on single numbers. Numbers are
// double or float (DOUBLE 1 or 0). BATCH_SIZE windows pass through the layers together. All macros are set by program.py.

// a * b + c must round alike wherever it is inlined, so contraction is off and fma() is written out.
#pragma OPENCL FP_CONTRACT OFF

#if DOUBLE
  #pragma OPENCL EXTENSION cl_khr_fp64 : enable
  #define NUMBER double
  #define SMALLEST DBL_MIN
  #define RECIPROCAL_ESTIMATE(d) (1 / (d))
#else
  #define NUMBER float
  #define SMALLEST FLT_MIN
  #define RECIPROCAL_ESTIMATE(d) native_recip(d)
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
typedef NUMBER real;
typedef NUMBER real1;
typedef JOIN(NUMBER, 2) real2;
typedef JOIN(NUMBER, 4) real4;
typedef JOIN(NUMBER, 8) real8;
typedef JOIN(NUMBER, 16) real16;

#define NAMED(function) JOIN(function##_, SHAPE)  // each stamped file makes functions of its own shape

#define load_1(p) (*(p))
#define load_2(p) vload2(0, p)
#define load_4(p) vload4(0, p)
#define load_8(p) vload8(0, p)
#define load_16(p) vload16(0, p)
#define store_1(v, p) (*(p) = (v))
#define store_2(v, p) vstore2(v, 0, p)
#define store_4(v, p) vstore4(v, 0, p)
#define store_8(v, p) vstore8(v, 0, p)
#define store_16(v, p) vstore16(v, 0, p)
#define VEC(width) JOIN(real, width)
#define LOAD(width, p) JOIN(load_, width)(p)
#define STORE(width, v, p) JOIN(store_, width)(v, p)
#define SUM(width, v) JOIN(sum_, width)(v)

inline real sum_1(const real v) { return v; }
inline real sum_2(const real2 v) { return v.x + v.y; }
inline real sum_4(const real4 v) { return sum_2(v.lo + v.hi); }
inline real sum_8(const real8 v) { return sum_4(v.lo + v.hi); }
inline real sum_16(const real16 v) { return sum_8(v.lo + v.hi); }

#if WORK_ITEMS == 1
  #define LOCAL_ID 0
  #define SYNC
#else
  #define LOCAL_ID ((int)get_local_id(0))
  #define SYNC barrier(CLK_GLOBAL_MEM_FENCE | CLK_LOCAL_MEM_FENCE)
#endif
#define FOR_ITEMS(i, count) for (int i = LOCAL_ID; i < (count); i += WORK_ITEMS)

// A bound as the article's MAX_GRADIENT, wider, for it must not bite on ordinary bars: behind normalisations, each of
// which multiplies by 1000 where there is no variance.
#define BOUNDED(gradient) clamp(gradient, (real)-10, (real)10)

// Squares may overflow where numbers do not; a mean that has become infinite would stay it. NaN becomes 1e37, as by
// fmin(), which takes three instructions; min() is undefined for infinity.
#define FINITE_SQUARE(vector, square) ((square) < (real)1e37 ? (square) : (vector)(1e37))

typedef real4 rates_t;  // of an optimiser's step, see optimizer.cl

// Arguments of layers that call no other file's functions: `batch` windows of the BATCH_SIZE there is room for.
#define FORWARD_ARGUMENTS                                                                                   \
  global real* restrict out, global real* restrict saved, global const real* restrict inp, global real* net, \
  const int batch, const int moves, const int learns, const uint step, const uint key
#define BACKWARD_ARGUMENTS                                                                                  \
  global real* restrict dinp, global const real* restrict dout, global const real* restrict saved,          \
  global const real* restrict out, global const real* restrict inp, global real* net, const int batch,       \
  const rates_t rates

// Layers stay functions of their own: inlined into one they take a compiler a minute.
#define FUNCTION __attribute__((noinline)) void

// Sum over the work-group, of eight items each and then of those sums: in a fixed order, so two runs are equal to the
// bit. Two barriers are enough: all items have read `sums` when they reach the first one of the next call, which writes
// them after it. WORK_ITEMS is a multiple of 8.
inline real group_sum(const real partial, local real* shared /* (WORK_ITEMS + WORK_ITEMS / 8) */) {
#if WORK_ITEMS == 1
  return partial;
#else
  local real* sums = shared + WORK_ITEMS;
  shared[LOCAL_ID] = partial;
  SYNC;
  if (LOCAL_ID < WORK_ITEMS / 8) {
    real sum = 0;
    for (int k = LOCAL_ID; k < WORK_ITEMS; k += WORK_ITEMS / 8) sum += shared[k];
    sums[LOCAL_ID] = sum;
  }
  SYNC;
  real sum = 0;
  for (int k = 0; k < WORK_ITEMS / 8; ++k) sum += sums[k];
  return sum;
#endif
}
