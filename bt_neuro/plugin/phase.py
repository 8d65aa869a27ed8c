"""Phase: the state of a strategy."""

from __future__ import annotations

from enum import Enum, auto


class Phase(Enum):
    """State of a strategy, from its first bar to its last.

    WARM_UP : some features are not known yet
    RESUME : bars up to the last one of a checkpoint pass again and are verified
    PLAYBACK : the same, and they are decided again by recorded signals
    FIT : bars up to the end of ``pretrain`` become examples
    LIVE : each bar is learned, predicted and decided
    """

    WARM_UP = auto()
    RESUME = auto()
    PLAYBACK = auto()
    FIT = auto()
    LIVE = auto()
