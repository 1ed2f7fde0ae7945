"""What a user has of an answer: everything in pixels of the image."""

import json
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.drawing import overlay
from thinkseg.errors import InputError, MissingExtraError
from thinkseg.imaging import load_image
from thinkseg.models.pipeline import Pipeline
from thinkseg.results.result import FoundObject, Result
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Box, Failure, Point, Size

IMAGE = Image.new("RGB", (80, 40), (90, 120, 60))
TWO = (
    "<think> two of them </think><bbox>[10,20,40,60]</bbox><bbox>[50,50,90,90]</bbox>"
    "<points>[[20,30],[60,60],[85,85]]</points><labels>[1,1,0]</labels>"
)
NOTHING = "<think>no dog</think><bbox></bbox><points></points><labels></labels>"
ON_IT = "<think>there</think><points>[[50,50]]</points><labels>[1]</labels>"  # a format that has no boxes


def asked(said: str, image: Image.Image | Path = IMAGE, score: float | None = 0.75, form: str = "seg-r1") -> Result:
    pipeline = Pipeline(FakeReasoner([said], Size(100, 100)), FakeSegmenter(score=score), get_format(form))
    return pipeline.segment(image, "the dogs")


def test_boxes_and_points_are_in_pixels_of_the_image_whatever_frame_the_model_used() -> None:
    result = asked(TWO)
    assert result.boxes == (Box(8, 8, 32, 24), Box(40, 20, 72, 36))
    assert result.points == ((Point(16, 12),), (Point(48, 24), Point(68, 34, label=0)))
    assert result.labels == ((1,), (1, 0))
    assert result.answer is not None
    assert result.answer.frame == Size(100, 100)
    assert result.answer.objects[0].box == Box(10, 20, 40, 60)


def test_the_objects_have_their_masks_and_scores() -> None:
    result = asked(TWO)
    assert [found.number for found in result.objects] == [1, 2]
    assert [found.score for found in result.objects] == [0.75, 0.75]
    assert all((found.mask == mask).all() for found, mask in zip(result.objects, result.masks, strict=True))
    assert [found.area for found in result.objects] == [int(mask.sum()) for mask in result.masks]
    assert (result.mask == (result.masks[0] | result.masks[1])).all()
    assert [found.score for found in asked(TWO, score=None).objects] == [None, None]
    assert asked(TWO, score=None).scores is None


@pytest.mark.parametrize(
    ("box", "outer"),
    [
        (Box(1, 2, 6, 7), Box(1, 2, 6, 7)),
        (Box(1, 2, 60, 70), Box(1, 2, 20, 10)),
        (Box(1, 2, 1, 7), Box(3, 4, 5, 6)),
        (Box(30, 2, 60, 7), Box(3, 4, 5, 6)),
        (None, Box(3, 4, 5, 6)),
    ],
)
def test_the_outer_box_has_an_area_within_the_image(box: Box | None, outer: Box) -> None:
    mask = np.zeros((10, 20), dtype=bool)
    mask[4:6, 3:5] = True
    points = (Point(3, 4, 1),)
    assert FoundObject(1, box, points, mask, None).outer_box == outer
    emptied = FoundObject(1, box, points, np.zeros_like(mask), None).outer_box
    assert emptied == (outer if outer != Box(3, 4, 5, 6) else None)


def test_found_nothing_there_and_unreadable_are_three_things() -> None:
    told = [(r.found, r.nothing_there, r.failure) for r in (asked(TWO), asked(NOTHING), asked("hm"))]
    assert told == [(True, False, None), (False, True, None), (False, False, Failure.MALFORMED_ANSWER)]
    unreadable = asked("hm")
    assert (unreadable.answer, unreadable.thinking, unreadable.text) == (None, "", "hm")
    assert unreadable.failure_detail
    assert unreadable.objects == unreadable.boxes == unreadable.points == ()
    assert unreadable.mask.shape == (40, 80)
    assert not unreadable.mask.any()
    assert asked(TWO).thinking == "two of them"


def test_an_overlay_has_the_images_size_or_the_one_that_is_wanted() -> None:
    result = asked(TWO)
    assert result.overlay().tobytes() == overlay(IMAGE, result.masks, result.answer).tobytes()
    assert result.overlay(20).size == (20, 10)
    assert result.overlay(800).size == IMAGE.size
    assert IMAGE.getcolors() == [(80 * 40, (90, 120, 60))]  # the image itself stays as it was


def test_a_cutout_is_transparent_around_the_objects_and_cropped_if_wanted() -> None:
    result = asked(TWO)
    whole = result.cutout(crop=False)
    assert (whole.mode, whole.size) == ("RGBA", IMAGE.size)
    pixels = np.asarray(whole)
    assert ((pixels[..., 3] == 255) == result.mask).all()
    assert set(np.unique(pixels[..., 3])) == {0, 255}
    assert (pixels[..., :3] == (90, 120, 60)).all()
    cropped = result.cutout()
    rows, columns = np.flatnonzero(result.mask.any(1)), np.flatnonzero(result.mask.any(0))
    assert cropped.tobytes() == whole.crop((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)).tobytes()
    nothing = asked(NOTHING).cutout()
    assert nothing.size == IMAGE.size
    assert not np.asarray(nothing)[..., 3].any()


