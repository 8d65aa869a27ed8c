"""Settings of an account: cash, costs, leverage and the rules of the instrument."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

import backtrader as bt

from bt_neuro.account.broker import MarginBroker
from bt_neuro.account.instrument import FINEST, Instrument
from bt_neuro.errors import StrategyError, did_you_mean

CALENDAR = "calendar"
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")
# ESMA 2018: leverage 30 on major currencies, 2 on crypto, closed out at half the margin. Regulation T and
# FINRA 4210: half the value to begin with, then 25 % of it for longs, 30 % for shorts. Interactive Brokers'
# fixed price of US stocks. Futures: the maintenance margin is often 90 % of the initial one.
PRESETS: dict[str, dict[str, Any]] = {
    "off": {},
    "forex": {"leverage": 30.0, "lot": 100_000.0, "lot_step": 0.01},
    "stock": {
        "leverage": 2.0,
        "stop_out_short": 0.6,
        "lot_step": 1.0,
        "commission_lot": 0.005,
        "commission_minimum": 1.0,
        "commission_cap": 0.01,
        "swap_unit": "percent",
        "triple_day": CALENDAR,
    },
    "crypto": {
        "leverage": 2.0,
        "lot_step": 1e-5,
        "commission": 0.001,
        "swap_unit": "percent",
        "triple_day": CALENDAR,
    },
    "futures": {"stop_out": 0.9, "lot_step": 1.0, "triple_day": CALENDAR},
}


NOT_NUMBERS = ("preset", "swap_unit", "triple_day", "protected")
MAY_BE_NONE = ("spread", "stop_out_short", "commission_cap")


@dataclass(frozen=True)
class Account:
    """Settings of an account.

    Parameters
    ----------
    cash : money at the start
    commission : fraction of the value traded, each side
    spread : points; None reads the file's own spread column, 0 where it has none
    slippage : points, against market and stop orders, and limit orders that the open passes; as far as the
        bar and the limit reach
    preset : name of the preset the other settings started from, see `Account.of`
    leverage : value of the positions per unit of margin, at least 1
    stop_out : share of the initial margin at which a position is closed
    stop_out_short : the same for shorts; None as for longs
    contract_margin : initial margin of one contract in money, which replaces `leverage`; 0 for none
    multiplier : money a unit gains when the price rises by 1; nothing else converts currencies
    commission_lot : money a lot and side; a share or contract where a lot is one of them
    commission_minimum : minimum commission of an order
    commission_cap : most commission of an order, as a fraction of its value; None for no limit
    slippage_range : share of the executing bar's range, instead of points
    swap_long, swap_short : credited for each night, negative values are paid; points, or percent a year
    swap_unit : ``"points"`` or ``"percent"``
    triple_day : weekday whose night counts three times, or ``"calendar"`` where each night counts once
    lot : units of one lot
    lot_step : sizes are multiples of it, in lots
    lot_minimum : smallest size that opens or adds to a position, in lots; closing is exact
    protected : negative balance protection; a debt after ruin is forgiven

    Raises
    ------
    StrategyError
        A setting outside its range.

    Examples
    --------
    >>> Account.of("forex", spread=12).leverage
    30.0
    """

    cash: float = 10_000.0
    commission: float = 0.0
    spread: float | None = None
    slippage: float = 0.0
    preset: str = "off"
    leverage: float = 1.0
    stop_out: float = 0.5
    stop_out_short: float | None = None
    contract_margin: float = 0.0
    multiplier: float = 1.0
    commission_lot: float = 0.0
    commission_minimum: float = 0.0
    commission_cap: float | None = None
    slippage_range: float = 0.0
    swap_long: float = 0.0
    swap_short: float = 0.0
    swap_unit: str = "points"
    triple_day: str = "wednesday"
    lot: float = 1.0
    lot_step: float = 1e-8
    lot_minimum: float = 0.0
    protected: bool = False

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name in NOT_NUMBERS or (value is None and name in MAY_BE_NONE):
                continue
            is_number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
            if name.startswith("swap"):
                if not is_number:
                    raise StrategyError(f"{name} must be a finite number, got {value!r}.")
            elif not is_number or value < 0:
                raise StrategyError(f"{name} must be a finite number of at least 0, got {value!r}.")
        if not isinstance(self.protected, bool):
            raise StrategyError(f"protected must be True or False, got {self.protected!r}.")
        for name in ("cash", "multiplier", "lot", "lot_step"):
            if getattr(self, name) == 0:
                raise StrategyError(f"{name} must be above 0, got 0.")
        if self.lot * self.lot_step < FINEST:
            raise StrategyError(
                f"lot x lot_step must be at least {FINEST} units, got {self.lot * self.lot_step:g}. "
                "Use a larger lot_step."
            )
        if self.leverage < 1:
            raise StrategyError(f"leverage must be at least 1, got {self.leverage}.")
        if self.commission >= 1:
            raise StrategyError(
                f"commission must be a fraction of the value below 1, got {self.commission}. "
                "One basis point is 0.0001."
            )
        if not 0 <= self.slippage_range <= 1 or (self.slippage and self.slippage_range):
            raise StrategyError(
                f"slippage must be points or a share 0..1 of the range, "
                f"got {self.slippage} and {self.slippage_range}. Give one of them."
            )
        if self.triple_day not in (*WEEKDAYS, CALENDAR):
            known = did_you_mean(self.triple_day, (*WEEKDAYS, CALENDAR))
            raise StrategyError(
                f"triple_day must be a weekday or 'calendar', got {self.triple_day!r}.{known}"
            )
        if self.preset == "futures" and not self.contract_margin:
            raise StrategyError(
                "contract_margin must be given for futures, got 0. Give the margin of one contract in money."
            )
        self.instrument()

    @classmethod
    def of(cls, preset: str = "off", **settings: Any) -> Account:
        """Return a preset with some settings replaced; a setting of None keeps the preset's.

        Parameters
        ----------
        preset : off, forex, stock, crypto or futures
        **settings : parameters of `Account`
        """
        if preset not in PRESETS:
            raise StrategyError(
                f"account must be one of {', '.join(PRESETS)}, got {preset!r}.{did_you_mean(preset, PRESETS)}"
            )
        if unknown := settings.keys() - cls.__dataclass_fields__.keys():
            name = min(unknown)
            raise StrategyError(
                f"An account has no setting {name!r}.{did_you_mean(name, cls.__dataclass_fields__)}"
            )
        given = {name: value for name, value in settings.items() if value is not None}
        return cls(**{"preset": preset, **PRESETS[preset], **given})

    def instrument(self, point: float | None = None) -> Instrument:
        """Return the trading conditions, for quotes of that point."""
        nights = [1] * 7
        if self.triple_day != CALENDAR:
            nights[WEEKDAYS.index(self.triple_day)], nights[5:] = 3, [0, 0]
        return Instrument(
            margin_rate=1 / self.leverage,
            mult=self.multiplier,
            point=point,
            nights=tuple(nights),
            step=round(self.lot * self.lot_step, 10),
            least=round(self.lot * self.lot_minimum, 10),
            **{name: getattr(self, name) for name in SAME_IN_INSTRUMENT},
        )

    def use(self, broker: MarginBroker, point: float | None = None, name: str | None = None) -> None:
        """Give a broker this account's cash and conditions.

        Parameters
        ----------
        broker : without orders yet
        point : price of one point; None takes the decimals of a `BarsFeed`'s prices
        name : of the feed the conditions hold for; None for all
        """
        broker.accounts = {**broker.accounts, name: self}
        broker.setcash(self.cash)
        broker.addcommissioninfo(self.instrument(point), name=name)
        broker.p.protected = self.protected


SAME_IN_INSTRUMENT = (
    "commission",
    "commission_lot",
    "commission_minimum",
    "commission_cap",
    "spread",
    "slippage",
    "slippage_range",
    "contract_margin",
    "stop_out",
    "stop_out_short",
    "lot",
    "swap_long",
    "swap_short",
    "swap_unit",
)


def margin_account(
    cerebro: bt.Cerebro,
    preset: str = "off",
    *,
    point: float | None = None,
    name: str | None = None,
    **settings: Any,
) -> MarginBroker:
    """Give a Cerebro a margin account and return its broker.

    Parameters
    ----------
    cerebro : its broker is replaced. Cash and `protected` are of the whole account: they are kept unless
        `settings` has others
    preset : off, forex, stock, crypto or futures
    point : price of one point; None takes the decimals of a `BarsFeed`'s prices
    name : of the feed the conditions hold for, in a further call for each; None for all feeds
    **settings : parameters of `Account`

    Examples
    --------
    >>> cerebro = bt.Cerebro()
    >>> broker = margin_account(cerebro, "forex", leverage=30, cash=50_000, spread=12)
    >>> cerebro.broker is broker, broker.getcash()
    (True, 50000)
    """
    if not isinstance(cerebro.broker, MarginBroker):
        cerebro.broker = MarginBroker(cash=cerebro.broker.p.cash)
    broker = cerebro.broker
    kept = {"cash": broker.p.cash, "protected": broker.p.protected}
    Account.of(preset, **{**kept, **settings}).use(broker, point, name)
    return broker
