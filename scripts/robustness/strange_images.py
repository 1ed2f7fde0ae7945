"""Image files that people, telephones and hostile senders have: sound and rare, damaged, and no images at all.

`image_zoo.py` uses it. Everything is drawn here, from one scene, so that it is known which files show the same pixels.
"""

from __future__ import annotations

import os
import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO

import numpy as np
from animals import SIZE, TOO_WIDE, Animal, Content, Special, chunk, png, saved, scene, true_mask, with_nan
from PIL import Image
from strange_masks import strange_masks

from thinkseg.imaging import IMAGE_SUFFIXES

LONG_SIDE = 65_500
"""The longest that JPEG can be."""
LONGEST_NAME = 255
"""Bytes of a file's name that file systems take."""


def strange_images(seed: int = 0, *, heavy: bool = True) -> Iterator[Animal]:
    """Images of every kind with sound masks, and sound images with masks of every kind; names differ.

    Args:
        seed: of what is random.
        heavy: whether to make those that take seconds.
    """
    rng = random.Random(seed)
    for animal in (
        *_formats(),
        *_truncated(),
        *_bombs(heavy),
        *_exif(rng),
        *_foreign(rng),
        *_specials(),
        *_names(),
        *_shapes(),
    ):
        taken = os.path.splitext(animal.name)[1].lower() in IMAGE_SUFFIXES and animal.image != Special("folder")
        yield replace(animal, mask=_mask_of(animal.image)) if taken else animal
    yield from strange_masks(rng)


def _mask_of(content: Content) -> bytes:
    """The sound mask of an image: at the size that it has, if that can be known without decoding it."""
    size = SIZE
    if isinstance(content, bytes):
        try:
            with Image.open(BytesIO(content)) as image:
                width, height = image.size
                turned = image.getexif().get(0x0112) in (5, 6, 7, 8) and image.format != "TIFF"
        except Exception:  # noqa: BLE001 - it is no image, and any mask does
            return saved(true_mask(), "PNG")
        if width * height <= 90_000_000:
            size = (height, width) if turned else (width, height)
    return saved(true_mask(*size), "PNG")


def _frames() -> list[Image.Image]:
    return [scene(), scene().rotate(180), scene().rotate(90, expand=False)]


