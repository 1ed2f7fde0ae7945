"""Which files are opened as images at all, and what of their EXIF data counts."""

import ast
import os
import socket
import struct
import threading
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

import thinkseg
from thinkseg.errors import ImageError
from thinkseg.imaging import FORMATS, load_image, load_mask, peek, read_header
from thinkseg.types import Size

ENCAPSULATED = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 40 30
%%EndComments
(/etc/hostname) (r) file
%%EOF
"""
"""PostScript as an image, which asks the program that draws it for a file."""

ASYMMETRIC = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3
"""Six wide, four high, no two pixels alike."""

UPRIGHT = {
    1: ASYMMETRIC,
    2: ASYMMETRIC[:, ::-1],
    3: ASYMMETRIC[::-1, ::-1],
    4: ASYMMETRIC[::-1],
    5: ASYMMETRIC.transpose(1, 0, 2),
    6: np.rot90(ASYMMETRIC, -1),
    7: ASYMMETRIC[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(ASYMMETRIC),
}
"""What the eight orientations of EXIF's definition ask for, in NumPy's words."""


def exif(kind: int, count: int, value: bytes, tag: int = 0x0112, order: str = "<") -> bytes:
    """A block of EXIF data with one tag."""
    head = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}HHI", tag, kind, count) + value.ljust(4, b"\0")
    return b"Exif\0\0" + head + struct.pack(f"{order}IH", 8, 1) + entry + struct.pack(f"{order}I", 0)


def written(path: Path, block: bytes, **options: object) -> Path:
    Image.fromarray(ASYMMETRIC).save(path, exif=block, **options)
    return path


@pytest.mark.parametrize("name", ["holiday.jpg", "mask.png", "drawing.eps"])
def test_postscript_is_refused_whatever_its_name_and_its_reader_is_never_asked(tmp_path, monkeypatch, name):
    Image.init()

    def asked(*_):
        raise AssertionError("the reader of PostScript was asked")

    monkeypatch.setitem(Image.OPEN, "EPS", (asked, asked))
    path = tmp_path / name
    path.write_bytes(ENCAPSULATED)
    for load in (load_image, load_mask, read_header):
        with pytest.raises(ImageError, match=rf"{name}' is not an image of a kind that can be read \(PNG, JPEG, .*PNG"):
            load(path)
    with pytest.raises(ImageError, match="'upload' is not an image"):
        load_image(BytesIO(ENCAPSULATED), "upload")


def test_no_format_that_calls_another_program_or_draws_is_read():
    assert not {"EPS", "WMF", "PSD", "FITS", "HDF5", "GRIB", "BUFR", "MPEG", "PDF", "SPIDER"} & set(FORMATS)


@pytest.mark.parametrize("suffix", ["ppm", "jp2", "tiff", "gif", "bmp", "webp"])
def test_the_formats_that_photographs_and_masks_are_kept_in_are_read(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.new("RGB", (8, 6), (250, 250, 250)).save(path)
    assert load_image(path).size == read_header(path).size.wh == (8, 6)


def calls_of_open(file: Path) -> list[int]:
    """The lines in which Pillow is asked to open something, by whatever name it was imported."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    modules, functions = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in ("PIL", "PIL.Image"):
            for name in node.names:
                (functions if name.name == "open" else modules).add(name.asname or name.name)
        if isinstance(node, ast.Import):
            modules |= {name.asname or name.name for name in node.names if name.name.startswith("PIL")}
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Name) and node.func.id in functions)
            or (
                isinstance(node.func, ast.Attribute)
                and node.func.attr == "open"
                and ast.unparse(node.func.value) in modules | {"PIL.Image"}
            )
        )
    ]


def test_images_are_opened_in_one_place():
    package = Path(thinkseg.__file__).parent
    places = {str(file.relative_to(package)): calls_of_open(file) for file in sorted(package.rglob("*.py"))}
    assert {place: len(lines) for place, lines in places.items() if lines} == {"imaging/opening.py": 1}


def test_a_pipe_a_device_a_socket_and_a_folder_are_refused_before_they_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        place = os.path.relpath(tmp_path / "socket.png")  # such a name is short or not possible
        listener.bind(place)
        failures: list[str] = []

        def try_all() -> None:
            for name in ("pipe.png", "folder.png", "link.png", "socket.png"):
                for load in (load_image, load_mask, read_header):
                    with pytest.raises(ImageError, match=name) as caught:
                        load(tmp_path / name)
                    failures.append(str(caught.value))

        thread = threading.Thread(target=try_all, daemon=True)
        thread.start()
        thread.join(20)
    assert len(failures) == 12  # none of them hangs
    assert all("\n" not in failure and "found a" in failure for failure in failures)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("number", range(1, 9))
