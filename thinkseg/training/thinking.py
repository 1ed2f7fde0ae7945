"""Thinking for answers that have none, such as those made from masks: the model's own, where it led to the right place.

The start is asked for what each sample asks for, and for the main object; of its answers the one is taken that comes
nearest to the true boxes, and its thinking goes before these. So imitation teaches boxes in the model's own words, and
not a thinking that says "nothing like that is here" of what is there. It depends on the start and the samples alone, so
that a run that is resumed finds the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from thinkseg.data.discovery.catalog import MAIN
from thinkseg.errors import MalformedAnswer
from thinkseg.geometry import box_iou, reference_of
from thinkseg.imaging import load_image
from thinkseg.meter import Meter
from thinkseg.models.base import Reasoner
from thinkseg.models.published.wording import Wording
from thinkseg.training.rows import read_named
from thinkseg.types import Answer, Box, Request, Sample

AT_A_TIME = 16
"""Samples that the model is asked about together."""
NEAR = 0.1
"""IoU of what an answer points at with the truth, below which its thinking is about something else."""


def own_thoughts(
    reasoner: Reasoner, wording: Wording, samples: Sequence[Sample], places: Sequence[int]
) -> Mapping[int, str]:
    """The model's own thinking for samples whose reference answer has none.

    Args:
        reasoner: the model as it starts.
        wording: how it is asked.
        samples: what is trained on.
        places: which of them.

    Returns:
        By place; a sample for which the model finds nothing near the truth has none.
    """
    thoughts: dict[int, str] = {}
    with Meter("the model thinks", "sample", len(places)) as meter:
        for start in range(0, len(places), AT_A_TIME):
            chunk = places[start : start + AT_A_TIME]
            thoughts |= dict(_of_chunk(reasoner, wording, {place: read_named(samples, place) for place in chunk}))
            meter.move(start + len(chunk))
    return thoughts


def _of_chunk(reasoner: Reasoner, wording: Wording, samples: Mapping[int, Sample]) -> Iterator[tuple[int, str]]:
    form = wording.answer_format
    references = {place: reference_of(sample, form.points_per_object) for place, sample in samples.items()}
    wanting = {place: one for place, one in references.items() if one is not None and not one.think}
    images = {place: load_image(samples[place].image) for place in wanting}
    asked = [(place, query) for place in wanting for query in dict.fromkeys((samples[place].query, MAIN))]
    requests = [
        Request(images[place], wording.instruction(replace(samples[place], query=query))) for place, query in asked
    ]
    found: dict[int, tuple[float, str]] = {}
    for (place, _), completion in zip(asked, reasoner.complete(requests), strict=True):
        answer = form.try_parse(completion.text, reasoner.frame_of(images[place]))
        if isinstance(answer, MalformedAnswer) or not answer.think:
            continue
        score = nearness(answer, wanting[place])
        if score > found.get(place, (NEAR, ""))[0]:
            found[place] = score, answer.think
    return iter((place, think) for place, (_, think) in found.items())


def nearness(answer: Answer, truth: Answer) -> float:
    """How near an answer is to the truth, 0…1: the IoU of the boxes around all objects of each; 1 where neither has
    an object, 0 where one of them has none.
    """
    if not answer.objects or not truth.objects:
        return float(not answer.objects and not truth.objects)
    first, second = (_around(one.rescaled(truth.frame)) for one in (answer, truth))
    return 0.0 if first is None or second is None else box_iou(first, second)


def _around(answer: Answer) -> Box | None:
    """The box around all boxes of an answer; None where it has none."""
    boxes = [prompt.box for prompt in answer.objects if prompt.box is not None]
    if not boxes:
        return None
    lows, highs = [(box.x_min, box.y_min) for box in boxes], [(box.x_max, box.y_max) for box in boxes]
    (left, top), (right, bottom) = map(min, zip(*lows, strict=True)), map(max, zip(*highs, strict=True))
    return Box(left, top, right, bottom)
