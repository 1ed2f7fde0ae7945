"""The log holds what happened, the bar shows it, and an interrupt waits for a step from which the run can go on."""

import json
import re
import signal

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from thinkseg.training.callbacks import (
    CheckpointFiles,
    DeadReward,
    OrderlyStop,
    RunLog,
    StepBar,
    read_log,
    record_from_logs,
)
from thinkseg.training.checkpoints import damage_of

LOGS = {
    "loss": 0.5,
    "grad_norm": 1.5,
    "reward": 0.75,
    "reward_std": 0.25,
    "rewards/segment/mean": 0.6,
    "rewards/segment/std": 0.1,
    "rewards/format/mean": None,
    "frac_reward_zero_std": 0.5,
    "kl": float("nan"),
    "completions/mean_length": 20.0,
    "parse_failures": 0.125,
    "epoch": 0.1,
}


ARGS = TrainingArguments("unused", use_cpu=True, report_to="none")


def state(step=0, steps=4):
    found = TrainerState(global_step=step, max_steps=steps)
    found.is_world_process_zero = True
    return found


def test_a_record_has_the_names_of_trl_and_leaves_out_what_is_not_known():
    assert record_from_logs(LOGS) == {
        "loss": 0.5,
        "grad_norm": 1.5,
        "reward": 0.75,
        "reward_std": 0.25,
        "rewards/segment/mean": 0.6,
        "rewards/segment/std": 0.1,
        "frac_reward_zero_std": 0.5,
        "completions/mean_length": 20.0,
        "parse_failures": 0.125,
    }


def test_a_line_is_written_for_each_logged_step_and_none_for_the_summary(tmp_path):
    told = []
    times = iter([0.0, 1.0, 3.0, 6.5])

    def tell(step, steps, record):
        told.append((step, steps, record["reward"]))

    log = RunLog(tmp_path / "log.jsonl", tell, clock=lambda: next(times))
    log.on_train_begin(ARGS, state(), TrainerControl())
    for step in (1, 2):
        log.on_log(ARGS, state(step), TrainerControl(), logs={"reward": 0.1 * step})
    log.on_log(ARGS, state(2), TrainerControl(), logs={"train_runtime": 3.0})
    records = read_log(tmp_path / "log.jsonl")
    assert [record["step"] for record in records] == [1, 2]
    assert [(record["seconds"], record["elapsed"]) for record in records] == [(2.0, 2.0), (3.5, 5.5)]
    assert told == [(1, 4, 0.1), (2, 4, 0.2)]


def test_steps_that_are_trained_again_after_a_resume_are_logged_once(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps({"step": step}) + "\n" for step in (1, 2, 3)) + '{"step": 4, "rew')
    log = RunLog(path)
    log.on_train_begin(ARGS, state(2), TrainerControl())
    log.on_log(ARGS, state(3), TrainerControl(), logs={"reward": 0.5})
    assert [record["step"] for record in read_log(path)] == [1, 2, 3]
    assert read_log(path)[-1]["reward"] == 0.5


def test_a_validation_has_a_line_of_its_own_and_its_time_is_none_of_a_step(tmp_path):
    times = iter([0.0, 0.0, 4.0, 5.0, 8.0, 10.0])
    log = RunLog(tmp_path / "log.jsonl", clock=lambda: next(times))
    log.on_train_begin(ARGS, state(), TrainerControl())
    log.on_log(ARGS, state(0), TrainerControl(), logs={"eval_iou": 0.25, "eval_seconds": 4.0})
    log.on_log(ARGS, state(1), TrainerControl(), logs={"loss": 2.0})
    log.on_log(ARGS, state(1), TrainerControl(), logs={"eval_iou": 0.5, "eval_seconds": 3.0})
    log.on_log(ARGS, state(2), TrainerControl(), logs={"loss": 1.0})
    assert read_log(tmp_path / "log.jsonl") == [
        {"step": 0, "elapsed": 4.0, "eval_iou": 0.25, "eval_seconds": 4.0},
        {"step": 1, "seconds": 1.0, "elapsed": 5.0, "loss": 2.0},
        {"step": 1, "elapsed": 8.0, "eval_iou": 0.5, "eval_seconds": 3.0},
        {"step": 2, "seconds": 2.0, "elapsed": 10.0, "loss": 1.0},
    ]


def test_a_run_that_starts_anew_keeps_nothing_of_one_that_came_to_no_checkpoint(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 0, "eval_iou": 0.5}\n{"step": 1}\n')
    RunLog(path).on_train_begin(ARGS, state(0), TrainerControl())
    assert read_log(path) == []


def test_there_is_nothing_in_a_log_that_is_not_there(tmp_path):
    assert read_log(tmp_path / "log.jsonl") == []


