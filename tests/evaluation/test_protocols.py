"""Planted cases, and the number that each protocol gives them, worked out by hand beside it."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thinkseg.evaluation.benchmarks import LoadOptions, load_benchmark
from thinkseg.evaluation.protocols import PROTOCOLS, ProtocolSamples, select
from thinkseg.evaluation.records import RunHeader
from thinkseg.evaluation.reporting.report import ReportContext, report_html
from thinkseg.evaluation.run import Run, evaluate
from thinkseg.evaluation.scoring import score
from thinkseg.testing.data_sets import write_reasonseg, write_refcoco
from thinkseg.types import Answer, Box, Completion, Failure, Mask, ObjectPrompt, Prediction, Sample, Size


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


def test_where_the_target_lies_in_the_ignored_region_nothing_is_asked_for_and_nothing_is_right(tmp_path: Path) -> None:
    inside = Sample("inside", SAMPLE.image, "the row", target=rows(1), ignore=rows(1))
    numbers = {name: numbers_of(tmp_path / name, name, [inside], {"inside": ()}) for name in PROTOCOLS}
    ious = {name: report.get("giou") for name, report in numbers.items()}
    assert ious == {"default": 1, "lisa": 1, "seg-zero": 0, "vision-reasoner": 0, "seg-r1": 0}


REASONING = (
    # A row of the object and a row to be ignored; the model marks both. Intersection and union:
    # left out 8/8, part of the object 16/16, background 8/16.
    dataclasses.replace(SAMPLE, id="marked", task="reasoning"),
    # Half of what is marked is right: 8/16 by every rule.
    Sample("half", SAMPLE.image, "the row", target=rows(0), task="reasoning"),
    # An answer that cannot be parsed: 0/8 by every rule.
    Sample("unparsable", SAMPLE.image, "the row", target=rows(0), task="reasoning"),
    # Nothing is there, and nothing is marked: 0/0, on which the rules differ.
    Sample("nothing", SAMPLE.image, "the row", target=rows(), task="reasoning"),
)
MARKED: Mapping[str, tuple[int, ...] | None] = {"marked": (0, 1), "half": (0, 2), "unparsable": None, "nothing": ()}


@pytest.mark.parametrize(
    ("protocol", "giou", "ciou", "count"),
    [
        ("default", (1 + 1 / 2 + 0 + 1) / 4, (8 + 8) / (8 + 16 + 8), 4),
        ("lisa", (1 + 1 / 2 + 0 + 1) / 4, (8 + 8) / (8 + 16 + 8), 4),
        ("seg-zero", (1 + 1 / 2 + 0) / 3, (16 + 8) / (16 + 16 + 8), 3),  # the last one is dropped
        ("vision-reasoner", (1 + 1 / 2 + 0 + 0) / 4, (16 + 8) / (16 + 16 + 8), 4),
        ("seg-r1", (1 / 2 + 1 / 2 + 0 + 0) / 4, (8 + 8) / (16 + 16 + 8), 4),
    ],
)
def test_each_protocol_gives_a_reasoning_split_the_number_of_its_published_evaluation(
    protocol: str, giou: float, ciou: float, count: int, tmp_path: Path
) -> None:
    report = evaluate_by(tmp_path, protocol, REASONING, MARKED)
    assert report.metrics["giou"].value == pytest.approx(giou)
    assert report.metrics["giou"].count == count
    assert report.metrics["ciou"].value == pytest.approx(ciou)
    assert report.metrics["parse_failures"].value == pytest.approx(1 / count)


def test_only_by_the_default_is_a_parse_failure_right_where_nothing_is(tmp_path: Path) -> None:
    """Seg-Zero drops an empty mask on an empty target, but keeps what it could not read, as wrong."""
    ious = {name: numbers_of(tmp_path / name, name, REASONING[3:], {"nothing": None})["giou"] for name in PROTOCOLS}
    assert ious == {"default": 1, "lisa": 1, "seg-zero": 0, "vision-reasoner": 0, "seg-r1": 0}


def test_of_a_reasoning_answer_seg_r1_takes_the_first_object_only(tmp_path: Path) -> None:
    """One row is right, the second object's is not: 8/16, of the first object alone 8/8."""
    for task, expected in (("reasoning", 1.0), ("referring", 0.5)):
        sample = dataclasses.replace(REASONING[1], task=task)
        taken = {
            name: numbers_of(tmp_path / task / name, name, [sample], {"half": (0, 2)}, together=False)["giou"]
            for name in ("default", "seg-zero", "seg-r1")
        }
        assert taken == {"default": 0.5, "seg-zero": 0.5, "seg-r1": expected}


