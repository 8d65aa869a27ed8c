"""What a search may choose from: ranges and choices of a strategy's parameters."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bt_neuro.errors import StrategyError
from bt_neuro.plugin.loading import parse_parameters
from bt_neuro.plugin.strategy import NeuroStrategy

Parameters = dict[str, Any]

# Not to be searched, and why.
REFUSED = {
    "seed": "the best of several seeds is luck, not a better strategy",
    "device": "it changes no result",
}


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones if both are `int`; `log` spreads magnitudes."""

    low: float
    high: float
    log: bool = False

    @property
    def is_whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def values(self) -> Sequence[Any] | None:
        """All values, or None where they cannot be counted."""
        return range(int(self.low), int(self.high) + 1) if self.is_whole else None

    def __contains__(self, value: object) -> bool:
        known = isinstance(value, int | float) and not isinstance(value, bool)
        return known and self.low <= value <= self.high  # type: ignore[operator]

    def __str__(self) -> str:
        return f"{self.low}..{self.high}{':log' if self.log else ''}"


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return ",".join(map(str, self.values))


Space = dict[str, Range | Choice]


def parse_search(search: Mapping[str, Any] | Iterable[str], strategy: type[NeuroStrategy]) -> Space:
    """Return what ``name=low..high``, ``name=low..high:log`` and ``name=a,b,c`` let a search choose from.

    Parameters
    ----------
    search : such words; or a dict of names and what stands behind ``=``, or a list of values
    strategy : whose parameters they are. Where a parameter is a float by default, so are the numbers of its
        range

    Raises
    ------
    StrategyError
        When a name is none of its parameters, or there is nothing to choose from.

    Examples
    --------
    >>> space = parse_search(["learning_rate=1e-5..1e-2:log", "wing=1,2,3"], NeuroStrategy)
    >>> space["learning_rate"], space["wing"]
    (Range(low=1e-05, high=0.01, log=True), Choice(values=(1, 2, 3)))
    >>> parse_search({"size": "0..1", "history_bars": [10, 20]}, NeuroStrategy)
    {'size': Range(low=0.0, high=1.0, log=False), 'history_bars': Choice(values=(10, 20))}
    """
    given = search.items() if isinstance(search, Mapping) else map(_named, search)
    defaults = dict(strategy.params._getitems())
    space: Space = {}
    for name, wanted in given:
        ((known, _),) = parse_parameters([f"{name}=0"], strategy).items()  # or it says what was meant
        if known in REFUSED:
            raise StrategyError(f"{known} cannot be searched: {REFUSED[known]}")
        if known in space:
            raise StrategyError(f"{known} is searched twice; give all its values in one search")
        space[known] = _parse(known, wanted, strategy, isinstance(defaults[known], float))
    if not space:
        raise StrategyError(
            "nothing to search: give parameters, such as --search learning_rate=1e-5..1e-2:log"
        )
    return space


def _named(word: str) -> tuple[str, str]:
    name, equals, text = word.partition("=")
    if not equals:
        raise StrategyError(f"search {word!r} needs values: name=low..high, name=low..high:log or name=a,b,c")
    return name.strip(), text.strip()


def _parse(name: str, wanted: Any, strategy: type[NeuroStrategy], fractions: bool) -> Range | Choice:
    if isinstance(wanted, Range | Choice):
        return wanted
    if isinstance(wanted, str):
        if ".." in wanted:
            return _parse_range(name, wanted, fractions)
        wanted = [parse_parameters([f"{name}={word}"], strategy)[name] for word in wanted.split(",")]
    if not isinstance(wanted, Sequence):
        raise StrategyError(f"{name}: {wanted!r} is no search; give 'low..high' or a list of values")
    for value in wanted:
        if not isinstance(value, str | int | float | bool | None):
            raise StrategyError(f"{name}: {value!r} cannot be searched; give numbers, words, True or False")
    values = tuple(dict.fromkeys(wanted))
    if len(values) < 2:
        raise StrategyError(
            f"{name}={','.join(map(str, values))} leaves nothing to choose: give low..high or a,b,c, "
            "or fix it as a parameter"
        )
    return Choice(values)


def _parse_range(name: str, text: str, fractions: bool) -> Range:
    found = re.fullmatch(r"(.+?)\.\.(.+?)(:log)?", text)
    try:
        if found is None:
            raise ValueError
        low, high = _number(found[1]), _number(found[2])
    except ValueError:
        raise StrategyError(
            f"{name}={text} is no range: give low..high or low..high:log, such as 10..40 or 1e-5..1e-2:log"
        ) from None
    whole = isinstance(low, int) and isinstance(high, int) and not fractions
    low, high = (low, high) if whole else (float(low), float(high))
    if not low < high:
        raise StrategyError(f"{name}={text} is empty: give the lower number first")
    if found[3] and low <= 0:
        raise StrategyError(f"{name}={text}: magnitudes are spread above 0 only; begin above 0, or drop :log")
    return Range(low, high, log=bool(found[3]))


def _number(text: str) -> float:
    try:
        return int(text)
    except ValueError:
        number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def combinations(space: Space, at_most: int) -> list[Parameters] | None:
    """Return all combinations of a space, or None where there are more than `at_most`.

    Examples
    --------
    >>> combinations({"wing": Range(1, 2), "learning": Choice((True, False))}, at_most=4)[:2]
    [{'wing': 1, 'learns': True}, {'wing': 1, 'learns': False}]
    >>> combinations({"size": Range(0.1, 0.2)}, at_most=4)
    """
    values = [one.values for one in space.values()]
    if any(known is None for known in values):
        return None
    countable = [known for known in values if known is not None]
    if math.prod(map(len, countable)) > at_most:
        return None
    return [dict(zip(space, chosen, strict=True)) for chosen in itertools.product(*countable)]
