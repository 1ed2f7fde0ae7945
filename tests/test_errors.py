import pytest

from thinkseg.errors import DataError, ImageError, ThinkSegError, one_line, reason_of
from thinkseg.extension import described


def test_an_error_of_somebody_elses_is_told_by_its_kind_on_one_line() -> None:
    assert reason_of(KeyError("a")) == "KeyError: 'a'"
    assert reason_of(ValueError("one line\n\n  and  another")) == "ValueError: one line and another"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("plain \N{GRINNING FACE} é.png", "plain \N{GRINNING FACE} é.png"),
        ("two\nlines\r.png", r"two\nlines\r.png"),
        ("\u2028\u2029\x85\x00\x7f.png", r"\u2028\u2029\x85\x00\x7f.png"),
        ("right\u202eleft\u2066.png", r"right\u202eleft\u2066.png"),
        ("caf\udce9.png", r"caf\xe9.png"),
        ("half \ud83d.png", r"half \ud83d.png"),
        ("back\\slash.png", r"back\slash.png"),
    ],
)
def test_whatever_an_error_quotes_it_is_one_line_that_a_file_takes(name: str, written: str) -> None:
    assert one_line(name) == written
    for kind in (ThinkSegError, ImageError, DataError):
        error = kind(f"'{name}' is damaged")
        assert str(error) == f"'{written}' is damaged"
        assert str(error).encode().splitlines() == [str(error).encode()]


def test_an_error_that_quotes_something_endless_loses_its_middle() -> None:
    message = str(DataError("there is no setting '" + "a" * 50_000 + "' in recipe.yaml"))
    assert len(message) < 4100
    assert message.startswith("there is no setting 'aaa")
    assert message.endswith("aaa' in recipe.yaml")


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
