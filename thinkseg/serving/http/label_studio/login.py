"""Who asks Label Studio for images: by an API key that is shown as it is, or changed for one that lives for minutes."""

from __future__ import annotations

import json
import threading
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request

from thinkseg.fetching import Opener

_ANSWER = 2**16
"""Bytes of an answer about a token."""
_REFUSED = 401
"""The status by which Label Studio takes a token no longer."""


class Login:
    """Opens addresses of one Label Studio by its API key; may be asked from several threads.

    A personal access token, which is a JSON web token, is changed for an access token at the first request, and anew
    when Label Studio takes that one no longer. Threads that need one at the same time ask once, and share what comes
    of it: the access token, or why there is none.

    Args:
        host: the address of Label Studio.
        token: its API key: a personal access token, or a legacy one; empty for none.
        opener: what opens an address.
    """

    def __init__(self, host: str, token: str, opener: Opener) -> None:
        self._host = host
        self._token = token
        self._opener = opener
        self._access: str | None = None
        self._asking: Future[str] | None = None
        """What one thread asks for, and others wait for."""
        self._lock = threading.Lock()

    def open(self, request: Request, timeout: float) -> AbstractContextManager[Any]:
        """Open an address.

        Args:
            request: of this Label Studio's.
            timeout: in seconds.

        Raises:
            HTTPError: it is refused.
            OSError: Label Studio cannot be reached.
            ValueError: it answers wrongly about the key.
        """
        if self._token.count(".") != 2:
            if self._token:
                request.add_header("Authorization", f"Token {self._token}")
            return self._opener(request, timeout)
        kept = self._access
        access = kept or self._changed(None, timeout)
        try:
            return self._opened(request, access, timeout)
        except HTTPError as error:
            if error.code != _REFUSED or kept is None:
                raise
            error.close()
        return self._opened(request, self._changed(access, timeout), timeout)

    def _opened(self, request: Request, access: str, timeout: float) -> AbstractContextManager[Any]:
        request.add_header("Authorization", f"Bearer {access}")
        return self._opener(request, timeout)

    def _changed(self, refused: str | None, timeout: float) -> str:
        """An access token in place of one that is refused; where another thread has it already, that one."""
        with self._lock:
            if self._access is not None and self._access != refused:
                return self._access
            first = self._asking is None
            asking = self._asking = self._asking or Future[str]()
        if first:
            self._ask(asking, timeout)
        return asking.result()

    def _ask(self, asking: Future[str], timeout: float) -> None:
        try:
            self._access = self._asked(timeout)
            asking.set_result(self._access)
        except BaseException as error:  # noqa: BLE001 - raised by all that wait for it
            asking.set_exception(error)
        finally:
            self._asking = None

    def _asked(self, timeout: float) -> str:
        asked = Request(
            f"{self._host.rstrip('/')}/api/token/refresh/",
            json.dumps({"refresh": self._token}).encode(),
            {"Content-Type": "application/json", "User-Agent": "thinkseg"},
        )
        with self._opener(asked, timeout) as answer:
            told = json.loads(answer.read(_ANSWER))
        if not isinstance(told, dict) or not isinstance(told.get("access"), str):
            raise ValueError("it takes the token, and gives none for it")
        return str(told["access"])
