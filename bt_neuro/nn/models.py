"""Networks of the article series "Neural networks made easy", parts 11 to 13, and the default network."""

from __future__ import annotations

from functools import partial
from typing import Any

from bt_neuro.errors import LayerError, did_you_mean
from bt_neuro.nn.layers import (
    Activation,
    Conv1D,
    Dense,
    Dropout,
    Layer,
    LayerNormalization,
    RunningBatchNorm,
    TransformerEncoder,
)

EXPERTS = ("plain", "dropout", "batch_norm")


def article_layers(features: int = 12, expert: str = "batch_norm", **normalization: Any) -> list[Layer]:
    """Return the layers of one of the three networks that the article compares; 3 outputs.

    Parameters
    ----------
    features : of a bar (12); the window is 20 bars in the article
    expert : "batch_norm" (178,755 parameters), or "plain" or "dropout" (176,915), which have no normalisation
        but that of the encoder: tanh of the inputs stands in its place
    normalization : options of the three `RunningBatchNorm`, such as ``gradient="published"``

    Raises
    ------
    LayerError
        When there is no such expert, or it has no normalisation to take options.

    Notes
    -----
    Gizlyk, "Neural networks made easy", parts 11 (plain), 12 (Dropout) and 13 (Batch Normalization).
    """
    if expert not in EXPERTS:
        raise LayerError(
            f"expert must be one of the article's, got {expert!r}.{did_you_mean(expert, EXPERTS)}"
        )
    bars = partial(Conv1D, 24, kernel_size=features, strides=features)
    attention = TransformerEncoder(blocks=5, num_heads=8, key_dim=4, activation="sigmoid")
    ends: list[Layer] = [Dense(200, activation="tanh"), Dense(3, activation="sigmoid")]
    if expert == "batch_norm":
        norm = partial(RunningBatchNorm, 100, **normalization)
        return [
            norm(activation="tanh"),
            bars(),
            norm(activation="sigmoid"),
            attention,
            Dense(200),
            norm(activation="tanh"),
            *ends,
        ]
    if normalization:
        raise LayerError(
            f"expert must be 'batch_norm' with options, got {expert!r}. Leave {', '.join(normalization)} out."
        )
    first = [Activation("tanh"), bars(activation="sigmoid"), attention, Dense(200, activation="tanh")]
    if expert == "dropout":
        first = [each for layer in first for each in (layer, Dropout(0.2))]
    return first + ends


def shape_layers(features: int = 12) -> list[Layer]:
    """Return the layers of the article's network with layer normalisation in the third place.

    Parameters
    ----------
    features : of a bar (12)

    Notes
    -----
    Behind a dense layer of few windows the running statistics of single neurons are noise; see
    docs/explanation/defaults.md for the difference.
    """
    layers = article_layers(features)
    layers[5] = LayerNormalization(activation="tanh", per_channel=False)
    return layers
