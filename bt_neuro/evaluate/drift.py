"""Where the market changed under the network: ADWIN on its error."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bt_neuro.evaluate.answers import PROBABILITIES, targets_of
from bt_neuro.evaluate.scores import brier_scores


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
    from river.drift import ADWIN

    targets = targets_of(predictions)
    scored = targets.any(axis=1)
    errors = brier_scores(predictions[PROBABILITIES].to_numpy()[scored], targets[scored])
    rows = predictions[scored].reset_index(drop=True)
    adwin = ADWIN(delta=delta)
    changes, found = [], []
    for row, error in enumerate(errors.tolist()):
        adwin.update(error / 2)
        if adwin.drift_detected:
            changes.append(row + 1 - int(adwin.width))
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
