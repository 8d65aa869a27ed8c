// softmax.cl - shares of the exponentials, at the end of a network.
//   out[o] = exp(inp[o] - max) / sum_c exp(inp[c] - max)      dinp[o] = out[o] (dout[o] - sum_c dout[c] out[c])
// Shapes   all (BATCH_SIZE, N)
// Macros   N outputs
// Launch   inside the network's one work-group; an item takes whole rows, which are short
// Twin     reference/activations.py: softmax_forward, softmax_backward      Source  Bridle 1990

FUNCTION NAMED(softmax_forward)(FORWARD_ARGUMENTS) {
  FOR_ITEMS(row, BATCH_SIZE) {
    const int first = row * N;
    real top = inp[first], sum = 0;
    for (int o = first; o < first + N; ++o) top = fmax(top, inp[o]);
    for (int o = first; o < first + N; ++o) sum += out[o] = exp(inp[o] - top);
    for (int o = first; o < first + N; ++o) out[o] /= sum;
  }
  SYNC;
}

// OVERWRITES dinp.
FUNCTION NAMED(softmax_backward)(BACKWARD_ARGUMENTS) {
  FOR_ITEMS(row, BATCH_SIZE) {
    const int first = row * N;
    real sum = 0;
    for (int o = first; o < first + N; ++o) sum = fma(dout[o], out[o], sum);
    for (int o = first; o < first + N; ++o) dinp[o] = out[o] * (dout[o] - sum);
  }
  SYNC;
}
