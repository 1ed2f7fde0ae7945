"""Strings are taken out of source text by where they stand, and nothing is run."""

import pytest

from thinkseg.errors import DataError
from thinkseg.models.published.extraction import Place, extract

SOURCE = """
raise SystemExit("run")
A = "one"
A = "two" + ' and ' + B
class Outer:
    limit: int
    word: str = r"three"
    def ask(self, thing):
        self.words = "four " \\
            "and five"
        found = ["six"]
        many = ["seven", "eight"]
        number = 9
        told = f"ten {thing} {thing!r:>5}"
        return {"type": "text", "text": "eleven"}, {"type": "image"}, call(Answer="twelve"), {**thing, "type": "text"}
"""


def at(scope: str, what: str, name: str = "", index: int = 0) -> str:
    return extract(SOURCE, Place("file.py", scope, what, name, index))  # type: ignore[arg-type]


def test_strings_are_taken_by_where_they_stand() -> None:
    assert at("", "variable", "A") == "one"
    assert at("", "variable", "A", 1) == "two and {query}"
    assert at("Outer", "variable", "word") == "three"
    assert at("Outer.ask", "variable", "self.words") == "four and five"
    assert at("Outer.ask", "variable", "found") == "six"
    assert at("Outer.ask", "variable", "told") == "ten {query} {query}"
    assert at("Outer.ask", "text") == "eleven"
    assert at("Outer.ask", "argument", "Answer") == "twelve"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (("Outer.ask", "variable", "gone"), "expected the variable gone in Outer.ask of 'file.py', found none"),
        (("Outer.gone", "text"), "expected the text of a chat message in Outer.gone of 'file.py', found none"),
        (("Outer.ask", "argument", "Answer", 1), r"expected the argument Answer \(number 2\) in Outer.ask"),
        (("Outer.ask", "variable", "many"), "found something computed"),
        (("Outer.ask", "variable", "number"), "found something computed"),
    ],
)
def test_what_is_not_there_is_told(place: tuple[str, ...], said: str) -> None:
    with pytest.raises(DataError, match=said):
        at(*place)  # type: ignore[arg-type]


@pytest.mark.parametrize("source", ["def (", "x = '\0'", "(" * 500])
def test_text_that_is_no_python_is_told(source: str) -> None:
    with pytest.raises(DataError, match=r"'file\.py' cannot be read as Python"):
        extract(source, Place("file.py", "", "text"))
