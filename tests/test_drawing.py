"""What a drawing must show: the right objects, in the right place, at the image's size."""

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from thinkseg.drawing import COLOURS, INK, PAPER, contact_sheet, index_image, overlay, side_by_side
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Size

GREY = Image.new("RGB", (200, 100), (128, 128, 128))


def rectangle(x_min, y_min, x_max, y_max):
    mask = np.zeros((100, 200), bool)
    mask[y_min : y_max + 1, x_min : x_max + 1] = True
    return mask


def changed(drawn, image=GREY):
    """Where a drawing differs from its image."""
    return (np.asarray(drawn) != np.asarray(image)).any(axis=-1)


def test_an_answer_of_nothing_leaves_the_image_as_it_is():
    drawn = overlay(GREY, np.zeros((0, 100, 200), bool), Answer(Size(200, 100)))
    assert drawn.size == GREY.size
    assert not changed(drawn).any()
    assert not changed(overlay(GREY, np.zeros((100, 200), bool))).any()


def test_an_object_is_coloured_and_the_rest_is_left_alone():
    mask = rectangle(40, 20, 90, 70)
    where = changed(overlay(GREY, mask))
    assert where[mask].all()
    assert not where[:, 100:].any()


def test_each_object_has_its_own_colour_and_an_outline_stronger_than_its_inside():
    masks = np.stack([rectangle(20, 20, 80, 80), rectangle(120, 20, 180, 80)])
    pixels = np.asarray(overlay(GREY, masks)).astype(int)
    for left, colour in ((20, COLOURS[0]), (120, COLOURS[1])):
        inside, outline = pixels[50, left + 30], pixels[50, left]
        assert abs(inside - colour).sum() < abs(np.array([128] * 3) - colour).sum()
        assert abs(outline - colour).sum() < abs(inside - colour).sum()


def test_a_mask_that_fills_the_image_has_no_outline():
    pixels = np.asarray(overlay(GREY, np.ones((100, 200), bool)))
    assert (pixels == pixels[0, 0]).all()


def test_prompts_are_drawn_where_they_lie_in_the_image_whatever_their_frame():
    half = Answer(Size(100, 50), (ObjectPrompt(Box(20.0, 10.0, 45.0, 35.0)),))
    whole = Answer(Size(200, 100), (ObjectPrompt(Box(40.0, 20.0, 90.0, 70.0)),))
    where = changed(overlay(GREY, answer=half))
    assert (where == changed(overlay(GREY, answer=whole))).all()
    assert where[45, 40]
    assert where[70, 60]
    assert not where[45, 60]


def test_a_point_on_the_object_is_filled_and_one_on_the_background_hollow():
    answer = Answer(Size(200, 100), (ObjectPrompt(None, (Point(50.0, 50.0), Point(150.0, 50.0, label=0))),))
    drawn = overlay(GREY, answer=answer)
    assert drawn.getpixel((50, 50)) == COLOURS[0]
    assert drawn.getpixel((150, 50)) == PAPER


def test_numbers_appear_only_where_there_are_several_objects():
    boxes = [ObjectPrompt(Box(20.0, 40.0, 80.0, 90.0)), ObjectPrompt(Box(120.0, 40.0, 180.0, 90.0))]
    above_first = np.s_[:36, :100]
    assert not changed(overlay(GREY, answer=Answer(Size(200, 100), (boxes[0],))))[above_first].any()
    assert changed(overlay(GREY, answer=Answer(Size(200, 100), tuple(boxes))))[above_first].any()


@pytest.mark.parametrize("side", [60, 100, 400])
def test_numbers_of_objects_in_one_place_do_not_cover_each_other(side):
    plain = Image.new("RGB", (side, side), (128, 128, 128))
    box = ObjectPrompt(Box(side * 0.4, side * 0.4, side * 0.9, side * 0.9))
    alone = [overlay(plain, answer=Answer(Size(side, side), (box,) * n)) for n in (2, 3)]
    second, third = (np.asarray(image).astype(int) for image in alone)
    new = abs(third - second).sum(axis=2) > 0
    outside = new & ~rectangle_of(side, 0.38, 0.92)
    assert outside.any()  # the third number has a place of its own beside the box ...
    assert (second[outside] == 128).all()  # ... where the second image was empty


