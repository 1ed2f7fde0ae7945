"""Whoever asks, the number is the same: a report, a comparison, two folders of masks, and a single call."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import thinkseg
from thinkseg.evaluation.mask_folders import PAIR_MEASURES
from thinkseg.evaluation.records import RunHeader
from thinkseg.evaluation.reporting.latex_tables import markdown, rows_of
from thinkseg.evaluation.run import Run, evaluate
from thinkseg.imaging import save_mask
from thinkseg.types import Answer, Completion, Mask, Prediction, Sample, Size

SHAPE = (6, 8)
MASKS = st.one_of(arrays(np.bool_, SHAPE), st.just(np.zeros(SHAPE, bool)), st.just(np.ones(SHAPE, bool)))
PAIRS = st.lists(st.tuples(MASKS, MASKS), min_size=1, max_size=6)


class Painter:
    """Predicts the masks that it was given, by the ids of the samples."""

    def __init__(self, masks: Sequence[Mask]) -> None:
        self._masks = masks

    def predict(self, samples: Sequence[Sample], batch_size: int) -> Iterator[Prediction]:
        assert batch_size
        for sample in samples:
            mask = self._masks[int(sample.id)]
            yield Prediction(sample.id, Completion(""), Answer(Size(*SHAPE[::-1])), mask[None])


def run_of(name: str, pairs: Sequence[tuple[Mask, Mask]]) -> Run:
    samples = [Sample(str(index), "none.png", "it", target) for index, (_, target) in enumerate(pairs)]
    header = RunHeader("drawn", name, "", "none", 0)
    return evaluate(Painter([pred for pred, _ in pairs]), samples, None, header, measures=PAIR_MEASURES)


@given(PAIRS)
@settings(max_examples=25, deadline=None)
def test_report_comparison_table_folders_and_call_give_the_same_numbers(pairs: list[tuple[Mask, Mask]]) -> None:
    run = run_of("model", pairs)
    reported = {name: one.value for name, one in run.metrics.items()}
    with tempfile.TemporaryDirectory() as name:
        for index, pair in enumerate(pairs):
            for folder, mask in zip(("predictions", "targets"), pair, strict=True):
                save_mask(mask, Path(name, folder, f"{index}.png"))
        folders = thinkseg.measure_folders(Path(name, "predictions"), Path(name, "targets"), processes=1)
    assert folders.count == len(pairs)
    assert {name: value for name, value in folders.values.items() if not np.isnan(value)} == reported
    compared = thinkseg.compare([run, run_of("again", pairs)])
    for line in compared.lines["all"]:
        assert [metric.value for metric in line.metrics] == [reported[line.measure]] * 2
        gain = line.gains[0]
        assert gain is not None
        assert gain.mean == 0
        assert {gain.low, gain.high} == ({0} if gain.n > 1 else {None})
    assert {line.measure for line in compared.lines["all"]} == set(reported)
    row = markdown(rows_of(run.report, "model"), list(reported)).splitlines()[2]
    assert row.split(" | ")[1:] == [f"{value:.3f}" for value in list(reported.values())[:-1]] + [
        f"{list(reported.values())[-1]:.3f} |"
    ]
    if len(pairs) == 1:
        alone = thinkseg.measure(*pairs[0])
        assert {name: value for name, value in alone.items() if not np.isnan(value)} == pytest.approx(reported)
