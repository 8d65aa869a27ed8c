"""Base of the feeds of this package: bars that are complete when backtrader gets them."""

from __future__ import annotations

from datetime import time
from typing import Any

import backtrader as bt

from bt_neuro.plugin.bar_loop import give_buffers
from bt_neuro.plugin.stamps import require_ours


class FeedBase(bt.feed.DataBase):
    """Lines, sessions and buffers of a feed whose bars do not change."""

    lines = ("spread", "opened")
    params: Any = (("sessionend", time(0, 0)),)

    _is_held_back = False  # whether a bar may be: with exactbars=1, beside other feeds

    # With exactbars=1 backtrader takes a bar back that is too early, and then loads the one after it.
    def qbuffer(self, savemem: int = 0, replaying: bool = False) -> None:
        self._is_held_back = len(self._env.datas) > 1
        require_ours(self)
        give_buffers(self, self._is_held_back)

    def rewind(self, size: int = 1) -> None:
        if self._is_held_back:
            self._save2stack(erase=True, force=True)
        else:
            super().rewind(size)

    # backtrader copies each bar into eight tick_* attributes, for data that change within a bar. Nothing reads
    # them (the broker takes the bar where there is no tick), and they cost 7 microseconds a bar.
    tick_open = tick_high = tick_low = tick_close = None

    def _tick_nullify(self) -> None:
        pass

    def _tick_fill(self, force: bool = False) -> None:
        pass
