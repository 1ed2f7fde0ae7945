"""What programs may ask of the page, by name: `/models`, `/segment`, `/refine` of Gradio's API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from thinkseg.errors import InputError
from thinkseg.imaging import load_image
from thinkseg.results.result import Result
from thinkseg.serving.page.desk import Desk, PageRequest, named_as_uploaded
from thinkseg.serving.page.scene import FoundScene


def add_endpoints(gr: Any, desk: Desk) -> None:
    """Declare them; each answers in plain JSON, and says in a sentence what is wrong with a request."""

    def models() -> dict[str, list[str]]:
        choices = desk.choices
        return {"models": list(choices.models), "segmenters": choices.segmenter_names, "formats": choices.format_names}

    def segment(image: Any, query: str, model: str = "", segmenter: str = "", format: str = "") -> dict[str, Any]:
        with _as_error(gr):
            choice = desk.choices.named(model, segmenter, format)
            return desk.result(PageRequest(_path(image), choice, query)).to_record()

    def refine(
        image: Any, answers: list[dict[str, Any]], edits: list[dict[str, Any]], model: str = "", segmenter: str = ""
    ) -> list[dict[str, Any]]:
        with _as_error(gr):
            asked = PageRequest(_path(image), desk.choices.named(model, segmenter))
            scene = _scene(desk, asked, answers)
            return list(desk.refined(asked, scene, json.dumps(edits)).records)

    described = {
        models: "The models, segmenters and answer formats to choose among; the first of each is taken where none is "
        "named.",
        segment: "Asks for what a query names in an image; gives the record that 'thinkseg segment' writes.",
        refine: "Asks the segmenter alone: gives the records with objects changed, added or taken away by edits, each "
        '{"object": number or null, "box": [x_min, y_min, x_max, y_max], "points": [[x, y, label]], "remove": true}.',
    }
    for function, description in described.items():
        if "image" in function.__annotations__:
            function.__annotations__["image"] = gr.FileData  # by which programs know that a file goes there
        gr.api(
            function,
            api_name=function.__name__,
            api_description=description,
            concurrency_limit=1,
            concurrency_id="models",
        )


def _path(image: Any) -> str | None:
    """The path of an upload, as a program sends it."""
    path = image.get("path") if isinstance(image, dict) else getattr(image, "path", None)
    return path if isinstance(path, str) else None


def _scene(desk: Desk, asked: PageRequest, answers: list[dict[str, Any]]) -> FoundScene:
    """A scene of records that a program sends.

    Raises:
        InputError: they are none, or of another image.
    """
    if asked.source is None or not desk.store.holds(asked.source):
        return FoundScene("")  # which is refused where its image is asked for
    if not isinstance(answers, list) or not all(isinstance(record, dict) for record in answers):
        raise InputError("expected 'answers' as a list of records, as '/segment' gives them")
    with named_as_uploaded(asked.source):
        image = load_image(asked.source)
    for record in answers:
        size = Result.from_record(record, image).size
        if size.wh != image.size:
            raise InputError(f"a record is of an image of {size.width}×{size.height}, and this one is of another size")
    return FoundScene(asked.source, tuple(answers))


@contextmanager
def _as_error(gr: Any) -> Iterator[None]:
    """While this is open, what is wrong with a request is told in the way in which Gradio hands it to programs."""
    try:
        yield
    except InputError as error:
        raise gr.Error(str(error), print_exception=False) from error
