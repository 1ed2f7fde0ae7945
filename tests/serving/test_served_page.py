"""The page as a program on the network meets it: who is answered, what is handed out, what is left at the end."""

import http.client
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from PIL import Image

pytestmark = pytest.mark.slow

FILES = ["coco.json", "cutout.png", "index.png", "json", "mask.png", "overlay.png", "shown.webp"]

SERVER = """
import sys
from thinkseg.answers import get_format
from thinkseg.models.pipeline import Pipeline
from thinkseg.serving.demo import Address, serve
from thinkseg.serving.page.choices import Choices
from thinkseg.testing import FakeReasoner, FakeSegmenter

SAID = "<think>there</think><bbox>[1,1,8,8]</bbox><points>[[4,4]]</points><labels>[1]</labels>"
pipeline = Pipeline(FakeReasoner(lambda _: SAID), FakeSegmenter(), get_format("seg-r1"))
serve(Choices.of(pipeline), Address(port=int(sys.argv[1])), ready=lambda url, public: print(url, flush=True))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(folder: Path) -> tuple[subprocess.Popen[str], int]:
    """A process that serves the page with its temporary files in a folder, once it is served; and its port."""
    port = free_port()
    environment = {**os.environ, "TMPDIR": str(folder)}
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(port)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    with process.stdout as printed:
        assert printed.readline().strip() == f"http://127.0.0.1:{port}/"
    return process, port


@dataclass
class Visitor:
    """Somebody with a program that speaks HTTP; it keeps the page's cookie, as a browser does."""

    port: int
    cookie: str = ""
    root: str = ""
    """Where the page is."""

    def ask(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            sent["Cookie"] = self.cookie
        connection.request(method, self.root + path, body, sent)
        answer = connection.getresponse()
        given = answer.headers.get("Set-Cookie")
        self.cookie = given.split(";")[0] if given else self.cookie
        content = answer.read()
        connection.close()
        return answer.status, answer.headers, content

    def upload(self, name: str, content: bytes) -> str:
        """The path at which the server keeps a file."""
        edge = secrets.token_hex(8)
        head = f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        body = head.encode() + content + f"\r\n--{edge}--\r\n".encode()
        kind = f"multipart/form-data; boundary={edge}"
        status, _, said = self.ask("POST", "/gradio_api/upload", body, Content_Type=kind)
        assert status == 200, said
        path: str = json.loads(said)[0]
        return path

    def segment(self, payload: dict[str, Any], query: str = "the ball") -> str:
        """All that the page says of a request."""
        own = "the model's own"
        return self.call(
            self.function("click"), [payload, query, "model", own, own, False, "model", own, own, None, None]
        )

    def function(self, name: str) -> int:
        """The number of the first function that is called by an event, or of the one with a name."""
        _, _, config = self.ask("GET", "/config")
        number: int = next(
            entry["id"]
            for entry in json.loads(config)["dependencies"]
            if name in {target[1] for target in entry["targets"]} or name == entry["api_name"]
        )
        return number

    def call(self, function: int, data: list[Any]) -> str:
        """All that a function of the page answers."""
        session = secrets.token_hex(6)
        asked = {"data": data, "fn_index": function, "session_hash": session, "event_data": None}
        status, _, said = self.ask(
            "POST", "/gradio_api/queue/join", json.dumps(asked).encode(), Content_Type="application/json"
        )
        assert status == 200, said
        _, _, events = self.ask("GET", f"/gradio_api/queue/data?session_hash={session}")
        return events.decode()

    def file(self, path: str, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        return self.ask("GET", "/gradio_api/file=" + quote(path), b"", **headers)


def png(colour: tuple[int, int, int] = (90, 120, 60)) -> bytes:
    stream = BytesIO()
    Image.new("RGB", (10, 10), colour).save(stream, "png")
    return stream.getvalue()


def paths_in(events: str) -> list[str]:
    """The paths of the files that an answer names: the image on the page, and those that can be kept."""
    return [unquote(path) for path in dict.fromkeys(re.findall(r'gradio_api/file=([^"\\&]+)', events))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("gradio", reason="the page needs Gradio: pip install 'thinkseg[demo]'")
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    process, port = start(folder)
    yield port
    process.terminate()
    process.wait(30)


@pytest.fixture
def visitor(port: int) -> Visitor:
    own = Visitor(port)
    own.ask("GET", "/")
    return own


def uploaded(path: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **more}


def test_an_answers_files_have_names_that_cannot_be_guessed_and_are_for_whoever_asked(
    visitor: Visitor, port: int
) -> None:
    image = uploaded(visitor.upload("photo.png", png()))
    answers = [paths_in(visitor.segment(image)) for _ in range(2)]
    assert [sorted(Path(path).name for path in paths) for paths in answers] == [[f"photo.{name}" for name in FILES]] * 2
    folders = {Path(path).parent for paths in answers for path in paths}
    assert len(folders) == 2
    assert all(len(folder.name) >= 32 for folder in folders)
    other = Visitor(port)
    other.ask("GET", "/")
    for path in answers[0]:
        status, headers, _ = visitor.file(path)
        assert (status, headers["Content-Disposition"].split(";")[0]) == (200, "attachment")
        assert other.file(path)[0] == 403
        assert Visitor(port).file(path)[0] == 403


@pytest.mark.parametrize("meta", [{}, {"meta": {"_type": "other"}}, {"meta": {"_type": "gradio.FileData"}}])
def test_an_image_of_the_server_is_not_segmented_and_nobody_learns_whether_it_is_there(
    visitor: Visitor, tmp_path: Path, meta: dict[str, Any]
) -> None:
    (tmp_path / "private.png").write_bytes(png())
    said = [
        visitor.segment({"path": str(tmp_path / name), **meta}).replace(name, "NAME")
        for name in ("private.png", "no-such-file.png", "../etc/passwd")
    ]
    assert all("object found" not in events and paths_in(events) == [] for events in said)
    said_of = {json.dumps(_completed(events).get("data") or _completed(events)) for events in said}
    assert len(said_of) == 1
    assert str(tmp_path) not in said_of.pop()


def _completed(events: str) -> dict[str, Any]:
    """What the first event with anything for the page has for it."""
    line = next(line for line in events.splitlines() if "process_generating" in line or "process_completed" in line)
    output: dict[str, Any] = json.loads(line.removeprefix("data: "))["output"]
    return output


def test_an_address_in_place_of_an_upload_is_not_fetched(visitor: Visitor) -> None:
    segment = visitor.function("segment")
    with socket.socket() as site:
        site.bind(("127.0.0.1", 0))
        site.listen()
        site.settimeout(1)
        address = f"http://127.0.0.1:{site.getsockname()[1]}/photo.png"
        assert paths_in(visitor.segment(uploaded(address))) == []
        assert "Choose an image first" in visitor.call(segment, [uploaded(address), "the ball", "", "", ""])
        assert visitor.file(address)[0] == 403
        with pytest.raises(TimeoutError):
            site.accept()


@pytest.mark.parametrize("name", ["page.html", "drawing.svg"])
def test_an_upload_that_could_run_in_the_browser_is_sent_as_an_attachment(visitor: Visitor, name: str) -> None:
    status, headers, _ = visitor.file(visitor.upload(name, b"<svg xmlns='http://www.w3.org/2000/svg' onload='x()'/>"))
    assert status == 200
    assert headers["Content-Disposition"].startswith("attachment")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]


def test_files_beside_uploads_and_answers_are_not_handed_out(visitor: Visitor, folder: Path, tmp_path: Path) -> None:
    own = next(folder.glob("thinkseg-demo-*"))
    (own / "secret.txt").write_text("secret")
    (own / "files" / "seed.txt").write_text("secret")
    (tmp_path / "secret.txt").write_text("secret")
    for path in (own / "secret.txt", own / "files" / "seed.txt", tmp_path / "secret.txt", Path("pyproject.toml")):
        assert visitor.file(str(path))[0] == 403
    assert visitor.file(f"{own}/files/../secret.txt")[0] == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "", "["])
