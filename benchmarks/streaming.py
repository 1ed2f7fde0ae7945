"""How soon training has its first row, and how much memory it holds, with few images in a folder and with many.

    python benchmarks/streaming.py [--counts 1000 100000]

Makes folders of so many images and masks (hard links to a few small files), and in a process of its own for each
loads the samples of a recipe, shuffled, and makes rows of them as the trainers do. Prints for each count the seconds
from the call to the first row (by the clock, and of this process on a core), and the most memory (resident set, MB)
that the process has held before the call, at the first row, and after 200 rows; then the last count's figures divided
by the first one's.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

LINKS = 30_000
"""Names that one file gets; file systems have limits (65,000 on ext4)."""
ROWS = 200


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure)))
        return
    found = []
    for count in args.counts:
        with tempfile.TemporaryDirectory() as folder:
            write_folders(Path(folder), count)
            words = [sys.executable, __file__, "--measure", folder]
            found.append(json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout))
        print(f"{count:,} images: " + ", ".join(f"{name} {value:.2f}" for name, value in found[-1].items()))
    ratios = {name: found[-1][name] / found[0][name] for name in found[0]}
    print("ratio: " + ", ".join(f"{name} {value:.2f}" for name, value in ratios.items()))


def write_folders(folder: Path, count: int) -> None:
    """Images of 160 × 120 in ``images``, their masks in ``masks``."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for number in range(count):
        image, mask = folder / f"images/image_{number:06d}.jpg", folder / f"masks/image_{number:06d}.png"
        if number % LINKS == 0:
            Image.fromarray(rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)).save(image)
            pixels = np.zeros((120, 160), np.uint8)
            pixels[30:90, 40:120] = 255
            Image.fromarray(pixels).save(mask)
            first = image, mask
        else:
            os.link(first[0], image)
            os.link(first[1], mask)


def measure(folder: Path) -> dict[str, float]:
    """Seconds and MB of one process."""
    from thinkseg import testing
    from thinkseg.answers import get_format
    from thinkseg.models.reasoner import TransformersReasoner
    from thinkseg.training.rows import RowBuilder, Rows, Schedule
    from thinkseg.training.sections import Data
    from thinkseg.training.sources import load_samples

    reasoner = TransformersReasoner(*testing.tiny_qwen2_5_vl())
    figures = {"MB before": peak()}
    began, worked = time.monotonic(), time.process_time()
    data = Data(source="folders", images=str(folder / "images"), masks=str(folder / "masks"))
    samples = load_samples(data)
    builder = RowBuilder(samples, Schedule(len(samples)), get_format("seg-r1"), reasoner)
    rows = Rows(builder, len(samples))
    rows[0]
    figures["seconds to the first row"] = time.monotonic() - began
    figures["of a core"] = time.process_time() - worked
    figures["MB at the first row"] = peak()
    for number in range(1, min(ROWS, len(rows))):
        rows[number]
    figures[f"MB after {ROWS} rows"] = peak()
    return figures


def peak() -> float:
    """The most memory that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
