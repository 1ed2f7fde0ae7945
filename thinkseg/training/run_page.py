"""``report.html`` of a run: how it goes while it goes, and what became of it afterwards.

One file that loads nothing: style, charts and images are inside, and there is no script. While the run goes on, a
browser reloads it by itself (``http-equiv=refresh``), and it is written anew every `RELOAD` seconds at most; on a page
that stays at *running* the time of its last writing says that the run was killed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from thinkseg.errors import one_line
from thinkseg.evaluation.provenance import command_line, machine, package_versions
from thinkseg.evaluation.reporting.charts import line_chart
from thinkseg.evaluation.reporting.gallery import data_uri
from thinkseg.evaluation.reporting.report import duration, render_page
from thinkseg.meter import Clock
from thinkseg.results.record import counted
from thinkseg.training.best import BEST
from thinkseg.training.callbacks import IOU, LogEntry, OnStep, read_log
from thinkseg.training.curves import curves_of, thinned
from thinkseg.training.holding_out import HeldOut
from thinkseg.training.runs import LOG, TrainingStopped
from thinkseg.training.sheets import SampleSheets, View, records_file, steps_drawn
from thinkseg.training.sources import source_in_words
from thinkseg.training.stage import PreparedRun
from thinkseg.training.validation import best_of, scores_of
from thinkseg.types import Sample
from thinkseg.writing import write_at_once

PAGE = "report.html"
"""Inside the run's folder."""
RELOAD = 20
"""Seconds after which a running run's page is loaded anew, and between two writings at least."""
RECENT = 20
"""Steps over which the pace and the running reward are taken."""
_PATIENCE = 30.0
"""A page that takes a second to be written is written every half a minute at most."""

_TIME = "%Y-%m-%d %H:%M:%S"

State = Literal["running", "finished", "stopped", "failed"]

CURVES: Mapping[str, str] = {
    IOU: "held-out mean IoU",
    "reward": "reward, the weighted sum",
    "loss": "loss",
    "learning_rate": "learning rate",
    "completions/mean_length": "length of a completion, tokens",
    "mean_token_accuracy": "share of target tokens that are the likeliest",
    "parse_failures": "share of parse failures",
    "abstentions": "share of abstentions",
    "eval_parse_failures": "held-out share of parse failures",
    "frac_reward_zero_std": "groups without a difference",
    "entropy": "entropy, nats per token",
    "kl": "distance from the start (KL), nats per token",
    "grad_norm": "norm of the gradient",
}
"""What is drawn over the steps, by its name in the run log."""


IMAGE_NOTE = (
    "The same held-out samples at the first, the best and the latest validation. Boxes and points are the model's own; "
    "below an image stands what it thought. The folder 'samples' has a sheet of each validation."
)


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a page tells of a run besides its log."""

    stage: str
    steps: int
    """Optimiser steps in all."""
    command: str
    """What to type to do the same again."""
    facts: Mapping[str, str]
    """The recipe's essentials, by name."""


