"""Run folders: a manifest and tables, each written atomically."""

from __future__ import annotations

import importlib.metadata
import itertools
import platform
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from bt_neuro.errors import NeuroError
from bt_neuro.io import PARTIAL, FolderLock, atomic_write, remove, remove_partials
from bt_neuro.runs.saved_manifest import (
    MANIFEST,
    RUNNING,
    SCHEMA_VERSION,
    checksums,
    manifest_text,
    read_manifest,
    require_same,
)
from bt_neuro.runs.tables import is_numeric, write_numbers

PACKAGES = ("bt-neuro", "numpy", "pandas", "backtrader", "pyopencl")


class RunFolder:
    """A folder with the results of one run, written by one process.

    Use `create`, `resume` or `open`. All of them write the manifest with the status "running".

    Attributes
    ----------
    path : pathlib.Path
    manifest : dict
        Content of ``run.json``: ``schema_version``, ``kind``, ``status`` ("running", "complete",
        "interrupted" or "failed"), ``started``, ``versions``, ``platform``, ``rows`` (number of rows of each
        table), and the keys of the run.
    """

    def __init__(
        self, path: Path, kind: str, manifest: dict[str, Any], lock: FolderLock, *, is_resumed: bool = False
    ) -> None:
        self.path, self._lock, self._is_resumed = path, lock, is_resumed
        self.manifest: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "kind": kind,
            "status": RUNNING,
            "started": datetime.now().isoformat(timespec="seconds"),
            "versions": _versions(),
            "platform": platform.platform(),
            "rows": {},
            **manifest,
        }
        self.save()

    @property
    def kind(self) -> str:
        return str(self.manifest["kind"])

    @classmethod
    def create(
        cls,
        out: str | Path | None,
        name: str,
        kind: str,
        manifest: dict[str, Any],
        fill: Callable[[Path], None] = lambda path: None,
    ) -> RunFolder:
        """Create a folder, fill it and write its manifest.

        A folder that did not exist appears with its content. A kill before that may leave an empty folder, and
        a temporary one beside it. An empty folder that existed is filled in place.

        Parameters
        ----------
        out : str, Path or None
            Folder to write, which must be new or empty. Default: ``runs/<name>-<time>``.
        name : str
            First part of the default folder's name.
        kind : str
            Kind of run, such as "backtest".
        manifest : dict
            Further keys of the manifest, plain JSON values.
        fill : callable
            Writes further files to the folder that it is given.

        Raises
        ------
        NeuroError
            If the folder is not empty or cannot be written.
        """
        wanted, partial, lock = _new_folder(out, name)
        try:
            fill(partial)
            folder = cls(partial, kind, manifest, lock)
            folder._rename(wanted)
        except BaseException:
            remove(partial)
            with suppress(OSError):
                wanted.rmdir()  # empty, or it is not ours
            lock.release()
            raise
        return folder

    @classmethod
    def resume(
        cls, path: str | Path, kind: str, manifest: dict[str, Any], same: Sequence[str] = ()
    ) -> RunFolder:
        """Reopen the folder of a run that did not end.

        Parameters
        ----------
        path, kind, manifest
            As in `create`; the manifest of the run that continues.
        same : sequence of str
            Keys that must have the value they had, such as "options" or "data.sha256".

        Raises
        ------
        NeuroError
            If the folder holds no run of this kind, or a setting differs. The first one is named.
        """
        path = Path(path)
        read_manifest(path)
        lock = FolderLock(path)  # before anything of a run at work is removed
        try:
            _require_resumable(path, kind, manifest, same)
            remove_partials(path)
            return cls(path, kind, manifest, lock, is_resumed=True)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open(
        cls,
        out: str | Path | None,
        resume: str | Path | None,
        name: str,
        kind: str,
        manifest: dict[str, Any],
        same: Sequence[str] = (),
    ) -> RunFolder:
        """Create a folder, or reopen the folder `resume` if it is given; see `create` and `resume`."""
        if resume is None:
            return cls.create(out, name, kind, manifest)
        cls.require(out, resume, kind, manifest, same)
        return cls.resume(resume, kind, manifest, same)

    @staticmethod
    def require(
        out: str | Path | None,
        resume: str | Path | None,
        kind: str,
        manifest: dict[str, Any],
        same: Sequence[str] = (),
    ) -> None:
        """Raise the errors of `open` about a folder to resume, before more is computed from the settings."""
        if resume is None:
            return
        if out is not None:
            raise NeuroError(
                "out and resume must not both be given. Give out for a new folder, resume for an existing one."
            )
        _require_resumable(Path(resume), kind, manifest, same)

    def _rename(self, wanted: Path) -> None:
        """Give a folder that is whole its name; an empty one of that name is replaced."""
        if self.path != wanted:
            try:
                if sys.platform == "win32" and wanted.exists():
                    wanted.rmdir()
                self.path.replace(wanted.resolve())
            except OSError as error:  # another run has written to it since
                raise NeuroError(f"{wanted} must be empty: {error}. Give another --out.") from error
            self.path = wanted

    def save(self, **changes: Any) -> None:
        """Merge changes into the manifest and write it.

        Of a run that has ended it holds checksums, and the lock is given up.
        """
        self.manifest |= changes
        has_ended = self.manifest["status"] != RUNNING
        if has_ended:
            self.manifest["sha256"] = checksums(self.path, self.manifest["rows"])
        with atomic_write(self.path / MANIFEST) as partial:
            partial.write_text(manifest_text(self.manifest), encoding="utf-8")
        if has_ended:
            self._lock.release()

    def write_table(self, name: str, frame: pd.DataFrame, float_format: str | None = None) -> None:
        """Write a CSV file such as "folds.csv"; its number of rows is in the manifest from the next save."""
        with atomic_write(self.path / name) as partial:
            if float_format is not None and is_numeric(frame):
                write_numbers(partial, frame, float_format)
            else:
                frame.to_csv(
                    partial,
                    index=False,
                    lineterminator="\n",
                    date_format="%Y-%m-%d %H:%M:%S",
                    float_format=float_format,
                )
        self.manifest["rows"][name] = len(frame)

    def remove(self) -> None:
        """Remove the folder and its content."""
        remove(self.path)

    @contextmanager
    def recording(
        self, has_content: Callable[[], bool], can_resume: Callable[[], bool] | None = None
    ) -> Iterator[None]:
        """Write the status of a run that ends by an exception, and raise the exception again.

        Parameters
        ----------
        has_content : callable
            Returns whether anything is worth keeping. If not, a new folder is removed.
        can_resume : callable, optional
            Returns whether ``--resume`` works with the folder. Default: `has_content`.

        Raises
        ------
        KeyboardInterrupt
            With the message of the one that was caught and, if the run can be resumed, the option to do so.
        """
        try:
            yield
        except BaseException as error:
            if not self._is_resumed and not has_content():
                self.remove()
                raise
            is_interrupted = isinstance(error, KeyboardInterrupt)
            message = str(error) or ("interrupted" if is_interrupted else type(error).__name__)
            self.save(status="interrupted" if is_interrupted else "failed", error=message)
            if is_interrupted and (can_resume or has_content)():
                raise KeyboardInterrupt(f"{message}: continue with --resume {self.path}") from None
            raise


