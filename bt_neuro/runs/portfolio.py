"""Portfolio: a backtest of several bar files, one network each, on one account."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from bt_neuro.account.account import Account
from bt_neuro.bars.reader import Bars, read_bars
from bt_neuro.bars.source import TABLES
from bt_neuro.errors import NeuroError
from bt_neuro.learning.checkpoint import MODEL
from bt_neuro.metrics.baselines import Predictors
from bt_neuro.metrics.portfolio import (
    account_metrics,
    equal_hold_pct,
    instrument_metrics,
    pooled_metrics,
    portfolio_sentence,
)
from bt_neuro.metrics.seeds import SeedMoney, money_spread
from bt_neuro.plugin.bar_loop import request_stop
from bt_neuro.plugin.defaults import all_parameters
from bt_neuro.plugin.model_checkpoint import ModelCheckpoint
from bt_neuro.plugin.recorded import is_playing_back
from bt_neuro.plugin.shared import SharedNetwork
from bt_neuro.plugin.shared_checkpoint import SharedCheckpoint
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.cerebro import input_feeds
from bt_neuro.runs.epoch_tables import read_examples
from bt_neuro.runs.folder import RunFolder
from bt_neuro.runs.manifest import manifest_of
from bt_neuro.runs.portfolio_cerebro import Analyzers, PortfolioEquity, member_of, portfolio_cerebro
from bt_neuro.runs.portfolio_resume import SavedPortfolio
from bt_neuro.runs.portfolio_seed_money import PortfolioPlayer
from bt_neuro.runs.recording import EQUITY, Recording
from bt_neuro.runs.results import Portfolio, Result
from bt_neuro.runs.resume import FORMING
from bt_neuro.runs.shutdown import graceful_shutdown
from bt_neuro.runs.tables import TextTable
from bt_neuro.runs.vote_player import NOT_WANTED, require_vote

REFUSED = ("pretrain", "resume", "data", "budget")


def portfolio(
    paths: Sequence[str | Path],
    *,
    strategy: type[NeuroStrategy] = NeuroStrategy,
    parameters: dict[str, Any] | None = None,
    account: Account | None = None,
    shared: bool = False,
    out: str | Path | None = None,
    checkpoint_every: int | None = None,
    resume: str | Path | None = None,
    bars_options: dict[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
    report: bool = True,
    seed_money: bool = False,
) -> Portfolio:
    """Run a strategy over several bar files on one account; each network learns from its own first bar.

    Every file gets a strategy of its own, whose predictions are those of a backtest of that file alone, to the
    bit. In `decide` ``self.data`` is the instrument. ``size`` and `target` are shares of an equal part of the
    equity, so that all positions together never exceed it.

    With ``shared`` one network learns from all files, in the order of time and then of their names; see
    `SharedNetwork`.

    Parameters
    ----------
    paths : two or more bar files, or folders of them
    strategy, parameters, account, bars_options, progress, report, seed_money : as in `backtest`
    out : folder to write, new or empty; default ``runs/portfolio-<time>``
    checkpoint_every : bars between checkpoints of an instrument, or with ``shared`` moments at which bars close;
        by default only at the end
    resume : folder of a portfolio of these files to resume; they may have grown. A new folder is written, equal to
        that of one long run. Bars that were learned are traded again on their recorded signals.

    Returns
    -------
    Portfolio

    Raises
    ------
    NeuroError
        If an argument is invalid or the run fails.

    Examples
    --------
    >>> import tempfile
    >>> folder, sample = tempfile.mkdtemp(), read_bars("data/SYNTHETIC_EURUSD_H1.csv", end="2024-01-20").frame
    >>> for name in ("EURUSD", "GBPUSD"):
    ...     sample.to_csv(f"{folder}/{name}.csv", index=False)
    >>> result = portfolio([folder], out=f"{folder}/run", parameters={"device": "numpy"})
    >>> result.names, len(result.instrument("EURUSD").predictions) > 300
    (['EURUSD', 'GBPUSD'], True)
    """
    begun = time.perf_counter()
    account = account or Account()
    learning = SharedNetwork().of(strategy) if shared else strategy
    params = all_parameters(learning, parameters)
    require_shared_account(params, "files")
    bars = _read(paths, bars_options or {})
    if shared:
        bars = dict(sorted(bars.items()))
    names, forming = list(bars), dict[str, dict[str, list[float]]]()
    saved = None if resume is None else SavedPortfolio.read(resume, bars, shared=shared)
    if saved is not None:
        bars, forming = saved.keep_learned_bars(bars)
    require_vote(seed_money, (params if saved is None else saved.seeds)["seeds"])
    manifests = [manifest_of(one, bars_options or {}, strategy, params, account) for one in bars.values()]
    data = {name: manifest["data"] for name, manifest in zip(names, manifests, strict=True)}
    manifest = {**manifests[0], "data": data, "shared": shared}

    def fill(new: Path) -> None:
        for name in names:
            (new / name).mkdir()
        if saved is not None:
            manifest["resumed"] = saved.manifest
            manifest["parameters"] |= saved.seeds
            saved.copy_to(new)

    folder = RunFolder.create(out, "portfolio", "portfolio", manifest, fill)
    cerebro = portfolio_cerebro(bars, account, input_feeds(params, bars_options))
    written: list[TextTable] = []

    def has_content() -> bool:
        return any(table.rows for table in written) and not is_playing_back(cerebro)

    with (
        folder.recording(has_content, can_resume=lambda: any(folder.path.rglob(MODEL))),
        ExitStack() as tables,
    ):
        stopped_by = tables.enter_context(graceful_shutdown(partial(request_stop, cerebro)))
        equity = tables.enter_context(TextTable(folder.path / EQUITY, PortfolioEquity.header))
        written.append(equity)
        recordings, analyzers = {}, dict[str, Analyzers]()
        for name, one in bars.items():
            resumed = {} if saved is None else saved.rows(name)
            recordings[name] = tables.enter_context(Recording(folder.path / name, resumed))
            about = {"data": {"file": one.path.name, "sha256": one.sha256}, FORMING: forming.get(name, {})}
            analyzers[name] = recordings[name].analyzers()
            if not shared:
                options = {"every_bars": checkpoint_every, "about": about}
                analyzers[name].append((ModelCheckpoint, {"path": folder.path / name / MODEL, **options}))
        total = sum(map(len, bars.values()))
        analyzers[names[0]].append(
            (PortfolioEquity, {"table": equity, "names": names, "progress": progress, "total": total})
        )
        if shared:
            options = {"every_bars": checkpoint_every, "about": {"data": data}}
            analyzers[names[-1]].append((SharedCheckpoint, {"path": folder.path / MODEL, **options}))
        member = member_of(learning, analyzers, {} if saved is None else saved.checkpoints)
        for name in names:
            cerebro.addstrategy(member, **{**params, "data": name, "budget": 1 / len(names)})
        ran = dict(zip(names, cerebro.run(exactbars=1), strict=True))
        equity.flush()
        rows = {f"{name}/{table}": n for name in names for table, n in recordings[name].rows.items()}
        if not has_content():
            raise KeyboardInterrupt(f"interrupted before the first {'new ' if saved else ''}bar")
        if signal := stopped_by():
            folder.manifest["stopped_by"] = signal
        status = "interrupted" if signal else "complete"
        first = ran[names[0]]
        folder.manifest |= {"status": status, "rows": {EQUITY: equity.rows, **rows}, "names": names}
        folder.manifest["device"] = first.network.device_name
        result = Portfolio(folder.path, folder.manifest)
        player = PortfolioPlayer(ran, result, strategy, params, account, bars, bars_options)
        money = player.play(progress) if seed_money else NOT_WANTED
        metrics = _metrics(ran, bars, account, folder, result, money)
        network_s = sum(one.learner.network_s for one in ran.values())
        seconds = {"wall_s": time.perf_counter() - begun, "network_s": network_s}
        folder.save(metrics=metrics, time=seconds)
    if report:
        from bt_neuro.report.page import write_page  # loads Bokeh, half a second that no start waits for

        write_page(result)
    return result


def require_shared_account(parameters: dict[str, Any], several: str) -> None:
    """Raise NeuroError for a parameter that cannot be given with several instruments on one account."""
    for name in REFUSED:
        if parameters[name] != getattr(NeuroStrategy.params, name):
            one = several.removesuffix("s")
            raise NeuroError(f"{name} must not be given with several {several}. Run each {one} alone.")


def bar_files(paths: Sequence[str | Path]) -> list[Path]:
    """Return files and the bar files of folders, each folder's by name."""
    files: list[Path] = []
    for path in map(Path, paths):
        found = sorted(filter(_is_bar_file, path.iterdir())) if path.is_dir() else [path]
        if not found:
            raise NeuroError(f"{path} must hold bar files ({', '.join(TABLES)}), got none.")
        files += found
    return files


