// attention.cl - scaled dot-product attention of all heads at once.
//   weight[q,t] = softmax_t( query[q] . key[t] / sqrt(KEY_DIM) )      context[q] = sum_t weight[q,t] value[t]
// Shapes   qkv (POSITIONS, 3, KEY_DIM, HEADS)   context (POSITIONS, KEY_DIM, HEADS)
//          weights (POSITIONS keys, LANES)
// Macros   POSITIONS queries and keys; HEADS; KEY_DIM numbers a head; SCALE 1 / sqrt(KEY_DIM); WIDTH vector of lanes:
//          divides LANES, divides HEADS or is a multiple of it; HEAD_WIDTH vector of heads: divides HEADS; PERIOD the
//          larger of HEADS and WIDTH
// Launch   inside the network's one work-group, of one item; for many items attention_items.cl stands in its place. A
//          lane is one (query position, head); a vector of lanes meets all keys, so that every sum runs down a vector
//          and none across it. Keys and values are repeated to PERIOD columns for that: lane l needs column l % PERIOD
// Twin     reference/layers.py: attention_forward, attention_backward      Source  Vaswani et al. 2017, section 3.2

#define LANES (POSITIONS * HEADS)
#define CONTEXT (KEY_DIM * HEADS)
#define LANE_VECTOR VEC(WIDTH)

// (POSITIONS rows, row apart) of (KEY_DIM, HEADS) to (KEY_DIM, LANES) and back
FUNCTION NAMED(to_lanes)(global real* restrict lanes, global const real* restrict rows, const int row) {
  FOR_ITEMS(j, POSITIONS * KEY_DIM) {
    const int p = j / KEY_DIM, c = j % KEY_DIM;
    for (int h = 0; h < HEADS; h += HEAD_WIDTH)
      STORE(HEAD_WIDTH, LOAD(HEAD_WIDTH, rows + p * row + c * HEADS + h), lanes + c * LANES + p * HEADS + h);
  }
}
FUNCTION NAMED(from_lanes)(global real* restrict rows, const int row, global const real* restrict lanes) {
  FOR_ITEMS(j, POSITIONS * KEY_DIM) {
    const int p = j / KEY_DIM, c = j % KEY_DIM;
    for (int h = 0; h < HEADS; h += HEAD_WIDTH)
      STORE(HEAD_WIDTH, LOAD(HEAD_WIDTH, lanes + c * LANES + p * HEADS + h), rows + p * row + c * HEADS + h);
  }
}

// (POSITIONS rows, row apart) of (KEY_DIM, HEADS) to (POSITIONS, KEY_DIM, PERIOD), and the sum back
FUNCTION NAMED(repeat_heads)(global real* restrict tiles, global const real* restrict rows, const int row) {
  FOR_ITEMS(j, POSITIONS * KEY_DIM) {
    const int t = j / KEY_DIM, c = j % KEY_DIM;
    for (int u = 0; u < PERIOD; u += HEAD_WIDTH)
      STORE(HEAD_WIDTH, LOAD(HEAD_WIDTH, rows + t * row + c * HEADS + u % HEADS), tiles + j * PERIOD + u);
  }
}
FUNCTION NAMED(fold_heads)(global real* restrict rows, const int row, global const real* restrict tiles) {
  FOR_ITEMS(j, POSITIONS * KEY_DIM) {
    const int t = j / KEY_DIM, c = j % KEY_DIM;
    for (int h = 0; h < HEADS; h += HEAD_WIDTH) {
      VEC(HEAD_WIDTH) sum = LOAD(HEAD_WIDTH, tiles + j * PERIOD + h);
      for (int u = h + HEADS; u < PERIOD; u += HEADS) sum += LOAD(HEAD_WIDTH, tiles + j * PERIOD + u);
      STORE(HEAD_WIDTH, sum, rows + t * row + c * HEADS + h);
    }
  }
}

// scratch: query (KEY_DIM, LANES), key and value (POSITIONS, KEY_DIM, PERIOD)
FUNCTION NAMED(spread_qkv)(
    global real* restrict query, global real* restrict key, global real* restrict value,
    global const real* restrict qkv) {
  NAMED(to_lanes)(query, qkv, 3 * CONTEXT);
  NAMED(repeat_heads)(key, qkv + CONTEXT, 3 * CONTEXT);
  NAMED(repeat_heads)(value, qkv + 2 * CONTEXT, 3 * CONTEXT);
}

