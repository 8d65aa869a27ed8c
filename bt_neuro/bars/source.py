"""Content of a bar file: found, unpacked, and as UTF-8 text where it is text."""

from __future__ import annotations

import bz2
import difflib
import gzip
import hashlib
import io
import lzma
import re
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from bt_neuro.bars.convert import MOST_OBJECTS, is_json, json_table, lean_table, workbook_table
from bt_neuro.bars.encoding import decode, require_text, wide_encoding
from bt_neuro.bars.formats import BINARY, WEB_PAGE
from bt_neuro.errors import BarsError

# Endings of the files that are taken for bars in a folder or an archive; a named file may have any.
TABLES = (".csv", ".txt", ".tsv", ".prn", ".parquet", ".feather", ".json", ".jsonl", ".xlsx", ".gz", ".zip",
          ".bz2", ".xz", ".zst")  # fmt: skip
MOST_BYTES, CHUNK = 1 << 30, 1 << 20
ARROW = {b"PAR1": "Parquet", b"ARRO": "Feather", b"FEA1": "Feather"}
ZIP = b"PK\x03\x04"
COMPRESSIONS: tuple[tuple[bytes, str, Any], ...] = (
    (b"\x1f\x8b", "gzip", gzip.open),
    (b"BZh", "bz2", bz2.open),
    (b"\xfd7zXZ\0", "xz", lzma.open),
    (b"\x28\xb5\x2f\xfd", "zstd", lambda file: pa.input_stream(file, compression="zstd")),
)
PACKED = (ZIP, *(magic for magic, *_ in COMPRESSIONS))
# RuntimeError: encrypted, or (NotImplementedError) an unknown method
_DAMAGE = (zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError, RuntimeError)


@dataclass(frozen=True)
class Source:
    """Content of one table."""

    data: bytes  # Parquet or Feather as it is, or text in UTF-8 with lines ended by LF or CRLF
    coding: str  # packing and encoding, in words
    sha256: str  # of the file itself
    converted: str = ""  # from what `data` is made: a "sheet", or a "document" without a header of its own

    @property
    def arrow(self) -> str:
        """Name of an Arrow format, empty for text."""
        return ARROW.get(self.data[:4], "")


def read_source(path: Path) -> Source:
    """Read, unpack and decode a file."""
    raw = _read(path)
    sha256 = hashlib.sha256(raw).hexdigest()
    data, name, packing = _unpack(raw, path.name)
    if name == "sheet":
        return Source(data, "Excel workbook", sha256, "sheet")
    if not data:
        raise BarsError("the file is empty.\nExport the bars again.")
    if kind := ARROW.get(data[:4]):
        return Source(data, f"{kind}{packing}", sha256)
    data, encoding = decode(data)
    if table := lean_table(name, data):
        return Source(table, f"LEAN{packing}", sha256, "document")
    if is_json(data):
        return Source(json_table(data), f"JSON{packing}", sha256, "document")
    return Source(data, f"{encoding}{packing}", sha256)


def _read(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise BarsError("a folder, not a file.\nName one bar file in it.")
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise BarsError("a device, not a file.\nName a bar file.")
        with path.open("rb") as file:
            return _bounded(file)
    except FileNotFoundError:
        names = [file.name for file in path.parent.glob("*") if file.suffix.lower() in TABLES]
        similar = " or ".join(difflib.get_close_matches(path.name, names))
        hint = f" Did you mean {similar}?" if similar else ""
        raise BarsError(f"no such file.{hint}") from None
    except OSError as error:
        raise BarsError(f"{error.strerror}.\nMake the file readable.") from None


def _bounded(file: IO[bytes], may_be_packed: bool = True) -> bytes:
    """Return the content of a file; its first chunk shows binary data before the rest is read."""
    head = file.read(CHUNK)
    for starts, what, remedy in BINARY:
        if head.startswith(starts):
            raise BarsError(f"{what}, not a table of bars.\n{remedy}")
    if re.match(WEB_PAGE, head, re.IGNORECASE):
        raise BarsError("a web page, not a table of bars.\nDownload the file of bars itself.")
    packed = head.startswith(PACKED)
    if head[257:262] == b"ustar" or (packed and not may_be_packed):
        raise BarsError("an archive within an archive.\nUnpack it, and name one file.")
    if not packed and not head.startswith(tuple(ARROW)) and not wide_encoding(head):
        require_text(head)
    if len(head) < CHUNK:
        return head
    if file.seekable():
        file.seek(0)  # to read once is to copy nothing
        content = file.read(MOST_BYTES)
    else:
        content = head + file.read(MOST_BYTES - CHUNK)
    if len(content) == MOST_BYTES and file.read(1):
        raise BarsError("a bar file must be at most 1 GiB when unpacked, got more.\nSplit it by years.")
    return content


def _unpack(raw: bytes, name: str) -> tuple[bytes, str, str]:
    """Return the content of a packed file, known by its first bytes, its name and the packing."""
    try:
        for magic, packing, opener in COMPRESSIONS:
            if raw.startswith(magic):
                with opener(io.BytesIO(raw)) as file:
                    return _bounded(file, False), name.rpartition(".")[0], f", {packing}"
        if raw.startswith(ZIP):
            with zipfile.ZipFile(io.BytesIO(raw)) as archive:
                if "[Content_Types].xml" in archive.namelist():
                    if sum(member.file_size for member in archive.infolist()) > MOST_OBJECTS:
                        raise BarsError(
                            "an Excel workbook must have at most 128 MiB.\nSave the sheet as CSV."
                        )
                    return workbook_table(raw), "sheet", ""
                member = _only_member(archive)
                with archive.open(member) as file:
                    return _bounded(file, False), member, ", zip"
    except _DAMAGE as error:
        raise BarsError(f"cannot be unpacked ({error}).\nUnpack it yourself, or export it again.") from None
    return raw, name, ""


def _only_member(archive: zipfile.ZipFile) -> str:
    names = [n for n in archive.namelist() if not n.endswith("/") and not n.startswith("__MACOSX/")]
    # HistData's zip holds a .txt report beside the .csv, so a single .csv is enough.
    for suffixes in ((".csv",), TABLES):
        tables = [n for n in names if n.lower().endswith(suffixes)]
        if len(tables) == 1:
            return tables[0]
    if len(names) == 1:  # of any name
        return names[0]
    inside = ", ".join(names[:5]) or "nothing"
    raise BarsError(f"a zip must hold one bar file, got {inside}.\nUnpack it and name the file.")
