"""Images of answers: every object in its own colour, with its outline, its box, its points and its number.

`overlay` draws one answer, `index_image` numbers its pixels, `side_by_side` sets images next to each other,
`contact_sheet` makes a table of them. Lines, points and numbers grow with the image; on small ones they are drawn
larger and shrunk, so that they are smooth.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, ImageDraw, ImageFont

from thinkseg.geometry import box_from_mask
from thinkseg.types import Answer, Box, Mask, Masks, Point, Size

Colour = tuple[int, int, int]

COLOURS: tuple[Colour, ...] = (
    (255, 64, 72),
    (30, 132, 255),
    (255, 172, 0),
    (20, 184, 100),
    (178, 88, 255),
    (0, 190, 212),
    (255, 96, 178),
    (150, 196, 24),
)
"""One per object, in turn; neighbours differ in hue and in brightness."""

FILL = 0.4
"""Opacity of an object's colour over the image."""

PAPER: Colour = (255, 255, 255)
INK: Colour = (32, 34, 38)

_FINER = 3
"""How many times larger lines and letters are drawn, at most, before they are shrunk."""

_INK_PIXELS = 12_000_000
"""Pixels of the layer on which lines are drawn: a larger image has lines so thick that steps in them do not show."""

Corners = tuple[float, float, float, float]
"""x_min, y_min, x_max, y_max."""


def overlay(image: Image.Image, masks: Masks | Mask | None = None, answer: Answer | None = None) -> Image.Image:
    """Draw masks and prompts over an image.

    Args:
        image: RGB, any size.
        masks: one per object, or a single mask, at the image's size; None draws the prompts alone.
        answer: the prompts, in any frame. A filled point lies on its object, a hollow one on the background.

    Returns:
        A new RGB image of the same size. The n-th mask and the n-th prompt share a colour; numbers appear where there
        is more than one object.
    """
    layers = np.zeros((0, image.height, image.width), bool) if masks is None else masks
    layers = layers[None] if layers.ndim == 2 else layers
    prompts = answer.rescaled(Size(image.width, image.height)).objects if answer else ()
    line = max(1.0, math.sqrt(image.width * image.height) / 200)

    drawn = image.convert("RGB") if image.mode != "RGB" else image.copy()
    for number, mask in enumerate(layers):
        _colour_in(drawn, mask, _colour(number), line)
    ink = _Ink(image.size, line)
    for number, prompt in enumerate(prompts):
        if prompt.box:
            ink.box(prompt.box, _colour(number))
        for point in prompt.points:
            ink.point(point, _colour(number))
    count = max(len(layers), len(prompts))
    for number in range(count if count > 1 else 0):
        box = prompts[number].box if number < len(prompts) else None
        box = box or (box_from_mask(layers[number]) if number < len(layers) else None)
        if box:
            ink.number(number + 1, box, _colour(number))
    return ink.over(drawn)


def index_image(masks: Masks) -> Image.Image:
    """One image for all masks: 0 on the background, n on the n-th object, in the colours of `overlay`.

    Where objects overlap, the smaller one is in front.

    Args:
        masks: one per object; at most 65,535 of them.

    Returns:
        With a palette; of more than 255 objects, 16-bit grey without one.
    """
    count = len(masks)
    index = np.zeros(masks.shape[1:], dtype=np.uint8 if count < 256 else np.uint16)
    areas = masks.sum(axis=(1, 2))
    for number in sorted(range(count), key=lambda number: -areas[number]):
        index[masks[number]] = number + 1
    image = Image.fromarray(index)
    if count < 256:
        colours = [(0, 0, 0), *(_colour(number) for number in range(255))]
        image.putpalette([value for colour in colours for value in colour])
    return image


def cut_out(image: Image.Image, mask: Mask, *, crop: bool = True) -> Image.Image:
    """What is in a mask without the rest of the image: RGBA, transparent where the mask is False.

    Args:
        image: RGB.
        mask: at the image's size.
        crop: whether to cut to the smallest box around the mask; an empty mask is not cropped.
    """
    cut = image.convert("RGBA")
    cut.putalpha(Image.fromarray(mask.astype(np.uint8) * 255))
    around = box_from_mask(mask) if crop else None
    if around is None:
        return cut
    left, top, right, bottom = (int(value) for value in around.xyxy)
    return cut.crop((left, top, right, bottom))


