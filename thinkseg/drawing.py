"""Pictures of answers: every object in its own colour, with its outline, its box, its points and its number.

`overlay` draws one answer, `side_by_side` sets pictures next to each other, `contact_sheet` makes a table of them.
Lines, points and numbers are drawn larger and shrunk, so that they are smooth.
"""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import distance_transform_edt, gaussian_filter

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
"""Opacity of an object's colour over the picture."""

PAPER: Colour = (255, 255, 255)
INK: Colour = (32, 34, 38)

_FINER = 3
"""How many times larger lines and letters are drawn before they are shrunk."""


def overlay(image: Image.Image, masks: Masks | Mask | None = None, answer: Answer | None = None) -> Image.Image:
    """Draw masks and prompts over a picture.

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
    line = max(1.5, math.sqrt(image.width * image.height) / 200)

    pixels = np.asarray(image.convert("RGB"), dtype=np.float64)
    for number, mask in enumerate(layers):
        _colour_in(pixels, mask, _colour(number), line)
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
    drawn = Image.fromarray(pixels.round().astype(np.uint8)).convert("RGBA")
    return Image.alpha_composite(drawn, ink.layer()).convert("RGB")


def side_by_side(
    images: Sequence[Image.Image], captions: Sequence[str] = (), *, height: int = 360, gap: int = 12
) -> Image.Image:
    """Pictures in one row at the same height, each with its caption below (none, or one per picture)."""
    resized = [image.resize((max(1, round(image.width * height / image.height)), height)) for image in images]
    texts = [*captions, *[""] * (len(images) - len(captions))]
    return _table([[_cell(image, text) for image, text in zip(resized, texts, strict=True)]], gap)


def contact_sheet(
    cells: Sequence[tuple[Image.Image, str]], *, columns: int = 4, cell_width: int = 300, gap: int = 12
) -> Image.Image:
    """A table of pictures with captions, in reading order; captions wrap to the width of their picture.

    Args:
        cells: picture and caption; at least one.
        columns: pictures in a row.
        cell_width: every picture is scaled to this width in pixels.
        gap: pixels between pictures and around the table.
    """
    if not cells:
        raise ValueError("a contact sheet needs at least one picture, found none")
    made = [
        _cell(image.resize((cell_width, max(1, round(image.height * cell_width / image.width)))), text)
        for image, text in cells
    ]
    return _table([made[start : start + columns] for start in range(0, len(made), columns)], gap)


def _colour(number: int) -> Colour:
    return COLOURS[number % len(COLOURS)]


def _colour_in(pixels: np.ndarray, mask: Mask, colour: Colour, line: float) -> None:
    """Lay a colour and a smooth outline over an object, in place; the picture's border is no outline.

    `edge` below is the distance of each pixel to the outline, positive inside.
    """
    box = box_from_mask(mask)
    if box is None:
        return
    margin = math.ceil(line) + 4
    window = (
        slice(max(0, int(box.y_min) - margin), int(box.y_max) + margin + 1),
        slice(max(0, int(box.x_min) - margin), int(box.x_max) + margin + 1),
    )
    part = mask[window]
    if part.all():
        edge = np.full(part.shape, np.inf)
    else:
        inside = distance_transform_edt(part) - distance_transform_edt(~part)
        edge = gaussian_filter(inside - np.sign(inside) * 0.5, 0.8)
    _blend(pixels[window], colour, FILL * np.clip(edge + 0.5, 0, 1))
    _blend(pixels[window], PAPER, 0.5 * np.clip(line * 0.5 + 0.8 - abs(edge + line * 0.5), 0, 1))
    _blend(pixels[window], colour, np.clip(line * 0.5 + 0.5 - abs(edge - line * 0.25), 0, 1))


def _blend(pixels: np.ndarray, colour: Colour, opacity: np.ndarray) -> None:
    """Mix a colour into pixels (height, width, 3), in place."""
    pixels += opacity[..., None] * (np.array(colour) - pixels)


class _Ink:
    """A transparent layer over a picture, drawn finer than the picture."""

    def __init__(self, size_wh: tuple[int, int], line: float) -> None:
        self._layer = Image.new("RGBA", (size_wh[0] * _FINER, size_wh[1] * _FINER), (*PAPER, 0))
        self._draw = ImageDraw.Draw(self._layer)
        self._line = line * _FINER
        self._size = size_wh

    def box(self, box: Box, colour: Colour) -> None:
        """A frame with a light rim, so that it is seen on its own colour too."""
        corners = [(value + 0.5) * _FINER for value in box.xyxy]
        rim = self._line * 0.35
        outer = (corners[0] - rim, corners[1] - rim, corners[2] + rim, corners[3] + rim)
        self._draw.rectangle(outer, outline=(*PAPER, 150), width=round(self._line + 2 * rim))
        self._draw.rectangle(corners, outline=(*colour, 255), width=round(self._line))

    def point(self, point: Point, colour: Colour) -> None:
        """A disc for the object, a ring for the background."""
        x, y, radius = (point.x + 0.5) * _FINER, (point.y + 0.5) * _FINER, self._line * 2.4
        self._disc(x, y, radius + self._line * 0.9, PAPER)
        self._disc(x, y, radius, colour)
        if point.label == 0:
            self._disc(x, y, radius - self._line, PAPER)

    def number(self, number: int, box: Box, colour: Colour) -> None:
        """A number on its colour at the upper left corner of a box, moved inside the picture."""
        size = max(9.0, self._line / _FINER * 7)
        font = ImageFont.load_default(size * _FINER)
        left, top, right, bottom = font.getbbox(str(number))
        pad = size * _FINER * 0.28
        width, height = right - left + 2 * pad, bottom - top + 2 * pad
        x = min(max(box.x_min * _FINER - self._line / 2, 0), self._layer.width - width)
        y = min(max(box.y_min * _FINER - height, 0), self._layer.height - height)
        self._draw.rounded_rectangle((x, y, x + width, y + height), radius=pad, fill=(*colour, 255))
        self._draw.text((x + pad - left, y + pad - top), str(number), font=font, fill=(*PAPER, 255))

    def layer(self) -> Image.Image:
        """The layer at the picture's size."""
        return self._layer.resize(self._size, Image.Resampling.BOX)

    def _disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*colour, 255))


def _cell(image: Image.Image, caption: str, font_size: int = 15) -> Image.Image:
    """A picture with its caption below, the words wrapped to the picture's width."""
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
