"""Tests of how a segmenter is prompted, and of the choice among its masks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thinkseg import testing
from thinkseg.models.checkpoint_config import CheckpointConfig, Rounding
from thinkseg.models.grabcut import GrabCutSegmenter
from thinkseg.models.prompting import PromptedSegmenter, prompted, remembering
from thinkseg.models.segmenter import PromptableSegmenter
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Segmentation, Size

IMAGE = Image.new("RGB", (100, 50))


class Recorder:
    """Keeps what it is shown, and gives the masks that it was made with."""

    def __init__(self, masks: np.ndarray) -> None:
        self.masks = masks
        self.shown: list[tuple[tuple[int, int], tuple[Answer, ...]]] = []

    def segment(self, image: Image.Image, answers: Sequence[Answer]) -> list[Segmentation]:
        self.shown.append((image.size, tuple(answers)))
        return [Segmentation(self.masks) for _ in answers]


@pytest.mark.parametrize(
    ("rounding", "box", "point"),
    [("half even", (0, 2, 2, 4), (3, 2)), ("half up", (1, 2, 3, 4), (3, 3))],
)
def test_prompts_are_rounded_to_whole_pixels_of_the_image(
    rounding: Rounding, box: tuple[float, ...], point: tuple[float, float]
) -> None:
    recorder = Recorder(np.zeros((1, 50, 100), bool))
    # A frame of 200 × 100 on an image of 100 × 50: all numbers are halved.
    answer = Answer(Size(200, 100), (ObjectPrompt(Box(1, 3, 5, 7), (Point(5.5, 5),)),))
    prompted(recorder, CheckpointConfig(whole_pixels=rounding)).segment(IMAGE, [answer])
    ((_, (asked,)),) = recorder.shown
    assert asked.frame == Size(100, 50)
    assert asked.objects == (ObjectPrompt(Box(*box), (Point(*point),)),)


def test_on_a_square_the_union_is_what_comes_back_stretched() -> None:
    """Two halves of 2 × 2 that touch: stretched one by one, neither is above a half on the seam; together all is."""
    halves = np.array([[[True, False], [True, False]], [[False, True], [False, True]]])
    recorder = Recorder(halves)
    answer = Answer(Size(4, 4), (ObjectPrompt(Box(0, 0, 2, 4)), ObjectPrompt(Box(2, 0, 4, 4))))
    (found,) = prompted(recorder, CheckpointConfig(segmenter_canvas=2)).segment(Image.new("RGB", (5, 3)), [answer])
    ((size, (asked,)),) = recorder.shown
    assert size == (2, 2)
    assert asked.objects == (ObjectPrompt(Box(0, 0, 1, 2)), ObjectPrompt(Box(1, 0, 2, 2)))
    assert found.masks.shape == (2, 3, 5)
    assert found.masks.any(axis=0).all()
    assert not (found.masks[0] & found.masks[1]).any()
    assert found.masks[:, 1, 0].tolist() == [True, False]
    assert found.masks[:, 1, 4].tolist() == [False, True]


def test_nothing_said_leaves_a_segmenter_as_it_is_and_new_settings_replace_old_ones() -> None:
    recorder = Recorder(np.zeros((0, 50, 100), bool))
    assert prompted(recorder, CheckpointConfig()) is recorder
    once = prompted(recorder, CheckpointConfig(whole_pixels="half up"))
    again: Any = prompted(once, CheckpointConfig(segmenter_canvas=8))
    assert (again.segmenter, again.rounding, again.side) == (recorder, None, 8)
    assert prompted(once, CheckpointConfig()) is recorder


def test_a_segmenter_with_one_mask_keeps_it() -> None:
    segmenter = GrabCutSegmenter()
    assert prompted(segmenter, CheckpointConfig(masks="best of three")) is segmenter


def test_the_choice_among_three_is_made_on_a_copy_that_shares_the_weights() -> None:
    segmenter = PromptableSegmenter(*testing.tiny_sam2())
    best = prompted(segmenter, CheckpointConfig(masks="best of three"))
    assert isinstance(best, PromptableSegmenter)
    assert (best.best_of_three, segmenter.best_of_three) == (True, False)
    assert best.model is segmenter.model


def test_what_is_prompted_keeps_encodings_where_its_segmenter_can() -> None:
    model = PromptableSegmenter(*testing.tiny_sam2())
    answers = [Answer(Size(100, 50), (ObjectPrompt(Box(10, 10, 40, 40)),))]
    keeping = remembering(prompted(model, CheckpointConfig(whole_pixels="half even")))
    for _ in range(2):
        keeping.segment(IMAGE.copy(), answers)
    assert isinstance(keeping, PromptedSegmenter)
    assert getattr(keeping.segmenter, "encode_count", None) == 1
    recorder = Recorder(np.zeros((1, 50, 100), bool))
    assert remembering(recorder) is recorder
