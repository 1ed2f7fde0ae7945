"""Well-formed texts of every kind that ThinkSeg reads, and hostile ones made of them; `fuzz_texts.py` uses it."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping
from typing import Any

from thinkseg.answers import get_format
from thinkseg.answers.reading import MAX_OBJECTS, MAX_POINTS, MAX_TEXT
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Size

LONG = "9" * 5000
TOKENS = (
    *("<think>", "</think>", "<answer>", "</answer>", "<bbox>", "</bbox>", "<points>", "</points>", "<labels>"),
    *("[" * 9, "[" * 5000, "]" * 9, "{" * 9, '{"a":' * 500, "```json", "```", "`" * 6, '"', "\\", "\\u", "\\ud83d"),
    *("\0", "\ud83d", "\udce9", "\ufeff", "\u2028", "\x85", "\x0b", "\x1c", "\u202e", "\u3000", "\uff11\uff12"),
    *("\u0663", "\u00b2", "NaN", "Infinity", "-Infinity", "1e999", "-1", "-0", "0.5", "1e-999", "1_000", "010"),
    *("1e308", LONG, "true", "null", "{}", "[]", ",", ";", "\t", "\r", "\n", "\r\n", " " * 3000, "|", "none", ": "),
    *("&a [*a, *a]", "*a", "!!python/object:os.system", "!!binary x", "---\n", "? ", "- " * 300, "%YAML 9.9\n", "0x1F"),
    *(".inf", ".nan", "1:30", "2001-99-99", "<<: ", "../../etc/passwd", "/dev/zero", "name.png\0", "a" * 300 + ".png"),
)
VALUES: tuple[Callable[[], Any], ...] = (
    *(
        lambda value=value: value
        for value in (0, -1, 1, 2, 0.5, 255, 2**31, 2**63, 2**64, 10**400, -0.0, 1e308, 1e-320)
    ),
    *(
        lambda value=value: value
        for value in (float("nan"), float("inf"), True, False, None, "", " ", "none", "0", "\0")
    ),
    *(lambda value=value: value for value in ("\ud83d", "a.png", "../a.png", "/dev/zero", "a" * 5000, "PPYo0", "~~~")),
    lambda: [],
    dict,
    lambda: [[[[[[[[[[]]]]]]]]]],
    lambda: {"size": [4, 4], "counts": [16]},
    lambda: {"size": [2**31, 2**31], "counts": "0"},
    lambda: ["x"] * 200,
    lambda: [1, 2, 3, 4],
    lambda: list(range(600)),
)
"""What takes the place of a value in a structure, each made anew."""


def random_answer(rng: random.Random) -> Answer:
    """An answer that a format may or may not be able to write, often near the limits."""
    frame = Size(rng.choice((1, 7, 640, 10**6, 2 * 10**9)), rng.choice((1, 480, 10**6)))
    objects = rng.choice((0, 1, 1, 2, 3, MAX_OBJECTS - 1, MAX_OBJECTS, MAX_OBJECTS + 1))
    points = rng.choice((0, 1, 2, 4, MAX_POINTS, MAX_POINTS + 1)) if objects < 4 else rng.choice((1, 2, 4, 5))

    def number(side: int) -> float:
        return rng.choice((0.0, 0.5, float(side), side - 0.5, rng.uniform(0, side), float(rng.randint(0, side))))

    def prompt() -> ObjectPrompt:
        xs, ys = (sorted((number(side), number(side))) for side in frame.wh)
        box = None if rng.random() < 0.03 and points else Box(xs[0], ys[0], xs[1], ys[1])
        labels = (1, 1, 1, 0)
        return ObjectPrompt(
            box, tuple(Point(number(frame.width), number(frame.height), rng.choice(labels)) for _ in range(points))
        )

    think = rng.choice(("", "On the left.", *TOKENS))
    if rng.random() < 0.1:
        think = "a" * rng.randint(MAX_TEXT - 200, MAX_TEXT + 10)
    return Answer(frame, tuple(prompt() for _ in range(objects)), think)


def completion(name: str, rng: random.Random) -> str:
    """A completion in a format, as a model may well write it."""
    answer_format, text = get_format(name), ""
    while not text:
        try:
            text = answer_format.render(random_answer(rng))
        except ValueError:
            continue
    if rng.random() < 0.2:
        text = text.replace("<answer>", "<answer>\n```json\n").replace("</answer>", "\n```</answer>")
    return text.replace("</think>", "</think>\n") if rng.random() < 0.2 else text


def mutated(text: str, rng: random.Random, other: str = "") -> str:
    """A text with one to four things wrong with it.

    Args:
        text: well formed.
        rng: decides.
        other: a text that parts are taken from.
    """
    for _ in range(rng.choice((1, 1, 2, 4))):
        text = rng.choice(_WAYS)(text, rng, other)
        if len(text) > 3 * MAX_TEXT:
            text = text[: 3 * MAX_TEXT]
    return text


def _cut(text: str, rng: random.Random, other: str) -> str:
    return text[: rng.randint(0, len(text))]


def _without(text: str, rng: random.Random, other: str) -> str:
    start = rng.randint(0, len(text))
    return text[:start] + text[start + rng.choice((1, 1, 2, 8, 64)) :]


def _twice(text: str, rng: random.Random, other: str) -> str:
    start, end = sorted((rng.randint(0, len(text)), rng.randint(0, len(text))))
    return text[:end] + text[start:end] * rng.choice((1, 1, 2, 200)) + text[end:]


def _spliced(text: str, rng: random.Random, other: str) -> str:
    start, end = sorted((rng.randint(0, len(other)), rng.randint(0, len(other))))
    at = rng.randint(0, len(text))
    return text[:at] + other[start:end] + text[at:]


def _with_token(text: str, rng: random.Random, other: str) -> str:
    at = rng.randint(0, len(text))
    return text[:at] + rng.choice(TOKENS) + text[at:]


def _other_number(text: str, rng: random.Random, other: str) -> str:
    numbers = list(re.finditer(r"-?\d+", text))
    if not numbers:
        return text
    found = rng.choice(numbers)
    value = rng.choice(
        ("-1", "1e999", LONG, "1000000000", "999999999.9999999", "0.1", "\u0663", "NaN", "1 2", "", "01")
    )
    return text[: found.start()] + value + text[found.end() :]


def _foreign_digits(text: str, rng: random.Random, other: str) -> str:
    return text.translate({ord("0") + digit: rng.choice((0xFF10, 0x0660)) + digit for digit in range(10)})


def _other_tag(text: str, rng: random.Random, other: str) -> str:
    tags = list(re.finditer(r"</?\w+>", text))
    if not tags:
        return text
    found = rng.choice(tags)
    value = rng.choice(("", found[0] * 2, found[0] * 3000, found[0].upper(), found[0].replace(">", " >")))
    return text[: found.start()] + value + text[found.end() :]


def _near_the_limit(text: str, rng: random.Random, other: str) -> str:
    length = rng.randint(MAX_TEXT - 3, MAX_TEXT + 3)
    at = rng.randint(0, len(text))
    return text[:at] + rng.choice(("a", " ", "[", "<", "9", "\n", "\u00e4")) * max(0, length - len(text)) + text[at:]


def _one_letter(text: str, rng: random.Random, other: str) -> str:
    at = rng.randint(0, len(text))
    return text[:at] + chr(rng.choice((rng.randint(0, 127), rng.randint(0, 0x10FFFF)))) + text[at + 1 :]


_WAYS = (
    *(_cut, _without, _twice, _spliced, _with_token, _with_token, _other_number),
    *(_foreign_digits, _other_tag, _near_the_limit, _one_letter),
)


def mutated_value(value: Any, rng: random.Random) -> Any:
    """A structure of lists and mappings in which a value, an item or a key is another one or not there."""
    if isinstance(value, Mapping) and value and rng.random() < 0.8:
        key = rng.choice(list(value))
        changed = dict(value)
        way = rng.random()
        if way < 0.1:
            del changed[key]
        elif way < 0.15:
            changed[rng.choice(("", "\ud83d", "a" * 300, "counts", "size", f"{key}s"))] = changed.pop(key)
        else:
            changed[key] = mutated_value(value[key], rng)
        return changed
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        way = rng.random()
        if way < 0.1:
            return value[:at] + value[at + 1 :]
        if way < 0.2:
            return value + [value[at]] * rng.choice((1, 2, 300))
        return [*value[:at], mutated_value(value[at], rng), *value[at + 1 :]]
    return rng.choice(VALUES)()


def json_of(value: Any) -> str:
    """As JSON, in plain letters or as it is."""
    return json.dumps(value, ensure_ascii=False)
