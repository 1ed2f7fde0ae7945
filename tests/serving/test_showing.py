"""What a page says of each kind of answer."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.imaging import load_mask
from thinkseg.models.pipeline import Pipeline
from thinkseg.results.result import Result
from thinkseg.serving.showing import SHOWN_SIDE, Shown, show_error, show_result
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


def asked(said: str | Completion, photo: Path | str, query: str = "the dogs", score: float | None = None) -> Result:
    reasoner = FakeReasoner([said], Size(100, 100))
    return Pipeline(reasoner, FakeSegmenter(score=score), get_format("seg-r1")).segment(photo, query)


def shown(said: str | Completion, photo: Path, query: str = "the dogs") -> Shown:
    return show_result(asked(said, photo, query))


def test_objects_are_drawn_counted_and_listed(photo: Path) -> None:
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
    assert (page.mask, page.index, page.record) == (None, None, None)


def test_scores_have_a_column_where_there_are_any(photo: Path) -> None:
    assert "score" not in shown(TWO, photo).table_html
    assert show_result(asked(TWO, photo, score=0.756)).table_html.count("<td>0.76</td>") == 2


def test_the_files_that_were_written_can_be_downloaded(photo: Path, tmp_path: Path) -> None:
    result = asked(TWO, photo)
    page = show_result(result, result.save(tmp_path / "files", "thinkseg", index=True))
    assert page.mask is not None
    assert (load_mask(page.mask) == result.mask).all()
    assert page.index is not None
    assert (np.asarray(Image.open(page.index)) == result.masks[0] + 2 * result.masks[1].astype(int)).all()
    assert page.record is not None
    assert json.loads(page.record.read_text())["query"] == "the dogs"


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


def test_an_error_is_a_sentence_without_anything_to_keep() -> None:
    page = show_error("no <such> file")
    assert 'class="verdict error"' in page.verdict_html
    assert "no &lt;such&gt; file" in page.verdict_html
    assert page == Shown(None, page.verdict_html)


def test_nothing_that_is_said_becomes_a_part_of_the_page(photo: Path) -> None:
    script = "<script>alert(1)</script>"
    for said in (TWO, NOTHING, "<bbox>" + script):
        page = shown(said, photo, script)
        assert "<script" not in page.verdict_html + page.table_html


def test_a_large_image_is_shown_smaller(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("RGB", (2 * SHOWN_SIDE, 100)).save(path)
    page = shown(TWO, path)
    assert page.image is not None
    assert page.image.size == (SHOWN_SIDE, 50)
