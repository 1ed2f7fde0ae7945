"""What labelling a row costs besides the models, and what it takes on disk, at three sizes of images.

    python benchmarks/label_stages.py [--repeats 15] [--small]

Takes scenes, enlarged to squares of 256, 640 and 1,024 pixels, and prints for each size

* kB of the image as JPEG of quality 90;
* milliseconds of processor time, the least of so many turns: reading the file for its digest and decoding it; a mask
  into run lengths;
* characters of a true mask's run lengths: their mean and their most;
* bytes of a row in Parquet, all of it, with one object.

Enlarged masks have smoother outlines than those of photos at that size, whose run lengths are longer.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from thinkseg.data.synthetic.scenes import load_scenes
from thinkseg.imaging import load_image, rle_from_mask
from thinkseg.results.files import fingerprint
from thinkseg.serving.labelling.rows import Stamp, row_of, table_of
from thinkseg.serving.labelling.sources import LabelRequest
from thinkseg.types import Answer, Box, Completion, Mask, ObjectPrompt, Point, Prediction, Size

SIDES = (256, 640, 1024)
THOUGHT = "a fruit in the upper left corner of the table"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--small", action="store_true", help="one turn at one size: does it run at all")
    args = parser.parse_args()
    samples = [one for one in load_scenes("test", count=24, seed=3, size=224) if one.target is not None]
    for side in SIDES[:1] if args.small else SIDES:
        found = measure(samples, side, 1 if args.small else args.repeats)
        print(f"{side} pixels: " + ", ".join(f"{name} {value:,.4g}" for name, value in found.items()), flush=True)


def measure(samples: list, side: int, repeats: int) -> dict[str, float]:
    """All of it at one size."""
    masks = [enlarged(one.target, side) for one in samples if one.target.any()]
    lengths = [len(rle_from_mask(mask)["counts"]) for mask in masks]
    with tempfile.TemporaryDirectory() as folder:
        image, table = Path(folder) / "image.jpg", Path(folder) / "rows.parquet"
        samples[0].image.resize((side, side)).save(image, quality=90)
        pq.write_table(table_of(row(number, mask) for number, mask in enumerate(masks)), table, compression="zstd")
        columns = pq.read_metadata(table).row_group(0)
        size = sum(columns.column(number).total_compressed_size for number in range(columns.num_columns))
        return {
            "jpeg_kb": image.stat().st_size / 1e3,
            "read_ms": milliseconds(lambda: (fingerprint(image), load_image(image)), repeats),
            "run_lengths_ms": milliseconds(lambda: rle_from_mask(masks[0]), repeats),
            "characters_mean": float(np.mean(lengths)),
            "characters_most": max(lengths),
            "row_bytes": size / len(masks),
        }


def enlarged(mask: Mask, side: int) -> Mask:
    """A mask with a smooth outline at a larger size."""
    grey = Image.fromarray(mask.astype(np.uint8) * 255).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(grey) > 127


def row(number: int, mask: Mask) -> dict:
    """A row as a model writes it, with one object."""
    prompt = ObjectPrompt(Box(100.0 + number, 100.0, 700.0, 800.0), (Point(400.0, 400.0 + number),))
    said = Completion(f"<think>{THOUGHT}</think><bbox>[{100 + number},100,700,800]</bbox>")
    answer = Answer(Size(1000, 1000), (prompt,), THOUGHT)
    prediction = Prediction("", said, answer, mask[None], scores=np.array([0.9]))
    request = LabelRequest(number, f"row-{number}", f"images/{number:09}.jpg", "the main object")
    return row_of(request, prediction, f"{number:016x}", Stamp("model", "0123456789ab", "ba9876543210"))


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    """Processor time of the fastest turn; one goes before."""
    best = float("inf")
    for turn in range(repeats + 1):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began) if turn else best
    return best * 1e3


if __name__ == "__main__":
    main()
