"""The contract of an answer format, all of it: how an answer is prompted, written and parsed."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

from thinkseg.answers.instructions import EXAMPLE, bare_query, fill
from thinkseg.answers.patterns import AnswerPattern
from thinkseg.answers.reading import attempt
from thinkseg.errors import InputError, MalformedAnswer
from thinkseg.types import Answer, Instruction, Sample, Size

TOLERANT = "-tolerant"
"""Stands behind the name of a format that is to be tolerant."""


@dataclass(frozen=True, slots=True)
class AnswerFormat(ABC):
    """One way to write an answer as text.

    A format of your own is a subclass, in a file of your own::

        from thinkseg.answers import AnswerFormat
        from thinkseg.answers.reading import check_length, read_box, read_json, whole_box
        from thinkseg.types import Answer, Instruction, ObjectPrompt


        class Boxes(AnswerFormat):
            '''The boxes of the objects, ``[x_min, y_min, x_max, y_max]; …``, or "none" where nothing is there.'''

            name = "boxes"
            points_per_object = 0
            template = Instruction(
                "Find in this image: {query}. Write the box of each object as [x_min, y_min, x_max, y_max], with "
                "semicolons between them; when there is no such object, write none. An example: {example}"
            )

            def canonical(self, answer):
                if any(prompt.box is None for prompt in answer.objects):
                    raise ValueError("the format boxes needs a box for every object")
                return Answer(answer.frame, tuple(ObjectPrompt(whole_box(prompt.box)) for prompt in answer.objects))

            def render(self, answer):
                boxes = [prompt.box.xyxy for prompt in self.canonical(answer).objects]
                return "; ".join(str([int(value) for value in box]) for box in boxes) or "none"

            def parse(self, text, frame):
                check_length(text)
                if text.strip() == "none":
                    return Answer(frame)
                objects = []
                for number, written in enumerate(text.split(";"), start=1):
                    what = f"box {number}"
                    objects.append(ObjectPrompt(read_box(read_json(written, what), frame, what)))
                return Answer(frame, tuple(objects))

    Wherever a format is named, this one is ``my_format.py:Boxes``. The laws that every format keeps, and that are tried
    on a class of your own before it is used:

    1. ``parse(render(answer), answer.frame) == canonical(answer)`` for every answer that the format can express, and
       ``canonical(canonical(answer)) == canonical(answer)``.
    2. An answer without objects says that nothing is there, and the format can express it.
    3. A text that is no answer in this format ends in `MalformedAnswer` and in no other exception, whatever it holds.
    4. The example in an instruction is made by `render`, so that it parses.
    """

    instruction_template: Instruction | None = None
    """Sentences in place of `template`, with ``{query}`` and ``{example}``, as a recipe may give them."""
    tolerant: bool = False
    """Whether answers of models that were never tuned are read, too: in a code fence, among words, without points or
    thinking. A format that reads such answers says `can_be_tolerant`."""
    sentence_template: Instruction | None = None
    """Sentences for a query that is a whole sentence; None for the same ones as for a phrase."""
    stripped: str | None = None
    """Queries are put in lower case and lose these characters at their ends; None leaves them as they are."""

    name: ClassVar[str]
    """What reports and messages call it."""
    template: ClassVar[Instruction]
    """The instruction's sentences, with ``{query}`` and, where it helps, ``{example}``."""
    points_per_object: ClassVar[int] = 1
    """Points on each object in an answer that is made from masks: 0, 1 or 2."""
    can_be_tolerant: ClassVar[bool] = False
    """Whether the format heeds `tolerant`."""

    def __post_init__(self) -> None:
        if self.tolerant and not self.can_be_tolerant:
            raise InputError(
                f"the answer format '{self.name}' cannot be tolerant, which those with answers in JSON can: leave "
                "'tolerant' out"
            )

    @property
    def reader_name(self) -> str:
        """What runs and reports call it: its name, and whether it is tolerant."""
        return f"{self.name}{TOLERANT}" if self.tolerant else self.name

    @abstractmethod
    def canonical(self, answer: Answer) -> Answer:
        """The answer as this format expresses it: coordinates in whole numbers, what has no place in the text left out.

        Raises:
            ValueError: the format cannot express the answer, for instance an object without a box.
        """

    @abstractmethod
    def render(self, answer: Answer) -> str:
        """The answer as text, coordinates rounded to whole numbers of its frame.

        Raises:
            ValueError: the format cannot express the answer.
        """

    @abstractmethod
    def parse(self, text: str, frame: Size) -> Answer:
        """Read a completion whose coordinates are measured in `frame`; values past the border are clipped to it.

        What `thinkseg.answers.reading` has for numbers, boxes and points clips and refuses as it should.

        Raises:
            MalformedAnswer: the text is not an answer in this format; the reason says what is wrong with it.
        """

    def instruction(self, query: str, *, sentence: bool = False) -> Instruction:
        """What to ask the model so that it answers the query in this format.

        Args:
            query: what to look for, in words.
            sentence: whether these are a whole sentence, as ReasonSeg's `is_sentence` says, and not a phrase.
        """
        template = self.instruction_template or self.template
        if sentence and self.sentence_template is not None:
            template = self.sentence_template
        return fill(
            template, query if self.stripped is None else bare_query(query, self.stripped), self.render(EXAMPLE)
        )

    def instruction_for(self, sample: Sample) -> Instruction:
        """What to ask the model about a sample; a phrase is asked as `instruction` says, whose class may be its own."""
        if sample.is_sentence and self.sentence_template is not None:
            return self.instruction(sample.query, sentence=True)
        return self.instruction(sample.query)

    def try_parse(self, text: str, frame: Size, *, first: bool = False) -> Answer | MalformedAnswer:
        """What `parse` reads, or why it cannot be read: for those to whom a malformed answer is data.

        Args:
            text: a completion.
            frame: in which its coordinates are measured.
            first: whether `parse_first` reads in its place.
        """
        return attempt(self.parse_first if first else self.parse, text, frame)

    def parse_first(self, text: str, frame: Size) -> Answer:
        """Read of a completion the first object alone, with every point that the text gives if it lists them apart.

        Raises:
            MalformedAnswer: as `parse`.
        """
        answer = self.parse(text, frame)
        return replace(answer, objects=answer.objects[:1])

    def pattern(self) -> AnswerPattern | None:
        """Regular expressions of what `render` writes, for engines that let a model write nothing else.

        They take every text that `render` makes; what they take beyond that, `parse` reads, as far as
        `thinkseg.answers.patterns` says. None for a format that has none.
        """
        return None

    def form_score(self, text: str, frame: Size, answer: Answer | None) -> float:
        """How well a text keeps to the format: the part `format` of the reward. 1 for what can be read, else 0.

        A format may say more, for instance how much of a malformed text is right; then in a range of its own from 0 on.

        Args:
            text: a completion.
            frame: in which its coordinates are measured.
            answer: what `parse` reads in it; None when it is malformed.
        """
        return float(answer is not None)