def test_the_bar_shows_steps_rate_time_left_and_the_running_reward(capsys):
    bar = StepBar("rl")
    bar.on_train_begin(ARGS, state(1), TrainerControl())
    bar.on_step_end(ARGS, state(2), TrainerControl())
    bar.on_log(ARGS, state(2), TrainerControl(), logs={"reward": 0.5})
    bar.on_log(ARGS, state(3), TrainerControl(), logs={"reward": 1.0})
    bar.on_train_end(ARGS, state(3), TrainerControl())
    text = capsys.readouterr().err
    assert "2/4" in text
    assert "s/step" in text or "step/s" in text
    assert "reward 0.550" in text


def logged(dead, shares, every=1, start=1, history=()):
    """What a callback does about the shares of groups without a difference, logged every so many steps."""
    here, controls = state(), []
    here.log_history = list(history)
    for step, share in enumerate(shares, start=start):
        here.global_step = step * every
        here.log_history.append({"frac_reward_zero_std": share, "step": here.global_step})
        controls.append(TrainerControl())
        dead.on_log(ARGS, here, controls[-1], logs=here.log_history[-1])
        here.log_history.append({"eval_iou": 0.5, "step": here.global_step})
        dead.on_log(ARGS, here, controls[-1], logs=here.log_history[-1])
    return [step * every for step, control in enumerate(controls, start=start) if control.should_training_stop]


SHARES = [1.0, 1.0, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0]


def test_a_reward_that_teaches_nothing_for_many_steps_is_told_once_until_it_teaches_again():
    said = []
    assert logged(DeadReward(after=3, say=said.append), SHARES) == []
    assert [re.search(r"for 3 logged steps \(up to step (\d+)\)", sentence)[1] for sentence in said] == ["6", "12"]


def test_a_reward_that_teaches_nothing_for_longer_stops_the_run_with_a_checkpoint():
    assert logged(DeadReward(4), SHARES) == [7]
    assert logged(DeadReward(4), [1.0] * 9) == [4, 8]  # a run that goes on has as many steps more
    assert logged(DeadReward(5), [1.0] * 6, every=3) == [6, 12, 15]  # counted in steps, whether or not each is logged
    assert logged(DeadReward(5), [0.99] * 9) == []
    dead = DeadReward(4)
    logged(dead, [1.0] * 4)
    assert dead.stopped == 4


def test_a_dead_reward_stops_a_run_only_where_it_can_be_resumed():
    dead, control = DeadReward(3, resumable_every=2), TrainerControl()
    assert logged(dead, [1.0] * 3) == []
    dead.on_step_end(ARGS, state(4), control)
    assert control.should_save
    assert control.should_training_stop


def test_a_run_that_was_killed_stops_at_the_step_at_which_it_would_have():
    before = [{"frac_reward_zero_std": share, "step": step} for step, share in enumerate(SHARES[:5], start=1)]
    assert logged(DeadReward(4), SHARES[5:], start=6, history=before) == [7]


def test_without_a_reward_the_bar_shows_the_loss(capsys):
    bar = StepBar("sft")
    bar.on_train_begin(ARGS, state(), TrainerControl())
    bar.on_step_end(ARGS, state(1), TrainerControl())
    bar.on_log(ARGS, state(1), TrainerControl(), logs={"loss": 2.0})
    bar.close()
    assert "loss 2.000" in capsys.readouterr().err


def test_a_checkpoint_is_completed_in_its_own_folder(tmp_path):
    written = []
    args = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none")
    (tmp_path / "checkpoint-7").mkdir()
    CheckpointFiles(written.append).on_save(args, state(7), TrainerControl())
    assert written == [tmp_path / "checkpoint-7"]
    assert damage_of(tmp_path / "checkpoint-7") is None


def test_an_interrupt_waits_for_a_step_from_which_the_run_can_go_on():
    stop = OrderlyStop(every=2)
    controls = []
    with stop.listening():
        for step in (1, 2, 3, 4):
            if step == 3:
                signal.raise_signal(signal.SIGINT)
            control = TrainerControl()
            stop.on_step_end(ARGS, state(step), control)
            controls.append((control.should_save, control.should_training_stop))
    assert controls == [(False, False), (False, False), (False, False), (True, True)]
    assert stop.asked
    assert stop.signal == signal.SIGINT


def test_a_second_interrupt_is_obeyed_at_once(capsys):
    stop = OrderlyStop()
    with stop.listening():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert stop.signal == signal.SIGTERM  # the one that asked for the stop
    assert "press Ctrl-C again" in capsys.readouterr().err


def test_afterwards_signals_go_where_they_went_before():
    before = signal.getsignal(signal.SIGINT)
    with OrderlyStop().listening():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
