"""Layers: frozen descriptions with their shapes, tensors, NumPy passes and kernel calls."""

from bt_neuro.nn.layers.attention import TransformerEncoder
from bt_neuro.nn.layers.base import Layer
from bt_neuro.nn.layers.convolution import Conv1D
from bt_neuro.nn.layers.dense import Dense
from bt_neuro.nn.layers.elementary import Activation, Dropout, Reshape
from bt_neuro.nn.layers.lstm import LSTM
from bt_neuro.nn.layers.normalization import BatchNormalization, LayerNormalization, RunningBatchNorm
from bt_neuro.nn.layers.pooling import AveragePooling1D, MaxPooling1D

__all__ = [
    "LSTM",
    "Activation",
    "AveragePooling1D",
    "BatchNormalization",
    "Conv1D",
    "Dense",
    "Dropout",
    "Layer",
    "LayerNormalization",
    "MaxPooling1D",
    "Reshape",
    "RunningBatchNorm",
    "TransformerEncoder",
]
