"""What has been found in one image so far: the answers to its queries, and what was drawn by hand.

A scene is kept between requests as records, whose masks are run lengths, so that many of them take little memory.
Objects are numbered from 1 over all its answers; a new answer comes behind the earlier ones and leaves their numbers
alone. Refining asks the segmenter alone: the reasoner's words stay as they were written.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from thinkseg.answers.codec import prompt_from_json, prompt_to_json
from thinkseg.errors import DataError, InputError
from thinkseg.imaging import rle_from_mask
from thinkseg.results.record import ResultRecord, record_from_prediction
from thinkseg.results.result import Result
from thinkseg.types import Answer, Box, Completion, ObjectPrompt, Point, Prediction, Size

if TYPE_CHECKING:
    from thinkseg.models.base import Segmenter

BY_HAND = "drawn by hand"
"""In place of a query, of objects that no query asked for."""

MOST_EDITS = 200
"""Points and boxes of one refinement."""


@dataclass(frozen=True, slots=True, eq=False)
class FoundScene:
    """An image with what has been found in it; a new one for each answer."""

    source: str
    """Where the image lies."""
    records: tuple[ResultRecord, ...] = ()
    """An answer each, in the order of the queries."""

    def with_result(self, result: Result) -> FoundScene:
        """The scene with one more answer, in place of an earlier one to the same query or without objects."""
        new = result.to_record()
        places = [place for place, record in enumerate(self.records) if record["query"] == result.query]
        if places:
            return dataclasses.replace(
                self, records=tuple(new if place == places[0] else old for place, old in enumerate(self.records))
            )
        return dataclasses.replace(self, records=(*(old for old in self.records if old["objects"]), new))

    def results(self, image: Image.Image) -> list[Result]:
        """The answers, with the image."""
        return [Result.from_record(record, image) for record in self.records]

    @property
    def count(self) -> int:
        """How many objects there are."""
        return sum(len(record["objects"]) for record in self.records)


@dataclass(frozen=True, slots=True)
class Edit:
    """What somebody says about one object, in pixels of the image."""

    number: int | None = None
    """Of the object, from 1; None for a new one."""
    box: Box | None = None
    """Takes the place of the object's box."""
    points: tuple[Point, ...] = ()
    """Come behind the object's points; label 1 is on it, 0 beside it."""
    removed: bool = False
    """Whether the object is taken away."""


def read_edits(text: str, size: Size) -> list[Edit]:
    """The edits that a page or a program sends: a JSON list of ``{"object", "box", "points", "remove"}``.

    Args:
        text: the JSON; ``object`` is a number or null, ``box`` [x_min, y_min, x_max, y_max] or null, ``points`` a list
            of [x, y, label], ``remove`` true for an object that is to go.
        size: of the image, in whose pixels they are measured; what lies outside is moved to its border.

    Raises:
        InputError: they are no such list, there are none, or too many.
    """
    try:
        told = json.loads(text or "[]")
        if not isinstance(told, list) or not all(isinstance(each, Mapping) for each in told):
            raise ValueError("expected a list of objects")
        if sum(1 + len(each.get("points") or ()) for each in told) > MOST_EDITS:
            raise InputError(f"more than {MOST_EDITS} points and boxes were drawn at once: apply fewer")
        edits = [_edit(each, size) for each in told]
    except (ValueError, TypeError, DataError, RecursionError) as error:
        raise InputError(
            'the edits should be a JSON list such as [{"object": 1, "points": [[40, 50, 1]]}], and cannot be read: '
            f"{error}"
        ) from error
    if not edits:
        raise InputError("nothing is drawn yet: choose a tool, then click on the image or draw a box")
    return edits


def _edit(told: Mapping[str, Any], size: Size) -> Edit:
    number, removed = told.get("object"), told.get("remove") is True
    if number is not None and (type(number) is not int or number < 1):
        raise ValueError(f"'object' is a number from 1 on, or null, found {number!r:.40}")
    if removed or (told.get("box") is None and not told.get("points")):
        return Edit(number, removed=removed)
    prompt = prompt_from_json({"box": told.get("box"), "points": told.get("points") or []})
    box, points = prompt.box, prompt.points
    if box is not None:
        box = Box(*(min(value, edge) for value, edge in zip(box.xyxy, size.wh * 2, strict=True)))
    return Edit(number, box, tuple(Point(min(p.x, size.width), min(p.y, size.height), p.label) for p in points))


