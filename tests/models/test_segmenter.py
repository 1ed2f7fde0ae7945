import logging
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from thinkseg import testing
from thinkseg.errors import CheckpointError, ImageError, InputError
from thinkseg.models.grabcut import GrabCutSegmenter
from thinkseg.models.segmenter import PromptableSegmenter, load_segmenter
from thinkseg.testing.tiny_segmenters import tiny_sam2_video
from thinkseg.types import Answer, Box, Masks, ObjectPrompt, Point, Size

Noise = Callable[[int, int], Image.Image]

FRAME = Size(120, 90)
BOX = Box(20, 10, 80, 60)
ON, BESIDE = Point(50, 30), Point(100, 80, label=0)
PROMPTS = {
    "box": ObjectPrompt(BOX),
    "box and point": ObjectPrompt(BOX, (ON,)),
    "box and two points": ObjectPrompt(BOX, (ON, BESIDE)),
    "point": ObjectPrompt(None, (ON,)),
    "three points": ObjectPrompt(None, (ON, BESIDE, Point(30, 30))),
}


def published_path(model: Any, processor: Any, image: Image.Image, prompt: ObjectPrompt) -> np.ndarray:
    """One object through the processor's own handling of prompts, which are in the image's pixels."""
    prompts: dict[str, Any] = {}
    if prompt.box is not None:
        prompts["input_boxes"] = [[list(prompt.box.xyxy)]]
    if prompt.points:
        prompts["input_points"] = [[[[point.x, point.y] for point in prompt.points]]]
        prompts["input_labels"] = [[[point.label for point in prompt.points]]]
    inputs = processor(images=image, return_tensors="pt", **prompts)
    sizes = {key: inputs.pop(key) for key in ("original_sizes", "reshaped_input_sizes") if key in inputs}
    with torch.inference_mode():
        logits = model(**inputs, multimask_output=False).pred_masks
    return np.asarray(processor.post_process_masks([logits[0]], **sizes)[0][0, 0])


def best_of_three(model: Any, processor: Any, image: Image.Image, prompt: ObjectPrompt) -> tuple[np.ndarray, float]:
    """Of all masks that the model makes of a box and a point, at the image's size, that of the highest score."""
    assert prompt.box is not None
    inputs = processor(
        images=image,
        return_tensors="pt",
        input_boxes=[[list(prompt.box.xyxy)]],
        input_points=[[[[point.x, point.y] for point in prompt.points]]],
        input_labels=[[[point.label for point in prompt.points]]],
    )
    sizes = {key: inputs.pop(key) for key in ("original_sizes", "reshaped_input_sizes") if key in inputs}
    with torch.inference_mode():
        outputs = model(**inputs, multimask_output=True)
    scores = outputs.iou_scores[0, 0].tolist()
    masks = processor.post_process_masks([outputs.pred_masks[0]], **sizes)[0][0]
    best = max(range(len(scores)), key=lambda number: (scores[number], number))
    return np.asarray(masks[best]), scores[best]


def agree(first: Masks, second: Masks) -> bool:
    """Whether masks are the same but for a pixel in a thousand, whose logit may be within rounding of zero."""
    return first.shape == second.shape and float((first != second).mean()) <= 1e-3


@pytest.mark.parametrize("size", [(120, 90), (40, 220)])
def test_of_three_masks_the_one_that_the_model_scores_highest_is_taken(
    size: tuple[int, int], tiny_segmenter: tuple[Any, Any], noise: Noise
) -> None:
    image = noise(*size)
    prompts = (ObjectPrompt(BOX, (ON,)), ObjectPrompt(Box(5, 5, 30, 70), (BESIDE,)))
    segmenter = PromptableSegmenter(*tiny_segmenter, best_of_three=True)
    (found,) = segmenter.segment(image, [Answer(FRAME, prompts)])
    assert found.scores is not None
    for mask, score, prompt in zip(
        found.masks, found.scores, Answer(FRAME, prompts).rescaled(Size(*size)).objects, strict=True
    ):
        expected, estimate = best_of_three(*tiny_segmenter, image, prompt)
        assert agree(mask[None], expected[None])
        assert score == pytest.approx(min(max(estimate, 0), 1), abs=1e-4)


