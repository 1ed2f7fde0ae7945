"""The flags of ``thinkseg data prepare`` for rows that veRL and EasyR1 train on: which model is asked, and how."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from thinkseg.cli.model_flags import told_by_flag
from thinkseg.errors import InputError

if TYPE_CHECKING:
    from thinkseg.data.prepared.engine_rows import EngineRows
    from thinkseg.models.checkpoint_config import CheckpointConfig

ENGINES = ("verl", "easyr1")
"""The schemas that they are for."""

_FLAGS = ("model", "format", "instruction", "max_pixels")


def add_engine_flags(prepare: argparse.ArgumentParser) -> None:
    """Declare them."""
    asked = prepare.add_argument_group(
        "for the schemas verl and easyr1", "What is not given comes from the model's thinkseg.json."
    )
    asked.add_argument(
        "--model",
        help="the model that will be trained: 'pocket', a folder or a hub id; its processor says what it is shown and "
        "in which frame it answers",
    )
    asked.add_argument("--format", help="its answer format, e.g. seg-zero, or FILE.py:NAME of yours")
    asked.add_argument(
        "--instruction",
        metavar="FILE",
        help="the sentences to ask it with: text that contains {query}, or a name that 'thinkseg instruction' lists",
    )
    asked.add_argument("--max-pixels", type=int, metavar="N", help="shrink images of more pixels for the model")


def check_engine_flags(args: argparse.Namespace) -> None:
    """Refuse these flags for other schemas, and others for these.

    Raises:
        InputError: they do not go together.
    """
    if args.schema not in ENGINES:
        for name in _FLAGS:
            if getattr(args, name) is not None:
                raise InputError(
                    f"'--{name.replace('_', '-')}' is for the schemas verl and easyr1, found '{args.schema}'"
                )
        return
    if args.model is None:
        raise InputError(
            f"the schema '{args.schema}' needs '--model', the model that will be trained: its processor says what size "
            "images have and in which frame it answers"
        )
    if args.longest_side is not None or args.published_points:
        raise InputError(
            f"'--longest-side' and '--published-points' are not for the schema '{args.schema}', whose images have the "
            "size that the model's processor makes of them: say '--resize' or '--max-pixels'"
        )


def engine_from_flags(args: argparse.Namespace) -> tuple[EngineRows, CheckpointConfig]:
    """How the engine's rows are made, and how the model is asked in them.

    Raises:
        InputError: the model or the instruction is not there, or nothing says in which format it answers.
    """
    from thinkseg.data.prepared.engine_rows import EngineRows
    from thinkseg.models import loading
    from thinkseg.models.asking import Asker, check_text
    from thinkseg.models.checkpoint_config import CheckpointConfig, resolve_config
    from thinkseg.models.published.wording import wording_for
    from thinkseg.models.reasoner_loading import describe_reasoner

    told = told_by_flag(args.instruction)
    given = CheckpointConfig(**told, format=args.format, canvas=args.resize, max_pixels=args.max_pixels)
    config = resolve_config(args.model, given)
    if config.format is None:
        raise InputError(f"nothing says in which format '{args.model}' is to answer: say it with '--format'")
    reasoner = describe_reasoner(loading.locate(args.model, "reasoner"), config)
    wording = wording_for(args.model, config, required=given.sentences is not None)
    if not wording.identity:  # what it is trained with is what its folder says
        config = config.replaced(sentences=None)
    check_text(reasoner, wording)
    return EngineRows(args.schema, Asker(reasoner, wording), wording.answer_format.points_per_object), config


def write_asked(config: CheckpointConfig, out: Path) -> None:
    """Write the ``thinkseg.json`` that checkpoints of the training need, beside the rows."""
    from thinkseg.models.checkpoint_config import write_config

    write_config(config, out)
