"""What a service answers when it does not do what is asked: a code for programs and a sentence for people."""

from __future__ import annotations

import logging
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from thinkseg.errors import InputError, MissingExtraError, one_line

STATUS = {
    "bad_request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "slow_request": 408,
    "too_large": 413,
    "unsupported": 415,
    "busy": 429,
    "internal": 500,
    "unavailable": 503,
    "timeout": 504,
}
"""The status that goes with each code."""

_CODES = {status: code for code, status in STATUS.items()}
_LONGEST = 500

_log = logging.getLogger(__name__)


class RequestError(Exception):
    """A request is refused, or cannot be answered.

    Args:
        code: of `STATUS`.
        message: one sentence, begun in lower case.
        retry_after: seconds after which it may be tried again, if that helps.
    """

    def __init__(self, code: str, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = STATUS[code]
        self.message = one_line(message[:_LONGEST])
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """That go with the answer."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return {**headers, "WWW-Authenticate": "Bearer"} if self.code == "unauthorized" else headers

    def body(self) -> dict[str, Any]:
        """As JSON."""
        return {"error": {"code": self.code, "message": self.message}}

    def response(self) -> JSONResponse:
        """As an answer."""
        return JSONResponse(self.body(), self.status, self.headers)


def explained(error: BaseException) -> RequestError:
    """What is told of an error: its sentence where it is the asker's, and otherwise nothing of the machine's inside."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, InputError) and not isinstance(error, MissingExtraError):
        return RequestError("bad_request", str(error))
    if isinstance(error, TimeoutError):
        return RequestError("timeout", "the answer took longer than this service waits: try a smaller image")
    _log.error("a request could not be answered", exc_info=error)
    return RequestError("internal", "the request could not be answered; the service's log says why")


async def answer_error(_: Request, error: Exception) -> JSONResponse:
    """The answer to a request that raised; Starlette's own errors (no such route) in the same form."""
    if isinstance(error, HTTPException):
        code = _CODES.get(error.status_code, "bad_request" if error.status_code < 500 else "internal")
        sentence = {"not_found": "there is nothing at this path", "method_not_allowed": "this path takes other methods"}
        own = RequestError(code, sentence.get(code, str(error.detail)))
        return JSONResponse(own.body(), error.status_code, {**(error.headers or {}), **own.headers})
    return explained(error).response()