@pytest.mark.parametrize("size", [(120, 90), (300, 60), (40, 220), (7, 5), (64, 64)])
def test_every_kind_of_segmenter_gives_what_its_own_processor_gives(
    size: tuple[int, int], tiny_segmenter: tuple[Any, Any], noise: Noise
) -> None:
    image = noise(*size)
    answer = Answer(FRAME, tuple(PROMPTS.values()))
    masks = PromptableSegmenter(*tiny_segmenter).segment(image, [answer])[0].masks
    expected = [published_path(*tiny_segmenter, image, p) for p in answer.rescaled(Size(*size)).objects]
    assert masks.dtype == bool
    assert agree(masks, np.stack(expected))


def test_chunks_do_not_change_masks(tiny_segmenter: tuple[Any, Any], noise: Noise) -> None:
    """Prompts of different forms share a batch only at the price of padding, which the decoder does not ignore."""
    image = noise(120, 90)
    shifted = [ObjectPrompt(Box(i, i, 40 + i, 50), (Point(20 + i, 20),)) for i in range(7)]
    answers = [Answer(FRAME, (*PROMPTS.values(), *shifted)), Answer(FRAME, tuple(shifted[::-1]))]
    one_by_one = PromptableSegmenter(*tiny_segmenter, chunk=1).segment(image, answers)
    for chunk in (2, 5, 64):
        together = PromptableSegmenter(*tiny_segmenter, chunk=chunk).segment(image, answers)
        assert all(agree(a.masks, b.masks) for a, b in zip(one_by_one, together, strict=True))


def test_objects_keep_their_order(tiny_segmenter: tuple[Any, Any], noise: Noise) -> None:
    segmenter, image = PromptableSegmenter(*tiny_segmenter), noise(120, 90)
    prompts = tuple(PROMPTS.values())
    forwards, backwards = segmenter.segment(image, [Answer(FRAME, prompts), Answer(FRAME, prompts[::-1])])
    assert np.array_equal(forwards.masks, backwards.masks[::-1])
    assert np.array_equal(forwards.scores, backwards.scores[::-1])
    assert len({mask.tobytes() for mask in forwards.masks}) > 1


def test_scores_are_what_the_models_own_head_says_of_each_mask(tiny_segmenter: tuple[Any, Any], noise: Noise) -> None:
    model, processor = tiny_segmenter
    image, prompts = noise(120, 90), tuple(PROMPTS.values())
    said: list[torch.Tensor] = []
    head = model.mask_decoder.iou_prediction_head
    hook = head.register_forward_hook(lambda _m, _i, outputs: said.append(outputs.clamp(0, 1).flatten()))
    (found,) = PromptableSegmenter(model, processor, chunk=1).segment(image, [Answer(FRAME, prompts)])
    hook.remove()
    assert found.scores is not None
    assert found.scores.shape == (len(prompts),)
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    # One output a token: which of them goes with the mask is the decoder's choice (by stability, in SAM 2).
    assert all(any(np.isclose(score, out.tolist())) for score, out in zip(found.scores, said, strict=True))


def test_an_estimate_outside_of_its_range_is_cut_to_it(noise: Noise) -> None:
    """The IoU head of SAM has no sigmoid."""
    model, processor = testing.tiny_sam()
    answers = [Answer(FRAME, (PROMPTS["box"],))]
    for bias, score in ((5.0, 1.0), (-5.0, 0.0)):
        model.mask_decoder.iou_prediction_head.proj_out.bias.data.fill_(bias)
        (found,) = PromptableSegmenter(model, processor).segment(noise(40, 30), answers)
        assert found.scores is not None
        assert found.scores.tolist() == [score]