def _is_bar_file(path: Path) -> bool:
    return path.suffix.lower() in TABLES and not path.name.startswith(".")  # macOS adds ._NAME.csv


def _read(paths: Sequence[str | Path], options: dict[str, Any]) -> dict[str, Bars]:
    bars: dict[str, Bars] = {}
    for path in bar_files(paths):
        if path.stem in bars:
            raise NeuroError(f"Each file must have a name of its own, got {path.stem} twice. Rename one.")
        bars[path.stem] = read_bars(path, **options)
    if len(bars) < 2:
        raise NeuroError(f"A portfolio must have two files or more, got {len(bars)}. Use backtest.")
    return bars


def _metrics(
    ran: dict[str, NeuroStrategy],
    bars: dict[str, Bars],
    account: Account,
    folder: RunFolder,
    result: Portfolio,
    seed_money: SeedMoney,
) -> dict[str, Any]:
    runs, trades, by_name = [], [], {}
    for name, strategy in ran.items():
        one: Result = result.instrument(name)
        sizes = strategy.learner.history_bars, strategy.learner.delay_bars
        examples = read_examples(one.folder)
        run = Predictors.of(one.predictions, one.outputs, bars[name].frame, one.features, *sizes, examples)
        folder.write_table(f"{name}/baselines.csv", run.table(), float_format="%.6g")
        by_name[name] = instrument_metrics(run, one.trades, one.equity, bars[name], account)
        runs.append(run)
        trades.append(one.trades)
    broker = next(iter(ran.values())).broker
    open_trades = sum(one.analyzers.trades.get_analysis()["open_trade"] for one in ran.values())
    networks = len(next(iter(ran.values())).network.seeds)
    closed = float(sum(one["net"].sum() for one in trades))
    metrics: dict[str, Any] = {
        "pooled": pooled_metrics(runs),
        "account": {
            **account_metrics(result.equity, trades, account.cash),
            "equal_hold_pct": equal_hold_pct(by_name),
            **broker.counts.as_dict(),
            "order_notes": list(broker.messages.values()),
            "reconciliation": broker.books.statement(closed, open_trades, broker.getvalue()),
        },
        "seeds": {"networks": networks, **money_spread(seed_money)} if networks > 1 else None,
        "instruments": by_name,
    }
    return {"sentence": portfolio_sentence(metrics, list(ran), folder.manifest["status"]), **metrics}
