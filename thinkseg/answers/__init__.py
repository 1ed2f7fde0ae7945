"""Answer formats: how an answer is prompted, written and parsed; one class each, and one line in the table below."""

from thinkseg.answers.as_published import (
    SegR1PointsPublished,
    SegR1Published,
    SegZeroPublished,
    VisionReasonerBoxesPublished,
    VisionReasonerPublished,
)
from thinkseg.answers.base import TOLERANT, AnswerFormat
from thinkseg.answers.checking import check_format
from thinkseg.answers.json_objects import SegZero, SegZeroSoft, VisionReasoner
from thinkseg.answers.tags import SegR1, SegR1Points
from thinkseg.extension import resolve
from thinkseg.types import Instruction

FORMATS: dict[str, type[AnswerFormat]] = {
    SegR1.name: SegR1,
    SegR1Points.name: SegR1Points,
    SegZero.name: SegZero,
    SegZeroSoft.name: SegZeroSoft,
    VisionReasoner.name: VisionReasoner,
    SegR1Published.name: SegR1Published,
    SegR1PointsPublished.name: SegR1PointsPublished,
    SegZeroPublished.name: SegZeroPublished,
    VisionReasonerPublished.name: VisionReasonerPublished,
    VisionReasonerBoxesPublished.name: VisionReasonerBoxesPublished,
}
"""By name, as recipes and the command line know them."""

READ_AS_PUBLISHED: dict[str, str] = {
    SegR1.name: SegR1Published.name,
    SegR1Points.name: SegR1PointsPublished.name,
    SegZero.name: SegZeroPublished.name,
    SegZeroSoft.name: SegZeroPublished.name,
    VisionReasoner.name: VisionReasonerPublished.name,
}
"""By the name of a format the one that reads it as its authors do."""


def get_format(
    name: str,
    template: Instruction | None = None,
    *,
    tolerant: bool = False,
    sentence_template: Instruction | None = None,
    stripped: str | None = None,
) -> AnswerFormat:
    """The answer format of that name.

    Args:
        name: a key of `FORMATS`, or one of your own: ``FILE.py:NAME`` or ``PACKAGE.MODULE:NAME``. With ``-tolerant``
            behind it, as in ``vision-reasoner-tolerant``, it is made tolerant.
        template: sentences in place of the format's own, with ``{query}`` and ``{example}``.
        tolerant: whether answers of models that were never tuned are read, too.
        sentence_template: other sentences for a query that is a whole sentence.
        stripped: what queries lose at their ends, in lower case; None leaves them as they are.

    Raises:
        InputError: there is no format of that name, one of your own breaks the contract, or the format cannot
            be tolerant.
    """
    if name.endswith(TOLERANT) and name not in FORMATS:
        name, tolerant = name.removesuffix(TOLERANT), True
    return resolve(name, FORMATS, "answer format", check_format)(
        instruction_template=template, tolerant=tolerant, sentence_template=sentence_template, stripped=stripped
    )


__all__ = [
    "FORMATS",
    "READ_AS_PUBLISHED",
    "AnswerFormat",
    "SegR1",
    "SegR1Points",
    "SegZero",
    "SegZeroSoft",
    "VisionReasoner",
    "get_format",
]
