"""Stream: learn from bars as they arrive, answer each, keep all that a restart needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bt_neuro.account.account import Account
from bt_neuro.bars.limits import Limits
from bt_neuro.errors import NeuroError
from bt_neuro.plugin.defaults import all_parameters
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.line_queue import LineReaderThread
from bt_neuro.runs.portfolio import require_shared_account
from bt_neuro.runs.portfolio_folder import open_portfolio_folder, symbols_of
from bt_neuro.runs.portfolio_stream import PortfolioSession
from bt_neuro.runs.results import PortfolioStream, Stream
from bt_neuro.runs.shutdown import graceful_shutdown
from bt_neuro.runs.stream_folder import open_folder
from bt_neuro.runs.stream_session import LAST_TOLD, Send, Session


def stream(
    lines: Iterable[str],
    send: Send,
    *,
    warn: Callable[[str], None] = lambda text: None,
    event: Send = lambda values: None,
    on_stop: Callable[[], None] = lambda: None,
    strategy: type[NeuroStrategy] = NeuroStrategy,
    parameters: dict[str, Any] | None = None,
    account: Account | None = None,
    point: float | None = None,
    limits: Limits | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    history: str | Path | None = None,
    checkpoint_every: int | None = None,
    tell_from: int | str = LAST_TOLD,
    position: float | None = None,
    heartbeat_s: float | None = None,
    symbols: Sequence[str] | None = None,
) -> Stream | PortfolioStream:
    """Learn from bars as they arrive, and answer each line.

    Parameters
    ----------
    lines : lines in a format of `LineReader`; iterated in a thread of its own, so the iterator may block
    send : called with plain JSON values, one answer per line, as soon as it is computed
    warn : called with a text about what cannot be saved
    event : called with plain JSON values when the stream is ready, and at each heartbeat
    on_stop : called when a signal ends the stream; `send` must then not block any more
    strategy, parameters : as in `backtest`
    account : cash and costs of the paper account; that of the folder if a stream is resumed
    point : smallest step of the price; None takes that of the folder if a stream is resumed, that of the history,
        or the decimals of the first bars
    limits : of plausible bars
    out : folder to write, which must be new or empty; default ``runs/stream-<time>``
    resume : folder of a stream, which is resumed in place; or of a backtest, or its ``model.safetensors``
    history : bar file to learn from first, or, with a model to resume, the bars that it has learned
    checkpoint_every : bars between checkpoints; 100 by default, and none with `symbols`
    tell_from : number of the first bar whose answer is sent again; "last-told": those not sent yet
    position : units that the real account holds, see `PaperBroker.command`
    heartbeat_s : seconds between heartbeats; None for none
    symbols : names of several instruments, one of which each line has; `history` is then a folder of bar files
        with these names. None for one market, or those of the stream that is resumed

    Returns
    -------
    Stream or PortfolioStream

    Raises
    ------
    NeuroError
        With a remedy.

    Notes
    -----
    The folder holds all bars. Each is written with its answer before the answer is sent. After a kill the
    bars since the last checkpoint are run again, which gives the same bits. SIGTERM, SIGHUP and Ctrl-C end
    the stream after the current bar, with a checkpoint. A bar whose features or outputs are not finite is
    answered with an error, and the stream continues from its last checkpoint without that bar.

    Several instruments share one account, as in `portfolio`; each has its own network, with the same signals as
    alone. A line moves its instrument alone, and is answered before the next one is read: the others are valued at
    their last close. All bars run again at a restart.

    Examples
    --------
    >>> import tempfile
    >>> bars = [f"2024-01-{day:02} 00:00,1.1,1.3,1.0,1.2" for day in range(1, 31)]
    >>> sent = []
    >>> _ = stream(bars, sent.append, out=tempfile.mkdtemp(), parameters={"device": "numpy"})
    >>> len(sent), sent[-1]["time"], sent[-1]["signal"]
    (30, '2024-01-30 00:00:00', 'none')
    """
    begun = time.perf_counter()
    params, limits = all_parameters(strategy, parameters), limits or Limits()
    if params["inputs"]:
        raise NeuroError(
            f"A stream must have no inputs, got {params['inputs']}: it reads one market. Leave them out."
        )
    if tell_from != LAST_TOLD and (
        isinstance(tell_from, bool) or not isinstance(tell_from, int) or tell_from < 0
    ):
        raise NeuroError(f"tell_from must be a bar's number or {LAST_TOLD!r}, got {tell_from!r}.")
    names = symbols_of(symbols, resume)
    kind: type[Session] = Session
    if names:
        kind = PortfolioSession
        require_shared_account(params, "instruments")
        one_market = {"point": point, "position": position, "checkpoint_every": checkpoint_every}
        for name, value in one_market.items():
            if value is not None:
                raise NeuroError(f"{name} is of one market, and must not be given with several symbols.")
        folder, account = open_portfolio_folder(
            out, resume, history, strategy, params, account, names, limits
        )
    else:
        folder, account, point = open_folder(out, resume, history, strategy, params, account, point, limits)
    session = kind(folder, strategy, params, account, point, warn, event)
    session.every_bars, session.heartbeat_s, session.begun = checkpoint_every or 100, heartbeat_s, begun

    def stop() -> None:
        session.end()
        on_stop()

    with folder.recording(session.has_content), ExitStack() as stack:
        reader = LineReaderThread(lines, names)
        stack.callback(reader.stop)
        session.open(stack, reader, limits, send, tell_from, position)
        with graceful_shutdown(stop) as stopped_by:
            reader.start()
            while session.is_to_run_again():
                pass
        if signal := stopped_by():
            folder.manifest["stopped_by"] = signal
        result = session.result()
        if session.sender.is_broken and not signal:
            raise NeuroError(f"no process reads the answers. Continue with --resume {folder.path}.")
        if reader.error is not None:
            raise reader.error
        folder.save(status="interrupted" if signal else "complete")
    return result