def test_an_image_is_encoded_once_and_equal_prompts_are_decoded_once(noise: Noise) -> None:
    """The published reward encodes the image again for every completion and every box (defect 6)."""
    model, processor = testing.tiny_sam2()
    segmenter = PromptableSegmenter(model, processor)
    decoded: list[int] = []
    model.mask_decoder.register_forward_hook(lambda _m, _i, outputs: decoded.append(outputs[0].shape[1]))
    group = [Answer(FRAME, (PROMPTS["box"], PROMPTS["box and point"]))] * 8 + [Answer(FRAME)]
    masks = segmenter.segment(noise(120, 90), group)
    assert segmenter.encode_count == 1
    assert sum(decoded) == 2
    assert [len(own.masks) for own in masks] == [2] * 8 + [0]
    segmenter.segment(noise(120, 91), group)
    assert segmenter.encode_count == 2


@pytest.mark.parametrize("tiny", [testing.tiny_sam2, testing.tiny_sam, testing.tiny_sam_hq])
def test_what_is_shown_again_and_again_is_encoded_once_and_has_the_same_masks(
    tiny: Callable[[], Any], noise: Noise
) -> None:
    plain = PromptableSegmenter(*tiny())
    keeping = plain.remembering()
    answers = [Answer(FRAME, (PROMPTS["box and point"],))]
    for _ in range(3):
        for image in (noise(120, 90), noise(120, 91)):  # decoded anew each time, as from a file
            (expected,), (found,) = plain.segment(image, answers), keeping.segment(image, answers)
            assert np.array_equal(found.masks, expected.masks)
    assert keeping.encode_count == 2
    assert plain.encode_count == 6


def test_nothing_there_costs_nothing_and_has_no_masks(noise: Noise) -> None:
    segmenter = PromptableSegmenter(*testing.tiny_sam2())
    masks = segmenter.segment(noise(30, 20), [Answer(FRAME), Answer(FRAME)])
    assert [own.masks.shape for own in masks] == [(0, 20, 30)] * 2
    assert [own.scores is not None and own.scores.shape for own in masks] == [(0,)] * 2
    assert segmenter.segment(noise(30, 20), []) == []
    assert segmenter.encode_count == 0


def test_the_same_answer_in_another_frame_gives_the_same_masks(noise: Noise) -> None:
    segmenter = PromptableSegmenter(*testing.tiny_sam2())
    answer = Answer(FRAME, tuple(PROMPTS.values()))
    here, there = segmenter.segment(noise(200, 100), [answer, answer.rescaled(Size(1000, 1000))])
    assert agree(here.masks, there.masks)


def test_red_arrives_as_red(tiny_segmenter: tuple[Any, Any]) -> None:
    """The published reward swaps red and blue before SAM 2 (defect 2)."""
    model, processor = tiny_segmenter
    seen: list[torch.Tensor] = []
    encode = model.get_image_embeddings
    model.get_image_embeddings = lambda pixels: (seen.append(pixels), encode(pixels))[1]
    PromptableSegmenter(model, processor).segment(
        Image.new("RGB", (64, 64), (255, 0, 0)), [Answer(FRAME, (PROMPTS["box"],))]
    )
    red, green, blue = seen[0][0].mean(dim=(1, 2)).tolist()
    assert red > green
    assert red > blue


def test_an_image_that_is_not_rgb_is_refused() -> None:
    answers = [Answer(FRAME, (PROMPTS["box"],))]
    for segmenter in (PromptableSegmenter(*testing.tiny_sam2()), GrabCutSegmenter()):
        with pytest.raises(InputError, match="takes RGB images, found mode 'L'"):
            segmenter.segment(Image.new("L", (30, 20)), answers)


def test_a_large_image_is_decoded_in_smaller_chunks(noise: Noise) -> None:
    model, processor = testing.tiny_sam2()
    decoded: list[int] = []
    model.mask_decoder.register_forward_hook(lambda _m, _i, outputs: decoded.append(outputs[0].shape[1]))
    prompts = tuple(ObjectPrompt(Box(i, i, 40 + i, 50)) for i in range(5))
    segmenter = PromptableSegmenter(model, processor, chunk=64, upsampled_pixels=2 * 120 * 90)
    segmenter.segment(noise(120, 90), [Answer(FRAME, prompts)])
    assert decoded == [2, 2, 1]


