"""Images of every mode, masks of every convention, broken files and COCO's run lengths."""

import hashlib
import math
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from thinkseg.errors import ImageError
from thinkseg.imaging import (
    MAX_PIXELS,
    find_images,
    load_image,
    load_map,
    load_mask,
    mask_from_rle,
    read_header,
    resize_mask,
    rle_from_mask,
    save_mask,
)
from thinkseg.types import Size

MASK = np.zeros((6, 8), bool)
MASK[1:4, 2:7] = True


def grey(low, high, dtype=np.uint8):
    """The mask as an image of two grey values."""
    return Image.fromarray(np.where(MASK, high, low).astype(dtype))


def coloured(low, high):
    """The mask as an image of two colours, RGB or RGBA."""
    return Image.fromarray(np.where(MASK[..., None], high, low).astype(np.uint8))


def palette_image(*colours):
    """The mask as indices 0 and 1 into a palette."""
    image = Image.fromarray(MASK.astype(np.uint8)).convert("P")
    image.putdata(MASK.astype(np.uint8).ravel().tolist())
    image.putpalette([value for colour in colours for value in colour])
    return image


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV"])
def test_an_image_of_any_mode_becomes_rgb(tmp_path, mode):
    image = coloured((20, 20, 20), (250, 250, 250)).convert(mode)
    loaded = load_image(image)
    assert (loaded.mode, loaded.size) == ("RGB", (8, 6))
    values = np.asarray(loaded)
    assert (values[MASK] > 200).all()
    assert (values[~MASK] < 60).all()


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp", "tif", "gif"])
def test_an_image_of_any_file_type_is_read(tmp_path, suffix):
    path = tmp_path / f"image.{suffix}"
    coloured((20, 20, 20), (250, 250, 250)).save(path)
    assert load_image(path).size == load_image(str(path)).size == (8, 6)


def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path):
    path = tmp_path / "deep.png"
    grey(1000, 40000, np.uint16).save(path)
    values = np.asarray(load_image(path))
    assert set(values[MASK].ravel()) == {round(40000 / 65535 * 255)}
    assert set(values[~MASK].ravel()) == {round(1000 / 65535 * 255)}


def test_floating_point_images_from_zero_to_one_fill_the_range():
    assert set(np.asarray(load_image(grey(0.0, 1.0, np.float32))).ravel()) == {0, 255}


def test_transparency_is_laid_on_white():
    image = Image.fromarray(np.dstack([np.zeros((6, 8, 3)), np.where(MASK, 255, 0)]).astype(np.uint8))
    assert image.mode == "RGBA"
    values = np.asarray(load_image(image))
    assert (values[MASK] == 0).all()
    assert (values[~MASK] == 255).all()


def test_exif_turns_image_and_mask_alike(tmp_path):
    path = tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn clockwise to see
    grey(0, 255).save(path, exif=exif)
    assert load_image(path).size == (6, 8)
    assert (load_mask(path) == np.rot90(MASK, -1)).all()


def test_the_image_in_memory_stays_usable():
    image = grey(0, 255).convert("RGB")
    assert load_image(image).size == (8, 6)
    assert image.getpixel((3, 2)) == (255, 255, 255)


def files_that_cannot_be_read(folder):
    """A missing file, a folder, a text and images that were cut short."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    (folder / "folder.png").mkdir()
    (folder / "text.png").write_text("not an image")
    (folder / "empty.png").write_bytes(b"")
    for suffix in ("png", "jpg", "bmp", "webp", "gif"):
        noise.save(folder / f"whole.{suffix}")
        whole = (folder / f"whole.{suffix}").read_bytes()
        (folder / f"cut.{suffix}").write_bytes(whole[: len(whole) // 2])
    names = ["missing.png", "folder.png", "text.png", "empty.png"]
    return [folder / name for name in names] + sorted(folder.glob("cut.*"))


def test_a_file_that_cannot_be_read_is_named_in_a_sentence(tmp_path):
    paths = files_that_cannot_be_read(tmp_path)
    assert len(paths) == 9
    for path in paths:
        for load in (load_image, load_mask):
            with pytest.raises(ImageError, match=path.name) as caught:
                load(path)
            assert "\n" not in str(caught.value)


def png_chunk(kind, content):
    """One chunk of a PNG file: length, kind, content, checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.mark.parametrize("warning", ["error", "ignore"])
