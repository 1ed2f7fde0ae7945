"""What integrations for images share: something that segments, and the results of many images."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from PIL import Image

import thinkseg
from thinkseg.arguments import PATH, TEXT, having, many, takes
from thinkseg.errors import InputError, MissingExtraError
from thinkseg.inputs import ImageInput, image_from_input, is_url
from thinkseg.results.result import Result
from thinkseg.types import Sample


@runtime_checkable
class Segments(Protocol):
    """A pipeline, or a client of a service."""

    def segment(self, image: ImageInput, query: str) -> Result:
        """What is found."""
        ...


@takes(model=PATH | having("something that segments", "segment"))
def segmenting(model: str | Path | Segments, **settings: Any) -> Segments:
    """Something that segments.

    Args:
        model: a pipeline or a client as it is; the address of a service; or what `thinkseg.load` takes.
        settings: for `thinkseg.load`, or for `thinkseg.Client`.

    Raises:
        InputError: the model or a setting is none, or a model that is loaded has settings.
    """
    if not isinstance(model, str | Path):
        if settings:
            raise InputError(f"a model that is loaded takes no settings, found {', '.join(settings)}: load it so")
        return model
    return thinkseg.Client(str(model), **settings) if is_url(model) else thinkseg.load(model, **settings)


@takes(queries=many(TEXT, "texts"))
def results_of(model: Segments, images: Sequence[ImageInput], queries: Sequence[str]) -> list[Result]:
    """The result of each image and its query; a pipeline works on as many at once as it decodes together.

    An image that comes several times, as one object, is read and encoded once.

    Raises:
        ImageError: an image is missing or damaged.
        InputError: a query is empty or no text.
    """
    if not all(query.strip() for query in queries):
        raise InputError("the query is empty: say in words what to look for")
    predict = getattr(model, "predict", None)
    if predict is None:
        return [model.segment(image, query) for image, query in zip(images, queries, strict=True)]
    read = {key: image_from_input(image) for key, image in {id(image): image for image in images}.items()}
    pixels: list[Image.Image] = [read[id(image)] for image in images]
    samples = [Sample(str(number), *each) for number, each in enumerate(zip(pixels, queries, strict=True))]
    return [Result(*each) for each in zip(pixels, queries, predict(samples), strict=True)]


def required(module: str, package: str, extra: str, purpose: str) -> Any:
    """A module of another package.

    Raises:
        MissingExtraError: the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise
        raise MissingExtraError(package, extra, purpose) from error
