"""The flags that say which models to load and how to ask them, for verbs that only use a model."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkseg.cli.parser import detail_group
from thinkseg.meter import tell

if TYPE_CHECKING:
    from thinkseg.models.checkpoint_config import CheckpointConfig
    from thinkseg.models.pipeline import Pipeline

CONFIG_FLAGS = (
    "format",
    "max_new_tokens",
    "decoding",
    "segmenter",
    "masks",
    "segmenter_canvas",
    "family",
    "frame",
    "canvas",
    "canvas_filter",
    "min_pixels",
    "max_pixels",
)
"""Flags that are settings of the `CheckpointConfig` as they are."""


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """Declare them."""
    parser.add_argument(
        "--model", default="pocket", help="the reasoner: 'pocket', a checkpoint folder or a hub id (default: pocket)"
    )
    parser.add_argument(
        "--segmenter",
        help="'pocket', 'grabcut', a folder, a hub id, FILE.py:NAME or a ThinkSeg service, http://HOST:PORT (default: "
        "the one the model was trained with)",
    )
    parser.add_argument("--device", default="auto", help="'auto', 'cpu', 'cuda', 'cuda:1', … (default: auto)")
    parser.add_argument(
        "--dtype", default="auto", help="of the reasoner's weights: float32, bfloat16, … (default: by the device)"
    )
    asked = detail_group(
        parser,
        "how the model is prompted",
        "What is not given comes from its thinkseg.json, or from the table of known ones.",
    )
    asked.add_argument(
        "--format",
        help="its answer format, e.g. seg-r1, vision-reasoner, or FILE.py:NAME of yours; vision-reasoner-tolerant and "
        "seg-zero-tolerant read what models write that were never tuned, too",
    )
    asked.add_argument(
        "--instruction",
        metavar="FILE",
        help="the sentences to ask it with: text that contains {query}, or a name that 'thinkseg instruction' lists",
    )
    asked.add_argument("--max-new-tokens", type=int, metavar="N", help="length limit of its text, in tokens")
    asked.add_argument("--decoding", help="greedy (default), penalised or sampled, as its generation_config.json says")
    asked.add_argument("--masks", help="of the segmenter, for an object: single (default) or 'best of three'")
    asked.add_argument("--segmenter-canvas", type=int, metavar="PX", help="show the segmenter a square of this side")
    asked.add_argument(
        "--family", help="the kind of model that it is, e.g. qwen2_5_vl, or FILE.py:NAME (default: by its config.json)"
    )
    asked.add_argument("--frame", help="how it measures coordinates: relative-1000, resized-pixels or canvas")
    asked.add_argument("--canvas", type=int, metavar="PX", help="stretch images to squares of so many pixels a side")
    asked.add_argument("--canvas-filter", metavar="NAME", help="by which filter: bicubic (default) or bilinear")
    asked.add_argument("--min-pixels", type=int, metavar="N", help="enlarge images of fewer pixels for the model")
    asked.add_argument("--max-pixels", type=int, metavar="N", help="shrink images of more pixels for the model")


def config_from_flags(args: argparse.Namespace) -> CheckpointConfig:
    """How the flags want the model to be asked.

    Raises:
        InputError: a value cannot work, or the file of the instruction is not there, or is none.
    """
    from thinkseg.models.checkpoint_config import CheckpointConfig, read_instruction, told_instruction
    from thinkseg.models.published.instructions import ASKED, INSTRUCTIONS

    told = args.instruction
    if told and (Path(told).is_file() or told not in {*ASKED, *INSTRUCTIONS}):
        told = read_instruction(told)
    return CheckpointConfig(**told_instruction(told or None), **{name: getattr(args, name) for name in CONFIG_FLAGS})


def load_models(
    args: argparse.Namespace, batch_size: int | None = None, load: Callable[..., Pipeline] | None = None
) -> Pipeline:
    """The pipeline that the flags ask for; the batch size is that of `load_pipeline`, whose place `load` can take."""
    config, load = config_from_flags(args), load or load_aloud
    return load(args.model, config=config, device=args.device, dtype=args.dtype, batch_size=batch_size)


def tell_of_pocket(model: str | Path) -> None:
    """Say on stderr what a pocket model is, where it is the one that answers."""
    from thinkseg.models.loading import FOR_REAL_USE, POCKET_IS, is_pocket

    if is_pocket(model):
        tell(f"{model} is {POCKET_IS}; {FOR_REAL_USE}")


def load_aloud(model: str | Path, **options: Any) -> Pipeline:
    """Load a pipeline, as `load_pipeline` does, with a line on stderr."""
    from thinkseg.models.pipeline import load_pipeline

    tell(f"loading {model} …")
    return load_pipeline(model, **options)


def identity(args: argparse.Namespace) -> dict[str, Any]:
    """What the flags ask for, with digests of the checkpoints, so that a result by another model is told apart.

    Raises:
        InputError: a model or the instruction is not there.
    """
    from thinkseg.evaluation.provenance import model_identity

    return model_identity(args.model, config_from_flags(args))
