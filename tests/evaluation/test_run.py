import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from py_sod_metrics import Smeasure

from thinkseg.errors import DataError, InputError
from thinkseg.evaluation.parallel.shards import Shard, merge_shards
from thinkseg.evaluation.record_file import RecordFile, claim_folder, read_header, read_records, write_records
from thinkseg.evaluation.records import PredictionRecord, RunHeader
from thinkseg.evaluation.run import Run, evaluate
from thinkseg.evaluation.scoring import score
from thinkseg.testing.squares import Filler, Squares
from thinkseg.types import Answer, Completion, Failure, Prediction, Sample, Size

HEADER = RunHeader("squares", "filler", "abc", "none", 0)


class PowerCut(Exception):
    """The machine went away."""


def lines(out: Path) -> list[str]:
    return (out / "predictions.jsonl").read_text(encoding="utf-8").splitlines()


def test_every_sample_is_in_the_denominator_and_a_parse_failure_counts_as_empty(
    tmp_path: Path, create_samples: Any, create_pipeline: Any
) -> None:
    run = evaluate(create_pipeline(nonsense=frozenset({0, 2, 5})), create_samples(9), tmp_path, HEADER)
    assert run.metrics["giou"].count == 9
    assert run.metrics["giou"].value == pytest.approx(6 / 9)
    assert run.metrics["parse_failures"].value == pytest.approx(3 / 9)
    assert run.failures == {"malformed_answer": 3}
    assert len(lines(tmp_path)) == 9


def test_a_parse_failure_never_gets_the_mask_of_the_sample_before_it(
    tmp_path: Path, create_samples: Any, create_pipeline: Any
) -> None:
    """Defect 4: a parse failure wrote no prediction, and the mask of the sample before it was scored."""
    evaluate(create_pipeline(nonsense=frozenset({2})), create_samples(3), tmp_path, HEADER)
    record = read_records(tmp_path / "predictions.jsonl")[2]
    assert record.predicted_empty
    assert not record.mask.any()
    assert (record.iou, record.intersection, record.union) == (0, 0, 256)
    assert record.failure is Failure.MALFORMED_ANSWER
    assert record.finish_reason == "length"
    assert not record.abstained


def test_abstentions_are_right_only_where_nothing_is_there(
    tmp_path: Path, create_samples: Any, create_pipeline: Any
) -> None:
    samples = create_samples(9)
    abstaining = evaluate(create_pipeline(), samples, tmp_path / "a", HEADER)
    pointing = evaluate(create_pipeline(abstains=False), samples, tmp_path / "b", HEADER)
    assert abstaining.metrics["correct_abstentions"].value == 1
    assert abstaining.metrics["correct_abstentions"].count == 3
    assert abstaining.metrics["false_abstentions"].value == 0
    assert abstaining.by_task["nothing"]["giou"].value == 1
    assert pointing.metrics["correct_abstentions"].value == 0
    assert pointing.by_task["nothing"]["giou"].value == 0


def test_nonsense_where_nothing_is_there_is_an_empty_mask_but_no_abstention(
    tmp_path: Path, create_samples: Any, create_pipeline: Any
) -> None:
    run = evaluate(create_pipeline(nonsense=frozenset(range(3))), create_samples(3), tmp_path, HEADER)
    assert run.by_task["nothing"]["giou"].value == 1
    assert run.metrics["correct_abstentions"].value == 0
    assert run.metrics["false_abstentions"].value == 0


def test_ciou_weighs_pixels_and_giou_weighs_samples(tmp_path: Path, create_samples: Any, create_pipeline: Any) -> None:
    run = evaluate(create_pipeline(share=0.25), create_samples(3), tmp_path, HEADER)
    assert run.metrics["giou"].value == pytest.approx((0.25 + 1 + 0.25) / 3)
    assert run.metrics["ciou"].value == pytest.approx(0.25)
    assert "ciou" not in run.by_task["nothing"]
    assert run.by_task["salient"]["mae"].value == pytest.approx(0.75 * 256 / 1024)


def test_the_s_measure_of_a_record_is_that_of_pysodmetrics(
    tmp_path: Path, create_samples: Any, create_pipeline: Any
) -> None:
    evaluate(create_pipeline(share=0.5), create_samples(6), tmp_path, HEADER)
    samples = create_samples(6)
    for index, record in enumerate(read_records(tmp_path / "predictions.jsonl")):
        reference = Smeasure()
        reference.step(record.mask.astype(np.float64), samples[index].target, normalize=False)
        assert record.s_measure == pytest.approx(reference.get_results()["sm"], abs=1e-6)


