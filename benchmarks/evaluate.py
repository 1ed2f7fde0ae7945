"""What it saves in an evaluation that the queries about an image share its encoding, and are answered in batches.

    python benchmarks/evaluate.py            # 64 images × 6 expressions with the pocket's models, minutes on two cores
    python benchmarks/evaluate.py --small    # whether it runs at all
    python benchmarks/evaluate.py --json     # for a program

Two ways of the same work:

- `one by one`: each query on its own through transformers' `generate`, and an encoding of its image for each;
- `thinkseg`: `thinkseg.evaluate`, in batches of 16 samples.

Beside the ratio stands the one of multiplications; what batches win besides is better use of the machine.
"""

import json
import sys
from typing import Any

import torch
from counting import flops_of
from measuring import at_least_one, in_words, parser_of, seconds_of

import thinkseg
from thinkseg.answers import get_format
from thinkseg.data.synthetic.scenes import DEFAULT_TASKS, load_scenes
from thinkseg.models.pipeline import Pipeline
from thinkseg.models.reasoner import TransformersReasoner
from thinkseg.models.segmenter import PromptableSegmenter
from thinkseg.testing import tiny_qwen2_5_vl, tiny_sam2
from thinkseg.types import Sample

ALONE, OURS = "one by one", "thinkseg"
BATCH = 16
TASKS = {task: share for task, share in DEFAULT_TASKS.items() if task != "nothing"}
QUERIES = ("", ", please", " here", " in the image", " that is shown", " of all")
"""What makes several expressions of one: what is behind it."""


def main(words: list[str] | None = None) -> None:
    """Measure, and print a table or JSON."""
    parser = parser_of(
        "What sharing an image's encoding saves in an evaluation.", small="tiny models and two images", repeats=1
    )
    parser.add_argument(
        "--images", type=at_least_one, default=64, help="how many, with 6 expressions each (default: 64)"
    )
    parser.add_argument("--device", default="cpu", help="a torch device (default: cpu)")
    options = parser.parse_args(words)
    images = 2 if options.small else options.images
    pipeline = tiny() if options.small else thinkseg.load("pocket", device=options.device)
    result = measure(pipeline, samples(images, 64 if options.small else 256), options.repeats)
    print(json.dumps(result) if options.json else table(result))


def tiny() -> Pipeline:
    """Tiny models that write what nobody can read, so that the segmenter is left out of it."""
    reasoner = TransformersReasoner(*tiny_qwen2_5_vl(), max_new_tokens=4)
    return Pipeline(reasoner, PromptableSegmenter(*tiny_sam2()), get_format("seg-r1"))


def samples(images: int, size: int) -> list[Sample]:
    """Scenes, each asked about in several ways, one image behind another."""
    scenes = list(load_scenes("test", images, seed=0, size=size, tasks=TASKS))
    return [
        Sample(f"{scene.id}-{number}", scene.image, scene.query + words, scene.target)
        for scene in scenes
        for number, words in enumerate(QUERIES)
    ]


def measure(pipeline: Pipeline, asked: list[Sample], repeats: int) -> dict[str, Any]:
    """Seconds of both ways, and their ratio."""
    masks: dict[str, list[Any]] = {}

    def alone() -> None:
        masks[ALONE] = [next(pipeline.predict([sample], 1)).mask for sample in asked]

    def ours() -> None:
        run = thinkseg.evaluate(asked, pipeline, batch_size=BATCH, progress=False)
        masks[OURS] = [record.mask for record in run.records]

    ways = {ALONE: alone, OURS: ours}
    flops = {name: flops_of(work) for name, work in ways.items()}
    seconds = seconds_of(ways, repeats)
    same = sum(bool((one == other).all()) for one, other in zip(masks[ALONE], masks[OURS], strict=True))
    return {
        "images": len({id(sample.image) for sample in asked}),
        "expressions": len(QUERIES),
        "batch": BATCH,
        "threads": torch.get_num_threads(),
        "seconds": seconds,
        "speedup": seconds[ALONE] / seconds[OURS],
        "allowed": flops[ALONE] / flops[OURS],
        "same_masks": same / len(asked),
    }


def table(result: dict[str, Any]) -> str:
    """The ratio in lines."""
    seconds = in_words(result["seconds"])
    return "\n".join(
        [
            f"{result['images']} images × {result['expressions']} expressions, {result['threads']} threads: {seconds}",
            f"one by one / thinkseg  {result['speedup']:.2f} (multiplications: {result['allowed']:.2f})",
            f"the same mask for      {100 * result['same_masks']:.1f} % of the expressions",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