def test_seg_r1_sees_no_detail_finer_than_its_square(tmp_path: Path) -> None:
    """A comb of columns one pixel wide, in an image of 2,048: in the square of 1,024 each pixel is half full and so
    becomes full, and the mask that comes back covers the gaps, too: half of it is right.
    """
    comb = np.zeros((2, 2048), dtype=bool)
    comb[:, ::2] = True
    sample = Sample("comb", Image.new("RGB", (2048, 2)), "the comb", target=comb, task="referring")
    for protocol, iou in (("default", 1.0), ("seg-zero", 1.0), ("seg-r1", 0.5)):
        assert numbers_of(tmp_path / protocol, protocol, [sample], {"comb": comb})["giou"] == iou


EXPRESSIONS = tuple(
    Sample(f"{reference}-{expression}", path, text, target=rows(0), task="referring")
    for reference, expression, path, text in (
        (1, 10, "a.jpg", "The first row."),
        (1, 11, "a.jpg", "what is on top"),
        (2, 20, "a.jpg", "another row"),
        (3, 30, "b.jpg", "a row"),
        (3, 31, "b.jpg", "the row again"),
    )
)
FOUND: Mapping[str, tuple[int, ...] | None] = {"1-10": (0,), "1-11": (2,), "2-20": (0, 1), "3-30": (0,), "3-31": None}
"""IoU 1, 0, 1/2, 1, 0: two images, three objects, five expressions."""


@pytest.mark.parametrize(
    ("protocol", "giou", "ciou"),
    [
        ("default", (1 + 0 + 1 / 2 + 1 + 0) / 5, 24 / (8 + 16 + 16 + 8 + 8)),
        ("lisa", (1 + 0 + 1 / 2 + 1 + 0) / 5, 24 / (8 + 16 + 16 + 8 + 8)),
        ("seg-zero", (1 + 1 / 2 + 1) / 3, 24 / (8 + 16 + 8)),  # the first expression of each object
        ("vision-reasoner", (1 + 1 / 2 + 1) / 3, 24 / (8 + 16 + 8)),
    ],
)
def test_each_protocol_gives_a_referring_split_the_number_of_its_published_evaluation(
    protocol: str, giou: float, ciou: float, tmp_path: Path
) -> None:
    numbers = numbers_of(tmp_path, protocol, EXPRESSIONS, FOUND)
    assert numbers["giou"] == pytest.approx(giou)
    assert numbers["ciou"] == pytest.approx(ciou)


def test_seg_r1_draws_one_expression_of_each_image(tmp_path: Path) -> None:
    """Of the first image 1, 0 or 1/2, of the second 1 or 0: the mean of one of each, and in time all six."""
    means = set()
    for seed in range(40):
        indices = select(EXPRESSIONS, "seg-r1", "referring", seed)
        asked = ProtocolSamples(EXPRESSIONS, "seg-r1", indices)
        assert [sample.image for sample in asked] == ["a.jpg", "b.jpg"]
        iou = {"1-10": 1, "1-11": 0, "2-20": 1 / 2, "3-30": 1, "3-31": 0}
        by_hand = sum(iou[sample.id] for sample in asked) / 2
        if by_hand not in means:
            assert numbers_of(tmp_path / str(seed), "seg-r1", EXPRESSIONS, FOUND, seed)["giou"] == by_hand
        means.add(by_hand)
    assert means == {0, 1 / 4, 1 / 2, 3 / 4, 1}


def test_seg_r1_draws_reasoning_samples_with_replacement(tmp_path: Path) -> None:
    iou = {"marked": 1 / 2, "half": 1 / 2, "unparsable": 0, "nothing": 0}
    repeated = False
    for seed in range(4):
        drawn = [REASONING[index].id for index in select(REASONING, "seg-r1", "reasoning", seed)]
        assert len(drawn) == 4
        repeated |= len(set(drawn)) < 4
        numbers = numbers_of(tmp_path / str(seed), "seg-r1", REASONING, MARKED, seed, chosen=True)
        assert numbers["giou"] == pytest.approx(sum(iou[name] for name in drawn) / 4)
    assert repeated


def test_what_is_drawn_twice_has_its_turn_in_its_id_and_slices_keep_it() -> None:
    drawn = ProtocolSamples(REASONING, "seg-r1", [1, 0, 1, 1])
    assert [sample.id for sample in drawn] == ["half", "marked", "half~2", "half~3"]
    assert [sample.id for sample in drawn[2:]] == ["half~2", "half~3"]


