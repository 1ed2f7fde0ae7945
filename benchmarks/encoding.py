"""What encoding an image costs by the order in which its numbers lie in memory, and how many are encoded at a time.

    python benchmarks/encoding.py            # the towers of the pocket models, a minute
    python benchmarks/encoding.py --small    # whether it runs at all
    python benchmarks/encoding.py --json     # for a program

Both orders take turns: `channels first`, as processors hand images over, and `channels last`, as ThinkSeg gives them to
a tower.
"""

import json
from typing import Any

import torch
from measuring import parser_of, seconds_of

from thinkseg.models.layout import channels_last
from thinkseg.models.reasoner_loading import load_reasoner
from thinkseg.models.segmenter import load_segmenter

COUNTS = (1, 4, 16)
FIRST, LAST = "channels first", "channels last"


def main(words: list[str] | None = None) -> None:
    """Measure, and print a table or JSON."""
    parser = parser_of("What encoding an image costs.", small="two images at most, one run of each", repeats=5)
    options = parser.parse_args(words)
    counts, repeats = ((1, 2), 1) if options.small else (COUNTS, options.repeats)
    towers: dict[str, Any] = {
        "segmenter": load_segmenter("pocket", "cpu").model.vision_encoder,
        "reasoner": load_reasoner("pocket", device="cpu").model.model.vision_tower,
    }
    rows = [measure(name, tower, count, repeats) for name, tower in towers.items() for count in counts]
    print(json.dumps(rows) if options.json else table(rows))


@torch.inference_mode()
def measure(name: str, tower: Any, count: int, repeats: int) -> dict[str, Any]:
    """Milliseconds an image in both orders, their ratio, and how far the outputs are apart, of their largest number."""
    pixels = torch.randn(count, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    ways = {FIRST: lambda: tower(pixels)[0], LAST: lambda: tower(channels_last(pixels))[0]}
    first, last = ways[FIRST](), ways[LAST]()
    milliseconds = {way: 1e3 * seconds / count for way, seconds in seconds_of(ways, repeats).items()}
    return {
        "tower": name,
        "images": count,
        "threads": torch.get_num_threads(),
        "milliseconds": milliseconds,
        "first/last": milliseconds[FIRST] / milliseconds[LAST],
        "error": float((first - last).abs().max() / first.abs().max()),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """A line for each tower and number of images."""
    return "\n".join(
        f"{row['tower']:10} {row['images']:3} at a time  "
        + "  ".join(f"{way} {value:6.1f} ms an image" for way, value in row["milliseconds"].items())
        + f"  {row['first/last']:.2f} ×  error {row['error']:.0e}"
        for row in rows
    )


if __name__ == "__main__":
    main()
