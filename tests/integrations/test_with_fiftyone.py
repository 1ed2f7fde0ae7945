"""A model of FiftyOne, held to its contract by the real package; `make test-fiftyone` has it.

A data set needs FiftyOne's database: ``FIFTYONE_DATABASE_URI`` names one that runs.
"""

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.errors import InputError, MissingExtraError
from thinkseg.models.pipeline import Pipeline
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Size

BOX = "<think>here</think><bbox>[2,1,11,6]</bbox><points>[[4,4]]</points><labels>[1]</labels>"
NOTHING = "<think>none</think><bbox></bbox><points></points><labels></labels>"
IMAGE = np.full((10, 20, 3), 200, dtype=np.uint8)
LACKS = importlib.util.find_spec("fiftyone") is None


def say(request: Any) -> str:
    query = request.instruction.user
    return "what?" if "babble" in query else NOTHING if "nothing" in query else BOX


def pipeline() -> Pipeline:
    return Pipeline(FakeReasoner(say, Size(20, 10)), FakeSegmenter(score=0.5), get_format("seg-r1"))


@pytest.mark.skipif(not LACKS, reason="FiftyOne is here")
def test_without_fiftyone_it_is_said_how_to_get_it() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'thinkseg\[fiftyone\]'"):
        importlib.import_module("thinkseg.integrations.fiftyone")


@pytest.fixture
def ours() -> Any:
    if LACKS:
        pytest.skip("FiftyOne has an environment of its own: make test-fiftyone")
    return importlib.import_module("thinkseg.integrations.fiftyone")


@pytest.mark.fiftyone
def test_objects_are_detections_whose_masks_fill_their_boxes(ours: Any) -> None:
    import fiftyone as fo
    from fiftyone.core.models import Model

    model = ours.load_model(pipeline(), "the red thing")
    assert isinstance(model, Model)
    assert (model.media_type, model.ragged_batches, model.transforms) == ("image", False, None)
    found = model.predict(IMAGE)
    assert isinstance(found, fo.Detections)
    assert (found.thinking, found.nothing_there, found.failure) == ("here", False, None)
    (thing,) = found.detections
    assert (thing.label, thing.confidence, thing.thinking) == ("the red thing", 0.5, "here")
    # The fake segmenter fills columns 2 to 11 of rows 1 to 6: FiftyOne's own code makes the mask of the image of it.
    assert np.allclose(thing.bounding_box, [0.1, 0.1, 0.5, 0.6])
    assert thing.mask.shape == (6, 10)
    whole = thing.to_segmentation(frame_size=(20, 10)).mask > 0
    expected = np.zeros((10, 20), dtype=bool)
    expected[1:7, 2:12] = True
    assert np.array_equal(whole, expected)


@pytest.mark.fiftyone
def test_many_images_are_predicted_by_the_queries_of_their_samples(ours: Any) -> None:
    import fiftyone as fo

    model = ours.load_model(pipeline(), "it")
    model.needs_fields = {"query_field": "wanted"}
    samples = [fo.Sample(filepath=f"{name}.png", wanted=name) for name in ("a", "nothing", "babble")]
    found = model.predict_all([IMAGE] * 3, samples)
    assert [[thing.label for thing in each.detections] for each in found] == [["a"], [], []]
    assert [(each.nothing_there, each.failure) for each in found[1:]] == [(True, None), (False, "malformed_answer")]
    (own,) = model.predict_all([IMAGE], [fo.Sample(filepath="d.png", wanted=None)])
    assert own.detections[0].label == "it"
    with pytest.raises(InputError, match="expected a query: load_model"):
        ours.load_model(pipeline()).predict(IMAGE)


@pytest.mark.fiftyone
def test_a_data_set_is_predicted_by_apply_model(ours: Any, tmp_path: Path) -> None:
    import fiftyone as fo

    if "FIFTYONE_DATABASE_URI" not in os.environ:
        pytest.skip("a data set needs FiftyOne's database: FIFTYONE_DATABASE_URI")
    data = fo.Dataset()
    try:
        for name in ("a", "nothing"):
            Image.fromarray(IMAGE).save(tmp_path / f"{name}.png")
            data.add_sample(fo.Sample(filepath=str(tmp_path / f"{name}.png"), wanted=name))
        for size in (None, 2):
            data.apply_model(
                ours.load_model(pipeline()), label_field="found", query_field="wanted", batch_size=size,
                skip_failures=False, progress=False,
            )  # fmt: skip
            assert data.values("found.detections.label") == [["a"], []]
            assert data.values("found.nothing_there") == [False, True]
            assert data.first().found.detections[0].mask.shape == (6, 10)
    finally:
        data.delete()
