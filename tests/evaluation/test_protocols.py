"""One planted case for each protocol: a row of an object, a row to be ignored, and a prediction that covers both."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thinkseg.evaluation.benchmarks import LoadOptions, load_benchmark
from thinkseg.evaluation.evaluate import score
from thinkseg.evaluation.protocols import PROTOCOLS, Ruled
from thinkseg.testing.data_sets import write_reasonseg
from thinkseg.types import Answer, Completion, Mask, Prediction, Sample, Size


def rows(*which: int) -> Mask:
    mask = np.zeros((4, 8), dtype=bool)
    mask[list(which)] = True
    return mask


SAMPLE = Sample("planted", Image.new("RGB", (8, 4)), "the row", target=rows(0), ignore=rows(1))


@pytest.mark.parametrize("protocol", ["default", "lisa"])
@pytest.mark.parametrize(("predicted", "counts"), [((0, 1), (8, 8)), ((0,), (8, 8)), ((1,), (0, 8)), ((0, 2), (8, 16))])
def test_by_lisa_ignored_pixels_are_left_out_on_both_sides(
    protocol: str, predicted: tuple[int, ...], counts: tuple[int, int]
) -> None:
    assert _counts(protocol, predicted) == counts


@pytest.mark.parametrize("protocol", ["seg-zero", "vision-reasoner"])
@pytest.mark.parametrize(
    ("predicted", "counts"), [((0, 1), (16, 16)), ((0,), (8, 16)), ((1,), (8, 16)), ((0, 2), (8, 24))]
)
def test_by_seg_zero_and_vision_reasoner_ignored_pixels_are_the_object(
    protocol: str, predicted: tuple[int, ...], counts: tuple[int, int]
) -> None:
    assert _counts(protocol, predicted) == counts


@pytest.mark.parametrize(
    ("predicted", "counts"), [((0, 1), (8, 16)), ((0,), (8, 8)), ((1,), (0, 16)), ((0, 2), (8, 16))]
)
def test_by_seg_r1_ignored_pixels_are_background(predicted: tuple[int, ...], counts: tuple[int, int]) -> None:
    assert _counts("seg-r1", predicted) == counts


def test_where_the_target_lies_in_the_ignored_region_nothing_is_asked_for_and_nothing_is_right() -> None:
    inside = Sample("inside", SAMPLE.image, "the row", target=rows(1), ignore=rows(1))
    nothing = Prediction("inside", Completion(""), Answer(Size(8, 4)), np.zeros((0, 4, 8), dtype=bool))
    ious = {name: score(Ruled([inside], name)[0], nothing).iou for name in PROTOCOLS}
    assert ious == {"default": 1, "lisa": 1, "seg-zero": 0, "vision-reasoner": 0, "seg-r1": 1}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_sample_without_an_ignored_region_is_the_same_by_every_protocol(protocol: str) -> None:
    plain = Sample("plain", SAMPLE.image, "the row", target=rows(0))
    assert Ruled([plain], protocol)[0] is plain


def test_reasonseg_can_be_asked_for_by_every_protocol(tmp_path: Path) -> None:
    write_reasonseg(tmp_path)
    options = LoadOptions(limit=2, root=tmp_path)
    _, annotated = load_benchmark("reasonseg-test", options)
    for protocol in PROTOCOLS:
        benchmark, samples = load_benchmark("reasonseg-test", options, protocol)
        assert benchmark.protocols == tuple(PROTOCOLS)
        assert len(samples) == len(samples[:]) == 2
        for sample in samples:
            plain = {one.id: one for one in annotated}[sample.id.partition("~")[0]]
            assert plain.target is not None
            assert plain.ignore is not None
            assert plain.ignore.any()
            assert sample.target is not None
            extra = int(plain.ignore.sum()) if protocol in ("seg-zero", "vision-reasoner") else 0
            assert sample.target.sum() == plain.target.sum() + extra
            assert (sample.ignore is None) == (protocol not in ("default", "lisa"))


def _counts(protocol: str, predicted: tuple[int, ...]) -> tuple[int, int]:
    """Intersection and union of a prediction of these rows, by a protocol."""
    sample = Ruled([SAMPLE], protocol)[0]
    record = score(sample, Prediction("planted", Completion(""), Answer(Size(8, 4)), rows(*predicted)[None]))
    return record.intersection, record.union
