"""Which predicted object belongs to which true one."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from thinkseg.rewards.matching import matched_share

tables = arrays.arrays(
    float, st.tuples(st.integers(1, 4), st.integers(1, 4)), elements=st.floats(0, 3, allow_nan=False, width=32)
)


@given(tables)
@settings(max_examples=80, deadline=None)
def test_the_matching_is_the_best_of_all_and_divided_by_the_larger_number(table):
    rows, columns = table.shape
    if rows > columns:
        table, rows, columns = table.T, columns, rows
    sums = [table[range(rows), list(chosen)].sum() for chosen in itertools.permutations(range(columns), rows)]
    assert matched_share(table) == pytest.approx(max(sums) / columns)
    assert matched_share(table) == pytest.approx(matched_share(table.T))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_objects_on_one_side_alone_earn_nothing(shape):
    assert matched_share(np.zeros(shape)) == 0


def test_an_object_that_is_said_twice_is_counted_once_and_costs():
    assert matched_share(np.ones((2, 1))) == 0.5
