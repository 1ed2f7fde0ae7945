"""What `thinkseg segment` writes is data: as it is, as masks beside their images, and as a table."""

import json

import numpy as np
import pytest
from PIL import Image

from thinkseg import measure_folders
from thinkseg.data.discovery.custom import OwnData
from thinkseg.data.discovery.load import find_listings, load_dataset
from thinkseg.data.listing import FaultKind
from thinkseg.errors import DataError
from thinkseg.imaging import load_image, save_mask
from thinkseg.results.result import Result
from thinkseg.types import Answer, Box, Completion, Failure, ObjectPrompt, Prediction, Size

SIZE = Size(18, 12)


def square(row=2, column=3, side=5):
    mask = np.zeros(SIZE.hw, bool)
    mask[row : row + side, column : column + side] = True
    return mask


def write(folder, image, query, *masks, failure=None):
    """A result, as `Result.save` writes it, about an image that is written as well."""
    image.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", SIZE.wh, (90, 40, 10)).save(image)
    objects = tuple(ObjectPrompt(Box(0, 0, 9, 9)) for _ in masks)
    stacked = np.stack(masks) if masks else np.zeros((0, *SIZE.hw), bool)
    answer = None if failure else Answer(SIZE, objects, "I look.")
    prediction = Prediction(str(image), Completion(""), answer, stacked, failure)
    result = Result(load_image(image), query, prediction, str(image))
    result.save(folder, image.stem, index=True, instances=True)


@pytest.fixture
def cut(tmp_path):
    """Three results: two objects, nothing there, and a text that could not be read."""
    write(tmp_path / "cut", tmp_path / "photos/a.jpg", "every crack", square(), square(8, 9, 3))
    write(tmp_path / "cut", tmp_path / "photos/b.jpg", "the rust")
    write(tmp_path / "cut", tmp_path / "photos/c.jpg", "the rust", failure=Failure.MALFORMED_ANSWER)
    return tmp_path / "cut"


def own(root, name="", **how):
    ((_, listings),) = find_listings(OwnData(root, dataset=name, **how))
    return listings["all"]


def test_a_result_is_a_sample_with_its_objects_and_that_nothing_is_there_is_one_too(cut, caplog):
    crack, rust = own(cut, "results")
    assert (crack.id, crack.query, crack.image.name) == ("a", "every crack", "a.jpg")
    assert crack.instances.sum(axis=(1, 2)).tolist() == [25, 9]
    assert np.array_equal(crack.target, square() | square(8, 9, 3))
    assert (rust.query, rust.target.any(), len(rust.instances)) == ("the rust", False, 0)
    assert "1 results whose text could not be read" in caplog.text
    assert len(load_dataset("results", "train", cut)) == 2


def test_a_folder_that_was_only_found_names_no_image_outside_of_it(cut):
    listing = own(cut)
    assert len(listing) == 0
    assert {fault.kind for fault in listing.faults} == {FaultKind.MISSING_IMAGE}
    assert "'--images'; '--dataset results' takes them" in listing.faults[0].detail
    assert len(own(cut, images="../photos")) == 2


def test_images_that_have_moved_are_found_where_it_is_said(cut):
    (cut.parent / "photos").rename(cut.parent / "moved")
    assert [sample.image.parent.name for sample in own(cut, "results", images="../moved")] == ["moved", "moved"]


def test_true_masks_beside_results_are_the_ones_that_are_taken(cut, tmp_path):
    write(tmp_path, tmp_path / "images/a.jpg", "the crack", square())
    save_mask(square(0, 0, 3), tmp_path / "masks/a.png")
    (sample,) = own(tmp_path)
    assert sample.target.sum() == 9
    (tmp_path / "masks/a.png").unlink()
    (tmp_path / "mine.csv").write_text("image,query,mask\nimages/a.jpg,the wall,none\n")
    assert own(tmp_path)[0].query == "the wall"


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"found no results of 'thinkseg segment' in '.*': expected 'NAME.mask.png'"):
        own(tmp_path, "results")


def test_results_are_masks_beside_a_folder_of_images_and_their_other_drawings_are_none(cut):
    listing = own(cut.parent, images="photos", masks="cut", query="the damage")
    assert [sample.id for sample in listing] == ["a", "b", "c"]
    assert not listing.faults
    assert np.array_equal(listing[0].target, square() | square(8, 9, 3))


def test_drawings_in_the_folder_of_images_are_no_images(tmp_path):
    write(tmp_path / "images", tmp_path / "images/a.jpg", "the crack", square())
    save_mask(square(), tmp_path / "masks/a.png")
    listing = own(tmp_path, images="images", masks="masks")
    assert [listing.entry(place).image.name for place in range(len(listing))] == ["a.jpg"]
    assert not listing.faults


def test_results_are_measured_as_they_lie_and_may_be_the_truth_as_well(cut, tmp_path):
    save_mask(square() | square(8, 9, 3), tmp_path / "true/a.png")
    save_mask(np.zeros(SIZE.hw, bool), tmp_path / "true/b.png")
    scores = measure_folders(cut, tmp_path / "true", measures=["giou"], processes=1)
    assert (scores.count, scores.values["giou"]) == (2, 1.0)
    scores = measure_folders(cut, cut, measures=["giou"], processes=1)
    assert (scores.count, scores.values["giou"]) == (3, 1.0)


def test_what_segment_prints_as_json_is_a_table(cut):
    lines = [json.loads((cut / f"{name}.json").read_text()) for name in "abc"]
    table = cut.parent / "found.jsonl"
    table.write_text("".join(json.dumps(line) + "\n" for line in lines))
    a, b, c = own(table)
    assert a.instances.sum(axis=(1, 2)).tolist() == [25, 9]
    assert (b.target.any(), c.target) == (False, None)
    lines[0]["objects"][0].pop("mask")
    table.write_text(json.dumps(lines[0]))
    with pytest.raises(DataError, match="should have run lengths as its 'mask', found nothing"):
        load_dataset("own", "train", table)
