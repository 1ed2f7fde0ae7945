"""What the page answers, step by step, without a browser."""

import json
import logging
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.errors import InputError
from thinkseg.imaging import load_image, load_mask, mask_from_rle
from thinkseg.models.listening import Listener
from thinkseg.models.pipeline import Pipeline
from thinkseg.serving.guarding import Store
from thinkseg.serving.page import desk as desk_room
from thinkseg.serving.page.choices import Choices, Offered
from thinkseg.serving.page.desk import Desk, PageRequest
from thinkseg.serving.page.scene import FoundScene
from thinkseg.serving.page.showing import Shown
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Completion, FinishReason, Request

from .conftest import TWO, fake


def asked(desk: Desk, source: str | None, query: str = "the dogs", session: str = "") -> PageRequest:
    return PageRequest(source, desk.choices.first, query, session=session)


def final(shown: list[Shown]) -> FoundScene:
    scenes = [one.scene for one in shown if one.scene is not None]
    return scenes[-1]


def files(store: Store) -> list[str]:
    return sorted(path.name for path in store.folder.rglob("photo.*") if path.name != "photo.png")


def test_the_thinking_comes_first_then_the_objects_then_their_files(desk: Desk, photo: str) -> None:
    steps = list(desk.ask(asked(desk, photo)))
    assert any("Thinking …" in (step.verdict_html or "") for step in steps[:-2])
    assert "2 objects found" in (steps[-2].verdict_html or "")
    assert (steps[-2].downloads_html, steps[-1].verdict_html) == ("", None)  # none of an earlier answer
    assert "photo.mask.png" in (steps[-1].downloads_html or "")


def test_what_the_model_thinks_is_told_while_it_thinks(store: Store, photo: str) -> None:
    heard = threading.Event()

    class Patient(FakeReasoner):
        """Waits after its first words until they have been shown."""

        def stream(self, requests: Sequence[Request], listen: Listener) -> list[Completion]:
            def wait(number: int, text: str) -> bool | None:
                told = listen(number, text)
                assert text != "<think>two of" or heard.wait(30)
                return told

            return super().stream(requests, wait)

    pipeline = Pipeline(Patient([TWO]), FakeSegmenter(), get_format("seg-r1"))
    desk = Desk(Choices.of(pipeline), store)
    seen = []
    for step in desk.ask(asked(desk, photo)):
        seen.append(step.thinking_html or "")
        if "two of" in seen[-1]:
            heard.set()
    assert any(">two of<span" in html for html in seen)


