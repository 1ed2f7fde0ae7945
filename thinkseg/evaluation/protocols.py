"""By whose rules a benchmark is sampled and scored, where papers differ: one record per protocol.

The default is the rule of each benchmark's authors, with every sample in the denominator. The others make a number that
can be held against a published table, defects of its evaluation included; docs/protocols.md says what each does to the
number. A protocol acts at three places::

    samples ─▶ select, apply_to_sample ─▶ pipeline ─▶ apply_to_prediction ─▶ score ─▶ apply_to_record
                                                               measures ◀─ counted_records ◀─ records ◀─┘
"""

from __future__ import annotations

import copy
import dataclasses
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, overload

from thinkseg.errors import InputError

if TYPE_CHECKING:  # so that the command line can list the protocols at once
    from thinkseg.data.listing import Entry
    from thinkseg.evaluation.records import PredictionRecord
    from thinkseg.types import Mask, Prediction, Sample

REASONING, REFERRING = "reasoning", "referring"
FOREGROUND = ("salient", "camouflaged", "dichotomous")
BOXES = ("instances", "counting")
"""Tasks whose numbers are about boxes."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """Which samples are taken, and how an answer is scored."""

    ignored: Literal["left out", "object", "background"] = "left out"
    """What becomes of the pixels that ReasonSeg says to ignore."""
    referring: Literal["every expression", "one per object", "one per image"] = "every expression"
    """Which expressions of a referring data set are taken: all, the first of each object, or one of each image that
    is drawn at random."""
    redraws: bool = False
    """Whether as many reasoning samples as there are are drawn at random, so that some come twice and others never."""
    empty: float | None = 1.0
    """The IoU of an empty prediction on an empty target; None leaves the sample out, which shrinks the denominator."""
    stripped: str | None = None
    """The query is put in lower case and loses these characters at its ends; None leaves it as it is."""
    first_object: bool = False
    """Whether of a reasoning answer only the first object counts."""
    side: int | None = None
    """The mask is drawn on a square of so many pixels a side and stretched to the image; None draws it there. For
    predictors that cannot be asked so: a pipeline's segmenter is shown the square itself."""
    measures: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By the name of a measure those that take its place."""
    phrases_in_lower_case: bool = False
    """Whether a reasoning query is put in lower case, unless it is a whole sentence."""
    asks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By the task of a benchmark, or by "" for all others, settings of the `CheckpointConfig` by which models are
    asked, in place of the checkpoint's own: see `Pipeline.asked_as`."""
    readers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By the task, or by "" for all others, and by the name of an answer format the one that reads its answers as the
    authors' evaluation does; formats that are not named read their own."""


_SEG_R1: Mapping[str, Any] = {
    "canvas": 1024,
    "canvas_filter": "bicubic",
    "canvas_jpeg": True,
    "max_new_tokens": 512,
    "decoding": "sampled",
    "masks": "single",
    "segmenter_canvas": 1024,
    "segmenter_bgr": True,
}
_SEG_R1_FOREGROUND = {**_SEG_R1, "canvas": 768, "max_new_tokens": 1024, "segmenter_canvas": 768}
_SEG_ZERO: Mapping[str, Any] = {
    "canvas": 840,
    "canvas_filter": "bilinear",
    "decoding": "penalised",
    "masks": "best of three",
}

PROTOCOLS: Mapping[str, Protocol] = {
    "default": Protocol(),
    "lisa": Protocol(),
    "seg-zero": Protocol(
        ignored="object",
        referring="one per object",
        empty=None,
        stripped=".",
        asks={"": {**_SEG_ZERO, "max_new_tokens": 1024, "whole_pixels": "half even"}},
        readers={"": {"seg-zero": "seg-zero-published"}},
    ),
    "vision-reasoner": Protocol(
        ignored="object",
        referring="one per object",
        empty=0.0,
        stripped='."?!',
        measures={
            "box_accuracy": ("any_box_accuracy", "any_box_or_hull_accuracy"),
            "ap": ("ap_by_area",),
            "ap50": ("ap50_by_area",),
            "ap75": ("ap75_by_area",),
        },
        asks={"": {**_SEG_ZERO, "max_new_tokens": 2048, "whole_pixels": "half up"}},
        readers={
            "": {"vision-reasoner": "vision-reasoner-published"},
            **{task: {"vision-reasoner": "vision-reasoner-boxes-published"} for task in BOXES},
        },
    ),
    "seg-r1": Protocol(
        ignored="background",
        referring="one per image",
        redraws=True,
        empty=0.0,
        first_object=True,
        side=1024,
        phrases_in_lower_case=True,
        asks={
            REFERRING: _SEG_R1,
            REASONING: {**_SEG_R1, "objects": "first with all points"},
            **dict.fromkeys(FOREGROUND, _SEG_R1_FOREGROUND),
        },
        readers={"": {"seg-r1": "seg-r1-published"}},
    ),
}
"""The protocols by their names."""


