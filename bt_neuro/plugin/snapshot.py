"""Snapshot: the state of a strategy, its indicators and its broker as plain JSON values, and back.

Orders, trades and positions are made anew from a closed list of classes. Helper objects of a strategy are those that
a fresh run has made, or new ones of classes that the strategy's modules name. Nothing in a snapshot is code.
"""

from __future__ import annotations

import enum
import math
import sys
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
from backtrader import order as orders
from backtrader.lineseries import Lines
from backtrader.metabase import AutoInfoClass
from backtrader.position import Position
from backtrader.trade import Trade
from backtrader.utils.autodict import AutoDictList, AutoOrderedDict, DotDict

from bt_neuro.account.books import Books, OrderCounts
from bt_neuro.account.holding import Holding
from bt_neuro.errors import CheckpointError
from bt_neuro.learning.signals import ScoredSignal, Signal
from bt_neuro.plugin.feed_signal import FeedSignal

MOST_ITEMS = 10_000  # of a list or array: what grows with the bars would make checkpoints slow
KIND = "$"
_TUPLES = {"Signal": Signal, "ScoredSignal": ScoredSignal, "FeedSignal": FeedSignal}
_OBJECTS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        orders.BuyOrder,
        orders.SellOrder,
        orders.OrderData,
        orders.OrderExecutionBit,
        Position,
        Trade,
        Holding,
        Books,
        OrderCounts,
    )
}
_TIMES: dict[str, Any] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "Timestamp": pd.Timestamp,
    "Timedelta": pd.Timedelta,
}
_MAPS: dict[str, Callable[[Any], Any]] = {
    "dict": dict,
    "Counter": Counter,
    "OrderedDict": OrderedDict,
    "AutoOrderedDict": AutoOrderedDict,
    "AutoDictList": AutoDictList,
}
_STRUCTURE = (
    bt.LineRoot,
    bt.Analyzer,
    bt.Sizer,
    Lines,
    AutoInfoClass,
    DotDict,
    type,
    FunctionType,
    MethodType,
    BuiltinFunctionType,
    ModuleType,
)


class NotSaved(Exception):
    """A value that cannot be part of a snapshot."""


class Structure(NotSaved):
    """A part of the program: lines, indicators, functions. A fresh run makes it anew."""


class Encoder:
    """Values of one run as plain JSON values; an order or trade that occurs twice is one object again.

    Parameters
    ----------
    anchors : objects that every run has, by name, such as its feed
    classes : see `classes_of`
    """

    def __init__(self, anchors: dict[str, Any], classes: dict[str, type]) -> None:
        self._anchors, self._classes = {id(value): name for name, value in anchors.items()}, classes
        self._known: dict[int, int] = {}
        self._inside: set[int] = set()  # helper objects whose attributes are being encoded
        self._keep: list[Any] = []  # so that no id is used twice

    def encode(self, value: Any) -> Any:
        """Return a value as plain JSON.

        Raises
        ------
        NotSaved
            When it, or a part of it, cannot be saved.
        """
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {KIND: "float", "value": repr(value)}
        if id(value) in self._anchors:
            return {KIND: "anchor", "name": self._anchors[id(value)]}
        if isinstance(value, bt.CommInfoBase):
            return {KIND: "anchor", "name": "conditions"}
        if isinstance(value, _STRUCTURE):
            raise Structure(type(value).__name__)
        return self._container(value)

    def _container(self, value: Any) -> Any:
        kind = type(value)
        if isinstance(value, dict) and (kind.__name__ in _MAPS or kind.__name__ == "defaultdict"):
            name = "dict" if kind.__name__ == "defaultdict" else kind.__name__
            return {KIND: name, "items": self._items([list(pair) for pair in value.items()])}
        if kind is list:
            return self._items(value)
        if kind in (tuple, set, deque):
            most = {"most": value.maxlen} if kind is deque else {}
            return {KIND: kind.__name__, "items": self._items(list(value)), **most}
        if kind.__name__ in _TUPLES and isinstance(value, tuple):
            feed = (
                {"data": self.encode(getattr(value, "data", None))} if isinstance(value, FeedSignal) else {}
            )
            return {KIND: kind.__name__, "items": self._items(list(value)), **feed}
        if isinstance(value, enum.Enum) and self._classes.get(kind.__name__) is kind:
            return {KIND: "enum", "class": kind.__name__, "name": value.name}
        if kind.__name__ in _TIMES:
            return {KIND: kind.__name__, "value": value.isoformat()}
        if kind is timedelta:
            return {KIND: "timedelta", "value": value.total_seconds()}
        if isinstance(value, np.generic | np.ndarray) and value.dtype.kind in "bif":
            flat = self._items(value.ravel().tolist())
            return {KIND: "array", "dtype": value.dtype.str, "shape": list(value.shape), "items": flat}
        if kind in _OBJECTS.values():
            return self._object(value)
        if self._classes.get(kind.__name__) is kind:
            return self._helper(value)
        raise NotSaved(kind.__name__)

    def _items(self, values: list[Any]) -> list[Any]:
        if len(values) > MOST_ITEMS:
            raise NotSaved(f"more than {MOST_ITEMS:,} items")
        return [self.encode(value) for value in values]

    def _object(self, value: Any) -> Any:
        if id(value) in self._known:
            return {KIND: "again", "number": self._known[id(value)]}
        number = self._known[id(value)] = len(self._known)
        self._keep.append(value)
        state = {name: self.encode(one) for name, one in attributes(value)}
        encoded = {KIND: "object", "class": type(value).__name__, "number": number, "state": state}
        if isinstance(value, orders.OrderBase):
            names = value.params._getkeys()
            encoded["params"] = {name: self.encode(getattr(value.params, name)) for name in names}
        return encoded

    def encode_into(self, value: Any) -> Any:
        """Return a value that `Decoder.put` puts into the attribute of a fresh object; also a helper object.

        Raises
        ------
        NotSaved
            As `encode`.
        """
        try:
            return self.encode(value)
        except Structure:
            raise
        except NotSaved:
            return self._helper(value)

    def _helper(self, value: Any) -> Any:
        kind = type(value)
        if not hasattr(value, "__dict__") or not _is_plain(kind):
            raise NotSaved(kind.__name__)
        if id(value) in self._inside:
            raise NotSaved(f"{kind.__name__}, which refers to itself")
        self._inside.add(id(value))
        state = {}
        try:
            for name, one in attributes(value):
                with suppress(Structure):
                    state[name] = self.encode_into(one)
        finally:
            self._inside.remove(id(value))
        return {KIND: "into", "class": kind.__name__, "state": state}


