"""What benchmarks measure with is right itself."""

import gc
import weakref

import pytest
import torch

MARKS = []


class Mark:
    """Lives as long as the node of a graph that has it."""


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(context, values):
        context.mark = Mark()
        MARKS.append(weakref.ref(context.mark))
        doubled = values * 2
        context.save_for_backward(doubled)
        return doubled


def test_what_is_kept_for_the_backward_pass_is_counted_once_and_is_let_go_of(load_benchmark):
    weights = torch.nn.Linear(4, 4)
    values = torch.zeros(1000, requires_grad=True)
    gc.collect()
    gc.disable()  # a graph that holds itself would wait for it
    try:
        kept_for_backward = load_benchmark("measuring").kept_for_backward
        assert kept_for_backward(weights, lambda: Doubled.apply(values).exp().exp()) == 3 * 4000
        assert MARKS.pop()() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("feeding", "--batch-size"),
        ("passes", "--rows"),
        ("evaluate", "--repeats"),
        ("serve", "--clients"),
        ("train_step", "--steps"),
    ],
)
@pytest.mark.parametrize("count", ["0", "-1", "few", "²"])
def test_a_count_of_nothing_is_refused_in_a_sentence(load_benchmark, capsys, name, flag, count):
    with pytest.raises(SystemExit) as ended:
        load_benchmark(name).main([f"{flag}={count}"])
    assert ended.value.code == 2
    assert f"argument {flag}: expected a whole number from 1 on, found '{count}'" in capsys.readouterr().err
