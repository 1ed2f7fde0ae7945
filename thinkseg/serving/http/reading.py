"""From the bytes of a request to an image and what is asked about it: limits are checked before a pixel is decoded."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from io import BytesIO
from typing import TypeVar
from weakref import WeakValueDictionary

from PIL import Image
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from thinkseg.errors import ImageError
from thinkseg.imaging import OversizeError, load_image, peek
from thinkseg.serving.http.errors import RequestError
from thinkseg.serving.http.limits import Limits
from thinkseg.serving.http.schemas import MasksRequest, SegmentOptions, SegmentRequest

B = TypeVar("B", bound=BaseModel)

JSON, FORM = "application/json", "multipart/form-data"
_FIELDS = 16
"""Of a form."""


async def read_segment(request: Request, limits: Limits) -> tuple[bytes, SegmentOptions]:
    """The content of an image and what is asked about it, from JSON or from a form.

    Raises:
        RequestError: it is neither, something is missing or wrong, or there is too much of it.
    """
    if content_type(request) == FORM:
        fields, content = await _read_form(request)
        options = checked(SegmentOptions, fields)
    else:
        asked = await read_json(request, SegmentRequest)
        content = await image_content(asked.image, limits)
        options = SegmentOptions(**asked.model_dump(exclude={"image"}))
    check_query(options.query, limits)
    return content, options


async def read_masks(request: Request, limits: Limits) -> tuple[bytes, MasksRequest]:
    """The content of an image and the objects to segment in it, from JSON.

    Raises:
        RequestError: as for `read_segment`.
    """
    asked = await read_json(request, MasksRequest)
    return await image_content(asked.image, limits), asked


def check_query(query: str, limits: Limits) -> None:
    """Refuse a query that is too long.

    Raises:
        RequestError: it is.
    """
    if len(query) > limits.query_length:
        raise RequestError(
            "too_large",
            f"a query has at most {limits.query_length} characters here, found {len(query)}: say it shorter",
        )


def content_type(request: Request) -> str:
    """What a request says that it holds, without parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_json(request: Request, model: type[B]) -> B:
    """The body of a request.

    Raises:
        RequestError: it is no JSON, or other than the model says.
    """
    if content_type(request) != JSON:
        raise RequestError("unsupported", f"expected a body of the type {JSON}, found '{content_type(request)}'")
    body = await request.body()
    try:
        return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise RequestError("bad_request", _sentence(error)) from error


async def image_content(text: str, limits: Limits) -> bytes:
    """The bytes of an image in base64, with or without the head of a data URL.

    Raises:
        RequestError: it is something else, or too long.
    """
    if len(text) > limits.image_bytes * 4 // 3 + 256:
        raise _too_many_bytes(limits)
    head, comma, rest = text.partition(",") if text[:5].lower() == "data:" else ("", "", text)
    if head and not (comma and head.lower().endswith(";base64")):
        raise RequestError("bad_request", "expected a data URL in base64, found one in another encoding")
    try:
        return await asyncio.to_thread(base64.b64decode, rest, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(
            "bad_request",
            "expected 'image' as the content of a file in base64, found something else; a path or an "
            "address is not read here",
        ) from error


def check_image(content: bytes, limits: Limits) -> int:
    """The pixels that an image has, by its header.

    Raises:
        RequestError: it is none of the formats that are taken, damaged, or too large.
    """
    if not content:
        raise RequestError("bad_request", "the image is empty")
    if len(content) > limits.image_bytes:
        raise _too_many_bytes(limits)
    try:
        _, size = peek(content, limits.formats)
    except OversizeError as error:
        raise _too_many_pixels(limits) from error
    except ImageError as error:
        raise RequestError("bad_request", str(error)) from error
    if size.width * size.height > limits.image_pixels:
        raise _too_many_pixels(limits)
    return size.width * size.height


class DecodedImages:
    """Decodes images; one that comes again while it is still asked about is shared.

    So that equal images of a batch are one object, by which the models know that they need to be encoded once.
    """

    def __init__(self) -> None:
        self._known: WeakValueDictionary[bytes, Image.Image] = WeakValueDictionary()

    async def decode(self, content: bytes) -> Image.Image:
        """RGB, upright; not to be changed.

        Raises:
            ImageError: damaged.
        """
        key = hashlib.blake2b(content, digest_size=16).digest()
        image = self._known.get(key)
        if image is None:
            image = self._known.setdefault(key, await asyncio.to_thread(load_image, BytesIO(content)))
        return image


def checked(model: type[B], fields: dict[str, str]) -> B:
    """What the fields of a form say, each of which is text.

    Raises:
        RequestError: other than the model says.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise RequestError("bad_request", _sentence(error)) from error


async def _read_form(request: Request) -> tuple[dict[str, str], bytes]:
    try:
        async with request.form(max_files=1, max_fields=_FIELDS) as form:
            fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
            image = form.get("image")
            content = await image.read() if isinstance(image, UploadFile) else None
    except HTTPException as error:
        raise RequestError("bad_request", "the form cannot be read: it is damaged, or has too many parts") from error
    if content is None:
        raise RequestError("bad_request", "expected a file in the field 'image' of the form, found none")
    return fields, content


def _sentence(error: ValidationError) -> str:
    """What is wrong first, without quoting what was sent."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"][:1].lower() + first["msg"][1:]
    return f"'{where}': {message}" if where else message


def _too_many_bytes(limits: Limits) -> RequestError:
    return RequestError("too_large", f"an image has at most {limits.image_bytes / 2**20:.1f} MB here: make it smaller")


def _too_many_pixels(limits: Limits) -> RequestError:
    return RequestError("too_large", f"an image has at most {limits.image_pixels:,} pixels here: make it smaller")