def test_a_foreign_host_is_refused_and_never_allowed_as_an_origin(visitor: Visitor, port: int, host: str) -> None:
    named = host.format(port=port)
    for method, path in (("GET", "/"), ("GET", "/config"), ("POST", "/gradio_api/queue/join"), ("OPTIONS", "/config")):
        status, headers, _ = visitor.ask(method, path, Host=named, Origin=f"http://{named}")
        assert status in (400, 403)
        assert headers["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://127.0.0.1:1", "null", "http://localhost", "http://["]
)
def test_a_foreign_origin_is_refused(visitor: Visitor, origin: str) -> None:
    for method, path in (("GET", "/config"), ("POST", "/gradio_api/upload"), ("OPTIONS", "/gradio_api/queue/join")):
        status, headers, _ = visitor.ask(method, path, Origin=origin, Access_Control_Request_Method="POST")
        assert (status, headers["Access-Control-Allow-Origin"]) == (403, None)


def test_a_foreign_name_that_a_proxy_hands_on_is_refused(visitor: Visitor) -> None:
    assert visitor.ask("GET", "/config", X_Forwarded_Host="evil.example")[0] == 403


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_the_names_of_this_machine_are_answered_with_an_origin_of_the_same_name(
    visitor: Visitor, port: int, name: str
) -> None:
    origin = f"http://{name}:{port}"
    assert visitor.ask("GET", "/config", Host=f"{name}:{port}", Origin=origin)[0] == 200


