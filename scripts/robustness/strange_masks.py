"""Sound images with masks of every kind: rare ones, and files of which it cannot be told what is the object.

`strange_images.py` uses it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
from animals import SIZE, TOO_WIDE, Animal, Content, Special, png, saved, scene, true_mask, with_nan
from PIL import Image


def strange_masks(rng: random.Random) -> Iterator[Animal]:
    """Sound images with masks that are none, or rare ones."""
    image, mask = saved(scene(), "PNG"), np.asarray(true_mask())
    found = mask > 0
    classes = found.astype(np.uint8)
    classes[:9, :9] = 2
    trimap = mask.copy()
    trimap[:9] = 128
    colours = np.zeros((*mask.shape, 3), np.uint8)
    colours[found], colours[:9, :9] = (200, 30, 40), (20, 180, 60)
    cut_out = scene().copy()
    cut_out.putalpha(true_mask())
    dark = Image.new("RGB", SIZE, (40, 40, 40))
    dark.putalpha(true_mask())
    palette = Image.fromarray(found.astype(np.uint8)).convert("P")
    palette.putpalette([0, 0, 0, 128, 0, 0])
    soft = true_mask().resize((480, 360), Image.Resampling.BILINEAR).resize(SIZE, Image.Resampling.BILINEAR)
    content = saved(true_mask(), "PNG")
    sound: dict[str, Content] = {
        "ones": saved(Image.fromarray(found.astype(np.uint8)), "PNG"),
        "1-bit": saved(true_mask().convert("1"), "PNG"),
        "16-bit": saved(Image.fromarray(mask.astype(np.uint16) * 257), "PNG"),
        "fractions": saved(Image.fromarray(found.astype(np.float32)), "TIFF"),
        "palette": saved(palette, "PNG"),
        "one-colour": saved(Image.fromarray(np.where(found[..., None], (200, 30, 40), 0).astype(np.uint8)), "PNG"),
        "cut-out": saved(cut_out, "PNG"),
        "dark-cut-out": saved(dark, "PNG"),
        "soft": saved(soft, "PNG"),
        "jpeg": saved(true_mask(), "JPEG"),
        "empty": saved(Image.new("L", SIZE), "PNG"),
        "full": saved(Image.new("L", SIZE, 255), "PNG"),
    }
    refused: dict[str, Content] = {
        "classes": saved(Image.fromarray(classes), "PNG"),
        "trimap": saved(Image.fromarray(trimap), "PNG"),
        "colours": saved(Image.fromarray(colours), "PNG"),
        "colours-jpeg": saved(Image.fromarray(colours).resize((480, 360), Image.Resampling.NEAREST), "JPEG"),
        "photograph": saved(
            Image.fromarray(np.linspace(60, 190, mask.size).reshape(mask.shape).astype(np.uint8)), "PNG"
        ),
        "not-a-number": saved(with_nan(Image.fromarray(found.astype(np.float32))), "TIFF"),
        "other-size": saved(true_mask(20, 30), "PNG"),
        "turned": saved(true_mask(SIZE[1], SIZE[0]), "PNG"),
        "bomb": png((TOO_WIDE, TOO_WIDE), 1, 0, bytes(99)),
        "no-bytes": b"",
        "text": b"mask",
        "noise": rng.randbytes(500),
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 30\n%%EndComments\n{} loop\n",
        "pipe": Special("pipe"),
        "loop": Special("link", "mask-loop.png"),
        "zero": Special("link", "/dev/zero"),
    }
    for name, drawn in sound.items():
        yield Animal(f"mask-{name}.png", image, drawn)
    for name, drawn in refused.items():
        yield Animal(f"mask-{name}.png", image, drawn, expected="refused")
    for tenth in range(1, 10):
        cut = content[: len(content) * tenth // 10]
        yield Animal(f"mask-cut-at-{tenth}.png", image, cut, expected="either")
