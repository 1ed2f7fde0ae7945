"""What the segmenter inside a reward costs: the published way, ThinkSeg's, and what cannot be spared.

    python benchmarks/reward_engine.py            # SAM 2's smallest configuration at 1,024 pixels, minutes on two cores
    python benchmarks/reward_engine.py --small    # whether it runs at all
    python benchmarks/reward_engine.py --json     # for a program

The work is the masks of one step: 4 images, 8 completions each, 2 boxes a completion, all of them different. Weights
are random. Three ways of the same work take turns:

- `published`: the segmenter is loaded anew, and the image encoded again for every completion and box (defect 6);
- `thinkseg`: as a step of training does it;
- `floor`: each image encoded once and each prompt decoded once by the bare model, in chunks of the same size.

Beside each ratio stands the one of multiplications.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from counting import flops_of
from measuring import in_words, parser_of, seconds_of
from PIL import Image

from thinkseg.models.base import segment_images
from thinkseg.models.segmenter import PromptableSegmenter, load_segmenter
from thinkseg.testing import save, tiny_sam2
from thinkseg.types import Answer, Box, ObjectPrompt, Size

IMAGES, COMPLETIONS, BOXES = 4, 8, 2
PUBLISHED, OURS, FLOOR = "published", "thinkseg", "floor"

Questions = list[tuple[Image.Image, list[Answer]]]


def main(words: list[str] | None = None) -> None:
    """Measure, and print a table or JSON."""
    parser = parser_of("What the segmenter inside a reward costs.", small="a tiny segmenter", repeats=2)
    parser.add_argument("--device", default="cpu", help="a torch device (default: cpu)")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / "segmenter", tiny_sam2() if options.small else hiera_tiny())
        result = measure(Path(folder) / "segmenter", 64 if options.small else 1024, options.repeats, options.device)
    print(json.dumps(result) if options.json else table(result))


def hiera_tiny() -> tuple[Any, Any]:
    """SAM 2 in its smallest configuration, which is transformers' default, with random weights."""
    from transformers import Sam2Config, Sam2ImageProcessor, Sam2Model, Sam2Processor

    torch.manual_seed(0)
    return Sam2Model(Sam2Config()).eval(), Sam2Processor(Sam2ImageProcessor())


def measure(folder: Path, side: int, repeats: int, device: str) -> dict[str, Any]:
    """Seconds of each way, and their ratios."""
    asked = questions(side)
    segmenter = load_segmenter(folder, device)
    assert isinstance(segmenter, PromptableSegmenter)
    ways = {
        PUBLISHED: lambda: published(folder, device, asked),
        OURS: lambda: segment_images(segmenter, asked),
        FLOOR: lambda: floor(segmenter, asked),
    }
    masks = {
        PUBLISHED: np.concatenate([mask for own in published(folder, device, asked) for mask in own]),
        OURS: np.concatenate([each.masks for own in segment_images(segmenter, asked) for each in own]),
    }
    flops = {name: flops_of(work) for name, work in ways.items()}
    seconds = seconds_of(ways, repeats)
    return {
        "images": IMAGES,
        "completions": COMPLETIONS,
        "boxes": BOXES,
        "side": side,
        "device": str(segmenter.device),
        "threads": torch.get_num_threads(),
        "seconds": seconds,
        "published/thinkseg": seconds[PUBLISHED] / seconds[OURS],
        "thinkseg/floor": seconds[OURS] / seconds[FLOOR],
        "allowed": flops[PUBLISHED] / flops[OURS],
        "pixels_that_differ": float((masks[PUBLISHED] != masks[OURS]).mean()),
    }


def questions(side: int) -> Questions:
    """Images of noise, and boxes drawn at random."""
    draw = np.random.default_rng(0)
    size = Size(side, side)

    def answer() -> Answer:
        low, high = draw.uniform(0, side / 2, (BOXES, 2)), draw.uniform(side / 2, side, (BOXES, 2))
        boxes = np.concatenate([low, high], axis=1).tolist()
        return Answer(size, tuple(ObjectPrompt(Box(*box)) for box in boxes))

    images = [Image.fromarray(draw.integers(0, 256, (side, side, 3), dtype=np.uint8)) for _ in range(IMAGES)]
    return [(image, [answer() for _ in range(COMPLETIONS)]) for image in images]


def published(folder: Path, device: str, asked: Questions) -> list[list[np.ndarray]]:
    """Masks of each box on its own, by a segmenter that is loaded for it all."""
    segmenter = load_segmenter(folder, device)

    def alone(image: Image.Image, answer: Answer, prompt: ObjectPrompt) -> np.ndarray:
        return segmenter.segment(image, [Answer(answer.frame, (prompt,))])[0].masks

    return [
        [alone(image, answer, prompt) for answer in answers for prompt in answer.objects] for image, answers in asked
    ]


def floor(segmenter: PromptableSegmenter, asked: Questions) -> None:
    """What the bare model has to do."""
    with torch.inference_mode():
        for image, answers in asked:
            inputs = segmenter.processor(images=image, return_tensors="pt")
            pixels = inputs["pixel_values"].to(segmenter.device)
            embeddings = segmenter.model.get_image_embeddings(pixels)
            frame = Size(*reversed(pixels.shape[-2:]))
            prompts = [prompt for answer in answers for prompt in answer.rescaled(frame).objects]
            boxes = torch.tensor([[prompt.box.xyxy for prompt in prompts if prompt.box]], device=segmenter.device)
            for chunk in boxes.split(segmenter.chunk, dim=1):
                outputs = segmenter.model(image_embeddings=embeddings, input_boxes=chunk, multimask_output=False)
                segmenter.processor.post_process_masks([outputs.pred_masks[0]], original_sizes=inputs["original_sizes"])


def table(result: dict[str, Any]) -> str:
    """The ratios in lines."""
    seconds = in_words(result["seconds"])
    return "\n".join(
        [
            f"{result['images']} images × {result['completions']} completions × {result['boxes']} boxes at "
            f"{result['side']} pixels, {result['device']}, {result['threads']} threads: {seconds}",
            f"published / thinkseg  {result['published/thinkseg']:.2f} (multiplications: {result['allowed']:.2f})",
            f"thinkseg / floor      {result['thinkseg/floor']:.3f}",
            f"pixels that differ    {result['pixels_that_differ']:.1e}",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