class RunPage:
    """Writes the page of a run.

    Args:
        output: the run's folder.
        about: what is told of it.
        sheets: of its held-out samples; None where there are none.
        next_command: gives the command that is next, when all is done.
        clock: tells seconds.
        now: tells the time of day.
    """

    def __init__(
        self,
        output: Path,
        about: RunFacts,
        sheets: SampleSheets | None = None,
        next_command: Callable[[], str] = lambda: "",
        clock: Clock = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    ) -> None:
        self._output, self._about, self._sheets = output, about, sheets
        self._next_command = next_command
        self._clock, self._now = clock, now
        self._began: datetime | None = None
        self._due = 0.0

    def begin(self) -> None:
        """The run has begun."""
        self._began = self._now()

    def following(self, on_step: OnStep | None) -> OnStep:
        """What is to be told of each record of the log: it writes the page when that is due, and tells another."""

        def told(step: int, steps: int, record: LogEntry) -> None:
            if on_step is not None:
                on_step(step, steps, record)
            if IOU not in record and self._clock() >= self._due:  # a validation is to be drawn first
                self.write("running")

        return told

    @contextmanager
    def kept_up(self) -> Iterator[None]:
        """While this is open, the run goes on; afterwards the page says how it ended, if it had begun."""
        try:
            yield
        except BaseException as error:
            if self._began is not None:
                is_stop = isinstance(error, TrainingStopped | KeyboardInterrupt)
                with suppress(OSError):  # a full disk, which may be what ended the run, is told by what ended it
                    self.write("stopped" if is_stop else "failed", one_line(str(error)))
            raise
        self.write("finished")

    def write(self, state: State, trouble: str = "") -> None:
        """Write the page as the run is now.

        Args:
            state: of the run.
            trouble: what ended it before its time, in a sentence.
        """
        began = self._clock()
        page = self._html(state, trouble)
        # Half a letter of a file's name cannot be written as UTF-8.
        write_at_once(self._output / PAGE, page.encode("utf-8", "backslashreplace").decode("utf-8"))
        ended = self._clock()
        self._due = ended + max(RELOAD, _PATIENCE * (ended - began))

    def _html(self, state: State, trouble: str) -> str:
        records = read_log(self._output / LOG)
        done = records[-1]["step"] if records else 0
        is_early = state == "finished" and done < self._about.steps
        scores = scores_of(records)
        curves = {title: thinned(curve) for title, curve in curves_of(records, CURVES).items()}
        charts = [(title, line_chart(title, *curve, marks="held-out" in title)) for title, curve in curves.items()]
        return render_page(
            "training.html",
            title=f"Finished: {counted(done, 'step')}"
            if is_early
            else f"{state.capitalize()}: step {done} of {self._about.steps}",
            lead=self._times(state, records),
            benchmark=f"training, {self._about.stage}",
            seconds_to_reload=RELOAD if state == "running" else 0,
            done=done,
            steps=done if is_early else self._about.steps,
            trouble=trouble,
            tiles=_tiles(records, scores, done, self._about.steps),
            verdicts=_verdicts(state, scores, self._output, is_early),
            charts=charts,
            tasks=self._tasks(scores),
            image_note=IMAGE_NOTE,
            command=self._next_command() if state == "finished" else self._about.command,
            facts=list(self._about.facts.items()),
        )

    def _times(self, state: State, records: Sequence[LogEntry]) -> str:
        now = self._now()
        began = self._began or now
        word = "written" if state == "running" else state
        spent = duration((now - began).total_seconds())
        told = f"Begun {began:{_TIME}}, {word} {now:{_TIME}}: {spent}"
        pace = _mean(records, "seconds")
        if state != "running" or pace is None:
            return f"{told}."
        return f"{told}. About {duration(pace * (self._about.steps - records[-1]['step']))} left."

    def _tasks(self, scores: Sequence[tuple[int, float]]) -> list[dict[str, Any]]:
        """The samples as the page's template wants them."""
        if self._sheets is None or not self._sheets.samples:
            return []
        scores = [(step, iou) for step, iou in scores if records_file(self._output, step).is_file()]
        steps, best = steps_drawn(scores), best_of(scores)
        self._sheets.forget_all_but(steps)
        drawn = [self._sheets.views(step) for step in steps]
        names = [_step_name(step, best is not None and step == best[0] and len(scores) > 1) for step in steps]
        cases = []
        for place, sample in enumerate(self._sheets.samples):
            views = [_truth(sample, self._sheets.truths[place])]
            views += [_view(name, view[place]) for name, view in zip(names, drawn, strict=True)]
            change = drawn[-1][place].quality - drawn[0][place].quality
            cases.append(
                {
                    "reason": sample.task or "held out",
                    "query": sample.query,
                    "change": f"{change:+.3f}" if len(steps) > 1 else "",
                    "kind": "risen" if change > 0 else "fallen" if change < 0 else "",
                    "views": views,
                }
            )
        return [{"name": "", "cases": cases}]


