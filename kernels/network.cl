// network.cl - the one kernel: runs a network over one bar or many, learning, predicting or both at each.
//   step i:  learn window i (forward unless its activations are in place, backward, optimiser), predict window i;
//            or learn the next BATCH_SIZE windows together
// Shapes   networks (members, NETWORK_SIZE)   seeds (members)
//          inbox: the first learning step as 32 bits in the place of 2 numbers, rates (members, steps, 4),
//          targets (windows, N_OUTPUTS), windows to learn, windows to predict (windows, N_INPUTS)
//          outbox (members, 2, windows, N_OUTPUTS): outputs before learning, predictions
// Macros   PREDICTING offset of the tensors that predict: 0, or the slot of the averaged ones
// Launch   one work-group of WORK_ITEMS a member: global size members * WORK_ITEMS
// Twin     numpy_engine.py: ReferenceNetwork.run; reference/passes.py: Mode
// Source   order of one bar, docs/explanation/order-of-one-bar.md

#define MODE_LEARN 1           // the bits of reference/passes.py: Mode
#define MODE_PREDICT 2
#define MODE_LEARN_MOVES 4
#define MODE_PREDICT_MOVES 8
#define MODE_REUSE 16
#define MODE_SLIDING 32
#define MODE_SKIPPED 256       // from this bit on: number of a layer to leave out, counted from 1, to see what it costs

// The hint keeps Intel's compiler from vectorising over work-items, which takes it seconds.
kernel __attribute__((reqd_work_group_size(WORK_ITEMS, 1, 1), vec_type_hint(real16))) void network_run(
    global real* networks, global const uint* seeds, global const real* inbox, global real* outbox,
    const int mode, const int windows) {
  local real shared[SHARED];
  const size_t member = get_group_id(0);  // 64 bits: a product of it may pass 2^31
  const int steps = (windows + BATCH_SIZE - 1) / BATCH_SIZE;
  global real* net = networks + member * NETWORK_SIZE;
  global real* outputs = outbox + member * 2 * windows * N_OUTPUTS;
  const uint first_step = *(global const uint*)inbox;
  global const real* rates = inbox + 2 + 4 * member * steps;
  global const real* targets = inbox + 2 + 4 * get_num_groups(0) * steps;
  global const real* inputs = targets + (mode & MODE_LEARN ? windows * N_OUTPUTS : 0);
  const int passes = (mode & MODE_LEARN ? 1 : 0) + (mode & MODE_PREDICT ? 1 : 0), skipped = mode / MODE_SKIPPED;

  for (int i = 0; i < steps * passes; ++i) {
    const int step = i / passes, first = step * BATCH_SIZE, batch = min(BATCH_SIZE, windows - first);
    const int learns = mode & MODE_LEARN && i % passes == 0;
    const int in_place = learns && mode & (step ? MODE_SLIDING : MODE_REUSE);
    const int moves = mode & (learns ? MODE_LEARN_MOVES : MODE_PREDICT_MOVES);
    const size_t row = first + (learns || passes == 1 ? 0 : windows);
    // One call site for both kinds of pass: the same machine code, hence the same bits.
    if (!in_place)
      network_forward(
          net, learns ? net : net + PREDICTING, inputs + row * N_INPUTS, batch, moves, learns, first_step + step,
          seeds[member], skipped, shared);
    FOR_ITEMS(o, batch * N_OUTPUTS)
      outputs[((learns ? 0 : windows) + first) * N_OUTPUTS + o] = net[AT_OUTPUTS + o];
    if (learns) {
      network_backward(net, targets + first * N_OUTPUTS, batch, vload4(step, rates), skipped, shared);
#if AVERAGE
      if ((first_step + step) % AVERAGE_EVERY == 0) average_weights(net, first_step + step);
#endif
    }
  }
}
