// optimizer.cl - moves parameters by their gradient, in the same pass that made it.
//   Adam  m = BETA_1 m + g   v = BETA_2 v + g^2, at most 1e37   p -= rates.x m / (sqrt(v) + rates.y)
//         sums, not means: the factors 1 - BETA are in the rates, which spares two operations a number
//   AdamW as Adam, but p -= rates.z p first
//   SGD   delta = rates.x g + rates.y delta                         p -= delta
//   rates are made in double on the host, bias corrections in them; rates.w is the learning rate itself
//   average, after every AVERAGE_EVERY-th step t: a += w (p - a), w = max(AVERAGE_EVERY / AVERAGE, AVERAGE_EVERY / t)
// Shapes   a vector of parameters; its moments lie SLOT and twice SLOT behind it, averages PREDICTING behind it
// Macros   OPTIMIZER_ADAM 0: gradient descent with momentum; BETA_1; BETA_2; DECAYS 1: AdamW; SLOT numbers from a
//          parameter to its moment; SIZE_PARAMETERS numbers of all parameters; GATHERS 1: the whole gradient is
//          gathered AT_GRADIENTS behind the parameters and scaled down to the length CLIP_NORM; AVERAGE steps that
//          the averaged parameters stand for, 0 for none
// Launch   called by the item that holds the gradient, of a vector or (many items) of one column in some rows; 1 / d by
//          Newton, for root and division share a slow unit
// Twin     reference/training.py: clipped, optimizer_step, average_weights      Source  Kingma and Ba 2015

#define DECAYED(p) (DECAYS ? (p) - rates.z * (p) : (p))

#if OPTIMIZER_ADAM
  #define DEFINE_STEP(head, width, load, store)                                                         \
    inline void head {                                                                                  \
      real##width m = load(width, p + SLOT);                                                            \
      real##width v = load(width, p + 2 * SLOT);                                                        \
      m = fma((real##width)(BETA_1), m, gradient);                                                      \
      v = fma((real##width)(BETA_2), v, gradient * gradient);                                           \
      v = FINITE_SQUARE(real##width, v);                                                                \
      store(width, m, p + SLOT);                                                                        \
      store(width, v, p + 2 * SLOT);                                                                    \
      const real##width d = sqrt(v) + rates.y, r = RECIPROCAL_ESTIMATE(d);                              \
      const real##width step = -rates.x * m;                                                            \
      store(width, fma(step, fma(r, fma(-d, r, (real##width)1), r), DECAYED(load(width, p))), p);       \
    }
#else
  #define DEFINE_STEP(head, width, load, store)                                                         \
    inline void head {                                                                                  \
      const real##width delta = rates.x * gradient + rates.y * load(width, p + SLOT);                   \
      store(width, delta, p + SLOT);                                                                    \
      store(width, load(width, p) - delta, p);                                                          \
    }
#endif
#define DEFINE_OPTIMIZER_STEP(width)                                                                          \
  DEFINE_STEP(                                                                                                \
      optimizer_step_##width(global real* p, const real##width gradient, const rates_t rates), width, LOAD, STORE)

DEFINE_OPTIMIZER_STEP(1)
DEFINE_OPTIMIZER_STEP(2)
DEFINE_OPTIMIZER_STEP(4)
DEFINE_OPTIMIZER_STEP(8)
DEFINE_OPTIMIZER_STEP(16)

#if WORK_ITEMS > 1
  // One number of each of `width` rows, which lie `apart`: their loads are under way together.
  #define load_rows_1(p, apart) (*(p))
  #define load_rows_2(p, apart) (real2)((p)[0], (p)[apart])
  #define load_rows_4(p, apart) (real4)((p)[0], (p)[apart], (p)[2 * (apart)], (p)[3 * (apart)])
  inline void store_rows_1(const real v, global real* p, const int apart) { *p = v; }
  inline void store_rows_2(const real2 v, global real* p, const int apart) { p[0] = v.x; p[apart] = v.y; }
  inline void store_rows_4(const real4 v, global real* p, const int apart) {
    store_rows_2(v.lo, p, apart);
    store_rows_2(v.hi, p + 2 * apart, apart);
  }
  #define LOAD_ROWS(width, p) JOIN(load_rows_, width)(p, apart)
  #define STORE_ROWS(width, v, p) JOIN(store_rows_, width)(v, p, apart)
  #define DEFINE_ROWS_STEP(width)                                                                             \
    DEFINE_STEP(                                                                                              \
        optimizer_rows_##width(                                                                               \
            global real* p, const int apart, const real##width gradient, const rates_t rates),                \
        width, LOAD_ROWS, STORE_ROWS)

  DEFINE_ROWS_STEP(1)
  DEFINE_ROWS_STEP(2)
  DEFINE_ROWS_STEP(4)
#endif

#if GATHERS
  #define OPTIMIZER_ROWS(width, p, apart, gradient, rates) JOIN(store_rows_, width)(gradient, (p) + AT_GRADIENTS, apart)
  #define OPTIMIZER_STEP(width, p, gradient, rates) STORE(width, gradient, (p) + AT_GRADIENTS)

  FUNCTION optimizer_steps(global real* net, const rates_t rates, local real* shared) {
    global const real* gradients = net + AT_GRADIENTS;
    VEC(VECTOR) square = 0;
    FOR_ITEMS(i, SIZE_PARAMETERS / VECTOR) {
      const VEC(VECTOR) g = LOAD(VECTOR, gradients + i * VECTOR);
      square = fma(g, g, square);
    }
    const real scale = (real)CLIP_NORM / fmax(sqrt(group_sum(SUM(VECTOR, square), shared)), (real)CLIP_NORM);
    FOR_ITEMS(i, SIZE_PARAMETERS / VECTOR)
      JOIN(optimizer_step_, VECTOR)(net + i * VECTOR, scale * LOAD(VECTOR, gradients + i * VECTOR), rates);
    SYNC;
  }
#else
  #define OPTIMIZER_ROWS(width, p, apart, gradient, rates) JOIN(optimizer_rows_, width)(p, apart, gradient, rates)
  #define OPTIMIZER_STEP(width, p, gradient, rates) JOIN(optimizer_step_, width)(p, gradient, rates)
#endif

#if AVERAGE
  FUNCTION average_weights(global real* net, const uint step) {
    const real share = fmax((real)AVERAGE_EVERY / (real)AVERAGE, (real)AVERAGE_EVERY / (real)step);
    FOR_ITEMS(i, SIZE_PARAMETERS / VECTOR) {
      global real* a = net + PREDICTING + i * VECTOR;
      const VEC(VECTOR) old = LOAD(VECTOR, a);
      STORE(VECTOR, fma((VEC(VECTOR))share, LOAD(VECTOR, net + i * VECTOR) - old, old), a);
    }
    SYNC;
  }
#endif
