"""Descriptions as plain JSON values, and back: what a checkpoint tells of a network."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from bt_neuro.errors import LayerError, did_you_mean
from bt_neuro.nn import layers, losses, normalization, optimizers

_BY_NAME: dict[str, type] = {
    name: getattr(module, name)
    for module, names in (
        (
            layers,
            "Dense Conv1D TransformerEncoder LSTM MaxPooling1D AveragePooling1D Reshape Activation Dropout",
        ),
        (normalization, "RunningBatchNorm BatchNormalization LayerNormalization"),
        (optimizers, "Adam AdamW SGD CosineDecay"),
        (losses, "MeanSquaredError CategoricalCrossentropy CategoricalFocalCrossentropy"),
    )
    for name in names.split()
}


def to_config(description: Any) -> dict[str, Any]:
    """Return a layer, an optimiser, a schedule or a loss as plain JSON values.

    Examples
    --------
    >>> from bt_neuro import Dense
    >>> to_config(Dense(3, "sigmoid"))
    {'class': 'Dense', 'units': 3, 'activation': 'sigmoid'}
    """
    options = {field.name: _plain(getattr(description, field.name)) for field in fields(description)}
    return {"class": type(description).__name__, **options}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return to_config(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value  # a number of NumPy's is none of JSON's


def from_config(config: dict[str, Any]) -> Any:
    """Return what `to_config` described; unknown names are a LayerError."""
    options = dict(config)
    name = options.pop("class", "")
    if name not in _BY_NAME:
        raise LayerError(f"unknown layer, optimiser or loss {name!r}.{did_you_mean(str(name), _BY_NAME)}")
    cls = _BY_NAME[name]
    known = {field.name for field in fields(cls)}
    for option, value in options.items():
        if option not in known:
            raise LayerError(f"{name} has no option {option!r}.{did_you_mean(option, known)}")
        if isinstance(value, dict):
            options[option] = from_config(value)
        elif isinstance(value, list):
            options[option] = tuple(value)
    return cls(**options)
