"""What the service answers under which path."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import asdict
from typing import Any, TypeVar

from fastapi import APIRouter
from PIL import Image
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

import thinkseg
from thinkseg.errors import InputError
from thinkseg.results.result import IN_MEMORY, Result
from thinkseg.serving.http import schemas
from thinkseg.serving.http.answering import masks_record, segment_record, segment_response
from thinkseg.serving.http.describing import body, content_types, errors
from thinkseg.serving.http.errors import RequestError, explained
from thinkseg.serving.http.leaving import ClientLeftError, while_connected
from thinkseg.serving.http.reading import DecodedImages, check_image, read_masks, read_segment
from thinkseg.serving.http.service import RequestListener, Service, Timings
from thinkseg.serving.http.streaming import EVENT, MEDIA_TYPE, Announced, EventStream
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Segmentation, Size

R = TypeVar("R")

ABOUT_IMAGES = ("bad_request", "slow_request", "too_large", "unsupported", "busy", "internal", "timeout")
_LEFT = 499
"""The status of an answer that nobody waits for, as nginx has it."""


class FrontDesk:
    """Reads requests about images, and answers them with a service; also for routers of other protocols.

    Args:
        service: answers.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self._images = DecodedImages()

    async def answer(
        self,
        request: Request,
        work: Callable[[], Coroutine[Any, Any, Response]],
        refuse: Callable[[RequestError], Response] = RequestError.response,
    ) -> Response:
        """The answer that some work gives in time, as long as the client waits for it; or what is wrong.

        Args:
            request: whose body has been read.
            work: gives the answer.
            refuse: says what is wrong.
        """
        try:
            async with asyncio.timeout(self.service.limits.timeout):
                return await while_connected(request, work())
        except ClientLeftError:
            self.service.metrics.left.inc()
            return Response(status_code=_LEFT)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one request is told to it alone
            return refuse(explained(error))

    async def read(self, reading: Awaitable[R]) -> R:
        """What a request says, if it comes to an end in time.

        Raises:
            RequestError: it does not, or what is read is wrong.
        """
        try:
            async with asyncio.timeout(self.service.limits.timeout):
                return await reading
        except TimeoutError as error:
            raise RequestError("slow_request", "the request did not come to an end in time") from error
        except ClientDisconnect as error:
            raise RequestError("bad_request", "the request is cut short") from error

    async def segment(
        self, content: bytes, query: str, listener: Callable[[Size], RequestListener] | None = None
    ) -> tuple[Result, Timings]:
        """What the models find; it takes a slot while it works.

        Args:
            content: of the image's file.
            query: what to look for.
            listener: makes, for the size of the image, what hears of it before.

        Raises:
            RequestError: there is no slot, or the image is not taken.
            InputError: the image is damaged, or the models do not take the query.
        """
        with self.service.slot(check_image(content, self.service.limits)):
            image, timings = await self._decode(content)
            told = None if listener is None else listener(Size(*image.size))
            prediction = await self.service.segment(image, query, told, timings)
            return Result(image, query, prediction, IN_MEMORY, self.service.served.as_record()), timings

    async def segmentations(
        self, content: bytes, asked: list[list[schemas.PromptedObject]]
    ) -> tuple[Size, list[Segmentation]]:
        """The size of an image, and the masks of boxes and points in it; it takes a slot while it works.

        Raises:
            RequestError: there is no slot, or the image or what is asked is not taken.
            InputError: the image is damaged, or a box or a point cannot be.
        """
        limits = self.service.limits
        pixels = check_image(content, limits)
        count = sum(len(objects) for objects in asked)
        if count * pixels > limits.mask_pixels:
            raise RequestError(
                "too_large", f"{count} masks of {pixels:,} pixels are more than {limits.mask_pixels:,}: ask for fewer"
            )
        with self.service.slot(pixels):
            image, _ = await self._decode(content)
            size = Size(*image.size)
            answers = [Answer(size, tuple(map(_prompt, objects))) for objects in asked]
            return size, await self.service.masks(image, answers)

    async def _decode(self, content: bytes) -> tuple[Image.Image, Timings]:
        timings = Timings()
        with timings.of("read"):
            return await self._images.decode(content), timings


