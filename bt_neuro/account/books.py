"""Books of an account: money by kind, and orders by outcome."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import backtrader as bt

CENT = 0.01
REASONS = ("margin", "size", "ruin")


@dataclass
class Books:
    """Money that moved since the start of the run; costs and swaps are positive where they were paid.

    Parameters
    ----------
    opening : cash at the start
    deposits : deposits less withdrawals
    gross : profit of all closings, before costs
    commission, spread, swap : costs charged to cash
    slippage : cost of prices moved by slippage; already part of ``gross``
    forgiven : debt after ruin that negative balance protection took over
    """

    opening: float = 0.0
    deposits: float = 0.0
    gross: float = 0.0
    commission: float = 0.0
    spread: float = 0.0
    swap: float = 0.0
    slippage: float = 0.0
    forgiven: float = 0.0

    @property
    def costs(self) -> float:
        """Commission, spread and swap so far."""
        return self.commission + self.spread + self.swap

    @property
    def paid(self) -> float:
        """Costs and slippage so far: the same fills without costs would have earned this much more."""
        return self.costs + self.slippage

    def statement(self, closed_trades: float, open_trade: float, equity: float) -> dict[str, Any]:
        """Compare the sum of all trades with the account, part by part.

        Parameters
        ----------
        closed_trades : net result of all closed trades, swaps included
        open_trade : net result of open trades so far
        equity : at the end

        Returns
        -------
        dict
            ``opening_cash`` + ``deposits`` + ``closed_trades`` + ``open_trade`` + ``forgiven_debt`` +
            ``difference`` = ``closing_equity``, the costs by kind, and ``is_reconciled``: to the cent.
        """
        parts = {
            "opening_cash": self.opening,
            "deposits": self.deposits,
            "closed_trades": closed_trades,
            "open_trade": open_trade,
            "forgiven_debt": self.forgiven,
        }
        difference = equity - sum(parts.values())
        return {
            **parts,
            "difference": difference,
            "closing_equity": equity,
            "is_reconciled": abs(difference) < CENT,
            "commission": self.commission,
            "spread_costs": self.spread,
            "swap": self.swap,
            "slippage_costs": self.slippage,
        }

    def closing(self, open_profit: float) -> float:
        """Return the equity that the books add up to, with the unrealised profit of open positions."""
        return self.opening + self.deposits + self.gross - self.costs + self.forgiven + open_profit


@dataclass
class OrderCounts:
    """Orders by outcome.

    Parameters
    ----------
    orders : orders sent, stop-outs not included
    refused : number of refused orders by reason: margin, size, ruin
    partly_filled : orders filled in parts
    cut : orders filled only as far as buying power or the lot step allowed
    expired, stop_outs : number of each
    """

    orders: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    partly_filled: int = 0
    cut: int = 0
    expired: int = 0
    stop_outs: int = 0

    def count(self, order: bt.Order) -> None:
        """Count a change of an order's status."""
        if order.status == order.Expired:
            self.expired += 1
        elif order.status == order.Partial and len(order.executed.exbits) == 1:
            self.partly_filled += 1

    def as_dict(self) -> dict[str, Any]:
        """Return the counts in plain values."""
        return {
            "orders": self.orders,
            "refused_orders": self.refused.total(),
            **{f"refused_{reason}": self.refused[reason] for reason in REASONS},
            "partly_filled_orders": self.partly_filled,
            "cut_orders": self.cut,
            "expired_orders": self.expired,
            "stop_outs": self.stop_outs,
        }
