"""``thinkseg reproduce``: a published number, made again.

It names what is needed (weights, sentences, data, memory), checks what is here, evaluates, and prints the published
value beside the one that was found, with its 95 % interval.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkseg.cli.data_choice import data_path
from thinkseg.errors import InputError
from thinkseg.evaluation.published_numbers import PUBLISHED

if TYPE_CHECKING:
    from thinkseg.evaluation.reproduction import Need, Reproduced
    from thinkseg.models.published.store import InstructionStore

EXAMPLE = """\
examples:
  thinkseg reproduce                                             # every published number that is known
  thinkseg reproduce seg-r1/cod10k --data data --dry-run         # what it needs, and what is missing
  thinkseg reproduce seg-r1/cod10k --data data --out runs/seg_r1_cod10k
  thinkseg reproduce seg-zero/reasonseg-val --data data --limit 20 --out runs/try
  thinkseg reproduce seg-r1/cod10k --data data --model pocket --limit 8 --out runs/small"""

LONG = True
DONE = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="system/benchmark; none lists all that are known")
    parser.add_argument("--data", type=data_path, metavar="ROOT", help="folder that the data sets lie below")
    parser.add_argument(
        "--model", help="what is run in place of the published checkpoint: 'pocket', a folder, a hub id"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N samples")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the results (needed to run)")
    parser.add_argument("--device", default="auto", help="'auto', 'cpu', 'cuda', … (default: auto)")
    parser.add_argument("--dtype", default="auto", help="of the reasoner's weights (default: by the device)")
    parser.add_argument(
        "--batch-size", type=int, default=16, metavar="N", help="samples that the model gets at a time (default: 16)"
    )
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="that share the samples (default: 1)")
    parser.add_argument("--dry-run", action="store_true", help="say what it needs and what is missing, and run nothing")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(
    args: argparse.Namespace,
    load: Callable[..., Any] | None = None,
    store: InstructionStore | None = None,
    is_cached: Callable[[str], bool] | None = None,
) -> int:
    """List the numbers, say what one needs, or make it again.

    `load` loads the models, `store` has the sentences, `is_cached` says whether a hub id is here.
    """
    from thinkseg.writing import json_text

    if args.name is None:
        print(json_text(_all_numbers(), indent=2) if args.json else _listed())
        return DONE
    from thinkseg.api.reproduce import prepared
    from thinkseg.evaluation.provenance import command_line

    wanted = prepared(
        args.name,
        model=args.model,
        data=args.data,
        out=args.out,
        limit=args.limit,
        device=args.device,
        dtype=args.dtype,
        batch_size=args.batch_size,
        processes=args.processes,
    )
    wanted = wanted if store is None else replace(wanted, store=store)
    wanted = wanted if is_cached is None else replace(wanted, is_cached=is_cached)
    if args.dry_run:
        needs = wanted.needs()
        told = [{"what": need.what, "detail": need.detail, "missing": need.missing} for need in needs]
        print(json_text(told, indent=2) if args.json else _needed(needs))
        return DONE
    if args.out is None:
        raise InputError("say --out, the folder for the results, or --dry-run to see what it needs")
    print(_needed(wanted.needs()), file=sys.stderr)
    outcome = wanted.run(load, command_line())
    print(json_text(outcome.to_json(), indent=2) if args.json else _side_by_side(outcome))
    return DONE


def _all_numbers() -> dict[str, Any]:
    return {
        name: {
            "system": one.system, "checkpoint": one.checkpoint, "benchmark": one.benchmark, "protocol": one.protocol,
            "values": dict(one.values), "source": one.source,
        }
        for name, one in PUBLISHED.items()
    }  # fmt: skip


def _listed() -> str:
    rows = [("name", "system", "protocol", "published")]
    for name, one in PUBLISHED.items():
        values = ", ".join(f"{measure} {value:.3f}" for measure, value in one.values.items())
        rows.append((name, one.system, one.protocol, values))
    return _aligned(rows)


def _needed(needs: Sequence[Need]) -> str:
    lines = []
    for need in needs:
        lines.append(f"{need.what}: {need.detail}")
        if need.missing:
            lines.append(f"  missing: {need.missing}")
    return "\n".join(lines)


def _side_by_side(outcome: Reproduced) -> str:
    rows = [("measure", "published", "found", "95 % interval", "the published value")]
    for row in outcome.rows:
        found = "–" if row.found is None else f"{row.found:.3f}"
        interval = "–" if row.low is None or row.high is None else f"{row.low:.3f} to {row.high:.3f}"
        rows.append((row.measure, f"{row.published:.3f}", found, interval, row.verdict))
    notes = [f"note: {note}" for note in outcome.notes]
    head = f"{outcome.published.system} on {outcome.published.benchmark} ({outcome.published.source})"
    return "\n".join([head, _aligned(rows), *notes])


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
