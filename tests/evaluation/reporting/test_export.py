import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from thinkseg.drawing import overlay
from thinkseg.evaluation.records import PredictionRecord
from thinkseg.evaluation.reporting.export import LONGEST, RESERVED, safe_names, save_masks, save_overlays
from thinkseg.imaging import load_mask
from thinkseg.types import Failure, Sample


def test_a_good_name_stays_as_it_is() -> None:
    good = ["COD10K-CAM-1-Aquatic-1", "ein Käfer (2)", "a.b", "猫"]
    assert safe_names(good) == good


@pytest.mark.parametrize(
    "bad",
    ["../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "C:x", ".hidden", "ends.", " led", "con", "NUL.txt", "", "."],
)
def test_a_name_that_leaves_the_folder_or_that_a_system_refuses_is_made_safe(bad: str) -> None:
    (safe,) = safe_names([bad])
    assert safe != bad
    assert Path(safe).name == safe
    assert safe.isascii()
    assert not safe.startswith((".", "-"))


def test_names_that_differ_in_letter_case_or_in_what_was_replaced_alone_stay_apart() -> None:
    names = safe_names(["Cat", "cat", "a/b", "a:b", "a_b", "caf\u00e9", "cafe\u0301"])
    assert len({unicodedata.normalize("NFC", name).casefold() for name in names}) == 7
    assert names[4] == "a_b"


def test_a_long_name_is_cut_and_stays_unique() -> None:
    names = safe_names(["x" * 300 + "1", "x" * 300 + "2"])
    assert len(set(names)) == 2
    assert all(len(name.encode()) <= LONGEST for name in names)


@given(st.lists(st.text(max_size=200), unique=True, max_size=8))
def test_whatever_the_ids_no_two_files_are_the_same_and_all_lie_in_the_folder(ids: list[str]) -> None:
    names = safe_names(ids)
    assert len({unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()) for name in names}) == len(
        ids
    )
    for name in names:
        assert Path(name).name == name
        assert name.lower().partition(".")[0] not in RESERVED
        assert len(name.encode()) <= LONGEST


def test_masks_are_written_as_they_were_predicted(
    tmp_path: Path, create_record: Callable[..., PredictionRecord]
) -> None:
    records = [create_record(1, 0.5), create_record(2, 0.25), create_record(3, 0.0, failure=Failure.TRUNCATED)]
    paths = list(save_masks(tmp_path / "new" / "masks", records))
    assert [path.name for path in paths] == ["square-1.png", "square-2.png", "square-3.png"]
    for path, record in zip(paths, records, strict=True):
        assert np.array_equal(load_mask(path), record.mask)
        assert set(np.unique(np.asarray(Image.open(path)))) <= {0, 255}


def test_overlays_show_the_image_with_its_mask_and_prompts(
    tmp_path: Path, create_record: Callable[..., PredictionRecord], create_samples: Callable[[int], Sequence[Sample]]
) -> None:
    samples = create_samples(3)
    records = [create_record(index, 0.5) for index in range(3)]
    paths = list(save_overlays(tmp_path, records, samples))
    for path, record, sample in zip(paths, records, samples, strict=True):
        assert isinstance(sample.image, Image.Image)
        expected = np.asarray(overlay(sample.image, record.mask, record.answer))
        assert np.array_equal(np.asarray(Image.open(path)), expected)
        assert not np.array_equal(expected, np.asarray(sample.image))
