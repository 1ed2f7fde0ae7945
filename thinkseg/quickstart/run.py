"""The quickstart as one call: evaluate, train, evaluate again, cut out an example, report.

>>> from pathlib import Path
>>> from thinkseg.quickstart.run import quickstart
>>> from thinkseg.quickstart.options import QuickstartOptions
>>> done = quickstart(QuickstartOptions(Path("runs/short"), steps=20, scenes=64))  # doctest: +SKIP
>>> done.report["gain"]["mean"]  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinkseg.evaluation.reporting.report import ReportContext
from thinkseg.evaluation.reporting.tables import text_table
from thinkseg.models.loading import is_pocket
from thinkseg.quickstart.example import segment_example
from thinkseg.quickstart.job import (
    CHECKPOINT,
    PAGE,
    QuickstartSettings,
    Tools,
    claim_folder,
    finish,
    held,
    run_quickstart,
)
from thinkseg.quickstart.options import SCENES, QuickstartOptions
from thinkseg.quickstart.tools import Say, create_tools, say

ASK = "thinkseg segment yourphoto.jpg --query 'the main object'"


@dataclass(frozen=True, slots=True)
class Quickstart:
    """A finished quickstart."""

    out: Path
    context: ReportContext
    report: dict[str, Any]
    """What ``report.json`` holds."""
    example: tuple[str, str]
    """The query of the example, and what ``thinkseg segment`` says of it."""
    next_commands: Sequence[str] = ()
    """What to type next."""
    called: str = "scenes"
    """What the samples are called."""

    @property
    def checkpoint(self) -> Path:
        """The folder of the trained model."""
        return self.out / CHECKPOINT

    def in_words(self) -> str:
        """The table, what it says, and what to do next."""
        gains, seconds = self.context.gains(), self.context.seconds
        before, after = (run.report for run in self.context.runs)
        query, said = self.example
        usual = f"{ASK} --model {self.checkpoint}"
        commands = [f"{'' if number else 'next':12}{one}" for number, one in enumerate(self.next_commands or (usual,))]
        return "\n".join(
            [
                "",
                text_table(before, after, self.context.measures, gains),
                "",
                f"{gains['all'].in_words()} It took {sum(seconds.values()) / 60:.1f} minutes{_spent(seconds)}.",
                "",
                f"One of the held-out {self.called}, asked for “{query}”:",
                said,
                "",
                f"report      {self.out / PAGE}",
                f"checkpoint  {self.checkpoint}",
                *commands,
            ]
        )


def quickstart(
    options: QuickstartOptions | None = None, *, tools: Callable[..., Tools] = create_tools, say: Say = say
) -> Quickstart:
    """Do the main job. Interrupted, the same call goes on where it was.

    Args:
        options: what the user says.
        tools: makes the parts from the options, the recipe and `say`.
        say: told what goes on.

    Raises:
        InputError: the folder holds a finished run or another one, or the recipe cannot be used.
    """
    options = options or QuickstartOptions()
    options.check()
    recipe = options.load_recipe()
    settings = options.settings(recipe)
    with held(options.out):
        claim_folder(options.out, settings, overwrite=options.overwrite)
        say(_plan_in_words(options, settings))
        parts = tools(options, recipe, say)
        context = run_quickstart(options.out, settings, parts)
        example = segment_example(options.out, context, parts)
        commands = next_commands(settings.start)
        return Quickstart(options.out, context, finish(options.out, context), example, commands)


def next_commands(start: str) -> tuple[str, ...]:
    """What to type next; nothing where it is the usual, the trained model on a photo.

    A pocket model learns a word of scenes, at the cost of what it knew: on a photo 'pocket' answers as it ships.

    Args:
        start: the checkpoint before training.
    """
    return (f"{ASK} # 'pocket', as it ships",) if is_pocket(start) else ()


def _plan_in_words(options: QuickstartOptions, settings: QuickstartSettings) -> str:
    usual = options.steps is None and options.recipe is None and options.scenes <= SCENES
    return "\n".join(
        [
            f"ThinkSeg quickstart, into {options.out}" + (": six minutes on 2 free CPU cores" if usual else ""),
            f"  1/3  evaluate '{settings.start}' on {settings.scenes} scenes of things that it never saw",
            f"  2/3  train it by GRPO, {settings.steps or 'the recipe’s'} steps, the segmenter inside the reward",
            "  3/3  evaluate it again on the same scenes, and report",
            "An interrupted run goes on where it was when the same command is given again.",
        ]
    )


def _spent(seconds: Mapping[str, float]) -> str:
    return f" ({', '.join(f'{stage} {value:.0f} s' for stage, value in seconds.items())})" if seconds else ""
