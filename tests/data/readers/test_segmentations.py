"""Masks from COCO's polygons are, pixel by pixel, those of COCO's own tools."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from thinkseg.data.readers.segmentations import mask_from_run_lengths, mask_from_segmentation
from thinkseg.errors import ImageError
from thinkseg.imaging import mask_from_rle, rle_from_mask
from thinkseg.types import Size

# Random polygons, the size of their image (height, width), and what pycocotools 2.0.11 made of them.
DRAWN_BY_COCO = [
    ([29.86, 13.5, 18.03, 60.53, 19.55, 37.73], [78, 76], "a]16j1:1O1O2N1O2N2N1O2N2N1Oj_3"),
    ([51.0, 32.0, 46.0, 7.0, 67.0, 17.0], [34, 77], "Sa12Q14K5L4K5L1N01N1O1O2N1O2N1O2N1O2N1O2N1OW;"),
    (
        [15.73, 5.68, 40.75, 32.23, 63.46, 2.77, 29.75, 36.26, 25.59, 22.53, -2.29, 26.31, 60.34, 33.21, 57.99, 25.72],
        [37, 62],
        "j01T100000O100000001O00000O100000000^OM24NL14OMO42ML34NK26NI27OH19OF1:0E0<0EN;3HJ86HK66IM53JM64IK95FJ;7DH>8AG`0"
        ":52WOEe0:[OFe09]OFd085OZOIa058OXOLb02^OOb00]O2j02N1JKZO7e0JZO7e0J[O6d0I^O7a0IA6>JC6<JF59JI75IM62JO60I36LJ65IK;2h1",
    ),
    (
        [3.0, 23.0, 0.0, 23.0, 2.0, 8.0, 7.0, 19.0, 2.0, 9.0, 0.0, 5.0, 11.0, 0.0],
        [25, 27],
        "51=3I0N72JK84KL161JK793M3M2N3M2Nc<",
    ),
    (
        [23.01, 26.46, 42.42, 14.11, 57.58, 22.55, 53.53, 10.36, 34.6, 4.24, 63.0, 6.22],
        [34, 63],
        "Yj01R2000nN010O0010O01O0COK15OJ17OI18OF1;OD2<ND1=0A1?OBO?191WON`02_OOa01_O0`01^O1a0O_O1a0O^O3a0N^O2b0N]O4c0K]O5"
        "c0K_O4`0LC1=NG080=O100O10l0",
    ),
    (
        [55.98, 38.39, 68.5, 44.96, 35.53, 1.47],
        [63, 71],
        "nV21P20O1O010O1O100O00100O1O100O00100O1O10O01OO2O0O101N100O101N100Ob4",
    ),
]


@pytest.mark.parametrize(("polygon", "size_hw", "counts"), DRAWN_BY_COCO, ids=range(len(DRAWN_BY_COCO)))
def test_a_polygon_is_filled_as_coco_fills_it(polygon, size_hw, counts):
    drawn = mask_from_segmentation([polygon], Size(size_hw[1], size_hw[0]))
    assert np.array_equal(drawn, mask_from_rle({"size": size_hw, "counts": counts}))


def test_a_thin_triangle_has_the_pixel_that_a_rasteriser_by_columns_alone_lacks():
    mask = mask_from_segmentation([[1.6, 3.0, 3.4, 0.2, 1.8, 0.6]], Size(4, 4))
    assert np.argwhere(mask).tolist() == [[0, 2], [1, 2]]


NUMBERS = st.floats(-8, 40, allow_nan=False).map(lambda value: round(value, 1))
POLYGONS = st.lists(st.lists(NUMBERS, min_size=6, max_size=12).map(lambda flat: flat[: len(flat) // 2 * 2]), max_size=3)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own decoder
@given(POLYGONS, st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=150, deadline=None)
def test_any_polygons_are_those_of_cocos_tools_drawn_one_by_one(polygons, width, height):
    expected = np.zeros((height, width), dtype=bool)
    for polygon in polygons:
        (alone,) = coco.frPyObjects([polygon], height, width)
        expected |= coco.decode(alone).astype(bool)
    drawn = mask_from_segmentation(polygons, Size(width, height))
    assert drawn.dtype == np.bool_
    assert np.array_equal(drawn, expected)


def test_a_square_covers_the_pixels_whose_centres_lie_inside():
    mask = mask_from_segmentation([[2.0, 3.0, 6.0, 3.0, 6.0, 8.0, 2.0, 8.0]], Size(10, 12))
    expected = np.zeros((12, 10), dtype=bool)
    expected[3:8, 2:6] = True
    assert np.array_equal(mask, expected)


def test_several_polygons_make_one_mask_also_where_they_overlap():
    square = [1.0, 1.0, 5.0, 1.0, 5.0, 5.0, 1.0, 5.0]
    both = mask_from_segmentation([square, [value + 2 for value in square]], Size(10, 10))
    assert both[4, 4]
    assert both.sum() == 16 + 16 - 4


def test_what_sticks_out_of_the_image_is_cut_off():
    assert mask_from_segmentation([[-9.0, -9.0, 30.0, -9.0, 30.0, 30.0, -9.0, 30.0]], Size(4, 6)).all()


def test_run_lengths_are_read_compressed_and_plain():
    mask = np.random.default_rng(0).random((7, 5)) > 0.5
    assert np.array_equal(mask_from_segmentation(dict(rle_from_mask(mask)), Size(5, 7)), mask)
    plain = {"size": [2, 3], "counts": [1, 2, 3]}
    assert mask_from_segmentation(plain, Size(3, 2)).tolist() == [[False, True, False], [True, False, False]]


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        ([[1.0, 2.0, 3.0, 4.0]], "three corners"),
        ([[1.0, 2.0, 3.0, 4.0, float("nan"), 5.0]], "finite"),
        ([[1.0, 2.0, 3.0, 4.0, 1e9, 5.0]], "within 100,000 pixels"),
        ([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]], "an x and a y for each, found 7 numbers"),
        ({"size": [2, 3], "counts": [-3, 9]}, "list of lengths"),
        ({"size": [3, 2], "counts": [6]}, "image is"),
        ({"size": [2, 3], "counts": [5]}, "add up to 6"),
        ({"size": [2, 3], "counts": "~"}, "run lengths"),
        ({"size": [2, 3], "counts": [2.5, 3.5]}, "list of lengths"),
        ({"size": 6, "counts": [6]}, "should be .height, width."),
        ({"counts": [6]}, "with 'size' and 'counts'"),
        ("[[0, 0, 2, 0, 2, 2]]", "a list of polygons"),
        ([{"size": [2, 3], "counts": [6]}], "a list of polygons"),
        ([["0", "0", "2", "0", "2", "2"]], "a list of polygons"),
        ([[[0, 0], [2, 0], [2, 2]]], "a list of polygons"),
        (True, "a list of polygons"),
    ],
)
def test_what_cannot_be_drawn_is_told(segmentation, said):
    with pytest.raises(ImageError, match=said):
        mask_from_segmentation(segmentation, Size(3, 2))


def test_a_flat_list_of_numbers_is_one_polygon():
    flat = [2, 2, 12, 2, 12, 12, 2, 12]
    mask = mask_from_segmentation(flat, Size(40, 30))
    assert mask.sum() == 100
    assert mask[2:12, 2:12].all()


def test_run_lengths_written_out_are_read_like_compressed_ones():
    mask = np.zeros((4, 5), dtype=bool)
    mask[1:3, 2:4] = True  # column by column: 9 out, 2 in, 2 out, 2 in, 5 out
    assert np.array_equal(mask_from_run_lengths({"size": [4, 5], "counts": [9, 2, 2, 2, 5]}), mask)
    assert np.array_equal(mask_from_run_lengths(rle_from_mask(mask)), mask)


@pytest.mark.parametrize(("width", "height"), [(2**31, 2**31), (10**400, 1), (1, 89_478_486)])
@pytest.mark.parametrize("segmentation", [[[1, 1, 9, 1, 9, 9]], []])
def test_an_image_of_more_pixels_than_are_read_has_no_mask(width, height, segmentation):
    with pytest.raises(ImageError, match="more than 89,478,485 pixels"):
        mask_from_segmentation(segmentation, Size(width, height))


def test_a_corner_past_what_a_float_holds_is_far_away():
    with pytest.raises(ImageError, match="within 100,000 pixels"):
        mask_from_segmentation([[1, 1, 9, 1, 10**400, 9]], Size(10, 10))


def test_half_an_emoji_in_run_lengths_is_no_character_of_theirs():
    with pytest.raises(ImageError, match="written in the characters"):
        mask_from_run_lengths({"size": [4, 4], "counts": "\ud83d"})


@pytest.mark.parametrize("size", [[10**5, 10**5], [10**4000, 10**4000], [0, 10**300]])
def test_run_lengths_for_more_than_an_image_may_have_are_refused_by_their_size(size):
    with pytest.raises(ImageError, match=r"more than 89,478,485 pixels are not read, found the size \["):
        mask_from_run_lengths({"size": size, "counts": []})
