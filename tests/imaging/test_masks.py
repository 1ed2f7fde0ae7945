"""A mask's file is of two values by a stated rule, or it is refused with what was found: never silently empty."""

import subprocess
import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageFilter

from thinkseg.errors import ImageError
from thinkseg.imaging import NotAMaskError, load_map, load_mask, read_mask

ROWS, COLUMNS = np.indices((120, 160))
DISC = (COLUMNS - 80) ** 2 + (ROWS - 60) ** 2 < 36**2
OTHER = (COLUMNS > 130) & (ROWS > 20)
"""Another object, beside it."""
RING = ((COLUMNS - 80) ** 2 + (ROWS - 60) ** 2 < 41**2) & ~DISC
"""What a trimap calls unknown."""


def painted(*areas, background=0):
    """An image of one value or colour for each (area, value) on a background."""
    depth = np.ndim(areas[0][1])
    pixels = np.full((*DISC.shape, len(areas[0][1])) if depth else DISC.shape, background)
    for area, value in areas:
        pixels[area] = value
    return Image.fromarray(pixels.astype(np.uint8))


def through_jpeg(image, quality, *, stays=True):
    """What JPEG makes of an image; opened as JPEG, or as pixels that have forgotten it."""
    content = BytesIO()
    image.save(content, format="JPEG", quality=quality)
    again = Image.open(BytesIO(content.getvalue()))
    return again if stays else Image.fromarray(np.asarray(again))


def indexed(numbers, *colours):
    image = Image.fromarray(numbers.astype(np.uint8), mode="L").convert("L")
    paletted = Image.frombytes("P", image.size, image.tobytes())
    paletted.putpalette([value for colour in colours for value in colour])
    return paletted


