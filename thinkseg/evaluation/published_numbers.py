"""The published numbers that are known, each with its checkpoint, benchmark, measures and protocol.

They are Seg-R1's (arXiv 2506.22624), Seg-Zero's (2503.06520) and VisionReasoner's (2505.12081), as their papers have
them. To add some, add a record; `thinkseg reproduce` and `thinkseg.reproduce` go by this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PublishedNumbers:
    """What a paper says of one system on one benchmark."""

    name: str
    """``system/benchmark``, as `thinkseg reproduce` takes it."""
    system: str
    checkpoint: str
    """Its hub id; empty where the checkpoint was not published."""
    benchmark: str
    """A name in `BENCHMARKS`."""
    protocol: str
    """By whose rules it was made, a name in `PROTOCOLS`."""
    values: Mapping[str, float]
    """By the name of the measure, as a share of 1."""
    half_unit: float
    """Half of the last digit that is printed: a value may be off by so much."""
    source: str
    """The paper, and what it calls the number."""


_SEG_R1 = "Seg-R1, arXiv 2506.22624"
_SEG_ZERO = "Seg-Zero, arXiv 2503.06520"
_VISION_REASONER = "VisionReasoner, arXiv 2505.12081"

_SEG_R1_CIOU: Mapping[str, float] = {
    "refcoco-val": 74.3,
    "refcoco-testa": 78.7,
    "refcoco-testb": 67.6,
    "refcoco+-val": 62.6,
    "refcoco+-testa": 70.9,
    "refcoco+-testb": 57.9,
    "refcocog-val": 71.0,
    "refcocog-test": 71.4,
    "reasonseg-val": 41.2,
}
_SEG_ZERO_SPLITS: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    "3b": {
        "reasonseg-val": {"giou": 58.2, "ciou": 53.1},
        "reasonseg-test": {"giou": 56.1, "ciou": 48.6},
        "refcoco-testa": {"ciou": 79.3},
        "refcoco+-testa": {"ciou": 73.7},
        "refcocog-test": {"ciou": 71.5},
    },
    "7b": {
        "reasonseg-val": {"giou": 62.6, "ciou": 62.0},
        "reasonseg-test": {"giou": 57.5, "ciou": 52.0},
        "refcoco-testa": {"ciou": 80.3},
        "refcoco+-testa": {"ciou": 76.2},
        "refcocog-test": {"ciou": 72.6},
    },
}
_VISION_REASONER_GIOU: Mapping[str, float] = {
    "reasonseg-val": 66.3,
    "reasonseg-test": 63.6,
    "refcoco-testa": 78.9,
    "refcoco+-testa": 74.9,
    "refcocog-test": 71.3,
}


def _per_cent(values: Mapping[str, float]) -> Mapping[str, float]:
    return {measure: round(value / 100, 4) for measure, value in values.items()}


def _seg_r1(benchmark: str, values: Mapping[str, float], half_unit: float = 0.0005) -> PublishedNumbers:
    return PublishedNumbers(
        f"seg-r1/{benchmark}",
        "Seg-R1-7B",
        "geshang/Seg-R1-7B",
        benchmark,
        "seg-r1",
        values,
        half_unit,
        f"{_SEG_R1}, {benchmark}",
    )


def _seg_zero(size: str, benchmark: str, values: Mapping[str, float]) -> PublishedNumbers:
    return PublishedNumbers(
        name=f"seg-zero/{benchmark}" if size == "7b" else f"seg-zero-{size}/{benchmark}",
        system=f"Seg-Zero-{size.upper()}",
        checkpoint="Ricky06662/Seg-Zero-7B" if size == "7b" else "",
        benchmark=benchmark,
        protocol="seg-zero",
        values=_per_cent(values),
        half_unit=0.0005,
        source=f"{_SEG_ZERO}, {benchmark}",
    )


def _vision_reasoner(benchmark: str, giou: float) -> PublishedNumbers:
    return PublishedNumbers(
        name=f"vision-reasoner/{benchmark}",
        system="VisionReasoner-7B",
        checkpoint="Ricky06662/VisionReasoner-7B",
        benchmark=benchmark,
        protocol="vision-reasoner",
        values=_per_cent({"giou": giou}),
        half_unit=0.0005,
        source=f"{_VISION_REASONER}, {benchmark}",
    )


PUBLISHED: Mapping[str, PublishedNumbers] = {
    one.name: one
    for one in (
        _seg_r1("cod10k", {"s_measure": 0.873}),
        *(_seg_r1(benchmark, _per_cent({"ciou": value})) for benchmark, value in _SEG_R1_CIOU.items()),
        _seg_r1("reasonseg-test", _per_cent({"giou": 56.7})),
        *(
            _seg_zero(size, benchmark, values)
            for size, splits in _SEG_ZERO_SPLITS.items()
            for benchmark, values in splits.items()
        ),
        *(_vision_reasoner(benchmark, giou) for benchmark, giou in _VISION_REASONER_GIOU.items()),
    )
}
"""By their names."""
