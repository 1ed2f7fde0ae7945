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
        advice = "save it in UTF-8, or name its encoding with '--encoding' (such as gbk, cp1252 or utf-16)"
        raise DataError(f"{name} should be text in {told} and is not (line {line}): {advice}") from error


def lines_of(text: str) -> list[str]:
    """The lines of a text without their ends; one line of JSON or CSV is one line whatever letters it has."""
    lines = _LINE_ENDS.split(text)
    return lines[:-1] if lines[-1] == "" else lines


def input_lines(stream: Any, encoding: str = "") -> list[str]:
    """The lines of standard input, whose stream has its bytes as `buffer`, or else only text.

    Bytes that are not UTF-8 are kept as Python keeps them in the names of files, since a line may be such a name.

    Raises:
        DataError: there is no such encoding, or the input is not in it.
    """
    raw = getattr(stream, "buffer", None)
    if raw is None:  # a stream of text that a caller has put there
        return lines_of(stream.read().removeprefix("\ufeff"))
    content: bytes = raw.read()
    if encoding or content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return lines_of(decoded(content, "standard input", encoding))
    return lines_of(content.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape"))


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


_IMAGE_WORDS = ("<image>", "<|vision_start|>", "<|image_pad|>", "<|vision_end|>")
"""What stands for the image in the text of a request of a published row."""


def plain_query(text: str) -> str:
    r"""A request of a published row without the words that stand for its image.

    >>> plain_query("<image>\nthe cup")
    'the cup'
    """
    for word in _IMAGE_WORDS:
        text = text.replace(word, "")
    return text.strip()


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
