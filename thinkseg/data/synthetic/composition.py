"""Pixels of a composed scene: backgrounds, cut-outs pasted with exact masks, light, blur and grain."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from thinkseg.data.synthetic.assets import Assets, Cutout
from thinkseg.data.synthetic.queries import Query, Thing, colour_of
from thinkseg.types import Mask

SMALLEST_VISIBLE = 0.0012
"""Share of the image below which a thing counts as covered up and is not asked for."""

Canvas = Float32[np.ndarray, "height width 3"]


@dataclass(slots=True)
class Placement:
    """Where and how a cut-out is put into the scene, in units of the scene's side."""

    cutout: Cutout
    side: float
    """Longest side of the cut-out."""
    centre: tuple[float, float]
    angle: float
    """Degrees, counter-clockwise."""
    mirrored: bool
    gains: tuple[float, float, float]
    """Factors on red, green and blue."""
    gamma: float
    camouflage: float = 0.0
    """0: as it is; towards 1: recoloured and blended into what is behind it."""
    shadow: float = 0.0
    """Darkness of a soft shadow beside the thing, 0…1."""


@dataclass(slots=True)
class Scene:
    """A composed image with all that is known about it."""

    image: UInt8[np.ndarray, "height width 3"]
    """RGB."""
    index_map: UInt8[np.ndarray, "height width"]
    """0 on the background, n on the visible pixels of things[n - 1]."""
    things: list[Thing] = field(default_factory=list)
    query: Query = field(default_factory=lambda: Query("salient", "", None, ""))

    @property
    def target(self) -> Mask:
        """The mask that the query asks for; all False when it names nothing in the scene."""
        if self.query.target is None:
            return np.zeros(self.index_map.shape, dtype=bool)
        mask: Mask = self.index_map == self.query.target + 1
        return mask


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between two positive bounds whose logarithm is uniform."""
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def compose(assets: Assets, placements: Sequence[Placement], size: int, rng: np.random.Generator) -> Scene:
    """Paint the placements over a background, the first one farthest back, and describe what can be seen.

    Args:
        assets: where backgrounds and cut-outs come from.
        placements: in units of the scene's side.
        size: side of the scene in pixels.
        rng: decides on the background, the light and the lens.
    """
    canvas = _background(assets, size, rng)
    index_map = np.zeros((size, size), dtype=np.uint8)
    for number, placement in enumerate(placements, start=1):
        _paste(canvas, index_map, number, assets.cutout_pixels(placement.cutout), placement)
    _light(canvas, rng)
    image = np.clip(canvas, 0, 255).astype(np.uint8)
    image = _lens(image, rng)
    return _described(image, index_map, placements)


def _background(assets: Assets, size: int, rng: np.random.Generator) -> Canvas:
    """A random crop of a random background, now and then mirrored, blurred or recoloured."""
    pixels = assets.background_pixels(int(rng.integers(len(assets.backgrounds))))
    height, width = pixels.shape[:2]
    side = int(min(height, width) * rng.uniform(0.45, 1.0))
    x, y = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
    crop = pixels[y : y + side, x : x + side]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    quarter_turns = int(rng.choice([0, 0, 0, 1, 2, 3]))
    crop = np.ascontiguousarray(np.rot90(crop, quarter_turns))
    crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC)
    canvas: Canvas = crop.astype(np.float32)
    if rng.random() < 0.3:
        canvas[:] = cv2.GaussianBlur(canvas, (0, 0), sigmaX=size * rng.uniform(0.003, 0.02))
    gains = np.array([log_uniform(rng, 0.75, 1.3) for _ in range(3)], dtype=np.float32)
    canvas *= gains
    return canvas


def _paste(
    canvas: Canvas,
    index_map: UInt8[np.ndarray, "height width"],
    number: int,
    cutout: UInt8[np.ndarray, "rows columns 4"],
    placement: Placement,
) -> None:
    """Put a cut-out on the canvas and its opaque pixels (alpha above a half) on the index map."""
    size = canvas.shape[0]
    rows, columns = cutout.shape[:2]
    scale = placement.side * size / max(rows, columns)
    if scale < 0.8:
        # An affine warp samples, so that a large image must be made small by averaging first.
        new_wh = max(1, round(columns * scale)), max(1, round(rows * scale))
        cutout = cv2.resize(cutout, new_wh, interpolation=cv2.INTER_AREA)
        rows, columns = cutout.shape[:2]
        scale = placement.side * size / max(rows, columns)
    rgba = cutout.astype(np.float32)
    rgba[..., :3] = _recoloured(rgba[..., :3], placement)
    rgba[..., :3] *= rgba[..., 3:] / 255
    radians = math.radians(placement.angle)
    cos, sin = scale * math.cos(radians), scale * math.sin(radians)
    flip = -1.0 if placement.mirrored else 1.0
    x, y = placement.centre[0] * size, placement.centre[1] * size
    matrix = np.array([[flip * cos, sin, 0], [-flip * sin, cos, 0]], dtype=np.float64)
    matrix[:, 2] = np.array([x, y]) - matrix[:, :2] @ np.array([columns / 2, rows / 2])
    reach = math.hypot(rows, columns) * scale / 2 + 2
    left, top = max(0, int(x - reach)), max(0, int(y - reach))
    right, bottom = min(size, int(x + reach) + 1), min(size, int(y + reach) + 1)
    if right <= left or bottom <= top:
        return
    matrix[:, 2] -= (left, top)
    layer = cv2.warpAffine(rgba, matrix, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
    alpha = layer[..., 3:] / 255
    behind = canvas[top:bottom, left:right]
    if placement.shadow:
        soft = cv2.GaussianBlur(alpha[..., 0], (0, 0), sigmaX=max(1.0, 0.02 * size))
        shift = max(1, round(0.012 * size))
        behind *= 1 - placement.shadow * np.roll(soft, (shift, shift), (0, 1))[..., None]
    colour = layer[..., :3]
    if placement.camouflage:
        colour = _camouflaged(colour, alpha, behind, placement.camouflage)
    behind *= 1 - alpha
    behind += colour
    index_map[top:bottom, left:right][alpha[..., 0] > 0.5] = number


def _recoloured(rgb: Float32[np.ndarray, "h w 3"], placement: Placement) -> Float32[np.ndarray, "h w 3"]:
    """Gamma and channel gains, as of another camera in another light."""
    table = (np.arange(256, dtype=np.float32) / 255) ** np.float32(placement.gamma) * 255
    out: Float32[np.ndarray, "h w 3"] = table[rgb.astype(np.uint8)] * np.array(placement.gains, dtype=np.float32)
    return out


def _camouflaged(
    colour: Float32[np.ndarray, "h w 3"],
    alpha: Float32[np.ndarray, "h w 1"],
    behind: Float32[np.ndarray, "h w 3"],
    strength: float,
) -> Float32[np.ndarray, "h w 3"]:
    """The thing's (premultiplied) colours moved to the mean and spread of its surroundings, and mixed with them."""
    solid = alpha[..., 0] > 0.5
    if solid.sum() < 8:
        return colour
    pixels = colour[solid]
    around = behind.reshape(-1, 3)
    spread = pixels.std(axis=0) + 1
    ratio = np.minimum(around.std(axis=0) / spread, 1.5)
    moved = (colour - alpha * pixels.mean(axis=0)) * ratio + alpha * around.mean(axis=0)
    blended = moved * 0.75 + alpha * behind * 0.25
    mixed: Float32[np.ndarray, "h w 3"] = strength * blended + (1 - strength) * colour
    return mixed


