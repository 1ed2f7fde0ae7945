"""A segmenter for the tests of the rewards."""

import numpy as np
import pytest

from thinkseg.types import Segmentation


class BoxSegmenter:
    """Fills boxes, and a 3×3 square around the points of objects without one; counts its calls."""

    def __init__(self):
        self.calls = []

    def segment(self, image, answers):
        self.calls.append(list(answers))
        return [Segmentation(self._masks(image, answer)) for answer in answers]

    def _masks(self, image, answer):
        masks = np.zeros((len(answer.objects), image.height, image.width), bool)
        for mask, prompt in zip(masks, answer.objects, strict=True):
            if prompt.box is not None:
                x_min, y_min, x_max, y_max = (int(value) for value in prompt.box.xyxy)
                mask[y_min : y_max + 1, x_min : x_max + 1] = True
            else:
                for point in prompt.points:
                    mask[int(point.y) - 1 : int(point.y) + 2, int(point.x) - 1 : int(point.x) + 2] = point.label == 1
        return masks


@pytest.fixture
def segmenter():
    return BoxSegmenter()
