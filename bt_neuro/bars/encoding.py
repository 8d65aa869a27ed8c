"""Encodings of text: byte order marks, UTF-8, UTF-16, and the code pages of old programs."""

from __future__ import annotations

import codecs
import re

from bt_neuro.bars.words import parse_name
from bt_neuro.errors import BarsError

MARKS = (
    (codecs.BOM_UTF8, "UTF-8"),
    (codecs.BOM_UTF32_LE, "UTF-32-LE"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF16_LE, "UTF-16-LE"),
    (codecs.BOM_UTF16_BE, "UTF-16-BE"),
)
CODE_PAGES = (  # of equals, the first
    "cp1252", "cp1251", "cp932", "gb18030", "big5", "euc_kr", "cp1250", "cp1254", "cp1253", "cp1255", "cp1256",
    "cp1258", "cp874", "koi8_r", "cp866", "iso8859_5", "euc_jp", "mac_roman", "cp850",
)  # fmt: skip
HEAD = 1 << 16
# Signs of typesetting: wide letters, blanks, marks of direction, apostrophes and minus. NFKC would do more, and
# make a 2 of a superscript two. Wide digits stay too: in a price they are two damaged bytes.
_SIGNS: dict[int, int | str] = {0xFEE0 + sign: sign for sign in range(0x21, 0x7F) if not chr(sign).isdigit()}
_SIGNS |= dict.fromkeys((0xA0, *range(0x2000, 0x200B), 0x202F, 0x3000, 0xFF0C, 0xFF1B), " ")
_SIGNS |= dict.fromkeys((0x200B, 0x200E, 0x200F, 0xFEFF), "") | {0x2212: "-"}
_SIGNS |= dict.fromkeys((0xB4, 0x2BC, 0x2018, 0x2019), "'")


def decode(data: bytes) -> tuple[bytes, str]:
    """Return text as UTF-8 with lines ended by LF or CRLF, and the name of its encoding."""
    encoding, start = next(((name, len(mark)) for mark, name in MARKS if data.startswith(mark)), ("", 0))
    encoding = encoding or wide_encoding(data) or "UTF-8"
    data = data[start:] if start else data
    if encoding == "UTF-8":
        data, encoding = _as_utf8(data)
    else:
        try:
            text = data.decode(encoding)
            if (at := text.find("\u0a00")) >= 0:  # no letter: a line end, one byte off
                raise UnicodeDecodeError(encoding, data, 2 * at, 2 * at + 2, "one byte off")
            data = text.encode("utf-8", "replace")
        except UnicodeDecodeError as error:
            line = data[: error.start].decode(encoding, "ignore").count("\n") + 1
            raise BarsError(f"line {line}: broken {encoding} text.\nExport the bars again.") from None
    require_text(data)
    head = data[:HEAD]
    if head.count(b"\r") - head.count(b"\r\n") > head.endswith(b"\r"):  # every reader must see the same lines
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data, encoding


def require_text(data: bytes) -> None:
    """Raise BarsError for binary data."""
    if (at := data.find(b"\0")) >= 0:
        line = data.count(b"\n", 0, at) + 1
        raise BarsError(f"line {line}: binary data, not text.\nExport the bars as CSV.")


def wide_encoding(data: bytes) -> str:
    """Return the byte order of UTF-16, with a mark or known by its zeros; empty for other text."""
    head = data[:2000]
    for mark, zeros, letters, name in (
        (codecs.BOM_UTF16_LE, head[1::2], head[0::2], "UTF-16-LE"),
        (codecs.BOM_UTF16_BE, head[0::2], head[1::2], "UTF-16-BE"),
    ):
        n = len(zeros)
        if head.startswith(mark) or (n > 4 and zeros.count(0) > 0.9 * n and letters.count(0) < 0.1 * n):
            return name
    return ""


def _as_utf8(data: bytes) -> tuple[bytes, str]:
    if data.isascii():
        return data, "UTF-8"
    end = len(data)
    if data[HEAD:].isascii():  # of a large file only the header is decoded
        end = data.find(b"\n", HEAD) + 1 or end
    head, encoding = data[:end], "UTF-8"
    try:
        text = head.decode()
    except UnicodeDecodeError:
        page = _code_page(head[:HEAD])
        text, encoding = head.decode(page or "latin-1", "replace"), page or "an unknown code page"
    return text.translate(_SIGNS).encode("utf-8", "replace") + data[end:], encoding


def _code_page(head: bytes) -> str:
    """Return the code page in which most cells are known words, empty where none are.

    charset-normalizer needs more text than the header of a table: of eight such files it misread three.
    """
    lines = b"\n".join([line for line in head.split(b"\n") if not line.isascii()][:50])

    def known_words(page: str) -> int:
        cells = re.split(r"[;,|\t\n\"]", lines.decode(page, "replace"))
        names = [parse_name(cell) for cell in cells if not cell.isascii()]
        return sum(bool(name.role) and not name.rest for name in names)

    page = max(CODE_PAGES, key=known_words)
    return page if known_words(page) else ""
