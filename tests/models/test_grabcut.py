import cv2
import numpy as np
import pytest
from PIL import Image

from thinkseg.errors import InputError
from thinkseg.models.grabcut import GrabCutSegmenter
from thinkseg.types import Answer, Box, Mask, ObjectPrompt, Point, Size

SIZE = Size(200, 150)
AROUND_IT = Box(70, 30, 170, 130)


@pytest.fixture
def disc() -> Mask:
    rows, columns = np.ogrid[:150, :200]
    return np.asarray((columns - 120) ** 2 + (rows - 80) ** 2 <= 40**2)


def masks_of(image: Image.Image, *prompts: ObjectPrompt, frame: Size = SIZE) -> list[Mask]:
    return list(GrabCutSegmenter().segment(image, [Answer(frame, prompts)])[0].masks)


def iou(first: Mask, second: Mask) -> float:
    return float((first & second).sum() / (first | second).sum())


def test_a_box_alone_finds_the_object(red_disc: Image.Image, disc: Mask) -> None:
    """In the published code a box without points gives an empty mask (defect 16)."""
    (mask,) = masks_of(red_disc, ObjectPrompt(AROUND_IT))
    assert iou(mask, disc) > 0.95


def test_points_alone_find_the_object(red_disc: Image.Image, disc: Mask) -> None:
    found, kept = masks_of(
        red_disc,
        ObjectPrompt(None, (Point(120, 80),)),
        ObjectPrompt(None, (Point(120, 80), Point(20, 20, label=0))),
    )
    assert iou(found, disc) > 0.95
    assert iou(kept, disc) > 0.95


def test_points_of_the_background_alone_find_nothing(red_disc: Image.Image) -> None:
    (mask,) = masks_of(red_disc, ObjectPrompt(None, (Point(120, 80, label=0),)))
    assert not mask.any()


def test_a_point_beside_the_object_is_kept_out(red_disc: Image.Image) -> None:
    (mask,) = masks_of(red_disc, ObjectPrompt(AROUND_IT, (Point(120, 60), Point(120, 110, label=0))))
    assert mask[60, 120]
    assert not mask[110, 120]


def test_nothing_outside_the_box_is_in_the_mask(red_disc: Image.Image) -> None:
    (mask,) = masks_of(red_disc, ObjectPrompt(Box(70, 30, 150, 130)))
    assert mask[80, 120]
    assert not mask[:, 153:].any()


@pytest.mark.parametrize("scale", [1, 8])
def test_the_numbers_of_a_box_are_edges_so_that_one_of_8_pixels_covers_8_columns_and_rows(scale: int) -> None:
    """An object of 10 × 10 in a box of 8 × 8: outside of a box is background, the pixels at its far edge, too."""
    pixels = np.random.default_rng(0).integers(80, 100, (40, 60, 3), dtype=np.uint8)
    pixels[10:20, 30:40] = (200, 40, 40)
    large = np.kron(pixels, np.ones((scale, scale, 1), dtype=np.uint8))
    (mask,) = masks_of(Image.fromarray(large), ObjectPrompt(Box(31, 11, 39, 19)), frame=Size(60, 40))
    expected = np.zeros((40 * scale, 60 * scale), dtype=bool)
    expected[11 * scale : 19 * scale, 31 * scale : 39 * scale] = True
    assert np.array_equal(mask, expected)


def test_an_object_that_goes_on_outside_of_its_box_does_not_vanish(red_disc: Image.Image) -> None:
    (mask,) = masks_of(red_disc, ObjectPrompt(Box(60, 20, 120, 140)))
    assert mask[80, 100]


def test_a_box_around_everything_still_finds_the_object(red_disc: Image.Image, disc: Mask) -> None:
    (mask,) = masks_of(red_disc, ObjectPrompt(Box(0, 0, 200, 150)))
    assert iou(mask, disc) > 0.9


def test_a_large_photograph_is_worked_on_small_and_answered_large(red_disc: Image.Image, disc: Mask) -> None:
    large = red_disc.resize((1600, 1200), Image.Resampling.BICUBIC)
    (mask,) = masks_of(large, ObjectPrompt(AROUND_IT))
    assert mask.shape == (1200, 1600)
    expected = np.asarray(Image.fromarray(disc).resize((1600, 1200)))
    assert iou(mask, expected) > 0.95


def test_a_small_object_in_a_large_image_is_looked_at_closely() -> None:
    pixels = np.random.default_rng(0).integers(80, 100, (1500, 2000, 3), dtype=np.uint8)
    pixels[700:724, 900:930] = (200, 40, 40)
    (mask,) = masks_of(Image.fromarray(pixels), ObjectPrompt(Box(890, 690, 940, 734)), frame=Size(2000, 1500))
    assert mask.sum() == pytest.approx(24 * 30, rel=0.1)
    assert mask[712, 915]


def test_the_same_prompt_always_gives_the_same_mask(red_disc: Image.Image) -> None:
    noisy = Image.fromarray(np.random.default_rng(1).integers(0, 256, (150, 200, 3), dtype=np.uint8))
    masks = []
    for seed in range(3):
        cv2.setRNGSeed(seed + 1)
        masks += masks_of(noisy, ObjectPrompt(AROUND_IT, (Point(100, 70),)))
    assert all(np.array_equal(mask, masks[0]) for mask in masks)


@pytest.mark.parametrize(
    "prompt",
    [
        ObjectPrompt(Box(0, 0, 0, 0)),
        ObjectPrompt(Box(200, 150, 200, 150)),
        ObjectPrompt(Box(199, 0, 200, 150), (Point(200, 150),)),
        ObjectPrompt(None, (Point(200, 150), Point(0, 0, label=0))),
        ObjectPrompt(Box(10, 10, 12, 12), (Point(190, 140), Point(150, 10, label=0))),
    ],
)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (200, 150), (3, 900)])
def test_prompts_at_the_rim_and_tiny_images_do_no_harm(prompt: ObjectPrompt, size: tuple[int, int]) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
    (mask,) = masks_of(image, prompt)
    assert mask.shape == size[::-1]


def test_an_image_is_prepared_once_for_all_answers_about_it(red_disc: Image.Image) -> None:
    segmenter = GrabCutSegmenter(iterations=1)
    masks = segmenter.segment(red_disc, [Answer(SIZE, (ObjectPrompt(AROUND_IT),)), Answer(SIZE)])
    assert [own.scores for own in masks] == [None, None]
    assert [own.masks.shape for own in masks] == [(1, 150, 200), (0, 150, 200)]
    assert segmenter.encode_count == 1
    with pytest.raises(InputError, match="at least 1 iteration"):
        GrabCutSegmenter(iterations=0)
