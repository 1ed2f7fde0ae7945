"""What all writers of files share: JSON that is UTF-8 whatever is in it, and files that appear at once."""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

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


def write_at_once(path: Path, text: str) -> None:
    """Write text as UTF-8 so that a reader finds the old file or the new one, never half of one."""
    with replacing(path) as half:
        half.write_text(text, encoding="utf-8")


@contextmanager
def replacing(path: Path, half: Path | None = None) -> Iterator[Path]:
    """A file to write, which replaces another one when it is whole and is removed where its writing is interrupted.

    Args:
        path: what is replaced; its folder is made.
        half: where it is written meanwhile; this process's own name unless it is said. One whose process is killed
            stays there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    half = half_of(path) if half is None else half
    try:
        yield half
        os.replace(half, path)
    except BaseException:
        with suppress(OSError):
            half.unlink(missing_ok=True)
        raise


def half_of(path: Path) -> Path:
    """Where this process writes what is to replace a file."""
    return path.with_name(f"{path.name}.{os.getpid()}.part")
