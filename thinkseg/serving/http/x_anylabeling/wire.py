"""What X-AnyLabeling asks, and what it reads."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from thinkseg.answers.reading import MAX_POINTS
from thinkseg.serving.http.schemas import TINY_PNG, Coordinate, ErrorRecord

MODEL = "thinkseg"
"""The identity of the one model."""
BY_MARKS = "marks"
"""The task that asks by points and boxes."""
Shape = Literal["polygon", "rectangle"]
Task = Literal["polygon", "rectangle", "marks"]


class PointMark(BaseModel):
    """A click."""

    type: Literal["point"]
    data: tuple[Coordinate, Coordinate]
    """x and y in pixels of the image."""
    label: Literal[0, 1] = 1
    """1 on the object, 0 beside it."""


class BoxMark(BaseModel):
    """A rectangle around the object."""

    type: Literal["rectangle"]
    data: tuple[Coordinate, Coordinate, Coordinate, Coordinate]
    """x and y of two opposite corners, in pixels of the image."""
    label: Literal[1] = 1


Mark = Annotated[PointMark | BoxMark, Field(discriminator="type")]


class RemoteParams(BaseModel):
    """What goes with an image; there may be more."""

    text_prompt: str = ""
    """What to look for."""
    current_task: Task = "polygon"
    """What comes of each object; or that of the object of the marks a polygon comes."""
    marks: Annotated[list[Mark], Field(max_length=MAX_POINTS)] = []
    """Of one object."""


class RemoteRequest(BaseModel):
    """A query about an image."""

    model_config = {
        "json_schema_extra": {
            "examples": [{"model": MODEL, "image": TINY_PNG, "params": {"text_prompt": "the red thing"}}]
        }
    }

    model: str
    image: Annotated[str, Field(min_length=1)]
    """As for ``/v1/segment``."""
    params: RemoteParams = RemoteParams()


class ShapeRecord(BaseModel):
    """A part of an object, or its box, in pixels of the image."""

    label: str
    shape_type: Shape
    points: list[list[float]]
    score: float | None
    description: str | None
    """The thinking."""
    group_id: int | None
    """The object's number, where it has several parts."""


class RemoteShapes(BaseModel):
    """What was found."""

    shapes: list[ShapeRecord]
    description: str
    """The thinking, or why there is no answer; empty where X-AnyLabeling keeps the description that it has."""
    replace: bool | None
    """False where shapes that are there stay; None where the user's own setting says it."""


class RemoteAnswer(BaseModel):
    """What X-AnyLabeling reads."""

    success: bool
    data: RemoteShapes
    error: ErrorRecord | None = None
    """Why there is no answer, where the request was understood."""


def shapes_answer(shapes: list[dict[str, Any]], description: str, replace: bool | None) -> dict[str, Any]:
    """An answer."""
    return {"success": True, "data": {"shapes": shapes, "description": description, "replace": replace}}