def answered(events: str) -> Any:
    """What a function for programs gives."""
    line = next(line for line in events.splitlines() if "process_completed" in line)
    return json.loads(line.removeprefix("data: "))["output"]["data"][0]


def test_programs_ask_by_name_and_get_plain_json(visitor: Visitor) -> None:
    image = uploaded(visitor.upload("photo.png", png()))
    assert answered(visitor.call(visitor.function("models"), []))["models"] == ["model"]
    record = answered(visitor.call(visitor.function("segment"), [image, "the ball", "", "", ""]))
    assert (record["query"], record["image"], record["objects"][0]["box"]) == ("the ball", "photo.png", [1, 1, 8, 8])
    edits = [{"object": 1, "box": [2, 2, 5, 5]}, {"object": None, "points": [[8, 8, 1]]}]
    records = answered(visitor.call(visitor.function("refine"), [image, [record], edits, "", ""]))
    assert [[found["box"] for found in one["objects"]] for one in records] == [[[2, 2, 5, 5]], [None]]


def test_a_client_of_gradio_finds_the_named_functions_and_is_told_what_is_wrong(port: int, tmp_path: Path) -> None:
    clients = pytest.importorskip("gradio_client", reason="it comes with Gradio")
    client = clients.Client(f"http://127.0.0.1:{port}/", verbose=False)
    try:
        named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
        assert set(named) == {"/models", "/segment", "/refine"}
        path = tmp_path / "photo.png"
        path.write_bytes(png())
        notes = tmp_path / "notes.txt"
        notes.write_text("no image")
        record = client.predict(image=clients.handle_file(path), query="the ball", api_name="/segment")
        assert record["count"] == 1
        for image, query, model, sentence in (
            (clients.handle_file(path), " ", "", "the query is empty"),
            (clients.handle_file(path), "it", "another", "there is no model 'another' here: choose model"),
            (clients.handle_file(notes), "it", "", "'notes.txt' is not an image of a kind that can be read"),
        ):
            with pytest.raises(Exception, match=sentence):
                client.predict(image=image, query=query, model=model, api_name="/segment")
    finally:
        client.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_when_the_process_is_told_to_end(tmp_path: Path, number: signal.Signals) -> None:
    pytest.importorskip("gradio", reason="the page needs Gradio: pip install 'thinkseg[demo]'")
    process, port = start(tmp_path)
    own = Visitor(port)
    own.ask("GET", "/")
    image = own.upload("photo.png", png())
    assert len(paths_in(own.segment(uploaded(image)))) == len(FILES)
    assert Path(image).is_relative_to(tmp_path)
    process.send_signal(number)
    assert process.wait(30) == 0
    assert [path.name for path in tmp_path.iterdir() if "thinkseg" in path.name] == []
    assert not Path(image).exists()


MOUNTED = """
import sys
import uvicorn
from fastapi import FastAPI
from thinkseg.answers import get_format
from thinkseg.models.pipeline import Pipeline
from thinkseg.serving.demo import Furnishing, application
from thinkseg.serving.page.choices import Choices
from thinkseg.testing import FakeReasoner, FakeSegmenter

SAID = "<think>there</think><bbox>[1,1,8,8]</bbox><points>[[4,4]]</points><labels>[1]</labels>"
pipeline = Pipeline(FakeReasoner(lambda _: SAID), FakeSegmenter(), get_format("seg-r1"))
app = FastAPI()

@app.get("/health")
def health():
    return {"status": "up"}

with application(Choices.of(pipeline), Furnishing(examples=lambda folder: []), path=sys.argv[2]) as page:
    app.mount(sys.argv[2], page)
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error", lifespan="off")
"""


@pytest.mark.parametrize("path", ["/", "/page"])
def test_the_page_stands_in_an_application_of_fastapi_with_its_guard(tmp_path: Path, path: str) -> None:
    pytest.importorskip("gradio", reason="the web page needs Gradio: pip install 'thinkseg[demo]'")
    port = free_port()
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", MOUNTED, str(port), path], env=environment)
    try:
        own = Visitor(port, root=path.rstrip("/"))
        for _ in range(600):
            try:
                status = own.ask("GET", "/")[0]
                break
            except OSError:
                time.sleep(0.2)
        assert status == 200
        assert json.loads(Visitor(port).ask("GET", "/health")[2]) == {"status": "up"}
        files = paths_in(own.segment(uploaded(own.upload("photo.png", png()))))
        assert sorted(Path(file).name for file in files) == [f"photo.{name}" for name in FILES]
        assert own.file(files[0])[0] == 200
        assert Visitor(port, root=own.root).file(files[0])[0] == 403
        assert own.ask("GET", "/config", Host="evil.example")[0] == 403
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
    assert [found.name for found in tmp_path.iterdir() if "thinkseg" in found.name] == []
