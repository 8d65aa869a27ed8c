"""Text alternative of a figure: its title, and the numbers of its lines and bars."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from bokeh.model import Model
from bokeh.models import GlyphRenderer, Legend, Plot

MOST = 8  # lines of a figure


def text_alternative(figure: Model) -> str:
    """Return the text alternative of a figure, for screen readers.

    Parameters
    ----------
    figure : a plot, or a layout of plots

    Examples
    --------
    >>> from bokeh.plotting import figure
    >>> plot = figure(title="hits")
    >>> _ = plot.line([1, 2, 3], [0.5, 0.25, 1.0])
    >>> text_alternative(plot)
    'hits: 3 values from 0.5 to 1, lowest 0.25, highest 1.'
    """
    plots = [figure] if isinstance(figure, Plot) else list(figure.select({"type": Plot}))
    texts = [text for plot in plots if (text := _plot_text(plot))]
    return " ".join(texts) or "Chart of the bars."


def _plot_text(plot: Any) -> str:
    title = (getattr(plot.title, "text", "") or plot.name or "").replace("-", " ").replace("_", " ")
    labels = {
        renderer.id: item.label.value
        for legend in plot.select({"type": Legend})
        for item in legend.items
        for renderer in item.renderers
    }
    parts: dict[str, None] = {}
    for renderer in plot.renderers:
        if isinstance(renderer, GlyphRenderer):
            parts |= dict.fromkeys(_numbers(renderer, labels.get(renderer.id, "")))
    if plot.name == "bars":
        title = (
            "Candles of the bars with signals, fractals and trades. Arrow keys move, plus and minus zoom, "
            "n and p select a trade"
        )
    return f"{title}: {'; '.join(list(parts)[:MOST])}." if parts else (f"{title}." if title else "")


def _numbers(renderer: GlyphRenderer, label: str) -> Iterator[str]:
    """Yield the first, last, lowest and highest y value of a glyph."""
    glyph, data = renderer.glyph, renderer.data_source.data
    for name in ("y", "top", "y1"):
        field = getattr(glyph, name, None)
        if not isinstance(field, str) or field not in data:
            continue
        values = np.asarray(data[field])
        if values.dtype.kind not in "fiu":
            return
        values = values.astype(float)
        values = values[np.isfinite(values)]
        if len(values):
            first, last, low, high = (f"{v:.4g}" for v in (values[0], values[-1], values.min(), values.max()))
            known = f"{len(values):,} values from {first} to {last}, lowest {low}, highest {high}"
            yield f"{label}, {known}" if label else known
        return