def cut_out(colour=None):
    """A photograph of something dark, transparent outside the disc."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 90, (*DISC.shape, 3)) if colour is None else np.full((*DISC.shape, 3), colour)
    return Image.fromarray(np.dstack([pixels, DISC * 255]).astype(np.uint8))


TWO = DISC | OTHER


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(painted((DISC, 1)), DISC, id="0 and 1"),
        pytest.param(painted((DISC, 2)), DISC, id="0 and 2, a class alone"),
        pytest.param(
            through_jpeg(painted((DISC, (255, 120, 0)), background=(0, 0, 0)), 90), DISC, id="one colour, JPEG"
        ),
        pytest.param(painted((DISC, 38)), DISC, id="0 and 38, faint"),
        pytest.param(painted((DISC, 127)), DISC, id="0 and 127"),
        pytest.param(painted((DISC, (48, 112, 32)), background=(0, 0, 0)), DISC, id="a dark green on black"),
        pytest.param(painted((DISC, (2, 2, 2)), background=(0, 0, 0)), DISC, id="a class as a colour"),
        pytest.param(painted((DISC, (60, 0, 0)), background=(0, 0, 0)), DISC, id="a dark red on black"),
        pytest.param(Image.fromarray((DISC * 26001).astype(np.uint16)), DISC, id="one instance in 16 bits"),
        pytest.param(Image.fromarray((DISC * 70_000).astype(np.int32)), DISC, id="one instance in 32 bits"),
        pytest.param(cut_out(), DISC, id="a cut-out of something dark"),
        pytest.param(cut_out((0, 0, 0)), DISC, id="a black cut-out"),
        pytest.param(cut_out((60, 40, 30)), DISC, id="a cut-out in one colour"),
        pytest.param(cut_out().convert("LA"), DISC, id="a grey cut-out"),
        pytest.param(
            painted((DISC, (255, 255, 255, 128)), (~DISC, (0, 0, 0, 128)), background=(0, 0, 0, 0)),
            DISC,
            id="half transparent everywhere",
        ),
        pytest.param(
            painted((DISC, (255, 255, 255, 255)), (OTHER, (0, 0, 0, 0)), background=(0, 0, 0, 255)),
            DISC,
            id="white on black with a hole",
        ),
        pytest.param(indexed(TWO, (0, 0, 0), (128, 0, 0)), TWO, id="a palette"),
        pytest.param(indexed(DISC + 2 * OTHER, (0, 0, 0), (128, 0, 0), (0, 90, 0)), TWO, id="a palette of objects"),
        pytest.param(indexed(DISC, (0, 0, 0), (0, 0, 0)), DISC, id="a palette that shows nothing"),
        pytest.param(painted((DISC, 255)).filter(ImageFilter.GaussianBlur(1)), DISC, id="a soft rim"),
        pytest.param(through_jpeg(painted((DISC, 255)), 75), DISC, id="JPEG"),
        pytest.param(through_jpeg(painted((DISC, 200), background=30), 75), DISC, id="JPEG of greys"),
        pytest.param(through_jpeg(painted((DISC, 255)), 30, stays=False), DISC, id="JPEG of low quality as PNG"),
    ],
)
def test_a_foreground_that_is_there_is_seen(image, expected):
    found = load_mask(image)
    assert (found & expected).sum() / (found | expected).sum() > 0.99


@pytest.mark.parametrize("quality", [20, 50, 75, 90, 95, 100])
def test_what_jpeg_leaves_of_a_mask_is_a_mask(quality):
    for image in (through_jpeg(painted((TWO, 255)), quality), through_jpeg(painted((TWO, 255)), quality, stays=False)):
        assert (load_mask(image) != TWO).mean() < 0.005


@pytest.mark.parametrize("factor", [2, 3])
def test_a_mask_that_was_made_smaller_is_a_mask(factor):
    small = painted((TWO, 255)).resize((160 // factor, 120 // factor), Image.Resampling.BOX)
    nearest = TWO[factor // 2 :: factor, factor // 2 :: factor][: small.height, : small.width]
    assert (load_mask(small) != nearest).mean() < 0.03


@pytest.mark.parametrize(
    ("image", "found"),
    [
        pytest.param(painted((DISC, 1), (OTHER, 2)), "found 0 (", id="class numbers"),
        pytest.param(
            painted((DISC, 1), background=2),
            f"found 1 ({DISC.sum():,} pixels), 2 ({(~DISC).sum():,} pixels)",
            id="1 and 2",
        ),
        pytest.param(painted((DISC, 1), (RING, 3), background=2), f"1 ({DISC.sum():,} pixels)", id="a pet's trimap"),
        pytest.param(painted((DISC, 255), (RING, 128)), "128 (", id="a trimap"),
        pytest.param(through_jpeg(painted((DISC, 255), (RING, 128)), 90), "more values", id="a trimap in JPEG"),
        pytest.param(painted((DISC, 255), (OTHER, 1)), "1 (", id="a class and what is not to be counted"),
        pytest.param(painted((DISC, 255), (OTHER, 200)), "200 (", id="two instances in greys"),
        pytest.param(painted((DISC, 2), background=2), "2 (19,200 pixels)", id="a class everywhere"),
        pytest.param(Image.fromarray((DISC * 26001 + OTHER * 26002).astype(np.uint16)), "26002 (", id="two in 16 bits"),
        pytest.param(
            painted((DISC, (255, 0, 0)), (OTHER, (0, 255, 0)), background=(0, 0, 0)), "(255, 0, 0)", id="colours"
        ),
        pytest.param(
            painted((DISC, (48, 112, 32)), (OTHER, (9, 60, 80)), background=(0, 0, 0)), "(48, 112, 32)", id="dark ones"
        ),
        pytest.param(painted((DISC, (255, 0, 0)), background=(255, 255, 255)), "(255, 255, 255)", id="red on white"),
        pytest.param(
            through_jpeg(painted((DISC, (255, 0, 0)), background=(255, 255, 255)), 80), "white", id="red on white, JPEG"
        ),
        pytest.param(indexed(DISC, (128, 0, 0), (0, 0, 0)), "index 1", id="a palette that is the other way round"),
        pytest.param(
            indexed(1 + DISC + 2 * RING, (0, 0, 0), (128, 0, 0), (0, 128, 0), (0, 0, 128)),
            "indices 1, 2, 3, and not 0",
            id="a trimap in a palette",
        ),
        pytest.param(
            through_jpeg(painted((DISC, (255, 0, 0)), background=(0, 0, 255)), 90), "different", id="red on blue, JPEG"
        ),
        pytest.param(
            through_jpeg(painted((DISC, (255, 0, 0)), (OTHER, (0, 255, 0)), background=(0, 0, 0)), 75),
            "different",
            id="colours, JPEG",
        ),
        pytest.param(Image.fromarray(DISC * np.float32(-1)), "down to -1", id="below zero"),
        pytest.param(
            painted((DISC, (9, 9, 9, 0)), (OTHER, (90, 0, 0, 0)), background=(0, 0, 0, 0)), "transparent", id="unseen"
        ),
        pytest.param(Image.fromarray(np.where(DISC, np.nan, 0).astype(np.float32)), "finite", id="not a number"),
        pytest.param(
            Image.fromarray(np.random.default_rng(0).normal(120, 25, DISC.shape).clip(0, 255).astype(np.uint8)),
            "between a quarter and three quarters",
            id="a photograph",
        ),
    ],
)
def test_what_cannot_be_told_is_refused_with_what_was_found(tmp_path, image, found):
    with pytest.raises(NotAMaskError) as caught:
        load_mask(image)
    assert found in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_refused_file_is_named_and_the_reader_says_what_to_do(tmp_path):
    painted((DISC, 1), (OTHER, 2)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png' is no mask of two values: found .*255 on it and 0 elsewhere$"):
        load_mask(tmp_path / "a.png")


def test_a_mask_says_how_many_values_it_has():
    assert read_mask(painted((DISC, 255))).values == 2
    assert read_mask(painted((DISC, 255)).filter(ImageFilter.GaussianBlur(1))).values > 2


def test_a_prediction_may_be_soft_however_faint():
    soft = load_map(painted((DISC, 51), (OTHER, 102)))
    assert soft[DISC] == pytest.approx(0.2)
    assert soft[OTHER] == pytest.approx(0.4)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in other units elsewhere")
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_large_mask_is_read_in_a_few_times_its_size(tmp_path, mode):
    """16 megapixels; a float of eight bytes for each pixel and its copies would be several times more."""
    mask = Image.new("L", (4000, 4000))
    mask.paste(255, (100, 100, 3000, 2000))
    mask.convert(mode).save(tmp_path / "a.png")
    code = (
        "import resource, sys; from thinkseg.imaging import load_mask; load_mask; "
        "import numpy, PIL.Image; PIL.Image.init(); "
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; "
        "assert load_mask(sys.argv[1]).sum() == 2900 * 1900; "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.png")], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) / 1024 < 16 * (6 if mode == "L" else 14)
