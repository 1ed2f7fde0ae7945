"""``thinkseg quickstart``: the main job, on the pocket's scenes or, with ``--data``, on images of the user's own.

On scenes it needs no network, and less than eight minutes on two CPU cores:

::

    start checkpoint ─▶ evaluate ─▶ train by GRPO, segmenter in the reward ─▶ evaluate again ─▶ report

The scenes of the evaluation share neither a cut-out nor a background with those of the training. The folder holds
``before/`` and ``after/`` (a line per scene), ``training/`` (recipe and log), ``checkpoint/`` (the trained model, which
other verbs take as ``--model``), ``example.png`` with what the trained model makes of it, ``report.json`` and
``report.html``. Interrupted, the same command goes on where it was.

With ``--data`` the user's images and masks take the place of the scenes: they are checked, split by image (or measured
on ``--test``), and trained on from masks alone; ``data/`` has both parts as tables, ``contact_sheet.jpg`` shows some.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from signal import SIGINT
from typing import TYPE_CHECKING

from thinkseg.cli.data_choice import OWN_FLAGS, add_own_data, own_data_from, told_path
from thinkseg.errors import InputError
from thinkseg.quickstart.options import RECIPE, SCENES, QuickstartOptions
from thinkseg.quickstart.own_options import OUT as OWN_OUT
from thinkseg.quickstart.own_options import SMALL_RECIPE, OwnOptions

if TYPE_CHECKING:
    from thinkseg.quickstart.job import Tools
    from thinkseg.quickstart.run import Quickstart

EXAMPLE = """\
examples:
  thinkseg quickstart
  thinkseg quickstart --data photos --query 'the crack' --minutes 5
  thinkseg quickstart --data train.csv --test test.csv --model runs/own/checkpoint --out runs/again
  thinkseg quickstart --out runs/longer --steps 1000
  thinkseg segment photo.jpg --query 'number one' --model runs/quickstart/checkpoint"""

LONG = True
DONE, SIGNALLED = 0, 128
SHARED = ("out", "steps", "seed", "batch_size", "recipe", "overwrite")
"""What is said in the same words of scenes and of images of the user's own."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    own = parser.add_argument_group("images of your own")
    own.add_argument(
        "--data", type=told_path, metavar="PATH", help="a table, a folder of images and masks, rows, or FILE.py:NAME"
    )
    own.add_argument(
        "--test", type=told_path, metavar="PATH", help="data to measure on (default: a fifth of --data, by image)"
    )
    own.add_argument(
        "--minutes", type=float, metavar="N", help="what the whole job may take (default: 8, on a CUDA card 60)"
    )
    own.add_argument(
        "--model", metavar="NAME", help="the start: pocket, a checkpoint folder or a hub id (default: by the device)"
    )
    add_own_data(own)
    own.add_argument("--encoding", metavar="NAME", default="", help="of tables, such as gbk (default: UTF-8)")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help=f"folder (default: runs/quickstart, with --data {OWN_OUT})"
    )
    parser.add_argument(
        "--steps", type=int, metavar="N", help="training steps (default: the recipe's; with --data by --minutes)"
    )
    parser.add_argument("--scenes", type=int, metavar="N", help=f"held-out scenes to evaluate on (default: {SCENES})")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the scenes or the split, and of the training (default: 0)"
    )
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="samples at a time (default: 16)")
    parser.add_argument(
        "--recipe", type=Path, metavar="NAME", help=f"a file or a name (default: {RECIPE}, with --data {SMALL_RECIPE})"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the run that the folder holds")
    parser.add_argument("--json", action="store_true", help="print the report as JSON in place of the table")


def run(args: argparse.Namespace, tools: Callable[..., Tools] | None = None) -> int:
    """Do the main job, with parts that `tools` makes in place of the real ones; 0 when done, whatever the gain is."""
    try:
        done = _on_scenes(args, tools) if args.data is None else _on_own_data(args, tools)
    except KeyboardInterrupt as stop:
        print(f"\n{str(stop) or 'interrupted'}\nThe same command goes on from there.", file=sys.stderr, flush=True)
        return SIGNALLED + getattr(stop, "signal", SIGINT)  # a training that was stopped says by which one
    print(json.dumps(done.report, ensure_ascii=False) if args.json else done.in_words())
    return DONE


def _on_scenes(args: argparse.Namespace, tools: Callable[..., Tools] | None) -> Quickstart:
    said = [f"--{name}" for name in ("test", "minutes", "model") if getattr(args, name) is not None]
    said += [OWN_FLAGS[name][0] for name, value in own_data_from(args).items() if value]
    if said:
        raise InputError(f"{said[0]} is for images of your own: say where they are with --data PATH")
    told = {name: value for name in SHARED if (value := getattr(args, name)) is not None}
    options = QuickstartOptions(**told | ({} if args.scenes is None else {"scenes": args.scenes}))
    options.check()  # before anything heavy is imported
    from thinkseg.quickstart.run import quickstart
    from thinkseg.quickstart.tools import create_tools

    return quickstart(options, tools=tools or create_tools)


def _on_own_data(args: argparse.Namespace, tools: Callable[..., Tools] | None) -> Quickstart:
    if args.scenes is not None:
        raise InputError("--scenes is for the pocket's scenes: with --data a fifth of your images is measured on")
    told = {name: value for name in SHARED if (value := getattr(args, name)) is not None}
    own = {name: getattr(args, name) for name in ("data", "test", "minutes", "model", "encoding")}
    options = OwnOptions(**told | own | own_data_from(args))
    options.check()
    from thinkseg.quickstart.own import quickstart_on
    from thinkseg.quickstart.own_tools import create_own_tools

    return quickstart_on(options, tools=tools or create_own_tools)