def test_an_image_with_too_many_pixels_is_refused(tmp_path, warning):
    side = math.isqrt(MAX_PIXELS) + 1
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    path = tmp_path / "bomb.png"  # a hundred bytes that say how many pixels follow
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(b"")) + png_chunk(b"IEND", b""))
    for load in (load_image, load_mask):
        with warnings.catch_warnings():
            warnings.simplefilter(warning, Image.DecompressionBombWarning)  # Pillow looks at the number, too
            with pytest.raises(ImageError, match=f"bomb.png' has more than {MAX_PIXELS:,} pixels"):
                load(path)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(grey(0, 255), id="0 and 255"),
        pytest.param(grey(0, 1), id="0 and 1"),
        pytest.param(grey(30, 200), id="blurred by JPEG"),
        pytest.param(grey(0, 255).convert("1"), id="one bit"),
        pytest.param(grey(0, 65535, np.uint16), id="16 bits"),
        pytest.param(grey(0, 255, np.uint16), id="8 bits in 16"),
        pytest.param(grey(0, 255, np.int32), id="32 bits"),
        pytest.param(grey(0.1, 0.9, np.float32), id="float"),
        pytest.param(coloured((0, 0, 0), (255, 255, 255)), id="RGB"),
        pytest.param(coloured((0, 0, 0), (255, 0, 0)), id="red on black"),
        pytest.param(coloured((0, 0, 0), (255, 255, 255)).convert("RGBA"), id="opaque RGBA"),
        pytest.param(coloured((0, 0, 0, 0), (0, 0, 0, 255)), id="transparency alone, black"),
        pytest.param(coloured((255, 255, 255, 0), (255, 255, 255, 255)), id="transparency alone, white"),
        pytest.param(grey(0, 255).convert("LA"), id="grey with alpha"),
        pytest.param(palette_image((0, 0, 0), (255, 255, 255)), id="grey palette"),
        pytest.param(palette_image((0, 0, 0), (128, 0, 0)), id="palette of classes"),
    ],
)
def test_a_mask_of_any_convention_reads_the_same(image):
    assert (load_mask(image) == MASK).all()


def test_a_grey_palette_in_reverse_order_is_read_by_its_greys():
    assert (load_mask(palette_image((255, 255, 255), (0, 0, 0))) == ~MASK).all()


def test_an_all_black_mask_is_empty_and_an_all_white_one_full():
    assert not load_mask(Image.new("L", (8, 6))).any()
    assert load_mask(Image.new("L", (8, 6), 255)).all()


def test_a_soft_map_runs_from_zero_to_one():
    values = load_map(grey(51, 204))
    assert values[MASK] == pytest.approx(0.8)
    assert values[~MASK] == pytest.approx(0.2)


def test_a_saved_mask_reads_back_and_is_a_png(tmp_path):
    """Defect 11: JPEG bytes under the name of a PNG change the mask."""
    path = tmp_path / "new folder" / "mask.png"
    save_mask(MASK, path)
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("PNG", "L")
        assert set(np.asarray(image).ravel()) == {0, 255}
    assert (load_mask(path) == MASK).all()
    with pytest.raises(ImageError, match=r"\.jpg"):
        save_mask(MASK, tmp_path / "mask.jpg")


def test_a_mask_is_resized_by_nearest_pixel_or_by_area():
    half = MASK.repeat(2, axis=0).repeat(2, axis=1)
    for method in ("nearest", "area"):
        assert (resize_mask(half, Size(8, 6), method) == MASK).all()
        assert (resize_mask(MASK, Size(16, 12), method) == half).all()
    thin = np.zeros((4, 4), bool)
    thin[::2] = True
    thin[3] = True
    assert resize_mask(thin, Size(4, 1), "area").all()
    assert resize_mask(thin, Size(4, 4)) is thin


def test_the_images_of_a_folder_are_found_in_any_letter_case(tmp_path):
    for name in ("b.JPG", "a.png", "c.Jpeg", "d.WebP", "e.bmp"):
        grey(0, 255).save(tmp_path / name)
    for name in ("notes.txt", "._a.png"):
        (tmp_path / name).write_text("")
    assert list(find_images(tmp_path)) == ["a", "b", "c", "d", "e"]


def test_a_link_that_leads_nowhere_is_found_as_an_image_that_cannot_be_read(tmp_path):
    """Passed over, it would be a target that nobody misses."""
    (tmp_path / "a.png").symlink_to("nowhere.png")
    (tmp_path / "b.png").mkdir()
    found = find_images(tmp_path)
    assert list(found) == ["a"]
    with pytest.raises(ImageError, match=r"a\.png"):
        load_mask(found["a"])


