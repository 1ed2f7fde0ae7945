"""Where the truth comes from: rows of a data set and records of a file."""

import numpy as np
import pytest
from PIL import Image

from thinkseg.errors import DataError
from thinkseg.rewards import Truth, objects_from_record, truth_from_row
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Size

TARGET = np.zeros((6, 8), bool)
TARGET[1:4, 2:7] = True


@pytest.mark.parametrize(
    "target",
    [
        TARGET,
        Image.fromarray(TARGET),
        Image.fromarray(TARGET.astype(np.uint8) * 255),
        TARGET.astype(np.uint8),
        TARGET.tolist(),
    ],
    ids=["array", "bit image", "grey image", "numbers", "list"],
)
def test_a_target_is_read_from_whatever_a_data_set_holds(target):
    truth = truth_from_row({"target": [None, target]}, 1)
    assert truth.mask.dtype == bool
    assert (truth.mask == TARGET).all()
    assert truth_from_row({"target": [None, target]}, 0).mask is None


def test_the_image_is_the_column_image_or_the_first_of_images():
    first, second = Image.new("RGB", (8, 6)), Image.new("RGB", (4, 4))
    assert truth_from_row({"image": [first], "images": [[second]]}, 0).image is first
    assert truth_from_row({"images": [[second, first]]}, 0).image is second
    assert truth_from_row({"task": ["salient"]}, 0).image is None


@pytest.mark.parametrize(
    "instances",
    [np.stack([TARGET, ~TARGET]), [TARGET, ~TARGET], [Image.fromarray(TARGET), Image.fromarray(~TARGET)]],
    ids=["array", "list of arrays", "list of images"],
)
def test_instances_are_read_from_whatever_a_data_set_holds(instances):
    truth = truth_from_row({"instances": [None, instances]}, 1)
    assert (truth.instances == np.stack([TARGET, ~TARGET])).all()
    assert truth_from_row({"instances": [None, instances]}, 0).instances is None


def test_instances_of_two_sizes_are_a_sentence():
    with pytest.raises(DataError, match="found different sizes"):
        truth_from_row({"instances": [[TARGET, TARGET[:3]]]}, 0)


def test_no_instances_say_that_nothing_is_there_where_their_size_is_known():
    assert truth_from_row({"instances": [np.zeros((0, 6, 8), bool)]}, 0).objects == Answer(Size(8, 6))
    assert truth_from_row({"instances": [[]]}, 0).instances is None
    assert truth_from_row({"instances": [[]], "target": [np.zeros((6, 8), bool)]}, 0).instances.shape == (0, 6, 8)


def test_what_follows_from_the_rest_of_a_truth_need_not_be_said():
    union = Truth(instances=np.stack([TARGET, np.roll(TARGET, 2)]))
    assert (union.mask == (TARGET | np.roll(TARGET, 2))).all()
    assert union.objects is None
    assert Truth(mask=TARGET).instances is None
    empty = Truth(mask=np.zeros((6, 8), bool))
    assert empty.objects == Answer(Size(8, 6))
    assert empty.instances.shape == (0, 6, 8)
    nothing = Truth(objects=Answer(Size(840, 840)), image=Image.new("RGB", (8, 6)))
    assert nothing.mask.shape == (6, 8)
    assert Truth(objects=Answer(Size(9, 7))).mask.shape == (7, 9)
    assert Truth().mask is Truth().objects is None


def test_a_reference_answer_in_a_column_is_the_true_objects():
    reference = Answer(Size(8, 6))
    assert truth_from_row({"reference": [reference]}, 0).objects is reference
    row = {"frame": [[8, 6]], "box": [[2, 1, 6, 3]], "points": [[[4, 2]]]}
    assert truth_from_row(row, 0).objects.objects[0].points == (Point(4.0, 2.0),)


def test_a_record_has_one_box_with_points_or_a_list_of_objects():
    box = Box(2.0, 1.0, 6.0, 3.0)
    one = {"frame": [8, 6], "box": [2, 1, 6, 3], "points": [[4, 2], [5, 3]]}
    assert objects_from_record(one) == Answer(Size(8, 6), (ObjectPrompt(box, (Point(4.0, 2.0), Point(5.0, 3.0))),))
    listed = {"frame": [8, 6], "objects": [{"bbox_2d": [2, 1, 6, 3], "point_2d": [4, 2]}]}
    assert objects_from_record(listed) == Answer(Size(8, 6), (ObjectPrompt(box, (Point(4.0, 2.0),)),))
    assert objects_from_record({"frame": [8, 6], "objects": []}) == Answer(Size(8, 6))
    assert objects_from_record({"frame": [8, 6]}) is None


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ({"box": [1, 2, 3, 4]}, r"expected 'frame' as \[width, height\], found None"),
        ({"frame": [8], "box": [1, 2, 3, 4]}, r"expected 'frame' as \[width, height\], found \[8\]"),
        ({"frame": [8, 6], "box": [1, 2, 3]}, "expected object 1 as 'box'"),
        ({"frame": [8, 6], "box": [3, 2, 1, 4]}, "x_min, y_min, x_max, y_max in this order"),
        ({"frame": [8, 6], "box": [1, 2, 3, 4], "points": [1, 2]}, "expected object 1 as 'box'"),
        ({"frame": [8, 6], "objects": [{"bbox_2d": [1, 2, 3, 4]}]}, "object 1 has no key 'point_2d'"),
        ({"frame": [8, 6], "objects": 3}, "expected 'objects' as a list, found 3"),
    ],
)
def test_a_truth_that_is_not_as_described_is_a_sentence(record, sentence):
    with pytest.raises(DataError, match=sentence):
        objects_from_record(record)
