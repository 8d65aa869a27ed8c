"""Where the market changed under the network: ADWIN on its error."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.metrics.predictions import PROBABILITIES, brier_scores, targets_of


def error_changes(predictions: pd.DataFrame, delta: float = 0.002) -> pd.DataFrame:
    """Return the bars from which the network's error was another, as river's ADWIN finds them.

    Parameters
    ----------
    predictions : as in ``predictions.csv``
    delta : ADWIN's confidence; the smaller, the fewer false alarms

    Returns
    -------
    DataFrame
        One row a change: ``bar`` and ``datetime`` of the first bar after it, ``found_bar`` (the bar whose
        label made it known), ``before`` and ``after`` (mean Brier score back to the last change, and on to
        the next).

    Notes
    -----
    Bifet and Gavalda 2007. The error is each scored bar's Brier score, halved to lie in 0 to 1 as ADWIN's
    bound asks. The place of a change is where ADWIN cut its window, and it cuts between buckets that grow
    with age: the place is right to some hundred bars.
    """
    targets = targets_of(predictions)
    scored = targets.any(axis=1)
    errors = brier_scores(predictions[PROBABILITIES].to_numpy()[scored], targets[scored])
    rows = predictions[scored].reset_index(drop=True)
    changes, found = [], []
    for row, width in _cuts(errors / 2, delta):
        changes.append(row + 1 - width)
        found.append(row)
    levels = [float(part.mean()) if len(part) else None for part in np.split(errors, changes)]
    return pd.DataFrame(
        {
            "bar": rows["bar"].to_numpy()[changes],
            "datetime": rows["datetime"].to_numpy()[changes],
            "found_bar": rows["known_bar"].to_numpy(dtype=int)[found],
            "before": levels[:-1],
            "after": levels[1:],
        }
    )


def latest_change(errors: NDArray[np.floating], delta: float = 0.002) -> int | None:
    """Return the index of the first error after the latest change that ADWIN finds, None without a change.

    Parameters
    ----------
    errors : each from 0 to 1

    Examples
    --------
    >>> latest_change(np.full(500, 0.2)) is None
    True
    >>> 450 <= latest_change(np.repeat([0.2, 0.8], 500)) <= 550
    True
    """
    found = [row + 1 - width for row, width in _cuts(errors, delta)]
    return found[-1] if found else None


def _cuts(errors: NDArray[np.floating], delta: float) -> Iterator[tuple[int, int]]:
    """Yield where ADWIN cut its window: after which error, and how many the window kept."""
    try:  # the core alone: `river.drift` loads all of scipy.stats, which takes as long as drawing a page
        from river._river_rust.drift import AdaptiveWindowing
    except ImportError:  # a river that keeps it elsewhere
        from river.drift import ADWIN

        adwin = ADWIN(delta)
        for row, error in enumerate(errors.tolist()):
            adwin.update(error)
            if adwin.drift_detected:
                yield row, int(adwin.width)
        return
    begin = partial(
        AdaptiveWindowing, delta=delta, clock=32, max_buckets=5, min_window_length=5, grace_period=10
    )
    window = begin()
    for row, error in enumerate(errors.tolist()):
        if window.update(error):
            yield row, int(window.get_width())
            window = begin()  # as ADWIN does
