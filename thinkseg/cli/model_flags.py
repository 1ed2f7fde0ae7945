"""The flags that say which models to load and how to ask them, for verbs that only use a model."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkseg.cli.parser import detail_group
from thinkseg.errors import InputError
from thinkseg.meter import tell

if TYPE_CHECKING:
    from thinkseg.models.checkpoint_config import CheckpointConfig
    from thinkseg.models.engines.engine import Engine
    from thinkseg.models.pipeline import Pipeline

CONFIG_FLAGS = (
    "format",
    "max_new_tokens",
    "decoding",
    "segmenter",
    "masks",
    "segmenter_canvas",
    "segmenter_encoder",
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
    where = detail_group(
        parser, "where the reasoner's text is written", "By transformers, here, unless said otherwise."
    )
    where.add_argument(
        "--reasoner",
        metavar="URL",
        help="let an OpenAI-style server write the text, such as http://127.0.0.1:8000/v1; --model says which "
        "checkpoint it serves (key: OPENAI_API_KEY)",
    )
    where.add_argument(
        "--reasoner-engine", metavar="NAME", help="what writes the text here: transformers (default) or vllm"
    )
    where.add_argument(
        "--engine-option",
        action="append",
        metavar="KEY=VALUE",
        help="of a server: model, concurrency, retries, timeout; of vLLM: whatever vllm.LLM takes, e.g. "
        "tensor_parallel_size=2; of transformers: tokens_per_pass (may come again)",
    )
    where.add_argument(
        "--enforce-format",
        action="store_true",
        help="let the engine write nothing but what the answer format can read (vLLM, and servers of vLLM or SGLang)",
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
        "--segmenter-encoder",
        metavar="KIND",
        help="how it encodes images: float32 (default), bfloat16, compiled or 'compiled bfloat16'",
    )
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
    from thinkseg.models.checkpoint_config import CheckpointConfig

    return CheckpointConfig(**told_by_flag(args.instruction), **{name: getattr(args, name) for name in CONFIG_FLAGS})


def told_by_flag(told: str | None) -> dict[str, Any]:
    """The setting that ``--instruction`` is: a file of sentences, or the name of published ones.

    Raises:
        InputError: the file of the instruction is not there, or is none.
    """
    from thinkseg.models.checkpoint_config import read_instruction, told_instruction
    from thinkseg.models.published.instructions import ASKED, INSTRUCTIONS

    if told and (Path(told).is_file() or told not in {*ASKED, *INSTRUCTIONS}):
        return told_instruction(read_instruction(told))
    return told_instruction(told or None)


def engine_from_flags(args: argparse.Namespace) -> Engine:
    """Where the flags want the reasoner's text to be written.

    Raises:
        InputError: two places are named, or an option is none.
    """
    from thinkseg.models.engines.engine import Engine

    return Engine.chosen(**engine_words(args))


def engine_words(args: argparse.Namespace) -> dict[str, Any]:
    """The same as the arguments ``reasoner``, ``engine_options`` and ``enforce_format`` of the public calls.

    Raises:
        InputError: two places are named, or an option is no KEY=VALUE.
    """
    import yaml

    if args.reasoner is not None and args.reasoner_engine is not None:
        raise InputError("a server (--reasoner) takes the place of an engine here (--reasoner-engine): leave one out")
    if args.reasoner is not None and not args.reasoner.lower().startswith(("http://", "https://")):
        raise InputError(
            f"--reasoner expects the address of a server, such as http://127.0.0.1:8000/v1, found '{args.reasoner}'; a "
            "checkpoint is named with --model"
        )
    options = {}
    for said in args.engine_option or ():
        key, equals, value = said.partition("=")
        try:
            options[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            equals = ""
        if not equals or not key.strip():
            raise InputError(f"--engine-option expects KEY=VALUE, such as concurrency=16, found '{said}'")
    return {
        "reasoner": args.reasoner or args.reasoner_engine,
        "engine_options": options or None,
        "enforce_format": args.enforce_format,
    }


def load_models(
    args: argparse.Namespace, batch_size: int | None = None, load: Callable[..., Pipeline] | None = None
) -> Pipeline:
    """The pipeline that the flags ask for; the batch size is that of `load_pipeline`, whose place `load` can take."""
    config, load = config_from_flags(args), load or load_aloud
    how: dict[str, Any] = {"device": args.device, "dtype": args.dtype, "batch_size": batch_size}
    if any(value for value in engine_words(args).values()):
        how["engine"] = engine_from_flags(args)
    return load(args.model, config=config, **how)


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

    return model_identity(args.model, config_from_flags(args), engine_from_flags(args))
