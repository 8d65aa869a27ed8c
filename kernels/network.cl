// network.cl - the one kernel: runs a network over one bar or many, learning, predicting or both at each.
//   step i:  learn window i (forward unless its activations are in place, backward, optimiser), predict window i
// Shapes   networks (lanes, NETWORK_SIZE)   seeds (lanes)
//          inbox: the first learning step as 32 bits in the place of 2 numbers, rates (steps, 2),
//          targets (steps, N_OUTPUTS), windows to learn, windows to predict (steps, N_INPUTS)
//          outbox (lanes, 2, steps, N_OUTPUTS): outputs before learning, predictions
// Launch   one work-group of WORK_ITEMS a lane: global size lanes * WORK_ITEMS
// Twin     reference.py: ReferenceNetwork.run, Mode      Source  order of one bar, docs/order-of-one-bar.md

#define MODE_LEARN 1           // the bits of reference.py: Mode
#define MODE_PREDICT 2
#define MODE_LEARN_MOVES 4
#define MODE_PREDICT_MOVES 8
#define MODE_HELD 16
#define MODE_CHAINED 32

// The hint keeps Intel's compiler from making vectors of work-items, over which it sits for seconds.
kernel __attribute__((reqd_work_group_size(WORK_ITEMS, 1, 1), vec_type_hint(real16))) void network_run(
    global real* networks, global const uint* seeds, global const real* inbox, global real* outbox,
    const int mode, const int steps) {
  local real shared[WORK_ITEMS];
  const int lane = get_group_id(0);
  global real* net = networks + lane * NETWORK_SIZE;
  global real* outputs = outbox + lane * 2 * steps * N_OUTPUTS;
  const uint first_step = *(global const uint*)inbox;
  inbox += 2;
  global const real* targets = inbox + 2 * steps;
  global const real* windows = targets + (mode & MODE_LEARN ? steps * N_OUTPUTS : 0);
  const int passes = (mode & MODE_LEARN ? 1 : 0) + (mode & MODE_PREDICT ? 1 : 0);

  for (int i = 0; i < steps * passes; ++i) {
    const int step = i / passes;
    const int learns = mode & MODE_LEARN && i % passes == 0;
    const int in_place = learns && mode & (step ? MODE_CHAINED : MODE_HELD);
    const int moves = mode & (learns ? MODE_LEARN_MOVES : MODE_PREDICT_MOVES);
    const int row = step + (learns || passes == 1 ? 0 : steps);
    // One call site for both kinds of pass: the same machine code, hence the same bits.
    if (!in_place)
      network_forward(net, windows + row * N_INPUTS, moves, learns, first_step + step, seeds[lane], shared);
    FOR_ITEMS(o, N_OUTPUTS)
      outputs[((learns ? 0 : steps) + step) * N_OUTPUTS + o] = net[AT_OUTPUTS + o];
    if (learns)
      network_backward(net, targets + step * N_OUTPUTS, vload2(step, inbox), shared);
  }
}
