"""What it brings that an evaluation decodes the images of the next batch while the model is at one.

    python benchmarks/feeding.py             # 16 photographs of 12 megapixels with the pocket's models, minutes
    python benchmarks/feeding.py --wait 0.5  # stand-ins that wait half a second a batch in place of the models
    python benchmarks/feeding.py --small     # whether it runs at all
    python benchmarks/feeding.py --json      # for a program

Two ways of the same work, which write the same records:

- `in turn`: the files of a batch are decoded, then the model works on them;
- `ahead`: `thinkseg.evaluate`, where a thread decodes those of the next batch meanwhile.

Beside the ratio stands what can be had: all that is spent on decoding, hidden behind the rest. Seconds are of the whole
evaluation, scores among it. The thread needs a core that the models leave it: one of several, or all of them where the
models work on a GPU or on another machine, which is what the stand-ins are for.
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from measuring import at_least_one, in_words, parser_of, seconds_of
from PIL import Image

import thinkseg
from thinkseg.answers import get_format
from thinkseg.data.synthetic.scenes import DEFAULT_TASKS, load_scenes
from thinkseg.evaluation.job import ENCODINGS
from thinkseg.imaging import load_image
from thinkseg.models.pipeline import Pipeline
from thinkseg.models.prompting import remembering
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Completion, Prediction, Request, Sample

IN_TURN, AHEAD = "in turn", "ahead"
TASKS = {task: share for task, share in DEFAULT_TASKS.items() if task != "nothing"}
QUALITY = 92
"""Of files with losses, as telephones write them."""


@dataclass
class InTurn:
    """A pipeline of which an evaluation does not know that it is one, so that it is given files."""

    pipeline: Pipeline

    def predict(self, samples: Sequence[Sample], batch_size: int) -> Iterator[Prediction]:
        """As `Pipeline.predict`."""
        return self.pipeline.predict(samples, batch_size)


def main(words: list[str] | None = None) -> None:
    """Measure, and print a table or JSON."""
    parser = parser_of(
        "What decoding images ahead brings in an evaluation.", small="stand-ins and four small images", repeats=2
    )
    parser.add_argument("--images", type=at_least_one, default=16, help="how many (default: 16)")
    parser.add_argument("--megapixels", type=float, default=12.0, help="of an image (default: 12)")
    parser.add_argument("--format", default="jpg", help="jpg, png or webp (default: jpg)")
    parser.add_argument(
        "--batch-size", type=at_least_one, default=4, help="images that the model gets at a time (default: 4)"
    )
    parser.add_argument(
        "--wait", type=float, metavar="S", help="seconds a batch that stand-ins wait in place of models"
    )
    parser.add_argument("--device", default="cpu", help="a torch device (default: cpu)")
    options = parser.parse_args(words)
    batch = options.batch_size
    if options.small:
        pipeline, options.images, options.megapixels, batch = stand_in(0.02), 4, 0.01, 2
    elif options.wait is not None:
        pipeline = stand_in(options.wait)
    else:
        pipeline = thinkseg.load("pocket", device=options.device, batch_size=batch)
    with TemporaryDirectory() as folder:
        samples = photographs(Path(folder), options.images, options.megapixels, options.format)
        result = measure(pipeline, samples, batch, options.repeats)
    print(json.dumps(result) if options.json else table(result))


SAID = "<think>there</think><bbox>[2,3,60,50]</bbox><points>[[8,9]]</points><labels>[1]</labels>"


class Waiting(FakeReasoner):
    """Answers any request after some seconds in which it leaves all cores to others, as a model on a GPU does."""

    def __init__(self, seconds: float) -> None:
        super().__init__(lambda request: SAID)
        self._seconds = seconds

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """The same for all."""
        time.sleep(self._seconds)
        return super().complete(requests)


def stand_in(seconds: float) -> Pipeline:
    """In place of models what waits so long for a batch."""
    return Pipeline(Waiting(seconds), FakeSegmenter(), get_format("seg-r1"))


def photographs(folder: Path, count: int, megapixels: float, suffix: str) -> list[Sample]:
    """Scenes brought to the size of photographs, four to three, with a camera's noise, as files."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    size = (round(height * 4 / 3), height)
    draw, samples = np.random.default_rng(0), []
    for scene in load_scenes("test", count, seed=0, size=256, tasks=TASKS):
        large = np.asarray(load_image(scene.image).resize(size, Image.Resampling.BICUBIC), dtype=np.int16)
        noisy = (large + draw.integers(-6, 7, large.shape, dtype=np.int16)).clip(0, 255).astype(np.uint8)
        file = folder / f"{scene.id}.{suffix}"
        Image.fromarray(noisy).save(file, quality=QUALITY)
        assert scene.target is not None
        target = np.asarray(Image.fromarray(scene.target).resize(size, Image.Resampling.NEAREST))
        samples.append(Sample(scene.id, file, scene.query, target))
    return samples


def measure(pipeline: Pipeline, samples: list[Sample], batch: int, repeats: int) -> dict[str, Any]:
    """Seconds of both ways, their ratio, and the one that there would be if decoding took no time."""
    records: dict[str, list[Any]] = {}

    def way(name: str, predictor: Any) -> None:
        records[name] = list(thinkseg.evaluate(samples, predictor, batch_size=batch, progress=False).records)

    keeping = replace(pipeline, segmenter=remembering(pipeline.segmenter, ENCODINGS))  # as an evaluation of it does
    ways = {IN_TURN: lambda: way(IN_TURN, InTurn(keeping)), AHEAD: lambda: way(AHEAD, pipeline)}
    seconds = seconds_of(ways, repeats)
    began = time.perf_counter()
    for sample in samples:
        load_image(sample.image)
    decoding = time.perf_counter() - began
    return {
        "images": len(samples),
        "megapixels": float(np.prod(samples[0].target.shape)) / 1e6,
        "megabytes": sum(Path(sample.image).stat().st_size for sample in samples) / len(samples) / 1e6,
        "batch": batch,
        "threads": torch.get_num_threads(),
        "seconds": seconds,
        "decoding": decoding,
        "speedup": seconds[IN_TURN] / seconds[AHEAD],
        "allowed": seconds[IN_TURN] / max(seconds[IN_TURN] - decoding, decoding),
        "same_records": records[IN_TURN] == records[AHEAD],
    }


def table(result: dict[str, Any]) -> str:
    """The ratio in lines."""
    seconds = in_words(result["seconds"])
    return "\n".join(
        [
            f"{result['images']} images of {result['megapixels']:.2g} megapixels and {result['megabytes']:.1f} MB, "
            f"{result['batch']} a batch, {result['threads']} threads: {seconds}; decoding {result['decoding']:.2f} s",
            f"in turn / ahead  {result['speedup']:.2f} (were decoding for nothing: {result['allowed']:.2f})",
            f"the same records: {'yes' if result['same_records'] else 'no'}",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
