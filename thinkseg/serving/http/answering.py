"""From what the models found to what goes over the wire: JSON, a PNG, events."""

from __future__ import annotations

import time
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image
from starlette.responses import JSONResponse, Response

from thinkseg.answers.codec import prompt_to_json
from thinkseg.drawing import index_image
from thinkseg.imaging import rle_from_mask
from thinkseg.outlines import polygons_from_mask
from thinkseg.results.result import Result
from thinkseg.serving.http.schemas import SegmentOptions
from thinkseg.serving.http.served import Served
from thinkseg.serving.http.service import Timings
from thinkseg.types import Answer, Segmentation, Size
from thinkseg.writing import json_text

FAILURE = "X-ThinkSeg-Failure"
"""The header of a PNG that says why there is no answer; a PNG of nothing has none."""


def segment_record(result: Result, options: SegmentOptions, timings: Timings, began: float) -> dict[str, Any]:
    """The answer about a query: the record of a result, and what a service adds.

    Args:
        result: what was found.
        options: how it is to be told.
        timings: of its parts.
        began: when the request came, by `time.monotonic`.
    """
    record = result.to_record()
    if options.polygons:
        for found, mask in zip(record["objects"], result.masks, strict=True):
            found["polygons"] = [ring.tolist() for ring in polygons_from_mask(mask, options.tolerance)]
    parts = {"read": timings.read, "reasoner": timings.reasoner, "segmenter": timings.segmenter}
    seconds = {**parts, "total": time.monotonic() - began}
    return {**record, "timings": {name: round(value, 4) for name, value in seconds.items()}}


def segment_response(result: Result, options: SegmentOptions, timings: Timings, began: float) -> Response:
    """The answer about a query, in the form that is asked for."""
    if options.output == "json":
        return JSONResponse(segment_record(result, options, timings, began))
    file = BytesIO()
    _drawn(result, options.output).save(file, "PNG")
    headers = {} if result.failure is None else {FAILURE: result.failure.value}
    return Response(file.getvalue(), media_type="image/png", headers=headers)


def _drawn(result: Result, output: str) -> Image.Image:
    if output == "mask":
        return Image.fromarray(result.mask.astype(np.uint8) * 255)
    if output == "index":
        return index_image(result.masks)
    return result.overlay() if output == "overlay" else result.cutout(crop=False)


def masks_record(size: Size, found: list[Segmentation], served: Served) -> dict[str, Any]:
    """The answer about boxes and points."""
    return {
        "size": list(size.wh),
        "answers": [{"objects": _masks(segmentation)} for segmentation in found],
        "segmenter": served.segmenter,
        "revision": served.segmenter_revision,
    }


def _masks(found: Segmentation) -> list[dict[str, Any]]:
    scores = [None] * len(found.masks) if found.scores is None else found.scores.round(4).tolist()
    return [{"mask": rle_from_mask(mask), "score": score} for mask, score in zip(found.masks, scores, strict=True)]


def boxes_record(answer: Answer, size: Size) -> dict[str, Any]:
    """The event of an answer that has no masks yet, in pixels of the image."""
    objects = [prompt_to_json(prompt, 2, labels_apart=True) for prompt in answer.rescaled(size).objects]
    return {"thinking": answer.think, "size": {"width": size.width, "height": size.height}, "objects": objects}


def event(name: str, data: dict[str, Any]) -> bytes:
    """A server-sent event."""
    return f"event: {name}\ndata: {json_text(data)}\n\n".encode()
