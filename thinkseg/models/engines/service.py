"""JSON over HTTP, asked patiently: waits where a server is busy, tries again where it stumbles, gives up with a reason.

A request is tried again after what may pass: no connection, a time-out, too many requests (429), a fault of the server
(5xx). It waits as long as the server's `Retry-After` says, or else twice as long each time. What will not pass, such as
a refused key, fails at once. Nothing is sent to another address than the one that the user has named.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from thinkseg.errors import InputError, MissingExtraError, ThinkSegError, one_line

if TYPE_CHECKING:
    import httpx

MAY_PASS = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which a request is tried again."""

_OWN_MACHINE = ("127.0.0.1", "::1", "localhost")

_SHOWN = 200
"""Letters of a server's own words in a sentence."""


class ServiceError(ThinkSegError):
    """A request that failed for good; the sentence says how.

    Attributes:
        reached: whether the server answered at all.
        status: the HTTP status that it answered with last; None where there was none.
    """

    def __init__(self, sentence: str, *, reached: bool = True, status: int | None = None) -> None:
        super().__init__(sentence)
        self.reached = reached
        self.status = status


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is waited for."""

    timeout: float = 120.0
    """Seconds that one try may take, from the connection to the last byte."""
    retries: int = 5
    """Tries after the first one."""
    first_wait: float = 0.5
    """Seconds before the second try; each further one waits twice as long, a random part of it less."""
    longest_wait: float = 60.0
    """Seconds of the longest wait that is not asked for."""
    longest_asked: float = 600.0
    """Seconds of the longest `Retry-After` that is kept to; where it is longer, the request fails."""
    most_bytes: int = 64 * 2**20
    """Of an answer."""

    def wait(self, tried: int) -> float:
        """Seconds to wait after so many tries, from 1."""
        longest: float = min(self.longest_wait, self.first_wait * 2 ** (tried - 1))
        return longest * random.uniform(0.5, 1.0)


def is_address(name: object) -> bool:
    """Whether a name is the address of a server: it begins with http:// or https://."""
    return isinstance(name, str) and name.lower().startswith(("http://", "https://"))


def checked_address(name: str, what: str) -> str:
    """An address without a slash at its end.

    Args:
        name: as the user says it.
        what: what it is of, for the sentence.

    Raises:
        InputError: it names no host, or has a port, a user, a query or a fragment that it should not have.
    """
    try:
        parts = urlsplit(name)
        right = is_address(name) and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        right = False
    if not right or parts.username is not None or parts.query or parts.fragment or any(map(str.isspace, name)):
        raise InputError(
            f"expected the address of {what}, such as http://127.0.0.1:8000/v1 without user, query or fragment, "
            f"found '{one_line(name)}'"
        )
    return name.rstrip("/")


def key_from(variable: str) -> str | None:
    """The API key in an environment variable; None where there is none.

    Raises:
        InputError: it cannot be sent in a header; the sentence does not show it.
    """
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise InputError(f"the key in {variable} should be printable ASCII text, found other characters in it")
    return key or None


