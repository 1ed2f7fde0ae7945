"""``thinkseg segment``: from images and queries to masks.

For every image it prints the model's thinking and what was found, and writes into the output folder

* ``NAME.mask.png``: the union of the objects, 255 on them, at the image's size,
* ``NAME.overlay.png``: the image with masks, boxes and points drawn over it,
* with ``--index``, ``NAME.index.png``: 0 on the background, n on object n,
* with ``--instances``, ``NAME.object-1.png`` and so on: each object's own mask,
* ``NAME.json``: the query, the thinking, the model's text, boxes and points in pixels of the image, each object's
  mask as COCO run lengths, and the failure, if there was one; written last.

Started again, it goes on where it was: what is there for the same image, query and model is not made again.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkseg.cli.model_flags import add_model_flags, config_from_flags, engine_words, load_aloud, tell_of_pocket
from thinkseg.errors import InputError
from thinkseg.meter import tell
from thinkseg.stopwatch import count

if TYPE_CHECKING:
    from thinkseg.api.segment import Loader
    from thinkseg.models.pipeline import Pipeline
    from thinkseg.serving.batch import Outcome

EXAMPLE = """\
INPUT is an image, a folder (all images in it and below it), a pattern such as 'shots/**/*.jpg', a table (CSV, TSV,
JSONL) with the columns image and query, or '-' for lines on standard input: paths, or JSON with image and query.

What is there already for the same image, query and model is kept; other files are never written over: a name that is
taken gets a number. Exit codes: 0 done; 1 no answer could be read, or some images could not, which are named at the
end; 2 the call is wrong, or no image could be read.

examples:
  thinkseg segment photo.jpg --query 'the animal that gives milk'
  thinkseg segment a.jpg b.jpg --query 'every spoon' --model runs/rl/final --out masks --json
  thinkseg segment photos/ --query 'the main object' --out masks --instances --index
  thinkseg segment requests.csv --out masks
  thinkseg segment - --query 'the ball' --out masks   # with a list of files on standard input"""

LONG = True
DONE, FAILED = 0, 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("inputs", metavar="INPUT", nargs="+", help="images, folders, patterns, tables, or '-'")
    parser.add_argument(
        "-q", "--query", default="", metavar="TEXT", help="what to look for, in words; tables bring their own"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="folder for the results (default: this one)"
    )
    parser.add_argument(
        "--encoding", default="", metavar="NAME", help="of tables and lines, such as gbk (default: UTF-8, or as marked)"
    )
    parser.add_argument("--instances", action="store_true", help="write a mask of each object, too")
    parser.add_argument("--index", action="store_true", help="write an image that is n on object n, too")
    parser.add_argument("--overwrite", action="store_true", help="make results of the same images and queries anew")
    parser.add_argument("--json", action="store_true", help="print each result as a line of JSON in place of the text")
    parser.add_argument(
        "--batch-size", type=int, default=8, metavar="N", help="images that the model gets at a time (default: 8)"
    )
    add_model_flags(parser)


def run(args: argparse.Namespace, load: Loader | None = None) -> int:
    """Segment every image.

    Args:
        args: the flags.
        load: loads the models, in place of `load_pipeline`.

    Returns:
        0, or 1 when images could not be read, or when not a single answer could.
    """
    from thinkseg.api.segment import segment_files
    from thinkseg.data.text import input_lines
    from thinkseg.results.files import is_image_of_result
    from thinkseg.serving.jobs import STDIN, list_jobs

    lines = input_lines(sys.stdin, args.encoding) if STDIN in args.inputs else []
    jobs = list_jobs(args.inputs, args.query, lines, leave_out=is_image_of_result, encoding=args.encoding)
    results = segment_files(
        jobs,
        model=args.model,
        out=args.out,
        index=args.index,
        instances=args.instances,
        overwrite=args.overwrite,
        batch_size=args.batch_size,
        device=args.device,
        dtype=args.dtype,
        load=partial(_load, load, tell=not args.json),
        **engine_words(args),
        **config_from_flags(args).said(),
    )
    outcomes = _followed(results, len(jobs), as_json=args.json)
    failed = [outcome.error for outcome in outcomes if outcome.error is not None]
    if len(failed) == len(jobs):
        more = f" (and {len(failed) - 1} more that could not be read)" if len(failed) > 1 else ""
        raise InputError(f"{failed[0]}{more}")
    if len(jobs) > 1:
        tell(_summary([outcome for outcome in outcomes if outcome.error is None], len(jobs)))
    for error in failed:
        print(f"not done: {error}", file=sys.stderr)
    read = any(outcome.readable for outcome in outcomes)
    return DONE if read and not failed else FAILED


def _load(load: Loader | None, model: str | Path, tell: bool, **how: Any) -> Pipeline:
    """The models; what is said meanwhile goes above the bar."""
    from tqdm import tqdm

    with tqdm.external_write_mode(file=sys.stderr):
        if tell:
            tell_of_pocket(model)
        return (load or load_aloud)(model, **how)


def _followed(outcomes: Iterable[Outcome], total: int, *, as_json: bool) -> list[Outcome]:
    """Print every result as it comes, under a bar; masks are not kept in memory."""
    from tqdm import tqdm

    from thinkseg.meter import Meter

    seen = []
    with Meter("segment", "image", total) if total > 1 else nullcontext() as meter:
        for outcome in outcomes:
            if outcome.error is None:
                with tqdm.external_write_mode(file=sys.stdout):
                    _print(outcome, as_json=as_json)
            seen.append(outcome.without_masks())
            count("images", 1)
            if meter is not None:
                meter.move(len(seen))
    return seen


def _print(outcome: Outcome, *, as_json: bool) -> None:
    from thinkseg.results.record import in_words
    from thinkseg.writing import json_text

    if as_json:
        print(json_text(outcome.record), flush=True)
    else:
        print(in_words(outcome.record, outcome.files, kept=outcome.kept), flush=True)


def _summary(outcomes: Sequence[Outcome], total: int) -> str:
    """One line about all images."""
    from thinkseg.results.record import counted

    counts: Counter[str] = Counter()
    for outcome in outcomes:
        counts += Counter(
            kept=outcome.kept,
            found=outcome.objects > 0,
            objects=outcome.objects,
            unreadable=not outcome.readable,
            nothing=outcome.readable and outcome.objects == 0,
        )
    parts = [f"{counted(counts['objects'], 'object')} in {counts['found']}"]
    parts += [f"nothing there in {counts['nothing']}"] if counts["nothing"] else []
    parts += [f"no readable answer for {counts['unreadable']}"] if counts["unreadable"] else []
    kept = f"; {counts['kept']} were there already" if counts["kept"] else ""
    return f"{counted(total, 'image')}: {', '.join(parts)}{kept}"
