"""What OpenAPI says of the routes: bodies that FastAPI does not read by itself, examples, errors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from thinkseg.serving.http import schemas
from thinkseg.serving.http.errors import STATUS
from thinkseg.serving.http.reading import FORM, JSON

_MEANINGS = {
    "bad_request": "The request cannot be understood, or its image cannot be read.",
    "unauthorized": "The key is missing or wrong.",
    "forbidden": "The request comes from a page that may not ask, or asks by a name that the service does not have.",
    "not_found": "There is no such thing.",
    "slow_request": "The request did not come to an end in time.",
    "too_large": "The image or the query is larger than what is taken.",
    "unsupported": "The body is of a type that is not taken.",
    "busy": "As many requests as the service takes are waiting; Retry-After says when to come again.",
    "internal": "Something is wrong with the service.",
    "unavailable": "The service is about to stop, or has too many connections; Retry-After says when to come again.",
    "timeout": "The answer took longer than the service waits.",
}


def errors(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Of a route, the answers of these codes; those of who may ask are among them always."""
    told = ("unauthorized", "forbidden", "unavailable", *codes)
    return {STATUS[code]: {"model": schemas.ErrorAnswer, "description": _MEANINGS[code]} for code in told}


def body(model: type[BaseModel], form: type[BaseModel] | None = None) -> dict[str, Any]:
    """A request's body in JSON, and as a form whose field ``image`` is a file, where that is taken.

    Args:
        model: of the JSON.
        form: of the form's other fields.
    """
    content = {JSON: {"schema": schema_of(model)}}
    if form is not None:
        fields = schema_of(form)
        image = {"type": "string", "format": "binary", "description": "A PNG, JPEG or WebP file."}
        content[FORM] = {
            "schema": {
                **fields,
                "properties": {"image": image, **fields["properties"]},
                "required": ["image", *fields.get("required", [])],
            }
        }
    return {"requestBody": {"required": True, "content": content}}


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model, with what it refers to put in its place."""
    schema = model.model_json_schema()
    known = schema.pop("$defs", {})
    inlined: dict[str, Any] = _inlined(schema, known)
    return inlined


def _inlined(value: Any, known: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        if "$ref" in value:
            return _inlined(known[value["$ref"].rsplit("/", 1)[-1]], known)
        return {name: _inlined(inner, known) for name, inner in value.items()}
    return [_inlined(inner, known) for inner in value] if isinstance(value, list) else value


def content_types(kinds: Iterable[str], **schema: Any) -> dict[str, Any]:
    """Of an answer that is no JSON."""
    return {kind: {"schema": schema or {"type": "string"}} for kind in kinds}
