"""A function of CVAT, loaded and held to its contract by the real cvat-sdk."""

import logging
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.errors import InputError, MissingExtraError
from thinkseg.integrations.cvat import Detector, create
from thinkseg.models.pipeline import Pipeline
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Size

BOX = "<think>here</think><bbox>[1,1,8,8]</bbox><points>[[4,4]]</points><labels>[1]</labels>"
OUTSIDE = "<think>there</think><bbox>[20,4,20,6]</bbox><points>[[20,4]]</points><labels>[1]</labels>"
NOTHING = "<think>none</think><bbox></bbox><points></points><labels></labels>"
IMAGE = Image.new("RGB", (20, 10), (200, 30, 30))


@dataclass
class Context:
    """What CVAT's driver hands over."""

    conf_threshold: float | None = None
    conv_mask_to_poly: bool = False
    frame_name: str = "a.png"


def pipeline() -> Pipeline:
    def say(request: Any) -> str:
        query = request.instruction.user
        return NOTHING if "person" in query else OUTSIDE if "dot" in query else BOX

    reasoner = FakeReasoner(say, Size(20, 10))
    return Pipeline(reasoner, FakeSegmenter(score=0.5), get_format("seg-r1"))


@pytest.fixture
def cvat() -> Any:
    return pytest.importorskip("cvat_sdk.auto_annotation", reason="pip install 'thinkseg[cvat]'")


def test_masks_are_in_cvats_own_run_lengths_under_the_label_whose_query_found_them(cvat: Any) -> None:
    masks = pytest.importorskip("cvat_sdk.masks")
    function = create("person; car = the red car", pipeline())
    assert isinstance(function.spec, cvat.DetectionFunctionSpec)
    assert [(label.id, label.name, label.type) for label in function.spec.labels] == [
        (0, "person", "mask"),
        (1, "car", "mask"),
    ]
    (shape,) = function.detect(Context(), IMAGE)
    assert (shape.label_id, shape.frame, shape.type.value) == (1, 0, "mask")
    expected = np.zeros((10, 20), dtype=bool)
    expected[1:9, 1:9] = True
    assert np.array_equal(masks.decode_mask(shape.points, image_width=20, image_height=10), expected)


def test_polygons_and_boxes_are_in_pixels_and_masks_become_polygons_where_cvat_wants_them(cvat: Any) -> None:
    for function, context in (
        (create("car", pipeline(), "polygon"), Context()),
        (create("car", pipeline()), Context(conv_mask_to_poly=True)),
    ):
        (shape,) = function.detect(context, IMAGE)
        assert shape.type.value == "polygon"
        points = sorted(zip(shape.points[::2], shape.points[1::2], strict=True))
        assert points == [(1, 1), (1, 9), (9, 1), (9, 9)]
    (shape,) = create("car", pipeline(), "rectangle").detect(Context(), IMAGE)
    assert (shape.type.value, shape.points) == ("rectangle", [1, 1, 8, 8])
    assert create("a dot", pipeline(), "rectangle").detect(Context(), IMAGE) == []


def test_objects_below_the_least_score_are_left_out(cvat: Any) -> None:
    function = create("car", pipeline())
    assert len(function.detect(Context(0.5), IMAGE)) == 1
    assert function.detect(Context(0.6), IMAGE) == []


def test_the_driver_of_cvat_takes_its_shapes_and_puts_the_tasks_labels_in(cvat: Any) -> None:
    driver = pytest.importorskip("cvat_sdk.auto_annotation.driver")
    models = pytest.importorskip("cvat_sdk.models")
    function = create("person; car", pipeline())
    mapper = driver._AnnotationMapper(
        logging.getLogger("test"),
        function.spec.labels,
        [models.Label(id=70, name="car", type="mask", attributes=[], sublabels=[])],
        allow_unmatched_labels=True,
        spec_nm=driver._SpecNameMapping(labels={"car": driver._LabelNameMapping("car")}),
        conv_mask_to_poly=False,
    )
    shapes = function.detect(Context(), IMAGE)
    mapper.validate_and_remap(shapes, 3)
    assert [(shape.label_id, shape.frame, str(shape.type)) for shape in shapes] == [(70, 3, "mask")]


@pytest.mark.parametrize(
    ("queries", "shape", "sentence"),
    [
        ("", "mask", "expected 'queries' as labels, each once"),
        ("car=a; car=b", "mask", "expected 'queries' as labels, each once"),
        ("car", "cuboid", "expected 'shape' as one of mask, polygon, rectangle, found 'cuboid'"),
    ],
)
def test_what_is_wrong_with_the_parameters_is_a_sentence(cvat: Any, queries: str, shape: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        create(queries, pipeline(), shape)


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cvat_sdk", None)
    monkeypatch.delitem(sys.modules, "cvat_sdk.auto_annotation", raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install 'thinkseg\[cvat\]'"):
        create("car", pipeline())
    with pytest.raises(MissingExtraError, match="'cvat-sdk' is needed for a function of CVAT"):
        Detector(pipeline(), {"car": "car"})
