"""``thinkseg demo``: a page to try a model in a browser."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from thinkseg.cli.model_flags import add_model_flags, identity, load_models, tell_of_pocket
from thinkseg.errors import InputError

if TYPE_CHECKING:
    from thinkseg.api.segment import Loader

EXAMPLE = """\
The page is seen by this machine alone, unless --host or --share say otherwise. It needs the extra 'demo':
  pip install 'thinkseg[demo]'

examples:
  thinkseg demo
  thinkseg demo --model runs/rl/final --port 8000
  thinkseg demo --model Ricky06662/VisionReasoner-7B --device cuda"""

DONE = 0
LOOPBACK = "127.0.0.1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "--host", default=LOOPBACK, help=f"address to listen at; 0.0.0.0 for every one (default: {LOOPBACK})"
    )
    parser.add_argument("--port", type=int, metavar="N", help="(default: the first free one from 7860 on)")
    parser.add_argument(
        "--share", action="store_true", help="open a public tunnel, through a service of Gradio's makers"
    )
    add_model_flags(parser)


def run(args: argparse.Namespace, load: Loader | None = None, serve: Callable[..., None] | None = None) -> int:
    """Load the models and serve the page until it is interrupted.

    Args:
        args: the flags.
        load: loads the models, in place of `load_pipeline`.
        serve: serves the page, in place of `thinkseg.serving.demo.serve`.
    """
    from thinkseg.models.loading import POCKET, POCKET_IS
    from thinkseg.serving import demo

    if args.port is not None and not 1 <= args.port <= 65535:
        raise InputError(f"a port is a number from 1 to 65535, found {args.port}")
    if serve is None:
        demo.require_gradio()  # before the models, which take longer
    model = identity(args)
    tell_of_pocket(args.model)
    pipeline = load_models(args, load=load)
    if args.host not in (LOOPBACK, "localhost", "::1"):
        print(f"the page can be reached from other machines at {args.host}, and has no password", file=sys.stderr)
    about = f"model {model['name']} · segmenter {model['segmenter']}"
    about += f" · {POCKET_IS}" if args.model == POCKET else ""
    try:
        address = demo.Address(args.host, args.port, args.share)
        (serve or demo.serve)(pipeline, address, model=model, about=about, ready=_say)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    return DONE


def _say(url: str, public: str | None) -> None:
    print(f"ThinkSeg demo: {url}", flush=True)
    if public:
        print(f"public, for whoever has the address: {public}", flush=True)
    print("stop it with Ctrl+C", file=sys.stderr)
