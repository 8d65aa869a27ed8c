// network.cl - the one kernel: runs a network over one bar or many, learning, predicting or both at each.
//   step i:  learn window i (forward unless its activations are in place, backward, optimiser), predict window i;
//            or learn the next ROWS_A_STEP windows together
// Shapes   networks (lanes, NETWORK_SIZE)   seeds (lanes)
//          inbox: the first learning step as 32 bits in the place of 2 numbers, rates (lanes, steps, 4),
//          targets (windows, N_OUTPUTS), windows to learn, windows to predict (windows, N_INPUTS)
//          outbox (lanes, 2, windows, N_OUTPUTS): outputs before learning, predictions
// Launch   one work-group of WORK_ITEMS a lane: global size lanes * WORK_ITEMS
// Twin     reference/network.py: ReferenceNetwork.run, Mode      Source  order of one bar, docs/order-of-one-bar.md

#define MODE_LEARN 1           // the bits of reference/network.py: Mode
#define MODE_PREDICT 2
#define MODE_LEARN_MOVES 4
#define MODE_PREDICT_MOVES 8
#define MODE_HELD 16
#define MODE_CHAINED 32
#define MODE_SKIPPED 256       // from this bit on: number of a layer to leave out, counted from 1, to see what it costs

// The hint keeps Intel's compiler from making vectors of work-items, over which it sits for seconds.
kernel __attribute__((reqd_work_group_size(WORK_ITEMS, 1, 1), vec_type_hint(real16))) void network_run(
    global real* networks, global const uint* seeds, global const real* inbox, global real* outbox,
    const int mode, const int windows) {
  local real shared[WORK_ITEMS];
  const int lane = get_group_id(0), steps = (windows + ROWS_A_STEP - 1) / ROWS_A_STEP;
  global real* net = networks + lane * NETWORK_SIZE;
  global real* outputs = outbox + lane * 2 * windows * N_OUTPUTS;
  const uint first_step = *(global const uint*)inbox;
  global const real* rates = inbox + 2 + 4 * lane * steps;
  global const real* targets = inbox + 2 + 4 * get_num_groups(0) * steps;
  global const real* inputs = targets + (mode & MODE_LEARN ? windows * N_OUTPUTS : 0);
  const int passes = (mode & MODE_LEARN ? 1 : 0) + (mode & MODE_PREDICT ? 1 : 0), skipped = mode / MODE_SKIPPED;

  for (int i = 0; i < steps * passes; ++i) {
    const int step = i / passes, first = step * ROWS_A_STEP, rows = min(ROWS_A_STEP, windows - first);
    const int learns = mode & MODE_LEARN && i % passes == 0;
    const int in_place = learns && mode & (step ? MODE_CHAINED : MODE_HELD);
    const int moves = mode & (learns ? MODE_LEARN_MOVES : MODE_PREDICT_MOVES);
    const int row = first + (learns || passes == 1 ? 0 : windows);
    // One call site for both kinds of pass: the same machine code, hence the same bits.
    if (!in_place)
      network_forward(
          net, inputs + row * N_INPUTS, rows, moves, learns, first_step + step, seeds[lane], skipped, shared);
    FOR_ITEMS(o, rows * N_OUTPUTS)
      outputs[((learns ? 0 : windows) + first) * N_OUTPUTS + o] = net[AT_OUTPUTS + o];
    if (learns)
      network_backward(net, targets + first * N_OUTPUTS, rows, vload4(step, rates), skipped, shared);
  }
}