def _light(canvas: Canvas, rng: np.random.Generator) -> None:
    """A slope of light across the scene, and a cast of colour on all of it, in place."""
    size = canvas.shape[0]
    if rng.random() < 0.6:
        angle, depth = rng.uniform(0, 2 * math.pi), rng.uniform(0.05, 0.3)
        axis = np.linspace(-1, 1, size, dtype=np.float32)
        slope = axis[None] * math.cos(angle) + axis[:, None] * math.sin(angle)
        canvas *= (1 + depth * slope)[..., None].astype(np.float32)
    canvas *= np.array([log_uniform(rng, 0.9, 1.1) for _ in range(3)], dtype=np.float32)


@lru_cache(maxsize=4)
def _grain(size: int) -> Float32[np.ndarray, "height width 3"]:
    """A fixed tile of noise with unit spread, to be rolled: drawing it anew for each scene would take longer."""
    return np.random.default_rng(0).standard_normal((size, size, 3), dtype=np.float32)


def _lens(image: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator) -> UInt8[np.ndarray, "h w 3"]:
    """Blur and grain."""
    size = image.shape[0]
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), sigmaX=max(0.3, size / 448 * rng.uniform(0.4, 1.4)))
    if rng.random() < 0.5:
        tile = np.roll(_grain(size), tuple(int(i) for i in rng.integers(0, size, 2)), (0, 1))
        image = np.clip(image + tile * np.float32(rng.uniform(2, 9)), 0, 255).astype(np.uint8)
    return image


def _described(
    image: UInt8[np.ndarray, "h w 3"], index_map: UInt8[np.ndarray, "h w"], placements: Sequence[Placement]
) -> Scene:
    """Renumber the things that can still be seen, and say what and where each one is."""
    things: list[Thing] = []
    renumbered = np.zeros_like(index_map)
    for number, placement in enumerate(placements, start=1):
        mask = index_map == number
        area = float(mask.mean())
        if area < SMALLEST_VISIBLE:
            continue
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        side = index_map.shape[0]
        box = (columns[0] / side, rows[0] / side, (columns[-1] + 1) / side, (rows[-1] + 1) / side)
        things.append(
            Thing(
                name=placement.cutout.name,
                kinds=placement.cutout.kinds,
                box=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
                area=area,
                colour="" if placement.camouflage else colour_of(image[mask]),
            )
        )
        renumbered[mask] = len(things)
    return Scene(image, renumbered, things)
