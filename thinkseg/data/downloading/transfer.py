"""A large file from an address to the disk: goes on where it broke off; what is not the right file is removed."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request

from thinkseg.data.discovery.catalog import Archive
from thinkseg.errors import DownloadError, reason_of
from thinkseg.fetching import Opener, open_anywhere

_CHUNK = 1 << 20
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")

Progress = Callable[[int], None]
"""Is told how many bytes are there by now."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """How files are fetched."""

    opener: Opener = open_anywhere
    """Opens an address."""
    tries: int = 5
    """How often in a row a connection may break without a byte having come."""
    timeout: float = 60.0
    """Seconds that a server may keep silent."""
    wait: Callable[[float], None] = time.sleep
    """Waits so many seconds between two tries."""

    def fetch(self, archive: Archive, path: Path, progress: Progress) -> None:
        """Fetch a file; what is there of it at `path` is not fetched again.

        Raises:
            DownloadError: the server refuses it or gives up, or what came is not the file that was expected. Of a file
                that broke off what came is kept; one that is wrong is removed.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        failures = 0
        while (there := _size(path)) < archive.size:
            try:
                self._go_on(archive, path, progress)
                reason = "the connection broke off"
            except HTTPError as error:
                error.close()
                reason = f"the server answers {error.code} ({error.reason})"
                if error.code < 500 and error.code not in (408, 429):
                    raise DownloadError(f"'{archive.url}' cannot be fetched: {reason}") from error
            except (OSError, HTTPException, ValueError) as error:
                reason = str(getattr(error, "reason", "")) or reason_of(error)
            failures = 0 if _size(path) > there else failures + 1
            if failures >= self.tries:
                raise DownloadError(
                    f"'{archive.url}' cannot be fetched: {reason}, {failures} times in a row; {_size(path):,} of "
                    f"{archive.size:,} bytes are there, and the same command goes on from them"
                )
            if _size(path) < archive.size:
                self.wait(min(2.0**failures, 30.0))
        check(archive, path)

    def _go_on(self, archive: Archive, path: Path, progress: Progress) -> None:
        """Take what the server gives in one connection."""
        there = _size(path)
        request = Request(archive.url, headers={"User-Agent": "thinkseg"})
        if there:
            request.add_header("Range", f"bytes={there}-")
        with self.opener(request, self.timeout) as answer:
            start = _start(answer, there, archive)
            with path.open("r+b" if start else "wb") as file:
                file.seek(start)
                file.truncate()
                done = start
                while chunk := answer.read1(_CHUNK):
                    done += len(chunk)
                    if done > archive.size:
                        break
                    file.write(chunk)
                    progress(done)
        if done > archive.size:
            path.unlink()
            raise DownloadError(f"'{archive.url}' has more than the {archive.size:,} bytes expected; nothing was kept")


def check(archive: Archive, path: Path) -> None:
    """Refuse, and remove, a file that is not the one expected.

    Raises:
        DownloadError: its size or its SHA-256 is another one.
    """
    found = _size(path)
    if found == archive.size and archive.sha256:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest == archive.sha256:
            return
        told = f"its SHA-256 is {digest}, expected {archive.sha256}"
    elif found == archive.size:
        return
    else:
        told = f"it has {found:,} bytes, expected {archive.size:,}"
    path.unlink()
    raise DownloadError(
        f"what came from '{archive.url}' is damaged or another file: {told}; it was removed, and the same command "
        "tries again"
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _start(answer: Any, there: int, archive: Archive) -> int:
    """At which byte of the file the answer begins.

    Raises:
        DownloadError: the server has a file of another size.
    """
    start, total = 0, answer.headers.get("Content-Length")
    if answer.status == 206:
        found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != there:
            raise ValueError(f"the server gives '{answer.headers.get('Content-Range')}', asked from byte {there} on")
        start, total = there, found[2]
    if total is not None and total.isdigit() and int(total) != archive.size:
        raise DownloadError(
            f"'{archive.url}' has {int(total):,} bytes, expected {archive.size:,}: it is another file than the one "
            "known here; see its page"
        )
    return start