def _formats() -> Iterator[Animal]:
    """Sound files of every kind, most of them under a name that folders take."""
    base, grey = scene(), scene().convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    fraction = Image.fromarray(np.asarray(grey).astype(np.float32) / 255)
    glass = base.copy()
    glass.putalpha(true_mask())
    palette = base.quantize(16)
    yield Animal("plain.png", saved(base, "PNG"))
    yield Animal("plain.bmp.bmp", saved(base, "BMP"), same_as="plain.png")
    yield Animal("lossless.webp", saved(base, "WEBP", lossless=True), same_as="plain.png")
    yield Animal("plain.jpg.jpg", saved(base, "JPEG"))
    yield Animal("progressive.jpeg", saved(base, "JPEG", progressive=True), same_as="plain.jpg.jpg")
    yield Animal("grey.jpg", saved(grey, "JPEG"))
    yield Animal("cmyk.jpg", saved(base.convert("CMYK"), "JPEG"))
    yield Animal("ycck.jpg", _ycck(saved(base.convert("CMYK"), "JPEG")))
    yield Animal("16-bit-grey.png", saved(deep, "PNG"), same_as="plain-grey.png")
    yield Animal("16-bit-grey-tiff.png", saved(deep, "TIFF"), same_as="plain-grey.png")
    yield Animal(
        "32-bit-tiff.png", saved(Image.fromarray(np.asarray(grey).astype(np.int32)), "TIFF"), same_as="plain-grey.png"
    )
    yield Animal("fractions-tiff.png", saved(fraction, "TIFF"), same_as="plain-grey.png")
    yield Animal("not-a-number-tiff.png", saved(with_nan(fraction), "TIFF"), expected="either")
    yield Animal("16-bit-colour.png", _deep_colour(base), same_as="plain.png")
    yield Animal("plain-grey.png", saved(grey, "PNG"))
    yield Animal("1-bit.png", saved(true_mask().convert("1"), "PNG"))
    yield Animal(
        "1-bit-fax-tiff.png", saved(true_mask().convert("1"), "TIFF", compression="group4"), same_as="1-bit.png"
    )
    yield Animal("palette.png", saved(palette, "PNG"))
    yield Animal("palette-index-clear.png", saved(palette, "PNG", transparency=3))
    yield Animal("palette-bytes-clear.png", saved(palette, "PNG", transparency=bytes(range(0, 256, 16))))
    yield Animal("colour-clear.png", saved(base, "PNG", transparency=(230, 200, 40)))
    yield Animal("grey-and-alpha.png", saved(glass.convert("LA"), "PNG"))
    yield Animal("glass.png", saved(glass, "PNG"))
    yield Animal("glass-lossless.webp", saved(glass, "WEBP", lossless=True, exact=True), same_as="glass.png")
    yield Animal("lab-tiff.png", saved(_lab(base), "TIFF"))
    yield Animal("cmyk-tiff.png", saved(base.convert("CMYK"), "TIFF"))
    for way in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        yield Animal(f"{way}.png", saved(base, "TIFF", compression=way), same_as="plain.png")
    yield Animal("jpeg-in-tiff.png", saved(base, "TIFF", compression="jpeg"))
    yield Animal("big-tiff.png", saved(base, "TIFF", big_tiff=True), same_as="plain.png")
    more = {"save_all": True, "append_images": _frames()[1:]}
    yield Animal("moving-gif.png", saved(palette, "GIF", **more))
    yield Animal("moving-apng.png", saved(base, "PNG", duration=40, **more), same_as="plain.png")
    yield Animal("moving.webp", saved(base, "WEBP", lossless=True, **more), same_as="plain.png")
    yield Animal("pages-tiff.png", saved(base, "TIFF", **more), same_as="plain.png")
    yield Animal("telephone-mpo.jpg", saved(base, "MPO", **more), same_as="plain.jpg.jpg")
    yield Animal("portable-ppm.png", saved(base, "PPM"), same_as="plain.png")
    for kind, ending in (("JPEG2000", "jp2"), ("AVIF", "avif"), ("TIFF", "tif"), ("GIF", "gif"), ("TIFF", "tiff")):
        if kind in Image.SAVE:
            yield Animal(f"passed-over-{ending}.{ending}", saved(base, kind))
            yield Animal(f"renamed-{ending}.png", saved(base, kind))
    yield Animal("png-named.jpg", saved(base, "PNG"), same_as="plain.png")
    yield Animal("jpeg-named.png", saved(base, "JPEG"), same_as="plain.jpg.jpg")
    yield Animal("webp-named.bmp", saved(base, "WEBP", lossless=True), same_as="plain.png")
    yield Animal("bmp-named.webp", saved(base, "BMP"), same_as="plain.png")
    yield Animal("CAPITALS.JPG", saved(base, "JPEG"), same_as="plain.jpg.jpg")
    yield Animal("bytes-behind.png", saved(base, "PNG") + b"PK\3\4 <script>" * 9, same_as="plain.png")
    yield Animal("bytes-behind.jpg.jpg", saved(base, "JPEG") + bytes(4096), same_as="plain.jpg.jpg")


