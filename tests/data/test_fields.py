"""Fields of JSON objects: whatever a number is, it is that number or it is named."""

import pytest

from thinkseg.data.fields import FieldError, Fields

HUGE = 10**400
"""Python's own words for it would be "int too large to convert to float"."""


@pytest.mark.parametrize("value", [HUGE, -HUGE, float("inf"), float("nan"), True, "1", None, [1]])
def test_what_no_float_holds_is_no_number(value):
    with pytest.raises(FieldError, match=r"'x' of a row should be a finite number, found "):
        Fields({"x": value}, "a row").number("x")


@pytest.mark.parametrize("value", ["9" * 5000, "1e3", "1.0", 1.5, True, "\u0663"])
def test_what_is_no_whole_number_in_digits_is_none(value):
    with pytest.raises(FieldError, match=r"'x' of a row should be a whole number, found "):
        Fields({"x": value}, "a row").whole("x")


def test_a_whole_number_may_be_long():
    assert Fields({"x": str(HUGE)}, "a row").whole("x") == HUGE
