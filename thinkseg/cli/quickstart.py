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
import json
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from signal import SIGINT
from typing import TYPE_CHECKING

from thinkseg.quickstart.options import RECIPE, SCENES, QuickstartOptions

if TYPE_CHECKING:
    from thinkseg.quickstart.job import Tools

EXAMPLE = """\
examples:
  thinkseg quickstart
  thinkseg quickstart --out runs/longer --steps 1000
  thinkseg segment photo.jpg --query 'the main object' --model runs/quickstart/checkpoint"""

DONE, SIGNALLED = 0, 128


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


def run(args: argparse.Namespace, tools: Callable[..., Tools] | None = None) -> int:
    """Do the main job, with parts that `tools` makes in place of the real ones; 0 when done, whatever the gain is."""
    options = QuickstartOptions(**{field.name: getattr(args, field.name) for field in fields(QuickstartOptions)})
    options.check()  # before anything heavy is imported
    from thinkseg.quickstart.run import quickstart
    from thinkseg.quickstart.tools import create_tools

    try:
        done = quickstart(options, tools=tools or create_tools)
    except KeyboardInterrupt as stop:
        print(f"\n{str(stop) or 'interrupted'}\nThe same command goes on from there.", file=sys.stderr, flush=True)
        return SIGNALLED + getattr(stop, "signal", SIGINT)  # a training that was stopped says by which one
    print(json.dumps(done.report, ensure_ascii=False) if args.json else done.in_words())
    return DONE