def _truncated() -> Iterator[Animal]:
    """Each kind cut at every tenth of its length; what is read of it has to be the whole image."""
    whole: dict[str, tuple[str, bytes]] = {
        "jpeg": ("jpg", saved(scene(), "JPEG", quality=95)),
        "progressive": ("jpg", saved(scene(), "JPEG", quality=95, progressive=True)),
        "png": ("png", saved(scene(), "PNG")),
        "webp": ("webp", saved(scene(), "WEBP", lossless=True)),
        "gif": ("png", saved(scene().quantize(16), "GIF", save_all=True, append_images=[scene().rotate(180)])),
        "bmp": ("bmp", saved(scene(), "BMP")),
        "tiff": ("png", saved(scene(), "TIFF", compression="tiff_lzw")),
        "flat-tiff": ("png", saved(scene(), "TIFF")),
    }
    for kind, (ending, content) in whole.items():
        name = f"whole-{kind}.{ending}"
        yield Animal(name, content)
        for tenth in range(10):
            cut = content[: len(content) * tenth // 10]
            yield Animal(
                f"{kind}-cut-at-{tenth}.{ending}", cut, expected="either" if tenth else "refused", same_as=name
            )
    for ending in ("jpg", "png", "webp"):  # one byte is missing at the end
        content = saved(scene(), {"jpg": "JPEG"}.get(ending, ending))
        yield Animal(f"last-byte-of-{ending}.{ending}", content[:-1], expected="either")


def _bombs(heavy: bool) -> Iterator[Animal]:
    """Small files that unpack, or say that they unpack, to all of a machine's memory."""
    wide = (TOO_WIDE, TOO_WIDE)
    jpeg, bmp, gif = saved(scene(), "JPEG"), saved(scene(), "BMP"), saved(scene().quantize(16), "GIF")
    frame = jpeg.index(b"\xff\xc0")
    bombs = {
        "bomb-png.png": png(wide, 8, 2, bytes(1000)),
        "bomb-largest.png": png((2**31 - 1, 2**31 - 1), 16, 6, b""),
        "bomb-nothing-wide.png": png((0, 10), 8, 2, b""),
        "bomb-jpeg.jpg": jpeg[: frame + 5] + struct.pack(">HH", 65_500, 65_500) + jpeg[frame + 9 :],
        "bomb-bmp.bmp": bmp[:18] + struct.pack("<ii", TOO_WIDE, -TOO_WIDE) + bmp[26:],
        "bomb-gif.png": gif[:6] + struct.pack("<HH", 65_535, 65_535) + gif[10:],
        "bomb-ppm.png": b"P6 %d %d 255\n" % wide + bytes(99),
        "bomb-ppm-digits.png": b"P6 " + b"9" * 4000 + b" 1 255\n",
        "bomb-tiff.png": saved(scene(), "TIFF").replace(
            struct.pack("<HHII", 256, 4, 1, SIZE[0]), struct.pack("<HHII", 256, 4, 1, 4_000_000_000)
        ),
        "bomb-jp2.png": b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 \0\0\0\0jp2 \0\0\0\x2djp2h\0\0\0\x16ihdr"
        + struct.pack(">IIHBBBB", *wide, 3, 7, 7, 0, 0),
    }  # fmt: skip
    for name, content in bombs.items():
        yield Animal(name, content, expected="refused")
    yield Animal("too-large.png", png((9_500, 9_500), 1, 0, bytes(9_500 * (9_500 // 8 + 2))), expected="refused")
    if not heavy:
        return
    swollen = zlib.compress(bytes(100_000_000), 9)
    yield Animal(
        "bomb-text.png", png(SIZE, 8, 2, _rows(scene()), chunk(b"zTXt", b"Comment\0\0" + swollen)), expected="either"
    )
    yield Animal(
        "bomb-profile.png", png(SIZE, 8, 2, _rows(scene()), chunk(b"iCCP", b"icc\0\0" + swollen)), expected="either"
    )
    side = 9_400
    yield Animal("as-large-as-may-be.png", png((side, side), 1, 0, bytes(side * (side // 8 + 1))))
    moving = [Image.new("L", (64, 64), shade % 256) for shade in range(1500)]
    yield Animal("1500-frames-gif.png", saved(moving[0], "GIF", save_all=True, append_images=moving[1:]))


def _exif(rng: random.Random) -> Iterator[Animal]:
    """Turns from 0 to 9, and blocks that are no EXIF data."""
    for number in range(10):
        for ending, kind in (("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP")):
            options = {"lossless": True} if kind == "WEBP" else {}
            block = b"Exif\0\0" + _tags((0x0112, 3, 1, struct.pack("<HH", number, 0)))
            flat = number in (0, 1, 9)
            yield Animal(
                f"turn-{number}-{kind.lower()}.{ending}",
                saved(scene(), kind, exif=block, **options),
                same_as=("plain.jpg.jpg" if kind == "JPEG" else "plain.png") if flat else "",
            )
    blocks = {
        "text": _tags((0x0112, 2, 2, b"6\0\0\0")),
        "no-end": _tags((0x010F, 2, 2**31, b"\xff\xff\xff\xff")),
        "itself": _tags((0x8769, 4, 1, struct.pack("<I", 8))),
        "fraction": _tags((0x0112, 5, 1, struct.pack("<I", 4_000_000))),
        "far": b"II*\0\xff\xff\xff\xff",
        "head": b"II*\0",
        "noise": rng.randbytes(300),
        "nothing": b"",
    }
    for name, block in blocks.items():
        yield Animal(f"exif-{name}.jpg", saved(scene(), "JPEG", exif=b"Exif\0\0" + block), same_as="plain.jpg.jpg")
        yield Animal(f"exif-{name}-png.png", saved(scene(), "PNG", exif=b"Exif\0\0" + block), same_as="plain.png")


def _foreign(rng: random.Random) -> Iterator[Animal]:
    """What an image's name is given to and is none that is read, or is two things at once."""
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 30\n%%EndComments\n{} loop\n%%EOF\n"
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"><script>alert(1)</script></svg>'
    gif = saved(scene().quantize(16), "GIF")
    pages = {
        "holiday-eps.jpg": eps,
        "drawing-svg.png": svg,
        "page-html.png": b"<!doctype html><script>alert(1)</script>" + b"<p>not found</p>" * 40,
        "document-pdf.png": b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n",
        "archive-zip.jpg": b"PK\3\4" + rng.randbytes(400),
        "photoshop-psd.png": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 30, 40, 8, 3) + bytes(500),
        "wmf.png": b"\xd7\xcd\xc6\x9a" + bytes(200),
        "icon-ico.png": saved(scene(), "ICO"),
        "pointer-git-lfs.png": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 99\n",
        "empty.png": b"",
        "one-byte.jpg": b"\xff",
        "noise.png": rng.randbytes(3000),
        "head-and-noise-png.png": b"\x89PNG\r\n\x1a\n" + rng.randbytes(3000),
        "head-and-noise-jpeg.jpg": b"\xff\xd8\xff\xe0\0\x10JFIF\0" + rng.randbytes(3000),
        "head-and-noise-webp.webp": b"RIFF\0\x10\0\0WEBPVP8L" + rng.randbytes(3000),
        "head-and-noise-tiff.png": b"II*\0\x08\0\0\0" + rng.randbytes(3000),
        "head-and-noise-avif.png": b"\0\0\0 ftypavif\0\0\0\0avifmif1" + rng.randbytes(3000),
        "nul.png": bytes(5000),
    }
    for name, content in pages.items():
        yield Animal(name, content, expected="refused")
    yield Animal("gif-and-script.png", gif + b"/*<script>alert(1)</script>*/")
    for number in range(12):  # a few bytes are others
        for ending, kind in (("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP"), ("bmp", "BMP")):
            content = bytearray(saved(scene(), kind))
            for _ in range(rng.choice((1, 3, 20))):
                content[rng.randrange(len(content))] = rng.randrange(256)
            yield Animal(f"flipped-{number}-{ending}.{ending}", bytes(content), expected="either")


def _specials() -> Iterator[Animal]:
    """What is no plain file."""
    for name, special in {
        "pipe.png": Special("pipe"),
        "loop.png": Special("link", "loop.png"),
        "zero.png": Special("link", "/dev/zero"),
        "nowhere.png": Special("link", "nothing-of-this-name.png"),
    }.items():
        yield Animal(name, special, expected="refused")
    yield Animal("folder.png", Special("folder"))
    yield Animal("linked.png", Special("link", "plain.png"), same_as="plain.png")


def _names() -> Iterator[Animal]:
    """Sound images whose names are the trouble."""
    content = saved(scene(), "PNG")
    names = [
        *("line\nbreak.png", "tab\there.png", " blank before.png", "blank behind .png", 'quote\'s "two".png'),
        *("per%cent%s{}.png", "back\\slash.png", "-q.png", "emoji \N{GRINNING FACE}.png", "e\u0301.png"),
        *("right\u202eleft.png", "semi;colon,comma.png", "star*[a]?.png", "CON.png", "two.dots.png", "\u2028line.png"),
        *(os.fsdecode(b"caf\xe9.png"), os.fsdecode(b"\xff\xfe.png"), os.fsdecode(b"\xed\xa0\xbd.png")),
        *("a" * 246 + ".png", "b" * (LONGEST_NAME - 4) + ".png", "\u00e9" * 123 + ".png", "<b>&amp;.png"),
    ]
    for name in names:
        yield Animal(name, content, same_as="plain.png")
    yield Animal("broken line\nbreak.png", b"", expected="refused")
    yield Animal(os.fsdecode(b"broken caf\xe9.png"), b"", expected="refused")
    yield Animal("broken right\u202eleft.png", b"", expected="refused")
    yield Animal("broken " + "c" * (LONGEST_NAME - 11) + ".png", b"", expected="refused")


def _shapes() -> Iterator[Animal]:
    """Sizes that processors and arithmetic trip over."""
    for width, height in ((900, 4), (4, 900), (1, 1), (1, 2), (2, 1), (3, 3), (LONG_SIDE, 1), (1, LONG_SIDE), (201, 1)):
        yield Animal(f"{width}x{height}.png", saved(scene(width, height), "PNG"))
    yield Animal(f"{LONG_SIDE}x1.jpg.jpg", saved(scene(LONG_SIDE, 1), "JPEG"))


def _rows(image: Image.Image) -> bytes:
    """The rows of an RGB image, each behind the 0 that PNG wants."""
    return b"".join(b"\0" + row.tobytes() for row in np.asarray(image))


def _deep_colour(image: Image.Image) -> bytes:
    deep = (np.asarray(image).astype(np.uint16) * 257).astype(">u2")
    return png(image.size, 16, 2, b"".join(b"\0" + row.tobytes() for row in deep))


def _lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    transform = ImageCms.buildTransform(*profiles, "RGB", "LAB")
    found = ImageCms.applyTransform(image, transform)
    assert found is not None
    found.info.clear()  # of the profile, which bears the time
    return found


def _ycck(cmyk: bytes) -> bytes:
    """A CMYK JPEG whose Adobe marker says that it is YCCK."""
    at = cmyk.index(b"Adobe") + 11
    return cmyk[:at] + b"\2" + cmyk[at + 1 :]


def _tags(*entries: tuple[int, int, int, bytes]) -> bytes:
    """A block of EXIF data: its tags as number, type, count and four bytes."""
    listed = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + listed + bytes(4)
