"""The next images are decoded while the model writes, and what comes of an evaluation is the same."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.evaluation.benchmarks import LoadOptions, load_benchmark
from thinkseg.evaluation.reading_ahead import ReadingAhead
from thinkseg.evaluation.records import RunHeader
from thinkseg.evaluation.run import evaluate
from thinkseg.imaging import ImagesAhead, load_image
from thinkseg.models.pipeline import Pipeline
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Failure, Prediction, Request, Sample, Size

HEADER = RunHeader("photos", "fake", "abc", "none", 0)
FORMAT = get_format("seg-r1")
PATIENCE = 60
"""Seconds after which what should have come does not come."""


def said(request: Request) -> str:
    """A box that depends on the image and on what is asked."""
    red, green, _ = request.image.getpixel((0, 0))
    right = 20 + (red + green) % 60 + len(request.instruction.user) % 7
    return f"<think>there</think><bbox>[2,3,{right},50]</bbox><points>[[8,9]]</points><labels>[1]</labels>"


def pipeline(script=said) -> Pipeline:
    return Pipeline(FakeReasoner(script, Size(100, 100)), FakeSegmenter(), FORMAT)


@dataclass
class Plain:
    """The same pipeline, of which the evaluation does not know that it is one: it is given files as they are."""

    inner: Pipeline

    def predict(self, samples: Sequence[Sample], batch_size: int) -> Iterator[Prediction]:
        return self.inner.predict(samples, batch_size)


def photos(folder: Path, count: int, queries: int = 1) -> list[Sample]:
    """Samples on files, each image asked about so many times in a row."""
    samples, target = [], np.zeros((30, 40), dtype=bool)
    target[4:20, 5:30] = True
    for number in range(count):
        file = folder / f"{number}.png"
        Image.new("RGB", (40, 30), (7 * number, number, 0)).save(file)
        samples += [
            Sample(f"{number}-{turn}", file if turn % 2 else str(file), f"thing {turn}", target)
            for turn in range(queries)
        ]
    return samples


def test_the_images_of_the_next_batch_are_decoded_while_the_model_writes_and_no_further_ones(tmp_path: Path) -> None:
    samples = photos(tmp_path, 7)
    decoded: list[str] = []
    waited = {"0": "3.png", "2": "5.png", "4": "6.png", "6": "6.png"}
    events = {name: threading.Event() for name in waited.values()}

    def load(file: str) -> Image.Image:
        name = Path(file).name
        decoded.append(name)
        if name in events:
            events[name].set()
        return load_image(file)

    def script(request: Request) -> str:
        number = str(request.image.getpixel((0, 0))[1])
        if number in waited:  # the first one of a batch
            assert events[waited[number]].wait(PATIENCE)
            assert decoded == [f"{place}.png" for place in range(int(waited[number][0]) + 1)]
        return said(request)

    with ImagesAhead(load) as images:
        ahead = ReadingAhead(pipeline(script), samples, images)
        for start in range(0, 7, 2):
            ahead.begin(range(7)[start:], 2)
            assert len(list(ahead.predict(samples[start : start + 2], 2))) == len(samples[start : start + 2])
    assert len(decoded) == 7


def test_large_images_of_the_next_batch_are_left_for_its_turn_where_they_have_no_room(tmp_path: Path) -> None:
    samples, decoded = photos(tmp_path, 8), []

    def load(file: str) -> Image.Image:
        decoded.append(Path(file).name)
        return load_image(file)

    asked = pipeline()
    with ImagesAhead(load, budget=40 * 30 * 4) as images:  # of one of them
        ahead = ReadingAhead(asked, samples, images)
        ahead.begin(range(8), 4)
        found = list(ahead.predict(samples[:4], 4))
        assert images.take(samples[7].image) is None
        ahead.begin(range(4, 8), 4)
        found += ahead.predict(samples[4:], 4)
    assert decoded == [f"{number}.png" for number in range(8)]  # each once
    assert [one.completion for one in found] == [one.completion for one in pipeline().predict(samples, 4)]


def test_an_evaluation_writes_the_same_bytes_whether_its_images_are_decoded_ahead_or_not(tmp_path: Path) -> None:
    samples = photos(tmp_path, 9, queries=3)
    (tmp_path / "4.png").write_bytes((tmp_path / "4.png").read_bytes()[:60])
    (tmp_path / "7.png").unlink()
    ahead, plain = tmp_path / "ahead", tmp_path / "plain"
    run = evaluate(pipeline(), samples, ahead, HEADER, batch_size=4)
    evaluate(Plain(pipeline()), samples, plain, HEADER, batch_size=4)
    assert (ahead / "predictions.jsonl").read_bytes() == (plain / "predictions.jsonl").read_bytes()
    failed = {record.id: record.failure_detail for record in run.records if record.failure is not None}
    assert sorted(failed) == [f"{number}-{turn}" for number in (4, 7) for turn in range(3)]
    assert all("4.png" in failed[f"4-{turn}"] and "no such file" in failed[f"7-{turn}"] for turn in range(3))
    assert run.failures == {Failure.UNREADABLE_IMAGE.value: 6}


def test_expressions_of_an_image_share_what_was_decoded_and_the_reasoner_sees_one_image(tmp_path: Path) -> None:
    asked = pipeline()
    evaluate(asked, photos(tmp_path, 3, queries=4), None, HEADER, batch_size=3)
    assert isinstance(asked.reasoner, FakeReasoner)
    seen = [id(request.image) for request in asked.reasoner.requests]
    assert [len(set(seen[start : start + 3])) for start in range(0, 12, 3)] == [1, 2, 2, 1]


def test_files_that_a_data_set_lists_are_decoded_ahead(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for name in "abc":
        Image.new("RGB", (40, 30), "red").save(tmp_path / "images" / f"{name}.jpg")
        Image.new("L", (40, 30), 255).save(tmp_path / "masks" / f"{name}.png")
    _, samples = load_benchmark("folder", LoadOptions(root=tmp_path, query="the square"))
    loaded = []

    def load(file: str) -> Image.Image:
        loaded.append(Path(file).name)
        return load_image(file)

    with ImagesAhead(load) as images:
        ahead = ReadingAhead(pipeline(), samples, images)
        ahead.begin(range(3), 2)
        assert len(list(ahead.predict([samples[1], samples[2]], 2))) == 2
    assert loaded[:2] == ["a.jpg", "b.jpg"]
    assert "c.jpg" in loaded


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_evaluation_that_ends_early_leaves_no_thread(tmp_path: Path, error: type[BaseException]) -> None:
    def script(request: Request) -> str:
        raise error

    with pytest.raises(error):
        evaluate(pipeline(script), photos(tmp_path, 9), tmp_path / "out", HEADER, batch_size=2)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("images-ahead")]
