"""What a page says of each kind of answer."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.imaging import load_mask, mask_from_rle
from thinkseg.models.pipeline import Pipeline
from thinkseg.serving.showing import SHOWN_SIDE, Shown, show_answer
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Completion, FinishReason, Size

TWO = (
    "<think>two of them</think><bbox>[10,20,40,60]</bbox><bbox>[50,50,90,90]</bbox>"
    "<points>[[20,30],[60,60],[85,85]]</points><labels>[1,1,0]</labels>"
)
NOTHING = "<think>no dog</think><bbox></bbox><points></points><labels></labels>"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", (200, 50), (90, 120, 60)).save(path)
    return path


def shown(said: str | Completion, photo: Path | None, query: str = "the dogs") -> Shown:
    pipeline = Pipeline(FakeReasoner([said], Size(100, 100)), FakeSegmenter(), get_format("seg-r1"))
    folder = photo.parent / "files" if photo else Path("nowhere")
    return show_answer(pipeline, photo, query, folder, {"name": "fake"})


def test_objects_are_drawn_counted_listed_and_kept_as_files(photo: Path) -> None:
    page = shown(TWO, photo)
    assert "2 objects found" in page.verdict_html
    assert page.thinking == "two of them"
    assert page.text == TWO
    assert page.table_html.count("<tr>") == 1 + 2
    assert "20, 10, 80, 30" in page.table_html
    assert "(170, 42) beside" in page.table_html
    assert page.image is not None
    assert page.image.size == (200, 50)
    assert (np.asarray(page.image) != (90, 120, 60)).any()
    assert page.mask is not None
    assert page.index is not None
    assert page.record is not None
    record = json.loads(page.record.read_text())
    masks = [mask_from_rle(found["mask"]) for found in record["objects"]]
    assert (load_mask(page.mask) == masks[0] | masks[1]).all()
    assert (np.asarray(Image.open(page.index)) == masks[0] + 2 * masks[1].astype(int)).all()
    assert record["query"] == "the dogs"
    assert record["model"] == {"name": "fake"}


def test_an_abstention_is_told_as_one_and_leaves_the_image_as_it_is(photo: Path) -> None:
    page = shown(NOTHING, photo, "a dog")
    assert 'class="verdict nothing"' in page.verdict_html
    assert "The model sees nothing that “a dog” asks for." in page.verdict_html
    assert page.table_html == ""
    assert page.thinking == "no dog"
    assert page.image is not None
    assert (np.asarray(page.image) == (90, 120, 60)).all()


def test_a_parse_failure_is_told_as_one_with_its_reason_and_its_text(photo: Path) -> None:
    page = shown(Completion("<think>hm", FinishReason.LENGTH), photo)
    assert 'class="verdict unreadable"' in page.verdict_html
    assert "The model ran into the length limit before it finished its answer." in page.verdict_html
    assert page.text == "<think>hm"
    assert page.record is not None
    assert json.loads(page.record.read_text())["failure"] == "truncated"


@pytest.mark.parametrize(
    ("name", "query", "sentence"),
    [
        (None, "x", "choose an image first"),
        ("gone.png", "x", "found no such file"),
        ("broken.png", "x", "is not an image of a kind that can be read"),
        ("photo.png", " ", "the query is empty"),
    ],
)
def test_what_is_wrong_with_a_request_is_a_sentence(photo: Path, name: str | None, query: str, sentence: str) -> None:
    (photo.parent / "broken.png").write_text("no image")
    page = shown(TWO, photo.parent / name if name else None, query)
    assert 'class="verdict error"' in page.verdict_html
    assert sentence in page.verdict_html
    assert str(photo.parent) not in page.verdict_html
    assert page == Shown(None, page.verdict_html)
    assert not (photo.parent / "files").exists()


def test_nothing_that_is_said_becomes_a_part_of_the_page(photo: Path) -> None:
    script = "<script>alert(1)</script>"
    for said in (TWO, NOTHING, "<bbox>" + script):
        page = shown(said, photo, script)
        assert "<script" not in page.verdict_html + page.table_html


def test_a_large_image_is_shown_smaller_and_kept_whole(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("RGB", (2 * SHOWN_SIDE, 100)).save(path)
    page = shown(TWO, path)
    assert page.image is not None
    assert page.image.size == (SHOWN_SIDE, 50)
    assert page.mask is not None
    assert load_mask(page.mask).shape == (100, 2 * SHOWN_SIDE)
