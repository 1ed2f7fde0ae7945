"""How answers are asked for, written and read: one class per format, one line each in the table below."""

from collections.abc import Callable

from thinkseg.answers.base import AnswerFormat
from thinkseg.answers.json_objects import SegZero, SegZeroSoft, VisionReasoner
from thinkseg.answers.tags import SegR1, SegR1Points
from thinkseg.errors import InputError
from thinkseg.types import Instruction

FORMATS: dict[str, Callable[..., AnswerFormat]] = {
    SegR1.name: SegR1,
    SegR1Points.name: SegR1Points,
    SegZero.name: SegZero,
    SegZeroSoft.name: SegZeroSoft,
    VisionReasoner.name: VisionReasoner,
}
"""By name, as recipes and the command line know them."""


def get_format(name: str, template: Instruction | None = None, *, tolerant: bool = False) -> AnswerFormat:
    """The answer format of that name.

    Args:
        name: a key of `FORMATS`.
        template: sentences in place of the format's own, with ``{query}`` and ``{example}``.
        tolerant: whether an answer in JSON may stand in a code fence.

    Raises:
        InputError: there is no format of that name, or it has no JSON to be tolerant about.
    """
    if name not in FORMATS:
        raise InputError(f"there is no answer format '{name}': choose one of {', '.join(FORMATS)}")
    if not tolerant:
        return FORMATS[name](instruction_template=template)
    if name in (SegR1.name, SegR1Points.name):
        raise InputError(f"the answer format '{name}' has no code fences to be tolerant about: leave 'tolerant' out")
    return FORMATS[name](instruction_template=template, tolerant=True)


__all__ = ["FORMATS", "AnswerFormat", "SegR1", "SegR1Points", "SegZero", "SegZeroSoft", "VisionReasoner", "get_format"]
