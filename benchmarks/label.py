"""How labelling grows with the number of rows: does the memory stay constant, and how fast is what is not the model.

    python benchmarks/label.py [--counts 10000 100000] [--engine local|ray] [--processes N] [--json] [--small]

Writes a Parquet table of so many rows about a few images, and in a process of its own for each count labels it with
stub models, which answer at once: all that is left is reading images, masks into run lengths, lines of the journal,
files of Parquet, and whoever shares the rows out. Prints for each count

* rows a second by the clock, and of processor time, the workers' included;
* the seconds and processor seconds that it takes to write down what is asked for, before the first row;
* processor seconds of the process that shares the rows out, a million rows (with ``--processes 2`` or more);
* the most memory (resident set, MB) that it has held, and that a worker has;
* bytes of results a row, the stub's mask an ellipse of 70 × 60 pixels.

``--plan-only`` stops after what is asked for is written down. Then the last count's memory over the first one's.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measuring import at_least_one
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.evaluation.plan import EvaluatedModel
from thinkseg.models.pipeline import Pipeline
from thinkseg.serving.labelling.folder import LabelFolder
from thinkseg.serving.labelling.job import open_folder
from thinkseg.serving.labelling.labelled import Labelled
from thinkseg.serving.labelling.plan import RAY, LabelPlan
from thinkseg.serving.labelling.sources import LabelSource
from thinkseg.types import Answer, Completion, Request, Segmentation, Size

IMAGES = 16
SIDES = (160, 120)
AT_A_TIME = 100_000
ANSWER = "<think>It is there.</think><bbox>[20,20,90,80]</bbox><points>[[50,50]]</points><labels>[1]</labels>"


class Reasoner:
    """Says the same of every image, and keeps nothing."""

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        return [Completion(ANSWER)] * len(requests)

    def frame_of(self, image: Image.Image) -> Size:
        return Size(*image.size)


class Segmenter:
    """An ellipse in each box: outlines of a kind that masks have."""

    def segment(self, image: Image.Image, answers: Sequence[Answer]) -> list[Segmentation]:
        rows, columns = np.ogrid[: image.height, : image.width]
        found = []
        for answer in answers:
            masks = np.zeros((len(answer.objects), image.height, image.width), dtype=bool)
            for mask, prompt in zip(masks, answer.objects, strict=True):
                left, top, right, bottom = prompt.box.xyxy
                x, y = (left + right) / 2, (top + bottom) / 2
                mask[:] = ((columns - x) / (right - x)) ** 2 + ((rows - y) / (bottom - y)) ** 2 <= 1
            found.append(Segmentation(masks, np.full(len(masks), 0.9)))
        return found


def load(model: str, **_: Any) -> Pipeline:
    """Models that answer at once."""
    return Pipeline(Reasoner(), Segmenter(), get_format("seg-r1"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=at_least_one, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--engine", default="local")
    parser.add_argument("--processes", type=at_least_one, default=1)
    parser.add_argument("--plan-only", action="store_true")
    parser.add_argument("--small", action="store_true", help="100 and 400 rows: does it run at all")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, args)))
        return
    found = []
    for count in [100, 400] if args.small else args.counts:
        with tempfile.TemporaryDirectory() as folder:
            write_table(Path(folder), count)
            words = [sys.executable, __file__, "--measure", folder, "--engine", args.engine]
            words += ["--processes", str(args.processes), *(["--plan-only"] if args.plan_only else [])]
            done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
            found.append({"rows": count, **json.loads(done.stdout.splitlines()[-1])})
        if not args.json:
            print(", ".join(f"{name} {value:,.6g}" for name, value in found[-1].items()), flush=True)
    if args.json:
        print(json.dumps(found))
    else:
        print(f"memory, last over first: {found[-1]['memory_mb'] / found[0]['memory_mb']:.2f}")


def write_table(folder: Path, count: int) -> None:
    """So many rows about a few images."""
    rng = np.random.default_rng(0)
    for number in range(IMAGES):
        noise = rng.integers(0, 256, (*SIDES[::-1], 3), dtype=np.uint8)
        Image.fromarray(noise).resize(SIDES).save(folder / f"{number}.jpg")
    schema = pa.schema([("id", pa.string()), ("image", pa.string()), ("query", pa.string())])
    with pq.ParquetWriter(folder / "requests.parquet", schema) as writer:
        for start in range(0, count, AT_A_TIME):
            numbers = range(start, min(start + AT_A_TIME, count))
            columns = (
                [f"row-{n}" for n in numbers],
                [f"{n % IMAGES}.jpg" for n in numbers],
                [f"the thing of row {n}" for n in numbers],
            )
            writer.write_table(pa.table(list(columns), schema=schema))


def measure(folder: Path, args: argparse.Namespace) -> dict[str, float]:
    """Label the table of a folder."""
    plan = LabelPlan(
        LabelSource(str(folder / "requests.parquet")),
        EvaluatedModel("stub", load=partial(load), device="cpu"),
        folder / "out",
        {"name": "stub"},
        engine=args.engine,
        processes=args.processes,
    )
    began = time.perf_counter()
    opened = open_folder(plan)
    planned = time.perf_counter() - began
    found = {"plan_s": planned, "plan_cpu_s_per_million": cpu(resource.RUSAGE_SELF) / opened.header.rows * 1e6}
    if not args.plan_only:
        found |= labelled(plan, opened)
    return {**found, "memory_mb": peak(resource.RUSAGE_SELF)}


def labelled(plan: LabelPlan, opened: LabelFolder) -> dict[str, float]:
    """What it costs to label all rows."""
    if plan.engine == RAY:
        from thinkseg.serving.labelling.on_ray import label_on_ray as engine
    else:
        from thinkseg.serving.labelling.local import label_locally as engine
    rows = opened.header.rows
    wall, own, together = time.perf_counter(), cpu(resource.RUSAGE_SELF), everyone()
    engine(plan, opened)
    wall, own, together = time.perf_counter() - wall, cpu(resource.RUSAGE_SELF) - own, everyone() - together
    result = Labelled.open(plan.out)
    assert result.complete
    assert result.found == rows
    return {
        "rows_per_s": rows / wall,
        "rows_per_cpu_s": rows / together,
        "driver_cpu_s_per_million": own / rows * 1e6,
        "bytes_per_row": sum(path.stat().st_size for path in result.labels.iterdir()) / rows,
        "worker_memory_mb": peak(resource.RUSAGE_CHILDREN),
    }


def cpu(who: int) -> float:
    """Processor seconds so far."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def everyone() -> float:
    """Of this process, and of those that have ended."""
    return cpu(resource.RUSAGE_SELF) + cpu(resource.RUSAGE_CHILDREN)


def peak(who: int) -> float:
    """The most memory, in MB."""
    return resource.getrusage(who).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


if __name__ == "__main__":
    main()
