"""How many requests a second the HTTP service answers, with and without micro-batching, and how long they take.

    python benchmarks/serve.py                  # the pocket models, at 1, 4, 16 and 64 clients: minutes on two cores
    python benchmarks/serve.py --small          # whether it runs at all
    python benchmarks/serve.py --json           # for a program
    python benchmarks/serve.py --soak 10000     # the memory of the process over so many requests

Servers run in processes of their own on loopback, and are asked in turn, round after round, so that what else the
machine does meets all of them; each client sends its next request when it has its answer. The ways are:

* one by one: ``--max-batch 1``;
* together: as `thinkseg serve` is without flags, each request with an image of its own;
* repeated: the same, eight images that come again.

The bare pipeline, asked in this process, is what one client's time is held against.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from measuring import at_least_one
from PIL import Image

from thinkseg import cli, testing
from thinkseg.answers import get_format
from thinkseg.data.synthetic.scenes import load_scenes
from thinkseg.models.pipeline import Pipeline, load_pipeline
from thinkseg.types import Answer, Completion, Request, Segmentation

CLIENTS = (1, 4, 16, 64)
WAYS = {"one by one": ("--max-batch", "1"), "together": (), "repeated": ()}
REPEATED = 8
QUEUE = "256"
"""Places of a server, so that no client is turned away."""

SAID = "<think>There.</think><bbox>[1,1,8,8]</bbox><points>[[4,4]]</points><labels>[1]</labels>"

Asked = tuple[bytes, str]
"""A PNG and a query."""


@dataclass
class Figures:
    """Of one way with so many clients."""

    seconds: float = 0.0
    """Of all rounds together."""
    latencies: list[float] = field(default_factory=list)

    def told(self) -> dict[str, float]:
        """Requests a second, and what half and 95 % of them took, in milliseconds."""
        p50, p95 = np.percentile(self.latencies, [50, 95]) * 1000
        return {"requests/s": len(self.latencies) / self.seconds, "p50 ms": float(p50), "p95 ms": float(p95)}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pocket", help="the reasoner (default: pocket)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--clients", type=at_least_one, nargs="+", default=CLIENTS)
    parser.add_argument(
        "--requests", type=at_least_one, default=4, help="of each client in a round, 16 at least in all"
    )
    parser.add_argument("--rounds", type=at_least_one, default=3)
    parser.add_argument("--soak", type=at_least_one, metavar="N", help="send N requests and print the process's memory")
    parser.add_argument("--small", action="store_true", help="models that answer at once, 1 and 4 clients, one round")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--serve", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.serve is not None:
        sys.exit(cli.main(["serve", *options.serve], **({"load": load_fakes} if options.small else {})))
    models = ["--model", options.model, "--device", options.device]
    if options.soak:
        result: dict[str, Any] = soak(options.soak, models, options.small)
        print(
            json.dumps(result) if options.json else "\n".join(f"{name}: {value:,.1f}" for name, value in result.items())
        )
        return
    if options.small:
        options.clients, options.rounds = (1, 4), 1
    result = measure(options, models)
    print(json.dumps(result) if options.json else table(result))


class Reasoner(testing.FakeReasoner):
    """One that does not keep what it was asked, which would be taken for memory that the service loses."""

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """What the script says."""
        said = super().complete(requests)
        self.requests.clear()
        self.batches.clear()
        return said


class Segmenter(testing.FakeSegmenter):
    """One that does not keep the images that it has seen."""

    def segment(self, image: Image.Image, answers: Sequence[Answer]) -> list[Segmentation]:
        """The boxes, filled."""
        found = super().segment(image, answers)
        self.encoded.clear()
        return found


def load_fakes(*_: Any, **__: Any) -> Pipeline:
    """Models that answer at once."""
    return Pipeline(Reasoner(lambda _: SAID), Segmenter(), get_format("seg-r1"))


def measure(options: argparse.Namespace, models: Sequence[str]) -> dict[str, Any]:
    """All ways at all numbers of clients."""
    asked = requests_for(options)
    pipeline = load_fakes() if options.small else load_pipeline(options.model, device=options.device)
    found = {clients: {way: Figures() for way in WAYS} for clients in options.clients}
    bare = Figures()
    with ExitStack() as servers:
        urls = {way: servers.enter_context(serving([*models, *flags], options.small)) for way, flags in WAYS.items()}
        for url in urls.values():
            asyncio.run(load(url, [[next(asked["together"])] * 2], Figures()))
        pipeline.segment(Image.open(BytesIO(next(asked["together"])[0])), "warm")
        for clients in options.clients:
            each = max(options.requests, -(-16 // clients)) if not options.small else 2
            for _ in range(options.rounds):
                for way, url in urls.items():
                    source = asked["repeated" if way == "repeated" else "together"]
                    plans = [[next(source) for _ in range(each)] for _ in range(clients)]
                    asyncio.run(load(url, plans, found[clients][way]))
                if clients == 1:
                    ask_pipeline(pipeline, [next(asked["together"]) for _ in range(each)], bare)
    told = {str(clients): {way: own.told() for way, own in ways.items()} for clients, ways in found.items()}
    return {"clients": told, "bare": bare.told() if bare.latencies else None, "ratios": ratios(told, bare)}


def ratios(told: dict[str, dict[str, dict[str, float]]], bare: Figures) -> dict[str, float]:
    """Requests a second, together over one by one, and one client's time over the bare pipeline's."""
    found = {
        f"requests/s at {clients}, {way} / one by one": ways[way]["requests/s"] / ways["one by one"]["requests/s"]
        for clients, ways in told.items()
        for way in ("together", "repeated")
    }
    if bare.latencies:
        for name in ("p50 ms", "p95 ms"):
            found[f"{name} at 1, together / bare pipeline"] = told["1"]["together"][name] / bare.told()[name]
    return found


def requests_for(options: argparse.Namespace) -> dict[str, Iterator[Asked]]:
    """Requests without an end: each with an image of its own, and about a few images that come again."""
    scenes = load_scenes("test", count=REPEATED, seed=7, size=64 if options.small else 224)
    images = [(scene.image.convert("RGB"), scene.query) for scene in (scenes[n] for n in range(REPEATED))]

    def new() -> Iterator[Asked]:
        number = 0
        while True:
            image, query = images[number % REPEATED]
            own = image.copy()
            own.putpixel((0, 0), (number & 255, number >> 8 & 255, number >> 16 & 255))
            number += 1
            yield png(own), query

    def again() -> Iterator[Asked]:
        while True:
            yield from [(png(image), query) for image, query in images]

    return {"together": new(), "repeated": again()}


def png(image: Image.Image) -> bytes:
    """The content of a file."""
    file = BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def ask_pipeline(pipeline: Pipeline, asked: Sequence[Asked], figures: Figures) -> None:
    """Ask without a service."""
    for content, query in asked:
        began = time.perf_counter()
        pipeline.segment(Image.open(BytesIO(content)), query)
        figures.latencies.append(time.perf_counter() - began)
        figures.seconds += figures.latencies[-1]


async def load(url: str, plans: Sequence[Sequence[Asked]], figures: Figures) -> None:
    """Clients that ask at the same time, each for its own plan, one request after the other."""
    async with httpx.AsyncClient(base_url=url, timeout=600, limits=httpx.Limits(max_connections=None)) as client:

        async def one(plan: Sequence[Asked]) -> None:
            for content, query in plan:
                began = time.perf_counter()
                answer = await client.post("/v1/segment", data={"query": query}, files={"image": ("a", content)})
                answer.raise_for_status()
                figures.latencies.append(time.perf_counter() - began)

        began = time.perf_counter()
        await asyncio.gather(*(one(plan) for plan in plans))
        figures.seconds += time.perf_counter() - began


@contextmanager
def serving(flags: Sequence[str], small: bool) -> Iterator[str]:
    """The address of a server in a process of its own."""
    with started(flags, small) as (_, url):
        yield url


@contextmanager
def started(flags: Sequence[str], small: bool) -> Iterator[tuple[int, str]]:
    """The id of a server's process, and its address."""
    own = ["--small"] if small else []
    words = [sys.executable, __file__, *own, "--serve", "--port", "0", "--queue", QUEUE, "--timeout", "600", *flags]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.pid, process.stdout.readline().split()[-1]
        finally:
            process.terminate()
            process.wait(60)


