"""What the published functions take out of a completion, by scans that take time in proportion to its length.

They read JSON as Python's `json` does: the later of two equal keys wins, and NaN and Infinity are numbers.
"""

import json
import re
from typing import Any

_BETWEEN = re.compile(r"</think>\s*<answer>")


def tags_in_order(text: str) -> bool:
    """Whether a text begins with <think>, ends with </answer>, and has </think>, white space, <answer> between."""
    begin, end = "<think>", "</answer>"
    if not (text.startswith(begin) and text.endswith(end)):
        return False
    last = len(text) - len(end)
    return any(found.start() >= len(begin) and found.end() <= last for found in _BETWEEN.finditer(text))


def first_braces(text: str) -> dict[str, Any] | None:
    """The JSON object in the first braces anywhere in a text, up to the first that closes; None where there is none."""
    start = text.find("{")
    while start >= 0:
        end = text.find("}", start + 1)
        if end < 0:
            return None
        if end > start + 1:
            value = _json(text[start : end + 1])
            return value if isinstance(value, dict) else None
        start = text.find("{", start + 1)
    return None


def first_answer(text: str) -> Any:
    """The JSON between the first <answer> and the next </answer>, wherever it is; None where there is none."""
    _, opening, rest = text.partition("<answer>")
    payload, closing, _ = rest.partition("</answer>")
    return _json(payload.strip()) if opening and closing else None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
