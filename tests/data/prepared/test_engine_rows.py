"""Rows for veRL and EasyR1 show the model its image, ask it, and carry the truth that a completion is scored by."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import thinkseg
from thinkseg.data.prepared.engine_rows import EngineRows, RowPlace, engine_row
from thinkseg.data.prepared.writer import BuilderOptions, prepare
from thinkseg.data.readers.folders import list_folders
from thinkseg.errors import DataError, InputError
from thinkseg.imaging import load_mask, mask_from_rle
from thinkseg.testing.data_sets import write_pair, write_rows
from thinkseg.types import Answer, Box, Instruction, ObjectPrompt, Point, Request, Sample, Size

TARGET = np.zeros((30, 40), dtype=bool)
TARGET[10:20, 10:30] = True  # the box 10 … 30 by 10 … 20


class Asker:
    """Shows the model a square of 80 pixels, in which it answers, too."""

    def __init__(self, system=None):
        self.system = system

    def __call__(self, sample, image):
        return Request(image.resize((80, 80)), Instruction(f"Find {sample.query}.", self.system)), Size(80, 80)


@pytest.fixture
def sample(tmp_path):
    Image.fromarray(np.arange(3600, dtype=np.uint8).reshape(30, 40, 3)).save(tmp_path / "é.png")
    return Sample("a", tmp_path / "é.png", "the cat", target=TARGET, task="salient")


def row_of(sample, schema="verl", system=None, points=1, images=Path("images")):
    image = sample.image if isinstance(sample.image, Image.Image) else Image.open(sample.image).convert("RGB")
    return engine_row(sample, image, EngineRows(schema, Asker(system), points), RowPlace("train", 7, images))


def test_a_row_of_verl_has_messages_with_a_place_for_the_image_and_a_path_to_it(sample):
    row = row_of(sample, system="You find things.")
    assert row["prompt"] == [
        {"role": "system", "content": "You find things."},
        {"role": "user", "content": "<image>Find the cat."},
    ]
    assert Image.open(io.BytesIO(row["images"][0]["bytes"])).size == (80, 80)
    assert row["extra_info"] == {"index": 7, "split": "train", "id": "a", "image": str(sample.image)}
    assert row["data_source"] == "thinkseg/salient"
    assert row["reward_model"]["style"] == "rule"


def test_a_row_of_easyr1_has_one_text_and_the_truth_alone(sample):
    row = row_of(sample, "easyr1")
    assert set(row) == {"id", "problem", "images", "answer"}
    assert row["problem"] == "<image>Find the cat."
    assert row["answer"] == row_of(sample)["reward_model"]["ground_truth"]


def test_the_truth_has_boxes_in_the_frame_of_the_answer_and_masks_at_the_size_of_the_image(sample):
    truth = json.loads(row_of(sample)["reward_model"]["ground_truth"])
    assert truth["frame"] == [80, 80]
    (found,) = truth["objects"]
    assert found["box"] == pytest.approx([20, 80 / 3, 60, 160 / 3])  # 2 pixels of the frame to one across, 8/3 down
    assert np.array_equal(mask_from_rle(truth["mask"]), TARGET)
    assert truth["image"] == str(sample.image)


def test_the_truth_is_a_line_of_score_that_lacks_its_completion(sample):
    truth = json.loads(row_of(sample)["reward_model"]["ground_truth"])
    (found,) = truth["objects"]
    said = {"bbox_2d": list(map(round, found["box"])), "point_2d": list(map(round, found["points"][0][:2]))}
    completion = f"<think>a</think><answer>{json.dumps([said])}</answer>"
    (scored,) = thinkseg.score([{**truth, "completion": completion}], format="vision-reasoner")
    assert scored.parts["accuracy"] == 3


def test_pixels_to_be_ignored_reach_the_truth_and_its_scores(sample):
    ignore = np.zeros_like(TARGET)
    ignore[:, 30:] = True
    truth = json.loads(row_of(replace(sample, ignore=ignore))["reward_model"]["ground_truth"])
    assert np.array_equal(mask_from_rle(truth["ignore"]), ignore)


def test_objects_one_by_one_and_nothing_at_all_are_told_apart(sample):
    two = np.stack([TARGET, ~TARGET])
    truth = json.loads(row_of(replace(sample, instances=two, target=two.any(axis=0)))["reward_model"]["ground_truth"])
    assert len(truth["masks"]) == len(truth["objects"]) == 2
    nothing = replace(sample, instances=two[:0], target=np.zeros_like(TARGET))
    truth = json.loads(row_of(nothing)["reward_model"]["ground_truth"])
    assert (truth["masks"], truth["objects"]) == ([], [])


def test_boxes_alone_are_a_truth_without_a_mask(sample):
    given = Answer(Size(40, 30), (ObjectPrompt(Box(10, 10, 30, 20), (Point(20, 15),)),))
    truth = json.loads(row_of(replace(sample, target=None, reference=given))["reward_model"]["ground_truth"])
    assert "mask" not in truth
    assert truth["objects"][0]["points"] == [[40, 40, 1]]


def test_an_image_without_a_file_is_written_where_a_mask_says_what_to_find_in_it(sample, tmp_path):
    pixels = Image.open(sample.image).convert("RGB")
    row = row_of(replace(sample, image=pixels), images=tmp_path / "images")
    assert row["extra_info"]["image"] == str(tmp_path / "images/train-00000007.png")
    assert np.array_equal(Image.open(row["extra_info"]["image"]), pixels)
    reference = Answer(Size(40, 30), (ObjectPrompt(Box(10, 10, 30, 20)),))
    row = row_of(replace(sample, image=pixels, target=None, reference=reference), images=tmp_path / "no images")
    assert row["extra_info"]["image"] is None
    assert not (tmp_path / "no images").exists()


def test_a_query_that_stands_for_an_image_is_refused(sample):
    with pytest.raises(DataError, match="contains '<video>', which verl does not take for text"):
        row_of(replace(sample, query="the <video>"))


def test_easyr1_has_no_place_for_a_system_message(sample):
    with pytest.raises(DataError, match="EasyR1 has no place for a system message"):
        row_of(sample, "easyr1", system="You find things.")


def test_the_rows_of_a_listing_are_written_and_read_by_datasets(tmp_path):
    from datasets import load_dataset

    for number in range(3):
        write_pair(tmp_path / f"data/images/{number}.jpg", tmp_path / f"data/masks/{number}.png", number)
    listing = list_folders(tmp_path / "data/images", tmp_path / "data/masks", "the object", "salient")
    settings = BuilderOptions(schema="verl", rows_per_file=2)
    made = prepare(listing, tmp_path / "rows", settings=settings, engine=EngineRows("verl", Asker(), 1))
    assert (len(made.files), made.rows) == (2, 3)
    rows = load_dataset("parquet", data_files=list(map(str, made.files)), cache_dir=tmp_path / "cache")["train"]
    assert [row["extra_info"]["index"] for row in rows] == [0, 1, 2]
    assert rows[1]["images"][0].size == (80, 80)
    truth = json.loads(rows[2]["reward_model"]["ground_truth"])
    assert np.array_equal(mask_from_rle(truth["mask"]), load_mask(tmp_path / "data/masks/2.png"))


def test_published_rows_become_rows_of_an_engine_without_masks(tmp_path):
    from thinkseg.data.prepared.reader import list_rows

    write_rows(tmp_path / "published", "vision-reasoner")
    listing = list_rows(tmp_path / "published")
    settings = BuilderOptions(schema="easyr1")
    prepare(listing, tmp_path / "rows", settings=settings, engine=EngineRows("easyr1", Asker(), 1))
    assert not (tmp_path / "rows/images").exists()


def test_a_schema_of_an_engine_needs_to_know_what_is_asked(tmp_path):
    write_pair(tmp_path / "data/images/0.jpg", tmp_path / "data/masks/0.png")
    listing = list_folders(tmp_path / "data/images", tmp_path / "data/masks", "the object")
    with pytest.raises(InputError, match="do not go together"):
        prepare(listing, tmp_path / "rows", settings=BuilderOptions(schema="verl"))