def test_saving_writes_what_the_verb_writes_and_can_be_read_back(tmp_path: Path) -> None:
    path = tmp_path / "two.dogs.png"
    IMAGE.save(path)
    result = asked(TWO, path)
    files = result.save(tmp_path / "cut", index=True, instances=True)
    assert [file.name for file in files] == [
        *("two.dogs.mask.png", "two.dogs.overlay.png", "two.dogs.index.png"),
        *("two.dogs.object-1.png", "two.dogs.object-2.png", "two.dogs.json"),
    ]
    assert all(file.is_file() for file in files)
    record = json.loads(files[-1].read_text())
    assert record == result.to_record()
    again = Result.from_record(record, load_image(path))
    assert (again.masks == result.masks).all()
    assert (again.boxes, again.points, again.query) == (result.boxes, result.points, result.query)
    assert again.scores is not None
    assert again.scores.tolist() == [0.75, 0.75]
    assert again.to_record() == record


@pytest.mark.parametrize("said", [TWO, NOTHING, "hm"])
@pytest.mark.parametrize("score", [None, 0.5])
def test_a_record_is_all_that_a_result_needs_besides_its_image(said: str, score: float | None) -> None:
    result = asked(said, score=score)
    again = Result.from_record(json.loads(json.dumps(result.to_record())), IMAGE)
    assert again.to_record() == result.to_record()
    assert (again.failure, again.text, again.found) == (result.failure, result.text, result.found)
    assert repr(again) == repr(result)


def test_a_record_of_a_version_without_scores_is_read() -> None:
    record = asked(TWO).to_record()
    for found in record["objects"]:
        del found["score"]
    assert Result.from_record(record, IMAGE).scores is None


def test_saving_again_replaces_a_result_and_nothing_else(tmp_path: Path) -> None:
    assert [file.name for file in asked(TWO).save(tmp_path)] == ["image.mask.png", "image.overlay.png", "image.json"]
    asked(NOTHING).save(tmp_path)
    assert json.loads((tmp_path / "image.json").read_text())["count"] == 0
    (tmp_path / "labels.json").write_text('{"shapes": []}')
    with pytest.raises(InputError, match=r"labels\.json' is there and is no result"):
        asked(TWO).save(tmp_path, "labels")
    path = tmp_path / "a.mask.png"
    IMAGE.save(path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="would overwrite its image"):
        asked(TWO, path).save(tmp_path, "a")
    assert path.read_bytes() == before
    with pytest.raises(InputError, match="cannot be written into"):
        asked(TWO).save(path)


def test_a_notebook_shows_the_overlay_and_a_line_says_what_came_of_it() -> None:
    result = asked(TWO, Image.new("RGB", (3000, 30)))
    shown = Image.open(BytesIO(result._repr_png_()))
    assert (shown.format, shown.width) == ("PNG", 1024)
    assert repr(result) == "<Result: 'the dogs' in image, 3000×30: 2 objects>"
    assert repr(asked(NOTHING)).endswith(": nothing there>")
    assert repr(asked("hm")).endswith(": malformed_answer>")


def test_it_is_described_as_the_verb_does() -> None:
    assert asked(TWO).describe() == [
        "thinking: two of them",
        "2 objects",
        "object 1: box 8 8 32 24; points on it (16, 12); mask covers 13% of the image, score 0.75",
        "object 2: box 40 20 72 36; points on it (48, 24); points beside it (68, 34); "
        "mask covers 16% of the image, score 0.75",
    ]


def test_without_supervision_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'thinkseg\[supervision\]'"):
        asked(TWO).to_supervision()


@pytest.mark.filterwarnings("ignore")  # its own dependencies warn as they are imported
def test_supervision_takes_the_detections() -> None:
    supervision = pytest.importorskip("supervision", reason="pip install 'thinkseg[supervision]'")
    result = asked(TWO)
    detections = result.to_supervision()
    assert isinstance(detections, supervision.Detections)
    assert detections.xyxy.tolist() == [list(box.xyxy) for box in result.boxes if box is not None]
    assert (np.asarray(detections.mask) == result.masks).all()
    assert detections.confidence.tolist() == [0.75, 0.75]
    assert detections.data["class_name"].tolist() == ["the dogs", "the dogs"]
    drawn = supervision.MaskAnnotator().annotate(np.asarray(IMAGE).copy(), detections)
    assert ((drawn != np.asarray(IMAGE)).any(axis=-1) == result.mask).all()
    assert len(asked(NOTHING).to_supervision()) == 0
    assert asked(TWO, score=None).to_supervision().confidence is None


@pytest.mark.filterwarnings("ignore")
def test_an_object_without_a_box_is_detected_around_its_mask() -> None:
    pytest.importorskip("supervision", reason="pip install 'thinkseg[supervision]'")
    result = asked(ON_IT, form="seg-r1-points")
    assert result.boxes == (None,)
    rows, columns = np.flatnonzero(result.mask.any(1)), np.flatnonzero(result.mask.any(0))
    around = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    assert result.to_supervision().xyxy.tolist() == [around]
