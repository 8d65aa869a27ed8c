"""The Sharpe ratio, and how probable it is that the true one is above what luck and many trials give.

Bailey and Lopez de Prado: The Sharpe ratio efficient frontier, 2012 (probabilistic); The deflated Sharpe
ratio, 2014 (deflated).
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

EULER = 0.5772156649015329
MINIMUM_RETURNS = 3  # a skew needs three


def sharpe_ratio(returns: ArrayLike, periods_a_year: float = 1.0) -> float | None:
    """Return mean over deviation of the sample, interest 0, annualised by the periods a year.

    None where it is undefined: below two returns, or a deviation that is rounding noise.

    Examples
    --------
    >>> round(sharpe_ratio([0.011, -0.009, 0.011, -0.009], periods_a_year=252), 3)
    1.375
    >>> sharpe_ratio([0.01, 0.01], periods_a_year=252) is None
    True
    """
    r = np.asarray(returns, dtype=float)
    deviation = float(r.std(ddof=1)) if len(r) > 1 else 0.0
    return float(r.mean()) / deviation * math.sqrt(periods_a_year) if deviation > 1e-12 else None


def probabilistic_sharpe_ratio(returns: ArrayLike, above: float = 0.0) -> float | None:
    """Return the probability that the true Sharpe ratio of one period is more than `above`.

    Parameters
    ----------
    returns : of one period each, such as a day; not annualised
    above : a Sharpe ratio of one period

    Returns
    -------
    float or None
        0 to 1; None below three returns, or where they do not move.
    """
    r = np.asarray(returns, dtype=float)
    ratio = sharpe_ratio(r)
    if ratio is None or len(r) < MINIMUM_RETURNS:
        return None
    z = (r - r.mean()) / r.std()
    return probability_above(ratio, above, len(r), float((z**3).mean()), float((z**4).mean()))


def probability_above(ratio: float, above: float, n: int, skew: float, kurtosis: float) -> float:
    """Return the probability from an estimated ratio, the number of returns and their moments.

    A normal distribution has a skew of 0 and a kurtosis of 3.

    Examples
    --------
    The paper's numbers: a yearly ratio of 2.5 over 1,250 days, skew -3, kurtosis 10, against the best of 100
    trials whose yearly ratios have a variance of 0.5.

    >>> luck = best_of_luck(100, variance=0.5 / 250)
    >>> round(luck, 4), round(probability_above(2.5 / 250**0.5, luck, 1250, skew=-3, kurtosis=10), 4)
    (0.1132, 0.9004)
    """
    return NormalDist().cdf((ratio - above) / standard_error(ratio, n, skew, kurtosis))


def standard_error(ratio: float, n: int, skew: float, kurtosis: float) -> float:
    """Return the standard error of a Sharpe ratio of `n` returns with these moments."""
    # Never negative, since kurtosis >= 1 + skew^2; rounding may say otherwise of returns of two values.
    return math.sqrt(max(1 - skew * ratio + (kurtosis - 1) / 4 * ratio**2, 1e-12)) / math.sqrt(n - 1)


def best_of_luck(n_trials: int, variance: float) -> float:
    """Return the Sharpe ratio to expect of the best of `n_trials` strategies without skill.

    Parameters
    ----------
    n_trials : independent variants that were tried; 1 gives 0
    variance : of their Sharpe ratios, of one period as the ratios are

    Examples
    --------
    >>> best_of_luck(1, variance=0.01)
    0.0
    """
    if n_trials < 2:
        return 0.0
    normal = NormalDist().inv_cdf
    expected = (1 - EULER) * normal(1 - 1 / n_trials) + EULER * normal(1 - 1 / (n_trials * math.e))
    return math.sqrt(variance) * expected
