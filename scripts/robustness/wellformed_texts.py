"""A well-formed text of every kind that ThinkSeg reads; `fuzz_texts.py` changes its structure and makes it hostile."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import yaml
from annotation_texts import ANNOTATIONS
from hostile_texts import completion, json_of

from thinkseg.answers import FORMATS

SIDE = 16
"""Of the images that the texts are about, in pixels."""

RUNS = {"size": [SIDE, SIDE], "counts": [20, 30, 206]}
COMPRESSED = {"size": [SIDE, SIDE], "counts": "d0n0^6"}
POLYGONS = [[1, 1, 9, 1, 9, 9], [2.5, 2, 3, 9, 12, 11, 1, 1]]
ANSWER = {"frame": [640, 480], "objects": [{"box": [10, 20, 90, 80], "points": [[40, 50, 1]]}], "think": "On the left."}
SCORED = {"completion": "", "frame": [640, 480], "box": [10, 20, 90, 80], "points": [[40, 50]], "mask": RUNS}
ROWS = (
    {"image": "a.png", "query": "the red square", "mask": "m.png", "id": "one"},
    {"image": "a.png", "query": "a fish, or none", "mask": "none", "id": "two", "task": "presence"},
)
RECORD = {
    **{"id": "a", "task": "", "query": "the cup", "text": "x", "finish_reason": "stop", "frame": [640, 480]},
    **{"objects": ANSWER["objects"], "failure": None, "failure_detail": "", "intersection": 3, "union": 4, "iou": 0.75},
    **{"s_measure": 0.5, "mae": 0.1, "target_empty": False, "predicted_empty": False, "rle": COMPRESSED, "extra": {}},
}
HEADER = {
    "benchmark": "cod10k",
    "model": "pocket",
    "model_revision": "ab",
    "segmenter": "pocket",
    "seed": 0,
    "asked": {},
}
REPORT = {
    **{
        "benchmark": "cod10k",
        "model": "pocket",
        "metrics": {"giou": {"value": 0.5, "count": 2}},
        "machine": {"cpus": 2},
    },
    "gain": {"mean": 0.1, "low": None, "high": 0.2, "n": 4},
}
CONFIG = {"format": "seg-r1", "instruction": {"system": None, "user": "{query}"}, "max_new_tokens": 64, "canvas": 96}
COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": SIDE, "height": SIDE}],
    "annotations": [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "segmentation": POLYGONS,
            "bbox": [1, 1, 8, 8],
            "iscrowd": 0,
            "area": 9,
        },
        {"id": 2, "image_id": 1, "category_id": 1, "segmentation": RUNS, "bbox": [1, 1, 8, 8], "iscrowd": 1, "area": 9},
    ],
    "categories": [{"id": 1, "name": "cup"}],
}


def _recipe(rng: random.Random, change: Callable[[Any], Any]) -> str:
    from thinkseg.training.builtin_recipes import builtin_recipes, find_recipe

    text = find_recipe(rng.choice(builtin_recipes()).name).read_text(encoding="utf-8")
    return text if rng.random() < 0.5 else yaml.safe_dump(change(yaml.safe_load(text)), allow_unicode=True)


def _table(sign: str, change: Callable[[Any], Any]) -> str:
    rows = [[str(value) for value in row.values()] for row in map(change, ROWS) if isinstance(row, dict)]
    quoted = [['"' + value.replace('"', '""') + '"' if sign in value else value for value in row] for row in rows]
    return "\n".join(sign.join(row) for row in [["image", "query", "mask", "id", "task"], *quoted]) + "\n"


def _lines(change: Callable[[Any], Any], *values: Any) -> str:
    return "".join(f"{json_of(change(value))}\n" for value in values)


KINDS: Mapping[str, Callable[[random.Random, Callable[[Any], Any]], str]] = {
    **{name: lambda rng, change, name=name: completion(name, rng) for name in FORMATS},
    "score": lambda rng, change: _lines(
        change, *({**SCORED, "completion": completion("vision-reasoner", rng)} for _ in range(2))
    ),
    "csv": lambda rng, change: _table(",", change),
    "tsv": lambda rng, change: _table("\t", change),
    "rows": lambda rng, change: _lines(change, ROWS[0], {**ROWS[1], "mask": [RUNS, COMPRESSED], "masks": None}),
    "coco": lambda rng, change: json_of(change(COCO)),
    **ANNOTATIONS,
    "runs": lambda rng, change: json_of(change(rng.choice((RUNS, COMPRESSED)))),
    "polygons": lambda rng, change: json_of(change(rng.choice((POLYGONS, POLYGONS[0], RUNS, COMPRESSED)))),
    "answer": lambda rng, change: json_of(change(ANSWER)),
    "recipe": _recipe,
    "config": lambda rng, change: json_of(change(CONFIG)),
    "records": lambda rng, change: _lines(change, RECORD, RECORD),
    "header": lambda rng, change: json_of(change(HEADER)),
    "report": lambda rng, change: json_of(change(REPORT)),
}
"""A text of each kind: well formed but for what `change` does to a structure."""
