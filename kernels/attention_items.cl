// attention_items.cl - the attention of attention.cl where many work-items share a network: a GPU's form.
//   weight[q,t] = softmax_t( query[q] . key[t] / sqrt(KEY_DIM) )      context[q] = sum_t weight[q,t] value[t]
// Shapes   qkv (POSITIONS, 3, KEY_DIM, HEADS)   context (POSITIONS, KEY_DIM, HEADS)
//          weights (POSITIONS keys, POSITIONS queries, HEADS)
// Macros   POSITIONS queries and keys; HEADS; KEY_DIM numbers a head; SCALE 1 / sqrt(KEY_DIM)
// Launch   inside the network's one work-group of many items. An item takes one (query, head), then one (key, head):
//          neighbours are neighbouring heads, whose numbers lie side by side in all arrays, so that none is rearranged
// Twin     reference/layers.py: attention_forward, attention_backward      Source  Vaswani et al. 2017, section 3.2

#define LANES (POSITIONS * HEADS)
#define CONTEXT (KEY_DIM * HEADS)
#define QUERY(p, c) (3 * (p) * CONTEXT + (c) * HEADS + head)
#define KEY(p, c) (QUERY(p, c) + CONTEXT)
#define VALUE(p, c) (QUERY(p, c) + 2 * CONTEXT)
#define CONTEXT_AT(p, c) ((p) * CONTEXT + (c) * HEADS + head)

FUNCTION NAMED(attention_forward)(
    global real* restrict context, global real* restrict weights, global real* restrict scratch,
    global const real* restrict qkv) {
  FOR_ITEMS(lane, LANES) {
    const int p = lane / HEADS, head = lane % HEADS;
    real q[KEY_DIM], out[KEY_DIM], top = -INFINITY, sum = 0;
    #pragma unroll
    for (int c = 0; c < KEY_DIM; ++c) {
      q[c] = qkv[QUERY(p, c)] * (real)SCALE;
      out[c] = 0;
    }
    for (int t = 0; t < POSITIONS; ++t) {
      real score = 0;
      #pragma unroll
      for (int c = 0; c < KEY_DIM; ++c) score = fma(q[c], qkv[KEY(t, c)], score);
      weights[t * LANES + lane] = score;
      top = fmax(top, score);
    }
    for (int t = 0; t < POSITIONS; ++t) {
      const real weight = exp(weights[t * LANES + lane] - top);
      weights[t * LANES + lane] = weight;
      sum += weight;
    }
    sum = ONE / sum;
    for (int t = 0; t < POSITIONS; ++t) {
      const real weight = weights[t * LANES + lane] * sum;
      weights[t * LANES + lane] = weight;
      #pragma unroll
      for (int c = 0; c < KEY_DIM; ++c) out[c] = fma(weight, qkv[VALUE(t, c)], out[c]);
    }
    #pragma unroll
    for (int c = 0; c < KEY_DIM; ++c) context[CONTEXT_AT(p, c)] = out[c];
  }
  SYNC;
}

// OVERWRITES dqkv; dscores, as weights, is scratch.
FUNCTION NAMED(attention_backward)(
    global real* restrict dqkv, global real* restrict dscores,
    global const real* restrict dcontext, global const real* restrict weights, global const real* restrict qkv) {
  FOR_ITEMS(lane, LANES) {
    const int p = lane / HEADS, head = lane % HEADS;
    real g[KEY_DIM], dq[KEY_DIM], mean = 0;
    #pragma unroll
    for (int c = 0; c < KEY_DIM; ++c) {
      g[c] = dcontext[CONTEXT_AT(p, c)];
      dq[c] = 0;
    }
    for (int t = 0; t < POSITIONS; ++t) {
      real dweight = 0;
      #pragma unroll
      for (int c = 0; c < KEY_DIM; ++c) dweight = fma(g[c], qkv[VALUE(t, c)], dweight);
      dscores[t * LANES + lane] = dweight;
      mean = fma(weights[t * LANES + lane], dweight, mean);
    }
    for (int t = 0; t < POSITIONS; ++t) {
      const real dscore = weights[t * LANES + lane] * (dscores[t * LANES + lane] - mean) * (real)SCALE;
      dscores[t * LANES + lane] = dscore;
      #pragma unroll
      for (int c = 0; c < KEY_DIM; ++c) dq[c] = fma(dscore, qkv[KEY(t, c)], dq[c]);
    }
    #pragma unroll
    for (int c = 0; c < KEY_DIM; ++c) dqkv[QUERY(p, c)] = dq[c];
  }
  SYNC;
  FOR_ITEMS(lane, LANES) {
    const int t = lane / HEADS, head = lane % HEADS;
    real dk[KEY_DIM], dv[KEY_DIM];
    #pragma unroll
    for (int c = 0; c < KEY_DIM; ++c) dk[c] = dv[c] = 0;
    for (int p = 0; p < POSITIONS; ++p) {
      const int pair = t * LANES + p * HEADS + head;
      #pragma unroll
      for (int c = 0; c < KEY_DIM; ++c) {
        dk[c] = fma(dscores[pair], qkv[QUERY(p, c)], dk[c]);
        dv[c] = fma(weights[pair], dcontext[CONTEXT_AT(p, c)], dv[c]);
      }
    }
    #pragma unroll
    for (int c = 0; c < KEY_DIM; ++c) {
      dqkv[KEY(t, c)] = dk[c];
      dqkv[VALUE(t, c)] = dv[c];
    }
  }
  SYNC;
}
#undef LANES
#undef CONTEXT
#undef QUERY
#undef KEY
#undef VALUE
#undef CONTEXT_AT
