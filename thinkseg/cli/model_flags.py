"""The flags that say which models to load and how to ask them, for verbs that only use a model."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thinkseg.models.pipeline import Pipeline

ASKED = ("format", "max_new_tokens", "frame", "canvas", "min_pixels", "max_pixels")
"""Flags that overrule what is known about a checkpoint."""


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """Declare them."""
    parser.add_argument(
        "--model", default="pocket", help="the reasoner: 'pocket', a checkpoint folder or a hub id (default: pocket)"
    )
    parser.add_argument(
        "--segmenter",
        help="'pocket', 'grabcut', a folder or a hub id (default: the one the model was trained with)",
    )
    parser.add_argument("--device", default="auto", help="'auto', 'cpu', 'cuda', 'cuda:1', … (default: auto)")
    parser.add_argument(
        "--dtype", default="auto", help="of the reasoner's weights: float32, bfloat16, … (default: by the device)"
    )
    asked = parser.add_argument_group(
        "how the model is asked", "What is not given comes from its thinkseg.json, or from the table of known models."
    )
    asked.add_argument("--format", help="its answer format, e.g. seg-r1, seg-zero, vision-reasoner")
    asked.add_argument(
        "--instruction", type=Path, metavar="FILE", help="the sentences to ask it with: text that contains {query}"
    )
    asked.add_argument("--max-new-tokens", type=int, metavar="N", help="length limit of its text, in tokens")
    asked.add_argument("--frame", help="how it measures coordinates: relative-1000 or resized-pixels")
    asked.add_argument("--canvas", type=int, metavar="PX", help="stretch images to squares of so many pixels a side")
    asked.add_argument("--min-pixels", type=int, metavar="N", help="enlarge images of fewer pixels for the model")
    asked.add_argument("--max-pixels", type=int, metavar="N", help="shrink images of more pixels for the model")


def load_models(args: argparse.Namespace, **options: Any) -> Pipeline:
    """The pipeline that the flags ask for; further options go to `load_pipeline`."""
    from thinkseg.models.checkpoint_config import read_instruction
    from thinkseg.models.pipeline import load_pipeline

    instruction = read_instruction(args.instruction) if args.instruction else None
    print(f"loading {args.model} …", file=sys.stderr)
    asked = {name: getattr(args, name) for name in ASKED}
    return load_pipeline(
        args.model,
        args.segmenter,
        instruction=instruction,
        device=args.device,
        dtype=args.dtype,
        **asked,
        **options,
    )


def identity(args: argparse.Namespace) -> dict[str, Any]:
    """What the flags ask for, with digests of the checkpoints, so that a result by another model is told apart.

    Raises:
        InputError: a model or the instruction is not there.
    """
    from thinkseg.evaluation.provenance import checkpoint_revision
    from thinkseg.models import loading
    from thinkseg.models.checkpoint_config import CheckpointConfig, settings_for

    source = loading.locate(args.model, "reasoner")
    segmenter = args.segmenter or settings_for(args.model, source, CheckpointConfig(format=args.format)).segmenter
    segmenter = segmenter or loading.POCKET
    return {
        "name": str(args.model),
        "revision": checkpoint_revision(source),
        "segmenter": str(segmenter),
        "segmenter_revision": checkpoint_revision(_segmenter_folder(segmenter)),
        **asked_of(args),
    }


def asked_of(args: argparse.Namespace) -> dict[str, Any]:
    """What the flags overrule of what is known about the checkpoint, by their names.

    Raises:
        InputError: the file of the instruction is not there, or is none.
    """
    from thinkseg.models.checkpoint_config import read_instruction

    asked = {name: getattr(args, name) for name in ASKED if getattr(args, name) is not None}
    if args.instruction:
        instruction = read_instruction(args.instruction)
        asked["instruction"] = {"user": instruction.user, "system": instruction.system}
    return asked


def _segmenter_folder(name: str) -> str | Path:
    from thinkseg.models import loading

    return loading.pocket_folder("segmenter") or "" if name == loading.POCKET else Path(name).expanduser()
