"""What all writers of files share: JSON that is UTF-8 whatever is in it, folders that take files, names that fit."""

import hashlib
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from thinkseg.errors import InputError

LONGEST_NAME = 200
"""Bytes of a name without its ending: file systems take 255, and endings and numbers are added to it."""

_HALF_PAIRS = re.compile("[\ud800-\udfff]")


def json_text(
    value: object, *, indent: int | None = None, default: Callable[[Any], Any] | None = None, allow_nan: bool = True
) -> str:
    """JSON that can always be written as UTF-8.

    Letters stay as they are. Half a surrogate pair, which stands in a file's name that is not UTF-8 or in text that was
    cut in an emoji, has no UTF-8: it becomes an escape, which readers of JSON give back as it was.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, default=default, allow_nan=allow_nan)
    return _HALF_PAIRS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def require_folder(folder: Path | str, flag: str = "--out") -> Path:
    """Make a folder, and make sure that it takes files, before work begins whose results would be lost.

    Args:
        folder: made if it is not there, with those above it.
        flag: by which the caller names another one.

    Raises:
        InputError: it cannot be made, or no file can be written in it.
    """
    folder = Path(folder)
    advice = f"name another one with {flag}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise InputError(f"'{folder}' cannot be made a folder for the results: it is a file; {advice}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"'{folder}' cannot be made a folder for the results: {reason}; {advice}") from error
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"the folder '{folder}' takes no files: {error.strerror or error}; {advice}") from error
    return folder


def fitting_name(name: str) -> str:
    """A name that leaves room for endings: a longer one is cut and told from its like by eight digits of its hash."""
    data = name.encode("utf-8", "surrogatepass")
    if len(data) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(data).hexdigest()[:8]
    kept = data[: LONGEST_NAME - 9].decode("utf-8", "ignore")
    return f"{kept}-{digest}"
