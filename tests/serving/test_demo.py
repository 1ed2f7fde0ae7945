"""How the demo is started, and that it keeps to this machine. What it answers is in `page/`, and in `in_browser/`."""

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
from thinkseg.imaging import load_image
from thinkseg.models.pipeline import Pipeline
from thinkseg.serving.demo import Address
from thinkseg.serving.examples import write_examples
from thinkseg.serving.page.web import require_gradio
from thinkseg.testing import FakeReasoner, FakeSegmenter


def fake() -> Pipeline:
    return Pipeline(FakeReasoner([]), FakeSegmenter(), get_format("seg-r1"))


def test_the_examples_are_scenes_with_their_requests_and_one_asks_for_what_is_not_there(tmp_path: Path) -> None:
    examples = write_examples(tmp_path)
    assert len(examples) == 6
    assert all(example.query and load_image(example.image).size == (448, 448) for example in examples)
    assert [example.query for example in examples if "nothing" in example.image.name] == ["the animal that gives milk"]


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
        "serve": lambda choices, address, furnishing, **_: asked.update(
            choices=choices, address=address, furnishing=furnishing
        ),
    }
    assert main(["demo"], **parts) == 0
    assert asked["choices"].pipeline(asked["choices"].first) is pipeline
    assert asked["address"] == Address("127.0.0.1", None, False)
    assert asked["furnishing"].about.startswith("model pocket · segmenter pocket · a small model for trying things out")
    assert capsys.readouterr().err.startswith("pocket is a small model for trying things out")
    assert main(["demo", "--host", "0.0.0.0", "--port", "8123", "--share", "--segmenter", "grabcut"], **parts) == 0
    assert asked["address"] == Address("0.0.0.0", 8123, True)
    assert asked["choices"].identity(asked["choices"].first)["segmenter"] == "grabcut"
    assert "can be reached from other machines" in capsys.readouterr().err
    assert main(["demo", "--port", "70000"], **parts) == 2


def test_what_visitors_choose_among_is_what_the_flags_say(tmp_path: Path) -> None:
    Image.new("RGB", (8, 6)).save(tmp_path / "one.png")
    (tmp_path / "table.csv").write_text("image,query\none.png,the dot\n")
    asked: dict[str, Any] = {}
    loaded: list[str] = []

    def load(model: str, **_: Any) -> Pipeline:
        loaded.append(str(model))
        return fake()

    flags = ["--also-segmenter", "grabcut", "--also-format", "seg-zero", "--examples", str(tmp_path / "table.csv")]
    words = ["demo", "--model", "pocket", "--also-model", str(tmp_path / "none"), *flags]
    assert main(words, load=load, serve=lambda *_a, **_o: None) == 2  # there is no such model

    def serve(choices: Any, _address: Any, furnishing: Any, **_: Any) -> None:
        asked.update(choices=choices, furnishing=furnishing)

    assert main(["demo", *flags], load=load, serve=serve) == 0
    assert loaded == ["pocket"]
    assert asked["choices"].segmenter_names == ["the model's own", "grabcut"]
    assert asked["choices"].format_names == ["the model's own", "seg-zero"]
    examples = asked["furnishing"].examples(tmp_path / "copied")
    assert [(example.image.name, example.query) for example in examples] == [("one.png", "the dot")]
    assert main(["demo", "--also-format", "prose"], load=load) == 2
    assert main(["demo", "--run", str(tmp_path)], load=load) == 2
    assert main(["demo", "--examples", str(tmp_path / "none.csv")], load=load) == 2


def test_importing_the_rooms_loads_neither_gradio_nor_pytorch() -> None:
    rooms = "import sys, thinkseg.serving.demo, thinkseg.serving.batch, thinkseg.cli.demo"
    check = "assert not {'gradio', 'fastapi', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", f"{rooms}; {check}"], check=True)


SERVER = """
import sys, threading, urllib.request
from thinkseg.answers import get_format
from thinkseg.errors import InputError
from thinkseg.models.pipeline import Pipeline
from thinkseg.serving.demo import Address, Furnishing, serve
from thinkseg.serving.page.choices import Choices
from thinkseg.testing import FakeReasoner, FakeSegmenter

pipeline = Pipeline(FakeReasoner([]), FakeSegmenter(), get_format("seg-r1"))
stop = threading.Event()

def look(url, public):
    with urllib.request.urlopen(url) as answer:
        print(url, public, "googleapis" in answer.read().decode())
    stop.set()

try:
    furnishing = Furnishing(examples=lambda folder: [])
    serve(Choices.of(pipeline), Address(port=int(sys.argv[1])), furnishing, ready=look, stop=stop)
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
