"""The routes that Label Studio asks: ``/predict``, ``/setup`` and ``/webhook``; ``/health`` is the service's own.

A task of several that cannot be predicted, or not in time, has no prediction, and the log says why; one that is alone
is refused with a sentence.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from thinkseg.results.result import Result
from thinkseg.serving.http.describing import body, errors
from thinkseg.serving.http.errors import RequestError, explained
from thinkseg.serving.http.label_studio.labelling import Labelling, read_labelling
from thinkseg.serving.http.label_studio.reading import TaskImages
from thinkseg.serving.http.label_studio.regions import task_prediction
from thinkseg.serving.http.limits import MOST_TOGETHER
from thinkseg.serving.http.reading import check_query, read_json
from thinkseg.serving.http.routes import ABOUT_IMAGES, FrontDesk
from thinkseg.serving.http.schemas import TINY_PNG
from thinkseg.serving.http.served import Served

_CONFIG = """<View>
  <Image name="image" value="$image"/>
  <BrushLabels name="brush" toName="image"><Label value="Thing"/></BrushLabels>
  <TextArea name="query" toName="image"/>
</View>"""
_WAITS = 100.0
"""Seconds that Label Studio waits for all tasks of a request (its ML_TIMEOUT_PREDICT)."""
_SHARE = 0.9
"""Of the time that there is, for the tasks; the rest is for the answer."""
_log = logging.getLogger(__name__)


class LabelStudioTask(BaseModel):
    """A task; it has more than this."""

    data: dict[str, Any] = {}


class LabelStudioParams(BaseModel):
    """What goes with the tasks."""

    context: dict[str, Any] | None = None
    """What was done on the page, where somebody waits for the prediction."""


class TasksRequest(BaseModel):
    """Tasks to predict."""

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "tasks": [
                        {"id": 1, "data": {"image": f"data:image/png;base64,{TINY_PNG}", "query": "the red thing"}}
                    ],
                    "label_config": _CONFIG,
                    "project": "1.1790000000",
                    "params": {"context": None},
                }
            ]
        }
    }

    tasks: Annotated[list[LabelStudioTask], Field(min_length=1)]
    label_config: str
    params: LabelStudioParams = LabelStudioParams()


class SetupRequest(BaseModel):
    """A project that is connected."""

    model_config = {"json_schema_extra": {"examples": [{"project": "1.1790000000", "schema": _CONFIG}]}}

    label_config: Annotated[str, Field(alias="schema")]


class TaskPrediction(BaseModel):
    """The prediction of a task."""

    result: list[dict[str, Any]]
    """Regions."""
    score: float | None
    model_version: str


class TasksAnswer(BaseModel):
    """The predictions of all tasks, in their order; an empty list for a task that has none."""

    results: list[TaskPrediction | list[Any]]


class SetupAnswer(BaseModel):
    """Which model answers."""

    model_version: str


@dataclass(frozen=True, slots=True)
class LabelStudio:
    """Answers Label Studio with a service."""

    images: TaskImages
    query: str = ""
    """What is looked for where neither the page nor the task says it."""

    def create_router(self, desk: FrontDesk) -> APIRouter:
        """The routes."""
        limits, version = desk.service.limits, version_of(desk.service.served)
        router = APIRouter(tags=["Label Studio"])

        async def predict_task(task: LabelStudioTask, labelling: Labelling, context: Any) -> dict[str, Any]:
            query = labelling.query(task.data, context, self.query)
            check_query(query, limits)
            content = await self.images.content(task.data.get(labelling.image_field), limits)
            result = await _patiently(desk, content, query)
            return await asyncio.to_thread(task_prediction, result, labelling, version)

        @router.post(
            "/predict",
            summary="Label Studio: predict tasks",
            responses={200: {"model": TasksAnswer}, **errors(*ABOUT_IMAGES)},
            openapi_extra=body(TasksRequest),
        )
        async def predict(request: Request) -> Response:
            asked = await desk.read(read_json(request, TasksRequest))
            places = asyncio.Semaphore(min(MOST_TOGETHER, limits.queue))
            end = asyncio.get_running_loop().time() + _SHARE * min(limits.timeout, _WAITS)

            async def one(task: LabelStudioTask, labelling: Labelling) -> dict[str, Any] | RequestError:
                try:
                    async with asyncio.timeout_at(end), places:
                        return await predict_task(task, labelling, asked.params.context)
                except Exception as error:  # noqa: BLE001 - whatever is wrong with one task, the others are predicted
                    return explained(error)

            async def work() -> Response:
                labelling = _labelling(asked.label_config)
                found = await asyncio.gather(*(one(task, labelling) for task in asked.tasks))
                return JSONResponse({"results": _told(found)})

            return await desk.answer(request, work)

        @router.post(
            "/setup",
            summary="Label Studio: connect a project",
            responses={200: {"model": SetupAnswer}, **errors("bad_request", "too_large", "unsupported")},
            openapi_extra=body(SetupRequest),
        )
        async def setup(request: Request) -> Response:
            asked = await desk.read(read_json(request, SetupRequest))
            _labelling(asked.label_config)
            return JSONResponse({"model_version": version})

        @router.post(
            "/webhook", summary="Label Studio: hear of changes; nothing is learned from them", responses=errors()
        )
        async def webhook() -> Response:
            return JSONResponse({"status": "ok"})

        return router


def version_of(served: Served) -> str:
    """What the models are called in a prediction."""
    return f"{served.reasoner} {served.revision[:8]}".rstrip()


def _labelling(config: str) -> Labelling:
    try:
        return read_labelling(config)
    except Exception as error:
        _log.warning("a project of Label Studio's cannot be answered: %s", error)
        raise


async def _patiently(desk: FrontDesk, content: bytes, query: str) -> Result:
    """What the models find; where all places are taken, once there is one."""
    while True:
        try:
            result, _ = await desk.segment(content, query)
        except RequestError as error:
            if error.code != "busy":
                raise
            await asyncio.sleep(error.retry_after or 1)
        else:
            return result


def _told(found: Sequence[dict[str, Any] | RequestError]) -> list[Mapping[str, Any] | list[Any]]:
    """The predictions, as Label Studio takes them.

    Raises:
        RequestError: there is none.
    """
    wrong = [one for one in found if isinstance(one, RequestError)]
    for error in wrong:
        _log.warning("a task of Label Studio's has no prediction: %s", error.message)
    if len(wrong) == len(found):
        raise wrong[0]
    return [[] if isinstance(one, RequestError) else one for one in found]
