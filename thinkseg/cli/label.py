"""``thinkseg label``: many (image, query) rows into Parquet, exactly one row of results each.

``DIR/labels/*.parquet`` has the rows: thinking, boxes, points, each object's mask as COCO run lengths, scores, the
failure if there was one, and the revisions of model and data. ``DIR/label.json`` says what they are results of.
Killed at any moment and started again, it goes on where it was.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from thinkseg.cli.model_flags import add_model_flags, config_from_flags, engine_words, load_aloud, tell_of_pocket

if TYPE_CHECKING:
    from thinkseg.api.segment import Loader
    from thinkseg.serving.labelling.labelled import Labelled

EXAMPLE = """\
INPUT is a table (CSV, TSV, JSONL, Parquet) with the columns image and query, a folder (all images in it and below it),
or a pattern such as 'shots/**/*.jpg'. A row that cannot be answered is a row of results, too, with its failure.

Started again, it goes on where it was; started twice at once, the two share the work. Another input or another model
in the same folder is refused. Exit codes: 0 done; 1 no answer could be read, or the work was stopped; 2 the call is
wrong.

examples:
  thinkseg label requests.csv --out labelled
  thinkseg label photos/ --query 'the main object' --out labelled --model runs/rl/final --processes 2
  thinkseg label requests.parquet --out labelled --shard 2/4
  thinkseg label requests.parquet --out labelled --engine ray --address auto"""

LONG = True
DONE, FAILED = 0, 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("input", metavar="INPUT", help="a table, a folder or a pattern")
    parser.add_argument(
        "-q", "--query", default="", metavar="TEXT", help="what to look for, in words; tables bring their own"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--engine", default="local", metavar="NAME", help="local (default), or ray: Ray Data, for a cluster"
    )
    parser.add_argument(
        "--processes", type=int, metavar="N", help="that share the rows, on Ray actors (default: one a card)"
    )
    parser.add_argument("--shard", metavar="I/N", help="only part I of N, for machines that share no disk")
    parser.add_argument(
        "--batch-size", type=int, default=8, metavar="N", help="rows that the model gets at a time (default: 8)"
    )
    parser.add_argument(
        "--rows-per-file", type=int, metavar="N", help="rows of a file of results (default: 2048 at most, on Ray 256)"
    )
    parser.add_argument(
        "--address", metavar="ADDRESS", help="of a Ray cluster, or 'auto' (default: RAY_ADDRESS, or this machine)"
    )
    parser.add_argument("--encoding", default="", metavar="NAME", help="of a table, such as gbk (default: UTF-8)")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON in place of the text")
    add_model_flags(parser)


def run(args: argparse.Namespace, load: Loader | None = None) -> int:
    """Label every row.

    Args:
        args: the flags.
        load: loads the models, in place of `load_pipeline`.

    Returns:
        0, or 1 when not a single answer could be read.
    """
    from thinkseg.api.label import label
    from thinkseg.writing import json_text

    if not args.json:
        tell_of_pocket(args.model)
    labelled = label(
        args.input,
        query=args.query,
        out=args.out,
        model=args.model,
        engine=args.engine,
        processes=args.processes,
        shard=args.shard,
        batch_size=args.batch_size,
        rows_per_file=args.rows_per_file,
        address=args.address,
        encoding=args.encoding,
        device=args.device,
        dtype=args.dtype,
        load=load or load_aloud,
        **engine_words(args),
        **config_from_flags(args).said(),
    )
    if args.json:
        print(json_text({**asdict(labelled), "folder": str(labelled.folder)}))
    else:
        print(_summary(labelled))
    return DONE if labelled.found + labelled.nothing_there else FAILED


def _summary(labelled: Labelled) -> str:
    """What came of the rows, in a few lines."""
    parts = [f"objects in {labelled.found:,}", f"nothing there in {labelled.nothing_there:,}"]
    parts += [f"{name} for {number:,}" for name, number in labelled.failures.items()]
    of_all = "" if labelled.complete else f" of {labelled.asked:,}, the others are to be done"
    return f"{labelled.rows:,} rows{of_all}: {', '.join(parts)}\nlabels: {labelled.labels}"
