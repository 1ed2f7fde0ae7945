"""ReasonSeg: an image and a JSON file of its name, with questions that need thought and polygons of the answer.

Polygons are drawn by the rule of the benchmark's authors: the largest first, so that smaller ones lie on top; corners
are cut to whole pixels and outlines belong to the shape. A label that contains "ignore" marks pixels that count neither
way, the label "flag" a shape that has no meaning.

The files are those of the tool labelme, whose other shapes ("shape_type" rectangle, circle, line, linestrip, point and
mask) are drawn as labelme itself draws them; a shape of any other kind is refused.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from thinkseg.data.fields import Fields, shown
from thinkseg.data.listing import Entry, Fault, FaultKind, Listing
from thinkseg.data.names import images_below, tell_passed_over
from thinkseg.data.readers.labelme_shapes import Canvas, Drawer, Points, drawer_of
from thinkseg.data.text import decoded, is_whole
from thinkseg.errors import DataError, InputError
from thinkseg.imaging import read_header
from thinkseg.types import Mask, Sample, Size

_TARGET, _IGNORE = 1, 2

_WESTERN = re.compile(
    rb"(?:[\x00-\x7f\x85\x91-\x97\xa0]"
    rb"|(?<![\x80-\xff])[\xb0\xc1\xc4\xc7\xc9\xd6\xdc\xdf\xe1\xe4\xe7\xe9\xeb\xf3\xf6\xfa\xfc](?![\x80-\xff]))*"
)
"""Text whose only letters beside ASCII are dashes, quotes, and single ones that Windows' encodings 1250, 1252 and 1254
agree about. Chinese, Cyrillic and their like have several of such bytes in a row."""


class ReasonSegListing(Listing):
    """Questions about images; use `list_reasonseg` to make one.

    Args:
        name: of the data set.
        folder: images and JSON files.
        questions: (image's name, number of the question in its file, text).
        faults: what was found wrong.
        encoding: of the JSON files.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        questions: Sequence[tuple[str, int, str]],
        faults: Sequence[Fault],
        encoding: str = "",
    ) -> None:
        super().__init__(name, folder, faults)
        self._encoding = encoding
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
        content = read_annotation(Path(entry.truth), self._encoding)
        target, ignore = draw_shapes(content["shapes"], read_header(entry.image).size, entry.truth)
        return Sample(
            id=entry.id,
            image=entry.image,
            query=entry.query,
            target=target,
            ignore=ignore if ignore.any() else None,
            task="reasoning",
            is_sentence=content.get("is_sentence") is True,
        )


def list_reasonseg(
    folder: Path | str, *, every_text: bool = False, name: str = "ReasonSeg", encoding: str = ""
) -> ReasonSegListing:
    """List the questions of a split.

    Args:
        folder: with images and a JSON file of the same name for each.
        every_text: whether each wording of a question is a sample. The benchmark asks the first one only; the others,
            which the training split has, are the same question in other words.
        name: of the data set, for messages.
        encoding: of the JSON files, where it is not UTF-8.

    Raises:
        DataError: the folder is missing.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"expected a folder of images and JSON files at '{folder}', found none")
    questions: list[tuple[str, int, str]] = []
    faults = []
    below = images_below(folder)
    images = below.images
    for image in images:
        file = (folder / image).with_suffix(".json")
        if not file.is_file():
            faults.append(Fault(FaultKind.MISSING_MASK, str(folder / image), "has no JSON file"))
            continue
        try:
            texts = [text.strip() for text in read_annotation(file, encoding)["text"]]
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
    listing = ReasonSegListing(name, folder, questions, faults, encoding)
    listing.passed_over = [folder / file for file in below.passed_over]
    tell_passed_over(listing.passed_over, folder)
    return listing


def read_annotation(file: Path, encoding: str = "") -> dict[str, Any]:
    """Read one JSON file, in UTF-8.

    Some of the published set are in Windows' Western encoding; such a file is read where this is plain from its bytes.

    Args:
        file: it.
        encoding: see `thinkseg.data.text.read_text`.

    Raises:
        DataError: it is missing, in another encoding, no JSON, or lacks "text" or "shapes".
    """
    try:
        raw = file.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"expected an annotation at '{file}', found none") from error
    try:
        content = json.loads(_text(raw, file, encoding))
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{file}' should be JSON with 'text' and 'shapes', and is not ({error})") from error
    told = Fields(content, f"'{file}'")
    if isinstance(told.raw("text"), str):
        content["text"] = [content["text"]]
    if not (isinstance(content["text"], list) and isinstance(told.raw("shapes"), list)):
        raise DataError(f"'text' and 'shapes' in '{file}' should be lists")
    for text in content["text"]:
        if not isinstance(text, str) or not is_whole(text):
            raise DataError(f"'text' in '{file}' should hold questions, found {shown(text)}")
    return dict(content)


def _text(raw: bytes, file: Path, encoding: str) -> str:
    try:
        return decoded(raw, f"'{file}'", encoding)
    except DataError:
        if encoding or not _WESTERN.fullmatch(raw):
            raise
        return raw.decode("cp1252")


def draw_shapes(shapes: Sequence[Any], size: Size, where: str) -> tuple[Mask, Mask]:
    """Draw the shapes of one image.

    Args:
        shapes: with "label", "points" (x, y) and, if they are no polygons, "shape_type".
        size: of the image.
        where: the file, for messages.

    Returns:
        The target and the region to be ignored; they do not overlap.

    Raises:
        DataError: a shape without label or points, of another kind, or with too few points or too many.
    """
    drawers: list[tuple[int, int, Drawer, int]] = []
    for number, shape in enumerate(shapes):
        try:
            told = Fields(shape, "it")
            label = _label(told)
            if label != "flag":
                draw = drawer_of(told, _fill)
                canvas = np.zeros(size.hw, dtype=np.uint8)
                draw(canvas, 1)
                area = int(np.count_nonzero(canvas))
                drawers.append((area, number, draw, _IGNORE if "ignore" in label else _TARGET))
        except (InputError, ValueError) as error:
            raise DataError(f"shape {number} in '{where}' cannot be drawn: {error}") from error
    canvas = np.zeros(size.hw, dtype=np.uint8)
    for _, _, draw, value in sorted(drawers, key=lambda drawer: drawer[:2], reverse=True):
        draw(canvas, value)
    return canvas == _TARGET, canvas == _IGNORE


def _label(shape: Fields) -> str:
    """Text, which may be empty, or a number, as some tools write."""
    label = shape.raw("label")
    if not isinstance(label, str) and type(label) is not int:
        raise shape.wrong("label", "text")
    return str(label).lower()


def _fill(canvas: Canvas, points: Points, value: int) -> None:
    """A polygon, by the rule of the benchmark's authors."""
    corners = points.astype(np.int32)
    cv2.polylines(canvas, [corners], isClosed=True, color=value, thickness=1)
    cv2.fillPoly(canvas, [corners], color=value)
