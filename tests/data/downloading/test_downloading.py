"""A data set comes whole into its tree, over a line that breaks, and nothing comes out of its folder."""

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock

from thinkseg.cli import main
from thinkseg.data.discovery.catalog import DATA_SETS, Archive, DataSet, Split
from thinkseg.data.downloading.job import STATE, Download
from thinkseg.data.downloading.transfer import Transfer
from thinkseg.data.downloading.unpacking import unpack
from thinkseg.errors import DownloadError

Answer = Callable[[BaseHTTPRequestHandler, bytes], None]
NOISE = hashlib.shake_256(b"an image that does not shrink").digest(300_000)
FILES = {"annotations/instances_train.json": b"{}", "train/1.jpg": NOISE, "train/2.jpg": b"2"}


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


class Server:
    """Gives one file, as `answer` says; `asked` has the Range of every request."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.asked: list[str | None] = []
        self.answer: Answer = ranged
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.headers.get("Range"))
                outer.answer(self, outer.content)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/pairs.zip"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def archive(self, **other: object) -> Archive:
        about = {"size": len(self.content), "sha256": hashlib.sha256(self.content).hexdigest(), "into": "pairs"}
        return Archive(self.url, **{**about, **other})  # type: ignore[arg-type]


def send(handler: BaseHTTPRequestHandler, code: int, body: bytes, **headers: str) -> None:
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def ranged(handler: BaseHTTPRequestHandler, content: bytes, most: int | None = None) -> None:
    """What is asked for, with the length of all of it; the line breaks after `most` bytes."""
    asked = handler.headers.get("Range")
    start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
    about = {"Content_Length": str(len(content) - start)}
    if asked:
        about["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
    send(handler, 206 if asked else 200, content[start:][:most], **about)


def breaking(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    ranged(handler, content, 100_000)


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server(zipped(FILES))
    yield running
    running.server.shutdown()
    running.server.server_close()


QUICK = Transfer(tries=3, wait=lambda seconds: None)


def fetched(archive: Archive, path: Path) -> list[int]:
    """Fetch it; how many bytes were told to be there."""
    told: list[int] = []
    QUICK.fetch(archive, path, told.append)
    return told


def test_a_file_that_breaks_off_goes_on_from_there_until_it_is_whole(server: Server, tmp_path: Path) -> None:
    server.answer = breaking
    told = fetched(server.archive(), tmp_path / "half")
    assert (tmp_path / "half").read_bytes() == server.content
    assert server.asked == [None, "bytes=100000-", "bytes=200000-", "bytes=300000-"]
    assert told == sorted(told)
    assert told[-1] == len(server.content)


def test_what_an_earlier_call_left_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "half").write_bytes(server.content[:250_000])
    fetched(server.archive(), tmp_path / "half")
    assert server.asked == ["bytes=250000-"]
    assert (tmp_path / "half").read_bytes() == server.content


def test_a_server_without_ranges_gives_all_of_it_anew(server: Server, tmp_path: Path) -> None:
    server.answer = lambda handler, content: send(handler, 200, content, Content_Length=str(len(content)))
    (tmp_path / "half").write_bytes(b"x" * 200_000)
    fetched(server.archive(), tmp_path / "half")
    assert (tmp_path / "half").read_bytes() == server.content


def test_a_line_that_stays_dead_ends_in_a_sentence_and_keeps_what_came(server: Server, tmp_path: Path) -> None:
    server.answer = lambda handler, content: ranged(handler, content, 0 if handler.headers.get("Range") else 1000)
    with pytest.raises(DownloadError, match=r"3 times in a row; 1,000 of .* and the same command goes on from them"):
        fetched(server.archive(), tmp_path / "half")
    assert (tmp_path / "half").read_bytes() == server.content[:1000]


def test_a_server_that_is_busy_is_asked_again_and_one_that_refuses_is_not(server: Server, tmp_path: Path) -> None:
    server.answer = lambda handler, content: handler.send_error(404)
    with pytest.raises(DownloadError, match=r"the server answers 404"):
        fetched(server.archive(), tmp_path / "half")
    assert len(server.asked) == 1
    server.answer = lambda handler, content: (
        handler.send_error(503) if len(server.asked) < 3 else ranged(handler, content)
    )
    fetched(server.archive(), tmp_path / "half")
    assert len(server.asked) == 3


def test_a_wrong_checksum_is_told_and_the_file_removed(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=rf"its SHA-256 is {server.archive().sha256}, expected 0+; it was removed"):
        fetched(server.archive(sha256="0" * 64), tmp_path / "half")
    assert not (tmp_path / "half").exists()


@pytest.mark.parametrize("more", [-1, 1])
def test_a_file_of_another_size_is_refused_before_it_comes(server: Server, tmp_path: Path, more: int) -> None:
    with pytest.raises(DownloadError, match="it is another file than the one known here"):
        fetched(server.archive(size=len(server.content) + more), tmp_path / "half")
    assert not (tmp_path / "half").exists()


def test_a_server_that_says_no_size_and_does_not_stop_is_cut_off(server: Server, tmp_path: Path) -> None:
    server.answer = lambda handler, content: send(handler, 200, content + b"more")
    with pytest.raises(DownloadError, match=r"has more than the .* bytes expected; nothing was kept"):
        fetched(server.archive(), tmp_path / "half")
    assert not (tmp_path / "half").exists()


def test_a_zip_is_unpacked_into_its_folder_and_what_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped(FILES))
    (tmp_path / "out/train").mkdir(parents=True)
    (tmp_path / "out/train/2.jpg").write_bytes(b"!")
    told: list[int] = []
    assert unpack(tmp_path / "a.zip", tmp_path / "out", told.append) == 3
    assert (tmp_path / "out/train/1.jpg").read_bytes() == NOISE
    assert (tmp_path / "out/train/2.jpg").read_bytes() == b"!"
    assert told == [1, 2, 3]
    assert sum(path.is_file() for path in (tmp_path / "out").rglob("*")) == 3


def test_another_file_in_the_place_of_one_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped(FILES))
    (tmp_path / "out/train").mkdir(parents=True)
    (tmp_path / "out/train/2.jpg").write_bytes(b"mine")
    with pytest.raises(DownloadError, match="is there already and is another file"):
        unpack(tmp_path / "a.zip", tmp_path / "out", lambda _: None)
    assert (tmp_path / "out/train/2.jpg").read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "C:/evil", "a\\..\\..\\evil"])
def test_a_name_that_leads_out_of_the_folder_unpacks_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.zip").write_bytes(zipped({"good.jpg": b"1", name: b"2"}))
    with pytest.raises(DownloadError, match=r"is not unpacked, nothing of it: its entry .* leads out of the folder"):
        unpack(tmp_path / "a.zip", tmp_path / "out", lambda _: None)
    assert [path.name for path in tmp_path.rglob("*")] == ["a.zip"]


def test_a_link_in_an_archive_unpacks_nothing(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("train")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc")
        archive.writestr("train/passwd", b"x")
    with pytest.raises(DownloadError, match="its entry 'train' is a link or no plain file"):
        unpack(tmp_path / "a.zip", tmp_path / "out", lambda _: None)
    assert not (tmp_path / "out").exists()


def test_a_link_that_lies_in_the_folder_is_not_followed_out_of_it(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped(FILES))
    for folder in ("out", "elsewhere"):
        (tmp_path / folder).mkdir()
    (tmp_path / "out/train").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DownloadError, match=r"leads out of .* by a link"):
        unpack(tmp_path / "a.zip", tmp_path / "out", lambda _: None)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("content", [b"<html>log in</html>", zipped(FILES)[:200_000]])
def test_what_is_no_zip_or_half_of_one_is_told_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DownloadError, match="it is no ZIP or a damaged one"):
        unpack(tmp_path / "a.zip", tmp_path / "out", lambda _: None)


def test_a_byte_that_is_wrong_leaves_no_file(tmp_path: Path) -> None:
    content = bytearray(zipped({"1.jpg": NOISE}))
    content[1000] ^= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DownloadError, match="Bad CRC-32"):
        unpack(tmp_path / "a.zip", tmp_path / "out", lambda _: None)
    assert list((tmp_path / "out").iterdir()) == []


def pairs(*archives: Archive) -> DataSet:
    splits = {"train": Split(), "val": Split()}
    return DataSet("pairs", "Pairs", "folders", "salient", splits, "https://example.org", "CC0", archives=archives)


Download_ = Callable[..., tuple[int, str, str]]


@pytest.fixture
def download(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Download_:
    """Runs the verb with a data set whose archive the server has."""

    def run(*words: str, **about: object) -> tuple[int, str, str]:
        parts = {"transfer": QUICK, "data_sets": {"pairs": pairs(server.archive(**about))}}
        code = main(["data", "download", "pairs", "--out", str(tmp_path / "my data"), *words], **parts)
        return code, *capsys.readouterr()

    return run


def test_the_verb_leaves_the_tree_and_says_what_to_do_next(download: Download_, tmp_path: Path, server: Server) -> None:
    code, out, err = download()
    assert code == 0
    assert (tmp_path / "my data/pairs/train/1.jpg").read_bytes() == NOISE
    assert out.splitlines() == [
        "pairs.zip: 3 files",
        f"pairs is in '{tmp_path}/my data'; next: thinkseg data check '{tmp_path}/my data' --dataset pairs",
    ]
    assert "1 of 1 archives to get" in err
    assert "licence: CC0" in err
    assert "\r" not in err
    assert not (tmp_path / "my data" / STATE / "pairs.zip").exists()
    assert download()[0] == 0
    assert len(server.asked) == 1, "what is there is not fetched again"


def test_programs_get_json_and_the_archive_stays_on_request(download: Download_, tmp_path: Path) -> None:
    code, out, _ = download("--keep", "--split", "val", "--json")
    assert code == 0
    told = json.loads(out)
    assert told["files"] == {"pairs.zip": 3}
    assert told["next"].endswith("--dataset pairs --split val")
    assert zipfile.is_zipfile(tmp_path / "my data" / STATE / "pairs.zip")


def test_a_split_gets_only_what_it_needs_and_one_that_is_not_there_is_a_wrong_call(
    download: Download_, server: Server
) -> None:
    assert download("--split", "val", splits=("train",))[0] == 0
    assert server.asked == []
    code, _, err = download("--split", "test")
    assert code == 2
    assert "has no split 'test'; there are: train, val" in err


def test_a_download_that_fails_exits_with_1_and_one_sentence(download: Download_) -> None:
    code, out, err = download(sha256="0" * 64)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("thinkseg: error: what came from 'http://127.0.0.1:")


def test_a_disk_without_room_is_told_before_anything_comes(download: Download_, server: Server) -> None:
    code, _, err = download(size=10**18)
    assert code == 1
    assert "'pairs' needs about 2000000000.0 GB" in err
    assert server.asked == []


def test_two_downloads_do_not_work_into_one_folder(server: Server, tmp_path: Path) -> None:
    (tmp_path / STATE).mkdir()
    with FileLock(tmp_path / STATE / "lock"), pytest.raises(DownloadError, match="another process is downloading"):
        Download(pairs(server.archive()), tmp_path).run(lambda *_: pytest.fail("it began"), QUICK)


@pytest.mark.parametrize("name", [name for name, data_set in DATA_SETS.items() if not data_set.archives])
def test_what_no_program_may_fetch_exits_with_2_and_names_its_page_and_its_tree(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["data", "download", name, "--out", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    for told in (DATA_SETS[name].source, DATA_SETS[name].licence, f"thinkseg data check {tmp_path} --dataset {name}"):
        assert told in err
    assert list(tmp_path.iterdir()) == []


def test_the_archives_of_the_catalogue_are_secure_have_a_checksum_and_splits_that_exist() -> None:
    archives = [(data_set, one) for data_set in DATA_SETS.values() for one in data_set.archives]
    assert {data_set.name for data_set, _ in archives} == {"coco", "lvis", "lvis-absent"}
    for data_set, archive in archives:
        assert archive.url.startswith("https://")
        assert len(bytes.fromhex(archive.sha256)) == 32
        assert set(archive.splits) <= set(data_set.splits)
        assert "CC BY" in data_set.licence
