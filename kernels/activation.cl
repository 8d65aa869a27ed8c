// activation.cl - y = act(z) and its slope dy/dz, from y alone.
//   none z    tanh tanh(z)    sigmoid 1 / (1 + exp(-z))    leaky ReLU max(z, 0.01 z)
//   ReLU max(z, 0)
// Shapes   any number or vector, elementwise
// Launch   no loop of their own: macros, used inside the layers
// Twin     reference/activations.py: activate, activation_slope      Source  Gizlyk, "Neural networks made easy" (MQL5)

#define ONE ((real)1)
#define LEAKY_SLOPE ((real)0.01)

#define ACTIVATE_NONE(z) (z)
#define ACTIVATE_TANH(z) tanh(z)
#define ACTIVATE_SIGMOID(z) (ONE / (ONE + exp(-(z))))
#define ACTIVATE_LEAKY_RELU(z) fmax((z), (z) * LEAKY_SLOPE)
#define ACTIVATE_RELU(z) fmax((z), (real)0)

#define SLOPE_NONE(y) ONE
#define SLOPE_TANH(y) (ONE - (y) * (y))
#define SLOPE_SIGMOID(y) ((y) * (ONE - (y)))
#define SLOPE_LEAKY_RELU(y) fmax(step((real)0, (y)), LEAKY_SLOPE)
#define SLOPE_RELU(y) sign(y)

#define ACTIVATE(activation, z) JOIN(ACTIVATE_, activation)(z)
#define SLOPE(activation, y) JOIN(SLOPE_, activation)(y)
