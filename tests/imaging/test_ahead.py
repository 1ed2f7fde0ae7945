import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thinkseg.errors import ImageError
from thinkseg.imaging import ImagesAhead, load_image, shown_image


def write(folder: Path, *names: str) -> list[Path]:
    """Images of a colour each."""
    files = [folder / name for name in names]
    for number, file in enumerate(files):
        Image.new("RGB", (5, 4), (number, 0, 0)).save(file)
    return files


class Recorder:
    """Loads images, and keeps which ones."""

    def __init__(self) -> None:
        self.loaded: list[str] = []

    def __call__(self, file: str) -> Image.Image:
        self.loaded.append(Path(file).name)
        return load_image(file)


class Held:
    """Loads one image at a time and keeps which ones; each waits until it may go on."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.loaded: list[str] = []

    def __call__(self, file: str) -> Image.Image:
        self.loaded.append(file)
        self.begun.set()
        assert self.go_on.wait(60)
        return Image.new("RGB", (1, 1))


def test_a_file_is_decoded_once_as_long_as_it_is_kept_and_anew_when_it_was_forgotten(tmp_path: Path) -> None:
    one, two = write(tmp_path, "1.png", "2.png")
    load = Recorder()
    with ImagesAhead(load) as images:
        images.keep([one, two, one])
        first = images.take(str(one))
        assert first is not None
        assert first.getpixel((0, 0)) == (0, 0, 0)
        images.keep([two, one])
        assert images.take(one) is first
        images.keep([two])
        assert images.take(one) is None
        assert images.take(two) is not None
        images.keep([one])
        assert images.take(one) is not first
    assert load.loaded == ["1.png", "2.png", "1.png"]


def test_of_what_is_needed_later_as_much_is_decoded_as_the_budget_has_room_for_and_the_rest_in_its_turn(
    tmp_path: Path,
) -> None:
    files = write(tmp_path, *(f"{number}.png" for number in range(6)))
    load = Recorder()
    with ImagesAhead(load, budget=5 * 4 * 4 + 1) as images:  # of one and a little of another one
        images.keep(files[:2], files[2:])
        assert [images.take(file) is None for file in files] == [False, False, False, False, True, True]
        ahead = images.take(files[2])
        images.keep(files[2:4], files[4:])
        assert images.take(files[2]) is ahead
        assert all(images.take(file) is not None for file in files[2:])
        images.keep(files[4:])
        assert all(images.take(file) is not None for file in files[4:])
    assert load.loaded == [file.name for file in files]


def test_what_had_no_room_is_decoded_when_it_is_needed(tmp_path: Path) -> None:
    one, two, three = write(tmp_path, "1.png", "2.png", "3.png")
    load = Recorder()
    with ImagesAhead(load, budget=1) as images:
        images.keep([one], [two, three])
        assert images.take(three) is None
        images.keep([one, three], [two])
        assert images.take(three) is not None
    assert load.loaded == ["1.png", "2.png", "3.png"]


def test_what_is_forgotten_before_its_turn_is_not_decoded() -> None:
    load = Held()
    with ImagesAhead(load) as images:
        images.keep(["0", "1", "2"], ["3"])
        assert load.begun.wait(60)
        images.keep(["2"])
        load.go_on.set()
        assert images.take("2") is not None
    assert load.loaded == ["0", "2"]


def test_a_file_that_cannot_be_read_is_none_for_whoever_opens_it_to_be_told_why(tmp_path: Path) -> None:
    with ImagesAhead() as images:
        images.keep([tmp_path / "none.png"])
        assert images.take(tmp_path / "none.png") is None


def test_what_a_loader_raises_besides_is_raised_where_the_image_is_taken(tmp_path: Path) -> None:
    def load(file: str) -> Image.Image:
        raise MemoryError(file)

    with ImagesAhead(load) as images:
        images.keep(["huge.png"])
        with pytest.raises(MemoryError, match=r"huge\.png"):
            images.take("huge.png")


def test_at_the_end_what_has_not_begun_is_left_out_and_no_thread_stays(tmp_path: Path) -> None:
    load = Held()

    def interrupted() -> None:
        with ImagesAhead(load) as images:
            images.keep(map(str, range(10)))
            assert load.begun.wait(60)
            threading.Timer(0.05, load.go_on.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert load.loaded == ["0"]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("images-ahead")]


def test_an_image_that_is_ready_is_shown_without_a_copy_and_any_other_one_as_it_is_loaded(tmp_path: Path) -> None:
    ready = Image.new("RGB", (5, 4), "red")
    assert shown_image(ready) is ready
    clear = Image.new("RGBA", (5, 4), (255, 0, 0, 0))
    keyed = Image.new("RGB", (5, 4), "red")
    keyed.info["transparency"] = (255, 0, 0)
    turned = Image.new("RGB", (5, 4), "red")
    turned.info["exif"] = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"
    (file,) = write(tmp_path, "1.png")
    for image in (clear, keyed, turned, Image.new("L", (5, 4), 7), file):
        assert shown_image(image) is not image
        assert np.array_equal(np.asarray(shown_image(image)), np.asarray(load_image(image)))
    assert shown_image(turned).size == (4, 5)
    assert shown_image(clear).getpixel((0, 0)) == shown_image(keyed).getpixel((0, 0)) == (255, 255, 255)
    with Image.open(file) as waiting:  # its pixels are still in the file
        assert shown_image(waiting) is not waiting
    with pytest.raises(ImageError, match="more than"):
        shown_image(Image.new("RGB", (89_478_486, 1)))
