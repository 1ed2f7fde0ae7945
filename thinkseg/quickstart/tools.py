"""The real parts of the quickstart: pocket scenes, pipelines that share one segmenter, and GRPO."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from thinkseg.data.synthetic.scenes import DEFAULT_TASKS, load_scenes
from thinkseg.evaluation.provenance import command_line
from thinkseg.meter import tell
from thinkseg.models.pipeline import load_pipeline
from thinkseg.quickstart.job import Tools
from thinkseg.quickstart.options import QuickstartOptions
from thinkseg.training.config import Recipe

TASKS = {**{task: 0.75 * share for task, share in DEFAULT_TASKS.items()}, "jargon": 0.25}
"""What the evaluations ask: mostly what the start was taught, and words that it was not."""

Say = Callable[[str], None]
"""Tells the user something while the work goes on."""


def say(text: str) -> None:
    """A line on stderr."""
    tell(text)


def create_tools(options: QuickstartOptions, recipe: Recipe, say: Say = say) -> Tools:
    """The real parts; the models are loaded here and in what is returned."""
    from thinkseg.models.segmenter import load_segmenter
    from thinkseg.training.checkpoints import finished_checkpoints
    from thinkseg.training.runs import quiet_libraries
    from thinkseg.training.stages import train_recipe

    samples = load_scenes("test", options.scenes, options.seed, TASKS)
    segmenter = load_segmenter(recipe.segmenter, recipe.device)
    config = recipe.checkpoint_config()

    def load(model: str) -> Any:
        with quiet_libraries():
            return load_pipeline(model, segmenter, config, device=recipe.device, batch_size=options.batch_size)

    def train(folder: Path) -> Path:
        say("2/3 train")
        here = recipe.replaced(output=folder)
        return train_recipe(here, segmenter=segmenter, resume=bool(finished_checkpoints(folder)))

    return Tools(load, train, samples, options.batch_size, command_line())
