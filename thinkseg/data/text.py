"""Text from files and from standard input: decoded strictly, so that no letter turns into another one in silence.

A byte order mark decides (UTF-8 or UTF-16) and is taken off; without one the text is UTF-8. Anything else is read in
the encoding that its owner names, and refused until then: a guess reads Chinese as Western letters without a word.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from thinkseg.errors import DataError

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))

_ADVICE = "save it in UTF-8, or name its encoding with '--encoding' (such as gbk, cp1252 or utf-16)"
_PIECE = 65536
"""Bytes that are taken from a stream at a time, at most."""

_LINE_ENDS = re.compile(r"\r\n|\n|\r")
"""What ends a line; U+2028 and its kin are letters within it, as in JSON and CSV."""


def read_text(file: Path, encoding: str = "") -> str:
    """The text of a file.

    Args:
        file: it.
        encoding: Python's name of it, such as "gbk"; when empty, UTF-8, or what the file's byte order mark says.

    Raises:
        DataError: it is in another encoding, or there is no encoding of this name.
        OSError: it cannot be opened.
    """
    return decoded(file.read_bytes(), f"'{file}'", encoding)


def decoded(raw: bytes, name: str, encoding: str = "") -> str:
    """Bytes as text; see `read_text`.

    Args:
        raw: the bytes.
        name: what an error calls them.
        encoding: see there.

    Raises:
        DataError: see there.
    """
    _check_encoding(encoding)
    mark, found = next(((mark, kind) for mark, kind in _MARKS if raw.startswith(mark)), (b"", "utf-8"))
    kind = found if mark else encoding or found
    try:
        return raw[len(mark) :].decode(kind)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, len(mark) + error.start) + 1
        told = f"{kind.upper()}, as its byte order mark says," if mark else kind.upper() if encoding else "UTF-8"
        raise DataError(f"{name} should be text in {told} and is not (line {line}): {_ADVICE}") from error


def lines_of(text: str) -> list[str]:
    """The lines of a text without their ends; one line of JSON or CSV is one line whatever letters it has."""
    lines = _LINE_ENDS.split(text)
    return lines[:-1] if lines[-1] == "" else lines


def input_lines(stream: Any, encoding: str = "") -> list[str]:
    """All lines of standard input; see `stream_lines`."""
    return list(stream_lines(stream, encoding))


def stream_lines(stream: Any, encoding: str = "") -> Iterator[str]:
    """The lines of standard input, each as soon as it is there; the stream has its bytes as `buffer`, or only text.

    Bytes that are not UTF-8 are kept as Python keeps them in the names of files, since a line may be such a name.

    Raises:
        DataError: there is no such encoding, or the input is not in it.
    """
    _check_encoding(encoding)
    raw = getattr(stream, "buffer", None)
    pieces = iter(stream) if raw is None else _decoded_pieces(raw, encoding)  # a caller's own stream may be of text
    start, held = True, ""
    for piece in pieces:
        held += piece.removeprefix("\ufeff") if start else piece
        start = False
        *whole, held = _LINE_ENDS.split(held.removesuffix("\r")) + (["\r"] if held.endswith("\r") else [])
        if held == "\r" and whole:  # it may be the first half of a line's end
            held = f"{whole.pop()}\r"
        yield from whole
    yield from lines_of(held)


def _decoded_pieces(raw: Any, encoding: str) -> Iterator[str]:
    """The text of a stream of bytes, in pieces as they come."""
    read = raw.read1 if hasattr(raw, "read1") else raw.read
    first: bytes = b""
    while len(first) < len(codecs.BOM_UTF8) and (more := read(_PIECE)):
        first += more
    mark, found = next(((mark, kind) for mark, kind in _MARKS if first.startswith(mark)), (b"", "utf-8"))
    kind = found if mark else encoding or found
    strict = encoding or kind != "utf-8"
    decoder = codecs.getincrementaldecoder(kind)("strict" if strict else "surrogateescape")
    lines, piece = 1, first[len(mark) :]
    while first:
        yield (text := _next_text(decoder, piece, kind, lines, final=False))
        lines += text.count("\n")
        first = piece = read(_PIECE)
    yield _next_text(decoder, b"", kind, lines, final=True)


def _next_text(decoder: codecs.IncrementalDecoder, piece: bytes, kind: str, line: int, *, final: bool) -> str:
    try:
        return decoder.decode(piece, final)
    except UnicodeDecodeError as error:
        line += error.object[: error.start].count(b"\n")
        raise DataError(
            f"standard input should be text in {kind.upper()} and is not (line {line}): {_ADVICE}"
        ) from error


def printable(name: str) -> str:
    r"""A name in letters that any file takes: a byte that is not UTF-8 as ``\xd6``, half an emoji as ``\ud83d``.

    >>> printable("caf\udce9")
    'caf\\xe9'
    """
    if name.isascii():
        return name
    try:
        name.encode()
    except UnicodeEncodeError:
        return "".join(map(_printable_letter, name))
    return name


def sayable(name: str) -> str:
    """A file's name, which a table or JSON can say.

    Raises:
        DataError: it has bytes that are not UTF-8.
    """
    if printable(name) != name:
        raise DataError(
            f"the name '{printable(name)}' is not UTF-8, so that no table and no JSON can say it: rename the file"
        )
    return name


IMAGE_WORD = "<image>"
_IMAGE_WORDS = (IMAGE_WORD, "<|vision_start|>", "<|image_pad|>", "<|vision_end|>")
"""What stands for the image in the text of a request of a published row."""
_IMAGE = re.compile("|".join(map(re.escape, _IMAGE_WORDS)))


def plain_query(text: str) -> str:
    r"""A request of a published row without the words that stand for its image.

    >>> plain_query("<image>\nthe cup"), plain_query("the cup<image>on the left")
    ('the cup', 'the cup on the left')
    """
    return " ".join(filter(None, map(str.strip, _IMAGE.split(text))))


def is_whole(text: str) -> bool:
    """Whether a text can be written at all: half an emoji (a surrogate without its other half) cannot."""
    return printable(text) == text


def jsonl_texts(file: Path, encoding: str = "") -> Iterator[tuple[int, str]]:
    """The lines of a file that are not blank, each with its number from 1 on.

    Raises:
        DataError: see `read_text`.
    """
    yield from ((line, text) for line, text in enumerate(lines_of(read_text(file, encoding)), start=1) if text.strip())


def _printable_letter(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if 0xD800 <= code <= 0xDFFF else letter


def _check_encoding(encoding: str) -> None:
    try:
        b"a".decode(encoding or "utf-8", "ignore")  # also refuses Python's codecs that are none of text
    except (LookupError, ValueError) as error:
        raise DataError(
            f"there is no text encoding '{encoding}': names are such as utf-8, gbk, cp1252, utf-16"
        ) from error
