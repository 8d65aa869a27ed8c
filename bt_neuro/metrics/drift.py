"""Drift detection: changes of the network's error, by ADWIN."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.metrics.adwin import Adwin
from bt_neuro.metrics.predictions import ScoredBars, brier_scores


def error_changes(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the bars at which the network's error changed, by ADWIN.

    Parameters
    ----------
    predictions : as in ``predictions.csv``

    Returns
    -------
    DataFrame
        One row per change: ``bar`` and ``datetime`` of the first bar after it, ``found_bar`` (whose label
        revealed it), ``before`` and ``after`` (mean Brier score from the last change on, and to the next).

    Notes
    -----
    The error is the Brier score, halved to lie in 0 to 1. The buckets of `Adwin` grow with age, so the bar is
    exact to some hundred bars.
    """
    rows, targets, probabilities, _ = ScoredBars.of(predictions)
    errors = brier_scores(probabilities, targets)
    cuts = list(_cuts(errors / 2))
    changes, found = [row + 1 - width for row, width in cuts], [row for row, _ in cuts]
    levels = [float(part.mean()) if len(part) else None for part in np.split(errors, changes)]
    table = predictions[rows]
    return pd.DataFrame(
        {
            "bar": table["bar"].to_numpy()[changes],
            "datetime": table["datetime"].to_numpy()[changes],
            "found_bar": table["known_bar"].to_numpy(dtype=int)[found],
            "before": levels[:-1],
            "after": levels[1:],
        }
    )


def _cuts(errors: NDArray[np.floating]) -> Iterator[tuple[int, int]]:
    """Yield the row at which ADWIN cut its window, and the number of rows it kept."""
    window = Adwin()
    for row, error in enumerate(errors.tolist()):
        if window.update(error):
            yield row, window.width
