"""Feed to learn from, put first among a strategy's feeds; feeds that its features read."""

from __future__ import annotations

from typing import Any

import backtrader as bt

from bt_neuro.errors import StrategyError, did_you_mean
from bt_neuro.plugin.stamps import name_of, require_all_closed


class LearnedFeedFirst(type(bt.Strategy)):  # type: ignore[misc]
    """Metaclass of strategies whose parameter ``data`` names the feed that they see as their first.

    backtrader then takes prices, orders, positions and indicators without data from that feed.
    """

    def __call__(cls, *args: Any, **params: Any) -> Any:
        wanted = params.get("data", getattr(cls.params, "data", None))
        if wanted is not None:
            feeds = [arg for arg in args if isinstance(arg, bt.feed.AbstractDataBase)]
            chosen = feeds[_index(cls, feeds, wanted)]
            args = (chosen, *(feed for feed in feeds if feed is not chosen), *args[len(feeds) :])
        return super().__call__(*args, **params)


def _index(cls: type, feeds: list[Any], wanted: Any) -> int:
    names = [feed._name for feed in feeds]
    if isinstance(wanted, str):
        if names.count(wanted) == 1:
            return names.index(wanted)
        hint = "Give each feed a name of its own." if wanted in names else did_you_mean(wanted, names).strip()
        raise StrategyError(f"{cls.__name__}: data must be the name of one feed, got {wanted!r}. {hint}")
    if isinstance(wanted, bool) or not isinstance(wanted, int) or not 0 <= wanted < len(feeds):
        raise StrategyError(
            f"{cls.__name__}: data must be a feed's name or an index below {len(feeds)}, got {wanted!r}."
        )
    return wanted


def feeds_of(line: Any, datas: list[Any], as_of: bool = False) -> list[Any]:
    """Return the feeds from whose bars a line is computed, each once; with `as_of` those that `AsOf` reads too."""
    found: list[Any] = []
    _collect(line, datas, found, set(), as_of)
    return found


def _collect(line: Any, datas: list[Any], found: list[Any], seen: set[int], as_of: bool) -> None:
    if id(line) in seen:
        return
    seen.add(id(line))
    for data in datas:
        if line is data:
            found.append(data)
            return
    sources = getattr(line, "__dict__", {})
    parts = sources.get("_datas") or sources.get("datas")
    if not parts and isinstance(line, bt.lineseries.LineSeriesStub):
        parts = [line.lines[0]]
    if not parts and not isinstance(line, bt.Strategy):
        parts = [sources.get("_owner")]
    for part in [*(parts or ()), sources.get("as_of") if as_of else None]:
        if isinstance(part, bt.LineRoot):
            _collect(part, datas, found, seen, as_of)


def require_one_clock(strategy: Any, features: dict[str, Any]) -> None:
    """Raise StrategyError for a feature computed from two feeds at once."""
    for name, line in features.items():
        feeds = feeds_of(line, strategy.datas)
        if len(feeds) > 1:
            names = " and ".join(map(name_of, feeds))
            raise StrategyError(
                f"{type(strategy).__name__}.features(): {name} must come from one feed, got {names}. backtrader pairs "
                "their bars by number, not by time. Return a line of each, or bt_neuro.indicators.AsOf(...)."
            )


def require_feeds_together(strategy: Any) -> None:
    """Raise StrategyError if the feeds of a strategy cannot be combined."""
    require_all_closed(strategy.datas)
    if len(strategy.datas) > 1 and strategy._oldsync:
        raise StrategyError(
            "With oldsync=True backtrader loses bars of all feeds but the first. Leave it out."
        )
