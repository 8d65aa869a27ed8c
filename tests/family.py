"""The table of everything a network can be made of: a row for every layer, activation, loss and optimiser.

`test_family.py` holds each row against finite differences, the kernels in both shapes, a checkpoint and
itself, `test_family_parity.py` against PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bt_neuro import (
    LSTM,
    SGD,
    Activation,
    Adam,
    AdamW,
    AveragePooling1D,
    BatchNormalization,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    Conv1D,
    CosineDecay,
    Dense,
    Dropout,
    LayerNormalization,
    MaxPooling1D,
    MeanSquaredError,
    Reshape,
    RunningBatchNorm,
    TransformerEncoder,
)
from bt_neuro.nn.layers.base import ACTIVATIONS, Layer
from bt_neuro.nn.losses import Loss
from bt_neuro.nn.optimizers import Optimizer

DESCENT = SGD(0.02, momentum=0.9)


@dataclass(frozen=True)
class Row:
    """A small network.

    Parameters
    ----------
    layers, inputs, loss, optimizer : the network
    exact_batches : batch sizes with which its gradient is that of its loss; elsewhere constants stand in it
    """

    layers: list[Layer]
    inputs: int
    loss: Loss = field(default_factory=MeanSquaredError)
    optimizer: Optimizer = DESCENT
    exact_batches: tuple[int, ...] = (1, 3)


def classes(loss: Loss) -> Row:
    return Row([Dense(9, "tanh"), Dense(5, "softmax")], 7, loss)


def moved(optimizer: Optimizer) -> Row:
    return Row([Dense(17, "tanh"), BatchNormalization(), Dense(3)], 5, optimizer=optimizer)


POSITIONS = Reshape((6, 3))
FAMILY = {
    **{f"dense {a}": Row([Dense(17, a), Dense(2)], 5) for a in ACTIVATIONS},
    **{f"activation {a}": Row([Dense(17), Activation(a), Dense(2)], 5) for a in ("tanh", "gelu")},
    **{f"convolution {a}": Row([Conv1D(3, 2, 2, a)], 6) for a in ACTIVATIONS},
    "convolution, overlap and remainder": Row([Dense(16, "tanh"), Conv1D(4, 3, 2), Conv1D(2, 2, 1)], 8),
    "convolution, gaps": Row([Dense(17, "tanh"), Conv1D(2, 2, 3)], 9),
    "pooling, largest": Row([POSITIONS, Conv1D(4, 1), MaxPooling1D(2)], 18),
    "pooling, largest, overlap": Row([POSITIONS, Conv1D(3, 1), MaxPooling1D(3, strides=1)], 18),
    "pooling, mean": Row([POSITIONS, Conv1D(4, 1), AveragePooling1D(2)], 18),
    "pooling, mean, gaps": Row([POSITIONS, Conv1D(3, 1), AveragePooling1D(2, strides=3)], 18),
    "lstm": Row([POSITIONS, LSTM(4), Dense(2)], 18),
    "lstm, sequences": Row([POSITIONS, Conv1D(3, 1), LSTM(5, return_sequences=True), LSTM(3)], 18),
    "attention of one head": Row([POSITIONS, TransformerEncoder(1, num_heads=1, key_dim=4)], 18),
    "encoder": Row([POSITIONS, TransformerEncoder(2, 3, 2, activation="gelu"), Dense(2)], 18),
    # In a batch the statistics of RunningBatchNorm are the batch's own.
    "batch norm": Row([Dense(17), RunningBatchNorm(10, "tanh"), Dense(2)], 5),
    "batch norm on positions": Row([Conv1D(3, 2, 2), RunningBatchNorm(10, "gelu")], 8),
    "batch norm, published": Row(  # its gradient is none of the loss, nor a batch's
        [Dense(17), RunningBatchNorm(10, "tanh", gradient="published"), Dense(2)], 5, exact_batches=(3,)
    ),
    "batch norm, published, adam": Row(
        [Dense(17), RunningBatchNorm(10, "tanh", gradient="published"), Dense(2)],
        5,
        optimizer=Adam(1e-3),
        exact_batches=(3,),
    ),
    "batch normalization": Row([Dense(16), BatchNormalization(activation="tanh"), Dense(2)], 5),
    "batch normalization on positions": Row([POSITIONS, Conv1D(4, 1), BatchNormalization()], 18),
    "batch normalization of neurons": Row([Conv1D(3, 3, 3), BatchNormalization(per_channel=False)], 18),
    "batch normalization, bare": Row([Dense(5), BatchNormalization(scale=False, center=False)], 5),
    "layer normalization": Row([Dense(16), LayerNormalization(activation="tanh"), Dense(2)], 5),
    "layer normalization on positions": Row([POSITIONS, Conv1D(5, 1), LayerNormalization(center=False)], 18),
    "dropout": Row([Dense(17), Dropout(0.4), Dense(2)], 5),
    "cross-entropy": classes(CategoricalCrossentropy()),
    "cross-entropy, weighted": classes(CategoricalCrossentropy((1.0, 5.0, 5.0, 0.5, 2.0))),
    "focal": classes(CategoricalFocalCrossentropy()),
    "focal, weighted": classes(CategoricalFocalCrossentropy((1.0, 5.0, 5.0, 0.5, 2.0), gamma=0.5)),
    "softmax, squared error": classes(MeanSquaredError()),
    "adam": moved(Adam(1e-3)),
    "adamw": moved(AdamW(1e-2, weight_decay=0.1)),
    "clipped by length": moved(Adam(1e-3, global_clipnorm=0.05)),
    "cosine decay": moved(SGD(CosineDecay(0.0, 4, warmup_target=0.1, warmup_steps=2))),
}
