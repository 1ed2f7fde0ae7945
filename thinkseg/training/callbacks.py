"""What happens beside the optimiser's steps: the run log, the progress bar, complete checkpoints, and an orderly stop.

A line of ``log.jsonl`` is a JSON object; `LogEntry` says what it holds.
"""

from __future__ import annotations

import json
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from thinkseg.meter import Clock, Meter
from thinkseg.stopwatch import count
from thinkseg.training.checkpoints import Warn, remove_older, saving_explained, warn, write_manifest, write_whole

LogEntry = dict[str, Any]
"""What is known about a step, under TRL's own names. What is not known, or not finite, is left out.

``step``; ``seconds`` of this step (mean since the last record) and ``elapsed`` since training began, in this process;
``loss``, ``grad_norm``, ``learning_rate``, and all else that TRL logs, such as

* for rl: ``reward`` (mean of the weighted sum) and ``reward_std`` over the step's completions; ``rewards/NAME/mean``
  and ``rewards/NAME/std`` of each part; ``frac_reward_zero_std`` (share of completions whose whole group has one
  reward, which teach nothing); ``kl`` (nats per token, only with a reference model); ``entropy`` (nats per token);
  ``completions/mean_length`` (tokens); ``completions/clipped_ratio`` (share that ran into the length limit);
  ``sampling/sampling_logp_difference/mean`` (where vLLM samples: by how many nats a token's log-probability there
  differs from the policy's, on average); and, from the rubric, ``parse_failures`` and ``abstentions`` (shares);
* for sft: ``mean_token_accuracy`` (share of target tokens that are the likeliest ones).

A validation has a record of its own, behind that of its step: ``step``, ``elapsed``, ``eval_iou`` (mean IoU over the
held-out samples, 0…1), ``eval_iou/TASK`` where there are several tasks, ``eval_s_measure``, ``eval_parse_failures``,
``eval_correct_abstentions``, ``eval_false_abstentions`` (shares) and ``eval_seconds``.
"""

OnStep = Callable[[int, int, LogEntry], None]
"""Called with the step, the number of steps in all, and the record."""

IOU = "eval_iou"
"""Mean IoU over the held-out samples, by which the best model is known."""
SECONDS = "eval_seconds"
"""How long a validation took."""

_SAME = "frac_reward_zero_std"
"""Share of completions whose whole group has one reward."""

NOTHING_LEARNT = (
    "nothing is learnt: the completions may be unreadable, alike, or too short (generation.max_new_tokens), the task "
    "too easy or too hard, or the temperature too low"
)
"""What is said of a reward without a difference."""

_LEFT_OUT = frozenset({"epoch"})
"""Metrics of a run that the schedule unrolls into one epoch, which say nothing."""


def record_from_logs(logs: Mapping[str, Any]) -> LogEntry:
    """The part of a record that the trainer's own log holds; values that are not finite are left out."""
    return {
        name: value
        for name, value in logs.items()
        if isinstance(value, int | float) and math.isfinite(value) and name not in _LEFT_OUT
    }


def read_log(path: Path) -> list[LogEntry]:
    """The records of a run log, none where there is no file; a last line that was cut off by a kill is left out."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


class Beginning(TrainerCallback):
    """Tells that all is ready and the first step comes.

    Args:
        tell: called then, or None.

    Attributes:
        begun: whether it has come to that.
    """

    def __init__(self, tell: Callable[[], None] | None = None) -> None:
        self._tell = tell
        self.begun = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Tell it."""
        self.begun = True
        if self._tell is not None:
            self._tell()


class RunLog(TrainerCallback):
    """Writes a record per logged step to a JSONL file, and hands it on.

    Args:
        path: the file. Records of steps that are trained again after a resume are dropped from it.
        on_step: called with every record, or None.
        clock: tells the time.
    """

    def __init__(self, path: Path, on_step: OnStep | None = None, clock: Clock = time.monotonic) -> None:
        self._path = path
        self._on_step = on_step
        self._clock = clock
        self._began = self._last_time = clock()
        self._last_step = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keep what was logged up to the step that the run goes on from."""
        self._began = self._last_time = self._clock()
        self._last_step = state.global_step
        if state.is_world_process_zero:
            reached = state.global_step or -1  # a run that starts anew measures its start anew
            kept = [record for record in read_log(self._path) if record["step"] <= reached]
            write_whole(self._path, "".join(json.dumps(record) + "\n" for record in kept))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the record of the step or of a validation; the trainer's summary at the end of training is neither."""
        is_validation = logs is not None and IOU in logs
        if logs is None or (state.global_step == self._last_step and not is_validation):
            return
        now = self._clock()
        record: LogEntry = {"step": state.global_step}
        if is_validation:
            self._last_time += logs[SECONDS]  # which is no time of a step
        else:
            record["seconds"] = round((now - self._last_time) / (state.global_step - self._last_step), 4)
            self._last_time, self._last_step = now, state.global_step
        record |= {"elapsed": round(now - self._began, 3), **record_from_logs(logs)}
        if state.is_world_process_zero:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
            if self._on_step is not None:
                self._on_step(state.global_step, state.max_steps, record)


