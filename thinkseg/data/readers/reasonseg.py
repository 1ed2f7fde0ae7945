"""ReasonSeg: an image and a JSON file of its name, with questions that need thought and polygons of the answer.

Polygons are drawn by the rule of the benchmark's authors: the largest first, so that smaller ones lie on top; corners
are cut to whole pixels and outlines belong to the shape. A label that contains "ignore" marks pixels that count neither
way, the label "flag" a shape that has no meaning.

The files are those of the tool labelme, whose other shapes ("shape_type" rectangle, circle, line, linestrip, point and
mask) are drawn as labelme itself draws them; a shape of any other kind is refused.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float64, Int32, UInt8
from PIL import Image, ImageDraw

from thinkseg.data.fields import Fields, finite, shown
from thinkseg.data.listing import Entry, Fault, FaultKind, Listing
from thinkseg.data.names import images_below, tell_passed_over
from thinkseg.data.text import decoded, is_whole
from thinkseg.errors import DataError, InputError
from thinkseg.imaging import load_mask, read_header
from thinkseg.types import Mask, Sample, Size

Corners = Int32[np.ndarray, "corners 2"]
Points = Float64[np.ndarray, "points 2"]
Canvas = UInt8[np.ndarray, "height width"]
Drawer = Callable[[Canvas, int], None]
"""Gives the pixels of a shape a value."""

LINE_WIDTH, POINT_RADIUS = 10, 5
"""Of labelme's lines and points, in pixels."""

_LARGEST_DRAWN = 10_000
"""Pixels: PIL walks along the rim of a circle, however far from the image; a larger one is reckoned."""

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
                draw = _drawer(told)
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


def _drawer(shape: Fields) -> Drawer:
    """How a shape is drawn."""
    kind = shape.get("shape_type") or "polygon"
    points = _points(shape.raw("points"))
    if kind == "polygon":
        return lambda canvas, value: _fill(canvas, points.astype(np.int32), value)
    if not isinstance(kind, str) or kind not in _COUNTS:
        known = ", ".join(("polygon", *_COUNTS))
        raise ValueError(f"expected a 'shape_type' of {known}, found {shown(kind)}: draw it as a polygon")
    low, high = _COUNTS[kind]
    if not low <= len(points) <= high:
        raise ValueError(f"a {kind} has {low}{' points or more' if high > low else ''}, found {len(points)} points")
    if kind == "mask":
        return _stamp(shape.get("mask"), points)
    return lambda canvas, value: _paint(canvas, kind, list(map(tuple, points)), value)


_COUNTS: Mapping[str, tuple[int, int]] = {
    "rectangle": (2, 2),
    "circle": (2, 2),
    "line": (2, 2),
    "linestrip": (2, 1_000_000),
    "point": (1, 1),
    "mask": (2, 2),
}
"""Of labelme's shapes beside the polygon: how many points each has, at least and at most."""


def _points(told: object) -> Points:
    pairs = [pair for pair in told if isinstance(pair, list) and len(pair) == 2] if isinstance(told, list) else []
    numbers = [number for pair in pairs for value in pair if (number := finite(value)) is not None]
    if not isinstance(told, list) or not told or len(numbers) != 2 * len(told):
        raise ValueError(f"its points should be pairs of finite numbers, found {shown(told)}")
    return np.array(numbers, dtype=np.float64).reshape(-1, 2).clip(-1e6, 1e6)


def _fill(canvas: Canvas, corners: Corners, value: int) -> None:
    """A polygon, by the rule of the benchmark's authors."""
    cv2.polylines(canvas, [corners], isClosed=True, color=value, thickness=1)
    cv2.fillPoly(canvas, [corners], color=value)


def _paint(canvas: Canvas, kind: str, points: Sequence[tuple[float, float]], value: int) -> None:
    """A shape as labelme's `shape_to_mask` draws it: with PIL, outlines included."""
    radius = POINT_RADIUS if kind == "point" else math.hypot(*np.subtract(points[0], points[-1]))
    if kind == "circle" and radius > _LARGEST_DRAWN:
        rows, columns = np.ogrid[: canvas.shape[0], : canvas.shape[1]]
        canvas[np.hypot(columns - points[0][0], rows - points[0][1]) <= radius] = value
        return
    layer = Image.new("1", (canvas.shape[1], canvas.shape[0]))
    draw = ImageDraw.Draw(layer)
    (x, y), (last_x, last_y) = points[0], points[-1]
    if kind == "rectangle":
        draw.rectangle((min(x, last_x), min(y, last_y), max(x, last_x), max(y, last_y)), outline=1, fill=1)
    elif kind in ("line", "linestrip"):
        draw.line(list(points), fill=1, width=LINE_WIDTH)
    else:  # a circle has its centre and a point on it, a point its place
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=1, fill=1)
    canvas[np.asarray(layer)] = value


def _stamp(encoded: object, points: Points) -> Drawer:
    """A mask: a PNG as text, and the first and the last pixel of its place."""
    if not isinstance(encoded, str):
        raise ValueError(f"a mask should have its PNG in base64 as 'mask', found {shown(encoded)}")
    try:
        mask = load_mask(BytesIO(base64.b64decode(encoded, validate=True)), "its 'mask'")
    except binascii.Error as error:
        raise ValueError(f"its 'mask' is no base64 ({error})") from error
    (left, top), (right, bottom) = points.astype(np.int64).tolist()
    if mask.shape != (bottom - top + 1, right - left + 1):
        raise ValueError(f"its 'mask' is {mask.shape[::-1]}, its points span {(right - left + 1, bottom - top + 1)}")

    def draw(canvas: Canvas, value: int) -> None:
        height, width = canvas.shape
        inside = mask[max(-top, 0) : max(height - top, 0), max(-left, 0) : max(width - left, 0)]
        canvas[max(top, 0) : max(bottom + 1, 0), max(left, 0) : max(right + 1, 0)][inside] = value

    return draw
