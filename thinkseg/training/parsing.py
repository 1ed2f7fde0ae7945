"""From words to values: YAML as people mean it, and the flags of a command line. What they may be is not known here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

from thinkseg.errors import RecipeError, reason_of


def parse_overrides(words: Sequence[str]) -> dict[str, Any]:
    """Values by dotted name from ``--key value`` and ``--key=value``; a value is read as in YAML.

    Raises:
        RecipeError: a word that is no flag, or a flag without a value.
    """
    values: dict[str, Any] = {}
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if not word.startswith("--") or word == "--":
            raise RecipeError(f"expected a setting such as --steps 100, found '{word}'")
        key, equals, value = word[2:].partition("=")
        if not equals:
            if not queue or re.match(r"--[a-z]", queue[0]):
                raise RecipeError(f"the setting --{key} has no value; write --{key} VALUE")
            value = queue.pop(0)
        values[key] = parse_yaml(value, f"the value of --{key}")
    return values


_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """YAML whose numbers are those of YAML 1.2 (``1e-6`` is one, ``010`` is ten, ``1:30`` none), with ``1_000`` for a
    thousand, and whose mappings name a key once.
    """

    def compose_mapping_node(self, anchor: Any) -> Any:
        """As in PyYAML, but a key that comes twice is an error; those that `<<` brings may be said anew."""
        node = super().compose_mapping_node(anchor)
        plain = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE]
        keys = [self.construct_object(key, deep=True) for key in plain]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"the key '{twice[0]}' comes twice", node.start_mark)
        return node


def _construct_whole(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node)).replace("_", "")
    return int(text, 0 if text.lstrip("+-")[:2].lower() in ("0x", "0o") else 10)


_WHOLE, _NUMBER = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_WHOLE, _NUMBER)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}  # YAML 1.1 reads 010 as 8 and 1:30 as 90
_Loader.add_implicit_resolver(
    _NUMBER,
    re.compile(
        r"(?:[-+]?(?:(?:\d[\d_]*(?:\.\d*)?|\.\d+)[eE][-+]?\d+|\d[\d_]*\.\d*|\.\d+|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN))\Z"
    ),
    list("-+.0123456789"),
)
_Loader.add_implicit_resolver(
    _WHOLE, re.compile(r"[-+]?(?:\d+(?:_\d+)*|0x[0-9a-fA-F]+|0o[0-7]+)\Z"), list("-+0123456789")
)
_Loader.add_constructor(_WHOLE, _construct_whole)


def parse_yaml(text: str, where: str) -> Any:
    """The value that a YAML text holds; `where` begins the sentence of an error."""
    try:
        return yaml.load(text, Loader=_Loader)
    except RecursionError as error:
        raise RecipeError(f"{where} is nested too deeply") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"{where} is not YAML: {_told(error)}") from error
    except (ValueError, KeyError, TypeError) as error:  # not what it seems, such as the date 2020-13-45
        raise RecipeError(f"{where} holds a value that cannot be read: {reason_of(error)}") from error


def _told(error: yaml.YAMLError) -> str:
    """What is wrong with a text, and where."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return " ".join(str(error).split())
    problem = getattr(error, "problem", None) or getattr(error, "context", None)
    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})"