class DeadReward(TrainerCallback):
    """Says on stderr when the reward has taught nothing for many logged steps, and stops a run where it goes on so.

    In each group all completions earned the same. The history that a checkpoint keeps is counted, so that a run that
    is killed and goes on stops where it would have.

    Args:
        stop_after: so many steps in succession end the run, and as many more after each time it goes on; None never.
        resumable_every: a run can be resumed exactly after each so many steps, and stops only there.
        after: so many logged steps in succession are told.
        say: tells the user.

    Attributes:
        stopped: for how many steps there was no difference, where the run was stopped for it; else None.
    """

    def __init__(
        self, stop_after: int | None = None, resumable_every: int = 1, after: int = 10, say: Warn = warn
    ) -> None:
        self._stop_after = stop_after
        self._every = resumable_every
        self._after = after
        self._say = say
        self._due = 0
        self.stopped: int | None = None

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Count the steps, say it once until there is a difference again, and stop where it is time."""
        if _SAME not in (logs or {}):
            return
        dead = dead_steps(state.log_history)
        if len(dead) == self._after and state.is_world_process_zero:
            self._say(
                f"the reward has had no difference within any group for {self._after} logged steps (up to step "
                f"{state.global_step}), so that {NOTHING_LEARNT}"
            )
        before, now = [0, 0, *dead][-2:]
        is_due = self._stop_after is not None and now // self._stop_after > before // self._stop_after
        self._due = now if is_due else self._due if dead else 0
        self._stop(state, control)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Stop at the first step from which the run can be resumed, once it is due."""
        self._stop(state, control)

    def _stop(self, state: TrainerState, control: TrainerControl) -> None:
        if self._due and state.global_step % self._every == 0:
            self.stopped, self._due = self._due, 0
            control.should_save = control.should_training_stop = True


def dead_steps(history: Sequence[Mapping[str, Any]]) -> list[int]:
    """For each of the newest logged steps in succession at which no group had a difference: for how many steps by then.

    Args:
        history: what a trainer has logged, the oldest first.
    """
    dead: list[int] = []
    alive = 0
    for entry in history:
        share = entry.get(_SAME)
        if share is not None and share < 1:
            dead, alive = [], entry["step"]
        elif share is not None:
            dead.append(entry["step"] - alive)
    return dead


class StepBar(TrainerCallback):
    """A bar on stderr, or a line now and then, with rate, time left, the running reward and the latest validation.

    Args:
        title: what stands before it.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._meter: Meter | None = None
        self._reward: float | None = None
        self._notes: dict[str, str] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Draw the bar, as full as the run is that it goes on from."""
        if state.is_world_process_zero:
            self._meter = Meter(self._title, "step", state.max_steps, state.global_step)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Move the bar."""
        count("steps", 1)
        if self._meter is not None:
            self._meter.move(state.global_step, state.max_steps)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Show the running mean of the reward, or the loss where there is no reward."""
        record = record_from_logs(logs or {})
        if self._meter is None:
            return
        if "reward" in record:
            self._reward = record["reward"] if self._reward is None else 0.9 * self._reward + 0.1 * record["reward"]
            self._notes["training"] = f"reward {self._reward:.3f}"
        elif "loss" in record:
            self._notes["training"] = f"loss {record['loss']:.3f}"
        if IOU in record:
            self._notes["validation"] = f"held-out IoU {record[IOU]:.3f}"
        self._meter.note(", ".join(self._notes.values()))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Close the bar."""
        self.close()

    def close(self) -> None:
        """Leave the bar as it is; nothing more is drawn."""
        if self._meter is not None:
            self._meter.close()
            self._meter = None


class CheckpointFiles(TrainerCallback):
    """Completes each checkpoint that the trainer writes: its manifest comes last, and older ones go only then.

    Args:
        write: writes what a checkpoint folder holds beside the trainer's files.
        keep: how many checkpoints stay.
    """

    def __init__(self, write: Callable[[Path], None], keep: int = 2) -> None:
        self._write = write
        self._keep = keep

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Write into the newest checkpoint."""
        if torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
            torch.distributed.barrier()  # the others write files of their own
        if state.is_world_process_zero and args.output_dir is not None:
            output = Path(args.output_dir)
            folder = output / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
            with saving_explained(output):
                self._write(folder)
                write_manifest(folder)
            remove_older(output, state.global_step, self._keep)


class OrderlyStop(TrainerCallback):
    """Turns an interrupt into a checkpoint and the end of training.

    Args:
        every: a run can be resumed exactly after each so many steps, where a set of rollouts is used up.

    Attributes:
        asked: whether an interrupt came, to this process or to another of the run.
        signal: the number of the one that came first: SIGINT, or SIGTERM as `kill` and cluster schedulers send it.
    """

    def __init__(self, every: int = 1) -> None:
        self._every = every
        self.asked = False
        self.signal: int = signal.SIGINT

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While this is open, the first SIGINT or SIGTERM asks for the stop; a second SIGINT interrupts at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._heard) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked, self.signal = True, number
        sys.stderr.write("\nstopping after this step; press Ctrl-C again to stop at once and lose it\n")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Save and stop, at the first step from which the run can be resumed."""
        if state.global_step % self._every == 0:
            self.asked = any_process(self.asked, args.device)
            if self.asked:
                control.should_save = True
                control.should_training_stop = True


def any_process(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set in any process: all have to stop at the same step, or they would wait for each other."""
    if not (torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1):
        return flag
    flags = torch.tensor(int(flag), device=device)
    torch.distributed.all_reduce(flags, op=torch.distributed.ReduceOp.MAX)
    return bool(flags.item())
