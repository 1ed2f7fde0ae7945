"""One image, followed from the text of an answer to the pixels of its mask, as the authors' own evaluations do it.

`published_pixels.json` holds what came of running the evaluation code of Seg-R1, Seg-Zero and VisionReasoner on the
images and answers below, with stand-ins for both models: what was handed to the processor, what the segmenter was
prompted with, and the mask. The segmenter's stand-in is the one of this file.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thinkseg.answers import SegR1, get_format
from thinkseg.evaluation.benchmarks import BENCHMARKS
from thinkseg.evaluation.plan import EvaluatedModel, EvaluationPlan
from thinkseg.evaluation.protocols import apply_to_sample, settings_of
from thinkseg.models.canvas import Canvas
from thinkseg.models.checkpoint_config import KNOWN, CheckpointConfig
from thinkseg.models.pipeline import Pipeline
from thinkseg.models.reasoner import TransformersReasoner
from thinkseg.testing import tiny_qwen2_5_vl
from thinkseg.types import (
    Answer,
    Box,
    Completion,
    Instruction,
    ObjectPrompt,
    Point,
    Request,
    Sample,
    Segmentation,
    Size,
)

CASES = json.loads(Path(__file__).with_name("published_pixels.json").read_text())
CHECKPOINTS = {
    "seg-r1": "geshang/Seg-R1-7B",
    "seg-zero": "Ricky06662/Seg-Zero-7B",
    "vision-reasoner": "Ricky06662/VisionReasoner-7B",
}


def image_of(width: int, height: int) -> Image.Image:
    """A slope of colours under noise, the same for a size."""
    noise = np.random.default_rng(width * 10_000 + height).integers(0, 128, (height, width, 3))
    y, x = np.mgrid[0:height, 0:width]
    slopes = (x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), (x + y) * 255 // (width + height))
    return Image.fromarray((np.stack(slopes, -1) // 2 + noise).astype(np.uint8))


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


class Writes(TransformersReasoner):
    """Writes the text that it is given, and keeps what it would have handed to its processor."""

    text = ""
    handed: list[Image.Image]
    queries: list[str]

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        self.handed += [self.on_canvas(request.image) for request in requests]
        self.queries += [request.instruction.user for request in requests]
        return [Completion(self.text) for _ in requests]


class Ellipses:
    """Fills an ellipse in the box, and discs around the points, at three scales; the single mask is the largest."""

    best_of_three = False

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def segment(self, image: Image.Image, answers: Sequence[Answer]) -> list[Segmentation]:
        size = Size(*image.size)
        found = []
        for answer in answers:
            masks = [self._mask(image, prompt) for prompt in answer.rescaled(size).objects]
            found.append(Segmentation(np.stack(masks) if masks else np.zeros((0, *size.hw), dtype=bool)))
        return found

    def _mask(self, image: Image.Image, prompt: ObjectPrompt) -> np.ndarray:
        self.calls.append(
            {
                "size": list(image.size),
                "shown": digest(np.asarray(image)),
                "box": None if prompt.box is None else list(prompt.box.xyxy),
                "points": [[point.x, point.y, point.label] for point in prompt.points],
                "three": self.best_of_three,
            }
        )
        masks, scores = self._three(image, prompt)
        return masks[int(np.argmax(scores))] if self.best_of_three else masks[-1]

    def _three(self, image: Image.Image, prompt: ObjectPrompt) -> tuple[list[np.ndarray], list[float]]:
        y, x = np.mgrid[0 : image.height, 0 : image.width] + 0.5
        masks, scores = [], []
        for number, scale in enumerate((0.6, 0.8, 1.0)):
            mask = np.zeros((image.height, image.width), dtype=bool)
            if prompt.box is not None:
                left, top, right, bottom = prompt.box.xyxy
                across, down = max((right - left) / 2 * scale, 0.5), max((bottom - top) / 2 * scale, 0.5)
                mask |= ((x - (left + right) / 2) / across) ** 2 + ((y - (top + bottom) / 2) / down) ** 2 <= 1
            for point in prompt.points:
                disc = (x - point.x) ** 2 + (y - point.y) ** 2 <= (max(image.size) / 25 * scale) ** 2
                mask = mask | disc if point.label else mask & ~disc
            masks.append(mask)
            scores.append(0.5 + 0.1 * number - 0.15 * (number == 2 and mask.sum() % 2 == 0))
        return masks, scores


@pytest.fixture(scope="module")
def create_pipeline() -> Callable[[str], tuple[Pipeline, Writes, Ellipses]]:
    """A published checkpoint's pipeline, with the stand-ins for its models."""
    model, processor = tiny_qwen2_5_vl(max_pixels=12_845_056)

    def create(system: str) -> tuple[Pipeline, Writes, Ellipses]:
        config = KNOWN[CHECKPOINTS[system]]
        assert config.format is not None
        reasoner, segmenter = Writes(model, processor), Ellipses()
        reasoner.handed, reasoner.queries = [], []
        only_the_query = get_format(config.format, Instruction("{query}"))
        return Pipeline(reasoner, segmenter, only_the_query, config=config), reasoner, segmenter

    return create