def run_facts(run: PreparedRun, held_out: HeldOut) -> RunFacts:
    """What a page tells of a run: its recipe's essentials and where it runs.

    Args:
        run: ready to train.
        held_out: its samples.
    """
    recipe, args = run.recipe, run.args
    lora = recipe.model.lora
    facts = {
        "model": recipe.model.path + (f", adapters of rank {lora.r}" if lora is not None else ""),
        "answer format": run.policy.answer_format.name,
        "trained on": f"{len(held_out.train):,} samples of {source_in_words(recipe.data)}",
        "held out": f"{len(held_out.validation)} samples: {held_out.told}" if len(held_out.validation) else "none",
        "segmenter": recipe.segmenter if recipe.stage == "rl" or recipe.validation is not None else "none",
        "rewards": ", ".join(f"{name} {weight:g}" for name, weight in recipe.reward_weights.items()),
        "learning rate": f"{args.learning_rate:g}, {_plain(args.lr_scheduler_type)}",
        "batch": _batch(args),
        "seed": str(recipe.seed),
        "folder": str(recipe.output),
        "machine": ", ".join(f"{name} {value}" for name, value in machine(str(args.device)).items()),
        "versions": ", ".join(f"{name} {version}" for name, version in package_versions().items()),
    }
    return RunFacts(recipe.stage, run.plan.steps, command_line(), {name: told for name, told in facts.items() if told})


def _batch(args: Any) -> str:
    per_step = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
    group = getattr(args, "num_generations", None)
    return f"{per_step} samples a step" if group is None else f"{per_step} completions a step, {group} a prompt"


def _plain(value: Any) -> str:
    return str(getattr(value, "value", value))


def _step_name(step: int, is_best: bool) -> str:
    return ("start" if step == 0 else f"step {step}") + (", best" if is_best else "")


def _truth(sample: Sample, image: Any) -> dict[str, Any]:
    there = sample.target is not None and sample.target.any()
    note = "the true mask" if there else "nothing is there"
    return _as_drawing("asked for", note, f"the true mask of: {sample.query}", image) | {"text": None, "failed": ""}


def _view(name: str, view: View) -> dict[str, Any]:
    drawing = _as_drawing(name, view.outcome, f"the prediction at {name}, {view.outcome}", view.image)
    return drawing | {"text": view.said, "failed": view.failed}


def _as_drawing(name: str, note: str, alt: str, image: Any) -> dict[str, Any]:
    uri = data_uri(image, quality=75)
    return {"name": name, "note": note, "alt": alt, "image": uri, "width": image.width, "height": image.height}


def _mean(records: Sequence[LogEntry], name: str) -> float | None:
    """The mean of a value over the latest records that have it."""
    values = [record[name] for record in records[-3 * RECENT :] if name in record][-RECENT:]
    return sum(values) / len(values) if values else None


def _tiles(
    records: Sequence[LogEntry], scores: Sequence[tuple[int, float]], done: int, steps: int
) -> list[dict[str, str]]:
    """The numbers that stand first."""
    tiles = []
    if scores:
        start, (step, latest) = scores[0][1], scores[-1]
        was = f"start: {start:.3f}, now: step {step}" if step else "of the start"
        tiles.append({"name": "Held-out mean IoU", "now": f"{latest:.3f}", "was": was})
    for name, title in (("reward", "Reward"), ("loss", "Loss")):
        known, mean = [record[name] for record in records if name in record], _mean(records, name)
        if mean is not None and not any(tile["name"] == "Reward" for tile in tiles):
            was = f"first: {known[0]:.3f}; mean of {counted(min(RECENT, len(known)), 'step')}"
            tiles.append({"name": title, "now": f"{mean:.3f}", "was": was})
    pace = _mean(records, "seconds")
    was = "" if pace is None else f"{pace:.2f} s each"
    tiles.append({"name": "Steps", "now": f"{done} / {steps}", "was": was})
    length = _mean(records, "completions/mean_length")
    if length is not None:
        tiles.append({"name": "Length of a completion", "now": f"{length:.0f}", "was": "tokens"})
    return tiles


def _verdicts(state: State, scores: Sequence[tuple[int, float]], output: Path, is_early: bool) -> list[str]:
    """What is to be said of it in sentences."""
    told = []
    best = best_of(scores)
    if best is not None and len(scores) > 1:
        kept = f"; it is kept in {output / BEST}" if (output / BEST).is_dir() else ""
        told.append(
            f"Best so far: mean IoU {best[1]:.3f} after step {best[0]}{kept}."
            if best[0]
            else f"No validation was better than what training started from (mean IoU {best[1]:.3f})."
        )
    if is_early:
        told.append("It ended before its last step, as it was asked to: by its patience or its time.")
    return told
