"""The real parts of the quickstart on the user's own data: their tables, pipelines that share one segmenter, training
from masks for as long as there is time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinkseg.data.discovery.custom import OwnData
from thinkseg.data.discovery.load import load_own
from thinkseg.data.listing import Listing
from thinkseg.evaluation.provenance import command_line
from thinkseg.evaluation.records import RunHeader
from thinkseg.evaluation.run import evaluate
from thinkseg.models.pipeline import load_pipeline
from thinkseg.models.segmenter import load_segmenter
from thinkseg.quickstart.job import Subject, Tools, seconds_of
from thinkseg.quickstart.own_data import OwnParts, Say
from thinkseg.quickstart.own_options import IMITATION_RECIPE, LARGE_RECIPE, OwnOptions, StartChoice
from thinkseg.training.checkpoints import finished_checkpoints
from thinkseg.training.config import Recipe, load_recipe, replace_settings
from thinkseg.training.runs import quiet_libraries
from thinkseg.training.saving import FINAL
from thinkseg.training.stages import train_recipe
from thinkseg.writing import json_text, write_at_once

START, IMITATION = "start.json", "imitation"
MOST_STEPS = 1000
"""Of reinforcement within the time that there is."""
ASKED_FIRST = 24
"""Samples to learn from that the start is asked, before it is known how it is to learn."""
FINDS_NEXT_TO_NOTHING = 0.15
"""Mean IoU on these, below which reinforcement has too little to reward, so that imitation comes first."""
IMITATION_SHARE = 0.3
"""Of the time to train."""
REPORT_SECONDS = 30.0
"""For the start of the program, and for what comes after the last evaluation."""
SHORTEST = 10.0
"""Seconds of training, at least, however little time is left."""


def create_own_tools(options: OwnOptions, choice: StartChoice, parts: OwnParts, say: Say) -> Tools:
    """The real parts; the models are loaded here and in what is returned."""
    recipe = replace_settings(choice.recipe, {"data": str(parts.train)})
    train, test = _table(parts.train), _table(parts.test)
    segmenter = load_segmenter(recipe.segmenter, recipe.device)
    config = recipe.checkpoint_config()

    def load(model: str) -> Any:
        with quiet_libraries():
            return load_pipeline(model, segmenter, config, device=recipe.device, batch_size=options.batch_size)

    teacher = Teacher(options, choice.minutes, recipe, train, segmenter, load, say)
    return Tools(load, teacher.train, test, options.batch_size, command_line(), subject_of(options, parts, len(train)))


def subject_of(options: OwnOptions, parts: OwnParts, learnt_from: int) -> Subject:
    """What is measured on: a benchmark of the user's own data, which exports and reports find again by its table."""
    facts: dict[str, str | int | float] = {"samples learnt from": learnt_from, "data": str(options.data)}
    nature = "of your own, whose images no training has shown it"
    return Subject("folder", "held-out samples", nature, str(parts.test.resolve()), facts)


def _table(path: Path) -> Listing:
    return load_own(OwnData(path)).require_complete()


@dataclass(frozen=True, slots=True)
class Teacher:
    """Trains on the part to learn from."""

    options: OwnOptions
    minutes: float
    recipe: Recipe
    samples: Listing
    segmenter: Any
    load: Callable[[str], Any]
    say: Say

    def train(self, folder: Path) -> Path:
        """Train into a folder, going on with what is there; the folder of the trained model."""
        began = time.monotonic()
        start = self._start(folder)
        recipe = replace_settings(self.recipe, {"output": str(folder), "model.path": start})
        seconds = None if self.options.steps else self._left(began)
        self.say(f"2/3 train by GRPO{'' if seconds is None else f', {seconds / 60:.1f} minutes'}")
        timed = {"steps": MOST_STEPS, "epochs": None, "trl.lr_scheduler_type": "constant_with_warmup"}
        return train_recipe(
            recipe if seconds is None else replace_settings(recipe, timed),
            segmenter=self.segmenter,
            resume=bool(finished_checkpoints(folder)),
            seconds=seconds,
        )

    def _left(self, began: float) -> float:
        """Seconds to train in: what the user gives, less what was spent, and what the rest will take."""
        spent = seconds_of(self.options.out)
        gone = sum(spent.values()) + time.monotonic() - began
        left = self.minutes * 60 - gone - spent.get("evaluate", 0.0) - REPORT_SECONDS
        if left < SHORTEST:
            self.say(
                f"the {self.minutes:g} minutes are nearly spent on evaluating: training gets {SHORTEST:.0f} s all the "
                "same; --minutes gives more"
            )
        return max(left, SHORTEST)

    def _start(self, folder: Path) -> str:
        """The checkpoint from which reinforcement starts: the user's, or what imitation of the masks makes of it."""
        file = self.options.out / START
        if file.is_file():
            decided = json.loads(file.read_text(encoding="utf-8"))
        else:
            iou = self._asked_first()
            imitate = iou < FINDS_NEXT_TO_NOTHING and self.options.recipe is None and not self._is_large
            decided = {"mean IoU": iou, "samples": min(ASKED_FIRST, len(self.samples)), "imitation": imitate}
            write_at_once(file, json_text(decided, indent=2) + "\n")
            told = f"the start has a mean IoU of {iou:.3f} on {decided['samples']} of the samples to learn from"
            self.say(
                f"{told}, below {FINDS_NEXT_TO_NOTHING}: it imitates boxes from the masks first, so that there is "
                "something to reward"
                if imitate
                else f"{told}: reinforcement from the masks alone"
            )
        if not decided["imitation"]:
            return self.recipe.model.path
        output = folder / IMITATION
        if (output / FINAL).is_dir():
            return str(output / FINAL)
        overrides = {"data": str(self.recipe.data.root), "model.path": self.recipe.model.path, "output": str(output)}
        recipe = load_recipe(IMITATION_RECIPE, overrides | {"seed": self.options.seed, "format": None})
        if self.options.steps is not None:  # a short run is short in all its parts
            recipe = replace_settings(recipe, {"steps": min(recipe.steps or self.options.steps, self.options.steps)})
        seconds = None if self.options.steps else IMITATION_SHARE * self._left(time.monotonic())
        self.say("2/3 imitate boxes and points of the masks")
        return str(train_recipe(recipe, resume=bool(finished_checkpoints(output)), seconds=seconds))

    @property
    def _is_large(self) -> bool:
        return self.recipe.model.lora is not None or self.options.recipe == LARGE_RECIPE

    def _asked_first(self) -> float:
        """Mean IoU of the start on a few samples to learn from, evenly spread."""
        count = min(ASKED_FIRST, len(self.samples))
        few = [self.samples[number * len(self.samples) // count] for number in range(count)]
        header = RunHeader("folder", self.recipe.model.path, "", self.recipe.segmenter, self.options.seed)
        run = evaluate(self.load(self.recipe.model.path), few, None, header, batch_size=self.options.batch_size)
        return run.metrics["giou"].value
