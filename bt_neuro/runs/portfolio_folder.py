"""Folder of a stream of several instruments: their names, the bars they begin with, and their account."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from bt_neuro.account.account import Account
from bt_neuro.bars.limits import Limits
from bt_neuro.bars.reader import read_bars
from bt_neuro.errors import NeuroError
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.bars_log import BARS, SYMBOL, BarsLog
from bt_neuro.runs.folder import RunFolder
from bt_neuro.runs.manifest import account_of, strategy_manifest
from bt_neuro.runs.portfolio import bar_files
from bt_neuro.runs.saved_manifest import MANIFEST, read_manifest, require_same

KIND = "portfolio-stream"
# Endings of the files of a run, which no folder of an instrument may have.
FILES = (".csv", ".json", ".jsonl", ".txt", ".npy", ".safetensors")


def symbols_of(symbols: Sequence[str] | None, resume: str | Path | None) -> list[str]:
    """Return the names of a stream's instruments; empty where it reads one market.

    Raises
    ------
    NeuroError
        If the names given cannot be those of folders, or are not two or more.
    """
    if symbols is None:
        is_kind = resume is not None and (Path(resume) / MANIFEST).exists()
        found = read_manifest(Path(resume)) if is_kind and resume is not None else {}
        return list(found["names"]) if found.get("kind") == KIND else []
    for name in symbols:
        if not re.fullmatch(r"[^\W_][\w.#=^+&@-]*", name) or name.casefold().endswith((*FILES, ".")):
            raise NeuroError(
                f"A symbol must name a folder: letters, digits, and ._#=^+&@- after the first, got {name!r}. "
                "Give another name, also in the lines."
            )
    if len({name.casefold() for name in symbols}) != len(symbols) or len(symbols) < 2:
        raise NeuroError(
            f"symbols must be two names or more, each once, got {', '.join(symbols) or 'none'}. "
            "Leave them out for one market."
        )
    return list(symbols)


def open_portfolio_folder(
    out: str | Path | None,
    resume: str | Path | None,
    history: str | Path | None,
    strategy: type[NeuroStrategy],
    parameters: dict[str, Any],
    account: Account | None,
    symbols: list[str],
    limits: Limits,
) -> tuple[RunFolder, Account]:
    """Create the folder of a stream of several instruments, or reopen it; return it and its account."""
    manifest = {**strategy_manifest(strategy, parameters), "names": symbols, "limits": asdict(limits)}
    if resume is not None:
        before = read_manifest(Path(resume))
        if before["kind"] != KIND:
            raise NeuroError(
                f"{resume} must hold a stream of several instruments, got a {before['kind']}. "
                "Give the folder of one, or --history with their bars."
            )
        if out is not None or history is not None:
            raise NeuroError(f"{resume} is a stream and is resumed in place: leave out --out and --history")
        found = account_of(before)
        if account is not None:
            require_same({"account": asdict(found)}, {"account": asdict(account)}, ("account",), str(resume))
        kept = {name: before[name] for name in ("first_live_bar", "account")}
        # What else must be as it was is seen in the answers, see `AnswersAgain`.
        same = ("names", "strategy", *(f"parameters.{name}" for name in parameters if name != "device"))
        return RunFolder.resume(resume, KIND, {**manifest, **kept}, same), found
    past, account = _past(history, symbols), account or Account()
    manifest |= {"account": asdict(account), "first_live_bar": 0 if past is None else len(past)}

    def fill(path: Path) -> None:
        BarsLog.create(path / BARS, past, has_symbols=True)
        for symbol in symbols:
            (path / symbol).mkdir()

    return RunFolder.create(out, KIND, KIND, manifest, fill), account


def _past(history: str | Path | None, symbols: list[str]) -> pd.DataFrame | None:
    """Return the bars of a folder's files in the order of time, and of symbols."""
    if history is None:
        return None
    files = {file.stem: file for file in bar_files([history])}
    if missing := [symbol for symbol in symbols if symbol not in files]:
        raise NeuroError(
            f"{history} must be a folder with a bar file for each symbol, got none for {', '.join(missing)}. "
            f"Name the files as the symbols, such as {missing[0]}.csv."
        )
    frames = [read_bars(files[symbol]).frame.assign(**{SYMBOL: symbol}) for symbol in symbols]
    bars = pd.concat(frames, ignore_index=True).sort_values("datetime", kind="stable")
    return bars.fillna({"volume": 0.0, "spread": 0.0}) if "spread" in bars else bars
