"""State of a run in progress, read from the ends of its files; they are neither locked nor written."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from bt_neuro.errors import NeuroError
from bt_neuro.io import is_locked, open_no_follow
from bt_neuro.runs.answers import ANSWERS, EARLIER
from bt_neuro.runs.bars_log import BARS
from bt_neuro.runs.health import HEALTH
from bt_neuro.runs.recording import EQUITY, PREDICTIONS, TRADES
from bt_neuro.runs.saved_manifest import read_manifest

ROW_BYTES = 700  # more than a row or an answer has on average
STALE_S = 30.0  # a stream writes its health every five seconds

Rows = list[dict[str, str]]


class State(NamedTuple):
    """A run as its folder shows it now.

    Attributes
    ----------
    health : ``kind``, ``status``, ``is_alive``, and what else is known
    bars : time, open, high, low, close; or time and close
    signals : time, price, side
    fills : time, price, side
    equity : time, equity
    """

    health: dict[str, Any]
    bars: list[dict[str, Any]]
    signals: list[dict[str, Any]]
    fills: list[dict[str, Any]]
    equity: list[dict[str, Any]]


def read_state(folder: Path, most: int = 500) -> State:
    """Return the state of a run.

    Parameters
    ----------
    folder : of the run
    most : number of bars at most

    Raises
    ------
    NeuroError
        If the folder holds no run.
    """
    health = read_health(folder)
    if health["kind"] == "stream":
        return _stream_state(folder, health, most)
    if health["kind"] == "portfolio-stream":  # candles of several instruments have no common scale
        money = [{"time": one["time"], "equity": one["account"]["equity"]} for one in _answers(folder, most)]
        return State(health, [], [], [], money)
    equity = _table(folder / EQUITY, most)
    if health["kind"] == "portfolio":
        money = [{"time": row["datetime"], "equity": float(row["equity"])} for row in equity]
        return State(health, [], [], [], money)
    bars = [{"time": row["datetime"], "close": float(row["close"])} for row in equity]
    closes = {bar["time"]: bar["close"] for bar in bars}
    predictions = _table(folder / PREDICTIONS, most)
    signals = [
        {"time": row["datetime"], "price": closes[row["datetime"]], "side": row["signal"]}
        for row in predictions
        if row["signal"] != "none" and row["datetime"] in closes
    ]
    hits = [row["hit"] for row in predictions if row["hit"]]
    health["recent_signals"] = len(hits)
    health["recent_hit_rate_pct"] = 100 * hits.count("1") / len(hits) if hits else None
    if equity:
        health |= {"last_bar": equity[-1]["datetime"], "bars": int(equity[-1]["bar"]) + 1}
    fills: list[dict[str, Any]] = []
    for row in _table(folder / TRADES, most):
        entry, leaving = ("buy", "sell") if row["side"] == "long" else ("sell", "buy")
        fills.append({"time": row["entry_datetime"], "price": float(row["entry_price"]), "side": entry})
        fills.append({"time": row["exit_datetime"], "price": float(row["exit_price"]), "side": leaving})
    first = bars[0]["time"] if bars else ""
    money = [{"time": row["datetime"], "equity": float(row["equity"])} for row in equity]
    return State(health, bars, signals, [fill for fill in fills if fill["time"] >= first], money)


def read_health(folder: Path) -> dict[str, Any]:
    """Return kind and status of a run, whether a process is at work in it, and its own ``health.json``."""
    manifest = read_manifest(folder)
    found: dict[str, Any] = {"folder": str(folder), "kind": manifest["kind"], "status": manifest["status"]}
    found["is_alive"] = manifest["status"] == "running" and is_locked(folder)
    if folds := list(folder.glob("folds/[0-9]*")):
        found["folds"] = len(folds)
    try:
        with open_no_follow(folder / HEALTH, "r", encoding="utf-8") as file:
            own = json.load(file)
        age = (datetime.now(UTC) - datetime.fromisoformat(own.pop("written"))).total_seconds()
        own.pop("status", None)
        found |= {**own, "age_s": round(age, 1)}
        found["is_alive"] = found["is_alive"] and age < STALE_S
    except FileNotFoundError:
        pass
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise NeuroError(f"{folder / HEALTH} is damaged: {error}. Restart the stream.") from error
    return found


def _stream_state(folder: Path, health: dict[str, Any], most: int) -> State:
    names = ("open", "high", "low", "close")
    bars = [
        {"time": row["datetime"], **{name: float(row[name]) for name in names}}
        for row in _table(folder / BARS, most)
    ]
    prices = {bar["time"]: bar for bar in bars}
    signals: list[dict[str, Any]] = []
    fills: list[dict[str, Any]] = []
    equity: list[dict[str, Any]] = []
    for one in _answers(folder, most):
        bar = prices.get(one["time"])
        if bar is None:
            continue
        if one["signal"] in ("buy", "sell"):
            signals.append({"time": one["time"], "price": bar["close"], "side": one["signal"]})
        fills += [
            {"time": one["time"], "price": fill["price"], "side": fill["side"]} for fill in one["fills"]
        ]
        equity.append({"time": one["time"], "equity": one["account"]["equity"]})
    return State(health, bars, signals, fills, equity)


def _answers(folder: Path, most: int) -> list[dict[str, Any]]:
    lines = [line for name in (EARLIER, ANSWERS) for line in _last_lines(folder / name, most)]
    return [_json(line) for line in lines[-most:]]


def _json(line: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line)
    return found


def _table(path: Path, most: int) -> Rows:
    """Return the last rows of a CSV file, whole lines only."""
    try:
        with open_no_follow(path, "rb") as file:
            header = file.readline().decode("utf-8").rstrip("\n")
    except FileNotFoundError:
        return []
    lines = _last_lines(path, most)
    return list(csv.DictReader([header, *(line for line in lines if line != header)]))


def _last_lines(path: Path, most: int) -> list[str]:
    try:
        with open_no_follow(path, "rb") as file:
            start = max(0, file.seek(0, 2) - most * ROW_BYTES)
            file.seek(start)
            content = file.read()
    except FileNotFoundError:
        return []
    lines = content.split(b"\n")[:-1]  # what follows the last end of a line is still being written
    return [line.decode("utf-8") for line in (lines[1:] if start else lines)[-most:]]