@pytest.mark.parametrize(
    "case", CASES, ids=[f"{c['system']}-{c['task']}-{'x'.join(map(str, c['size']))}-{n}" for n, c in enumerate(CASES)]
)
def test_an_answer_lands_on_the_pixels_of_its_authors_evaluation(
    case: dict[str, Any], create_pipeline: Callable[[str], tuple[Pipeline, Writes, Ellipses]]
) -> None:
    system = case["system"]
    pipeline, reasoner, segmenter = create_pipeline(system)
    reasoner.text = case["text"]
    settings = CheckpointConfig(**settings_of(system, case["task"]))
    query = case.get("query", "the left one")
    sample = Sample("it", image_of(*case["size"]), query, task=case["task"])
    asked = pipeline.asked_as(settings, system)
    (prediction,) = asked.predict([apply_to_sample(sample, system)], batch_size=1)

    (handed,) = reasoner.handed
    assert handed.size == (case["side"], case["side"])
    assert digest(np.asarray(handed)) == case["canvas"]
    assert reasoner.queries == [case.get("asked_query", query)]
    for ours, theirs in zip(segmenter.calls, case["calls"], strict=True):
        assert {name: ours[name] for name in theirs} == theirs
    mask = prediction.mask
    assert int(mask.sum()) == case["area"]
    assert digest(np.packbits(mask)) == case["mask"]


def test_only_a_model_that_is_shown_a_canvas_is_asked_by_the_canvas_length_and_decoding_of_a_protocol(
    create_pipeline: Callable[[str], tuple[Pipeline, Writes, Ellipses]],
) -> None:
    pipeline, reasoner, segmenter = create_pipeline("seg-zero")
    settings = CheckpointConfig(**settings_of("seg-r1", "referring"))
    shown = pipeline.asked_as(settings, "seg-r1")
    assert isinstance(shown.reasoner, Writes)
    assert (shown.reasoner.canvas, shown.reasoner.max_new_tokens) == (Canvas(1024, "bicubic", jpeg=True), 512)
    assert (shown.reasoner.decoding, shown.config.objects, shown.asked_by) == ("sampled", None, "seg-r1")
    own = Pipeline(
        reasoner, segmenter, pipeline.answer_format, config=CheckpointConfig(format="seg-r1", max_new_tokens=9)
    )
    asked: Any = own.asked_as(settings, "seg-r1")
    assert asked.reasoner is reasoner
    assert (asked.config.canvas, asked.config.max_new_tokens, asked.segmenter.side) == (None, 9, 1024)


def test_what_the_caller_says_comes_before_the_protocol(
    create_pipeline: Callable[[str], tuple[Pipeline, Writes, Ellipses]],
) -> None:
    plan = EvaluationPlan(
        ["refcoco-testa"],
        EvaluatedModel("geshang/Seg-R1-7B", CheckpointConfig(canvas=768, masks="best of three")),
        protocol="seg-r1",
    )
    asked: Any = plan.asked(create_pipeline("seg-r1")[0], BENCHMARKS["refcoco-testa"])
    assert (asked.config.canvas, asked.config.masks, asked.config.max_new_tokens) == (768, "best of three", 512)
    assert asked.reasoner.canvas.side == 768
    foreground: Any = plan.asked(create_pipeline("seg-r1")[0], BENCHMARKS["cod10k"])
    assert foreground.config.max_new_tokens == 1024


