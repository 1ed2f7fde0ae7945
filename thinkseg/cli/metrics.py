"""``thinkseg metrics``: foreground metrics of masks made by any system."""

import argparse
import json
import sys
from pathlib import Path

from thinkseg.errors import InputError

EXAMPLE = """\
Predictions may be masks or maps of grey values. They are paired with the targets by name without suffix; every target
needs its prediction, further files in PRED_DIR are passed over.

examples:
  thinkseg metrics outputs/ COD10K/Test/GT_Object/ --json scores.json
  thinkseg metrics outputs/ DIS5K/DIS-TE1/gt/ --hce --processes 8
  thinkseg metrics outputs/ targets/ --measures giou,ciou,p50,my_measures.py:dice   # one of your own: docs/metrics.md
  thinkseg metrics runs/cod10k/masks/ COD10K/Test/GT_Object/   # what 'thinkseg evaluate --save-masks' has written
  thinkseg metrics cut/ outlines/   # what 'thinkseg segment --out cut' has written: NAME.mask.png"""

DIGITS = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of ``thinkseg metrics``."""
    parser.add_argument("predictions", type=Path, metavar="PRED_DIR", help="folder of predicted masks")
    parser.add_argument("targets", type=Path, metavar="TARGET_DIR", help="folder of true masks")
    parser.add_argument(
        "--measures",
        metavar="A,B,…",
        help="names of measures, or FILE.py:NAME for one of your own (default: S, weighted F, F, E, MAE, MBA, IoU, …)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to this file, too")
    parser.add_argument("--resize", action="store_true", help="bring predictions of another size to that of the target")
    parser.add_argument(
        "--hce", action="store_true", help="count the human correction effort, too: seconds for each large image"
    )
    parser.add_argument("--processes", type=int, metavar="N", help="that share the work (default: one per core)")


def run(args: argparse.Namespace) -> int:
    """Measure all pairs and print the table."""
    from thinkseg.api.measure import measure_folders
    from thinkseg.evaluation.mask_folders import NAMED
    from thinkseg.evaluation.measures.registry import get_measure
    from thinkseg.evaluation.text_table import aligned
    from thinkseg.meter import Meter

    with Meter("measure", "mask") as meter:
        scores = measure_folders(
            args.predictions,
            args.targets,
            measures=_names(args),
            resize=args.resize,
            processes=args.processes,
            progress=meter.move,
        )
    rows = [[get_measure(name).label, get_measure(name).format(value, DIGITS)] for name, value in scores.values.items()]
    print(aligned([["masks", str(scores.count)], *rows]))
    for reason in scores.left_out[:NAMED]:
        print(f"left out of every number: {reason}", file=sys.stderr)
    if scores.left_out:
        total = scores.count + len(scores.left_out)
        print(f"{len(scores.left_out)} of {total} targets are left out: they cannot be read", file=sys.stderr)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(scores.to_json(), indent=2) + "\n", encoding="utf-8")
    return 0


def _names(args: argparse.Namespace) -> tuple[str, ...]:
    """The measures that were asked for; HCE stands behind those of the outline."""
    from thinkseg.evaluation.mask_folders import PAIR_MEASURES
    from thinkseg.evaluation.measures.groups import SALIENCY_MEASURES

    if args.measures is None:
        return (*SALIENCY_MEASURES, "hce", "giou", "ciou") if args.hce else PAIR_MEASURES
    names = tuple(dict.fromkeys(name.strip() for name in args.measures.split(",") if name.strip()))
    if not names:
        raise InputError("--measures should name at least one, such as giou,ciou")
    return (*names, "hce") if args.hce and "hce" not in names else names
