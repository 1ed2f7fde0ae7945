"""``thinkseg quickstart``: the main job on the pocket models, offline, in at most eight minutes on two CPU cores.

::

    start checkpoint ─▶ evaluate ─▶ train by GRPO, segmenter in the reward ─▶ evaluate again ─▶ report

The scenes of the evaluation share neither a cut-out nor a background with those of the training. The folder holds
``before/`` and ``after/`` (a line per scene), ``training/`` (recipe and log), ``checkpoint/`` (the trained model, which
other verbs take as ``--model``), ``example.png`` with what the trained model makes of it, ``report.json`` and
``report.html``. Interrupted, the same command goes on where it was.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkseg.errors import InputError

if TYPE_CHECKING:
    from thinkseg.evaluation.records import PredictionRecord
    from thinkseg.evaluation.reporting.report import ReportContext
    from thinkseg.quickstart.job import QuickstartSettings, Tools
    from thinkseg.training.config import Recipe

EXAMPLE = """\
examples:
  thinkseg quickstart
  thinkseg quickstart --out runs/longer --steps 1000
  thinkseg segment photo.jpg --query 'the main object' --model runs/quickstart/checkpoint"""

RECIPE = "pocket/rl"
SCENES = 512
DONE, INTERRUPTED = 0, 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "--out", type=Path, default=Path("runs/quickstart"), metavar="DIR", help="folder (default: runs/quickstart)"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="training steps (default: what the recipe says)")
    parser.add_argument(
        "--scenes", type=int, default=SCENES, metavar="N", help=f"held-out scenes to evaluate on (default: {SCENES})"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the scenes and of the training (default: 0)")
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="scenes at a time (default: 16)")
    parser.add_argument("--recipe", type=Path, metavar="NAME", help=f"recipe: a file or a name (default: {RECIPE})")
    parser.add_argument("--overwrite", action="store_true", help="replace the run that the folder holds")
    parser.add_argument("--json", action="store_true", help="print the report as JSON in place of the table")


def run(args: argparse.Namespace) -> int:
    """Do the main job; 0 when it is done, whatever the gain is."""
    for name in ("steps", "scenes", "batch_size"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise InputError(f"--{name.replace('_', '-')} should be at least 1, found {value}")
    from thinkseg.quickstart.job import claim_folder, finish, run_quickstart

    recipe = _load_recipe(args)
    settings = _settings(args, recipe)
    claim_folder(args.out, settings, overwrite=args.overwrite)
    _say(_plan_in_words(args, settings))
    try:
        tools = create_tools(args, recipe)
        context = run_quickstart(args.out, settings, tools)
        example = segment_example(args.out, context, tools)
        content = finish(args.out, context)
    except KeyboardInterrupt as stop:
        _say(f"\n{str(stop) or 'interrupted'}\nThe same command goes on from there.")
        return INTERRUPTED
    if args.json:
        print(json.dumps(content, ensure_ascii=False))
    else:
        print(_last_words(args.out, context, example))
    return DONE


def create_tools(args: argparse.Namespace, recipe: Recipe) -> Tools:
    """The real parts: pocket scenes, pipelines from checkpoints that share one segmenter, and GRPO."""
    from thinkseg.data.synthetic.scenes import load_scenes
    from thinkseg.evaluation.provenance import command_line
    from thinkseg.models.pipeline import load_pipeline
    from thinkseg.models.segmenter import load_segmenter
    from thinkseg.quickstart.job import Tools
    from thinkseg.training.grpo import train_rl
    from thinkseg.training.runs import newest_checkpoint, quiet_libraries

    samples = load_scenes("test", args.scenes, args.seed)
    segmenter = load_segmenter(recipe.segmenter, recipe.device)
    config = recipe.checkpoint_config()

    def load(model: str) -> Any:
        with quiet_libraries():
            return load_pipeline(model, segmenter, config, device=recipe.device, batch_size=args.batch_size)

    def train(folder: Path) -> Path:
        _say("2/3 train")
        here = dataclasses.replace(recipe, output=folder)
        return train_rl(here, segmenter=segmenter, resume=newest_checkpoint(folder) is not None)

    return Tools(load, train, samples, args.batch_size, command_line())


def segment_example(out: Path, context: ReportContext, tools: Tools) -> tuple[str, str]:
    """Cut the target out of one held-out scene, as a user would: the best answer to a request that takes some thought.

    Returns:
        The query, and what ``thinkseg segment`` says.
    """
    from thinkseg.cli.segment import segment_one
    from thinkseg.imaging import load_image
    from thinkseg.quickstart.job import CHECKPOINT

    records = context.runs[-1].records
    sample = context.samples[_most_telling(records)]
    path = out / "example.png"
    load_image(sample.image).save(path)
    with redirect_stdout(StringIO()) as said:
        segment_one(tools.load(str(out / CHECKPOINT)), path, sample.query, out / "example", as_json=False)
    return sample.query, said.getvalue().rstrip()


def _most_telling(records: Sequence[PredictionRecord]) -> int:
    """The place of the best answer among the requests that take some thought, or among all."""

    def rank(index: int) -> tuple[bool, bool, float]:
        record = records[index]
        return not record.target_empty, record.task in ("reasoning", "referring"), record.iou

    return max(range(len(records)), key=rank)


def _load_recipe(args: argparse.Namespace) -> Recipe:
    from thinkseg.quickstart.job import TRAINING
    from thinkseg.training.config import load_recipe

    overrides: dict[str, Any] = {"output": str(args.out / TRAINING), "seed": args.seed, "data.seed": args.seed}
    if args.steps is not None:
        overrides |= {"steps": args.steps, "epochs": None}
    recipe = load_recipe(args.recipe or RECIPE, overrides)
    if recipe.stage != "rl":
        raise InputError(f"the quickstart trains by reinforcement: the recipe should be for rl, found {recipe.stage}")
    return recipe


def _settings(args: argparse.Namespace, recipe: Recipe) -> QuickstartSettings:
    from thinkseg.models.loading import POCKET, pocket_folder
    from thinkseg.quickstart.job import QuickstartSettings
    from thinkseg.training.config import settings_of

    segmenter = recipe.segmenter
    if segmenter == POCKET and pocket_folder("segmenter") is None:
        segmenter = "grabcut"  # what takes its place
    trained_by = {name: value for name, value in settings_of(recipe).items() if name != "output"}
    return QuickstartSettings(recipe.steps, args.scenes, args.seed, recipe.model.path, segmenter, trained_by)


def _plan_in_words(args: argparse.Namespace, settings: QuickstartSettings) -> str:
    usual = args.steps is None and args.recipe is None and args.scenes <= SCENES
    return "\n".join(
        [
            f"ThinkSeg quickstart, into {args.out}" + (": at most 8 minutes on 2 CPU cores" if usual else ""),
            f"  1/3  evaluate '{settings.start}' on {settings.scenes} scenes of things that it never saw",
            f"  2/3  train it by GRPO, {settings.steps or 'the recipe’s'} steps, the segmenter inside the reward",
            "  3/3  evaluate it again on the same scenes, and report",
            "An interrupted run goes on where it was when the same command is given again.",
        ]
    )


def _last_words(out: Path, context: ReportContext, example: tuple[str, str]) -> str:
    """The table, what it says, and what to do next."""
    from thinkseg.evaluation.reporting.tables import text_table
    from thinkseg.quickstart.job import CHECKPOINT, PAGE

    gains = context.gains()
    before, after = (run.report for run in context.runs)
    query, said = example
    minutes = sum(context.seconds.values()) / 60
    return "\n".join(
        [
            "",
            text_table(before, after, context.measures, gains),
            "",
            f"{gains['all'].in_words()} It took {minutes:.1f} minutes{_spent(context.seconds)}.",
            "",
            f"One of the held-out scenes, asked for “{query}”:",
            said,
            "",
            f"report      {out / PAGE}",
            f"checkpoint  {out / CHECKPOINT}",
            f"next        thinkseg segment yourphoto.jpg --query 'the main object' --model {out / CHECKPOINT}",
        ]
    )


def _spent(seconds: Mapping[str, float]) -> str:
    return f" ({', '.join(f'{stage} {value:.0f} s' for stage, value in seconds.items())})" if seconds else ""


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
