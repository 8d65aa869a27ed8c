// activation.cl - y = act(z) and its slope dy/dz, told from y alone.
//   none z    tanh tanh(z)    sigmoid 1 / (1 + exp(-z))    leaky ReLU max(z, 0.01 z)
// Shapes   any number or vector, elementwise
// Launch   no loop of their own: macros, used inside the layers
// Twin     reference.py: activate, activation_slope      Source  digest of the article, section 1

#define ONE ((real)1)
#define LEAKY_SLOPE ((real)0.01)

#define activate_none(z) (z)
#define activate_tanh(z) tanh(z)
#define activate_sigmoid(z) (ONE / (ONE + exp(-(z))))
#define activate_leaky_relu(z) fmax((z), (z) * LEAKY_SLOPE)

#define slope_none(y) ONE
#define slope_tanh(y) (ONE - (y) * (y))
#define slope_sigmoid(y) ((y) * (ONE - (y)))
#define slope_leaky_relu(y) fmax(step((real)0, (y)), LEAKY_SLOPE)

#define ACTIVATE(activation, z) JOIN(activate_, activation)(z)
#define SLOPE(activation, y) JOIN(slope_, activation)(y)
