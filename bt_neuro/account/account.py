"""The money side of a backtest."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from bt_neuro.errors import StrategyError


@dataclass(frozen=True)
class Account:
    """The money side of a backtest.

    Parameters
    ----------
    cash : to start with (10,000)
    commission : fraction of the value traded, each side
    spread : in points; None takes the file's own spread column, or 0 where it has none
    slippage : in points, against every market order
    """

    cash: float = 10_000.0
    commission: float = 0.0
    spread: float | None = None
    slippage: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not (value >= 0 and math.isfinite(value)):
                raise StrategyError(f"{name} is {value}: it must be 0 or more")
        if self.commission >= 1:
            raise StrategyError(f"commission is {self.commission}: a fraction of the value, such as 0.0001")
        if self.cash == 0:
            raise StrategyError("cash is 0: there is nothing to trade with")
