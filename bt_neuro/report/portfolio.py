"""Tables of a portfolio: instruments, and the common account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bt_neuro.report.tables import Table, drawdown_tile, interval_tile, seed_table, shown

LIFT = ("lift_low_pct", "lift_high_pct")


def portfolio_tables(m: Mapping[str, Any]) -> tuple[Table, ...]:
    """Return the table of instruments with the pooled row, the account, and the networks of a vote alone."""
    headings = (
        "instrument", "bars", "signals", "hit rate, %", "lift, pp", "best baseline", "trades", "net", "price, %",
    )  # fmt: skip
    rows = [
        (
            name,
            f"{one['bars']:,}",
            f"{one['signals']:,}",
            shown(one["hit_rate_pct"], ".1f"),
            shown(one["lift_pct"], "+.1f"),
            one["best_baseline"] or "--",
            f"{one['trades']:,}",
            shown(one["net"], "+,.2f"),
            shown(one["price_change_pct"], "+.1f"),
        )
        for name, one in m["instruments"].items()
    ]
    pooled, money = m["pooled"], m["account"]
    together = (
        "all",
        f"{sum(one['bars'] for one in m['instruments'].values()):,}",
        f"{pooled['signals']:,}",
        shown(pooled["hit_rate_pct"], ".1f"),
        shown(pooled["lift_pct"], "+.1f"),
        "",
        f"{money['trades']:,}",
        shown(money["net"], "+,.2f"),
        shown(money["equal_hold_pct"], "+.1f"),
    )
    account = (
        ("equity at the end", shown(money["equity_end"], ",.2f")),
        ("return, %", shown(money["return_pct"], "+.1f")),
        ("largest drawdown, %", shown(money["max_drawdown_pct"], ".1f")),
        ("Sharpe ratio, daily, annualised", shown(money["sharpe_ratio_daily_annualised"], ".2f")),
        ("orders refused", f"{money['refused_orders']:,} of {money['orders']:,}"),
        ("lift, pp, 95 % interval", " to ".join(shown(pooled[name], "+.1f") for name in LIFT)),
    )
    seeds = m.get("seeds") or {}
    tables = [
        Table(headings, [*rows, together], "Instruments", frozenset([len(rows)])),
        Table(("account", "value"), account, "Account"),
    ]
    if all(one.get("seeds") for one in m["instruments"].values()):
        tables.append(_networks_table(m["instruments"]))
    if "return_pct" in seeds:
        tables.append(seed_table({**money, "seeds": seeds}))
    return tuple(tables)


def _networks_table(instruments: Mapping[str, Any]) -> Table:
    """Return hit rate and Brier score of the vote, and of its networks alone, for each instrument."""
    rows = []
    for name, one in instruments.items():
        cells = [name]
        for key, form in (("hit_rate_pct", ".1f"), ("brier_score", ".4f")):
            alone = one["seeds"][key]
            figures = one[key], alone["median"], alone["low"], alone["high"]
            cells += [shown(figure, form) for figure in figures]
        rows.append(tuple(cells))
    headings = [
        "",
        *(f"{figure}{of}" for figure in ("hits, %", "Brier") for of in (" vote", " median", " low", " high")),
    ]
    return Table(tuple(headings), rows, "The vote of each instrument, and its networks alone")


def portfolio_tiles(m: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """Return the main figures: name, text and further text."""
    pooled, money = m["pooled"], m["account"]
    return (
        interval_tile("Hit rate", pooled, "hit_rate_pct"),
        interval_tile("Lift over visible half", pooled, "lift_pct", "+.1f", " pp"),
        ("Return", shown(money["return_pct"], "+.1f", " %"), "after costs"),
        ("Equal parts held", shown(money["equal_hold_pct"], "+.1f", " %"), "before costs"),
        drawdown_tile(money),
        ("Trades", shown(money["trades"], ",d"), f"net {shown(money['net'], '+,.2f')}"),
    )


def portfolio_notes(m: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was paid, a warning if no spread was, and what happened to orders."""
    money = m["account"]
    if paid := money.get("reconciliation"):
        kinds = {
            "spread": "spread_costs",
            "commission": "commission",
            "slippage": "slippage_costs",
            "swap": "swap",
        }
        text = ", ".join(f"{name} {paid[key]:,.2f}" for name, key in kinds.items())
        yield f"Costs in money: {text}."
        if money["trades"] and not paid["spread_costs"]:
            yield "No spread was charged: the files have none, or 0, and --spread is not given. Real costs are higher."
    yield from money.get("order_notes") or ()
