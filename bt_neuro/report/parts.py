"""Parts of a page: the summary of a run, and sections with figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bt_neuro.report.tables import Table

if TYPE_CHECKING:
    from bokeh.model import Model  # slow to load, and the console needs the summary alone


@dataclass(frozen=True)
class Summary:
    """Words, figures and tables of a run.

    Attributes
    ----------
    title : of the browser's tab
    headline : sentences
    tiles : name, text and further text of the main figures
    notes : reasons for doubt, costs, pretraining, votes
    block : label and text of all figures
    tables : further figures
    lists : labels and texts, by heading
    points : sentences, by heading
    timing : device and seconds
    """

    title: str
    headline: tuple[str, ...]
    tiles: tuple[tuple[str, str, str], ...] = ()
    notes: tuple[str, ...] = ()
    block: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()
    lists: dict[str, dict[str, str]] = field(default_factory=dict)
    points: dict[str, tuple[str, ...]] = field(default_factory=dict)
    timing: str = ""


@dataclass(frozen=True)
class Section:
    """A heading, a caption, and figures beside each other where there is room.

    Attributes
    ----------
    name : id in the page
    trades : heading, column and form of the table of trades; see `trade_source`
    tables : below the figures
    """

    name: str
    title: str
    caption: str = ""
    figures: tuple[Model, ...] = ()
    trades: tuple[tuple[str, str, str], ...] = ()
    tables: tuple[Table, ...] = ()

    @property
    def hours(self) -> list[tuple[int, str]]:
        return [(hour, f"{hour:02d}") for hour in range(24)]