def test_ignored_pixels_count_neither_way(create_samples: Any) -> None:
    sample = create_samples(1)[0]
    ignore = np.zeros((32, 32), dtype=bool)
    ignore[:, 8:] = True
    masks = np.zeros((1, 32, 32), dtype=bool)
    masks[0, 0:16, 0:32] = True
    prediction = Prediction(sample.id, Completion(""), Answer(Size(32, 32)), masks)
    assert score(sample, prediction).iou == pytest.approx(0.5)
    ignored = score(replace(sample, ignore=ignore), prediction)
    assert (ignored.iou, ignored.mae) == (1, 0)


@pytest.mark.parametrize("batch_size", [1, 3, 5, 64])
def test_numbers_and_lines_are_equal_for_any_batch_size(
    tmp_path: Path, create_samples: Any, create_pipeline: Any, batch_size: int
) -> None:
    options = {"share": 0.5, "nonsense": frozenset({3, 4})}
    one = evaluate(create_pipeline(**options), create_samples(11), tmp_path / "one", HEADER, batch_size=1)
    many = evaluate(create_pipeline(**options), create_samples(11), tmp_path / "many", HEADER, batch_size=batch_size)
    assert many.report == one.report
    assert lines(tmp_path / "many") == lines(tmp_path / "one")


@pytest.mark.parametrize("cut", [0, 1, 4, 5, 10])
def test_a_run_cut_off_anywhere_ends_with_the_same_lines(
    tmp_path: Path, create_samples: Any, create_pipeline: Any, cut: int
) -> None:
    whole = evaluate(create_pipeline(share=0.5), create_samples(11), tmp_path / "whole", HEADER, batch_size=3)

    class Cut(type(create_pipeline())):  # type: ignore[misc]
        def _one(self, sample: Sample) -> Prediction:
            if sample.id == f"square-{cut}":
                raise PowerCut
            return super()._one(sample)

    with pytest.raises(PowerCut):
        evaluate(Cut(share=0.5), create_samples(11), tmp_path / "cut", HEADER, batch_size=3)
    assert len(lines(tmp_path / "cut")) == cut
    again = create_pipeline(share=0.5)
    assert evaluate(again, create_samples(11), tmp_path / "cut", HEADER, batch_size=3).report == whole.report
    assert sum(again.batches) == 11 - cut
    assert lines(tmp_path / "cut") == lines(tmp_path / "whole")


@pytest.mark.parametrize("lost", [1, 2, 40, 400])
def test_a_torn_last_line_is_dropped_and_done_again(
    tmp_path: Path, create_samples: Any, create_pipeline: Any, lost: int
) -> None:
    whole = evaluate(create_pipeline(share=0.5), create_samples(6), tmp_path, HEADER)
    path = tmp_path / "predictions.jsonl"
    content = path.read_bytes()
    path.write_bytes(content[:-lost])
    assert evaluate(create_pipeline(share=0.5), create_samples(6), tmp_path, HEADER).report == whole.report
    assert path.read_bytes() == content


def test_a_damaged_line_in_the_middle_is_named_and_nothing_is_lost(
    tmp_path: Path, create_samples: Any, create_pipeline: Any
) -> None:
    evaluate(create_pipeline(), create_samples(4), tmp_path, HEADER)
    path = tmp_path / "predictions.jsonl"
    damaged = [*lines(tmp_path)]
    damaged[1] = damaged[1][:50]
    path.write_text("\n".join(damaged) + "\n", encoding="utf-8")
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"line 2 of .*predictions\.jsonl"):
        evaluate(create_pipeline(), create_samples(4), tmp_path, HEADER)
    assert path.read_bytes() == before


SLOW_RUN = """
import sys, time
from unittest.mock import MagicMock
sys.modules["py_sod_metrics"] = MagicMock()  # slow to import, and the S-measure does without
from pathlib import Path
import importlib.util
spec = importlib.util.spec_from_file_location("scenes_for_tests", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
from thinkseg.evaluation.run import evaluate
from thinkseg.evaluation.records import RunHeader

class Slow(module.Filler):
    def _one(self, sample):
        time.sleep(0.02)
        return super()._one(sample)

evaluate(Slow(share=0.5), module.Squares(400), Path(sys.argv[2]), RunHeader("squares", "filler", "abc", "none", 0))
"""


