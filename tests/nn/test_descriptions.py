"""Options of losses, optimisers and layers: what they come to, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from bt_neuro import (
    LSTM,
    Adam,
    AdamW,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CosineDecay,
    Dense,
    MaxPooling1D,
    Network,
    Reshape,
)
from bt_neuro.errors import LayerError


def test_a_bar_that_is_both_counts_half_to_each():
    targets = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    assert CategoricalCrossentropy().weighted(targets).tolist() == [[0, 0.5, 0.5], [1, 0, 0]]
    assert CategoricalCrossentropy((1.0, 4.0, 2.0)).weighted(targets).tolist() == [[0, 2, 1], [1, 0, 0]]


def test_the_learning_rate_warms_up_and_decays():
    rate = CosineDecay(0.0, decay_steps=10, alpha=0.1, warmup_target=1.0, warmup_steps=4)
    assert [rate(step) for step in (0, 2, 4)] == [0.0, 0.5, 1.0]
    assert rate(9) == pytest.approx(0.55)
    assert rate(14) == rate(99) == pytest.approx(0.1)
    assert Adam(rate).rates(3)[0] == pytest.approx(Adam(0.5).rates(3)[0])  # step 3 is the update after 2


def test_only_adamw_decays():
    assert AdamW(0.1, weight_decay=0.5).rates(1)[2] == pytest.approx(0.05)
    assert Adam(0.1).rates(1)[2] == 0


def make(layers, inputs=6, **options):
    return lambda: Network(layers, inputs, device="numpy", **options)


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        (make([Dense(2)], loss="mse"), "loss must be a Loss or the name of one, got 'mse'"),
        (
            make([Dense(2)], loss="categorical_crossentropy"),
            r"needs a softmax: end with Dense\(2, 'softmax'\)",
        ),
        (
            make([Dense(2, "softmax")], loss=CategoricalCrossentropy((1.0,))),
            "one weight for each of 2 outputs",
        ),
        (make([Dense(2, "softmax"), Dense(2)]), "layer 0: only the last layer may have a softmax"),
        (make([Reshape((4, -1))]), r"layer 0, Reshape.* does not hold the 6 numbers of \(6,\)"),
        (make([Dense(4), LSTM(2)]), r"layer 1, LSTM.* needs \(positions, channels\).*; got \(4,\)"),
        (make([Reshape((2, 3)), MaxPooling1D(3)]), r"layer 1, MaxPooling1D.* larger than the input \(2, 3\)"),
        (lambda: CategoricalCrossentropy([1, 2]), "in a tuple"),
        (lambda: CategoricalFocalCrossentropy(gamma=-1.0), "gamma must be 0 or more"),
        (lambda: Adam(global_clipnorm=0.0), "global_clipnorm must be above 0"),
        (lambda: CosineDecay(1.0, 10, warmup_steps=3), "a warm-up needs both options"),
        (
            lambda: make([Dense(2)])().learn(np.zeros((2, 6)), np.zeros((2, 2)), batch_size=0),
            "batch_size must be an integer, 1 or more, got 0",
        ),
    ],
)
def test_what_cannot_be_is_refused(fault, complaint):
    with pytest.raises(LayerError, match=complaint):
        fault()