@pytest.mark.parametrize(
    ("benchmark", "text", "boxes"),
    [
        ("reasonseg-val", "<bbox>[10,20,500,600] and <bbox>[30,40,50,60]</bbox>", [(10, 20, 500, 600)]),
        ("refcoco-testa", "<bbox>[10,20,500,600] and <bbox>[30,40,1100,60]</bbox>", [(30, 40, 1100, 60)]),
    ],
)
def test_by_a_protocol_of_authors_their_evaluation_reads_what_is_asked_in_the_same_words(
    create_pipeline: Callable[[str], tuple[Pipeline, Writes, Ellipses]],
    benchmark: str,
    text: str,
    boxes: list[tuple[int, ...]],
) -> None:
    pipeline, reasoner, _ = create_pipeline("seg-r1")
    reasoner.text = text
    sample = Sample("it", image_of(64, 48), "the left one", task=BENCHMARKS[benchmark].task)
    plan = EvaluationPlan([benchmark], EvaluatedModel("geshang/Seg-R1-7B"), protocol="seg-r1")
    asked: Any = plan.asked(pipeline, BENCHMARKS[benchmark])
    (prediction,) = asked.predict([sample], batch_size=1)
    assert [one.box and one.box.xyxy for one in prediction.answer.objects] == boxes
    assert reasoner.queries == ["the left one"]
    assert asked.answer_format.name == "seg-r1-published"
    said = EvaluatedModel("geshang/Seg-R1-7B", CheckpointConfig(format="seg-r1"))
    own: Any = EvaluationPlan([benchmark], said, protocol="seg-r1").asked(pipeline, BENCHMARKS[benchmark])
    (prediction,) = own.predict([sample], batch_size=1)
    assert (own.answer_format.name, prediction.answer) == ("seg-r1", None)


def test_a_format_that_a_protocol_does_not_name_reads_its_own_answers(
    create_pipeline: Callable[[str], tuple[Pipeline, Writes, Ellipses]],
) -> None:
    class Own(SegR1):
        pass

    pipeline = create_pipeline("seg-r1")[0]
    for kept in (get_format("seg-zero"), get_format("vision-reasoner-tolerant"), Own()):
        plan = EvaluationPlan(["refcoco-testa"], EvaluatedModel("geshang/Seg-R1-7B"), protocol="seg-r1")
        asked: Any = plan.asked(dataclasses.replace(pipeline, answer_format=kept), BENCHMARKS["refcoco-testa"])
        assert asked.answer_format is kept


def test_by_seg_r1_phrases_are_put_in_lower_case_and_sentences_are_not_and_have_words_of_their_own() -> None:
    image = Image.new("RGB", (8, 4))
    phrase = Sample("a", image, "The Dog.", task="reasoning")
    sentence = Sample("b", image, "What Barks?", task="reasoning", is_sentence=True)
    form = get_format("seg-r1", Instruction("find {query}"), sentence_template=Instruction("{query} Find it."))
    asked = [form.instruction_for(apply_to_sample(each, "seg-r1")).user for each in (phrase, sentence)]
    assert asked == ["find the dog.", "What Barks? Find it."]
    assert form.instruction_for(apply_to_sample(phrase, "default")).user == "find The Dog."


def test_the_first_object_has_all_points_of_the_answer() -> None:
    boxes = "<bbox>[0,0,4,4]</bbox><bbox>[5,5,8,8]</bbox>"
    text = f"<think></think>{boxes}<points>[[1,1],[6,6],[9,0]]</points><labels>[1,1,0]</labels>"
    answer = get_format("seg-r1").try_parse(text, Size(10, 10), first=True)
    assert isinstance(answer, Answer)
    points = (Point(1, 1), Point(6, 6), Point(9, 0, label=0))
    assert answer.objects == (ObjectPrompt(Box(0, 0, 4, 4), points),)
