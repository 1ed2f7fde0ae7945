"""``thinkseg demo``: a page to try a model in a browser."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from thinkseg.cli.model_flags import add_model_flags, identity, load_aloud, load_models, tell_of_pocket
from thinkseg.cli.parser import detail_group
from thinkseg.errors import InputError

if TYPE_CHECKING:
    from thinkseg.api.segment import Loader
    from thinkseg.serving.page.choices import Choices

EXAMPLE = """\
The page is seen by this machine alone, unless --host or --share say otherwise. It needs the extra 'demo':
  pip install 'thinkseg[demo]'

examples:
  thinkseg demo
  thinkseg demo --model runs/rl/final --port 8000
  thinkseg demo --model Ricky06662/VisionReasoner-7B --device cuda
  thinkseg demo --also-model runs/rl/final --also-segmenter grabcut --run runs/evaluation"""

DONE = 0
LOOPBACK = "127.0.0.1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "--host", default=LOOPBACK, help=f"address to listen at; 0.0.0.0 for every one (default: {LOOPBACK})"
    )
    parser.add_argument("--port", type=int, metavar="N", help="(default: the first free one from 7860 on)")
    parser.add_argument("--share", action="store_true", help="open a public tunnel, a service of Gradio's makers")
    add_model_flags(parser)
    more = detail_group(parser, "what the page has besides (all but the last may be repeated)")
    more.add_argument(
        "--also-model", action="append", default=[], metavar="NAME", help="one more reasoner, asked as it was trained"
    )
    more.add_argument("--also-segmenter", action="append", default=[], metavar="NAME", help="one more segmenter")
    more.add_argument("--also-format", action="append", default=[], metavar="NAME", help="one more answer format")
    more.add_argument(
        "--run", action="append", default=[], metavar="DIR", help="an evaluation to look through, worst samples first"
    )
    more.add_argument("--examples", metavar="TABLE", help="images with queries to begin with, such as a CSV")


def run(args: argparse.Namespace, load: Loader | None = None, serve: Callable[..., None] | None = None) -> int:
    """Load the models and serve the page until it is interrupted.

    Args:
        args: the flags.
        load: loads the models, in place of `load_pipeline`.
        serve: serves the page, in place of `thinkseg.serving.demo.serve`.
    """
    from thinkseg.models.loading import POCKET_IS, is_pocket
    from thinkseg.serving import demo
    from thinkseg.serving.examples import read_examples, write_examples
    from thinkseg.serving.page.browsing import Browsed
    from thinkseg.serving.page.web import require_gradio

    if args.port is not None and not 1 <= args.port <= 65535:
        raise InputError(f"a port is a number from 1 to 65535, found {args.port}")
    if serve is None:
        require_gradio()  # before the models, which take longer
    model = identity(args)
    choices = _choices(args, model, load)
    runs = [Browsed.open(folder) for folder in args.run]
    tell_of_pocket(args.model)
    choices.pipeline(choices.first)
    if args.host not in (LOOPBACK, "localhost", "::1"):
        print(f"the page can be reached from other machines at {args.host}, and has no password", file=sys.stderr)
    about = f"model {model['name']} · segmenter {model['segmenter']}"
    about += f" · {POCKET_IS}" if is_pocket(args.model) else ""
    examples = read_examples(args.examples) if args.examples else write_examples
    try:
        address = demo.Address(args.host, args.port, args.share)
        (serve or demo.serve)(choices, address, demo.Furnishing(about, examples, runs), ready=_say)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    return DONE


def _choices(args: argparse.Namespace, model: dict[str, Any], load: Loader | None) -> Choices:
    """What the flags offer; what is wrong with a name is told before anything is loaded.

    Raises:
        InputError: a model or a format is not known, or not there.
    """
    from thinkseg.answers import get_format
    from thinkseg.evaluation.provenance import model_identity
    from thinkseg.models.checkpoint_config import CheckpointConfig
    from thinkseg.serving.page.choices import Choices, Offered, segmenters_named

    models = {args.model: Offered(lambda: load_models(args, load=load), model)}
    for name in args.also_model:
        options = {"config": CheckpointConfig(), "device": args.device, "dtype": args.dtype, "batch_size": None}
        offered = Offered(partial(load or load_aloud, name, **options), model_identity(name, CheckpointConfig()))
        models.setdefault(name, offered)
    for name in args.also_format:
        get_format(name)
    segmenters = segmenters_named(args.also_segmenter, args.device)
    return Choices(models, segmenters, tuple(dict.fromkeys(args.also_format)))


def _say(url: str, public: str | None) -> None:
    print(f"ThinkSeg demo: {url}", flush=True)
    if public:
        print(f"public, for whoever has the address: {public}", flush=True)
    print("stop it with Ctrl+C", file=sys.stderr)
