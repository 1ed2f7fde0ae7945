"""The routes that X-AnyLabeling asks: ``/v1/models`` and ``/v1/predict``.

``/v1/models`` goes on saying what it says to others, too. Of a request that is refused with a status, X-AnyLabeling
shows the status for a moment, and takes away the shapes that are there if it replaces. So whatever is wrong with a
query or an image is an answer without shapes, which leaves what is there and says why in the image's description.
X-AnyLabeling's key comes in the header ``Token``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from thinkseg.serving.http.describing import body, errors
from thinkseg.serving.http.errors import RequestError
from thinkseg.serving.http.reading import check_query, image_content, read_json
from thinkseg.serving.http.routes import FrontDesk, models_record
from thinkseg.serving.http.schemas import PromptedObject
from thinkseg.serving.http.served import Served
from thinkseg.serving.http.x_anylabeling.shapes import found_by_marks, found_in_words
from thinkseg.serving.http.x_anylabeling.wire import (
    BY_MARKS,
    MODEL,
    BoxMark,
    Mark,
    PointMark,
    RemoteAnswer,
    RemoteRequest,
    Shape,
    shapes_answer,
)

_KEEP = "toggle_preserve_existing_annotations"
_IN_WORDS = ("edit_text", "button_send", _KEEP)
_IN_MARKS = ("button_add_point", "button_remove_point", "button_add_rect", "button_clear", "button_finish_object")


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
        summary="X-AnyLabeling: find in an image what is asked for in words, or by points and a box",
        responses={
            200: {"model": RemoteAnswer},
            **errors("not_found", "bad_request", "slow_request", "too_large", "unsupported"),
        },
        openapi_extra=body(RemoteRequest),
    )
    async def predict(request: Request) -> Response:
        asked = await desk.read(read_json(request, RemoteRequest))
        _check_model(asked.model)

        async def work() -> Response:
            return JSONResponse(await (_by_marks if asked.params.current_task == BY_MARKS else _in_words)(desk, asked))

        return await desk.answer(request, work, _without_shapes)

    return router


async def _in_words(desk: FrontDesk, asked: RemoteRequest) -> dict[str, Any]:
    query, limits = asked.params.text_prompt.strip(), desk.service.limits
    if not query:
        raise RequestError("bad_request", "expected a text that says what to look for, found none")
    check_query(query, limits)
    result, _ = await desk.segment(await image_content(asked.image, limits), query)
    shape: Shape = "rectangle" if asked.params.current_task == "rectangle" else "polygon"
    return await asyncio.to_thread(found_in_words, result, shape)


async def _by_marks(desk: FrontDesk, asked: RemoteRequest) -> dict[str, Any]:
    if not asked.params.marks:
        return found_by_marks(None)
    content = await image_content(asked.image, desk.service.limits)
    _, (found,) = await desk.segmentations(content, [[_object_of(asked.params.marks)]])
    return await asyncio.to_thread(found_by_marks, found)


def _object_of(marks: Sequence[Mark]) -> PromptedObject:
    """The object of all points and the last box, whose corners come as they were drawn."""
    points = [[*mark.data, mark.label] for mark in marks if isinstance(mark, PointMark)]
    boxes = [mark.data for mark in marks if isinstance(mark, BoxMark)]
    if not boxes:
        return PromptedObject(points=points)
    x, y, other_x, other_y = boxes[-1]
    return PromptedObject(box=[min(x, other_x), min(y, other_y), max(x, other_x), max(y, other_y)], points=points)


def _without_shapes(error: RequestError) -> Response:
    """What is told of an error about a request that was understood."""
    return JSONResponse(
        {**shapes_answer([], f"no answer: {error.message}", False), "success": False, **error.body()},
        headers=error.headers,
    )


def _check_model(name: str) -> None:
    if name != MODEL:
        raise RequestError("not_found", f"there is one model here, '{MODEL}': choose it")


def _model_record(served: Served) -> dict[str, Any]:
    """What X-AnyLabeling shows of the model, and which parts of its window it shows for it.

    At first the shapes that are there stay: X-AnyLabeling itself would replace them, even by those of an error.
    """
    tasks: list[dict[str, Any]] = [
        _task("polygon", "Polygon", _IN_WORDS, "text_prompt"),
        _task("rectangle", "Rectangle", _IN_WORDS, "text_prompt"),
        _task(BY_MARKS, "Points or Box", _IN_MARKS, None),
    ]
    return {
        "display_name": f"ThinkSeg: {served.reasoner}",
        "widgets": [
            {"name": "remote_task_select_combobox", "value": None},
            *({"name": name, "value": True if name == _KEEP else None} for name in _IN_WORDS),
        ],
        "params": {},
        "capabilities": {},
        "batch_processing_mode": "text_prompt",
        "available_tasks": tasks,
    }


def _task(identity: str, name: str, widgets: Sequence[str], many: str | None) -> dict[str, Any]:
    """A task: which widgets are shown for it, and how many images are predicted by it; None where they are not."""
    return {
        "id": identity,
        "name": name,
        "batch_processing_mode": many,
        "active_widgets": {widget: {} for widget in widgets},
    }
