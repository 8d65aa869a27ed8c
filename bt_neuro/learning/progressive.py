"""Delayed progressive validation of a whole file in long launches, in the order of `Learner`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bt_neuro.errors import NonFiniteError
from bt_neuro.nn.network import Network

Array = NDArray[np.floating]

BARS_A_LAUNCH = 1024


def feature_windows(features: Array, history_bars: int) -> Array:
    """Return the window that ends at each bar from the first full one on, (windows, inputs), as a view.

    Parameters
    ----------
    features : (n, features of a bar), consecutive bars
    history_bars : bars in a window
    """
    width = features.shape[1]
    flat = np.ascontiguousarray(features).reshape(-1)
    return np.lib.stride_tricks.sliding_window_view(flat, history_bars * width)[::width]


def progressive_outputs(
    network: Network,
    windows: Array,
    targets: Array,
    delay_bars: int,
    *,
    continues: bool = False,
    require_finite: bool = True,
    on_launch: Callable[[int], object] = lambda bars: None,
) -> Array:
    """Predict each bar and learn its label once confirmed; bit-identical to `Learner`.

    Parameters
    ----------
    network : trained in place
    windows : (n, inputs), those of consecutive bars
    targets : (n, 3); NaN where the label is never known, in the first rows only. The last `delay_bars` are
        not read
    delay_bars : bars after which a label is known
    continues : whether the first `delay_bars` were predicted before; they are learned, not predicted
    require_finite : whether outputs that are not finite are an error
    on_launch : called with the number of bars of each launch

    Returns
    -------
    (members, predicted bars, 3) array
        Outputs. Those of bar t depend on windows up to t, and on labels known by the close of t.

    Raises
    ------
    NonFiniteError
        When outputs are not finite.
    """
    n, parts, first = len(windows), [], delay_bars
    if not continues:
        unknown = int(np.isnan(targets[: max(n - delay_bars, 0)]).any(axis=1).sum())
        first = min(unknown + delay_bars, n)  # until then there is nothing to learn
        parts.append(network.send(windows[:0], targets[:0], windows[:first])())
        on_launch(first)
    for start in range(first, n, BARS_A_LAUNCH):
        stop = min(start + BARS_A_LAUNCH, n)
        learned = slice(start - delay_bars, stop - delay_bars)
        parts.append(network.send(windows[learned], targets[learned], windows[start:stop])())
        on_launch(stop - start)
    outputs = np.concatenate(parts, axis=-2).reshape(len(network.seeds), -1, network.n_outputs)
    if require_finite and not np.isfinite(outputs).all():
        raise NonFiniteError("The outputs are not finite. Lower the learning rate.")
    return outputs