def refined(scene: FoundScene, edits: Sequence[Edit], image: Image.Image, segmenter: Segmenter) -> FoundScene:
    """The scene after edits; masks of what was edited come from the segmenter, and all else stays.

    Raises:
        InputError: an object is not there, or a new one has neither a box nor a point on it.
    """
    size = Size(*image.size)
    placed = {number: (place, inner) for number, (place, inner) in enumerate(_places(scene), start=1)}
    prompts: list[tuple[int | None, ObjectPrompt]] = []
    removed: set[int] = set()
    for edit in edits:
        if edit.number is not None and edit.number not in placed:
            raise InputError(f"there is no object {edit.number}: this image has {scene.count}")
        if edit.removed and edit.number is not None:
            removed.add(edit.number)
        else:
            prompts.append((edit.number, _prompt(scene, placed, edit)))
    answer = Answer(size, tuple(prompt for _, prompt in prompts))
    found = segmenter.segment(image, [answer])[0]
    scores = [None] * len(prompts) if found.scores is None else found.scores.round(4).tolist()
    made = [
        (number, _object(prompt, mask, score))
        for (number, prompt), mask, score in zip(prompts, found.masks, scores, strict=True)
    ]
    changed = {placed[number]: new for number, new in made if number is not None}
    gone = {placed[number] for number in removed}
    records = tuple(_edited(record, place, changed, gone) for place, record in enumerate(scene.records))
    return _with_drawn(
        dataclasses.replace(scene, records=records), [new for number, new in made if number is None], size
    )


def _places(scene: FoundScene) -> Iterator[tuple[int, int]]:
    """Where each object is: which record, and which of its objects."""
    for place, record in enumerate(scene.records):
        for inner in range(len(record["objects"])):
            yield place, inner


def _prompt(scene: FoundScene, placed: Mapping[int, tuple[int, int]], edit: Edit) -> ObjectPrompt:
    """What the segmenter is told: an object's own box and points, with what was drawn."""
    if edit.number is None:
        if edit.box is None and not any(point.label for point in edit.points):
            raise InputError("a new object needs a box, or a point on it: choose an object to take something off it")
        return ObjectPrompt(edit.box, edit.points)
    place, inner = placed[edit.number]
    own = prompt_from_json(scene.records[place]["objects"][inner])
    return ObjectPrompt(edit.box or own.box, own.points + edit.points)


def _object(prompt: ObjectPrompt, mask: Any, score: float | None) -> dict[str, Any]:
    told = prompt_to_json(prompt, 2, labels_apart=True)
    return {**told, "area": int(mask.sum()), "score": score, "mask": rle_from_mask(mask), "refined": True}


def _edited(
    record: ResultRecord, place: int, changed: Mapping[tuple[int, int], dict[str, Any]], gone: set[tuple[int, int]]
) -> ResultRecord:
    """A record with some objects in place of earlier ones, and some gone."""
    objects = [
        changed.get((place, inner), own) for inner, own in enumerate(record["objects"]) if (place, inner) not in gone
    ]
    if objects == record["objects"]:
        return record
    return {**record, "objects": objects, "count": len(objects), "nothing_there": not objects}


def _with_drawn(scene: FoundScene, drawn: Sequence[dict[str, Any]], size: Size) -> FoundScene:
    """The scene with objects that no query asked for, in one record at its end."""
    if not drawn:
        return scene
    earlier = scene.records[:-1] if scene.records and scene.records[-1]["query"] == BY_HAND else scene.records
    record = scene.records[-1] if len(earlier) < len(scene.records) else _nothing_drawn(scene, size)
    objects = [*record["objects"], *drawn]
    record = {**record, "objects": objects, "count": len(objects), "nothing_there": False}
    return dataclasses.replace(scene, records=(*earlier, record))


def _nothing_drawn(scene: FoundScene, size: Size) -> ResultRecord:
    nothing = Prediction("", Completion(""), Answer(size), np.zeros((0, *size.hw), dtype=bool))
    image = scene.records[0]["image"] if scene.records else ""
    return {"image": image, **record_from_prediction(nothing, BY_HAND)}