def test_a_process_that_is_killed_loses_at_most_the_batch_that_it_was_at(
    tmp_path: Path, create_samples: Any, create_pipeline: Any, repository: Path
) -> None:
    words = [sys.executable, "-c", SLOW_RUN, str(Path(__file__).with_name("conftest.py")), str(tmp_path / "killed")]
    process = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(repository)}, stderr=subprocess.PIPE)
    path = tmp_path / "killed" / "predictions.jsonl"
    deadline = time.monotonic() + 120  # importing takes its time on a busy machine
    while not (path.exists() and path.read_bytes().count(b"\n") > 10):
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = path.read_bytes().count(b"\n")
    assert 10 < done < 400
    again = create_pipeline(share=0.5)
    run = evaluate(again, create_samples(400), tmp_path / "killed", HEADER)
    assert sum(again.batches) == 400 - done
    whole = evaluate(create_pipeline(share=0.5), create_samples(400), tmp_path / "whole", HEADER)
    assert run.report == whole.report
    assert lines(tmp_path / "killed") == lines(tmp_path / "whole")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "other"}, "model 'other' (there: 'filler')"),
        ({"model_revision": "def"}, "model_revision 'def' (there: 'abc')"),
        ({"benchmark": "circles"}, "benchmark 'circles' (there: 'squares')"),
        ({"seed": 3}, "seed 3 (there: 0)"),
        ({"segmenter": "sam"}, "segmenter 'sam' (there: 'none')"),
        ({"protocol": "lisa"}, "protocol 'lisa' (there: 'default')"),
    ],
)
def test_a_folder_with_another_run_is_refused_and_left_as_it_is(
    tmp_path: Path, create_samples: Any, create_pipeline: Any, change: dict[str, Any], said: str
) -> None:
    evaluate(create_pipeline(), create_samples(2), tmp_path, HEADER)
    before = (tmp_path / "predictions.jsonl").read_bytes()
    pipeline = create_pipeline()
    with pytest.raises(DataError) as error:
        evaluate(pipeline, create_samples(4), tmp_path, replace(HEADER, **change))
    assert said in str(error.value)
    assert "--out" in str(error.value)
    assert pipeline.batches == []
    assert (tmp_path / "predictions.jsonl").read_bytes() == before


def test_more_samples_go_on_fewer_and_other_ones_are_refused(
    tmp_path: Path, create_samples: Any, create_pipeline: Any
) -> None:
    evaluate(create_pipeline(), create_samples(3), tmp_path, HEADER)
    pipeline = create_pipeline()
    assert evaluate(pipeline, create_samples(7), tmp_path, HEADER).metrics["giou"].count == 7
    assert sum(pipeline.batches) == 4
    with pytest.raises(DataError, match="more than the 2 asked for"):
        evaluate(pipeline, create_samples(2), tmp_path, HEADER)
    with pytest.raises(DataError, match="expected 'square-7'"):
        evaluate(pipeline, [create_samples(9)[index] for index in range(1, 9)], tmp_path, HEADER)


def test_a_finished_run_asks_the_pipeline_for_nothing(
    tmp_path: Path, create_samples: Any, create_pipeline: Any
) -> None:
    first = evaluate(create_pipeline(), create_samples(5), tmp_path, HEADER)
    pipeline = create_pipeline()
    assert evaluate(pipeline, create_samples(5), tmp_path, HEADER).report == first.report
    assert pipeline.batches == []


def test_progress_tells_what_was_done_before_and_then_every_sample(
    tmp_path: Path, create_samples: Any, create_pipeline: Any
) -> None:
    evaluate(create_pipeline(), create_samples(2), tmp_path, HEADER)
    told: list[tuple[int, int, float | None]] = []

    def tell(done: int, total: int, iou: float | None) -> None:
        told.append((done, total, iou))

    evaluate(create_pipeline(share=0.5), create_samples(4), tmp_path, HEADER, progress=tell)
    assert told == [(2, 4, None), (3, 4, 0.5), (4, 4, 0.5)]


def test_a_sample_without_a_target_or_with_one_of_another_size_is_named(
    tmp_path: Path, create_samples: Any, create_pipeline: Any
) -> None:
    sample = create_samples(1)[0]
    prediction = next(create_pipeline().predict([sample], 1))
    with pytest.raises(DataError, match="sample 'square-0' has no target"):
        score(replace(sample, target=None), prediction)
    with pytest.raises(DataError, match="8×4 pixels, found one for 'square-0' of 32×32"):
        score(replace(sample, target=np.ones((4, 8), dtype=bool)), prediction)


def test_a_pipeline_that_skips_a_sample_is_noticed(tmp_path: Path, create_samples: Any, create_pipeline: Any) -> None:
    class Skipping(type(create_pipeline())):  # type: ignore[misc]
        def predict(self, samples: Sequence[Sample], batch_size: int) -> Iterator[Prediction]:
            yield from super().predict(samples[1:], batch_size)

    with pytest.raises(DataError, match="expected a prediction for 'square-0'"):
        evaluate(Skipping(), create_samples(4), tmp_path, HEADER)