class JsonService:
    """A server at an address that takes JSON and gives JSON. Safe to use from several threads.

    Args:
        address: without a slash at its end, as `checked_address` gives it.
        key: is sent as ``Authorization: Bearer KEY``; None sends none.
        patience: how long it is waited for.
        sleep: waits so many seconds.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        address: str,
        key: str | None = None,
        patience: Patience | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            import httpx
        except ModuleNotFoundError as error:
            raise MissingExtraError("httpx", "remote", "to ask a server") from error
        self.address = address
        self.patience = patience or Patience()
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._not_before = 0.0
        self._down = False
        headers = {"User-Agent": "thinkseg", "Accept": "application/json"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        self._client = httpx.Client(
            headers=headers,
            timeout=self.patience.timeout,
            follow_redirects=False,
            trust_env=urlsplit(address).hostname not in _OWN_MACHINE,  # a proxy does not lead there
        )
        weakref.finalize(self, self._client.close)

    def get(self, path: str, retries: int | None = None) -> Any:
        """What is at a path, as JSON.

        Args:
            path: behind the address, with a slash before it.
            retries: tries after the first one; those of the patience when None.

        Raises:
            ServiceError: the request failed for good.
        """
        return self._patiently("GET", path, None, retries)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """What the server answers to JSON at a path, as JSON.

        Raises:
            ServiceError: the request failed for good.
        """
        return self._patiently("POST", path, json.dumps(body, ensure_ascii=False).encode("utf-8"))

    def _patiently(self, method: str, path: str, body: bytes | None, retries: int | None = None) -> Any:
        tried, allowed = 0, self.patience.retries if retries is None else retries
        while True:
            self._keep_quiet()
            try:
                answer = self._once(method, path, body)
            except _MayPass as error:
                tried += 1
                # One that could not be reached for a whole request is asked once a request, until it answers again.
                most = 0 if self._down and not error.reached else allowed
                if tried > most or (error.wait or 0.0) > self.patience.longest_asked:
                    self._down = not error.reached
                    raise self._given_up(error, tried) from error
                self._hold(error.wait, tried)
                continue
            self._down = False
            return answer

    def _keep_quiet(self) -> None:
        """Wait while the server has asked for quiet."""
        while (left := self._not_before - self._clock()) > 0:
            self._sleep(left)

    def _hold(self, asked: float | None, tried: int) -> None:
        """Wait before the next try; where the server has asked for it, so do the requests of the other threads."""
        if asked is None:
            self._sleep(self.patience.wait(tried))
            return
        with self._lock:
            self._not_before = max(self._not_before, self._clock() + asked)

    def _given_up(self, error: _MayPass, tried: int) -> ServiceError:
        times = "once" if tried == 1 else f"{tried} times"
        more = ""
        if (error.wait or 0.0) > self.patience.longest_asked:
            more = f", which wants {error.wait:g} seconds of quiet, more than the {self.patience.longest_asked:g} kept"
        return ServiceError(
            f"{self.address} was asked {times} without success: {error}{more}",
            reached=error.reached,
            status=error.status,
        )

    def _once(self, method: str, path: str, body: bytes | None) -> Any:
        """One try.

        Raises:
            _MayPass: a later one may succeed.
            ServiceError: none will.
        """
        import httpx

        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            with self._client.stream(method, self.address + path, content=body, headers=headers) as answer:
                data = self._read(answer)
        except httpx.TimeoutException as error:
            what = "no connection" if isinstance(error, httpx.ConnectTimeout) else "no answer"
            reached = not isinstance(error, httpx.ConnectTimeout)
            raise _MayPass(f"{what} within {self.patience.timeout:g} seconds", reached=reached) from error
        except httpx.ConnectError as error:
            raise _MayPass(f"no connection ({_words(str(error))})", reached=False) from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise _MayPass(f"the connection broke ({_words(str(error)) or type(error).__name__})") from error
        return self._content(answer, data)

    def _read(self, answer: httpx.Response) -> bytes:
        """The body, within the limits of time and size."""
        end = self._clock() + self.patience.timeout
        data = bytearray()
        for chunk in answer.iter_bytes():
            data += chunk
            if len(data) > self.patience.most_bytes:
                raise ServiceError(f"{self.address} answers with more than {self.patience.most_bytes:,} bytes")
            if self._clock() > end:
                raise _MayPass(f"no whole answer within {self.patience.timeout:g} seconds")
        return bytes(data)

    def _content(self, answer: httpx.Response, data: bytes) -> Any:
        status = answer.status_code
        if status in MAY_PASS:
            wait = _seconds(answer.headers.get("Retry-After"))
            raise _MayPass(f"{_told(status, data)}", wait=wait, status=status)
        if 300 <= status < 400:
            raise ServiceError(
                f"{self.address} leads elsewhere (HTTP {status}), which is not followed: give the address meant",
                status=status,
            )
        if status != 200:
            raise ServiceError(f"{self.address} refuses the request: {_told(status, data)}", status=status)
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise _MayPass(f"what it answers is no JSON ({_words(data.decode('utf-8', 'replace'))})") from error


class _MayPass(Exception):
    """A try that failed, where a later one may succeed."""

    def __init__(
        self, said: str, *, wait: float | None = None, reached: bool = True, status: int | None = None
    ) -> None:
        super().__init__(said)
        self.wait = wait
        self.reached = reached
        self.status = status


def _seconds(retry_after: str | None) -> float | None:
    """What a `Retry-After` header asks for, seconds or a date; None where it asks for nothing that can be read."""
    if retry_after is None:
        return None
    try:
        return max(0.0, float(retry_after)) if float(retry_after) < float("inf") else None
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _told(status: int, data: bytes) -> str:
    """The status with the server's own words, from the shapes that servers have for them."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        content = None
    words: Any = content
    for key in ("error", "message", "detail"):
        if isinstance(words, Mapping) and key in words:
            words = words[key]
    said = words if isinstance(words, str) else data.decode("utf-8", "replace")
    return f"HTTP {status}{f' ({_words(said)})' if said.strip() else ''}"


def _words(said: str) -> str:
    """A server's own words on one line, cut where they are long."""
    words = one_line(" ".join(said.split()))
    return words if len(words) <= _SHOWN else f"{words[:_SHOWN]}…"
