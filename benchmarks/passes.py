"""What it brings that batches of prompts are filled by tokens, where some images are large and most are small.

    python benchmarks/passes.py              # 32 prompts to a model of 10 million weights, a minute on one core
    python benchmarks/passes.py --small      # whether it runs at all
    python benchmarks/passes.py --json       # for a program

Two ways of the same work, which may have as many tokens of prompts in memory at a time:

- `rows`: as many prompts at a time as the longest of all leave room for;
- `tokens`: `tokens_per_pass`, many short ones at a time and few long ones.

Beside the ratio stands the one of multiplications, which is near 1: what is won is that a step of writing, which reads
all weights, is one for more rows.
"""

import json
import sys
from typing import Any

import numpy as np
import torch
from counting import flops_of
from measuring import at_least_one, parser_of, seconds_of
from PIL import Image
from reasoners import NINE_MILLION, TINY, create_reasoner

from thinkseg.models.passes import PromptLengths
from thinkseg.models.reasoner import TransformersReasoner
from thinkseg.types import Completion, Instruction, Request, Size

ROWS, TOKENS = "rows", "tokens"
LARGE = 560
"""Pixels a side of a large image; of a small one a fifth."""
ONE_IN = 4
"""So many prompts to one about a large image."""


def main(words: list[str] | None = None) -> None:
    """Measure, and print a table or JSON."""
    parser = parser_of("What batches filled by tokens bring.", small="a tiny model and eight prompts", repeats=3)
    parser.add_argument("--prompts", type=at_least_one, default=32, help="how many (default: 32)")
    parser.add_argument(
        "--rows", type=at_least_one, default=4, help="of the longest prompts that have room (default: 4)"
    )
    parser.add_argument(
        "--completion", type=at_least_one, default=24, help="tokens that are written of each (default: 24)"
    )
    parser.add_argument("--device", default="cpu", help="a torch device (default: cpu)")
    options = parser.parse_args(words)
    if options.small:
        options.prompts, options.rows, options.completion = 8, 2, 2
    large = 168 if options.small else LARGE
    parts = create_reasoner(TINY if options.small else NINE_MILLION, device=options.device, max_pixels=large**2)
    parts[0].eval().generation_config.min_new_tokens = options.completion
    result = measure(parts, requests(options.prompts, large), options)
    print(json.dumps(result) if options.json else table(result))


def requests(count: int, large: int) -> list[Request]:
    """Prompts about an image each."""
    draw = np.random.default_rng(0)
    sides = [large if number % ONE_IN == 0 else large // 5 for number in range(count)]
    images = [Image.fromarray(draw.integers(0, 256, (side, side, 3), dtype=np.uint8)) for side in sides]
    return [Request(image, Instruction(f"Find the thing number {number}.")) for number, image in enumerate(images)]


def measure(parts: tuple[Any, Any], asked: list[Request], options: Any) -> dict[str, Any]:
    """Seconds of both ways, and their ratio."""
    model, processor = parts
    known = PromptLengths(processor)
    probe = TransformersReasoner(model, processor)
    lengths = [known.of(probe.prompt(one.instruction), Size(*one.image.size)) for one in asked]
    budget = options.rows * max(lengths)
    by_rows = TransformersReasoner(model, processor, max_new_tokens=options.completion, batch_size=options.rows)
    reasoners = {ROWS: by_rows, TOKENS: by_rows.filled(budget)}
    written: dict[str, list[Completion]] = {}
    passes: dict[str, int] = {}

    def way(name: str) -> None:
        before = count["passes"]
        written[name] = reasoners[name].complete(asked)
        passes[name] = count["passes"] - before

    count = {"passes": 0}

    def watch(_module: Any, _inputs: Any, named: dict[str, Any]) -> None:
        count["passes"] += named["input_ids"].shape[1] > 1

    model.register_forward_pre_hook(watch, with_kwargs=True)
    ways = {ROWS: lambda: way(ROWS), TOKENS: lambda: way(TOKENS)}
    flops = {name: flops_of(work) for name, work in ways.items()}
    seconds = seconds_of(ways, options.repeats)
    return {
        "prompts": len(asked),
        "longest": max(lengths),
        "shortest": min(lengths),
        "budget": budget,
        "completion": options.completion,
        "passes": passes,
        "threads": torch.get_num_threads(),
        "seconds": seconds,
        "speedup": seconds[ROWS] / seconds[TOKENS],
        "allowed": flops[ROWS] / flops[TOKENS],
        "same_text": sum(one == other for one, other in zip(written[ROWS], written[TOKENS], strict=True)) / len(asked),
    }


def table(result: dict[str, Any]) -> str:
    """The ratio in lines."""
    told = ", ".join(
        f"{name} {result['seconds'][name]:.2f} s in {count} passes" for name, count in result["passes"].items()
    )
    return "\n".join(
        [
            f"{result['prompts']} prompts of {result['shortest']} to {result['longest']} tokens, {result['budget']} a "
            f"pass, {result['completion']} written of each, {result['threads']} threads: {told}",
            f"rows / tokens      {result['speedup']:.2f} (multiplications: {result['allowed']:.2f})",
            f"the same text for  {100 * result['same_text']:.1f} % of the prompts",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
