"""Takes sentences out of the source text of somebody else's program, without running any of it.

The text is parsed to a syntax tree; what is taken is a string that stands there as such: a literal, literals that are
added or follow one another, or an f-string, whose computed parts become ``{query}``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from thinkseg.errors import DataError

QUERY = "{query}"
"""What takes the place of whatever the program computes."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a repository a string stands."""

    path: str
    """Of the file, in the repository."""
    scope: str
    """The function or class that holds it, such as ``Dataset.__init__``; empty for the whole file."""
    what: Literal["variable", "text", "argument"]
    """What is assigned to the variable `name`; the text of a part of a chat message; or the argument `name`."""
    name: str = ""
    index: int = 0
    """Which of those of the scope, from 0, in the order of the file."""

    def told(self) -> str:
        """The rule in words, without what stands there."""
        kinds = {"variable": f"the variable {self.name}", "argument": f"the argument {self.name}"}
        which = kinds.get(self.what, "the text of a chat message")
        return f"{which}{f' (number {self.index + 1})' if self.index else ''} in {self.scope or 'the file'}"


def extract(source: str, place: Place) -> str:
    """The string at a place.

    Args:
        source: the text of the file.
        place: where it stands in there.

    Raises:
        DataError: the text is no Python, or there is no such string.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise DataError(f"'{place.path}' cannot be read as Python ({type(error).__name__})") from error
    scope: ast.AST | None = tree
    for name in place.scope.split(".") if place.scope else ():
        scope = next((node for node in ast.walk(scope) if _is_scope(node, name)), None) if scope is not None else None
    found = [] if scope is None else sorted(_candidates(scope, place), key=lambda node: (node.lineno, node.col_offset))
    if len(found) <= place.index:
        raise DataError(f"expected {place.told()} of '{place.path}', found none: the file is another one")
    return _folded(found[place.index], place)


def _is_scope(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name


def _candidates(scope: ast.AST, place: Place) -> Iterator[ast.expr]:
    for node in ast.walk(scope):
        if place.what == "variable" and isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(ast.unparse(target) == place.name for target in targets):
                yield node.value
        elif place.what == "argument" and isinstance(node, ast.keyword) and node.arg == place.name:
            yield node.value
        elif place.what == "text" and isinstance(node, ast.Dict):
            entries = {key.value: value for key, value in zip(node.keys, node.values) if isinstance(key, ast.Constant)}  # noqa: B905 - of one length
            kind = entries.get("type")
            if isinstance(kind, ast.Constant) and kind.value == "text" and "text" in entries:
                yield entries["text"]


def _folded(node: ast.expr, place: Place) -> str:
    """The string that an expression is, with ``{query}`` for what is computed in it."""
    if isinstance(node, ast.List | ast.Tuple) and len(node.elts) == 1:
        node = node.elts[0]
    pieces = list(_pieces(node))
    if not any(piece is not None for piece in pieces):
        raise DataError(f"expected a string as {place.told()} of '{place.path}', found something computed")
    return "".join(QUERY if piece is None else piece for piece in pieces)


def _pieces(node: ast.expr) -> Iterator[str | None]:
    """The literal pieces in order, None for what is computed."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        for value in node.values:
            yield from _pieces(value)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from _pieces(node.left)
        yield from _pieces(node.right)
    else:
        yield None
