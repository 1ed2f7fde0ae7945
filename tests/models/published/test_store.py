"""Sentences come from their authors' repository when asked for, are checked, and are kept whole or not at all."""

import dataclasses
import io
import json
import os
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from thinkseg.cli import main
from thinkseg.models.published.instructions import ASKED, INSTRUCTIONS
from thinkseg.models.published.store import MAX_BYTES, InstructionStore, cache_folder
from thinkseg.testing.published_sentences import COMMIT, FILES, KNOWN, stand_in_store, write_repository
from thinkseg.types import Instruction

TRAINING = Instruction("Where is '{query}'? Answer like {'box': [1, 2]}")
ONE = Instruction("Point at {query}!", "Look well. Café in, box out.")
ALL = Instruction("\nAll that stands out.\n", "Look well, {query} times.")

Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


class Server:
    """A stand-in of GitHub on this machine."""

    def __init__(self) -> None:
        base = f"/{COMMIT.repository}/{COMMIT.revision}/"
        self.files = {base + path: text.encode() for path, text in FILES.items()}
        self.asked: list[str] = []
        self.answer: Answer = self.give
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                if self.path in outer.files:
                    outer.answer(self, outer.files[self.path])
                else:
                    self.send_error(404)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def give(handler: BaseHTTPRequestHandler, content: bytes) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(content)


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.server.shutdown()
    running.server.server_close()