def test_what_is_no_finite_number_in_an_image_of_fractions_is_black(tmp_path):
    values = np.array([[0, 0.5, 1], [np.nan, np.inf, -np.inf]], np.float32)
    Image.fromarray(values).save(tmp_path / "a.tiff")
    assert np.asarray(load_image(tmp_path / "a.tiff"))[..., 0].tolist() == [[0, 128, 255], [0, 0, 0]]


def test_two_images_of_one_name_and_a_missing_folder_are_refused(tmp_path):
    for name in ("a.jpg", "a.png"):
        grey(0, 255).save(tmp_path / name)
    with pytest.raises(ImageError, match=r"a\.jpg' and .*a\.png'"):
        find_images(tmp_path)
    with pytest.raises(ImageError, match="nowhere"):
        find_images(tmp_path / "nowhere")


def block():
    mask = np.zeros((5, 7), bool)
    mask[1:4, 2:5] = True
    return mask


def disc():
    rows, columns = np.indices((300, 400))
    return (columns - 200) ** 2 + (rows - 150) ** 2 < 90**2


def corner():
    mask = np.zeros((3, 4), bool)
    mask[0, 0] = True
    return mask


def half():
    mask = np.zeros((2000, 3000), bool)
    mask[:, 1500:] = True
    return mask


@pytest.mark.parametrize(
    ("mask", "counts"),
    [
        (block(), ";320009"),
        (np.zeros((3, 4), bool), "<"),
        (np.ones((3, 4), bool), "0<"),
        (corner(), "01;"),
        (np.indices((6, 9)).sum(0) % 2 == 1, "1110010O0010O0010O0010O0010O0010O0010O0010O000"),
        (half(), "Pfak2Pfak2"),
    ],
)
def test_run_lengths_are_the_text_that_coco_tools_write(mask, counts):
    rle = rle_from_mask(mask)
    assert rle == {"size": list(mask.shape), "counts": counts}
    assert (mask_from_rle(rle) == mask).all()


def test_run_lengths_of_a_disc_are_the_text_that_coco_tools_write():
    counts = rle_from_mask(disc())["counts"]
    assert hashlib.sha1(counts.encode()).hexdigest() == "05f22775fe5eb811f7c0f1ef8ab0d23e107db810"
    assert (mask_from_rle({"size": [300, 400], "counts": counts}) == disc()).all()


@given(arrays(bool, st.tuples(st.integers(1, 70), st.integers(1, 70))))
@settings(max_examples=60, deadline=None)
def test_run_lengths_read_back_as_the_mask(mask):
    for layout in (mask, np.asfortranarray(mask), mask[::-1, ::2]):
        back = mask_from_rle(rle_from_mask(layout))
        assert (back == layout).all()
        assert back.dtype == np.bool_


@pytest.mark.parametrize(
    ("size", "counts", "reason"),
    [
        ([3, 4], ";", "add up to 12, found 11"),
        ([3, 4], "01P", "cut short"),
        ([3, 4], "01 ", "characters"),
        ([3, 4], "", "found 0"),
        ([-3, -4], "<", "not possible"),
        ([10**9, 10**9], "<", "too large"),
        ([3, 4], "O=", "add up"),
        ([3, 4], "P" * 40 + "1", "more than 7 characters"),
        ([3, 4], "1é", "characters"),
    ],
)
def test_damaged_run_lengths_are_refused(size, counts, reason):
    with pytest.raises(ImageError, match=reason):
        mask_from_rle({"size": size, "counts": counts})


def test_a_header_says_the_upright_size_and_the_true_kind_of_a_file(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "turned.jpg", exif=exif)
    header = read_header(tmp_path / "turned.jpg")
    assert (header.size, header.format, header.mode, header.turned) == (Size(30, 40), "JPEG", "RGB", True)
    assert load_image(tmp_path / "turned.jpg").size == header.size.wh
    with (tmp_path / "mask.png").open("wb") as stream:
        Image.new("L", (8, 6)).save(stream, format="JPEG")
    header = read_header(tmp_path / "mask.png")
    assert (header.size, header.format, header.mode, header.turned) == (Size(8, 6), "JPEG", "L", False)


def test_a_header_is_refused_like_its_image(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match="not an image"):
        read_header(tmp_path / "a.png")
    with pytest.raises(ImageError, match="no such file"):
        read_header(tmp_path / "gone.png")
