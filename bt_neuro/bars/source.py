"""From a path to the bytes of one table: found, unpacked, and, where it is text, in UTF-8."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from bt_neuro.errors import BarsError, did_you_mean

TABLES = (".csv", ".txt", ".tsv", ".prn", ".parquet", ".gz", ".zip")
BOMS = (
    (codecs.BOM_UTF8, "UTF-8"),
    (codecs.BOM_UTF16_LE, "UTF-16-LE"),
    (codecs.BOM_UTF16_BE, "UTF-16-BE"),
)


@dataclass(frozen=True)
class Source:
    """The bytes of one table.

    `data` is Parquet as it is, or text in UTF-8 with lines ended by LF or CRLF. `coding` says how the
    file was packed and written, in words; `sha256` is that of the file itself.
    """

    data: bytes
    coding: str
    sha256: str

    @property
    def is_parquet(self) -> bool:
        return self.data[:4] == b"PAR1"


def read_source(path: Path) -> Source:
    """Read, unpack and decode `path`; what cannot be text or Parquet is refused."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise BarsError(f"no such file.{_neighbours(path)}") from None
    except IsADirectoryError:
        raise BarsError("a folder, not a file.\nName one bar file in it.") from None
    except OSError as error:
        raise BarsError(f"{error.strerror}.\nMake the file readable.") from None
    sha256 = hashlib.sha256(raw).hexdigest()
    data, packing = _unpack(raw)
    if not data:
        raise BarsError("the file is empty.\nExport the bars again.")
    if data[:4] == b"PAR1":
        return Source(data, f"Parquet{packing}", sha256)
    data, encoding = _decode(data)
    return Source(data, f"{encoding}{packing}", sha256)


def _neighbours(path: Path) -> str:
    names = [file.name for file in path.parent.glob("*") if file.suffix.lower() in TABLES]
    return did_you_mean(path.name, names) if names else ""


def _unpack(raw: bytes) -> tuple[bytes, str]:
    """Return the bytes inside a gzip or zip file, told by their first bytes and not by the name."""
    try:
        if raw[:2] == b"\x1f\x8b":
            return gzip.decompress(raw), ", gzip"
        if raw[:4] == b"PK\x03\x04":
            return _only_member(zipfile.ZipFile(io.BytesIO(raw))), ", zip"
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
        # RuntimeError: encrypted, or (NotImplementedError) packed by a method Python does not know
        raise BarsError(f"cannot be unpacked ({error}).\nUnpack it yourself, or export it again.") from None
    return raw, ""


def _only_member(archive: zipfile.ZipFile) -> bytes:
    names = [n for n in archive.namelist() if not n.endswith("/") and not n.startswith("__MACOSX/")]
    if "[Content_Types].xml" in names:
        raise BarsError("an Excel workbook.\nSave the sheet as CSV and read that.")
    # HistData's zip holds a .txt report beside the .csv, so a single .csv is enough to be sure.
    for suffixes in ((".csv",), TABLES):
        tables = [n for n in names if n.lower().endswith(suffixes)]
        if len(tables) == 1:
            return archive.read(tables[0])
    inside = ", ".join(names[:5]) or "nothing"
    raise BarsError(f"a zip must hold one bar file; this one holds {inside}.\nUnpack it and name the file.")


def _decode(data: bytes) -> tuple[bytes, str]:
    """Return text as UTF-8 and the name of what it was written in."""
    encoding, start = next(((name, len(bom)) for bom, name in BOMS if data.startswith(bom)), ("", 0))
    if not encoding:
        encoding = _wide(data) or "UTF-8"
    try:
        text = data[start:].decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "UTF-8":  # an old code page: only names can be misspelt by this, never a price
            text, encoding = data[start:].decode("latin-1"), "a Windows code page"
        else:
            line = data[start : start + error.start].decode(encoding, "ignore").count("\n") + 1
            raise BarsError(f"line {line}: broken {encoding} text.\nExport the bars again.") from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise BarsError(f"line {line}: binary data, not text.\nExport the bars as CSV.")
    if text.count("\r") != text.count("\r\n"):  # each ends a line, here as in every reader to come
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    elif encoding == "UTF-8":
        return data[start:], encoding
    return text.encode("utf-8", "replace"), encoding


def _wide(data: bytes) -> str:
    """Return UTF-16 in the byte order that explains the zeros of a text without a byte order mark."""
    head = data[:2000]
    for zeros, name in ((head[1::2], "UTF-16-LE"), (head[0::2], "UTF-16-BE")):
        if len(zeros) > 4 and zeros.count(0) > 0.9 * len(zeros):
            return name
    return ""
