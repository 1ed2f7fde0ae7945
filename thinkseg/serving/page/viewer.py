"""An image with its objects as SVG, for a page to zoom into, to single objects out of, and to draw on.

Each object is a group of its own: its mask as a path, its box, its points and its number. Numbers are in pixels of the
image, whatever the size at which it is shown, so that what is drawn on it needs no rescaling. The page's script
(`demo.js`) adds what it does; what an object is can be read without it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from thinkseg.drawing import COLOURS, Colour
from thinkseg.geometry import box_from_mask
from thinkseg.imaging import resize_mask
from thinkseg.outlines import rings_from_mask
from thinkseg.types import Box, Mask, Point, Size

SHOWN_SIDE = 1600
"""Longest side, in pixels, of the image on the page and of the masks over it; files have the original size."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One object over an image, in the image's pixels."""

    name: str
    """What it is, for people."""
    mask: Mask
    box: Box | None = None
    points: tuple[Point, ...] = ()
    colour: Colour | None = None
    """None for that of its number."""


@dataclass(frozen=True, slots=True)
class ShownImage:
    """The image in a viewer."""

    address: str
    """Of its file, from the page's own on."""
    shared: str = ""
    """What the page's own address says of it behind the question mark, so that others see the same; may be empty."""


def colour_of(number: int) -> Colour:
    """The colour of an object, by its number from 1."""
    return COLOURS[(number - 1) % len(COLOURS)]


def css_colour(colour: Colour) -> str:
    """A colour as CSS has it."""
    return f"rgb({','.join(map(str, colour))})"


def viewer_html(
    image: ShownImage, size: Size, layers: Sequence[Layer], described: str, *, drawable: bool = True
) -> str:
    """The viewer, with its tools.

    Args:
        image: what lies below the layers.
        size: of the image, in whose pixels the layers are.
        layers: in the order of their numbers.
        described: what is to be seen, for people who do not see it.
        drawable: whether points and boxes can be drawn.
    """
    width, height = size.wh
    address = escape(image.address)
    objects = "".join(_object(number, layer, size) for number, layer in enumerate(layers, start=1))
    answer = hashlib.blake2b(f"{address} {objects}".encode(), digest_size=8).hexdigest()
    return (
        f'<div class="viewer" data-shared="{escape(image.shared)}" data-width="{width}" data-height="{height}" '
        f'data-answer="{answer}">'
        f"{_tools(drawable)}"
        f'<svg class="stage" viewBox="0 0 {width} {height}" data-box="0 0 {width} {height}" tabindex="0" '
        f'role="group" aria-label="{escape(described)}" preserveAspectRatio="xMidYMid meet" '
        f'style="--ratio:{width / height:.4f};font-size:{max(width, height) / 40:.1f}px">'
        f'<image href="{address}" width="{width}" height="{height}" preserveAspectRatio="none"></image>'
        f'<g class="objects-drawn">{objects}</g><g class="pending"></g><g class="cursor"></g></svg>'
        f'<p class="said" role="status" aria-live="polite">{_hint(drawable, len(layers))}</p></div>'
    )


def _hint(drawable: bool, objects: int) -> str:
    """What may be done with the image, until there is more to say of it."""
    if objects > 1:
        return "Press an object to see it alone."
    if not drawable:
        return "Ctrl and the wheel look closer."
    return "Points and a box refine the object." if objects else "A point or a box adds an object by hand."


def _tools(drawable: bool) -> str:
    """The row of tools: what a press does, how strong the colours are, how near one looks."""
    modes = (("look", "Select"), ("on", "Point on"), ("off", "Point off"), ("box", "Box"))
    pressed = {"look": "true"}
    drawing = "".join(
        f'<button type="button" data-mode="{mode}" aria-pressed="{pressed.get(mode, "false")}">{name}</button>'
        for mode, name in modes
    )
    return (
        '<div class="tools" role="toolbar" aria-label="Image tools">'
        + (f'<span class="modes" role="group" aria-label="What a click does">{drawing}</span>' if drawable else "")
        + '<span class="zooms" role="group" aria-label="Zoom">'
        '<button type="button" data-zoom="out" aria-label="Zoom out">−</button>'
        '<button type="button" data-zoom="fit" aria-label="Fit">Fit</button>'
        '<button type="button" data-zoom="in" aria-label="Zoom in">+</button></span>'
        '<label class="strength">Opacity<input type="range" min="0" max="100" step="5" value="45"></label>'
        '<label class="prompts"><input type="checkbox" checked>Boxes and points</label>'
        + (
            '<span class="drawn" role="group" aria-label="What was drawn" hidden>'
            '<button type="button" data-do="apply" class="main">Apply</button>'
            '<button type="button" data-do="undo">Undo</button></span>'
            '<button type="button" data-do="remove" hidden>Delete object</button>'
            if drawable
            else ""
        )
        + "</div>"
    )


def _object(number: int, layer: Layer, size: Size) -> str:
    """One object: a button of its own for the keyboard."""
    colour = css_colour(layer.colour or colour_of(number))
    parts = [f'<path class="mask" fill-rule="evenodd" d="{_outline(layer.mask, size)}"></path>']
    if layer.box is not None:
        left, top, right, bottom = layer.box.xyxy
        parts.append(
            f'<rect class="box" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
            f'height="{bottom - top:.1f}"></rect>'
        )
    parts += [point_svg(point) for point in layer.points]
    around = layer.box or box_from_mask(layer.mask)
    if around is not None:
        parts.append(_number(number, around))
    return (
        f'<g class="object" data-number="{number}" tabindex="0" role="button" aria-pressed="false" '
        f'aria-label="{escape(layer.name)}" style="--own:{colour}">{"".join(parts)}</g>'
    )


def point_svg(point: Point) -> str:
    """A point, of one size however near one looks: filled on its object, a ring beside it."""
    kind = "on" if point.label else "off"
    return f'<path class="point {kind}" d="M{point.x:.1f} {point.y:.1f}h0"></path>'


def _number(number: int, around: Box) -> str:
    """The number on its colour, in the upper left corner of its object."""
    wide = 0.62 * len(str(number)) + 0.5
    return (
        f'<g class="number" transform="translate({around.x_min:.1f} {around.y_min:.1f})">'
        f'<rect width="{wide:.2f}em" height="1.3em" rx=".2em"></rect>'
        f'<text x="{wide / 2:.2f}em" y="1em" text-anchor="middle">{number}</text></g>'
    )


def _outline(mask: Mask, size: Size) -> str:
    """A mask as the data of an SVG path in the image's pixels, as fine as it is shown."""
    scale = min(1.0, SHOWN_SIDE / max(size.wh))
    if scale < 1:
        smaller = Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))
        mask = resize_mask(mask, smaller, "area")
    factor = np.array([size.width / mask.shape[1], size.height / mask.shape[0]])
    rings = [ring * factor for ring in rings_from_mask(mask, tolerance=0.75)]
    return "".join("M" + "L".join(f"{x:.5g} {y:.5g}" for x, y in ring.tolist()) + "Z" for ring in rings)
