"""The contract of an answer format: how an answer is asked for, written and read."""

from typing import Protocol, runtime_checkable

from thinkseg.types import Answer, Instruction, Size


@runtime_checkable
class AnswerFormat(Protocol):
    """One way to write an answer as text.

    The law that every format keeps: ``parse(render(answer), answer.frame) == answer`` for every answer that the format
    can express in whole numbers. The example inside an instruction is made by `render`, so it always parses.
    """

    name: str
    points_per_object: int
    """Points on each object in an answer that is made from masks."""

    def instruction(self, query: str) -> Instruction:
        """What to ask the model so that it answers the query in this format."""
        ...

    def render(self, answer: Answer) -> str:
        """The answer as text, coordinates rounded to whole numbers of its frame."""
        ...

    def parse(self, text: str, frame: Size) -> Answer:
        """Read a completion whose coordinates are measured in `frame`; values past the border are clipped to it.

        Raises:
            MalformedAnswer: the text is not an answer in this format; the reason says what is wrong with it.
        """
        ...
