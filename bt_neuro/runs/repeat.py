"""Repetition of a backtest or a portfolio from its manifest, with a comparison to the bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bt_neuro.bars.reader import read_bars
from bt_neuro.errors import NeuroError
from bt_neuro.io import file_sha256
from bt_neuro.plugin.loading import load_strategy
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.backtest import backtest
from bt_neuro.runs.manifest import account_of, plain, strategy_manifest
from bt_neuro.runs.portfolio import portfolio
from bt_neuro.runs.recording import EQUITY
from bt_neuro.runs.results import Portfolio, Result
from bt_neuro.runs.saved_manifest import MANIFEST, read_manifest

TABLES = ("predictions.csv", "trades.csv", "equity.csv", "outputs.npy", "features.npy")


@dataclass(frozen=True)
class Repetition:
    """A repeated run.

    Attributes
    ----------
    result : the new run
    differs : files whose bits differ
    changed : differences of the device and of versions of packages
    """

    result: Result | Portfolio
    differs: tuple[str, ...]
    changed: tuple[str, ...]

    @property
    def is_identical(self) -> bool:
        return not self.differs

    def __str__(self) -> str:
        if self.is_identical:
            return f"Bit-identical: {', '.join(TABLES)}."
        why = f" Changed since: {'; '.join(self.changed)}." if self.changed else ""
        return f"Not bit-identical: {', '.join(self.differs)} differ.{why}"


def repeat(
    run: str | Path, *, out: str | Path | None = None, progress: Callable[[int, int], None] | None = None
) -> Repetition:
    """Run a backtest or a portfolio again as its manifest describes it, and compare the bits.

    Parameters
    ----------
    run : folder of a complete backtest or portfolio that was not resumed
    out, progress : as of `backtest` and `portfolio`

    Raises
    ------
    NeuroError
        If the run is of another kind, a bar file or its strategy is not as it was, or a parameter is an object.
    """
    folder = Path(run)
    manifest = read_manifest(folder)
    kind = manifest["kind"]
    if kind not in ("backtest", "portfolio") or "resumed" in manifest or manifest["status"] != "complete":
        raise NeuroError(
            f"{folder} must be a complete backtest or portfolio that was not resumed, got {manifest['status']} "
            f"{kind}. Give another run."
        )
    instruments = manifest["data"] if kind == "portfolio" else {"": manifest["data"]}
    for data in instruments.values():
        if read_bars(data["file"], **data["options"]).sha256 != data["sha256"]:
            raise NeuroError(f"{data['file']} has changed since {folder}. Run it anew.")
    for file, sha256 in manifest["inputs"].items():
        if _hash(Path(file)) != sha256:
            raise NeuroError(f"{file} has changed since {folder}. Run it anew.")
    strategy = _strategy_of(manifest)
    files = [data["file"] for data in instruments.values()]
    settings: dict[str, Any] = {
        "strategy": strategy,
        "parameters": _parameters_of(manifest, strategy),
        "account": account_of(manifest),
        "out": out,
        "bars_options": next(iter(instruments.values()))["options"],
        "progress": progress,
    }
    result: Result | Portfolio
    if kind == "portfolio":
        result = portfolio(files, shared=manifest["shared"], **settings)
    else:
        result = backtest(files[0], **settings)
    tables = [f"{name}/{table}" if name else table for name in instruments for table in TABLES]
    if kind == "portfolio":
        tables.insert(0, EQUITY)
    differs = tuple(name for name in tables if _hash(folder / name) != _hash(result.folder / name))
    return Repetition(result, differs, tuple(_changes(manifest, result.manifest)))


def _strategy_of(manifest: dict[str, Any]) -> type[NeuroStrategy]:
    if manifest["strategy"] == f"{NeuroStrategy.__module__}:{NeuroStrategy.__qualname__}":
        strategy: type[NeuroStrategy] = NeuroStrategy
    else:
        file = manifest.get("strategy_file")
        if file is None:
            raise NeuroError(
                f"{manifest['strategy']} was not run from a file, so it cannot be run again from here. "
                "Call backtest() or portfolio() with it."
            )
        strategy = load_strategy(f"{file}:{manifest['strategy'].partition(':')[2]}")
        if strategy_manifest(strategy, {})["strategy_sha256"] != manifest["strategy_sha256"]:
            raise NeuroError(f"{file} has changed since the run. Run it anew.")
    return strategy


def _parameters_of(manifest: dict[str, Any], strategy: type[NeuroStrategy]) -> dict[str, Any]:
    defaults, parameters = dict(strategy.params._getitems()), dict[str, Any]()
    for name, value in manifest["parameters"].items():
        if isinstance(value, list | dict) and value == plain(defaults.get(name)):
            continue  # the default itself, whatever its type
        if not _is_plain(value):
            raise NeuroError(
                f"{name} must be a plain value to be repeated from {MANIFEST}, got {_text(value)}. "
                "Call backtest() or portfolio() with it."
            )
        parameters[name] = _tuple_of(value) if isinstance(defaults.get(name), tuple) else value
    return parameters


def _is_plain(value: Any) -> bool:
    return all(map(_is_plain, value)) if isinstance(value, list) else not isinstance(value, dict)


def _text(value: Any) -> str:
    """Return the Python text of a value that `plain` has made."""
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    return str(value["repr"]) if isinstance(value, dict) else repr(value)


def _tuple_of(value: Any) -> Any:
    return tuple(map(_tuple_of, value)) if isinstance(value, list) else value


def _changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    pairs = {name: (then, now["versions"].get(name)) for name, then in before["versions"].items()}
    pairs["device"] = before.get("device"), now.get("device")
    return [f"{name} {then}, now {value}" for name, (then, value) in pairs.items() if then != value]


def _hash(path: Path) -> str | None:
    return file_sha256(path) if path.exists() else None
