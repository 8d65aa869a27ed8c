"""Manifest `run.json`: written, read, and verified with its checksums of the tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bt_neuro.errors import NeuroError
from bt_neuro.io import file_sha256, flat

MANIFEST = "run.json"
SCHEMA_VERSION = 1
RUNNING = "running"  # the status of a run that has not ended
TABLES = ("*.csv", "*.npy")
OWN_CHECKSUM = "manifest_sha256"


def manifest_text(manifest: dict[str, Any]) -> str:
    """Return the content of ``run.json``; of a run that has ended, with a checksum of its own."""
    text = json.dumps(manifest, indent=2, allow_nan=False)
    if manifest["status"] != RUNNING:
        values = json.loads(text)  # as they will be read
        text = json.dumps({**values, OWN_CHECKSUM: _digest(values)}, indent=2)
    return text + "\n"


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a run folder.

    Raises
    ------
    NeuroError
        If there is none, or it is damaged or of another version.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NeuroError(f"{folder} is no run folder: it has no {MANIFEST}. Give another folder.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise NeuroError(f"{path} cannot be read: {error}. Run the command again.") from error
    texts = ("kind", "status", "started")
    if not isinstance(manifest, dict) or not all(isinstance(manifest.get(key), str) for key in texts):
        raise NeuroError(f"{path} is no manifest of a run. Give another folder.")
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise NeuroError(
            f"{path}: schema_version must be {SCHEMA_VERSION}, got {manifest.get('schema_version')!r}. "
            "Run the command again."
        )
    if OWN_CHECKSUM in manifest and manifest.pop(OWN_CHECKSUM) != _digest(manifest):
        raise NeuroError(
            f"{path} is damaged: its checksum differs. Run the command again; "
            f"if you changed the file yourself, remove its {OWN_CHECKSUM}."
        )
    return manifest


def _digest(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def checksums(folder: Path, rows: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of each table in a folder, and of those of instruments that `rows` names."""
    tables = {path.name for pattern in TABLES for path in folder.glob(pattern)}
    return {
        name: file_sha256(folder / name, follow=False)
        for name in sorted(tables | set(rows))
        if (folder / name).is_file() and not (folder / name).is_symlink()
    }


def require_intact(folder: Path, manifest: dict[str, Any]) -> None:
    """Raise an error that names the first table which is not as the run wrote it."""
    expected_by_name = manifest.get("sha256", {})
    if not isinstance(expected_by_name, dict):
        raise damaged(folder / MANIFEST, "sha256 must be an object")
    for name, expected in expected_by_name.items():
        try:
            found = file_sha256(folder / name, follow=False)
        except OSError as error:
            raise damaged(folder / name, error.strerror or error) from error
        if found != expected:
            raise damaged(folder / name, "its content is not what the run wrote")


def damaged(path: Path, problem: object) -> NeuroError:
    """Return the error that names a file, with the first line of the problem."""
    lines = str(problem).splitlines()
    text = lines[0] if lines else type(problem).__name__
    text = text if len(text) <= 200 else f"{text[:197]}..."
    return NeuroError(f"{path} is missing or damaged: {text}.\nRun the command again.")


def require_same(before: dict[str, Any], now: dict[str, Any], keys: Sequence[str], where: str) -> None:
    """Raise an error that names the first setting that differs.

    Parameters
    ----------
    before, now : dict
        Manifests.
    keys : sequence of str
        Settings to compare, such as "options" or "data.sha256".
    where : str
        Where `before` was found.
    """
    for key in keys:
        then_values, now_values = flat(_value(before, key), key), flat(_value(now, key), key)
        for name in then_values | now_values:
            then, value = then_values.get(name), now_values.get(name)
            if then != value:
                raise NeuroError(
                    f"{name} must be {then}, as {where} was started with, got {value}.\n"
                    "Give the same value, or start a new run in another folder."
                )


def _value(manifest: dict[str, Any], key: str) -> Any:
    value: Any = json.loads(json.dumps(manifest, default=str))
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
