"""Playback of a vote: all its networks together, then each alone."""

from __future__ import annotations

import io
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import backtrader as bt

from bt_neuro.errors import NeuroError
from bt_neuro.metrics.seeds import SeedMoney
from bt_neuro.plugin.bar_loop import request_stop
from bt_neuro.plugin.playback import NeedsNetwork, playing
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.money_tables import PREFIX
from bt_neuro.runs.no_effects import EffectRefusedError, no_effects
from bt_neuro.runs.shutdown import graceful_shutdown

NOT_WANTED = SeedMoney(reason="add --seed-money, which takes about as long as the run")
Ran = TypeVar("Ran")


def require_vote(seed_money: bool, seeds: int) -> None:
    """Raise NeuroError if each network of a vote is to be traded alone, and there is only one."""
    if seed_money and seeds == 1:  # a value of another kind is refused with the other parameters
        raise NeuroError("seeds must be 2 or more with --seed-money, got 1. Give --seeds 2, or leave it out.")


class NotPlayed(Exception):
    """Raised if the networks cannot be played one by one; the message says why."""


class VotePlayer(ABC):
    """Trades of a vote and of its networks, from their outputs.

    A strategy gets the signals of one network, as if that network had run alone, on the bars and the account of the
    run. It may trade by anything else but its network: first the vote itself is played, which must repeat the account
    of the run.
    """

    strategy: type[NeuroStrategy]

    def play(self, progress: Callable[[int, int], None] | None = None) -> SeedMoney:
        """Return the money of each network, or why it is unknown; nothing of a single network.

        Parameters
        ----------
        progress : called with (bars done, bars of all plays)
        """
        seeds, figures = self.seeds, list[dict[str, Any]]()
        if len(seeds) < 2:
            return SeedMoney()
        try:
            self.require_playable()
            for number, seed in enumerate([None, *seeds]):
                members = slice(None) if seed is None else slice(number - 1, number)
                own = {} if seed is None else {"seeds": 1, "seed": seed}
                played = self.trade(members, own)
                if seed is not None:
                    figures.append(self.figures(played))
                elif not self.is_repeated(played):
                    raise NotPlayed("played again, the vote itself does not give the same account")
                if progress is not None:
                    progress((number + 1) * self.bars_in_all, (1 + len(seeds)) * self.bars_in_all)
        except NotPlayed as reason:
            return SeedMoney((), str(reason))
        return SeedMoney(tuple(figures))

    @property
    @abstractmethod
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the networks."""

    @property
    @abstractmethod
    def bars_in_all(self) -> int:
        """Number of bars of a playback."""

    @abstractmethod
    def trade(self, members: slice, own: dict[str, Any]) -> Any:
        """Return the tables of a playback of some networks, with `own` parameters."""

    @abstractmethod
    def is_repeated(self, played: Any) -> bool:
        """Return whether a playback has the account of the run."""

    @abstractmethod
    def figures(self, played: Any) -> dict[str, Any]:
        """Return the metrics of a playback."""

    def require_playable(self) -> None:
        """Raise NotPlayed for a strategy that does more with its network than to predict."""
        if self.strategy._make_learner is not NeuroStrategy._make_learner:
            raise NotPlayed(f"{self.strategy.__name__} makes a learner of its own")

    def player(self, ran: NeuroStrategy, first_bar: int, outputs: Any) -> type[NeuroStrategy]:
        """Return the strategy with outputs (bars, networks, 3) from a bar on."""
        strategy = playing(self.strategy, ran._minperiods[0], first_bar, outputs)
        # What a strategy writes at its end, it has written for the run itself.
        strategy.stop = NeuroStrategy.stop
        return strategy

    def run(self, cerebro: bt.Cerebro, run: Callable[[bt.Cerebro], Ran], own: dict[str, Any]) -> Ran:
        """Run a Cerebro; raise NotPlayed if its strategy fails, or if the user ends it."""
        with graceful_shutdown(partial(request_stop, cerebro)) as stopped_by:
            played = self.attempt(cerebro, run, own)
            if stopped_by():
                raise NotPlayed(f"{stopped_by()} has ended the playback")
        return played

    def attempt(self, cerebro: bt.Cerebro, run: Callable[[bt.Cerebro], Ran], own: dict[str, Any]) -> Ran:
        """Run a Cerebro; raise NotPlayed if its strategy fails."""
        own_files = str(Path(tempfile.gettempdir(), PREFIX))
        try:
            # The run itself has printed, written and sent all this.
            with redirect_stdout(io.StringIO()), no_effects(own_files):
                return run(cerebro)
        except EffectRefusedError as effect:
            raise NotPlayed(f"{self.strategy.__name__} would {effect} again") from effect
        except NeedsNetwork as error:
            raise NotPlayed(f"{self.strategy.__name__} reads its network ({error})") from error
        except Exception as error:  # a strategy may raise anything
            played = f"with seed {own['seed']} alone" if own else "played again"
            raise NotPlayed(f"{played}, the strategy fails: {type(error).__name__}: {error}") from error