def soak(count: int, models: Sequence[str], small: bool) -> dict[str, float]:
    """The memory of a server's process, in MB, after the first tenth of the requests and after all of them."""
    options = argparse.Namespace(small=small)
    source = requests_for(options)["together"]
    figures, memory = Figures(), []
    with started(models, small) as (process, url):
        for _ in range(10):
            plans = [[next(source) for _ in range(max(count // 160, 1))] for _ in range(16)]
            asyncio.run(load(url, plans, figures))
            memory.append(resident(process))
    first, last = memory[0], memory[-1]
    return {"requests": len(figures.latencies), "MB at a tenth": first, "MB at the end": last, "growth": last / first}


def resident(process: int) -> float:
    """Of a process, the memory that it holds, in MB."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def table(result: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [f"{'clients':>7}  {'way':12} {'requests/s':>10} {'p50 ms':>9} {'p95 ms':>9}"]
    for clients, ways in result["clients"].items():
        rows = dict(ways)
        if clients == "1" and result["bare"]:
            rows["bare pipeline"] = result["bare"]
        for way, own in rows.items():
            lines.append(
                f"{clients:>7}  {way:13}{own['requests/s']:>10.2f} {own['p50 ms']:>9.1f} {own['p95 ms']:>9.1f}"
            )
    lines += [f"{name}: {value:.2f}" for name, value in result["ratios"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
