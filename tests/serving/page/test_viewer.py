"""The image with its objects, as SVG."""

import re

import cv2
import numpy as np
import pytest

from thinkseg.outlines import rings_from_mask
from thinkseg.serving.page.viewer import SHOWN_SIDE, Layer, ShownImage, viewer_html
from thinkseg.types import Box, Mask, Point, Size


def drawn(mask: Mask) -> Mask:
    """The mask that a browser would fill of the viewer's path, by the even-odd rule."""
    html = viewer_html(ShownImage("x"), Size(mask.shape[1], mask.shape[0]), [Layer("it", mask)], "it")
    path = re.search(r' d="([^"]*)"', html)
    assert path is not None
    filled = np.zeros(mask.shape, dtype=np.uint8)
    centres = np.argwhere(np.ones_like(mask))[:, ::-1] + 0.5
    for ring in path[1].split("Z")[:-1]:
        corners = np.array([pair.split() for pair in ring.removeprefix("M").split("L")], dtype=np.float32)
        inside = [
            cv2.pointPolygonTest(corners[:, None], (float(x), float(y)), measureDist=False) > 0 for x, y in centres
        ]
        filled ^= np.array(inside, dtype=np.uint8).reshape(mask.shape)
    return filled.astype(bool)


def test_a_mask_with_a_hole_and_a_part_of_its_own_is_drawn_as_it_is() -> None:
    mask = np.zeros((30, 40), dtype=bool)
    mask[3:20, 4:25] = True
    mask[8:14, 9:18] = False
    mask[22:28, 30:38] = True
    assert (drawn(mask) == mask).all()


def test_the_ring_around_a_hole_is_apart_from_that_around_its_object() -> None:
    mask = np.ones((6, 6), dtype=bool)
    mask[2:4, 2:4] = False
    assert sorted(map(len, rings_from_mask(mask))) == [4, 4]


def test_boxes_and_points_are_in_the_images_own_pixels_however_large_it_is() -> None:
    size = Size(2 * SHOWN_SIDE, 100)
    mask = np.zeros(size.hw, dtype=bool)
    mask[20:60, 200:400] = True
    layer = Layer("a dog", mask, Box(200, 20, 400, 60), (Point(300, 40), Point(10, 10, 0)))
    html = viewer_html(ShownImage("x"), size, [layer], "two")
    assert f'viewBox="0 0 {2 * SHOWN_SIDE} 100"' in html
    assert '<rect class="box" x="200.0" y="20.0" width="200.0" height="40.0">' in html
    assert 'class="point on" d="M300.0 40.0h0"' in html
    assert 'class="point off" d="M10.0 10.0h0"' in html
    path = re.search(r'class="mask"[^>]* d="([^"]*)"', html)
    assert path is not None
    corners = np.array(re.findall(r"[\d.]+", path[1]), dtype=float).reshape(-1, 2)
    assert corners.min(axis=0).tolist() == [200, 20]
    assert corners.max(axis=0).tolist() == [400, 60]


@pytest.mark.parametrize("drawable", [True, False])
def test_every_object_and_tool_can_be_reached_by_keyboard_and_says_what_it_is(drawable: bool) -> None:
    mask = np.ones((4, 4), dtype=bool)
    html = viewer_html(ShownImage("x"), Size(4, 4), [Layer('a "dog"', mask)], "one", drawable=drawable)
    assert 'tabindex="0" role="button" aria-pressed="false" aria-label="a &quot;dog&quot;"' in html
    assert ("Box</button>" in html) is drawable
    assert all(re.search(r">[^<]+<|aria-label", button) for button in re.findall(r"<button.*?</button>", html))