FUNCTION NAMED(attention_forward)(
    global real* restrict context, global real* restrict weights, global real* restrict scratch,
    global const real* restrict qkv) {
  global real* query = scratch;
  global real* lanes = query + KEY_DIM * LANES;
  global real* key = lanes + KEY_DIM * LANES;
  global real* value = key + POSITIONS * KEY_DIM * PERIOD;
  NAMED(spread_qkv)(query, key, value, qkv);
  SYNC;
  FOR_ITEMS(block, LANES / WIDTH) {
    const int lane = block * WIDTH, column = lane % PERIOD;
    LANE_VECTOR q[KEY_DIM], score[POSITIONS];
    #pragma unroll
    for (int c = 0; c < KEY_DIM; ++c) q[c] = LOAD(WIDTH, query + c * LANES + lane) * (real)SCALE;
    LANE_VECTOR top = -INFINITY;
    for (int t = 0; t < POSITIONS; ++t) {
      score[t] = 0;
      #pragma unroll
      for (int c = 0; c < KEY_DIM; ++c)
        score[t] = fma(q[c], LOAD(WIDTH, key + (t * KEY_DIM + c) * PERIOD + column), score[t]);
      top = fmax(top, score[t]);
    }
    LANE_VECTOR sum = 0;
    for (int t = 0; t < POSITIONS; ++t) {
      score[t] = exp(score[t] - top);
      sum += score[t];
    }
    sum = ONE / sum;
    LANE_VECTOR out[KEY_DIM];
    #pragma unroll
    for (int c = 0; c < KEY_DIM; ++c) out[c] = 0;
    for (int t = 0; t < POSITIONS; ++t) {
      const LANE_VECTOR weight = score[t] * sum;
      STORE(WIDTH, weight, weights + t * LANES + lane);
      #pragma unroll
      for (int c = 0; c < KEY_DIM; ++c)
        out[c] = fma(weight, LOAD(WIDTH, value + (t * KEY_DIM + c) * PERIOD + column), out[c]);
    }
    #pragma unroll
    for (int c = 0; c < KEY_DIM; ++c) STORE(WIDTH, out[c], lanes + c * LANES + lane);
  }
  SYNC;
  NAMED(from_lanes)(context, CONTEXT, lanes);
  SYNC;
}

// OVERWRITES dqkv.
FUNCTION NAMED(attention_backward)(
    global real* restrict dqkv, global real* restrict scratch,
    global const real* restrict dcontext, global const real* restrict weights, global const real* restrict qkv) {
  global real* query = scratch;
  global real* dout = query + KEY_DIM * LANES;
  global real* key = dout + KEY_DIM * LANES;
  global real* value = key + POSITIONS * KEY_DIM * PERIOD;
  global real* dquery = value + POSITIONS * KEY_DIM * PERIOD;
  global real* dscores = dquery + KEY_DIM * LANES;
  NAMED(spread_qkv)(query, key, value, qkv);
  NAMED(to_lanes)(dout, dcontext, CONTEXT);
  SYNC;
  FOR_ITEMS(block, LANES / WIDTH) {
    const int lane = block * WIDTH, column = lane % PERIOD;
    LANE_VECTOR g[KEY_DIM], dq[KEY_DIM], dweight[POSITIONS], mean = 0;
    #pragma unroll
    for (int c = 0; c < KEY_DIM; ++c) {
      g[c] = LOAD(WIDTH, dout + c * LANES + lane);
      dq[c] = 0;
    }
    for (int t = 0; t < POSITIONS; ++t) {
      dweight[t] = 0;
      #pragma unroll
      for (int c = 0; c < KEY_DIM; ++c)
        dweight[t] = fma(g[c], LOAD(WIDTH, value + (t * KEY_DIM + c) * PERIOD + column), dweight[t]);
      mean = fma(LOAD(WIDTH, weights + t * LANES + lane), dweight[t], mean);
    }
    for (int t = 0; t < POSITIONS; ++t) {
      const LANE_VECTOR dscore =
          LOAD(WIDTH, weights + t * LANES + lane) * (dweight[t] - mean) * (real)SCALE;
      STORE(WIDTH, dscore, dscores + t * LANES + lane);
      #pragma unroll
      for (int c = 0; c < KEY_DIM; ++c)
        dq[c] = fma(dscore, LOAD(WIDTH, key + (t * KEY_DIM + c) * PERIOD + column), dq[c]);
    }
    #pragma unroll
    for (int c = 0; c < KEY_DIM; ++c) STORE(WIDTH, dq[c], dquery + c * LANES + lane);
  }
  SYNC;
  FOR_ITEMS(block, POSITIONS * PERIOD / WIDTH) {
    const int t = block / (PERIOD / WIDTH), column = block % (PERIOD / WIDTH) * WIDTH;
    LANE_VECTOR dk[KEY_DIM], dv[KEY_DIM];
    #pragma unroll
    for (int c = 0; c < KEY_DIM; ++c) dk[c] = dv[c] = 0;
    for (int lane = column; lane < LANES; lane += PERIOD) {
      const LANE_VECTOR dscore = LOAD(WIDTH, dscores + t * LANES + lane);
      const LANE_VECTOR weight = LOAD(WIDTH, weights + t * LANES + lane);
      #pragma unroll
      for (int c = 0; c < KEY_DIM; ++c) {
        dk[c] = fma(dscore, LOAD(WIDTH, query + c * LANES + lane), dk[c]);
        dv[c] = fma(weight, LOAD(WIDTH, dout + c * LANES + lane), dv[c]);
      }
    }
    #pragma unroll
    for (int c = 0; c < KEY_DIM; ++c) {  // each item overwrites what only it still needs
      STORE(WIDTH, dk[c], key + (t * KEY_DIM + c) * PERIOD + column);
      STORE(WIDTH, dv[c], value + (t * KEY_DIM + c) * PERIOD + column);
    }
  }
  SYNC;
  NAMED(from_lanes)(dqkv, 3 * CONTEXT, dquery);
  NAMED(fold_heads)(dqkv + CONTEXT, 3 * CONTEXT, key);
  NAMED(fold_heads)(dqkv + 2 * CONTEXT, 3 * CONTEXT, value);
  SYNC;
}
#undef LANES
#undef CONTEXT
#undef LANE_VECTOR
