"""The images of Label Studio's tasks: from the one Label Studio and the one folder that the operator names, or from
the task itself. Nothing else is fetched or read on a client's word.
"""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

from thinkseg.errors import InputError, ThinkSegError
from thinkseg.fetching import Opener, fetch, open_here
from thinkseg.serving.http.errors import RequestError
from thinkseg.serving.http.label_studio.login import Login
from thinkseg.serving.http.limits import Limits
from thinkseg.serving.http.reading import image_content

LOCAL_FILES = "/data/local-files/"
"""Where Label Studio serves files of a folder, which their ``d`` names."""
_IMAGES = re.compile(r"/data/(upload|local-files)/.*|/(tasks|projects)/\d+/(resolve|presign)/")
_PORTS = {"http": 80, "https": 443}
_KEPT = "!$%&'()*+,/:;=?@~"
"""Of a query, as it is written."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TaskImages:
    """Where the images of tasks may come from."""

    host: str = ""
    """The address of the one Label Studio; empty for none."""
    token: str = field(default="", repr=False)
    """Its API key: a personal access token, or a legacy one."""
    folder: Path | None = None
    """What Label Studio has as its document root of local files; None for none."""
    opener: Opener = open_here
    """What opens an address; no address that leads elsewhere is followed."""
    _login: Login = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.host and not _is_base(self.host):
            raise InputError(
                f"expected the address of a Label Studio, such as 'http://localhost:8080', found '{self.host}'"
            )
        if self.folder is not None and not self.folder.is_dir():
            raise InputError(f"expected a folder with Label Studio's local files, found none at '{self.folder}'")
        object.__setattr__(self, "_login", Login(self.host, self.token, self.opener))

    async def content(self, address: object, limits: Limits) -> bytes:
        """The content of an image's file.

        Args:
            address: what the task says of it: a path at Label Studio, an address, or a data URL.
            limits: of an image.

        Raises:
            RequestError: it is from somewhere else, is not there, or has too many bytes.
        """
        if not isinstance(address, str) or not address:
            raise RequestError("bad_request", "expected an image in the task's data, found none")
        if address[:5].lower() == "data:":
            return await image_content(address, limits)
        return await asyncio.to_thread(self._read, address, limits.image_bytes)

    def _read(self, address: str, most: int) -> bytes:
        url, host = _parts(address), urlsplit(self.host)
        if url is None:
            raise RequestError("bad_request", "the image's address is none")
        here = not (url.scheme or url.netloc) or (self.host != "" and _origin(url) == _origin(host))
        path = unquote(url.path.removeprefix(host.path.rstrip("/")))
        if here and path == LOCAL_FILES and self.folder is not None:
            return _file(self.folder, parse_qs(url.query).get("d", [""])[-1], most)
        if not self.host or not here:
            raise RequestError(
                "forbidden",
                "the image is not from a place that the operator allows: 'thinkseg serve --label-studio URL' names the "
                "one Label Studio that is asked, and --label-studio-files a folder",
            )
        if not _IMAGES.fullmatch(path) or "\\" in path or ".." in path.split("/"):
            raise RequestError("forbidden", "the image is not under a path of Label Studio's that has images of tasks")
        # What was checked is what is asked: a path that begins with "%2F" would go on with the name of the host.
        where = f"{self.host.rstrip('/')}{quote(path)}{'?' if url.query else ''}{quote(url.query, safe=_KEPT)}"
        try:
            return fetch(where, most, opener=self._login.open)
        except ThinkSegError as error:
            _log.warning("an image of Label Studio's does not come: %s", error)
            raise RequestError("bad_request", "the image cannot be fetched from Label Studio: see the log") from error


def _parts(address: str) -> SplitResult | None:
    """The parts of an address; None where it is none."""
    try:
        url = urlsplit(address)
        _ = url.port
    except ValueError:
        return None
    return url


def _is_base(host: str) -> bool:
    """Whether an address may have paths of a server behind it."""
    url = _parts(host)
    if url is None or url.scheme not in _PORTS or not url.hostname or host.split() != [host]:
        return False
    return url.username is None and not url.query and not url.fragment


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    """What two addresses of one server have in common."""
    return url.scheme, url.hostname, url.port or _PORTS.get(url.scheme)


def _file(folder: Path, name: str, most: int) -> bytes:
    """The content of a file in a folder, which no link and no ".." leaves."""
    root = folder.resolve()
    try:
        path = (root / name).resolve(strict=True)
        if path.is_relative_to(root) and path.is_file():
            with path.open("rb") as file:
                return file.read(most + 1)
    except (OSError, ValueError, RuntimeError) as error:  # the last of links in a circle, before Python 3.13
        _log.warning("a local file of Label Studio's cannot be read: %s", error)
    raise RequestError("bad_request", "there is no such file in the folder that --label-studio-files names")
