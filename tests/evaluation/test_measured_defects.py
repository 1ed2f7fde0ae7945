"""Defects of the published evaluations in what is measured, from files on disk to the numbers of a report."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thinkseg.evaluation.benchmarks import LoadOptions, load_benchmark
from thinkseg.evaluation.record_file import read_records
from thinkseg.evaluation.records import RunHeader
from thinkseg.evaluation.run import evaluate
from thinkseg.evaluation.scoring import score
from thinkseg.testing.data_sets import write_reasonseg, write_refcoco
from thinkseg.types import Answer, Box, Completion, Mask, ObjectPrompt, Prediction, Sample, Size

HEADER = RunHeader("folder", "model", "", "fake", 0)


class Masker:
    """Predicts what a function makes of the target."""

    def __init__(self, make: Any) -> None:
        self._make = make

    def predict(self, samples: Sequence[Sample], batch_size: int) -> Iterator[Prediction]:
        assert batch_size
        for sample in samples:
            assert sample.target is not None
            height, width = sample.target.shape
            yield Prediction(sample.id, Completion(""), Answer(Size(width, height)), self._make(sample.target)[None])


@pytest.mark.parametrize("one", [1, 255])
def test_a_perfect_mask_has_every_number_perfect_and_an_empty_one_less_whatever_stands_for_true(
    tmp_path: Path, one: int
) -> None:
    """Defect 1: a target of 0 and 1, thresholded at 128, was all zero: an empty mask scored 1, a perfect one .847."""
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    target = np.zeros((96, 96), dtype=np.uint8)
    target[30:66, 30:66] = one
    Image.new("RGB", (96, 96), "teal").save(tmp_path / "images" / "a.png")
    Image.fromarray(target).save(tmp_path / "masks" / "a.png")
    benchmark, samples = load_benchmark("folder", LoadOptions(root=tmp_path))
    options = {"measures": benchmark.measures}
    perfect = evaluate(Masker(lambda mask: mask), samples, tmp_path / "perfect", HEADER, **options).metrics
    empty = evaluate(Masker(np.zeros_like), samples, tmp_path / "empty", HEADER, **options).metrics
    higher = [
        name
        for name in benchmark.measures
        if name not in ("mae", "mean_f", "mean_e", "parse_failures", "false_abstentions")
    ]
    assert {name: perfect[name].value for name in higher} == pytest.approx(dict.fromkeys(higher, 1.0), abs=1e-3)
    assert perfect["mae"].value == 0
    assert perfect["mean_f"].value > 0.99  # at one of 256 thresholds the whole image is taken
    assert all(empty[name].value < 0.8 for name in higher)
    assert all(empty[name].value < perfect[name].value for name in (*higher, "mean_f", "mean_e"))


def test_the_objects_of_an_answer_are_scored_together_not_the_first_one_alone() -> None:
    """Defect 5: of several boxes only the first was segmented and scored."""
    masks = np.zeros((2, 8, 16), dtype=bool)
    masks[0, 2:6, 1:5] = True
    masks[1, 2:6, 9:13] = True
    target: Mask = masks.any(axis=0)
    prompts = (ObjectPrompt(Box(1, 2, 5, 6)), ObjectPrompt(Box(9, 2, 13, 6)))
    prediction = Prediction("two", Completion(""), Answer(Size(16, 8), prompts), masks)
    assert score(Sample("two", "two.png", "both", target), prediction).iou == 1


@pytest.mark.parametrize("name", ["refcoco-testa", "reasonseg-test"])
def test_every_expression_is_asked_once_and_the_same_ones_every_time(tmp_path: Path, name: str) -> None:
    """Defect 5: a "test set" drawn at random with replacement, and one random expression per image."""
    write_refcoco(tmp_path / "refcoco", tmp_path / "train2014", splits=("val", "testA"))
    write_reasonseg(tmp_path)
    asked = []
    for seed in (0, 1):
        _, samples = load_benchmark(name, LoadOptions(limit=4, seed=seed, root=tmp_path))
        asked.append([(sample.id, sample.query) for sample in samples])
    assert asked[0] == asked[1]
    assert len(dict(asked[0])) == len(asked[0])
    if name == "refcoco-testa":
        images = [str(samples[index].image) for index in range(len(samples))] if (samples := _refcoco(tmp_path)) else []
        assert len(images) > len(set(images))  # several expressions about one image


def _refcoco(root: Path) -> Sequence[Sample]:
    return load_benchmark("refcoco-testa", LoadOptions(limit=4, root=root))[1]


def test_a_measure_may_be_a_number_of_numpy_and_the_line_is_written_all_the_same(
    tmp_path: Path, create_samples: Any, create_pipeline: Any
) -> None:
    """Defect 15: a NumPy integer broke the dump, and the shard was lost."""
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "from thinkseg.evaluation.measures.base import Measure, mean_of_extra\n"
        "extra = {'whole': lambda pred, target: np.int64(1024), 'share': lambda pred, target: np.float32(0.5)}\n"
        "share = Measure('share', 'A number of NumPy.', mean_of_extra('share'), extra=extra)\n"
    )
    run = evaluate(create_pipeline(), create_samples(2), tmp_path, HEADER, measures=[f"{tmp_path}/mine.py:share"])
    assert [one.value for one in run.metrics.values()] == [0.5]
    assert [record.extra for record in read_records(tmp_path / "predictions.jsonl")] == [
        {"whole": 1024, "share": 0.5}
    ] * 2