def test_the_files_are_named_after_the_image_and_hold_what_was_found(desk: Desk, store: Store, photo: str) -> None:
    list(desk.ask(asked(desk, photo, "the cat")))
    names = ["coco.json", "cutout.png", "index.png", "json", "mask.png", "overlay.png", "shown.webp"]
    assert files(store) == [f"photo.{name}" for name in names]
    folder = next(store.folder.rglob("photo.mask.png")).parent
    mask = load_mask(folder / "photo.mask.png")
    expected = np.zeros((50, 200), dtype=bool)
    expected[5:11, 140:161] = True
    assert (mask == expected).all()
    record = json.loads((folder / "photo.json").read_text())
    assert (record["query"], record["image"], record["count"]) == ("the cat", "photo.png", 1)
    with Image.open(folder / "photo.cutout.png") as cut:
        assert (cut.mode, cut.size) == ("RGBA", (21, 6))
        assert (np.asarray(cut)[..., 3] > 0).sum() == expected.sum()
    coco = json.loads((folder / "photo.coco.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == ["photo.png"]
    assert [category["name"] for category in coco["categories"]] == ["the cat"]
    union = np.logical_or.reduce([mask_from_rle(one["segmentation"]) for one in coco["annotations"]])
    assert (union == expected).all()
    assert load_image(folder / "photo.overlay.png").size == (200, 50)


def test_a_second_query_keeps_the_first_and_its_files_hold_both(desk: Desk, store: Store, photo: str) -> None:
    first = final(list(desk.ask(asked(desk, photo))))
    steps = list(desk.ask(asked(desk, photo, "the cat"), first))
    assert final(steps).count == 3
    latest = max(store.folder.rglob("photo.json"), key=lambda path: path.stat().st_mtime_ns)
    told = json.loads(latest.read_text())
    assert [answer["query"] for answer in told["answers"]] == ["the dogs", "the cat"]
    coco = json.loads((latest.parent / "photo.coco.json").read_text())
    assert [category["name"] for category in coco["categories"]] == ["the dogs", "the cat"]
    assert len(coco["images"]) == 1
    assert len(coco["annotations"]) == 3


def test_another_image_begins_anew(desk: Desk, store: Store, photo: str) -> None:
    first = final(list(desk.ask(asked(desk, photo))))
    other = store.new_folder(None) / "other.png"
    other.parent.mkdir()
    shutil.copy(photo, other)
    assert final(list(desk.ask(asked(desk, str(other), "the cat"), first))).count == 1


def test_what_is_drawn_is_answered_by_the_segmenter_alone(store: Store, photo: str) -> None:
    pipeline = fake()
    desk = Desk(Choices.of(pipeline), store)
    before = final(list(desk.ask(asked(desk, photo, "the cat"))))
    steps = list(desk.refine(asked(desk, photo), before, '[{"object": 1, "box": [0, 0, 50, 25]}]'))
    assert any("1 change applied; 1 object in the image." in (step.verdict_html or "") for step in steps)
    assert final(steps).records[0]["objects"][0]["box"] == [0, 0, 50, 25]
    assert isinstance(pipeline.reasoner, FakeReasoner)
    assert len(pipeline.reasoner.requests) == 1
    assert "Nothing is drawn yet" in (list(desk.refine(asked(desk, photo), before, "[]"))[-1].verdict_html or "")


def test_a_model_that_is_stopped_writes_no_more_and_is_told_as_stopped(store: Store, photo: str) -> None:
    class Endless(FakeReasoner):
        def stream(self, requests: Sequence[Request], listen: Listener) -> list[Completion]:
            text = "<think>"
            while listen(0, text) is not False:
                text += "on and "
            return [Completion(text, FinishReason.LENGTH)]

    desk = Desk(Choices.of(Pipeline(Endless([]), FakeSegmenter(), get_format("seg-r1"))), store)
    steps = []
    for step in desk.ask(asked(desk, photo, session="mine")):
        steps.append(step)
        desk.stop("another's")
        if "on and" in (step.thinking_html or ""):
            desk.stop("mine")
    assert any("<strong>Stopped</strong>" in (step.verdict_html or "") for step in steps)


def test_a_page_that_is_left_stops_its_model(store: Store, photo: str) -> None:
    ended = threading.Event()

    class Endless(FakeReasoner):
        def stream(self, requests: Sequence[Request], listen: Listener) -> list[Completion]:
            text = "<think>"
            while listen(0, text) is not False:
                text += "on and "
            ended.set()
            return [Completion(text, FinishReason.LENGTH)]

    desk = Desk(Choices.of(Pipeline(Endless([]), FakeSegmenter(), get_format("seg-r1"))), store)
    steps = desk.ask(asked(desk, photo))
    for step in steps:
        if "on and" in (step.thinking_html or ""):
            break
    steps.close()  # type: ignore[attr-defined]
    assert ended.wait(30)


def test_only_the_files_of_the_last_answers_are_kept(desk: Desk, store: Store, photo: str) -> None:
    for _ in range(desk_room.KEPT_ANSWERS + 2):
        list(desk.ask(asked(desk, photo)))
    assert len(list(store.folder.rglob("photo.mask.png"))) == desk_room.KEPT_ANSWERS


@pytest.mark.parametrize(
    ("name", "query", "sentence"),
    [
        (None, "x", "choose an image first"),
        ("gone.png", "x", "choose an image first"),
        ("broken.png", "x", "is not an image of a kind that can be read"),
        ("photo.png", " ", "the query is empty"),
    ],
)
def test_what_is_wrong_with_a_request_is_a_sentence_that_names_no_folder(
    desk: Desk, store: Store, photo: str, name: str | None, query: str, sentence: str
) -> None:
    folder = Path(photo).parent
    (folder / "broken.png").write_text("no image")
    source = str(folder / name) if name else None
    (page,) = desk.ask(asked(desk, source, query))
    told = page.verdict_html or ""
    assert 'class="verdict error"' in told
    assert sentence in told.lower()  # the page begins it in upper case
    assert str(folder) not in told
    assert page == Shown(told)
    assert list(store.folder.iterdir()) == [folder]
    with pytest.raises(InputError, match=sentence) as error:
        desk.result(asked(desk, source, query))
    assert str(folder) not in str(error.value)


def test_only_what_was_uploaded_can_be_asked_about_and_no_request_learns_which_files_there_are(
    desk: Desk, photo: str, tmp_path: Path
) -> None:
    shutil.copy(photo, tmp_path / "private.png")
    (Path(photo).parent / "link.png").symlink_to(tmp_path / "private.png")
    elsewhere = [
        str(tmp_path / "private.png"),
        str(tmp_path / "no-such-file.png"),
        f"{photo}/../../../private.png",
        str(Path(photo).parent / "link.png"),
        str(desk.store.folder),
        "http://127.0.0.1:9/photo.png",
        "a\0b",
        "/dev/zero",
    ]
    said = {tuple(desk.ask(asked(desk, path))) for path in elsewhere}
    assert said == {tuple(desk.ask(asked(desk, None)))}


def test_a_fault_of_the_machine_is_a_sentence_and_is_logged(
    store: Store, photo: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Request) -> str:
        raise RuntimeError("out of <memory>")

    desk = Desk(Choices.of(Pipeline(FakeReasoner(fail), FakeSegmenter(), get_format("seg-r1"))), store)
    with caplog.at_level(logging.ERROR):
        *_, page = desk.ask(asked(desk, photo))
    assert "RuntimeError: out of &lt;memory&gt;. The server&#x27;s log has more." in (page.verdict_html or "")
    assert "Traceback" in caplog.text


def test_a_model_is_loaded_when_it_is_asked_for_and_once(store: Store, photo: str) -> None:
    loaded: list[str] = []

    def load() -> Pipeline:
        loaded.append("second")
        return fake()

    desk = Desk(Choices({"first": Offered(fake), "second": Offered(load)}), store)
    assert loaded == []
    choice = desk.choices.named("second")
    for loads in (True, False):
        steps = list(desk.ask(PageRequest(photo, choice, "the cat")))
        assert any("Loading …" in (step.verdict_html or "") for step in steps) is loads
    assert loaded == ["second"]
    assert desk.result(PageRequest(photo, choice, "the cat")).model == {"name": "second"}
