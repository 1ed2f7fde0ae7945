"""The demo without a browser: what its handlers do, and that it keeps to this machine. With one: `test_page.py`."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.cli import main
from thinkseg.errors import MissingExtraError
from thinkseg.imaging import load_image, load_mask
from thinkseg.models.pipeline import Pipeline
from thinkseg.serving import demo
from thinkseg.serving.demo import Address, Desk, require_gradio
from thinkseg.serving.examples import write_examples
from thinkseg.serving.guarding import Store
from thinkseg.serving.showing import Shown
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Request

ANSWER = "<think>there</think><bbox>[1,1,8,8]</bbox><points>[[4,4]]</points><labels>[1]</labels>"


def fake(said: str = ANSWER) -> Pipeline:
    return Pipeline(FakeReasoner(lambda _: said), FakeSegmenter(), get_format("seg-r1"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "files")


@pytest.fixture
def photo(store: Store) -> str:
    path = store.new_folder(None) / "photo.png"
    path.parent.mkdir(parents=True)
    Image.new("RGB", (10, 10)).save(path)
    return str(path)


def test_only_the_files_of_the_last_answers_are_kept(photo: str, store: Store) -> None:
    desk = Desk(fake(), store)
    pages = [desk.answer(photo, "x") for _ in range(demo._KEPT_ANSWERS + 2)]
    exist = [page.mask is not None and page.mask.exists() for page in pages]
    assert exist == [False, False, *[True] * demo._KEPT_ANSWERS]


def test_an_answers_files_say_which_model_it_was_and_not_where_the_upload_lay(photo: str, store: Store) -> None:
    page = Desk(fake(), store, {"name": "fake"}).answer(photo, "the ball")
    assert page.record is not None
    record = json.loads(page.record.read_text())
    assert (record["query"], record["image"], record["model"]) == ("the ball", "photo.png", {"name": "fake"})
    assert page.mask is not None
    assert load_mask(page.mask).sum() == 64
    assert page.index is not None
    assert page.index.exists()


@pytest.mark.parametrize(
    ("name", "query", "sentence"),
    [
        (None, "x", "choose an image first"),
        ("gone.png", "x", "choose an image first"),
        ("broken.png", "x", "is not an image of a kind that can be read"),
        ("photo.png", " ", "the query is empty"),
    ],
)
def test_what_is_wrong_with_a_request_is_a_sentence(
    photo: str, store: Store, name: str | None, query: str, sentence: str
) -> None:
    folder = Path(photo).parent
    (folder / "broken.png").write_text("no image")
    page = Desk(fake(), store).answer(str(folder / name) if name else None, query)
    assert 'class="verdict error"' in page.verdict_html
    assert sentence in page.verdict_html
    assert str(folder) not in page.verdict_html
    assert page == Shown(None, page.verdict_html)
    assert list(store.folder.iterdir()) == [folder]


def test_only_what_was_uploaded_can_be_asked_about_and_no_request_learns_which_files_there_are(
    photo: str, store: Store, tmp_path: Path
) -> None:
    shutil.copy(photo, tmp_path / "private.png")
    (Path(photo).parent / "link.png").symlink_to(tmp_path / "private.png")
    elsewhere = [
        str(tmp_path / "private.png"),
        str(tmp_path / "no-such-file.png"),
        f"{photo}/../../../private.png",
        str(Path(photo).parent / "link.png"),
        str(store.folder),
        "http://127.0.0.1:9/photo.png",
        "a\0b",
        "/dev/zero",
    ]
    desk = Desk(fake(), store)
    assert {desk.answer(path, "x") for path in elsewhere} == {desk.answer(None, "x")}
    assert desk.answer(photo, "x").record is not None


def test_a_fault_of_the_machine_is_a_sentence_and_is_logged(
    photo: str, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Request) -> str:
        raise RuntimeError("out of <memory>")

    page = Desk(Pipeline(FakeReasoner(fail), FakeSegmenter(), get_format("seg-r1")), store).answer(photo, "x")
    assert "RuntimeError: out of &lt;memory&gt;. The server&#x27;s log has more." in page.verdict_html
    assert "Traceback" in caplog.text


def test_the_examples_are_scenes_with_their_requests_and_one_asks_for_what_is_not_there(tmp_path: Path) -> None:
    examples = write_examples(tmp_path)
    assert len(examples) == 6
    assert all(example.query and load_image(example.image).size == (448, 448) for example in examples)
    assert [example.query for example in examples if "nothing" in example.image.name] == ["the pig"]


def test_a_missing_gradio_is_told_before_a_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'thinkseg\[demo\]'"):
        require_gradio()
    assert main(["demo"], load=lambda *_a, **_o: pytest.fail("a model was loaded")) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_flags_reach_the_page_and_loopback_without_a_tunnel_is_the_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: dict[str, Any] = {}
    pipeline = fake()
    parts = {
        "load": lambda *_a, **_o: pipeline,
        "serve": lambda given, address, **options: asked.update(options, pipeline=given, address=address),
    }
    assert main(["demo"], **parts) == 0
    assert asked["pipeline"] is pipeline
    assert asked["address"] == Address("127.0.0.1", None, False)
    assert asked["about"].startswith("model pocket · segmenter pocket · a small model for trying things out")
    assert capsys.readouterr().err.startswith("pocket is a small model for trying things out")
    assert main(["demo", "--host", "0.0.0.0", "--port", "8123", "--share", "--segmenter", "grabcut"], **parts) == 0
    assert asked["address"] == Address("0.0.0.0", 8123, True)
    assert asked["model"]["segmenter"] == "grabcut"
    assert "can be reached from other machines" in capsys.readouterr().err
    assert main(["demo", "--port", "70000"], **parts) == 2


def test_importing_the_rooms_loads_neither_gradio_nor_pytorch() -> None:
    rooms = "import sys, thinkseg.serving.demo, thinkseg.serving.batch, thinkseg.cli.demo"
    check = "assert not {'gradio', 'fastapi', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", f"{rooms}; {check}"], check=True)


SERVER = """
import sys, threading, urllib.request
from thinkseg.answers import get_format
from thinkseg.errors import InputError
from thinkseg.models.pipeline import Pipeline
from thinkseg.serving.demo import Address, serve
from thinkseg.testing import FakeReasoner, FakeSegmenter

pipeline = Pipeline(FakeReasoner([]), FakeSegmenter(), get_format("seg-r1"))
stop = threading.Event()

def look(url, public):
    with urllib.request.urlopen(url) as answer:
        print(url, public, "googleapis" in answer.read().decode())
    stop.set()

try:
    serve(pipeline, Address(port=int(sys.argv[1])), examples=lambda folder: [], ready=look, stop=stop)
except InputError as error:
    print("InputError:", error)
"""


@pytest.mark.slow
def test_the_page_is_served_at_loopback_without_fonts_from_elsewhere_and_a_taken_port_is_told() -> None:
    pytest.importorskip("gradio", reason="the web page needs Gradio: pip install 'thinkseg[demo]'")

    def printed(port: int) -> str:
        done = subprocess.run([sys.executable, "-c", SERVER, str(port)], stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout.strip()

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert printed(port).startswith(f"InputError: the page cannot be served at 127.0.0.1, port {port}")
    assert printed(port) == f"http://127.0.0.1:{port}/ None False"
