"""ThinkSeg where code expects a pipeline of transformers for ``image-segmentation``: the same call, the same answer.

>>> from thinkseg.integrations.transformers import ImageSegmentation
>>> segment = ImageSegmentation("pocket")                                        # doctest: +SKIP
>>> segment("photo.jpg", "the red thing")                                        # doctest: +SKIP
[{'score': 0.93, 'label': 'the red thing', 'mask': <PIL.Image.Image image mode=L size=640x480>}]

Nothing of transformers is imported for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from thinkseg.errors import InputError
from thinkseg.inputs import ImageInput
from thinkseg.integrations.segmenting import Segments, results_of, segmenting
from thinkseg.results.result import Result


class ImageSegmentation:
    """A callable like the pipeline of transformers, which looks for what is asked in words.

    Args:
        model: a pipeline or a client, the address of a service, or what `thinkseg.load` takes.
        settings: for `thinkseg.load`, or for `thinkseg.Client`.

    Raises:
        InputError: the model or a setting is none.
    """

    task = "image-segmentation"

    def __init__(self, model: str | Path | Segments = "pocket", **settings: Any) -> None:
        self.model = segmenting(model, **settings)

    def __call__(
        self, images: ImageInput | Sequence[ImageInput], query: str | Sequence[str]
    ) -> list[dict[str, Any]] | list[list[dict[str, Any]]]:
        """The objects that are found.

        Args:
            images: one, or a list of them: paths, PIL images, or arrays of uint8.
            query: what to look for in each, in words; several find one after the other.

        Returns:
            For an image, a dict an object: ``score`` (of the segmenter, from 0 to 1; None where it gives none),
            ``label`` (the query) and ``mask``, a PIL image of mode L at the image's size, 255 on the object. For a
            list of images, a list of these. No object is an empty list, as is a text that cannot be read.

        Raises:
            ImageError: an image is missing or damaged.
            InputError: a query is empty, or there is none.
        """
        many = isinstance(images, list | tuple)
        listed: Sequence[Any] = images if isinstance(images, list | tuple) else [images]
        queries = [query] if isinstance(query, str) else list(query)
        if not queries:
            raise InputError("there is no query: say in words what to look for")
        pairs = [(image, own) for image in listed for own in queries]
        results = results_of(self.model, [image for image, _ in pairs], [own for _, own in pairs])
        found = [
            [record for result in results[start : start + len(queries)] for record in _records(result)]
            for start in range(0, len(results), len(queries))
        ]
        return found if many else found[0]


def _records(result: Result) -> list[dict[str, Any]]:
    return [
        {
            "score": found.score,
            "label": result.query,
            "mask": Image.fromarray(found.mask.astype(np.uint8) * 255),
        }
        for found in result.objects
    ]
