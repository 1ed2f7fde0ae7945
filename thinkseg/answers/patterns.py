"""Regular expressions of the answer formats, for engines that let a model write nothing else.

They keep to what every engine of structured outputs knows: classes, groups, alternatives and counts, no look-ahead.
What such an expression takes, the format's reader reads, but for what no regular expression of a fair size can say:
that a box's corners are in order, that there are as many labels as points where there are more than `COUNTED`, and that
a text has at most `reading.MAX_TEXT` characters.
"""

from __future__ import annotations

from dataclasses import dataclass

from thinkseg.answers.reading import MAX_OBJECTS, MAX_POINTS

NUMBER = "(0|[1-9][0-9]{0,8})"
"""A whole number below `reading.FARTHEST`, as JSON has it."""
SPACE = " ?"
"""Behind a comma or a colon."""
GAP = "[ \\n]{0,2}"
"""Between tags."""
COMMA = "," + SPACE
POINT = f"\\[{NUMBER}{COMMA}{NUMBER}\\]"
BOX = f"\\[{NUMBER}{COMMA}{NUMBER}{COMMA}{NUMBER}{COMMA}{NUMBER}\\]"

COUNTED = 16
"""Points up to which there have to be as many labels."""


def without(text: str) -> str:
    """An expression of every text that does not contain another one, which begins with a letter that it has once.

    >>> import re
    >>> inside = re.compile(without("</b>"))
    >>> [bool(inside.fullmatch(said)) for said in ("", "a < b", "</</a", "a</b>", "<</b>c")]
    [True, True, True, False, False]
    """
    first, rest = text[0], text[1:]
    begun = miss = ""
    for letter in reversed(rest[:-1]):
        begun = f"({letter}{begun})?"
    miss = f"[^{rest[-1]}{first}]"
    for letter in reversed(rest[:-1]):
        miss = f"([^{letter}{first}]|{letter}{miss})"
    # A beginning of the text may stand before another one, or at the end; before anything else it has to go wrong.
    return f"([^{first}]|({first}{begun})*{first}{miss})*({first}{begun})*"


ANY_THINKING = without("</think>")
"""All that thinking may hold."""


@dataclass(frozen=True, slots=True)
class AnswerPattern:
    """What a format writes, as regular expressions over the whole of its two parts."""

    answer: str
    """What comes after the thinking."""
    thinking: str | None = ANY_THINKING
    """What stands between <think> and </think>; None for a format that writes no thinking."""
    otherwise: AnswerPattern | None = None
    """What may be written in its place."""

    @property
    def whole(self) -> str:
        """A completion from its first letter to its last."""
        return self.after("")

    def after(self, opened: str) -> str:
        """A completion where the chat template has opened the thinking for the model.

        Args:
            opened: what the prompt ends with of it: empty, ``<think>``, or ``<think></think>`` with space around.
        """
        own = self._after(opened)
        return own if self.otherwise is None else f"({own}|{self.otherwise.after(opened)})"

    def _after(self, opened: str) -> str:
        closed = f"{ANY_THINKING if self.thinking is None else self.thinking}</think>{GAP}{self.answer}"
        if "</think>" in opened:
            return self.answer
        if opened:
            return closed
        return self.answer if self.thinking is None else f"<think>{closed}"


def members(**values: str) -> str:
    """An object in JSON with these keys, in this order, each with an expression of its value."""
    written = (f'"{key}":{SPACE}{value}' for key, value in values.items())
    return f"\\{{{COMMA.join(written)}\\}}"


def objects(item: str) -> str:
    """A list in JSON of so many items as are read, or of none."""
    return f"\\[({item}({COMMA}{item}){{0,{MAX_OBJECTS - 1}}})?\\]"


def _listed(item: str, least: int, most: int) -> str:
    """A list in JSON of so many items."""
    return f"\\[({item}{COMMA}){{{least - 1},{most - 1}}}{item}\\]"


def points_and_labels() -> str:
    """The tags of points and labels: as many of both up to `COUNTED`, or empty."""
    counts = [(count, count) for count in range(1, COUNTED + 1)] + [(COUNTED + 1, MAX_POINTS)]
    pairs = [(_listed(POINT, *count), _listed("[01]", *count)) for count in counts]
    filled = (f"<points>{points}</points>{GAP}<labels>{labels}</labels>" for points, labels in (("", ""), *pairs))
    return f"({'|'.join(filled)})"