def test_shards_in_any_order_give_the_report_of_one_run(
    tmp_path: Path, create_samples: Any, create_pipeline: Any
) -> None:
    one = evaluate(create_pipeline(share=0.5), create_samples(10), tmp_path / "one", HEADER)
    out = tmp_path / "parts"
    for index in (3, 1, 2):
        assert merge_shards(out, 3, 10) is None
        part = evaluate(create_pipeline(share=0.5), create_samples(10), out, HEADER, shard=Shard(index, 3))
        assert part.metrics["giou"].count == len(range(index - 1, 10, 3))
    merged = merge_shards(out, 3, 10)
    assert merged is not None
    assert Run.from_records(HEADER, merged).report == one.report
    assert lines(out) == lines(tmp_path / "one")


def test_a_shard_that_is_still_writing_is_waited_for(tmp_path: Path, create_samples: Any, create_pipeline: Any) -> None:
    for index in (1, 2):
        evaluate(create_pipeline(), create_samples(6), tmp_path, HEADER, shard=Shard(index, 2))
    path = Shard(2, 2).path(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[:-30])
    assert merge_shards(tmp_path, 2, 6) is None
    assert path.read_bytes() == content[:-30]


@pytest.mark.parametrize("text", ["0/2", "3/2", "2", "1/0", "a/b", "-1/2", "1/2/3", ""])
def test_a_shard_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="a shard is I/N"):
        Shard.parse(text)


def test_a_record_survives_the_file_with_every_field(
    tmp_path: Path, create_record: Callable[..., PredictionRecord]
) -> None:
    records = [
        create_record(1, 0.3, text="line\nbreak \u2028 ü \x00"),
        create_record(2, 0, failure=Failure.TRUNCATED),
        create_record(3, 0.123456789012345),
    ]
    with RecordFile(tmp_path / "deep" / "predictions.jsonl") as file:
        for record in records:
            file.append(record)
    assert read_records(tmp_path / "deep" / "predictions.jsonl") == records
    answer = records[0].answer
    assert answer is not None
    assert answer.frame == Size(32, 32)
    assert [point.label for point in answer.objects[0].points] == [1, 0]
    assert records[1].answer is None


@pytest.mark.parametrize("failure", Failure)
def test_a_failure_has_one_name_in_every_file_and_earlier_spellings_are_read(
    tmp_path: Path, create_record: Callable[..., PredictionRecord], failure: Failure
) -> None:
    file = tmp_path / "predictions.jsonl"
    write_records(file, [create_record(1, 0, failure=failure)])
    assert json.loads(file.read_text())["failure"] == failure.value == str(failure) == failure.name.lower()
    file.write_text(file.read_text().replace(f'"{failure.value}"', f'"{failure.name}"'))
    (record,) = read_records(file)
    assert record.failure is failure
    assert Run.from_records(HEADER, [record]).failures == {failure.value: 1}
    assert Failure(failure.sentence) is failure
    file.write_text(file.read_text().replace(f'"{failure.name}"', '"sleepy"'))
    with pytest.raises(DataError, match=r"line 1 .* 'sleepy' is not a valid Failure"):
        read_records(file)


def test_lines_are_json_that_any_program_reads(tmp_path: Path, create_samples: Any, create_pipeline: Any) -> None:
    evaluate(create_pipeline(share=0.5), create_samples(3), tmp_path, HEADER)
    line = json.loads(lines(tmp_path)[0])
    assert line["id"] == "square-0"
    assert line["frame"] == [32, 32]
    assert line["objects"][0]["points"] == [[8, 8, 1], [1, 1, 0]]
    assert set(line["rle"]) == {"size", "counts"}
    assert {"intersection", "union", "iou", "s_measure", "mae", "target_empty", "predicted_empty"} <= set(line)


def test_two_samples_of_one_id_are_refused_since_results_are_kept_by_it(
    create_samples: Callable[[int], Squares], create_pipeline: Callable[..., Filler]
) -> None:
    samples = create_samples(3)
    twice = [samples[0], samples[1], samples[0]]
    with pytest.raises(DataError, match=r"two samples have the id 'square-0'.*give each its own"):
        evaluate(create_pipeline(), twice, None, HEADER, batch_size=2)


def test_a_lock_that_cannot_be_removed_since_another_process_has_it_open_ends_no_evaluation(tmp_path, monkeypatch):
    def as_on_windows(path, missing_ok=False):
        raise PermissionError(13, "it is being used by another process", str(path))

    monkeypatch.setattr("pathlib.Path.unlink", as_on_windows)
    claim_folder(tmp_path / "run.json", HEADER)
    claim_folder(tmp_path / "run.json", HEADER)  # and is free again
    assert read_header(tmp_path / "run.json") == HEADER