def side_by_side(
    images: Sequence[Image.Image], captions: Sequence[str] = (), *, height: int = 360, gap: int = 12
) -> Image.Image:
    """Images in one row at the same height, each with its caption below (none, or one per image)."""
    resized = [image.resize((max(1, round(image.width * height / image.height)), height)) for image in images]
    texts = [*captions, *[""] * (len(images) - len(captions))]
    return _table([[_cell(image, text) for image, text in zip(resized, texts, strict=True)]], gap)


def contact_sheet(
    cells: Sequence[tuple[Image.Image, str]], *, columns: int = 4, cell_width: int = 300, gap: int = 12
) -> Image.Image:
    """A table of images with captions, in reading order; captions wrap to the width of their image.

    Args:
        cells: image and caption; at least one.
        columns: images in a row.
        cell_width: every image is scaled to this width in pixels.
        gap: pixels between images and around the table.
    """
    if not cells:
        raise ValueError("a contact sheet needs at least one image, found none")
    made = [
        _cell(image.resize((cell_width, max(1, round(image.height * cell_width / image.width)))), text)
        for image, text in cells
    ]
    return _table([made[start : start + columns] for start in range(0, len(made), columns)], gap)


def _colour(number: int) -> Colour:
    return COLOURS[number % len(COLOURS)]


def _colour_in(image: Image.Image, mask: Mask, colour: Colour, line: float) -> None:
    """Lay a colour and a smooth outline over an object, in place; the image's border is no outline.

    `edge` below is the distance of each pixel to the outline, positive inside.
    """
    box = box_from_mask(mask)
    if box is None:
        return
    margin = math.ceil(line) + 4
    left, top = max(0, int(box.x_min) - margin), max(0, int(box.y_min) - margin)
    part = mask[top : int(box.y_max) + margin, left : int(box.x_max) + margin].astype(np.uint8)
    if part.all():
        edge = np.full(part.shape, np.inf, dtype=np.float32)
    else:
        inside = _depths(part) - _depths(1 - part)
        edge = cv2.GaussianBlur(inside - np.sign(inside) * np.float32(0.5), (0, 0), 0.8)
    for paint, opacity in (
        (colour, FILL * np.clip(edge + 0.5, 0, 1)),
        (PAPER, 0.5 * np.clip(line * 0.5 + 0.8 - abs(edge + line * 0.5), 0, 1)),
        (colour, np.clip(line * 0.5 + 0.5 - abs(edge - line * 0.25), 0, 1)),
    ):
        image.paste(paint, (left, top), Image.fromarray((opacity * 255).round().astype(np.uint8)))


