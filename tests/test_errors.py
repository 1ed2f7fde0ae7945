import pytest

from thinkseg.errors import reason_of
from thinkseg.extension import described


def test_an_error_of_somebody_elses_is_told_by_its_kind_on_one_line() -> None:
    assert reason_of(KeyError("a")) == "KeyError: 'a'"
    assert reason_of(ValueError("one line\n\n  and  another")) == "ValueError: one line and another"


class Mine:
    pass


def function() -> None:
    pass


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "None"),
        (3, "3"),
        ("a name", "'a name'"),
        ("x" * 500, "'" + "x" * 79),
        (Mine, "the class 'Mine'"),
        (function, "the function 'function'"),
        (lambda: None, "the function '<lambda>'"),
        (Mine(), "a value of the kind 'Mine'"),
        ([1, 2], "a value of the kind 'list'"),
    ],
)
def test_an_object_is_told_without_its_address(value: object, said: str) -> None:
    assert described(value) == said
