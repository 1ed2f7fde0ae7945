"""``thinkseg serve``: what the flags say reaches the service, or is refused before models load."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from thinkseg import cli
from thinkseg.answers import get_format
from thinkseg.cli import serve
from thinkseg.models.pipeline import Pipeline
from thinkseg.serving.http.label_studio.reading import TaskImages
from thinkseg.serving.http.label_studio.router import LabelStudio
from thinkseg.testing import FakeReasoner, FakeSegmenter


def load(*_: Any, **__: Any) -> Pipeline:
    return Pipeline(FakeReasoner([]), FakeSegmenter(), get_format("seg-r1"))


def served(*words: str) -> tuple[int, list[Any]]:
    """The exit code, and what the server was handed: application, service, host, port, what says the address."""
    handed: list[Any] = []
    code = cli.main(["serve", *words], load=load, serve=lambda *parts: handed.extend(parts))
    for part in handed[1:2]:
        part.close()
    return code, handed


def access_of(app: Any) -> Any:
    return next(each.kwargs["access"] for each in app.user_middleware if "access" in each.kwargs)


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THINKSEG_API_KEY", raising=False)


def test_by_default_it_listens_on_loopback_without_a_key_and_no_page_may_ask(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, (app, service, host, port, say) = served()
    assert (code, host, port) == (0, "127.0.0.1", 8000)
    access = access_of(app)
    assert (access.key, access.origins, access.names) == (None, (), ())
    assert service.served.reasoner == "pocket"
    assert len(service.served.revision) == len(service.served.segmenter_revision) == 12
    say("http://127.0.0.1:8000")
    assert capsys.readouterr().out == "ThinkSeg service: http://127.0.0.1:8000\n"


def test_limits_and_names_come_from_the_flags(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("open sesame\n")
    words = ["--queue", "3", "--timeout", "7", "--image-megabytes", "0.5", "--image-megapixels", "2", "--name", "mine"]
    words += ["--api-key-file", str(tmp_path / "key"), "--allow-host", "box", "--cors-origin", "https://label.example"]
    code, (app, service, *_) = served(*words, "--max-batch", "5", "--max-wait", "2")
    assert code == 0
    limits = service.limits
    assert (limits.queue, limits.timeout, limits.image_bytes, limits.image_pixels) == (3, 7, 2**19, 2_000_000)
    assert service.served.reasoner == "mine"
    access = access_of(app)
    assert (access.key, access.names, access.origins) == ("open sesame", ("box",), ("https://label.example",))


def test_a_service_that_others_can_reach_without_a_key_is_warned_of(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    served("--host", "0.0.0.0")
    assert "has no key" in capsys.readouterr().err
    monkeypatch.setenv("THINKSEG_API_KEY", "open")
    _, (app, *_) = served("--host", "0.0.0.0")
    assert access_of(app).key == "open"
    assert "has no key" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--port", "99999"], "a port is a number from 0 to 65535, found 99999"),
        (["--queue", "0"], "'queue' of a service should be above 0, found 0"),
        (["--timeout", "-1"], "'timeout' of a service should be above 0"),
        (["--image-megapixels", "500"], "'image_pixels' of a service should be at most 89,478,485"),
        (["--encodings-memory", "-1"], "encodings may take 0 MB or more, found -1"),
        (["--max-batch", "0"], "a batch has at least 1 request"),
        (["--api-key-file", "no-such-file"], "expected a file with a key at 'no-such-file'"),
        (["--label-studio", "localhost:8080"], "expected the address of a Label Studio, such as"),
        (["--label-studio", "--label-studio-files", "none"], "expected a folder with Label Studio's local files"),
        (["--query", "it"], "--label-studio-files and --query are for Label Studio: say --label-studio, too"),
        (["--model", "no-such-model"], "there is no reasoner folder 'no-such-model'"),
    ],
)
def test_what_is_wrong_with_the_call_is_a_sentence_and_2(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert served(*words)[0] == 2
    assert sentence in capsys.readouterr().err


def test_an_empty_key_is_none_at_all_and_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THINKSEG_API_KEY", " ")
    assert served()[0] == 2
    assert "expected a key of printable ASCII letters in $THINKSEG_API_KEY" in capsys.readouterr().err


def test_other_protocols_are_spoken_where_they_are_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def paths(*words: str) -> set[str]:
        code, (app, *_) = served(*words)
        assert code == 0
        return set(app.openapi()["paths"])

    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "secret")
    own = paths()
    assert paths("--x-anylabeling") - own == {"/v1/predict", "/v1/models/{model}/info"}
    for words in (["--label-studio"], ["--label-studio", "http://localhost:8080", "--query", "it"]):
        assert paths(*words, "--label-studio-files", str(tmp_path)) - own == {"/predict", "/setup", "/webhook"}
    both = paths("--label-studio", "--x-anylabeling")
    assert {"/predict", "/v1/predict", *own} <= both


def test_label_studios_address_key_folder_and_query_are_those_that_were_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", " secret\n")
    words = {"label_studio": "http://studio", "label_studio_files": tmp_path, "query": "it", "x_anylabeling": False}
    (create,) = serve._routers(argparse.Namespace(**words))
    told: Any = create
    assert told.__self__ == LabelStudio(TaskImages("http://studio", "secret", tmp_path), "it")