def get_protocol(name: str) -> Protocol:
    """The protocol of a name.

    Raises:
        InputError: there is none.
    """
    if name not in PROTOCOLS:
        raise InputError(f"there is no protocol '{name}'; there are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def settings_of(protocol: str, task: str) -> Mapping[str, Any]:
    """The settings of the `CheckpointConfig` by which a protocol asks models, in a benchmark of this task."""
    asks = PROTOCOLS[protocol].asks
    return asks.get(task, asks.get("", {}))


def reader_of(protocol: str, task: str, answer_format: str) -> str:
    """The name of the format that reads the answers of another one, by a protocol and in a benchmark of this task."""
    readers = PROTOCOLS[protocol].readers
    return readers.get(task, readers.get("", {})).get(answer_format, answer_format)


def select(samples: Sequence[Sample], protocol: str, task: str, seed: int) -> Sequence[int]:
    """Which samples a protocol asks, as indices, in order; an index may come twice.

    Args:
        samples: all of a split; of a listing no file is opened.
        protocol: a name in `PROTOCOLS`.
        task: of the benchmark.
        seed: of what is drawn at random.
    """
    from thinkseg.data.listing import Listing

    rules = PROTOCOLS[protocol]
    rng = random.Random(seed)
    if task == REASONING and rules.redraws:
        return [rng.randrange(len(samples)) for _ in range(len(samples))]
    if task != REFERRING or rules.referring == "every expression":
        return range(len(samples))
    groups: dict[str, list[int]] = {}
    for index in range(len(samples)):
        told = samples.entry(index) if isinstance(samples, Listing) else samples[index]
        one = told.id.rpartition("-")[0] if rules.referring == "one per object" else str(told.image)
        groups.setdefault(one, []).append(index)
    if rules.referring == "one per object":
        return [members[0] for members in groups.values()]
    return [rng.choice(members) for members in groups.values()]


def apply_to_sample(sample: Sample, protocol: str) -> Sample:
    """A sample as a protocol asks it and holds answers against it."""
    rules = PROTOCOLS[protocol]
    if sample.target is not None and sample.ignore is not None and rules.ignored != "left out":
        target = sample.target | sample.ignore if rules.ignored == "object" else sample.target & ~sample.ignore
        sample = dataclasses.replace(sample, target=target, ignore=None)
    query = query_by(sample.query, protocol)
    if PROTOCOLS[protocol].phrases_in_lower_case and sample.task == REASONING and not sample.is_sentence:
        query = query.lower()
    return sample if query == sample.query else dataclasses.replace(sample, query=query)


def query_by(query: str, protocol: str) -> str:
    """A query as a protocol asks it; one that nothing would be left of stays as it is."""
    from thinkseg.answers.instructions import bare_query

    stripped = PROTOCOLS[protocol].stripped
    return query if stripped is None else bare_query(query, stripped)


def apply_to_prediction(sample: Sample, prediction: Prediction, protocol: str) -> Prediction:
    """A prediction as a protocol takes it: of one object where only the first counts, and as coarse as its square.

    For predictors that were not asked by the protocol's own settings.
    """
    import numpy as np

    rules = PROTOCOLS[protocol]
    masks = prediction.masks
    if rules.first_object and sample.task == REASONING:
        masks = masks[:1]
    side = settings_of(protocol, sample.task).get("segmenter_canvas", rules.side)
    if side is not None and len(masks):
        masks = np.stack([_through_square(mask, side) for mask in masks])
    return prediction if masks is prediction.masks else dataclasses.replace(prediction, masks=masks)


def _through_square(mask: Mask, side: int) -> Mask:
    """The mask as it comes back from a square: squeezed by area, stretched bilinearly, and cut above half."""
    import numpy as np
    from PIL import Image

    from thinkseg.imaging import resize_mask
    from thinkseg.types import Size

    height, width = mask.shape
    square = Image.fromarray(resize_mask(mask, Size(side, side), "area").astype(np.uint8) * 255)
    stretched: Mask = np.asarray(square.resize((width, height), Image.Resampling.BILINEAR)) > 128
    return stretched


def apply_to_record(record: PredictionRecord, protocol: str) -> PredictionRecord:
    """A record by a protocol's rule for a prediction and a target that are both empty.

    An answer that cannot be parsed is never a right one where an empty mask is not, and stays in the denominator.
    """
    rules = PROTOCOLS[protocol]
    if not record.has_target or record.union or rules.empty == 1.0:
        return record
    if rules.empty is None and record.failure is None:
        return dataclasses.replace(record, iou=0.0, counted=False)
    return dataclasses.replace(record, iou=rules.empty or 0.0)


def counted_records(records: Sequence[PredictionRecord]) -> list[PredictionRecord]:
    """The records in the denominator."""
    return [record for record in records if record.counted]


class ProtocolSamples(Sequence["Sample"]):
    """Samples by the rules of a protocol, applied when a sample is asked for.

    Args:
        samples: as they are annotated.
        protocol: a name in `PROTOCOLS`.
        indices: which of them, see `select`; all when None. One that comes again has its turn in its id.
    """

    def __init__(self, samples: Sequence[Sample], protocol: str, indices: Sequence[int] | None = None) -> None:
        self._samples = samples
        self._protocol = protocol
        self._indices = range(len(samples)) if indices is None else indices
        turns: dict[int, int] = {}
        self._turns = []
        for index in self._indices:
            turns[index] = turns.get(index, 0) + 1
            self._turns.append(turns[index])

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> ProtocolSamples: ...
    def __getitem__(self, index: int | slice) -> Sample | ProtocolSamples:
        if isinstance(index, slice):
            part = copy.copy(self)
            part._indices, part._turns = self._indices[index], self._turns[index]
            return part
        sample = apply_to_sample(self._samples[self._indices[index]], self._protocol)
        name = self._turned(sample.id, index)
        return sample if name == sample.id else dataclasses.replace(sample, id=name)

    def entry(self, index: int) -> Entry | None:
        """What is known of a sample before its files are opened; None where the samples are no files."""
        from thinkseg.data.listing import Listing

        if not isinstance(self._samples, Listing):
            return None
        entry = self._samples.entry(self._indices[index])
        query = query_by(entry.query, self._protocol)
        return dataclasses.replace(entry, id=self._turned(entry.id, index), query=query)

    def _turned(self, name: str, index: int) -> str:
        turn = self._turns[index]
        return name if turn == 1 else f"{name}~{turn}"