def _require_resumable(path: Path, kind: str, manifest: dict[str, Any], same: Sequence[str]) -> None:
    before = read_manifest(path)
    if before["kind"] != kind:
        raise NeuroError(f"{path} must hold a {kind}, got a {before['kind']}. Give another --resume.")
    require_same(before, {"versions": _versions(), **manifest}, same, str(path))


def _new_folder(out: str | Path | None, name: str) -> tuple[Path, Path, FolderLock]:
    """Return the folder of a run, the new one that is to be filled and renamed to it, and its lock."""
    try:
        if out is None:
            wanted = _unused_folder(Path("runs", f"{name}-{datetime.now():%Y%m%d-%H%M%S}"))
        else:
            wanted = Path(out)
            wanted.parent.mkdir(parents=True, exist_ok=True)
            if wanted.exists():  # perhaps where a shell stands: not to be replaced
                return wanted, wanted, _lock_empty(wanted)
        partial = wanted.resolve().with_name(f".{wanted.name}.{secrets.token_hex(8)}{PARTIAL}")
        partial.mkdir()
        return wanted, partial, FolderLock(partial)
    except OSError as error:
        raise NeuroError(f"cannot write a run to {out or 'runs/'}: {error}. Give another --out.") from error


def _lock_empty(folder: Path) -> FolderLock:
    lock = FolderLock(folder)  # first: two runs could both find it empty
    if any(folder.iterdir()):
        lock.release()
        raise NeuroError(f"{folder} must be empty. Give another --out.")
    return lock


def _unused_folder(folder: Path) -> Path:
    """Another run may start in the same second: number the folder then."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        try:
            numbered = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
            numbered.mkdir()
            return numbered
        except FileExistsError:
            continue
    raise AssertionError


def _versions() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version()} | versions