def test_the_published_evaluations_of_two_ask_in_lower_case_without_the_full_stop() -> None:
    asked = Sample("question", SAMPLE.image, 'What stands on the LEFT?."', target=rows(0))
    queries = {name: ProtocolSamples([asked], name)[0].query for name in PROTOCOLS}
    assert queries["default"] == queries["lisa"] == queries["seg-r1"] == asked.query
    assert queries["seg-zero"] == 'what stands on the left?."'
    assert queries["vision-reasoner"] == "what stands on the left"
    assert (
        ProtocolSamples([dataclasses.replace(asked, query="?")], "vision-reasoner")[0].query == "?"
    )  # nothing would be left


def test_a_split_on_disk_is_asked_by_object_or_by_image_and_then_limited(tmp_path: Path) -> None:
    write_refcoco(tmp_path / "refcoco", tmp_path / "train2014", splits=("val",))
    for protocol, queries in (
        ("default", ["thing 1", "the café on image 1"]),
        ("seg-zero", ["thing 1"]),
        ("vision-reasoner", ["thing 1"]),
    ):
        _, samples = load_benchmark("refcoco-val", LoadOptions(limit=2, root=tmp_path), protocol)
        assert [sample.query for sample in samples] == queries
    seen = set()
    for seed in range(10):
        _, samples = load_benchmark("refcoco-val", LoadOptions(limit=2, seed=seed, root=tmp_path), "seg-r1")
        assert len(samples) == 1
        seen.add(samples[0].query)
    assert seen == {"thing 1", "the café on image 1"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_sample_without_an_ignored_region_is_the_same_by_every_protocol(protocol: str) -> None:
    plain = Sample("plain", SAMPLE.image, "the row", target=rows(0))
    assert ProtocolSamples([plain], protocol)[0] is plain


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


class Planted:
    """Marks the rows that are planted for a sample; None is an answer that cannot be parsed."""

    def __init__(self, marked: Mapping[str, tuple[int, ...] | Mask | None], together: bool) -> None:
        self._marked, self._together = marked, together

    def predict(self, samples: Sequence[Sample], batch_size: int) -> Iterator[Prediction]:
        del batch_size
        for sample in samples:
            assert sample.target is not None
            planted = self._marked[sample.id.partition("~")[0]]
            height, width = sample.target.shape
            if planted is None:
                nothing = np.zeros((0, height, width), dtype=bool)
                yield Prediction(sample.id, Completion("?"), None, nothing, Failure.MALFORMED_ANSWER, "not readable")
                continue
            if isinstance(planted, np.ndarray):
                masks = planted[None]
            else:
                masks = rows(*planted)[None] if self._together else np.stack([rows(row) for row in planted])
            prompts = (ObjectPrompt(Box(0, 0, 8, 4)),) * len(masks)
            yield Prediction(sample.id, Completion("there"), Answer(Size(width, height), prompts), masks)


def evaluate_by(
    out: Path,
    protocol: str,
    samples: Sequence[Sample],
    marked: Mapping[str, tuple[int, ...] | Mask | None],
    seed: int = 0,
    *,
    together: bool = True,
    chosen: bool | None = None,
) -> Run:
    """The run of planted predictions; samples are chosen as the protocol has it, reasoning ones if it is said."""
    task = samples[0].task
    indices = select(samples, protocol, task, seed) if chosen or task == "referring" else range(len(samples))
    header = RunHeader("planted", "pocket", "", "none", seed, "seg-r1", protocol)
    return evaluate(Planted(marked, together), ProtocolSamples(samples, protocol, indices), out, header)


def numbers_of(
    out: Path,
    protocol: str,
    samples: Sequence[Sample],
    marked: Mapping[str, tuple[int, ...] | Mask | None],
    seed: int = 0,
    *,
    together: bool = True,
    chosen: bool | None = None,
) -> dict[str, float]:
    """The values of `evaluate_by`."""
    report = evaluate_by(out, protocol, samples, marked, seed, together=together, chosen=chosen)
    return {name: metric.value for name, metric in report.metrics.items()}


def _counts(protocol: str, predicted: tuple[int, ...]) -> tuple[int, int]:
    """Intersection and union of a prediction of these rows, by a protocol."""
    sample = ProtocolSamples([SAMPLE], protocol)[0]
    record = score(sample, Prediction("planted", Completion(""), Answer(Size(8, 4)), rows(*predicted)[None]))
    return record.intersection, record.union


def test_a_report_says_how_many_samples_a_protocol_left_out(tmp_path: Path) -> None:
    run = evaluate_by(tmp_path, "seg-zero", REASONING, MARKED)
    samples = ProtocolSamples(REASONING, "seg-zero")
    context = ReportContext("planted", (run,), samples, "thinkseg evaluate …", measures=("giou", "n_acc"))
    page = report_html(context, {})
    assert "1 of 4 samples" in page
    assert "1 where both are empty. (3 samples)" in page
    assert "(no sample can speak to it)" in page
