"""Who is answered by a page and whose files it hands out, without the page."""

import os
import time
from pathlib import Path

import pytest

from thinkseg.serving.guarding import Janitor, Store, hosts_of

LATER = 10_000_000_000.0


def put(store: Store, size: int, visitor: str | None = None) -> Path:
    """A file of a size in a folder of the store."""
    path = store.new_folder(visitor) / "file.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(size))
    return path


def test_names_of_folders_are_random_words_of_192_bits(tmp_path: Path) -> None:
    names = {Store(tmp_path).new_folder(None).name for _ in range(100)}
    assert len(names) == 100
    assert min(map(len, names)) == 32  # 6 bits a letter


def test_a_file_of_an_answer_is_for_its_visitor_and_one_without_an_owner_for_whoever_knows_its_name(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path)
    own, shared = put(store, 1, "me"), put(store, 1)
    assert [store.may_have(str(own), visitor) for visitor in ("me", "you", None)] == [True, False, False]
    assert [store.may_have(str(shared), visitor) for visitor in ("me", None)] == [True, True]
    assert not store.may_have(str(tmp_path / "beside.txt"), "me")
    assert not store.may_have(str(own.parent / ".." / ".." / "beside" / "x"), "me")


def test_what_is_older_than_it_is_kept_goes_and_what_was_there_at_first_stays(tmp_path: Path) -> None:
    store = Store(tmp_path, kept_seconds=60)
    example = put(store, 1)
    store.keep_what_is_there()
    upload = put(store, 1)
    store.prune(now=upload.stat().st_ctime + 59)
    assert upload.exists()
    store.prune(now=upload.stat().st_ctime + 61)
    assert [path.exists() for path in (example, upload)] == [True, False]


def test_the_oldest_goes_first_where_all_takes_more_space_than_it_may(tmp_path: Path) -> None:
    store = Store(tmp_path, kept_bytes=250)
    paths = []
    for _ in range(3):
        paths.append(put(store, 100))
        time.sleep(0.02)  # so that the files' times differ
    store.prune()
    assert [path.exists() for path in paths] == [False, True, True]


def test_pruning_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    store = Store(tmp_path / "store")
    put(store, 1)
    os.symlink(tmp_path / "mine", store.folder / "link")
    store.prune(now=LATER)
    assert (tmp_path / "mine" / "file").read_text() == "mine"


def test_a_janitor_prunes_while_it_is_there(tmp_path: Path) -> None:
    store = Store(tmp_path, kept_seconds=0)
    path = put(store, 1)
    with Janitor(store, every_seconds=0.01):
        for _ in range(500):
            if not path.exists():
                break
            time.sleep(0.01)
    assert not path.exists()


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", "127.0.0.1"), ("10.0.0.7", "10.0.0.7"), ("[::1]", "::1"), ("Box.local", "box.local")],
)
def test_a_page_is_asked_by_the_address_at_which_it_listens_and_by_the_names_of_this_machine(
    host: str, own: str
) -> None:
    assert hosts_of(host) == {own, "127.0.0.1", "localhost", "::1"}
