"""Defect 15: the published evaluation drops failed samples, and a NumPy integer loses a shard at its last line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thinkseg.evaluation.parallel.shards import Shard, merge_shards
from thinkseg.evaluation.record_file import read_records, write_json
from thinkseg.evaluation.records import RunHeader
from thinkseg.evaluation.run import Run, evaluate

HEADER = RunHeader("squares", "model", "", "fake", 0)


def test_a_failed_sample_stays_in_the_denominator_of_every_shard_and_of_their_sum(
    tmp_path: Path, create_samples: Any, create_pipeline: Any
) -> None:
    """Defect 15: the denominator shrank by every sample that failed."""
    pipeline = create_pipeline(nonsense=frozenset({0, 2, 5}))
    for index in (1, 2):
        evaluate(pipeline, create_samples(9), tmp_path, HEADER, shard=Shard(index, 2))
    merged = merge_shards(tmp_path, 2, 9)
    assert merged is not None
    assert len(read_records(tmp_path / "predictions.jsonl")) == 9
    report = Run.from_records(HEADER, merged)
    assert report.metrics["giou"].count == 9
    assert report.metrics["giou"].value == pytest.approx(6 / 9)
    assert sum(report.failures.values()) == 3


def test_numbers_of_numpy_are_written_like_any_others(
    tmp_path: Path, create_samples: Any, create_pipeline: Any
) -> None:
    """Defect 15: an area that was a NumPy integer broke the dump at the end, and the shard was lost."""
    write_json(tmp_path / "numbers.json", {"count": np.int64(3), "share": np.float32(0.5), "whole": np.bool_(True)})
    assert json.loads((tmp_path / "numbers.json").read_text()) == {"count": 3, "share": 0.5, "whole": True}
    report = evaluate(create_pipeline(share=0.5), create_samples(3), tmp_path, HEADER)
    assert {type(metric.value) for metric in report.metrics.values()} <= {float, type(None)}
    records = read_records(tmp_path / "predictions.jsonl")
    assert [record.intersection for record in records] == [128, 0, 128]