def _depths(part: UInt8[np.ndarray, "height width"]) -> Float32[np.ndarray, "height width"]:
    """The distance of each pixel above zero to the nearest pixel of zero."""
    return cv2.distanceTransform(part, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


class _Ink:
    """A transparent layer over an image, drawn finer than the image where that is small."""

    def __init__(self, size_wh: tuple[int, int], line: float) -> None:
        width, height = size_wh
        self._finer = max(1, min(_FINER, math.isqrt(_INK_PIXELS // (width * height))))
        self._layer = Image.new("RGBA", (width * self._finer, height * self._finer), (*PAPER, 0))
        self._draw = ImageDraw.Draw(self._layer)
        self._line = line * self._finer
        self._size = size_wh
        self._labels: list[Corners] = []

    def box(self, box: Box, colour: Colour) -> None:
        """A frame with a light rim, so that it is seen on its own colour too."""
        corners = [(value + 0.5) * self._finer for value in box.xyxy]
        rim = self._line * 0.35
        outer = (corners[0] - rim, corners[1] - rim, corners[2] + rim, corners[3] + rim)
        self._draw.rectangle(outer, outline=(*PAPER, 150), width=round(self._line + 2 * rim))
        self._draw.rectangle(corners, outline=(*colour, 255), width=round(self._line))

    def point(self, point: Point, colour: Colour) -> None:
        """A disc for the object, a ring for the background."""
        x, y, radius = (point.x + 0.5) * self._finer, (point.y + 0.5) * self._finer, self._line * 2.4
        self._disc(x, y, radius + self._line * 0.9, PAPER)
        self._disc(x, y, radius, colour)
        if point.label == 0:
            self._disc(x, y, radius - self._line, PAPER)

    def number(self, number: int, box: Box, colour: Colour) -> None:
        """A number on its colour at a corner of a box, inside the image and clear of the numbers drawn before."""
        size = max(7.0, min(9.0, min(self._size) / 8), self._line / self._finer * 7)
        font = ImageFont.load_default(size * self._finer)
        left, top, right, bottom = font.getbbox(str(number))
        pad = size * self._finer * 0.28
        width, height = right - left + 2 * pad, bottom - top + 2 * pad
        label = self._free_place(box, width, height)
        self._labels.append(label)
        self._draw.rounded_rectangle(
            label, radius=pad, fill=(*colour, 255), outline=(*PAPER, 200), width=max(1, round(self._line * 0.35))
        )
        ink = INK if _is_light(colour) else PAPER
        self._draw.text((label[0] + pad - left, label[1] + pad - top), str(number), font=font, fill=(*ink, 255))

    def over(self, image: Image.Image) -> Image.Image:
        """The layer laid over an RGB image of its size."""
        layer = self._layer if self._finer == 1 else self._layer.resize(self._size, Image.Resampling.BOX)
        return Image.composite(layer.convert("RGB"), image, layer.getchannel("A"))

    def _free_place(self, box: Box, width: float, height: float) -> Corners:
        """Where a label covers least of the other labels: on top of the box's upper left corner, if that is free."""
        x_min, y_min, x_max, y_max = (value * self._finer for value in box.xyxy)
        half = self._line / 2
        places = [
            (x_min - half, y_min - height),
            (x_max + half - width, y_min - height),
            (x_min - half, y_max + half),
            (x_max + half - width, y_max + half),
            (x_min + half, y_min + half),
            (x_max - half - width, y_max - half - height),
        ]
        labels = [self._inside(x, y, width, height) for x, y in places]
        return min(labels, key=lambda label: sum(_shared_area(label, other) for other in self._labels))

    def _inside(self, x: float, y: float, width: float, height: float) -> Corners:
        """A label moved inside the image."""
        x = max(min(x, self._layer.width - 1 - width), 0)
        y = max(min(y, self._layer.height - 1 - height), 0)
        return x, y, x + width, y + height

    def _disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*colour, 255))


def _shared_area(one: Corners, other: Corners) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0)


def _is_light(colour: Colour) -> bool:
    """Whether dark letters are read more easily on a colour than white ones (luma of ITU-R BT.601)."""
    red, green, blue = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue > 150


def _cell(image: Image.Image, caption: str, font_size: int = 15) -> Image.Image:
    """An image with its caption below, the words wrapped to the image's width."""
    font = ImageFont.load_default(font_size)
    lines = [line for paragraph in caption.splitlines() for line in _wrapped(paragraph, font, image.width)]
    leading = round(font_size * 1.35)
    cell = Image.new("RGB", (image.width, image.height + (len(lines) * leading + 6 if lines else 0)), PAPER)
    cell.paste(image.convert("RGB"), (0, 0))
    draw = ImageDraw.Draw(cell)
    for row, line in enumerate(lines):
        draw.text((0, image.height + 4 + row * leading), line, font=font, fill=INK)
    return cell


def _wrapped(
    paragraph: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont | ImageFont.TransposedFont, width: int
) -> list[str]:
    """The lines of a paragraph, none wider than `width` pixels unless a single word is."""
    lines = [""]
    for word in paragraph.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _table(rows: Sequence[Sequence[Image.Image]], gap: int) -> Image.Image:
    """Cells on paper, rows as high as their highest cell."""
    heights = [max(cell.height for cell in row) for row in rows]
    widths = [sum(cell.width + gap for cell in row) + gap for row in rows]
    sheet = Image.new("RGB", (max(widths), sum(heights) + gap * (len(rows) + 1)), PAPER)
    y = gap
    for row, height in zip(rows, heights, strict=True):
        x = gap
        for cell in row:
            sheet.paste(cell, (x, y))
            x += cell.width + gap
        y += height + gap
    return sheet
