"""What was found as a prediction of Label Studio: its regions, with the thinking as a note."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from thinkseg.outlines import EDITABLE, polygons_from_mask
from thinkseg.results.result import FoundObject, Result
from thinkseg.serving.http.label_studio.brush import brush_from_mask
from thinkseg.serving.http.label_studio.labelling import Labelling
from thinkseg.types import Size


def task_prediction(result: Result, labelling: Labelling, version: str) -> dict[str, Any]:
    """The prediction of a task.

    Its score is the mean of those of the objects; 0 where the model's text could not be read, None where nothing is
    there or the segmenter gives none.
    """
    regions = [region for found in result.objects for region in _regions(found, result, labelling)]
    scores = [found.score for found in result.objects if found.score is not None]
    score = 0.0 if result.failure is not None else sum(scores) / len(scores) if scores else None
    notes = [] if labelling.note is None else [_note(result, labelling)]
    return {"result": [*regions, *notes], "score": score, "model_version": version}


def _regions(found: FoundObject, result: Result, labelling: Labelling) -> Iterator[dict[str, Any]]:
    for value in _values(found, result.size, labelling.kind):
        yield {
            **_head(labelling.control, labelling),
            "type": labelling.kind,
            "original_width": result.size.width,
            "original_height": result.size.height,
            "image_rotation": 0,
            "score": found.score,
            "value": {**value, labelling.kind: [labelling.label(result.query)]},
            **({"meta": {"text": [result.thinking]}} if result.thinking else {}),
        }


def _values(found: FoundObject, size: Size, kind: str) -> Iterator[dict[str, Any]]:
    """Where an object is: its mask as one brush stroke, as a polygon for each of its parts, or its box; nowhere
    where it has no area, which Label Studio cannot show.
    """
    box = found.outer_box
    if kind == "rectanglelabels" and box is not None:
        x, y = 100 * box.x_min / size.width, 100 * box.y_min / size.height
        width, height = 100 * (box.x_max - box.x_min) / size.width, 100 * (box.y_max - box.y_min) / size.height
        yield {"x": x, "y": y, "width": width, "height": height, "rotation": 0}
    elif found.mask.any() and kind == "brushlabels":
        yield {"format": "rle", "rle": brush_from_mask(found.mask)}
    elif found.mask.any() and kind == "polygonlabels":
        for ring in polygons_from_mask(found.mask, EDITABLE):
            yield {"points": (100 * ring / size.wh).tolist(), "closed": True}


def _note(result: Result, labelling: Labelling) -> dict[str, Any]:
    """The thinking, or why there is none, in the text area that is there for it."""
    text = result.thinking if result.failure is None else f"no answer: {result.failure.sentence}"
    lines = [text, "nothing there" if result.nothing_there else ""]
    value = {"text": [line for line in lines if line]}
    return {**_head(labelling.note or "", labelling), "type": "textarea", "value": value}


def _head(name: str, labelling: Labelling) -> dict[str, Any]:
    return {"id": uuid.uuid4().hex[:10], "from_name": name, "to_name": labelling.image}
