"""Base of the descriptions of layers, optimisers, schedules and losses, and their form as JSON values."""

from __future__ import annotations

import math
from dataclasses import fields
from numbers import Integral, Real
from typing import Any, ClassVar

from bt_neuro.errors import LayerError, did_you_mean


class Config:
    """A frozen dataclass of options, registered under the name of its class.

    Parameters
    ----------
    internal : as a keyword of the class: it is not registered, so that no file can name it

    Raises
    ------
    LayerError
        When an option has another type than its annotation, or is not finite.
    """

    registry: ClassVar[dict[str, type[Config]]] = {}

    def __init_subclass__(cls, *, internal: bool = False) -> None:
        if not internal:
            Config.registry[cls.__name__] = cls

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            value, kind = getattr(self, field.name), str(field.type)
            if value is None and kind.endswith("None"):
                continue
            if isinstance(value, Config | tuple) and type(value).__name__ in kind:
                continue
            if kind.startswith("int"):
                holds = isinstance(value, Integral) and abs(int(value)) < 2**31
                self.require(holds, f"{field.name} must be an integer")
            if kind.startswith("float"):
                holds = isinstance(value, Real) and math.isfinite(value)
                self.require(holds, f"{field.name} must be a number")
            if kind.startswith(("int", "float")):
                self.require(not isinstance(value, bool), f"{field.name} must be a number, not {value}")

    def require(self, holds: bool, message: str) -> None:
        """Raise LayerError with this description and the message, unless the condition holds."""
        if not holds:
            raise LayerError(f"{self}: {message}")


def to_config(description: Config) -> dict[str, Any]:
    """Return a description as plain JSON values.

    Examples
    --------
    >>> from bt_neuro import Dense
    >>> to_config(Dense(3, "sigmoid"))
    {'class': 'Dense', 'units': 3, 'activation': 'sigmoid'}
    """
    values = {field.name: _plain(getattr(description, field.name)) for field in fields(description)}  # type: ignore[arg-type]
    return {"class": type(description).__name__, **values}


def _plain(value: Any) -> Any:
    if isinstance(value, Config):
        return to_config(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value  # JSON has no NumPy numbers


def from_config(config: dict[str, Any]) -> Any:
    """Return the description that `to_config` gave.

    Raises
    ------
    LayerError
        When the class or an option is unknown.
    """
    options = dict(config)
    name = options.pop("class", "")
    if name not in Config.registry:
        known = did_you_mean(str(name), Config.registry)
        raise LayerError(f"unknown layer, optimiser or loss {name!r}.{known}")
    cls: Any = Config.registry[name]
    known_options = {field.name for field in fields(cls)}
    for option, value in options.items():
        if option not in known_options:
            raise LayerError(f"{name} has no option {option!r}.{did_you_mean(option, known_options)}")
        if isinstance(value, dict):
            options[option] = from_config(value)
        elif isinstance(value, list):
            options[option] = tuple(value)
    return cls(**options)