def test_a_chunk_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="at least 1 prompt"):
        PromptableSegmenter(*testing.tiny_sam2(), chunk=0)


def test_a_segmenter_is_loaded_by_its_model_type(tiny_segmenter: tuple[Any, Any], tmp_path: Path, noise: Noise) -> None:
    folder = testing.save(tmp_path / "any-name", tiny_segmenter)
    loaded = load_segmenter(folder, device="cpu")
    assert isinstance(loaded, PromptableSegmenter)
    assert type(loaded.model) is type(tiny_segmenter[0])
    answers = [Answer(FRAME, tuple(PROMPTS.values()))]
    again = loaded.segment(noise(120, 90), answers)[0]
    assert agree(again.masks, PromptableSegmenter(*tiny_segmenter).segment(noise(120, 90), answers)[0].masks)


def test_the_image_part_of_a_published_video_checkpoint_is_taken(tmp_path: Path, noise: Noise) -> None:
    model, processor = tiny_sam2_video()
    loaded = load_segmenter(testing.save(tmp_path / "sam2.1-hiera", (model, processor)), device="cpu")
    assert isinstance(loaded, PromptableSegmenter)
    assert type(loaded.model).__name__ == "Sam2Model"
    assert type(loaded.processor).__name__ == "Sam2Processor"
    own = dict(model.named_parameters())
    assert all(torch.equal(weight, own[name]) for name, weight in loaded.model.named_parameters())
    assert loaded.segment(noise(50, 40), [Answer(FRAME, (PROMPTS["box"],))])[0].masks.shape == (1, 40, 50)


def test_a_model_of_another_kind_is_no_segmenter(tmp_path: Path) -> None:
    folder = testing.save(tmp_path / "model", testing.tiny_qwen2_5_vl())
    with pytest.raises(CheckpointError, match="is a 'qwen2_5_vl', and a segmenter is one of sam2, "):
        load_segmenter(folder)


def test_grabcut_stands_in_where_the_pocket_has_no_segmenter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pocket = types.ModuleType("thinkseg_pocket")
    pocket.path = lambda part: (tmp_path / part).resolve(strict=True)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "thinkseg_pocket", pocket)
    with caplog.at_level(logging.WARNING):
        assert isinstance(load_segmenter("pocket"), GrabCutSegmenter)
    assert "GrabCut is used in its place" in caplog.text
    testing.save(tmp_path / "segmenter", testing.tiny_edgetam())
    assert isinstance(load_segmenter("pocket", device="cpu"), PromptableSegmenter)
    assert isinstance(load_segmenter("grabcut"), GrabCutSegmenter)


def test_more_objects_than_memory_holds_are_refused_before_the_image_is_encoded(
    tiny_segmenter: tuple[Any, Any], noise: Noise
) -> None:
    segmenter = PromptableSegmenter(*tiny_segmenter, most_pixels=2 * 120 * 90)
    two = Answer(FRAME, (PROMPTS["box"], PROMPTS["point"]))
    assert len(segmenter.segment(noise(120, 90), [two])[0].masks) == 2
    with pytest.raises(ImageError, match=r"masks of 4 objects in an image of 120×90 .* make the image smaller"):
        segmenter.segment(noise(120, 90), [two, two])
    assert segmenter.encode_count == 1


def test_equal_prompts_of_several_answers_have_equal_masks(tiny_segmenter: tuple[Any, Any], noise: Noise) -> None:
    box, point = PROMPTS["box"], PROMPTS["point"]
    answers = [Answer(FRAME, (box, point, box)), Answer(FRAME, (point,))]
    first, second = PromptableSegmenter(*tiny_segmenter).segment(noise(120, 90), answers)
    assert (first.masks[0] == first.masks[2]).all()
    assert (first.masks[1] == second.masks[0]).all()
    assert first.scores is not None
    assert first.scores[0] == first.scores[2]
