"""What all writers of files share: JSON that is UTF-8 whatever is in it."""

import json
import re
from collections.abc import Callable
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
