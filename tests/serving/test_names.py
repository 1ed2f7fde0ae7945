"""Names of results: numbers where they are needed, earlier results found again, and no time lost on the way."""

import json
from pathlib import Path

import pytest

from thinkseg.results.record import ResultRecord
from thinkseg.serving.jobs import Job
from thinkseg.serving.names import ResultNames

MODEL = {"name": "m"}


def write(out: Path, name: str, digest: str, query: str, image: str = "x.png", model: str = "m") -> None:
    record: ResultRecord = {
        **{"image": image, "query": query, "image_digest": digest, "model": {"name": model}},
        **{"size": {}, "objects": [], "completion": {}},
    }
    (out / f"{name}.json").write_text(json.dumps(record))


def places(names: ResultNames, out: Path, *asked: tuple[str, str]) -> list[tuple[str, bool]]:
    """The name of each (digest, query), and whether a result is kept there."""
    found = [names.place(Job(Path("y.png"), query, "a"), digest, out / "a") for digest, query in asked]
    return [(stem.name, record is not None) for stem, record in found]


def test_results_of_one_name_are_found_in_whatever_order_they_are_asked_for(tmp_path: Path) -> None:
    for name, digest in (("a", "1"), ("a-2", "2"), ("a-3", "3")):
        write(tmp_path, name, digest, "q")
    asked = [("3", "q"), ("1", "q"), ("4", "q"), ("2", "q"), ("2", "other")]
    assert places(ResultNames(MODEL), tmp_path, *asked) == [
        *(("a-3", True), ("a", True), ("a-4", False)),
        *(("a-2", True), ("a-5", False)),
    ]


def test_the_same_result_is_not_given_away_twice(tmp_path: Path) -> None:
    write(tmp_path, "a", "1", "q")
    assert places(ResultNames(MODEL), tmp_path, ("1", "q"), ("1", "q")) == [("a", True), ("a-2", False)]


def test_a_model_that_is_not_known_keeps_nothing(tmp_path: Path) -> None:
    write(tmp_path, "a", "1", "q")
    assert places(ResultNames(None), tmp_path, ("1", "q")) == [("a-2", False)]
    assert places(ResultNames({"name": "n"}), tmp_path, ("1", "q")) == [("a-2", False)]


def test_overwriting_goes_by_the_images_bytes_or_its_path_and_the_query_and_takes_the_first(tmp_path: Path) -> None:
    write(tmp_path, "a", "9", "q")
    write(tmp_path, "a-2", "8", "q", image="y.png")
    write(tmp_path, "a-3", "1", "q")
    names = ResultNames(MODEL, overwrite=True)
    assert places(names, tmp_path, ("1", "new"), ("1", "q"), ("1", "q"), ("1", "q")) == [
        *(("a-4", False), ("a-2", False), ("a-3", False), ("a-5", False)),
    ]


def test_no_result_is_named_so_that_it_would_write_over_an_image(tmp_path: Path) -> None:
    names = ResultNames(MODEL)
    names.protect([tmp_path / "a.object-12.png", tmp_path / "a-2.overlay.png", tmp_path / "a-3.png"])
    assert places(names, tmp_path, ("1", "q")) == [("a-3", False)]


class Counted(type(Path())):  # type: ignore[misc]
    """A path that counts how often it is asked whether a file is there."""

    asked = 0

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        Counted.asked += 1
        return False


@pytest.mark.parametrize("count", [10, 1000])
def test_many_queries_about_one_image_are_named_in_linear_time(tmp_path: Path, count: int) -> None:
    Counted.asked = 0
    names, first = ResultNames(MODEL), Counted(tmp_path / "a")
    made = [names.place(Job(Path("y.png"), str(n), "a"), "1", first)[0].name for n in range(count)]
    assert made == ["a", *(f"a-{n}" for n in range(2, count + 1))]
    assert Counted.asked == count  # every name is looked at once
