"""RunState: an analyzer that saves indicators, strategy and broker, so that a run continues at its bar."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import chain, count
from types import GeneratorType
from typing import Any

import backtrader as bt
from backtrader.order import OrderBase
from backtrader.trade import Trade

from bt_neuro.errors import CheckpointError
from bt_neuro.io import Fields
from bt_neuro.plugin.phase import Phase
from bt_neuro.plugin.snapshot import (
    Decoder,
    Encoder,
    NotSaved,
    Structure,
    attributes,
    classes_of,
    is_of_library,
)

BROKER = (
    *("startingcash", "cash", "_value", "_valuemkt", "_valuelever", "_valuemktlever", "_leverage"),
    *("_unrealized", "orders", "pending", "_toactivate", "positions", "d_credit", "notifs", "submitted"),
    *("_pchildren", "_ocos", "_ocol", "_fundval", "_fundshares", "_cash_addition"),
    *("books", "counts", "messages", "ruined_at", "_holdings", "_slipped", "_traded", "_transfers"),
)
NUMBERED: dict[str, Any] = {"next_order": OrderBase, "next_trade": Trade}
LATER = {
    "_dlens",
    "_minperstatus",
    "_has_cash_listeners",
    "_overriding",
    "_learner",
    "_verification",
    "_framework",
    "_sizer",
    "sizer",
}
STRATEGY = ("_signal", "_waiting_targets")  # not what waits for `_notify`: it has had this bar
FEED = ("time_before", "close_before", "digits", "ignored", "rejected")


class RunState(bt.Analyzer):
    """Save the state of a run of one strategy that trades one feed in its checkpoints, and restore it.

    It holds lines and attributes of indicators, the strategy's own attributes, and all of the broker: positions,
    money, working orders. Attributes may be numbers, texts, times, lists, dicts, sets, deques, arrays, orders, enums,
    and objects that hold only these.

    Params:
      - ``continues`` (default: ``True``): whether to restore
      - ``is_fast`` (default: ``False``): restore before the first bar, which is then the one after the
        checkpoint; else the bars up to the checkpoint pass again, and account and strategy are restored there
      - ``warn`` (default: ``None``): called with a text for each attribute that cannot be saved; without it,
        there is a warning when the run continues
      - ``more`` (default: ``()``): names of further attributes of the broker
    """

    params = (("continues", True), ("is_fast", False), ("warn", None), ("more", ()))

    def start(self) -> None:
        for kind in NUMBERED.values():  # of this run, so that equal runs have equal checkpoints
            kind.refbasis = count(1)
        self._saved: Fields | None = None
        self._not_saved: dict[str, str] = {}

    @property
    def _anchors(self) -> dict[str, Any]:
        strategy = self.strategy
        info = strategy.broker.getcommissioninfo(self.data)
        inputs = {f"data{number}": data for number, data in enumerate(strategy.datas) if number}
        return {
            "data": self.data,
            **inputs,
            "strategy": strategy,
            "broker": strategy.broker,
            "conditions": info,
        }

    @property
    def _trades_one_feed(self) -> bool:
        strategy = self.strategy
        others = [data for data in strategy.datas[1:] if data in strategy.broker.positions]
        return len(strategy.env.runningstrats) == 1 and not others

    # -- save ------------------------------------------------------------------------------------------------
    def state(self) -> dict[str, Any]:
        """Return plain JSON values for `restore`; without a bar if the account cannot be saved.

        In the phase FIT there is no account yet, and its bars pass again.
        """
        if self.strategy.phase is Phase.FIT or not self._trades_one_feed:
            return {"bar": None}
        if self.strategy.fingerprint.bars < len(self.data):
            # runstop() of a timer, which comes before the bar.
            self._tell("The account", "the run was stopped inside a bar")
            return {"bar": None}
        forget(self.strategy)  # what has ended
        try:
            return self._state()
        except NotSaved as reason:  # such as an order with an object of the strategy in its info
            self._tell(f"The account of {type(self.strategy).__name__}", str(reason))
            return {"bar": None}

    def _state(self) -> dict[str, Any]:
        strategy = self.strategy
        encoder = Encoder(self._anchors, classes_of(strategy))
        broker = {name: encoder.encode(getattr(strategy.broker, name)) for name in (*BROKER, *self.p.more)}
        trades = [
            [number, encoder.encode(list(trades))] for number, trades in strategy._trades[self.data].items()
        ]
        framework = {
            name: encoder.encode(getattr(strategy, name)) for name in STRATEGY if name in vars(strategy)
        }
        own = self._attributes(encoder, strategy, _own_attributes(strategy))
        return {
            "bar": len(self.data) - 1,
            **{name: _next_number(kind) for name, kind in NUMBERED.items()},
            "broker": broker,
            "trades": trades,
            "framework": framework,
            "strategy": own,
            "feed": {n: encoder.encode(getattr(self.data, n)) for n in FEED if n in vars(self.data)},
            "buffers": [_buffer(line, encoder, most) for line, most in _buffers(strategy)],
            "indicators": [
                [type(one).__name__, self._attributes(encoder, one, attributes(one))]
                for one in _indicators(strategy)
            ],
            "not_saved": list(self._not_saved.values()),
        }

    def _attributes(self, encoder: Encoder, owner: Any, values: Iterator[tuple[str, Any]]) -> dict[str, Any]:
        found = {}
        for name, value in values:
            try:
                found[name] = encoder.encode_into(value)
            except Structure:
                continue
            except NotSaved as reason:
                if is_of_library(type(owner), "bt_neuro") and not isinstance(value, GeneratorType):
                    raise  # a feature would begin anew
                if not is_of_library(type(owner)):
                    self._tell(f"{type(owner).__name__}.{name}", str(reason))
        return found

    def _tell(self, name: str, reason: str) -> None:
        if name not in self._not_saved:
            text = f"{name} is not saved ({reason}): after a restart it is what __init__ and start() make it."
            self._not_saved[name] = text
            if self.p.warn is not None:
                self.p.warn(text)

    # -- restore ---------------------------------------------------------------------------------------------
    def restore(self, saved: Fields) -> None:
        """Keep the state until lines have their buffers, or until its bar."""
        if saved.integer_or_none("bar") is not None and self.p.continues:
            self._saved = saved

    def on_buffers(self) -> None:
        """Restore all; called by the strategy once its lines have their buffers."""
        if self._saved is None or not self.p.is_fast:
            return
        saved, strategy = self._saved, self.strategy
        decoder = self._restore_account()
        self._restore_lines(saved, strategy, decoder)
        for name, value in saved.group("feed").values.items():
            decoder.put(self.data, name, value)
        strategy._dlens = [len(data) for data in strategy.datas]
        strategy._verification.trust()

    def prenext(self) -> None:
        self.next()

    def next(self) -> None:
        if self._saved is not None and len(self.data) - 1 == self._saved.integer("bar"):
            self._restore_account()

    def _restore_account(self) -> Decoder:
        saved, strategy = self._saved, self.strategy
        assert saved is not None
        self._saved = None
        decoder, broker = Decoder(self._anchors, classes_of(strategy)), strategy.broker
        lost = saved.texts("not_saved") if "not_saved" in saved.values else []  # an older file has none
        for name, value in saved.group("broker").values.items():
            content = decoder.decode(value)
            target = getattr(broker, name)
            if isinstance(target, dict) and hasattr(target, "default_factory"):
                target.clear()
                target.update(content)
            else:
                setattr(broker, name, content)
        for number, trades in decoder.decode(saved.items("trades")):
            strategy._trades[self.data][number] = trades
        for group in ("framework", "strategy"):
            for name, value in saved.group(group).values.items():
                decoder.put(strategy, name, value)
        for name, kind in NUMBERED.items():
            kind.refbasis = count(saved.integer(name))
        lost += [
            f"{name} is None: its class must be named in the strategy's module to be made anew."
            for name in decoder.not_made
        ]
        for text in lost:
            (self.p.warn or warnings.warn)(text)
        return decoder

    def _restore_lines(self, saved: Fields, strategy: Any, decoder: Decoder) -> None:
        lines, indicators = [line for line, _ in _buffers(strategy)], list(_indicators(strategy))
        buffers, states = saved.items("buffers"), saved.items("indicators")
        names = [type(one).__name__ for one in indicators]
        if [state[0] for state in states] != names or len(buffers) != len(lines):
            raise CheckpointError(
                "snapshot: the indicators must be those that were saved. Use the strategy as it was."
            )
        for line, values in zip(lines, buffers, strict=True):
            content = decoder.decode(values["values"])
            if len(content) > line.array.maxlen:
                raise CheckpointError("snapshot: a line holds more bars than its indicators need")
            line.array.extend(content)
            line._idx, line.lencount = len(content) - 1, values["length"]
        for one, (_, state) in zip(indicators, states, strict=True):
            for name, value in state.items():
                decoder.put(one, name, value)


def _next_number(kind: Any) -> int:
    return int(repr(kind.refbasis).removeprefix("count(").removesuffix(")"))


def _buffer(line: Any, encoder: Encoder, most: int) -> dict[str, Any]:
    held = list(line.array)
    return {"values": encoder.encode(held[max(len(held) - most, 0) :]), "length": line.lencount}


def _own_attributes(strategy: Any) -> Iterator[tuple[str, Any]]:
    """Yield the attributes that a subclass of `NeuroStrategy` has added."""
    known = strategy._framework | LATER | set(STRATEGY)
    for name, value in attributes(strategy):
        if name not in known:
            yield name, value


def _indicators(owner: Any) -> Iterator[Any]:
    """Yield all indicators of a strategy, those inside others after them."""
    for indicator in owner._lineiterators[bt.LineIterator.IndType]:
        yield indicator
        if hasattr(indicator, "_lineiterators"):
            yield from _indicators(indicator)


def _buffers(strategy: Any) -> Iterator[tuple[Any, int]]:
    """Yield the buffer of each line of feed, strategy and indicators, once, and how many bars of it to save.

    A feed that has looked for another bar and found none has dropped its oldest, which the next one drops too.
    """
    seen: set[int] = set()
    for owner in (*strategy.datas, strategy, *_indicators(strategy)):
        for line in owner.lines:
            if id(line) not in seen:
                seen.add(id(line))
                yield line, line.array.maxlen - isinstance(owner, bt.AbstractDataBase)


def forget(strategy: bt.Strategy) -> None:
    """Remove finished orders and trades, which backtrader keeps to the end: some 5 KB each."""
    broker = strategy.broker
    strategy._orders.clear()
    broker.orders.clear()
    for ref, family in list(broker._pchildren.items()):
        if not any(order.alive() for order in family):
            del broker._pchildren[ref]
    # For each order backtrader keeps its group of "one cancels others": 60 bytes each, for ever.
    waiting = (*broker.pending, *broker.submitted, *chain.from_iterable(broker._pchildren.values()))
    needed = {order.ref for order in waiting if order is not None}.union(*broker._ocol.values())
    for ref in broker._ocos.keys() - needed - broker._ocol.keys():
        del broker._ocos[ref]
    for trades in strategy._trades.values():
        for numbered in trades.values():
            del numbered[:-1]  # backtrader continues from the last one
