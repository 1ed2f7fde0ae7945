"""Files below a folder: each one once, links followed without going round in circles."""

import ntpath
import os
from pathlib import Path

import pytest

from thinkseg.data.names import common_folder, file_below, files_below, images_below, name_below
from thinkseg.errors import DataError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_a_link_to_a_folder_whose_name_only_begins_like_its_own_is_followed(tmp_path):
    touch(tmp_path, "images/a.png", "images2/b.png")
    (tmp_path / "images2/more").symlink_to(tmp_path / "images")
    assert images_below(tmp_path / "images2").images == ["b.png", "more/a.png"]


def test_links_that_lead_back_or_to_themselves_end(tmp_path):
    touch(tmp_path, "x/a.png", "y/b.png")
    (tmp_path / "x/up").symlink_to(tmp_path)
    (tmp_path / "x/over").symlink_to(tmp_path / "y")
    (tmp_path / "y/back").symlink_to(tmp_path / "x")
    (tmp_path / "itself.png").symlink_to(tmp_path / "itself.png")
    assert set(files_below(tmp_path)) >= {"x/a.png", "y/b.png", "itself.png", "x/over/b.png", "y/back/a.png"}


def test_what_looks_like_an_image_and_is_of_another_kind_is_counted_apart(tmp_path):
    touch(tmp_path, "a.PNG", "b.tif", "c/d.HEIC", "e.txt", ".f.tif", "g.gif/h.jpg")
    below = images_below(tmp_path)
    assert (below.images, below.passed_over) == (["a.PNG", "g.gif/h.jpg"], ["b.tif", "c/d.HEIC"])


def test_a_name_that_is_not_utf8_is_a_name(tmp_path):
    raw = os.fsencode(tmp_path) + b"/\xd6\xd0.png"
    try:
        os.close(os.open(raw, os.O_CREAT))
    except OSError:
        pytest.skip("names are UTF-8 on this disk")
    (name,) = images_below(tmp_path).images
    assert os.fsencode(name) == b"\xd6\xd0.png"


@pytest.mark.parametrize(
    ("name", "plain"),
    [("a.png", "a.png"), ("x\\y\\a.png", "x/y/a.png"), (".//x/./a.png", "x/a.png"), ("x/../a.png", "a.png"),
     ("..", None),
     ("x/../../a", None), ("/a", None), ("\\\\host\\a", None), ("C:\\a", None), ("", None), ("a\0b", None)],
)  # fmt: skip
def test_a_name_from_an_annotation_stays_below_its_folder(name, plain):
    assert name_below(name) == plain


def test_a_table_that_came_with_a_data_set_names_files_below_its_folder_alone(tmp_path):
    assert file_below(tmp_path, "x/../a.png", "'image'") == tmp_path / "x/../a.png"
    for name in ("../a.png", "/etc/a.png", "C:\\a.png", "x/../../a.png"):
        with pytest.raises(DataError, match=r"'image' should be a file below .* which leads out of it"):
            file_below(tmp_path, name, "'image'")


def test_folders_without_one_above_them_both_are_told_by_the_first():
    assert common_folder(Path("/a/b"), Path("/a/c/d")) == Path("/a")
    drives = {"/a/b": "C:\\a\\b", "/e": "D:\\e"}
    told = common_folder(Path("/a/b"), Path("/e"), lambda paths: ntpath.commonpath([drives[path] for path in paths]))
    assert told == Path("/a/b")
