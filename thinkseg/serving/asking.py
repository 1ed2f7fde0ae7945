"""What `thinkseg.Client` and its twin for event loops share: what is sent, and what is made of the answers."""

from __future__ import annotations

import importlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from thinkseg.answers.codec import answer_from_json
from thinkseg.errors import InputError, MissingExtraError, ThinkSegError, reason_of
from thinkseg.imaging import load_image, peek
from thinkseg.inputs import ImageInput, image_from_input
from thinkseg.results.result import IN_MEMORY, Result
from thinkseg.types import Answer

if TYPE_CHECKING:
    import httpx

KEY = "THINKSEG_API_KEY"
"""The variable that a key is read from where none is given."""

_SENT_AS_THEY_ARE = ("PNG", "JPEG", "WEBP")
_LATER = (429, 503)


class ServiceAnswerError(ThinkSegError):
    """A service cannot be reached, or says why it does not do what is asked.

    Attributes:
        code: "busy", "too_large", "unauthorized", …; "unreachable" where there is no answer.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Thinking:
    """More of the thinking has been written."""

    text: str
    """All of it so far."""


@dataclass(frozen=True, slots=True)
class Pointed:
    """The reasoner has answered; the masks are still to come."""

    answer: Answer
    """In pixels of the image."""


Heard = Thinking | Pointed | Result


@dataclass(frozen=True, slots=True)
class Question:
    """A query about an image, as it is sent."""

    image: Image.Image
    query: str
    source: str
    content: bytes

    @property
    def parts(self) -> dict[str, Any]:
        """As a form, for httpx."""
        return {"data": {"query": self.query}, "files": {"image": ("image", self.content)}}

    def result(self, record: dict[str, Any]) -> Result:
        """What the service found, about the image as it is called here."""
        return Result.from_record({**record, "image": self.source}, self.image)


@dataclass(frozen=True, slots=True)
class Where:
    """How a service is asked."""

    url: str
    key: str | None
    timeout: float
    patience: float

    @property
    def options(self) -> dict[str, Any]:
        """Of a client of httpx."""
        headers = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        return {"base_url": self.url, "headers": headers, "timeout": self.timeout}


def where_is(url: str, key: str | None, timeout: float, patience: float) -> Where:
    """How a service is asked, with the environment's key where none is given.

    Raises:
        InputError: the address is none.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise InputError(f"expected the address of a service, such as 'http://127.0.0.1:8000', found '{url}'")
    return Where(url.rstrip("/"), key or os.environ.get(KEY) or None, timeout, patience)


class EventReader:
    """Reads the lines of an event stream.

    Args:
        asked: what it is about.
    """

    def __init__(self, asked: Question) -> None:
        self._asked = asked
        self._name = ""
        self._thought = ""

    def of(self, line: str) -> Iterator[Heard]:
        """What a line says, if anything."""
        kind, _, value = line.partition(": ")
        if kind == "event":
            self._name = value
        if kind != "data":
            return
        data = json.loads(value)
        if self._name == "thinking":
            self._thought += data["text"]
            yield Thinking(self._thought)
        elif self._name == "boxes":
            size = data["size"]
            frame = [size["width"], size["height"]]
            yield Pointed(answer_from_json({"frame": frame, "objects": data["objects"], "think": data["thinking"]}))
        elif self._name == "masks":
            yield self._asked.result(data)
        elif self._name == "error":
            raise ServiceAnswerError(data["error"]["code"], data["error"]["message"])


def ask(image: ImageInput, query: str) -> Question:
    """A query and the content of an image's file: as it is where the service reads that, or else as PNG."""
    if not query.strip():
        raise InputError("the query is empty: say in words what to look for")
    if isinstance(image, Path | str) and Path(image).is_file():
        content = Path(image).read_bytes()
        if peek(content, name=f"'{image}'")[0] in _SENT_AS_THEY_ARE:
            return Question(load_image(BytesIO(content), f"'{image}'"), query, str(image), content)
    loaded = image_from_input(image)
    file = BytesIO()
    loaded.save(file, "PNG", compress_level=1)
    return Question(loaded, query, str(image) if isinstance(image, Path | str) else IN_MEMORY, file.getvalue())


def wait(answer: httpx.Response, until: float) -> float:
    """Seconds after which to ask again.

    Raises:
        ServiceAnswerError: that is later than one wants to wait, or would not help.
    """
    seconds = float(answer.headers.get("Retry-After", "nan")) if answer.status_code in _LATER else float("nan")
    if time.monotonic() + seconds < until:
        return seconds
    try:
        error = answer.json()["error"]
        raise ServiceAnswerError(str(error["code"]), f"the service says: {error['message']}")
    except (ValueError, KeyError, TypeError) as wrong:
        raise ServiceAnswerError(
            "unreachable",
            f"expected a service of ThinkSeg at {answer.url.host}, found one that says {answer.status_code}",
        ) from wrong


def json_of(answer: httpx.Response) -> dict[str, Any]:
    """The mapping that an answer is.

    Raises:
        ServiceAnswerError: it is none.
    """
    try:
        found = answer.json()
    except ValueError as error:
        raise ServiceAnswerError("unreachable", "expected an answer in JSON, found another one") from error
    if not isinstance(found, dict):
        raise ServiceAnswerError("unreachable", "expected a mapping in JSON, found something else")
    return found


@contextmanager
def explained(where: Where) -> Iterator[None]:
    """While this is open, what httpx raises becomes a `ServiceAnswerError`."""
    try:
        yield
    except load_httpx().TimeoutException as error:
        raise ServiceAnswerError(
            "timeout", f"the service at {where.url} gave no answer in {where.timeout:g} s"
        ) from error
    except load_httpx().HTTPError as error:
        raise ServiceAnswerError(
            "unreachable", f"the service at {where.url} cannot be reached ({reason_of(error)}): is it running?"
        ) from error


def load_httpx() -> Any:
    """The package.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module("httpx")
    except ModuleNotFoundError as error:
        if error.name != "httpx":
            raise
        raise MissingExtraError("httpx", "serve", "to ask a service") from error
