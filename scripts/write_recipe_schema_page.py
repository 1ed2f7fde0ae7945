"""Write the page of the JSON schema of recipes: each setting with what may stand there, from the schema itself.

Run it with::

    python scripts/write_recipe_schema_page.py docs/recipe_schema.md
"""

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thinkseg.training.schemas import recipe_schema

PAGE = """\
# The schema of a recipe

Every setting of a [recipe](recipes.md) with what may stand there, written by `scripts/write_recipe_schema_page.py`
from the JSON schema by which editors complete and check a recipe. `thinkseg train --schema` prints that schema (draft
2020-12), and [an editor](recipes.md#in-an-editor) is told of it in one line. A setting that is in none of these tables
is refused.

## Of a recipe

{tables}

## Try it

```sh
thinkseg train --schema > recipe.schema.json
thinkseg train rl pocket/rl --steps 100 --dry-run
```

The first writes the schema into a file, the second checks a recipe with your settings and trains nothing.
"""

SECTIONS = {
    "PolicySettings": "model",
    "Lora": "model.lora",
    "InstructionTemplate": "instruction",
    "Generation": "generation",
    "Images": "images",
    "Data": "data",
    "Validation": "validation",
}
"""Where in a recipe each definition stands; `validation.data` has the settings of `data`."""


def page() -> str:
    """The page as Markdown."""
    schema = recipe_schema()
    tables = [_table("", schema)]
    for name, place in SECTIONS.items():
        section = schema["$defs"][name]
        tables += [f"## `{place}`", _text(section["description"]), _table(f"{place}.", section)]
    return PAGE.format(tables="\n\n".join(tables))


def _table(prefix: str, schema: Mapping[str, Any]) -> str:
    required = schema.get("required", ())
    rows = ["| setting | what may stand there | default | what it is |", "|---|---|---|---|"]
    for name, setting in schema["properties"].items():
        default = "has to be said" if name in required else _default(setting)
        told = _text(setting.get("description") or _described(schema, setting))
        rows.append(f"| `{prefix}{name}` | {_kind(setting)} | {default} | {told} |")
    return "\n".join(rows)


def _described(schema: Mapping[str, Any], setting: Mapping[str, Any]) -> str:
    """What a section says of itself, for a setting that is nothing but that section."""
    own: str = schema["$defs"][setting["$ref"].rpartition("/")[2]]["description"] if "$ref" in setting else ""
    return own


def _default(setting: Mapping[str, Any]) -> str:
    return f"`{json.dumps(setting['default'], ensure_ascii=False)}`" if "default" in setting else ""


def _kind(schema: Mapping[str, Any]) -> str:
    """What may stand there, in a few words."""
    *others, last = dict.fromkeys(_kinds(schema))
    return f"{', '.join(others)} or {last}" if others else last


def _kinds(schema: Mapping[str, Any]) -> list[str]:
    """Each thing that may stand there."""
    if "$ref" in schema:
        place = SECTIONS[schema["$ref"].rpartition("/")[2]]
        return [f"[the settings of `{place}`](#{place.replace('.', '')})"]
    if "anyOf" in schema:
        return [kind for one in schema["anyOf"] for kind in _kinds(one)]
    if "const" in schema:
        return [f"`{schema['const']}`"]
    if "enum" in schema:
        return [f"`{value}`" for value in schema["enum"]]
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties")
        return [f"names, each with {_kind(inner)}" if isinstance(inner, Mapping) else "names, each with a value"]
    words = {"integer": "a whole number", "number": "a number", "boolean": "`true` or `false`", "null": "`null`"}
    return [words.get(schema.get("type", ""), "text") + _range(schema)]


def _range(schema: Mapping[str, Any]) -> str:
    """The limits of a number."""
    if {"minimum", "maximum"} <= schema.keys():
        return f" from {schema['minimum']:,} to {schema['maximum']:,}"
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "up to", "exclusiveMaximum": "below"}
    told = [f"{word} {schema[name]:,}" for name, word in words.items() if name in schema]
    return " ".join(["", " and ".join(told)]) if told else ""


def _text(description: str) -> str:
    """A description in a line of Markdown."""
    return re.sub(r"\s+", " ", description).replace("``", "`").replace("|", "\\|").strip()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="Write the page of the schema of recipes.")
    arguments.add_argument("page", type=Path, help="the Markdown file to write")
    arguments.parse_args().page.write_text(page(), encoding="utf-8")
