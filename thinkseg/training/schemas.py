"""JSON schemas of recipes, of a checkpoint's `thinkseg.json` and of `report.json`; editors complete and check by them.

    thinkseg train --schema > recipe.schema.json
    python -m thinkseg.training.schemas recipes/schemas   # writes them all anew

Beside what pydantic says, they have the names that a setting may have, and TRL's settings that a recipe for rl has to
say; names of the user's own and TRL's other settings are admitted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from thinkseg.answers import FORMATS
from thinkseg.evaluation.report_file import ReportFile
from thinkseg.models.checkpoint_config import GRABCUT, CheckpointConfig
from thinkseg.rewards import PARTS
from thinkseg.training.config import Recipe
from thinkseg.training.sources import SOURCES
from thinkseg.training.trl_settings import REQUIRED
from thinkseg.types import Instruction

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def recipe_schema() -> dict[str, Any]:
    """The schema of a recipe."""
    schema = _schema_of(Recipe)
    settings = schema["properties"]
    _suggest(settings["format"], FORMATS)
    _suggest(settings["segmenter"], ("pocket", GRABCUT))
    _suggest(schema["$defs"]["Data"]["properties"]["source"], SOURCES)
    weighed = next(each for each in settings["rewards"]["anyOf"] if each.get("type") == "object")
    weighed["properties"] = dict.fromkeys(PARTS, weighed["additionalProperties"])
    settings["trl"]["properties"] = {name: {} for name in REQUIRED}
    return schema


def checkpoint_schema() -> dict[str, Any]:
    """The schema of `thinkseg.json`."""
    schema = _schema_of(CheckpointConfig)
    _suggest(schema["properties"]["format"], FORMATS)
    said = schema["$defs"]["Instruction"]  # pydantic says these two itself from 2.14 on
    said |= {"additionalProperties": False, "description": _summary(Instruction.__doc__)}
    schema["$defs"]["Instruction"] = dict(sorted(said.items()))
    return schema


def report_schema() -> dict[str, Any]:
    """The schema of an evaluation's `report.json`."""
    return _schema_of(ReportFile)


SCHEMAS = {
    "recipe.schema.json": recipe_schema,
    "thinkseg.schema.json": checkpoint_schema,
    "report.schema.json": report_schema,
}
"""By the name of the file."""


def schema_text(schema: dict[str, Any]) -> str:
    """A schema as its file holds it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _schema_of(model: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"$schema": DIALECT, **model.model_json_schema()}
    for part in (schema, *schema.get("$defs", {}).values()):
        part["description"] = _summary(part.get("description"))
    return schema


def _summary(text: str | None) -> str:
    """The first paragraph of a docstring, on one line."""
    return (text or "").partition("\n\n")[0].replace("\n", " ")


def _suggest(setting: dict[str, Any], names: Iterable[str]) -> None:
    """Let a text have any value still, and these be completed."""
    kinds = setting.pop("anyOf", None) or [{"type": setting.pop("type")}]
    setting["anyOf"] = [{"enum": list(names)}, *kinds]


if __name__ == "__main__":
    for file, create in SCHEMAS.items():
        (Path(sys.argv[1]) / file).write_text(schema_text(create()), encoding="utf-8")
