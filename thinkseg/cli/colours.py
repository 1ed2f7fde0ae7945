"""Colour where it helps to find something: on a terminal that has it, and where nobody has said no.

`NO_COLOR` (https://no-color.org) set to anything turns it off, and so does a terminal that calls itself dumb. What goes
into a file or to another program is never coloured.
"""

import os
import re
from collections.abc import Mapping

from thinkseg.meter import TextSink

BOLD, RED, CYAN = "1", "31", "36"
"""Styles, as terminals know them (ECMA-48)."""


def has_colour(stream: TextSink, environment: Mapping[str, str] | None = None) -> bool:
    """Whether what is shown there may be coloured; the environment is the process's when None."""
    known = os.environ if environment is None else environment
    return stream.isatty() and not known.get("NO_COLOR") and known.get("TERM") != "dumb"


def painted(text: str, style: str, stream: TextSink) -> str:
    """The text in a style, or as it is where the stream has no colour."""
    return f"\x1b[{style}m{text}\x1b[0m" if text and has_colour(stream) else text


def painted_help(text: str, stream: TextSink) -> str:
    """The help of a verb with headings that stand out, and flags."""
    if not has_colour(stream):
        return text
    text = re.sub(r"(?m)^(?:usage:|\S[^\n]*:$)", lambda found: painted(found[0], BOLD, stream), text)
    flags = r"(?m)^  (-\S+(?: [^\s-]\S*)?(?:, --\S+(?: [^\s-]\S*)?)?)"
    return re.sub(flags, lambda found: f"  {painted(found[1], CYAN, stream)}", text)
