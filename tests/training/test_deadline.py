"""A run of so many seconds does as many steps as fit, and its learning rate falls to nothing at the last of them."""

import pytest
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments, get_constant_schedule_with_warmup

from thinkseg.training.callbacks import read_log
from thinkseg.training.deadline import Deadline, let_fall
from thinkseg.training.stages import train_recipe

ARGUMENTS = TrainingArguments(use_cpu=True)


class Stopwatch:
    """Time that goes on by itself when a step is done."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def run(seconds, pace, first=None, steps=1000):
    """Let steps of a given length go by until the deadline ends them; the state, what was said, and the time."""
    clock, said = Stopwatch(), []
    deadline = Deadline(seconds, said.append, clock)
    state, control = TrainerState(global_step=0, max_steps=steps), TrainerControl()
    deadline.on_train_begin(ARGUMENTS, state, control)
    while not control.should_training_stop and state.global_step < state.max_steps:
        clock.now += first if first is not None and not state.global_step else pace(state.global_step)
        state.global_step += 1
        deadline.on_step_end(ARGUMENTS, state, control)
    return state, said, clock.now - 100


def test_as_many_steps_are_done_as_fit_and_it_is_said_when_that_is_known():
    state, said, spent = run(60, lambda _: 2.0, first=10.0)
    assert state.global_step == state.max_steps == 26  # 10 s, then 25 of 2 s
    assert spent == 60
    assert said == ["a step takes 2.0 s: about 26 steps in the 60 s that there are"]


def test_steps_that_get_slower_do_not_run_over_the_time():
    state, _, spent = run(60, lambda step: 2.0 if step < 8 else 7.0)
    assert spent <= 60
    assert state.global_step == 14  # 8 of 2 s, then 6 of 7 s; a seventh would end after 65 s


def test_at_least_one_step_is_done_and_a_short_run_ends_by_its_own_steps():
    state, said, _ = run(1, lambda _: 5.0)
    assert state.global_step == 1
    assert said == [
        "only 1 step fitted into the 1 s that there are, at 5.0 s each: too few to learn much; more time gives more"
    ]
    state, said, _ = run(1000, lambda _: 2.0, steps=7)
    assert (state.global_step, said) == (7, [])


def test_the_learning_rate_falls_from_where_it_is_to_nothing():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = get_constant_schedule_with_warmup(optimizer, 2)
    rates = []
    for step in range(1, 11):
        if step == 5:
            let_fall(schedule, 4, 8)
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.0, 0.5, 1, 1, 1, 0.75, 0.5, 0.25, 0, 0])


@pytest.mark.slow
def test_a_training_whose_time_is_up_saves_its_model_as_any_other(rl_recipe, squares, tmp_path):
    final = train_recipe(rl_recipe(steps=500, segmenter="grabcut"), samples=squares, seconds=0.01)
    assert (final / "config.json").is_file()
    assert len(read_log(tmp_path / "run" / "log.jsonl")) == 1