class Decoder:
    """Values from what an `Encoder` returned.

    Parameters
    ----------
    anchors : the objects of this run by name
    classes : see `classes_of`

    Attributes
    ----------
    not_made : attributes whose class is not among `classes`
    """

    def __init__(self, anchors: dict[str, Any], classes: dict[str, type]) -> None:
        self._anchors, self._classes, self._made = anchors, classes, dict[int, Any]()
        self.not_made: list[str] = []

    def decode(self, value: Any) -> Any:
        """Return the value.

        Raises
        ------
        CheckpointError
            When it is not of an `Encoder`.
        """
        try:
            return self._decode(value)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"snapshot: {type(error).__name__}: {error}") from error

    def put(self, target: Any, name: str, value: Any) -> None:
        """Set an attribute to what `Encoder.encode_into` returned."""
        setattr(
            target, name, self._put(f"{type(target).__name__}.{name}", getattr(target, name, None), value)
        )

    def _put(self, name: str, present: Any, value: Any) -> Any:
        """Return the new value of an attribute; a helper object stays and gets its attributes."""
        if not (isinstance(value, dict) and value.get(KIND) == "into"):
            return self.decode(value)
        wanted = value.get("class")
        if present is None:
            kind = self._classes.get(str(wanted))
            if kind is None or not _is_plain(kind):
                self.not_made.append(name)
                return None
            present = object.__new__(kind)
        if type(present).__name__ != wanted:
            raise CheckpointError(
                f"{name} must be a {wanted}, got {type(present).__name__}. Use the strategy as it was."
            )
        state = vars(present)  # not by `setattr`: its class may be frozen
        for inner, one in value["state"].items():
            state[inner] = self._put(f"{name}.{inner}", state.get(inner), one)
        return present

    def _decode(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._decode(item) for item in value]
        if not isinstance(value, dict):
            return value
        kind = value[KIND]
        if kind == "float":
            return float(value["value"])
        if kind == "anchor":
            return self._anchors[value["name"]]
        if kind in _MAPS:
            return _MAPS[kind]({self._decode(key): self._decode(one) for key, one in value["items"]})
        if kind in _TIMES:
            return _TIMES[kind](value["value"])
        if kind == "timedelta":
            return timedelta(seconds=value["value"])
        if kind == "again":
            return self._made[value["number"]]
        if kind == "object":
            return self._object(value)
        if kind == "into":
            return self._put(value["class"], None, value)
        if kind == "enum":
            members: Any = self._classes[value["class"]]
            return members[value["name"]]
        items = self._decode(value["items"])
        if kind == "array":
            array = np.array(items, value["dtype"]).reshape(value["shape"])
            return array if array.ndim else array[()]
        if kind == "deque":
            return deque(items, maxlen=value["most"])
        if kind == "FeedSignal" and "data" in value:
            return FeedSignal.at(self._decode(value["data"]), Signal(*items))
        return (
            {"tuple": tuple, "set": set}[kind](items) if kind in ("tuple", "set") else _TUPLES[kind](*items)
        )

    def _object(self, value: dict[str, Any]) -> Any:
        kind = _OBJECTS[value["class"]]
        made: Any = object.__new__(kind)
        self._made[value["number"]] = made  # first: what it refers to may refer to it
        if issubclass(kind, orders.OrderBase):
            made.params = made.p = kind.params()
            for name, one in value["params"].items():
                setattr(made.params, name, self._decode(one))
        for name, one in value["state"].items():
            setattr(made, name, self._decode(one))
        return made


def attributes(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and value of each attribute of an object, but an order's params."""
    slots = () if hasattr(value, "__dict__") else type(value).__slots__
    for name in (*slots, *getattr(value, "__dict__", ())):
        if not (isinstance(value, orders.OrderBase) and name in ("params", "p")):
            yield name, getattr(value, name)


def classes_of(strategy: Any) -> dict[str, type]:
    """Return classes by their names in the modules of a strategy's class and of those it inherits from."""
    own = [kind.__module__ for kind in reversed(type(strategy).__mro__) if not is_of_library(kind)]
    modules = [sys.modules[name] for name in own if name in sys.modules]
    named = {
        name: kind for module in modules for name, kind in vars(module).items() if isinstance(kind, type)
    }
    return {name: kind for name, kind in named.items() if not is_of_library(kind)}


def is_of_library(kind: type, *names: str) -> bool:
    """Return whether a class is of a package, by default of backtrader, bt-neuro or Python itself."""
    return kind.__module__.partition(".")[0] in (names or ("backtrader", "bt_neuro", "builtins"))


def _is_plain(kind: Any) -> bool:
    """Return whether all that objects of a class hold is in their attributes."""
    return kind.__new__ is object.__new__ and not is_of_library(kind, "backtrader")