def rectangle_of(side, low, high):
    inside = np.zeros((side, side), bool)
    inside[int(side * low) : int(side * high), int(side * low) : int(side * high)] = True
    return inside


def test_numbers_grow_with_the_image_and_are_dark_on_light_colours():
    heights = {}
    for side in (100, 2000):
        plain = Image.new("RGB", (side, side), (0, 0, 0))
        boxes = [ObjectPrompt(Box(side * x, side * 0.5, side * x + side * 0.1, side * 0.9)) for x in (0.1, 0.4, 0.7)]
        drawn = np.asarray(overlay(plain, answer=Answer(Size(side, side), tuple(boxes))))
        rows = np.flatnonzero((drawn[: side // 2 - side // 50] == COLOURS[2]).all(axis=2).any(axis=1))
        heights[side] = len(rows)
    assert heights[100] >= 8
    assert heights[2000] >= 40
    assert (drawn == INK).all(axis=2).any()


def test_a_photograph_of_twelve_megapixels_needs_no_layer_many_times_its_size():
    size = (4000, 3000)
    mask = np.zeros((3000, 4000), bool)
    mask[100:200, 100:200] = True
    answer = Answer(Size(*size), (ObjectPrompt(Box(100.0, 100.0, 199.0, 199.0)),))
    tracemalloc.start()
    drawn = overlay(Image.new("RGB", size), mask, answer)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert drawn.size == size
    assert peak < 100e6  # of NumPy's arrays


def test_an_index_image_numbers_the_objects_in_the_overlays_colours():
    masks = np.stack([rectangle(20, 20, 80, 80), rectangle(120, 20, 180, 80)])
    image = index_image(masks)
    index = np.asarray(image)
    assert (index[masks[0]] == 1).all()
    assert (index[masks[1]] == 2).all()
    assert (index[~masks.any(axis=0)] == 0).all()
    assert image.convert("RGB").getpixel((30, 30)) == COLOURS[0]
    assert image.convert("RGB").getpixel((0, 0)) == (0, 0, 0)


def test_the_smaller_object_is_in_front_whatever_its_number():
    large, small = rectangle(0, 0, 199, 99), rectangle(50, 50, 60, 60)
    assert np.asarray(index_image(np.stack([small, large])))[55, 55] == 1
    assert np.asarray(index_image(np.stack([large, small])))[55, 55] == 2


def test_an_index_image_of_nothing_is_empty_and_one_of_many_objects_has_room_for_them():
    assert not np.asarray(index_image(np.zeros((0, 100, 200), bool))).any()
    many = np.zeros((300, 1, 300), bool)
    many[range(300), 0, range(300)] = True
    assert np.asarray(index_image(many))[0].tolist() == list(range(1, 301))


def test_more_objects_than_colours_are_drawn_too():
    masks = np.stack([rectangle(10 * n, 20, 10 * n + 6, 60) for n in range(len(COLOURS) + 3)])
    assert changed(overlay(GREY, masks))[masks.any(axis=0)].all()


def test_side_by_side_sets_images_to_one_height():
    row = side_by_side([GREY, GREY.resize((50, 50))], ["before", "after"], height=100, gap=10)
    assert row.width == 10 + 200 + 10 + 100 + 10
    assert row.height > 120


def test_a_contact_sheet_has_rows_and_columns_and_wraps_captions():
    plain = contact_sheet([(GREY, "")] * 5, columns=2, cell_width=100, gap=10)
    assert plain.size == (10 + 110 * 2, 10 + 60 * 3)
    short = contact_sheet([(GREY, "a word")], cell_width=100)
    long = contact_sheet([(GREY, "many words that do not fit on one line of a small cell")], cell_width=100)
    assert plain.height > long.height > short.height
    assert long.width == short.width


def test_a_contact_sheet_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])
