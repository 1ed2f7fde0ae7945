"""``thinkseg metrics``: foreground metrics of masks made by any system."""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from thinkseg.errors import ImageError, InputError

if TYPE_CHECKING:
    import numpy as np

    from thinkseg.metrics.overlap import OverlapSums
    from thinkseg.metrics.saliency import SaliencySums, SoftMask

EXAMPLE = """\
Predictions may be masks or maps of grey values. They are paired with the targets by name without suffix; every target
needs its prediction, further files in PRED_DIR are passed over.

examples:
  thinkseg metrics outputs/ COD10K/Test/GT_Object/ --json scores.json
  thinkseg metrics outputs/ DIS5K/DIS-TE1/gt/ --hce --processes 8
  thinkseg metrics runs/cod10k/masks/ COD10K/Test/GT_Object/   # what 'thinkseg evaluate --save-masks' has written"""

TITLES = {
    "s_measure": "S-measure",
    "weighted_f": "weighted F",
    "max_f": "max F",
    "mean_f": "mean F",
    "adaptive_f": "adaptive F",
    "max_e": "max E",
    "mean_e": "mean E",
    "adaptive_e": "adaptive E",
    "mae": "MAE",
    "mba": "MBA",
    "biou": "boundary IoU",
    "hce": "HCE",
    "giou": "gIoU (mean IoU)",
    "ciou": "cIoU",
}
"""The metrics in the order of the table; HCE where it was asked for."""

NAMED = 10
"""So many missing predictions are named, further ones counted."""

CHUNK = 16
"""Pairs that a process takes at a time."""

Pair = tuple[Path, Path]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of ``thinkseg metrics``."""
    parser.add_argument("predictions", type=Path, metavar="PRED_DIR", help="folder of predicted masks")
    parser.add_argument("targets", type=Path, metavar="TARGET_DIR", help="folder of true masks")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to this file, too")
    parser.add_argument("--resize", action="store_true", help="bring predictions of another size to that of the target")
    parser.add_argument(
        "--hce", action="store_true", help="count the human correction effort, too: seconds for each large image"
    )
    parser.add_argument("--processes", type=int, metavar="N", help="that share the work (default: one per core)")


def run(args: argparse.Namespace) -> int:
    """Measure all pairs and print the table."""
    if args.processes is not None and args.processes < 1:
        raise InputError(f"--processes is at least 1, found {args.processes}")
    pairs = find_pairs(args.predictions, args.targets)
    overlap, saliency = measure_all(pairs, resize=args.resize, effort=args.hce, processes=args.processes)
    scores = {**saliency.scores(), "giou": overlap.giou, "ciou": overlap.ciou}
    print(f"{'masks':18}{len(pairs):>8}")
    for name, title in TITLES.items():
        if name in scores:
            print(f"{title:18}{scores[name]:8.4f}")
    if args.json:
        numbers = {name: None if math.isnan(scores[name]) else scores[name] for name in TITLES if name in scores}
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({"count": len(pairs), "metrics": numbers}, indent=2) + "\n", encoding="utf-8")
    return 0


def find_pairs(predictions: Path, targets: Path) -> list[Pair]:
    """Predictions and targets of the same name, in the order of the names.

    Raises:
        ImageError: a folder is missing or without targets, or a target has no prediction.
    """
    from thinkseg.imaging import find_images

    found, wanted = find_images(predictions), find_images(targets)
    missing = [stem for stem in wanted if stem not in found]
    if missing:
        named = ", ".join(f"'{wanted[stem].name}'" for stem in missing[:NAMED])
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        raise ImageError(
            f"'{predictions}' has no prediction for {len(missing)} of {len(wanted)} targets in '{targets}': "
            f"{named}{more}"
        )
    if not wanted:
        raise ImageError(f"there are no masks in '{targets}'")
    return [(found[stem], wanted[stem]) for stem in wanted]


def measure_all(
    pairs: Sequence[Pair], *, resize: bool = False, effort: bool = False, processes: int | None = None
) -> "tuple[OverlapSums, SaliencySums]":
    """The sums over all pairs, measured by several processes.

    Args:
        pairs: prediction and target each.
        resize: whether a prediction of another size is brought to the target's; else it is an error.
        effort: whether to count the human correction effort, too.
        processes: that share the work; None for one per core, 1 for none beside this one.
    """
    import multiprocessing
    import os
    from concurrent.futures import ProcessPoolExecutor
    from functools import partial, reduce
    from operator import add

    from tqdm import tqdm

    chunks = [pairs[start : start + CHUNK] for start in range(0, len(pairs), CHUNK)]
    work = partial(measure_chunk, resize=resize, effort=effort)
    processes = min(processes or os.cpu_count() or 1, len(chunks))
    with tqdm(total=len(pairs), unit="mask", file=sys.stderr, disable=not sys.stderr.isatty()) as bar:

        def counted(sums: "tuple[OverlapSums, SaliencySums]") -> "tuple[OverlapSums, SaliencySums]":
            bar.update(sums[0].count)
            return sums

        if processes == 1:
            parts = [counted(work(chunk)) for chunk in chunks]
        else:
            with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
                parts = [counted(sums) for sums in pool.map(work, chunks)]
    overlaps, saliencies = zip(*parts, strict=True)
    return reduce(add, overlaps), reduce(add, saliencies)


def measure_chunk(pairs: Sequence[Pair], resize: bool, effort: bool = False) -> "tuple[OverlapSums, SaliencySums]":
    """The sums over some pairs.

    Raises:
        ImageError: a file cannot be read, or a pair differs in size and is not to be resized.
    """
    from thinkseg.imaging import load_map, load_mask
    from thinkseg.metrics.overlap import OverlapSums, count_overlap
    from thinkseg.metrics.saliency import SaliencySums, measure_saliency

    overlap, saliency = OverlapSums(), SaliencySums()
    for prediction, target_path in pairs:
        pred, target = load_map(prediction), load_mask(target_path)
        if pred.shape != target.shape:
            if not resize:
                raise ImageError(
                    f"'{prediction}' has {pred.shape[1]}×{pred.shape[0]} pixels and its target '{target_path}' "
                    f"{target.shape[1]}×{target.shape[0]}: make them equal, or add --resize"
                )
            pred = _resized(pred, target.shape)
        overlap += OverlapSums.of(count_overlap(pred > 0.5, target))
        saliency += measure_saliency(_as_mask_if_it_is_one(pred), target, effort=effort)
    return overlap, saliency


def _as_mask_if_it_is_one(values: "np.ndarray") -> "SoftMask":
    """Two values are a mask, which is measured many times quicker than grey ones, and the same."""
    mask = values == 1
    return mask if bool((mask | (values == 0)).all()) else values


def _resized(values: "np.ndarray", shape_hw: tuple[int, ...]) -> "np.ndarray":
    """A soft map at another size, bilinearly."""
    import numpy as np
    from PIL import Image

    image = Image.fromarray(values.astype(np.float32))
    resized = image.resize((shape_hw[1], shape_hw[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float64).clip(0, 1)
