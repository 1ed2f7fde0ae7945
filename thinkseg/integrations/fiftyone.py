"""ThinkSeg as a model of FiftyOne: ``dataset.apply_model(load_model(query="the red car"), label_field="found")``.

`add_to_zoo` puts it among the models of FiftyOne's zoo.

Importing this needs FiftyOne, which the extra ``fiftyone`` brings.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thinkseg.errors import InputError
from thinkseg.geometry import box_from_mask
from thinkseg.integrations.segmenting import Segments, required, results_of, segmenting
from thinkseg.results.result import FoundObject, Result
from thinkseg.types import Box

_PURPOSE = "for a model of FiftyOne"
fom: Any = required("fiftyone.core.models", "fiftyone", "fiftyone", _PURPOSE)
fol: Any = required("fiftyone.core.labels", "fiftyone", "fiftyone", _PURPOSE)

ZOO_NAME = "thinkseg"
"""Of the model and of its source, in the zoo."""
ZOO_SOURCE = Path(__file__).with_name("fiftyone_zoo")
"""What FiftyOne calls a remote source of models."""
QUERY_FIELD = "query_field"
"""By which `apply_model` names the field of a sample that says what to look for."""


class ThinkSegModel(fom.SamplesMixin, fom.Model):
    """Finds in images what is asked in words.

    Args:
        model: something that segments.
        query: what to look for in every image; a sample's field, where ``apply_model(..., query_field=NAME)`` names
            one, comes before it.
    """

    def __init__(self, model: Segments, query: str = "") -> None:
        super().__init__()
        self._model = model
        self._query = query

    @property
    def media_type(self) -> str:
        """Images."""
        return "image"

    @property
    def ragged_batches(self) -> bool:
        """Images of different sizes may be predicted together."""
        return False

    @property
    def transforms(self) -> None:
        """None: images come as they are."""
        return

    @property
    def preprocess(self) -> bool:
        """False: there is nothing to do before."""
        return False

    @preprocess.setter
    def preprocess(self, value: bool) -> None:
        """Changes nothing."""

    def predict(self, arg: Any, sample: Any = None) -> Any:
        """The objects in one image.

        Args:
            arg: uint8 (height, width, 3), RGB.
            sample: FiftyOne's, for a query of its own.

        Raises:
            InputError: nobody says what to look for.
        """
        return self.predict_all([arg], [sample])[0]

    def predict_all(self, args: Sequence[Any], samples: Sequence[Any] | None = None) -> list[Any]:
        """The objects in many images, a `fiftyone.Detections` an image.

        Each object has the query as its label, the box around its mask, the mask within it, the segmenter's score and
        the thinking as ``thinking``. One whose mask is empty has the model's box and no mask; without an area there,
        too, it is no detection. An image without objects says why: ``nothing_there``, or ``failure``.

        Args:
            args: uint8 (height, width, 3), RGB.
            samples: FiftyOne's, for queries of their own.

        Raises:
            InputError: nobody says what to look for.
        """
        queries = [self._query_of(sample) for sample in (samples or [None] * len(args))]
        return [_detections(result) for result in results_of(self._model, list(args), queries)]

    def _query_of(self, sample: Any) -> str:
        name = (self.needs_fields or {}).get(QUERY_FIELD)
        own = sample[name] if name is not None and sample is not None else None
        query = own or self._query
        if not isinstance(query, str) or not query.strip():
            raise InputError(
                "expected a query: load_model(query=TEXT), or apply_model(..., query_field=NAME) with a field that has "
                f"one, found {query!r}"
            )
        return query


def load_model(model: str | Path | Segments = "pocket", query: str = "", **settings: Any) -> ThinkSegModel:
    """A model for `apply_model`.

    Args:
        model: a pipeline or a client, the address of a service, or what `thinkseg.load` takes.
        query: what to look for in every image whose sample does not say it.
        settings: for `thinkseg.load`, or for `thinkseg.Client`.

    Raises:
        InputError: the model or a setting is none.
    """
    return ThinkSegModel(segmenting(model, **settings), query)


def add_to_zoo() -> Path:
    """Put ThinkSeg into the model zoo of this machine's FiftyOne, for ``fiftyone.zoo.load_zoo_model("thinkseg")``.

    Again, after another ThinkSeg is installed, it is replaced.

    Returns:
        its folder, in the one that FiftyOne's ``model_zoo_dir`` names.

    Raises:
        InputError: the folder cannot be written.
    """
    root = required("fiftyone", "fiftyone", "fiftyone", _PURPOSE).config.model_zoo_dir
    folder = Path(root) / ZOO_NAME
    try:
        shutil.copytree(ZOO_SOURCE, folder, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    except OSError as error:
        raise InputError(
            f"expected FiftyOne's folder of models at '{root}', which cannot be written: {error}"
        ) from error
    return folder


def asked_in_app() -> Any:
    """What FiftyOne's App asks for before it loads the model of the zoo."""
    types = required("fiftyone.operators.types", "fiftyone", "fiftyone", _PURPOSE)
    inputs = types.Object()
    inputs.str("query", required=True, label="What to look for", description="in every image")
    inputs.str("model", default="pocket", label="Model", description="a checkpoint, its folder, or a service's address")
    return types.Property(inputs)


def _detections(result: Result) -> Any:
    failure = None if result.failure is None else result.failure.value
    found = [_detection(each, box, result) for each in result.objects if (box := _box(each)) is not None]
    return fol.Detections(
        detections=found, thinking=result.thinking, nothing_there=result.nothing_there, failure=failure
    )


def _box(found: FoundObject) -> Box | None:
    """Of a mask that is not empty the box that holds all of it, as FiftyOne spreads a mask over its box; else the
    model's, or None where it has no area.
    """
    return box_from_mask(found.mask) or found.outer_box


def _detection(found: FoundObject, box: Box, result: Result) -> Any:
    left, top, right, bottom = box.xyxy
    width, height = result.size.wh
    own = found.mask[int(top) : int(bottom), int(left) : int(right)] if found.mask.any() else None
    return fol.Detection(
        label=result.query,
        bounding_box=[left / width, top / height, (right - left) / width, (bottom - top) / height],
        mask=own,
        confidence=found.score,
        thinking=result.thinking,
    )