@pytest.fixture
def store(tmp_path: Path, server: Server) -> InstructionStore:
    return stand_in_store(tmp_path / "cache", server.address)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one sentence with which a call ends, and that nothing else was said."""

    def call(store: InstructionStore, *words: str) -> str:
        assert main(["instruction", *words], store=store) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("thinkseg: error: ")
        assert err.count("\n") == 1
        assert "Traceback" not in err
        return err

    return call


def test_sentences_are_fetched_checked_and_kept(store: InstructionStore, server: Server) -> None:
    assert store.read("pointer/training") is None
    assert store.fetch("pointer/training") == TRAINING
    assert store.fetch("pointer/one") == ONE
    asked = len(server.asked)
    assert asked == 2
    assert store.read("pointer/training") == TRAINING
    assert store.read("pointer/one") == ONE
    assert len(server.asked) == asked


def test_the_verb_fetches_all_of_a_system_and_asks_no_second_time(
    store: InstructionStore, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["instruction", "pointer", "--show"], store=store) == 0
    out, err = capsys.readouterr()
    assert "All that stands out." in out
    assert "Point at {query}!" in out
    assert "pointer/one is here now" in err
    asked = len(server.asked)
    assert main(["instruction", "pointer"], store=store) == 0
    assert len(server.asked) == asked
    assert "pointer/one was here" in capsys.readouterr().err


def test_the_list_says_which_are_here_and_shows_no_sentence(
    store: InstructionStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store.fetch("pointer/one")
    assert main(["instruction"], store=store) == 0
    lines = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines()[:3]}
    assert lines == {"pointer/training": "-", "pointer/one": "here", "pointer/all": "-"}
    assert main(["instruction", "--json"], store=store) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["pointer/one"]["here"] is True
    assert told["pointer/training"]["query"] == "lower case, without . at the ends"
    assert "Café" not in json.dumps(told, ensure_ascii=False)


def test_a_clone_a_zip_and_the_file_itself_serve_without_a_network(tmp_path: Path) -> None:
    clone = write_repository(tmp_path / "clone")
    packed = tmp_path / "Pointer.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path, text in FILES.items():
            archive.writestr(f"Pointer-0123/{path}", text)
    for number, source in enumerate((clone, packed, clone / "src" / "train.py")):
        store = stand_in_store(tmp_path / str(number))
        assert store.take("pointer/training", source) == TRAINING
        assert store.read("pointer/training") == TRAINING


def test_sentences_are_written_to_a_folder_when_asked_for(
    store: InstructionStore, tmp_path: Path, refused: Callable[..., str]
) -> None:
    assert main(["instruction", "pointer/one", "--out", str(tmp_path / "out")], store=store) == 0
    told = json.loads((tmp_path / "out" / "pointer_one.json").read_text(encoding="utf-8"))
    assert told == {"system": "Look well. Café in, box out.", "user": "Point at {query}!"}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            lambda handler, content: Server.give(handler, content + b"# more\n"),
            "is another file than in someone/Pointer",
        ),
        (lambda handler, _: Server.give(handler, b"x" * (MAX_BYTES + 1)), f"has more than {MAX_BYTES:,} bytes"),
        (lambda handler, _: handler.send_error(404), "the server answers 404"),
        (lambda handler, _: handler.send_error(500), "the server answers 500"),
    ],
)
def test_what_is_not_the_file_on_record_is_refused_and_not_kept(
    store: InstructionStore, server: Server, refused: Callable[..., str], answer: Answer, said: str
) -> None:
    server.answer = answer
    assert said in refused(store, "pointer/one")
    assert not store.folder.exists()


def test_an_address_that_leads_elsewhere_is_not_followed(
    store: InstructionStore, server: Server, refused: Callable[..., str]
) -> None:
    def redirect(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.send_response(302)
        handler.send_header("Location", f"{server.address}/elsewhere")
        handler.end_headers()

    server.answer = redirect
    assert "it leads elsewhere" in refused(store, "pointer/one")
    assert not any("elsewhere" in path for path in server.asked)


def test_without_a_network_it_says_how_to_do_without(tmp_path: Path, refused: Callable[..., str]) -> None:
    said = refused(stand_in_store(tmp_path), "pointer/one")
    assert "cannot be fetched" in said
    assert f"with a clone of {COMMIT.repository} at {COMMIT.revision}: thinkseg instruction pointer/one --from" in said


def test_a_changed_a_missing_and_an_unreadable_file_of_a_clone_are_refused(
    tmp_path: Path, refused: Callable[..., str]
) -> None:
    clone, store = write_repository(tmp_path / "clone"), stand_in_store(tmp_path / "cache")
    (clone / "ask.py").write_text(FILES["ask.py"].replace("Look well", "Look hard"), encoding="utf-8")
    assert "check that commit out" in refused(store, "pointer/one", "--from", str(clone))
    (clone / "ask.py").unlink()
    assert "which cannot be read (No such file or directory)" in refused(store, "pointer/one", "--from", str(clone))
    (clone / "ask.py").write_bytes(b"x" * (MAX_BYTES + 1))
    assert f"has more than {MAX_BYTES:,} bytes" in refused(store, "pointer/one", "--from", str(clone))
    assert "found no such file or folder" in refused(store, "pointer/one", "--from", str(tmp_path / "none"))
    (tmp_path / "bad.zip").write_bytes(_zip({"Pointer-1/other.py": b""}))
    assert "expected 'ask.py' in" in refused(store, "pointer/one", "--from", str(tmp_path / "bad.zip"))
    assert not store.folder.exists()


def test_a_file_that_is_on_record_and_is_no_utf_8_or_lacks_the_sentences_is_refused(
    tmp_path: Path, refused: Callable[..., str]
) -> None:
    for content, said in ((b"RULES = '\xff'\n", "is not text in UTF-8"), (b"def ask(): pass\n", "the file is another")):
        (tmp_path / "ask.py").write_bytes(content)
        record = dataclasses.replace(KNOWN["pointer/one"], files={"ask.py": _sha256(content)})
        store = InstructionStore(tmp_path / "cache", {"pointer/one": record}, {})
        assert said in refused(store, "pointer/one", "--from", str(tmp_path / "ask.py"))


def test_other_sentences_than_those_on_record_are_refused(tmp_path: Path, refused: Callable[..., str]) -> None:
    clone = write_repository(tmp_path / "clone")
    record = dataclasses.replace(KNOWN["pointer/one"], sha256="0" * 64)
    store = InstructionStore(tmp_path / "cache", {"pointer/one": record}, {})
    said = refused(store, "pointer/one", "--from", str(clone))
    assert "expected SHA-256 " + "0" * 64 in said
    assert KNOWN["pointer/one"].sha256 in said
    assert "nothing was kept" in said


@pytest.mark.parametrize("content", ["", '{"user": "Point', "[]", '{"user": 3}', "\udcff"])
def test_a_damaged_cache_is_told_and_fetched_again(
    store: InstructionStore, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = store.path("pointer/one")
    path.parent.mkdir(parents=True)
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(Exception, match="is damaged; fetch it again with: thinkseg instruction pointer/one"):
        store.read("pointer/one")
    assert main(["instruction", "pointer/one"], store=store) == 0
    assert store.read("pointer/one") == ONE


def test_changed_sentences_in_the_cache_are_not_used(store: InstructionStore) -> None:
    store.fetch("pointer/one")
    path = store.path("pointer/one")
    path.write_text(path.read_text(encoding="utf-8").replace("Look well", "Look hard"), encoding="utf-8")
    with pytest.raises(Exception, match="has other sentences than those on record"):
        store.read("pointer/one")


def test_a_cache_that_cannot_be_written_is_told_and_nothing_half_is_left(
    tmp_path: Path, refused: Callable[..., str]
) -> None:
    clone = write_repository(tmp_path / "clone")
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    store = stand_in_store(tmp_path / "file" / "cache")
    assert "cannot be kept in" in refused(store, "pointer/one", "--from", str(clone))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_cache_is_told(tmp_path: Path, refused: Callable[..., str]) -> None:
    clone = write_repository(tmp_path / "clone")
    (tmp_path / "cache").mkdir(mode=0o500)
    said = refused(stand_in_store(tmp_path / "cache"), "pointer/one", "--from", str(clone))
    assert "Permission denied; name another place with XDG_CACHE_HOME" in said


def test_an_unknown_name_is_told_with_those_that_there_are(
    store: InstructionStore, refused: Callable[..., str]
) -> None:
    assert "there are the systems pointer, and pointer/training" in refused(store, "pointer/other")


def test_the_cache_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "thinkseg" / "instructions"


def test_the_records_name_files_and_hashes_and_every_system_names_records() -> None:
    for one in INSTRUCTIONS.values():
        assert one.files
        assert all(len(sha256) == 64 for sha256 in (one.sha256, *one.files.values()))
        assert len(one.commit.revision) == 40
    assert all(name in INSTRUCTIONS and "" in kinds for kinds in ASKED.values() for name in kinds.values())


@pytest.mark.skipif(not os.environ.get("THINKSEG_CLONES"), reason="THINKSEG_CLONES names no folder of clones")
@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_the_hashes_on_record_fit_the_authors_repositories(name: str, tmp_path: Path) -> None:
    """THINKSEG_CLONES has a folder ``NAME@COMMIT`` for each commit on record, such as ``Seg-R1@ca1256f…``."""
    commit = INSTRUCTIONS[name].commit
    clone = Path(os.environ["THINKSEG_CLONES"]) / f"{commit.repository.partition('/')[2]}@{commit.revision}"
    found = InstructionStore(tmp_path).take(name, clone)
    assert InstructionStore(tmp_path).read(name) == found


def _sha256(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()


def _zip(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return packed.getvalue()
