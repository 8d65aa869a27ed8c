"""Loader of strategy files, ``mine.py`` or ``mine.py:Mine``, and parser of parameters, ``name=value``."""

from __future__ import annotations

import ast
import copyreg
import importlib.util
import re
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from bt_neuro.errors import StrategyError, did_you_mean
from bt_neuro.plugin.defaults import require_known
from bt_neuro.plugin.strategy import NeuroStrategy

_PREFIX = "bt_neuro_strategy_"  # of the modules that files become


def load_strategy(wanted: str) -> type[NeuroStrategy]:
    """Return the strategy class that ``FILE.py`` or ``FILE.py:Class`` names.

    Parameters
    ----------
    wanted : path of a Python file, which is run; with several strategies in it, ``:Class`` says which

    Raises
    ------
    StrategyError
        When the file is missing, fails, or holds no such subclass of `NeuroStrategy`.

    Notes
    -----
    The class can be pickled: another process, such as those of ``cerebro.optstrategy``, runs the file again.
    """
    named = re.fullmatch(r"(.+\.py)(?::(\w+))?", wanted)
    path, name = Path(named[1] if named else wanted), (named[2] if named else None)
    if named is None or not path.is_file():
        fault = "is no Python file" if path.exists() else "does not exist"
        raise StrategyError(f"strategy file {path} {fault}. Give FILE.py or FILE.py:Class.")
    module = _run(path)
    home = module.__name__
    found = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, NeuroStrategy) and value.__module__ == home
    }
    if name:
        if name not in found:
            hint = did_you_mean(name, found) if found else " It holds no subclass of NeuroStrategy."
            raise StrategyError(f"{path} has no strategy {name!r}.{hint}")
        return found[name]
    if not found:
        raise StrategyError(
            f"{path} must hold a strategy, got none. Add a class such as `class Mine(NeuroStrategy): ...`."
        )
    if len(found) > 1:
        raise StrategyError(
            f"{path} must hold one strategy, got {len(found)}. Name one: {path}:{next(iter(found))}."
        )
    return next(iter(found.values()))


def _run(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(_PREFIX + path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    if folder not in sys.path:  # last, so that no neighbour hides a library
        sys.path.append(folder)
    sys.modules[module.__name__] = module  # backtrader looks a class up by its module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module.__name__]  # half made
        raise StrategyError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    return module


def strategy_file(strategy: type) -> str | None:
    """Return the file of a strategy of `load_strategy`, None of other classes."""
    return str(Path(file).resolve()) if (file := _file_of(strategy.__module__)) else None


def _file_of(module: str) -> str | None:
    return getattr(sys.modules.get(module), "__file__", None) if module.startswith(_PREFIX) else None


def user_line(error: BaseException) -> str | None:
    """Return file, line, function and text of the last line of a strategy's folder that an error passed.

    None if it passed none: the error is not that of a strategy.
    """
    folders = {
        Path(file).resolve().parent
        for name, module in sys.modules.items()
        if name.startswith(_PREFIX) and (file := module.__file__)
    }
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).resolve().parent in folders]
    if not own:
        return None
    last = own[-1]
    return f"{_problem(error)}\n{last.filename}:{last.lineno}, in {last.name}: {last.line}"


def failure_text(error: BaseException) -> str:
    """Return the error of a strategy with its line, if it has one."""
    return user_line(error) or _problem(error)


def _problem(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def _reduced(strategy: type) -> str | tuple[Any, ...]:
    # By its module a class of a file is found only where the file has been run. A spawned process has not run
    # it, and backtrader's pool would wait for that process for ever.
    home, name = strategy.__module__, strategy.__qualname__
    if not home.startswith(_PREFIX) or getattr(sys.modules.get(home), name, None) is not strategy:
        return name  # pickle's own way, and its own complaints
    return _strategy_of, (sys.modules[home].__file__, name)


def _strategy_of(file: str, name: str) -> type[NeuroStrategy]:
    module = sys.modules.get(_PREFIX + Path(file).stem)
    if module is None or module.__file__ != file:
        module = _run(Path(file))
    return getattr(module, name)


copyreg.pickle(type(NeuroStrategy), _reduced)


def parse_parameters(words: Iterable[str], strategy: type[NeuroStrategy]) -> dict[str, Any]:
    """Return ``["wing=2", "size=0.5"]`` as parameters of a strategy, values read as Python literals.

    Examples
    --------
    >>> parse_parameters(["wing=2", "device=numpy"], NeuroStrategy)
    {'wing': 2, 'device': 'numpy'}
    """
    parameters: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise StrategyError(f"a parameter must be name=value, got {word!r}. Give the value.")
        require_known(strategy, [name])
        try:
            parameters[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError):
            parameters[name] = text
    return parameters