def test_each_of_the_eight_orientations_is_turned_as_exif_defines_it(tmp_path, number, order):
    block = exif(3, 1, struct.pack(f"{order}H", number), order=order)
    paths = [
        written(tmp_path / "a.png", block),
        written(tmp_path / "a.webp", block, lossless=True),
    ]
    tiff = tmp_path / "a.tif"
    Image.fromarray(ASYMMETRIC).save(tiff, tiffinfo={0x0112: number})
    jpeg = written(tmp_path / "a.jpg", block, quality=100, subsampling=0)
    for path in (*paths, tiff, jpeg):
        loaded, header = np.asarray(load_image(path)).astype(int), read_header(path)
        assert loaded.shape == UPRIGHT[number].shape
        assert np.abs(loaded - UPRIGHT[number]).max() <= (8 if path == jpeg else 0)
        assert header.size == Size(loaded.shape[1], loaded.shape[0])
        assert header.turned is (number > 1)


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(exif(2, 2, b"6\0"), id="text"),
        pytest.param(exif(7, 2, b"\6\0"), id="undefined"),
        pytest.param(exif(3, 1, struct.pack("<H", 9)), id="nine"),
        pytest.param(exif(3, 1, struct.pack("<H", 0)), id="nought"),
        pytest.param(exif(3, 1, struct.pack("<H", 65535)), id="the largest"),
        pytest.param(exif(3, 2, struct.pack("<HH", 6, 6)), id="two numbers"),
        pytest.param(exif(5, 1, struct.pack("<I", 4_000_000)), id="a fraction that lies nowhere"),
        pytest.param(exif(4, 2**31, struct.pack("<I", 6)), id="two thousand million numbers"),
        pytest.param(exif(2, 2**31, b"\xff\xff\xff\xff", tag=0x010F), id="a maker's name without end"),
        pytest.param(b"Exif\0\0II*\0\xff\xff\xff\xff", id="a table beyond the end"),
        pytest.param(b"Exif\0\0II*\0", id="a head alone"),
        pytest.param(b"Exif\0\0no order of bytes", id="no head"),
        pytest.param(b"Exif\0\0", id="nothing"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_sound_image_with_odd_exif_data_is_read_as_it_lies(tmp_path, block):
    """Two readers of an image's size agreed only on the numbers from 1 to 8."""
    for path in (written(tmp_path / "a.png", block), written(tmp_path / "a.jpg", block)):
        header = read_header(path)
        assert (header.size, header.turned) == (Size(6, 4), False)
        assert load_image(path).size == (6, 4)
        assert load_mask(written(tmp_path / "mask.png", block)).shape == (4, 6)


@given(st.binary(max_size=60), st.integers(1, 8))
@settings(max_examples=150, deadline=None)
def test_the_turn_is_found_among_damaged_tags(rest, number):
    """The tag of the turn stands first, whatever bytes follow in the place of the others."""
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, number, 0)
    block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 5) + entry + rest
    content = BytesIO()
    Image.fromarray(ASYMMETRIC).save(content, format="PNG", exif=block)
    loaded = load_image(BytesIO(content.getvalue()), "image")
    assert (np.asarray(loaded) == UPRIGHT[number]).all()


def test_what_was_turned_once_is_not_turned_again(tmp_path):
    path = written(tmp_path / "a.png", exif(3, 1, struct.pack("<H", 6)))
    once = load_image(path)
    assert (np.asarray(load_image(once)) == UPRIGHT[6]).all()
    assert (np.asarray(ImageOps.exif_transpose(once)) == UPRIGHT[6]).all()


def test_an_image_in_memory_keeps_its_exif_data(tmp_path):
    path = written(tmp_path / "a.png", exif(3, 1, struct.pack("<H", 6)))
    with Image.open(path) as image:
        assert load_image(image).size == (4, 6)
        assert image.size == (6, 4)
        assert image.getexif()[0x0112] == 6


def test_the_turn_may_stand_in_xmp_alone(tmp_path):
    path = tmp_path / "a.jpg"
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    Image.fromarray(ASYMMETRIC).save(path, xmp=packet)
    assert load_image(path).size == read_header(path).size.wh == (4, 6)


def test_a_peek_says_format_and_stored_size_and_decodes_nothing(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, found in (("a.jpg", "JPEG"), ("a.png", "PNG"), ("a.webp", "WEBP")):
        Image.new("RGB", (20, 10)).save(tmp_path / name, exif=exif)
        kind, size = peek((tmp_path / name).read_bytes())
        assert (kind, size.wh) == (found, (20, 10))
    with pytest.raises(ImageError, match=r"not an image of a kind that can be read \(PNG\)"):
        peek((tmp_path / "a.jpg").read_bytes(), ("PNG",))
    Image.effect_noise((200, 100), 50).save(tmp_path / "noise.png")
    half = (tmp_path / "noise.png").read_bytes()[:5000]
    assert peek(half) == ("PNG", Size(200, 100))
    with pytest.raises(ImageError, match="damaged or cut short"):
        load_image(BytesIO(half))
