"""ReasonSeg: an image and a JSON file of its name, with questions that need thought and polygons of the answer.

Polygons are drawn by the rule of the benchmark's authors: the largest first, so that smaller ones lie on top; corners
are cut to whole pixels and outlines belong to the shape. A label that contains "ignore" marks pixels that count neither
way, the label "flag" a shape that has no meaning.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Int32, UInt8

from thinkseg.data.listing import Entry, Fault, FaultKind, Listing
from thinkseg.data.readers.folders import image_names
from thinkseg.errors import DataError
from thinkseg.imaging import read_header
from thinkseg.types import Mask, Sample, Size

Corners = Int32[np.ndarray, "corners 2"]

_TARGET, _IGNORE = 1, 2


class ReasonSegListing(Listing):
    """Questions about images; use `list_reasonseg` to make one.

    Args:
        name: of the data set.
        folder: images and JSON files.
        questions: (image's name, number of the question in its file, text).
        faults: what was found wrong.
    """

    def __init__(
        self, name: str, folder: Path, questions: Sequence[tuple[str, int, str]], faults: Sequence[Fault]
    ) -> None:
        super().__init__(name, folder, faults)
        self._questions = questions

    @property
    def image_count(self) -> int:
        """How many different images there are."""
        return len({image for image, _, _ in self._questions})

    def __len__(self) -> int:
        return len(self._questions)

    def entry(self, index: int) -> Entry:
        """Where a question lies; the id is the image's name and the number of the question."""
        image, number, text = self._questions[index]
        path = self.folder / image
        return Entry(f"{image.rpartition('.')[0]}-{number}", text, path, str(path.with_suffix(".json")))

    def read(self, index: int) -> Sample:
        """Draw the target and the region to be ignored."""
        entry = self.entry(index)
        content = read_annotation(Path(entry.truth))
        target, ignore = draw_shapes(content["shapes"], read_header(entry.image).size, entry.truth)
        return Sample(
            id=entry.id,
            image=entry.image,
            query=entry.query,
            target=target,
            ignore=ignore if ignore.any() else None,
            task="reasoning",
        )


def list_reasonseg(folder: Path | str, *, every_text: bool = False, name: str = "ReasonSeg") -> ReasonSegListing:
    """List the questions of a split.

    Args:
        folder: with images and a JSON file of the same name for each.
        every_text: whether each wording of a question is a sample. The benchmark asks the first one only; the others,
            which the training split has, are the same question in other words.
        name: of the data set, for messages.

    Raises:
        DataError: the folder is missing.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"expected a folder of images and JSON files at '{folder}', found none")
    questions: list[tuple[str, int, str]] = []
    faults = []
    images = image_names(folder)
    for image in images:
        file = (folder / image).with_suffix(".json")
        if not file.is_file():
            faults.append(Fault(FaultKind.MISSING_MASK, str(folder / image), "has no JSON file"))
            continue
        try:
            texts = [str(text).strip() for text in read_annotation(file)["text"]]
        except DataError as error:
            faults.append(Fault(FaultKind.BAD_RECORD, str(file), str(error)))
            continue
        wanted = [(image, number, text) for number, text in enumerate(texts) if text]
        questions += wanted if every_text else wanted[:1]
        if not wanted:
            faults.append(Fault(FaultKind.BAD_RECORD, str(file), "has no text"))
    stems = {image.rpartition(".")[0] for image in images}
    for file in sorted(folder.rglob("*.json")):
        if str(file.relative_to(folder).with_suffix("").as_posix()) not in stems:
            faults.append(Fault(FaultKind.MISSING_IMAGE, str(file)))
    return ReasonSegListing(name, folder, questions, faults)


def read_annotation(file: Path) -> dict[str, Any]:
    """Read one JSON file; those of the published set are in UTF-8 or in Windows' Western encoding.

    Raises:
        DataError: it is missing, no JSON, or lacks "text" or "shapes".
    """
    try:
        raw = file.read_bytes()
        try:
            content = json.loads(raw.decode("utf-8-sig"))
        except UnicodeDecodeError:
            content = json.loads(raw.decode("cp1252"))
        if isinstance(content["text"], str):
            content["text"] = [content["text"]]
        if not (isinstance(content["text"], list) and isinstance(content["shapes"], list)):
            raise DataError(f"'text' and 'shapes' in '{file}' should be lists")
    except FileNotFoundError as error:
        raise DataError(f"expected an annotation at '{file}', found none") from error
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"'{file}' should be JSON with 'text' and 'shapes', and is not ({error})") from error
    return dict(content)


def draw_shapes(shapes: Sequence[dict[str, Any]], size: Size, where: str) -> tuple[Mask, Mask]:
    """Draw the polygons of one image.

    Args:
        shapes: with "label" and "points" (x, y).
        size: of the image.
        where: the file, for messages.

    Returns:
        The target and the region to be ignored; they do not overlap.

    Raises:
        DataError: a shape without label or points, or with fewer than one point.
    """
    polygons: list[tuple[int, int, Corners, int]] = []
    for number, shape in enumerate(shapes):
        try:
            label = str(shape["label"]).lower()
            corners = np.array(shape["points"], dtype=np.float64).reshape(-1, 2)
            if not len(corners) or not np.isfinite(corners).all():
                raise ValueError("its points are not pairs of finite numbers")
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"shape {number} in '{where}' cannot be drawn: {error}") from error
        if label != "flag":
            whole = corners.clip(-1e6, 1e6).astype(np.int32)
            area = int(np.count_nonzero(_drawn(np.zeros(size.hw, dtype=np.uint8), whole, 1)))
            polygons.append((area, number, whole, _IGNORE if "ignore" in label else _TARGET))
    canvas = np.zeros(size.hw, dtype=np.uint8)
    for _, _, corners, value in sorted(polygons, key=lambda polygon: polygon[:2], reverse=True):
        _drawn(canvas, corners, value)
    return canvas == _TARGET, canvas == _IGNORE


def _drawn(
    canvas: UInt8[np.ndarray, "height width"], corners: Corners, value: int
) -> UInt8[np.ndarray, "height width"]:
    """The canvas, with a polygon drawn on it."""
    cv2.polylines(canvas, [corners], isClosed=True, color=value, thickness=1)
    cv2.fillPoly(canvas, [corners], color=value)
    return canvas
