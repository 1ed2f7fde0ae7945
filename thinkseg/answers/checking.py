"""Whether a class keeps the contract of an answer format: for formats from outside the package."""

from typing import Any, NoReturn

from thinkseg.answers.base import AnswerFormat
from thinkseg.answers.instructions import EXAMPLE
from thinkseg.answers.reading import attempt, excerpt
from thinkseg.errors import InputError, MalformedAnswer, reason_of
from thinkseg.extension import described
from thinkseg.types import Answer

_NO_ANSWERS = ("", "?", "[[", "{}", "[1]", "-1 nan 1e999", "<think>")


def check_format(value: Any, name: str) -> type[AnswerFormat]:
    """What a reference names, as an answer format.

    The laws are tried on an example, on "nothing there", and on texts that are cut off.

    Args:
        value: what it names.
        name: the reference, for the sentence.

    Raises:
        InputError: it is no format, something is missing in it, or it breaks a law.
    """
    if not (isinstance(value, type) and issubclass(value, AnswerFormat)):
        raise InputError(
            f"expected an answer format at '{name}', a subclass of thinkseg.answers.AnswerFormat, found "
            f"{described(value)}"
        )
    missing = sorted(value.__abstractmethods__)
    missing += [attribute for attribute in ("name", "template") if not hasattr(value, attribute)]
    if missing:
        raise InputError(
            f"the answer format '{name}' lacks {', '.join(missing)}: thinkseg.answers.AnswerFormat has the contract"
        )
    if not (isinstance(value.name, str) and value.name.strip()):
        raise InputError(f"'name' of the answer format '{name}' should be text, found {described(value.name)}")
    _try_laws(value, name)
    return value


def _try_laws(kind: type[AnswerFormat], name: str) -> None:
    try:
        form = kind(instruction_template=None, tolerant=False)
        for answer in (EXAMPLE, Answer(EXAMPLE.frame)):
            expressed = form.canonical(answer)
            if form.canonical(expressed) != expressed:
                _refuse(name, "canonical(canonical(answer)) should be canonical(answer)", answer)
            text = form.render(answer)
            if form.parse(text, answer.frame) != expressed:
                _refuse(name, f"parse should read back what render writes, here {excerpt(text)}", answer)
            if not answer.objects and expressed.objects:
                _refuse(name, "an answer without objects should stay without", answer)
        text = form.render(EXAMPLE)
        for cut in (*_NO_ANSWERS, *(text[:length] for length in range(len(text)))):
            if not isinstance(attempt(form.parse, cut, EXAMPLE.frame), Answer | MalformedAnswer):
                _refuse(name, f"parse should give an Answer for {excerpt(cut)}", EXAMPLE)
        asked = form.instruction("apples")
        if "apples" not in f"{asked.system} {asked.user}":
            _refuse(name, "its instruction should hold the {query}", EXAMPLE)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"the answer format '{name}' fails where it is tried out: {reason_of(error)}. A text that it "
            "cannot read ends in MalformedAnswer; thinkseg.answers.AnswerFormat has the contract"
        ) from error


def _refuse(name: str, law: str, answer: Answer) -> NoReturn:
    what = "an example" if answer.objects else '"nothing there"'
    raise InputError(f"the answer format '{name}' breaks a law of thinkseg.answers.AnswerFormat: {law} ({what})")
