import json
from pathlib import Path

import pytest
from PIL import Image

from thinkseg.errors import DataError, ImageError, InputError
from thinkseg.serving.jobs import Job, list_jobs


@pytest.fixture
def shots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of images and other things, seen from the folder above."""
    folder = tmp_path / "shots"
    for name in ("b.JPG", "a.png", "deep/a.png", "deep/er/c.d.webp", ".hidden/x.png", ".y.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(folder / name, format="PNG")
    (folder / "notes.txt").write_text("no image")
    monkeypatch.chdir(tmp_path)
    return folder


def names(jobs: list[Job]) -> list[str]:
    return [job.name for job in jobs]


def test_a_folder_is_its_images_and_those_below_it_under_names_that_keep_the_folders(shots: Path) -> None:
    jobs = list_jobs(["shots"], "the ball")
    assert names(jobs) == ["a", "b", "deep/a", "deep/er/c.d"]
    assert jobs[3] == Job(Path("shots/deep/er/c.d.webp"), "the ball", "deep/er/c.d")


def test_a_pattern_finds_images_and_nothing_else(shots: Path) -> None:
    assert names(list_jobs(["shots/*"], "x")) == ["a", "b"]
    assert names(list_jobs(["shots/**/a.png"], "x")) == ["a", "deep/a"]
    assert names(list_jobs([str(shots / "d*" / "*.png")], "x")) == ["deep/a"]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(shots: Path) -> None:
    Image.new("RGB", (4, 4)).save("shots/[1].png")
    assert names(list_jobs(["shots/[1].png"], "x")) == ["[1]"]


def test_a_table_brings_its_queries_and_its_images_lie_beside_it(shots: Path) -> None:
    Path("shots/asked.csv").write_text("image,query\na.png,the dog\ndeep/a.png,the cat\na.png,the sky\n")
    jobs = list_jobs(["shots/asked.csv"], "left alone")
    assert [(job.image, job.query, job.name) for job in jobs] == [
        (Path("shots/a.png"), "the dog", "a"),
        (Path("shots/deep/a.png"), "the cat", "deep/a"),
        (Path("shots/a.png"), "the sky", "a"),
    ]


def test_the_name_of_an_image_that_lies_elsewhere_stays_in_the_folder_of_results(shots: Path) -> None:
    Path("shots/deep/asked.csv").write_text(f"image,query\n../a.png,x\n{shots / 'b.JPG'},x\n../deep/a.png,y\n")
    assert names(list_jobs(["shots/deep/asked.csv"])) == ["a", "b", "a"]


def test_lines_are_paths_or_json(shots: Path) -> None:
    lines = ["shots/a.png\n", "\n", json.dumps({"image": "shots/b.JPG", "query": "the cat", "id": 3}), '{"image": "c"}']
    jobs = list_jobs(["-"], "the dog", lines)
    assert [(str(job.image), job.query) for job in jobs] == [
        ("shots/a.png", "the dog"),
        ("shots/b.JPG", "the cat"),
        ("c", "the dog"),
    ]


def test_a_request_that_is_made_twice_is_answered_once(shots: Path) -> None:
    words = ["shots/deep/a.png", "shots", "shots/deep", str(shots / "a.png")]
    assert [str(job.image.relative_to("shots")) for job in list_jobs(words, "x")] == [
        "deep/a.png",
        "a.png",
        "b.JPG",
        "deep/er/c.d.webp",
    ]


def test_files_can_be_left_out_of_folders_and_patterns_but_not_when_they_are_named(shots: Path) -> None:
    def is_b(path: Path) -> bool:
        return path.stem == "b"

    assert names(list_jobs(["shots/*"], "x", leave_out=is_b)) == ["a"]
    assert names(list_jobs(["shots/b.JPG"], "x", leave_out=is_b)) == ["b"]


@pytest.mark.parametrize(
    ("word", "error", "sentence"),
    [
        ("gone.jpg", ImageError, "at 'gone.jpg', found no such file"),
        ("shots/*.gif", ImageError, "found no images .* like 'shots/\\*.gif'"),
        ("empty", ImageError, "found no images .* below 'empty'"),
        ("gone.csv", DataError, "expected a table at 'gone.csv'"),
        ("bad.csv", DataError, "lacks the column query"),
    ],
)
def test_what_names_nothing_is_told(shots: Path, word: str, error: type[InputError], sentence: str) -> None:
    Path("empty").mkdir()
    Path("bad.csv").write_text("image\na.png\n")
    with pytest.raises(error, match=sentence):
        list_jobs([word], "x")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"image": ', "line 2 of the input is no JSON"),
        ('{"query": "x"}', "line 2 of the input names no image"),
        ('{"image": 7}', "'image' of line 2 of the input should be text, found 7"),
        ('{"image": "a", "query": ["x"]}', "'query' of line 2 of the input should be text"),
        ('{"image": "a", "query": "\\ud83d"}', "'query' of line 2 of the input should be text"),
    ],
)
def test_a_line_that_says_nothing_is_told_with_its_number(line: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        list_jobs(["-"], "x", ["a.png", line])


def test_no_query_and_no_lines_are_told(shots: Path) -> None:
    with pytest.raises(InputError, match="the query is empty"):
        list_jobs(["shots"], "")
    with pytest.raises(InputError, match="nothing to do"):
        list_jobs(["-"], "x", ["\n"])


def test_a_letter_that_only_looks_like_the_end_of_a_line_stays_in_its_line() -> None:
    (job,) = list_jobs(["-"], "", [json.dumps({"image": "a.png", "query": "the disc\u2028on the left"})])
    assert job.query == "the disc\u2028on the left"


def test_images_of_other_kinds_are_counted_and_links_to_folders_followed(
    shots: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("x.tif", "deep/y.HEIC", "z.txt"):
        (shots / name).touch()
    Path("shots2").mkdir()
    Path("shots2/more").symlink_to(shots)
    Path("shots2/itself").symlink_to(Path("shots2").absolute())
    assert names(list_jobs(["shots2"], "x")) == ["more/a", "more/b", "more/deep/a", "more/deep/er/c.d"]
    assert caplog.messages == [
        "passed over in 'shots2': 2 images of another kind than .bmp, .jpeg, .jpg, .png, .webp, such as "
        "'shots2/more/x.tif'; convert what is meant to PNG or JPEG"
    ]
    with pytest.raises(ImageError, match=r"found no images .* like 'shots/\*.tif', but 1 of other kinds, such as"):
        list_jobs(["shots/*.tif"], "x")


def test_a_name_that_is_too_long_for_a_file_is_no_file() -> None:
    with pytest.raises(ImageError, match="found no such file"):
        list_jobs(["a" * 5000 + ".png"], "x")
