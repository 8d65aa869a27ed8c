// optimizer.cl - moves parameters by their gradient, in the same pass that made it.
//   Adam  m += (1 - BETA_1) (g - m)   v += (1 - BETA_2) (g^2 - v)   p -= rates.x m / (sqrt(v) + rates.y)
//   SGD   delta = rates.x g + rates.y delta                         p -= delta
// Shapes   a vector of parameters; its moments lie SIZE_PARAMETERS and twice that behind it
// Launch   called by the item that holds the gradient
// Twin     reference.py: optimizer_step      Source  Kingma and Ba 2015; the bias corrections are in `rates`,
//          made in double on the host

#ifndef OPTIMIZER_ADAM
  #define OPTIMIZER_ADAM 1       // 1: Adam, 0: gradient descent with momentum
#endif
#ifndef BETA_1
  #define BETA_1 0.9             // decay of the first moment
#endif
#ifndef BETA_2
  #define BETA_2 0.999           // decay of the second moment
#endif
#ifndef SIZE_PARAMETERS
  #define SIZE_PARAMETERS 16     // numbers from a parameter to its moment
#endif

#if OPTIMIZER_ADAM
  #define DEFINE_OPTIMIZER_STEP(width)                                                                   \
    inline void optimizer_step_##width(global real* p, const real##width gradient, const real2 rates) { \
      real##width m = LOAD(width, p + SIZE_PARAMETERS);                                                 \
      real##width v = LOAD(width, p + 2 * SIZE_PARAMETERS);                                             \
      m = fma((real##width)(1 - BETA_1), gradient - m, m);                                              \
      v = fma((real##width)(1 - BETA_2), fma(gradient, gradient, -v), v);                               \
      STORE(width, m, p + SIZE_PARAMETERS);                                                             \
      STORE(width, v, p + 2 * SIZE_PARAMETERS);                                                         \
      STORE(width, LOAD(width, p) - rates.x * m / (sqrt(v) + rates.y), p);                              \
    }
#else
  #define DEFINE_OPTIMIZER_STEP(width)                                                                   \
    inline void optimizer_step_##width(global real* p, const real##width gradient, const real2 rates) { \
      const real##width delta = rates.x * gradient + rates.y * LOAD(width, p + SIZE_PARAMETERS);        \
      STORE(width, delta, p + SIZE_PARAMETERS);                                                         \
      STORE(width, LOAD(width, p) - delta, p);                                                          \
    }
#endif

DEFINE_OPTIMIZER_STEP(1)
DEFINE_OPTIMIZER_STEP(2)
DEFINE_OPTIMIZER_STEP(4)
DEFINE_OPTIMIZER_STEP(8)
DEFINE_OPTIMIZER_STEP(16)
#define OPTIMIZER_STEP(width, p, gradient, rates) JOIN(optimizer_step_, width)(p, gradient, rates)
