"""A format from outside the package is tried before it is used, and what is wrong with it is one sentence."""

from pathlib import Path

import pytest

from thinkseg.answers import get_format
from thinkseg.errors import InputError

IN_NUMBERS = "read_box([int(number) for number in written.strip(' []').split(',')], frame, what)"

BROKEN = {
    "a number": (
        ("class Boxes(AnswerFormat):", "Boxes = 3\n\n\nclass Other(AnswerFormat):"),
        r"expected an answer format at '.*:Boxes', a subclass of thinkseg\.answers\.AnswerFormat, found 3",
    ),
    "a class that is no format": (
        ("Boxes(AnswerFormat)", "Boxes"),
        r"subclass of thinkseg\.answers\.AnswerFormat, found the class 'Boxes'",
    ),
    "no way to read": (
        ("def parse", "def read"),
        r"lacks parse: thinkseg\.answers\.AnswerFormat has the contract",
    ),
    "nothing but a docstring": (
        ("    name = ", "    pass\n\n\nclass Other(AnswerFormat):\n    name = "),
        r"lacks canonical, parse, render, name, template",
    ),
    "no sentences": (
        ("    template = ", "    sentences = "),
        r"lacks template",
    ),
    "a name that is no text": (
        ("    name = ", "    name = None and "),
        r"'name' of the answer format '.*:Boxes' should be text, found None",
    ),
    "a constructor of its own": (
        ("    name =", "    def __init__(self, colour):\n        self.colour = colour\n\n    name ="),
        r"fails where it is tried out: TypeError",
    ),
    "coordinates that are lost": (
        ("int(value) for", "int(value) + 1 for"),
        r"parse should read back what render writes",
    ),
    "an answer that changes": (
        ("answer.frame, tuple(", "answer.frame, answer.objects[:1] and 2 * tuple("),
        r"canonical\(canonical\(answer\)\) should be canonical\(answer\)",
    ),
    "no form for nothing there": (
        ('or "none"', 'or "[0, 0, 1, 1]"'),
        r'parse should read back .*"nothing there"',
    ),
    "a malformed answer that breaks it": (
        ("read_box(read_json(written, what), frame, what)", IN_NUMBERS),
        r"ValueError: invalid literal .* ends in MalformedAnswer",
    ),
    "a malformed answer that is nothing": (
        ("check_length(text)", "if len(text) < 3:\n            return None"),
        r"parse should give an Answer for ''",
    ),
    "no place for the query": (
        ("{query}", "cows"),
        r"its instruction should hold the \{query\}",
    ),
}


@pytest.mark.parametrize(("change", "said"), BROKEN.values(), ids=BROKEN)
def test_what_breaks_the_contract_is_said_in_a_sentence(own_format, tmp_path, change, said):
    code = Path(own_format.rpartition(":")[0]).read_text(encoding="utf-8")
    assert change[0] in code
    file = tmp_path / "my_format.py"
    file.write_text(code.replace(*change), encoding="utf-8")
    with pytest.raises(InputError, match=said) as caught:
        get_format(f"{file}:Boxes")
    assert "\n" not in str(caught.value)
