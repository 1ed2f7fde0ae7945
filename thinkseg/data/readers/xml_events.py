"""Elements of an XML file, one after the other, read by Python's own parser with document types refused.

A document type is where entities are defined, by which a small file can unpack to all of a machine's memory or name
other files; tools for annotation write none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from thinkseg.data.listing import BrokenFile, FaultKind

_PIECE = 1 << 16
"""Bytes that are parsed at a time."""


@dataclass(slots=True)
class Element:
    """An element with its attributes and children."""

    name: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    text: str = ""
    """Between its tags, that of its children left out."""

    def child_text(self, name: str) -> str:
        """The text of its first child of a name, blanks at the ends taken off; empty where there is none."""
        return next((child.text.strip() for child in self.children if child.name == name), "")


def elements(file: Path, names: Sequence[str]) -> Iterator[Element]:
    """The elements of these names, with all that is in them, wherever they stand; an element in one of them is its own.

    Raises:
        BrokenFile: it is missing, no XML, or has a document type.
    """
    waiting: list[Element] = []
    open_elements: list[Element] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if open_elements or name in names:
            element = Element(name, attributes)
            if open_elements:
                open_elements[-1].children.append(element)
            open_elements.append(element)

    def end(_: str) -> None:
        if open_elements:
            element = open_elements.pop()
            if not open_elements:
                waiting.append(element)

    def text(more: str) -> None:
        if open_elements:
            open_elements[-1].text += more

    parser = _parser(file)
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    for _ in _fed(parser, file):
        yield from waiting
        waiting.clear()


def root_name(file: Path) -> str:
    """The name of the outermost element; empty where the file is no XML, or has a document type."""
    found: list[str] = []
    parser = _parser(file)
    parser.StartElementHandler = lambda name, _: found.append(name)
    try:
        for _ in _fed(parser, file):
            if found:
                return found[0]
    except BrokenFile:
        return found[0] if found else ""
    return ""


def _parser(file: Path) -> expat.XMLParserType:
    parser = expat.ParserCreate()

    def refuse(*_: object) -> None:
        message = f"'{file}' has a document type (<!DOCTYPE …>), in which entities could hide: take the line out"
        raise BrokenFile(FaultKind.REFUSED, file, message)

    parser.StartDoctypeDeclHandler = refuse
    parser.buffer_text = True
    return parser


def _fed(parser: expat.XMLParserType, file: Path) -> Iterator[None]:
    """Hand the file to the parser, piece by piece."""
    try:
        with file.open("rb") as opened:
            while piece := opened.read(_PIECE):
                parser.Parse(piece, False)
                yield
            parser.Parse(b"", True)
            yield
    except (expat.ExpatError, OSError, ValueError, LookupError) as error:  # the last: an encoding that nobody knows
        raise BrokenFile(FaultKind.UNREADABLE, file, f"'{file}' cannot be read as XML ({error})") from error
