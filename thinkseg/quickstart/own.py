"""The quickstart on images of one's own: check, split, evaluate, train, evaluate again, report.

>>> from thinkseg.quickstart.own import quickstart_on
>>> from thinkseg.quickstart.own_options import OwnOptions
>>> done = quickstart_on(OwnOptions("photos", query="the crack", minutes=5))  # doctest: +SKIP
>>> done.report["gain"]["mean"], done.checkpoint  # doctest: +SKIP
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

from thinkseg.data.discovery.custom import OwnData
from thinkseg.data.discovery.load import load_own
from thinkseg.quickstart.example import segment_example
from thinkseg.quickstart.job import CHECKPOINT, QuickstartSettings, Tools, claim_folder, finish, held, run_quickstart
from thinkseg.quickstart.own_data import OwnParts, listings_of, prepare_parts
from thinkseg.quickstart.own_options import OwnOptions, StartChoice, choose
from thinkseg.quickstart.own_tools import create_own_tools
from thinkseg.quickstart.run import Quickstart
from thinkseg.quickstart.tools import Say, say
from thinkseg.training.config import settings_of

CreateTools = Callable[[OwnOptions, StartChoice, OwnParts, Say], Tools]


def quickstart_on(options: OwnOptions, *, tools: CreateTools = create_own_tools, say: Say = say) -> Quickstart:
    """Do the main job on images of one's own. Interrupted, the same call goes on where it was.

    Args:
        options: what the user says: at least where the data are.
        tools: makes the parts from the options, the choice of the start, both parts of the data, and `say`.
        say: told what goes on.

    Raises:
        InputError: the data cannot be used, the folder holds a finished run or another one, or the recipe or the model
            cannot be used.
    """
    options.check()
    listings = listings_of(options)
    choice = choose(options)
    with held(options.out):
        digests = {
            name: one.revision() for name, one in zip(("data", "test"), listings, strict=True) if one is not None
        }
        asked = {"minutes": options.minutes, "query": options.query, **digests}
        recipe = choice.recipe
        trained_by = {name: value for name, value in settings_of(recipe).items() if name != "output"}
        settings = QuickstartSettings(
            options.steps, 0, options.seed, recipe.model.path, recipe.segmenter, trained_by, asked
        )
        claim_folder(options.out, settings, overwrite=options.overwrite)
        say(_plan_in_words(options, choice))
        parts = prepare_parts(options.out, options, listings, say)
        made = tools(options, choice, parts, say)
        measured = QuickstartSettings(
            options.steps, len(made.samples), options.seed, recipe.model.path, recipe.segmenter
        )
        context = run_quickstart(options.out, measured, made)
        example = segment_example(options.out, context, made)
        commands = next_commands(options, choice, parts)
        return Quickstart(options.out, context, finish(options.out, context), example, commands, "images")


def next_commands(options: OwnOptions, choice: StartChoice, parts: OwnParts) -> tuple[str, ...]:
    """What to type next, filled in: use it on an image, train on from it, try it in the browser."""
    checkpoint = options.out / CHECKPOINT
    test = load_own(OwnData(parts.test))
    entry = test.entry(0)
    image = options.out / "example.png" if test.embedded else _shortest(entry.image)
    longer = [
        *("thinkseg", "quickstart", "--data", str(options.data)),
        *(("--query", options.query) if options.query else ()),
        *(("--test", str(options.test)) if options.test is not None else ()),
        *_said_of_the_data(options),
        *("--model", str(checkpoint), "--minutes", f"{4 * choice.minutes:g}"),
        *("--out", f"{options.out}-longer"),
    ]
    segment = ["thinkseg", "segment", str(image), "--query", entry.query, "--model", str(checkpoint)]
    return shlex.join(segment), shlex.join(longer), shlex.join(["thinkseg", "demo", "--model", str(checkpoint)])


def _said_of_the_data(options: OwnOptions) -> Iterator[str]:
    """The flags without which another run would not read the same data, or not hold the same images out."""
    said = {
        "--split": options.split,
        "--image-folder": options.images,
        "--mask-folder": options.masks,
        "--dataset": options.dataset,
        "--annotations": options.annotations,
        "--encoding": options.encoding,
        "--seed": str(options.seed or ""),
    }
    for flag, value in said.items():
        if value:
            yield from (flag, value)


def _shortest(file: Path) -> Path:
    """A file as it is called from the folder of the command, where it lies below that."""
    whole, here = file.resolve(), Path.cwd()
    return whole.relative_to(here) if whole.is_relative_to(here) else whole


def _plan_in_words(options: OwnOptions, choice: StartChoice) -> str:
    by_steps = f"{options.steps} steps" if options.steps else "as many steps as the time allows"
    bound = "" if options.steps else f": {choice.minutes:g} minutes in all, as --minutes says"
    return "\n".join(
        [
            f"ThinkSeg quickstart on {options.data}, into {options.out}{bound}",
            f"  start: {choice.why}",
            "  1/3  check and split the data, evaluate the start on the held-out part",
            f"  2/3  train it by GRPO on the rest, from masks alone, {by_steps}, the segmenter inside the reward",
            "  3/3  evaluate it again on the held-out part, and report",
            "An interrupted run goes on where it was when the same command is given again.",
        ]
    )
