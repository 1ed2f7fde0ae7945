"""``thinkseg serve``: an HTTP service that many ask at once."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkseg.cli.model_flags import add_model_flags, identity, load_models, tell_of_pocket
from thinkseg.cli.parser import detail_group
from thinkseg.errors import InputError

if TYPE_CHECKING:
    from thinkseg.api.segment import Loader
    from thinkseg.serving.http.app import CreateRouter
    from thinkseg.serving.http.gate import Access
    from thinkseg.serving.http.limits import Batching, Limits
    from thinkseg.serving.http.service import Service

EXAMPLE = """\
The service is seen by this machine alone, unless --host says otherwise. It needs the extra 'serve':
  pip install 'thinkseg[serve]'

examples:
  thinkseg serve
  thinkseg serve --model runs/rl/final --device cuda --max-batch 16
  THINKSEG_API_KEY=… thinkseg serve --host 0.0.0.0 --port 8000

and in another terminal:
  curl -F image=@photo.jpg -F query='the red thing' http://127.0.0.1:8000/v1/segment"""

DONE = 0
LOOPBACK = "127.0.0.1"
KEY = "THINKSEG_API_KEY"
"""The variable that the key is read from where no file is named."""
TOKEN = "LABEL_STUDIO_API_KEY"
"""The variable that a Label Studio's API key is read from."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "--host", default=LOOPBACK, help=f"address to listen at; 0.0.0.0 for every one (default: {LOOPBACK})"
    )
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="0 for one that is free (default: 8000)")
    who = parser.add_argument_group("who is answered")
    who.add_argument(
        "--api-key-file", type=Path, metavar="FILE", help=f"a key that requests must have (default: ${KEY}, or none)"
    )
    who.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name that requests may ask by, besides "
        "addresses and localhost; may be repeated. With a key, every name will do",
    )
    who.add_argument(
        "--cors-origin",
        action="append",
        default=[],
        metavar="URL",
        help="a page whose scripts may ask, such as https://label.example; may be repeated (default: none)",
    )
    together = detail_group(parser, "how requests are worked on together")
    together.add_argument(
        "--max-batch",
        type=int,
        metavar="N",
        help="requests worked on at once; 1 for one after the other (default: "
        "as many as the model decodes together, 16 at most)",
    )
    together.add_argument(
        "--max-wait",
        type=float,
        default=10,
        metavar="MS",
        help="milliseconds to wait for more of them; a lone client never waits (default: 10)",
    )
    together.add_argument(
        "--encodings-memory",
        type=int,
        default=1024,
        metavar="MB",
        help="memory for encodings of images that come again; 0 keeps none (default: 1024)",
    )
    more = detail_group(parser, "what else is answered")
    more.add_argument("--page", action="store_true", help="the page of 'thinkseg demo' at /, by the extra 'demo'")
    more.add_argument(
        "--label-studio",
        nargs="?",
        const="",
        metavar="URL",
        help="be a model of Label Studio; images of its tasks "
        f"come from the one at this address, by the API key in ${TOKEN}",
    )
    more.add_argument(
        "--label-studio-files", type=Path, metavar="DIR", help="the folder that it has as document root of local files"
    )
    more.add_argument(
        "--query", default="", metavar="TEXT", help="what to look for where neither its page nor a task says it"
    )
    more.add_argument("--x-anylabeling", action="store_true", help="be a remote server of X-AnyLabeling")
    limits = detail_group(parser, "what is taken")
    limits.add_argument("--queue", type=int, default=64, metavar="N", help="requests inside at once (default: 64)")
    limits.add_argument(
        "--timeout", type=float, default=120, metavar="S", help="seconds that a request may take (default: 120)"
    )
    limits.add_argument(
        "--image-megabytes", type=float, default=20, metavar="MB", help="of an image's file (default: 20)"
    )
    limits.add_argument("--image-megapixels", type=float, default=36, metavar="MP", help="of an image (default: 36)")
    parser.add_argument("--name", help="what to call the reasoner towards those who ask (default: its own name)")
    add_model_flags(parser)


def run(args: argparse.Namespace, load: Loader | None = None, serve: Callable[..., None] | None = None) -> int:
    """Load the models and answer requests until the process is told to end.

    Args:
        args: the flags.
        load: loads the models, in place of `load_pipeline`.
        serve: listens, in place of `thinkseg.serving.http.server.serve`.
    """
    from thinkseg.serving.http import require_packages

    require_packages()  # before the models, which take longer
    if args.page:
        from thinkseg.serving.page.web import require_gradio

        require_gradio()
    from thinkseg.serving.http import server
    from thinkseg.serving.http.app import create_app
    from thinkseg.serving.http.limits import MOST_TOGETHER
    from thinkseg.serving.http.served import Served
    from thinkseg.serving.http.service import Service

    access, limits, routers = _access(args), _limits(args), _routers(args)
    _check(args)
    model = identity(args)
    tell_of_pocket(args.model)
    pipeline = load_models(args, args.max_batch, load=load)
    service = Service(
        pipeline,
        Served.from_identity(model, pipeline, args.name),
        limits=limits,
        batching=_batching(args, min(getattr(pipeline.reasoner, "batch_size", 1), MOST_TOGETHER)),
        memory=args.encodings_memory * 2**20,
    )
    if args.host not in (LOOPBACK, "localhost", "::1") and access.key is None:
        warning = f"the service can be reached from other machines at {args.host}, and has no key: see ${KEY}"
        print(warning, file=sys.stderr)
    with _page(args, service, model) as page:
        app = create_app(service, access, routers=routers, page=page)
        (serve or server.serve)(app, service, args.host, args.port, _say)
    return DONE


@contextmanager
def _page(args: argparse.Namespace, service: Service, model: dict[str, Any]) -> Iterator[Any]:
    """The page of the demo, where it is wanted; what it is asked goes into the batches of the service."""
    if not args.page:
        yield None
        return
    from thinkseg.serving.demo import Furnishing, application
    from thinkseg.serving.http.waiting import batched_pipeline
    from thinkseg.serving.page.choices import Choices

    about = Furnishing(f"model {model['name']} · segmenter {model['segmenter']}")
    choices = Choices.of(batched_pipeline(service), args.model, model)
    with application(choices, about, host=args.host, names=args.allow_host) as page:
        yield page


def _routers(args: argparse.Namespace) -> list[CreateRouter]:
    """The other protocols that are spoken.

    Raises:
        InputError: an address or a folder is none, or is of a protocol that is not spoken.
    """
    from thinkseg.serving.http.label_studio.reading import TaskImages
    from thinkseg.serving.http.label_studio.router import LabelStudio
    from thinkseg.serving.http.x_anylabeling.router import create_router

    routers: list[CreateRouter] = [create_router] if args.x_anylabeling else []
    if args.label_studio is None:
        if args.label_studio_files is not None or args.query:
            raise InputError("--label-studio-files and --query are for Label Studio: say --label-studio, too")
        return routers
    images = TaskImages(args.label_studio, os.environ.get(TOKEN, "").strip(), args.label_studio_files)
    return [*routers, LabelStudio(images, args.query).create_router]


def _check(args: argparse.Namespace) -> None:
    if not 0 <= args.port <= 65535:
        raise InputError(f"a port is a number from 0 to 65535, found {args.port}")
    _batching(args, 1)
    if args.encodings_memory < 0:
        raise InputError(f"encodings may take 0 MB or more, found {args.encodings_memory}")


def _access(args: argparse.Namespace) -> Access:
    from thinkseg.serving.http.gate import Access

    return Access(args.host, _key(args.api_key_file), tuple(args.allow_host), tuple(args.cors_origin))


def _key(path: Path | None) -> str | None:
    """The key that requests must have, if any.

    Raises:
        InputError: the file cannot be read, or there is nothing in it; the same of the variable.
    """
    if path is None:
        key, where = os.environ.get(KEY), f"${KEY}"
    else:
        try:
            key, where = path.read_text(encoding="utf-8"), f"'{path}'"
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"expected a file with a key at '{path}', which cannot be read: {error}") from error
    if key is None:
        return None
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable():
        found = "others" if key else "none"
        raise InputError(f"expected a key of printable ASCII letters in {where}, found {found}")
    return key


def _say(address: str) -> None:
    print(f"ThinkSeg service: {address}", flush=True)
    print("stop it with Ctrl+C", file=sys.stderr)


def _limits(args: argparse.Namespace) -> Limits:
    from thinkseg.serving.http.limits import Limits

    return Limits(
        image_bytes=int(args.image_megabytes * 2**20),
        image_pixels=int(args.image_megapixels * 1e6),
        queue=args.queue,
        timeout=args.timeout,
    )


def _batching(args: argparse.Namespace, together: int) -> Batching:
    from thinkseg.serving.http.limits import Batching

    most = together if args.max_batch is None else args.max_batch
    return Batching(most, args.max_wait / 1000, args.timeout / 2)
