"""Fetches a file over http(s) when a caller asks for it: limited in bytes and in time, every failure a sentence."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from http.client import HTTPException, HTTPResponse
from io import BytesIO
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, build_opener, urlopen
from urllib.request import Request as UrlRequest

from thinkseg.errors import InputError

TIMEOUT = 30.0
"""How long fetching one file may take, in seconds."""

_CHUNK = 1 << 16

Opener = Callable[[UrlRequest, float], AbstractContextManager[Any]]
"""Opens an address: the request and a timeout in seconds give a binary file to read from."""


def fetch(
    url: str,
    max_bytes: int,
    *,
    timeout: float = TIMEOUT,
    opener: Opener | None = None,
    error: type[InputError] = InputError,
) -> bytes:
    """The bytes at an address; the limits hold for what comes, whatever its headers say.

    Args:
        url: its address.
        max_bytes: a larger file is refused.
        timeout: seconds that all of it may take.
        opener: what opens an address; `open_anywhere` when None.
        error: what is raised.

    Raises:
        InputError: the address cannot be reached, or answers wrongly, slowly, or with too much; of the kind `error`.
    """
    try:
        return _fetched(url, max_bytes, timeout, opener or open_anywhere, error)
    except HTTPError as cause:
        cause.close()
        raise error(f"'{url}' cannot be fetched: the server answers {cause.code} ({cause.reason})") from cause
    except (OSError, HTTPException, ValueError) as cause:
        reason = getattr(cause, "reason", None) or cause
        raise error(f"'{url}' cannot be fetched: {reason}") from cause


def _fetched(url: str, max_bytes: int, timeout: float, opener: Opener, error: type[InputError]) -> bytes:
    end = time.monotonic() + timeout
    data = BytesIO()
    with opener(UrlRequest(url, headers={"User-Agent": "thinkseg"}), timeout) as answer:
        while chunk := answer.read1(_CHUNK):  # what there is, so that a slow server cannot hold us
            data.write(chunk)
            if data.tell() > max_bytes:
                raise error(f"'{url}' has more than {max_bytes:,} bytes, which is not fetched")
            if time.monotonic() > end:
                raise error(f"'{url}' took more than {timeout:g} seconds and was given up")
    return data.getvalue()


def open_anywhere(request: UrlRequest, timeout: float) -> AbstractContextManager[Any]:
    """Open an address, also where it leads to another one of http(s)."""
    answer: HTTPResponse = urlopen(request, timeout=timeout)
    final = urlsplit(answer.url).scheme
    if final not in ("http", "https"):  # a server may send us on to ftp
        answer.close()
        raise ValueError(f"it leads to an address of the kind '{final}'")
    return answer


def open_here(request: UrlRequest, timeout: float) -> AbstractContextManager[Any]:
    """Open an address, and refuse where it leads to another one."""
    answer: HTTPResponse = build_opener(_NoRedirect).open(request, timeout=timeout)
    return answer


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        fp.close()
        raise ValueError(f"it leads elsewhere, to '{newurl}', which is not followed")