def create_router(desk: FrontDesk) -> APIRouter:
    """The service's own routes."""
    service = desk.service
    router = APIRouter()

    @router.post(
        "/v1/segment",
        summary="Find in an image what is asked for in words",
        responses={
            200: {
                "model": schemas.SegmentAnswer,
                "description": "What was found; a PNG where `output` asks for one.",
                "content": content_types(["image/png"], type="string", format="binary"),
            },
            **errors(*ABOUT_IMAGES),
        },
        openapi_extra=body(schemas.SegmentRequest, schemas.SegmentOptions),
    )
    async def segment(request: Request) -> Response:
        began = time.monotonic()
        content, options = await desk.read(read_segment(request, service.limits))

        async def work() -> Response:
            result, timings = await desk.segment(content, options.query)
            return await asyncio.to_thread(segment_response, result, options, timings, began)

        return await desk.answer(request, work)

    @router.post(
        "/v1/segment/stream",
        summary="The same in server-sent events: the thinking as it is written, the boxes, the masks",
        response_class=Response,
        responses={
            200: {
                "description": "Events `thinking` (text to be put behind the last), `boxes`, and last `masks`, which "
                "is what `/v1/segment` answers, or `error`.",
                "content": content_types([MEDIA_TYPE], **EVENT),
            },
            **errors(*ABOUT_IMAGES),
        },
        openapi_extra=body(schemas.SegmentRequest, schemas.SegmentOptions),
    )
    async def stream(request: Request) -> Response:
        began = time.monotonic()
        content, options = await desk.read(read_segment(request, service.limits))
        if options.output != "json":
            raise RequestError("bad_request", "a stream is in JSON: leave out 'output'")

        async def work(told: Announced) -> dict[str, Any]:
            async with asyncio.timeout(service.limits.timeout):
                result, timings = await desk.segment(content, options.query, told.about)
                return await asyncio.to_thread(segment_record, result, options, timings, began)

        return EventStream(request, work, service.metrics)

    @router.post(
        "/v1/masks",
        summary="Segment objects by boxes and points",
        responses={200: {"model": schemas.MasksAnswer}, **errors(*ABOUT_IMAGES)},
        openapi_extra=body(schemas.MasksRequest),
    )
    async def masks(request: Request) -> Response:
        content, asked = await desk.read(read_masks(request, service.limits))

        async def work() -> Response:
            size, found = await desk.segmentations(content, asked.answers)
            return JSONResponse(await asyncio.to_thread(masks_record, size, found, service.served))

        return await desk.answer(request, work)

    @router.get("/v1/models", summary="Which models are served", responses=errors())
    async def models() -> schemas.ModelsAnswer:
        return schemas.ModelsAnswer(**models_record(service))

    @router.get("/health", summary="Whether the process is worth keeping", responses=_states(503))
    async def health() -> Response:
        state = "UP" if service.healthy else "FAILING"
        return JSONResponse({"status": state, "model_class": "ThinkSeg"}, 200 if service.healthy else 503)

    @router.get("/ready", summary="Whether a request would be taken now", responses=_states(503))
    async def ready() -> Response:
        state = "READY" if service.ready else "DRAINING" if service.draining else "BUSY"
        return JSONResponse({"status": state}, 200 if service.ready else 503)

    @router.get(
        "/metrics",
        summary="Figures for Prometheus",
        response_class=Response,
        responses={200: {"content": content_types([CONTENT_TYPE_LATEST])}, **errors()},
    )
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return router


def models_record(service: Service) -> dict[str, Any]:
    """What ``/v1/models`` says; routers of other protocols may answer there with more."""
    served, limits = service.served, asdict(service.limits)
    return {
        "reasoner": {"name": served.reasoner, "revision": served.revision, "format": served.format},
        "segmenter": {"name": served.segmenter, "revision": served.segmenter_revision, "masks": served.masks},
        "limits": {
            name: limits[name] for name in ("image_bytes", "image_pixels", "formats", "query_length", "timeout")
        },
        "version": thinkseg.__version__,
    }


def _states(*others: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": schemas.StateAnswer} for status in (200, *others)}


def _prompt(asked: schemas.PromptedObject) -> ObjectPrompt:
    """An object to segment.

    Raises:
        InputError: it has neither a box nor points, or one that cannot be.
    """
    try:
        box = None if asked.box is None else Box(*asked.box)
        points = tuple(_point(x, y, label) for x, y, label in asked.points)
        return ObjectPrompt(box, points)
    except ValueError as error:
        raise InputError(str(error)) from error


def _point(x: float, y: float, label: float) -> Point:
    if label not in (0, 1):
        raise ValueError(f"a point's label is 1 (object) or 0 (background), found {label:g}")
    return Point(x, y, int(label))
