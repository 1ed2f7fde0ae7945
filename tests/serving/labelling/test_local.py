"""What is promised to whoever labels much: a row for a row, whatever happens, and whoever else is at work."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import thinkseg
from tests.serving.labelling import fakes
from thinkseg.errors import DataError, InputError, ThinkSegError
from thinkseg.evaluation.parallel.processes import ProcessLost
from thinkseg.models.pipeline import Pipeline
from thinkseg.serving.claims import Claims
from thinkseg.serving.labelling.labelled import Labelled
from thinkseg.types import Request


class Desk:
    """A folder of images, a folder of results, and what the model was asked."""

    def __init__(self, folder: Path, images: int) -> None:
        self.folder, self.out = folder / "photos", folder / "out"
        self.folder.mkdir()
        for number in range(images):
            Image.new("RGB", (10, 9), (number, 0, 0)).save(self.folder / f"{number:02}.png")
        self.asked: list[int] = []
        self.says: Callable[[Request], str] = lambda _: fakes.ANSWER

    def load(self, model: str, **_: Any) -> Pipeline:
        return fakes.answering(self.say)

    def say(self, request: Request) -> str:
        self.asked.append(request.image.getpixel((0, 0))[0])
        return self.says(request)

    def label(self, **options: Any) -> Labelled:
        given = {"query": "it", "out": self.out, "processes": 1, "batch_size": 2, "progress": False, "load": self.load}
        return thinkseg.label(options.pop("source", self.folder), **{**given, **options})

    @property
    def rows(self) -> list[int]:
        return [record["row"] for record in Labelled.open(self.out).records()]

    @property
    def parts(self) -> list[str]:
        return sorted(path.name for path in (self.out / "labels").iterdir())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, 10)


def test_every_row_of_a_table_gets_one_row_of_results_failures_included(desk: Desk) -> None:
    broken = desk.folder / "broken.png"
    broken.write_bytes(b"no image")
    table = desk.folder.parent / "table.csv"
    names = ["00.png", "broken.png", "gone.png", "01.png", "00.png"]
    table.write_text("id,image,query\n" + "".join(f"r{n},photos/{name},thing {n}\n" for n, name in enumerate(names)))
    texts = iter([fakes.ANSWER, "no answer at all", fakes.ANSWER])
    desk.says = lambda _: next(texts)
    labelled = desk.label(source=table, query="")
    assert (labelled.asked, labelled.rows, labelled.found) == (5, 5, 2)
    assert labelled.failures == {"malformed_answer": 1, "unreadable_image": 2}
    records = list(labelled.records())
    assert [(record["row"], record["id"], record["image"]) for record in records] == [
        (number, f"r{number}", f"photos/{name}") for number, name in enumerate(names)
    ]
    assert [record["failure"] for record in records] == [
        *(None, "unreadable_image", "unreadable_image", "malformed_answer", None),
    ]
    assert "gone.png" in records[2]["failure_detail"]
    assert records[0]["image_digest"] == records[4]["image_digest"] != records[3]["image_digest"]


def test_a_row_makes_the_result_that_segment_makes(desk: Desk) -> None:
    image = desk.folder / "03.png"
    (outcome,) = thinkseg.segment_files(image, query="it", model=desk.load(""), out=desk.folder.parent / "cut")
    record = list(desk.label().records())[3]
    with Image.open(image) as opened:
        result = thinkseg.Result.from_record(record, opened)
    assert (result.masks == outcome.result().masks).all()
    assert result.masks.sum() == 64  # the fake fills the box from 1 to 8, both included
    kept = ("size", "objects", "thinking", "nothing_there", "completion", "frame", "failure", "image_digest", "query")
    assert {name: record[name] for name in kept} == {name: outcome.record[name] for name in kept}


def test_again_nothing_is_asked_again(desk: Desk) -> None:
    first = desk.label()
    asked = len(desk.asked)
    assert asked == first.rows == 10
    assert desk.label() == first
    assert len(desk.asked) == asked


def test_a_killed_labelling_goes_on_where_it_was_and_has_every_row_once(desk: Desk, tmp_path: Path) -> None:
    """SIGKILL at the eighth request, in the second batch of the second file; half a line was written."""
    script = Path(__file__).parent / "killed.py"
    words = [sys.executable, script, desk.folder, desk.out, tmp_path / "marker", 7]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([*map(str, words)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert desk.parts == ["part-000000.parquet"]
    (journal,) = (desk.out / ".label").glob("*.jsonl")
    assert [json.loads(line)["row"] for line in journal.read_text().splitlines()] == [4, 5]
    with journal.open("a") as file:
        file.write('{"row": 6, "torn')
    assert desk.label(rows_per_file=4).complete
    assert sorted(desk.asked) == [6, 7, 8, 9]
    assert desk.rows == list(range(10))
    assert list((desk.out / ".label").glob("*block*")) == []


def test_where_it_was_killed_right_after_a_file_was_written_the_rows_are_there_once(desk: Desk) -> None:
    """The file of results was in its place, and the lines that it was made of not removed yet."""
    desk.label(rows_per_file=4)
    (desk.out / "labels" / "part-000002.parquet").unlink()
    journal = desk.out / ".label" / "block-000001.jsonl"
    journal.write_text('{"row": 4}\n')
    asked = len(desk.asked)
    desk.label()
    assert desk.asked[asked:] == [8, 9]
    assert desk.rows == list(range(10))


def test_a_journal_that_is_no_journal_is_begun_again(desk: Desk) -> None:
    desk.label(rows_per_file=4)
    (desk.out / "labels" / "part-000001.parquet").unlink()
    (desk.out / ".label" / "block-000001.jsonl").write_bytes(b'{"row": 7}\n\0\0\xff\n[]\n')
    assert desk.label().complete
    assert desk.rows == list(range(10))


def test_two_at_once_share_the_rows(desk: Desk) -> None:
    """While the first works on its first file, the second does others; each ends when all is done."""
    second_works, other = threading.Event(), Desk.__new__(Desk)
    other.folder, other.out, other.asked = desk.folder, desk.out, []
    colleague = threading.Thread(target=partial(other.label, rows_per_file=2))

    def first(_: Request) -> str:
        if len(desk.asked) == 1:
            colleague.start()
            assert second_works.wait(60)
        return fakes.ANSWER

    def second(_: Request) -> str:
        second_works.set()
        return fakes.ANSWER

    desk.says, other.says = first, second
    assert desk.label(rows_per_file=2).complete
    colleague.join(60)
    assert not colleague.is_alive()
    assert other.asked
    assert sorted(desk.asked + other.asked) == list(range(10))
    assert desk.rows == list(range(10))


def test_rows_of_another_that_gives_up_are_taken_over(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.label(rows_per_file=2)
    for part in ("part-000000.parquet", "part-000001.parquet"):
        (desk.out / "labels" / part).unlink()
    another = Claims()
    assert another.claim(desk.out / ".label" / "block-000000")

    def says(_: Request) -> str:
        another.release()
        return fakes.ANSWER

    desk.says = says
    asked = len(desk.asked)
    assert desk.label().complete
    assert desk.asked[asked:] == [2, 3, 0, 1]


def test_parts_are_shared_out_by_their_numbers(desk: Desk) -> None:
    first = desk.label(shard="1/2", rows_per_file=2)
    assert (first.rows, first.complete) == (6, False)
    assert desk.parts == ["part-000000.parquet", "part-000002.parquet", "part-000004.parquet"]
    assert desk.label(shard="2/2").complete
    assert Counter(desk.asked) == dict.fromkeys(range(10), 1)


def test_another_input_or_model_is_refused_and_nothing_is_lost(desk: Desk, tmp_path: Path) -> None:
    desk.label()
    before = desk.rows
    with pytest.raises(DataError, match=r"model was .*'pocket'.* and is .*seg-zero"):
        desk.label(format="seg-zero")
    with pytest.raises(DataError, match=r"data revision was .* and is .*; choose another folder"):
        desk.label(query="them")
    Image.new("RGB", (10, 9)).save(desk.folder / "10.png")
    with pytest.raises(DataError, match="rows was 10 and is 11"):
        desk.label()
    with pytest.raises(DataError, match="a pipeline that was handed over cannot be told"):
        desk.label(model=desk.load(""))
    assert desk.rows == before
    strange = tmp_path / "strange" / "labels"
    strange.mkdir(parents=True)
    (strange / "mine.parquet").write_bytes(b"mine")
    with pytest.raises(DataError, match="of unknown origin"):
        desk.label(out=strange.parent)
    assert (strange / "mine.parquet").read_bytes() == b"mine"


def test_what_cannot_work_is_told_before_anything_is_read(desk: Desk) -> None:
    for options, sentence in (
        ({"engine": "spark"}, "an engine is local or ray, found 'spark'"),
        ({"model": desk.load(""), "processes": 2}, "several processes need a model by its name"),
        ({"engine": "ray", "shard": "1/2"}, "leave out --shard"),
        ({"address": "auto"}, "say --engine ray"),
        ({"query": " "}, "the query is empty"),
    ):
        with pytest.raises(InputError, match=sentence):
            desk.label(**options)
    assert desk.asked == []


def test_a_disk_that_is_full_ends_the_work_with_a_sentence(desk: Desk) -> None:
    desk.label(shard="1/5", rows_per_file=2)
    (desk.out / ".label" / "block-000001.jsonl").mkdir()  # stands for a file that cannot be written
    with pytest.raises(ThinkSegError, match=r"cannot be written into .* goes on from here"):
        desk.label()
    (desk.out / ".label" / "block-000001.jsonl").rmdir()
    assert desk.label().complete


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_others_and_the_same_call_goes_on(desk: Desk, tmp_path: Path) -> None:
    load = partial(fakes.load_deadly, marker=tmp_path / "marker", after=3)
    with pytest.raises(ProcessLost, match="the same command goes on"):
        desk.label(processes=2, rows_per_file=2, load=load)
    assert desk.label(load=load).complete
    assert desk.rows == list(range(10))
