"""Tables of a portfolio: instruments, and the common account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bt_neuro.report.tables import Table, seed_table

UNKNOWN = "–"
LIFT = ("lift_low_pct", "lift_high_pct")


def portfolio_tables(m: Mapping[str, Any]) -> tuple[Table, ...]:
    """Return the table of instruments with the pooled row, the account, and the networks of a vote alone."""
    headings = ("", "bars", "signals", "hits %", "lift", "best baseline", "trades", "net", "price %")
    rows = [
        (
            name,
            f"{one['bars']:,}",
            f"{one['signals']:,}",
            _number(one["hit_rate_pct"], ".1f"),
            _number(one["lift_pct"], "+.1f"),
            one["best_baseline"] or UNKNOWN,
            f"{one['trades']:,}",
            _number(one["net"], "+,.2f"),
            _number(one["price_change_pct"], "+.1f"),
        )
        for name, one in m["instruments"].items()
    ]
    pooled, money = m["pooled"], m["account"]
    together = (
        "all",
        f"{sum(one['bars'] for one in m['instruments'].values()):,}",
        f"{pooled['signals']:,}",
        _number(pooled["hit_rate_pct"], ".1f"),
        _number(pooled["lift_pct"], "+.1f"),
        "",
        f"{money['trades']:,}",
        _number(money["net"], "+,.2f"),
        _number(money["equal_hold_pct"], "+.1f"),
    )
    account = (
        ("equity at the end", _number(money["equity_end"], ",.2f")),
        ("return %", _number(money["return_pct"], "+.1f")),
        ("largest drawdown %", _number(money["max_drawdown_pct"], ".1f")),
        ("Sharpe ratio, daily, annualised", _number(money["sharpe_ratio_daily_annualised"], ".2f")),
        ("orders refused", f"{money['refused_orders']:,} of {money['orders']:,}"),
        ("lift, 95 % interval", " to ".join(_number(pooled[name], "+.1f") for name in LIFT)),
    )
    seeds = m.get("seeds") or {}
    return (
        Table(headings, [*rows, together], "Instruments", frozenset([len(rows)])),
        Table(("", ""), account, "Account"),
        *(
            [_networks_table(m["instruments"])]
            if all(one.get("seeds") for one in m["instruments"].values())
            else ()
        ),
        *([seed_table({**money, "seeds": seeds})] if "return_pct" in seeds else ()),
    )


def _networks_table(instruments: Mapping[str, Any]) -> Table:
    """Return hit rate and Brier score of the vote, and of its networks alone, for each instrument."""
    rows = []
    for name, one in instruments.items():
        cells = [name]
        for key, form in (("hit_rate_pct", ".1f"), ("brier_score", ".4f")):
            alone = one["seeds"][key]
            figures = one[key], alone["median"], alone["low"], alone["high"]
            cells += [_number(figure, form) for figure in figures]
        rows.append(tuple(cells))
    headings = [
        "",
        *(f"{figure}{of}" for figure in ("hits %", "Brier") for of in (" vote", " median", " low", " high")),
    ]
    return Table(tuple(headings), rows, "The vote of each instrument, and its networks alone")


def _number(value: float | None, form: str) -> str:
    return UNKNOWN if value is None else format(value, form)
