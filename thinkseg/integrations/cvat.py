r"""ThinkSeg as a function of CVAT, which annotates a task from the shell.

::

    cvat-cli task auto-annotate TASK --function-module thinkseg.integrations.cvat \
        -p "queries=str:car=the red car; person" --allow-unmatched-labels

Needs the package cvat-sdk, which the extra ``cvat`` brings with cvat-cli.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from thinkseg.errors import InputError
from thinkseg.integrations.segmenting import Segments, required, results_of, segmenting
from thinkseg.outlines import EDITABLE, polygons_from_mask
from thinkseg.results.result import FoundObject

Shape = Literal["mask", "polygon", "rectangle"]
SHAPES = ("mask", "polygon", "rectangle")


class Detector:
    """A detection function of CVAT: looks for each of its queries, one after the other.

    Args:
        model: something that segments.
        queries: for each label the query; the labels' identities are their places.
        shape: what comes of an object.

    Attributes:
        spec: the labels, as CVAT wants them.

    Raises:
        MissingExtraError: cvat-sdk is not installed.
    """

    def __init__(self, model: Segments, queries: Mapping[str, str], shape: Shape = "mask") -> None:
        self._cvat = required("cvat_sdk.auto_annotation", "cvat-sdk", "cvat", "for a function of CVAT")
        self._encode = required("cvat_sdk.masks", "cvat-sdk", "cvat", "for a function of CVAT").encode_mask
        self._model = model
        self._queries = list(queries.values())
        self._shape = shape
        labels = [self._cvat.label_spec(name, number, type=shape) for number, name in enumerate(queries)]
        self.spec = self._cvat.DetectionFunctionSpec(labels=labels)

    def detect(self, context: Any, image: Image.Image) -> list[Any]:
        """The objects in an image, as CVAT's requests for shapes.

        Args:
            context: CVAT's: the least score, and whether masks have to become polygons.
            image: of any mode.

        Raises:
            ImageError: the image is damaged.
        """
        results = results_of(self._model, [image] * len(self._queries), self._queries)
        least = context.conf_threshold or 0.0
        return [
            shape
            for label, result in enumerate(results)
            for found in result.objects
            if found.score is None or found.score >= least
            for shape in self._shapes(label, found, bool(context.conv_mask_to_poly))
        ]

    def _shapes(self, label: int, found: FoundObject, as_polygon: bool) -> Iterator[Any]:
        if self._shape == "rectangle":
            if found.outer_box is not None:
                yield self._cvat.rectangle(label, list(found.outer_box.xyxy))
        elif not found.mask.any():
            return
        elif self._shape == "mask" and not as_polygon:
            yield self._cvat.mask(label, self._encode(found.mask))
        else:
            for ring in polygons_from_mask(found.mask, EDITABLE):
                yield self._cvat.polygon(label, ring.ravel().tolist())


def create(queries: str, model: str | Path | Segments = "pocket", shape: str = "mask", **settings: Any) -> Detector:
    """The function, made of what ``-p NAME=TYPE:VALUE`` says.

    Args:
        queries: labels with what to look for, such as ``"car=the red car; person"``; a label alone is its own query.
        model: what `thinkseg.load` takes, or the address of a service.
        shape: ``"mask"``, ``"polygon"`` or ``"rectangle"``.
        settings: for `thinkseg.load`, or for `thinkseg.Client`.

    Raises:
        InputError: there is no query, one label has two, or the shape or the model is none.
        MissingExtraError: cvat-sdk is not installed.
    """
    if shape not in SHAPES:
        raise InputError(f"expected 'shape' as one of {', '.join(SHAPES)}, found '{shape}'")
    required("cvat_sdk.auto_annotation", "cvat-sdk", "cvat", "for a function of CVAT")  # before the models
    asked = _asked(queries)
    return Detector(segmenting(model, **settings), asked, shape)  # type: ignore[arg-type]


def _asked(text: str) -> dict[str, str]:
    """Labels and their queries.

    >>> _asked("car = the red car; person")
    {'car': 'the red car', 'person': 'person'}
    """
    pairs = [(label.strip(), query.strip()) for label, _, query in (part.partition("=") for part in text.split(";"))]
    asked = {label: query or label for label, query in pairs if label}
    if not asked or len(asked) < sum(bool(label) for label, _ in pairs):
        raise InputError(
            f"expected 'queries' as labels, each once, with what to look for: 'car=the red car; person'; found '{text}'"
        )
    return asked
