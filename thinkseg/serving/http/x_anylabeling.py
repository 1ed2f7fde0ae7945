"""X-AnyLabeling: the routes of its remote server, ``/v1/models`` and ``/v1/predict``, by which its users ask in words.

``/v1/models`` goes on saying what it says to others, too. A request is refused as any other one of the service is, with
a status, which X-AnyLabeling shows. Its key comes in the header ``Token``.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from thinkseg.outlines import EDITABLE, polygons_from_mask
from thinkseg.results.result import FoundObject, Result
from thinkseg.serving.http.describing import body, errors
from thinkseg.serving.http.errors import RequestError
from thinkseg.serving.http.reading import check_query, image_content, read_json
from thinkseg.serving.http.routes import ABOUT_IMAGES, FrontDesk, models_record
from thinkseg.serving.http.schemas import TINY_PNG
from thinkseg.serving.http.served import Served

MODEL = "thinkseg"
"""The identity of the one model."""
Shape = Literal["polygon", "rectangle"]
_WIDGETS = ("edit_text", "button_send", "toggle_preserve_existing_annotations")


class RemoteParams(BaseModel):
    """What goes with an image; there may be more."""

    text_prompt: str = ""
    """What to look for."""
    current_task: Shape = "polygon"
    """What comes of each object."""


class RemoteRequest(BaseModel):
    """A query about an image."""

    model_config = {
        "json_schema_extra": {
            "examples": [{"model": MODEL, "image": TINY_PNG, "params": {"text_prompt": "the red thing"}}]
        }
    }

    model: str
    image: Annotated[str, Field(min_length=1)]
    """As for ``/v1/segment``."""
    params: RemoteParams = RemoteParams()


class ShapeRecord(BaseModel):
    """A part of an object, or its box, in pixels of the image."""

    label: str
    shape_type: Shape
    points: list[list[float]]
    score: float | None
    description: str
    """The thinking."""
    group_id: int | None
    """The object's number, where it has several parts."""


class RemoteShapes(BaseModel):
    """What was found."""

    shapes: list[ShapeRecord]
    description: str
    """The thinking, or why there is no answer."""
    replace: bool | None
    """None, as the user's own setting says whether shapes that are there stay."""


class RemoteAnswer(BaseModel):
    """What X-AnyLabeling reads."""

    success: bool
    data: RemoteShapes


def create_router(desk: FrontDesk) -> APIRouter:
    """The routes."""
    service = desk.service
    router = APIRouter(tags=["X-AnyLabeling"])
    about = _model_record(service.served)

    @router.get("/v1/models", include_in_schema=False)  # the service's own, with more, stands there
    async def models() -> Response:
        return JSONResponse({**models_record(service), "success": True, "data": {MODEL: about}})

    @router.get("/v1/models/{model}/info", summary="X-AnyLabeling: one of them", responses=errors("not_found"))
    async def info(model: str) -> Response:
        _check_model(model)
        return JSONResponse({"success": True, "data": {"model_id": MODEL, **about}})

    @router.post(
        "/v1/predict",
        summary="X-AnyLabeling: find in an image what is asked for in words",
        responses={200: {"model": RemoteAnswer}, **errors("not_found", *ABOUT_IMAGES)},
        openapi_extra=body(RemoteRequest),
    )
    async def predict(request: Request) -> Response:
        asked = await desk.read(read_json(request, RemoteRequest))
        _check_model(asked.model)
        query = asked.params.text_prompt.strip()
        if not query:
            raise RequestError("bad_request", "expected a query in 'params.text_prompt', found none")
        check_query(query, service.limits)
        content = await image_content(asked.image, service.limits)

        async def work() -> Response:
            result, _ = await desk.segment(content, query)
            data = await asyncio.to_thread(_predicted, result, asked.params.current_task)
            return JSONResponse({"success": True, "data": data})

        return await desk.answer(request, work)

    return router


def _check_model(name: str) -> None:
    if name != MODEL:
        raise RequestError("not_found", f"there is one model here, '{MODEL}': choose it")


def _model_record(served: Served) -> dict[str, Any]:
    """What X-AnyLabeling shows of the model, and which parts of its window it shows for it."""
    tasks: list[dict[str, Any]] = [
        {
            "id": shape,
            "name": shape.capitalize(),
            "batch_processing_mode": "text_prompt",
            "active_widgets": {name: {} for name in _WIDGETS},
        }
        for shape in ("polygon", "rectangle")
    ]
    widgets = [
        {"name": "remote_task_select_combobox", "value": None},
        *({"name": name, "value": False if name.startswith("toggle") else None} for name in _WIDGETS),
    ]
    return {
        "display_name": f"ThinkSeg: {served.reasoner}",
        "widgets": widgets,
        "params": {},
        "capabilities": {},
        "batch_processing_mode": "text_prompt",
        "available_tasks": tasks,
    }


def _predicted(result: Result, shape: Shape) -> dict[str, Any]:
    shapes = [record for found in result.objects for record in _shapes(found, result, shape)]
    told = result.thinking if result.failure is None else f"no answer: {result.failure.sentence}"
    return {"shapes": shapes, "description": told, "replace": None}


def _closed(corners: list[list[float]]) -> list[list[float]]:
    """A polygon from a corner back to it, as X-AnyLabeling takes it to be complete as soon as it is there again.

    So it begins where it comes by but once, and not where a hole is joined to the rim.
    """
    own = corners[:-1] if corners[0] == corners[-1] else corners
    seen = Counter((x, y) for x, y in own)
    start = next((number for number, (x, y) in enumerate(own) if seen[x, y] == 1), 0)
    return [*own[start:], *own[: start + 1]]


def _shapes(found: FoundObject, result: Result, shape: Shape) -> Iterator[dict[str, Any]]:
    if shape == "rectangle":
        left, top, right, bottom = found.corners
        rings = [[[left, top], [right, top], [right, bottom], [left, bottom]]]
    else:
        rings = [_closed(ring.tolist()) for ring in polygons_from_mask(found.mask, EDITABLE)]
    for ring in rings:
        yield {
            "label": result.query,
            "shape_type": shape,
            "points": ring,
            "score": found.score,
            "description": result.thinking,
            "group_id": found.number if len(rings) > 1 else None,
        }
