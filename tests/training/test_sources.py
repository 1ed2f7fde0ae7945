"""A recipe's samples are found by name, and read when they are asked for."""

import json

import numpy as np
import pytest
from PIL import Image

from thinkseg.errors import DataError, RecipeError
from thinkseg.testing.data_sets import write_folders, write_reasonseg
from thinkseg.training.config import load_recipe
from thinkseg.training.sections import Data
from thinkseg.training.sources import load_samples
from thinkseg.types import Size


@pytest.fixture
def folders(tmp_path):
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    for number, suffix in enumerate((".JPG", ".png", ".jpeg")):
        Image.new("RGB", (8, 6), (number, 0, 0)).save(images / f"Ö {number}{suffix}")
        mask = np.zeros((6, 8), np.uint8)
        mask[:, number] = 255
        Image.fromarray(mask).save(masks / f"ö {number}.png")
    (images / "notes.txt").write_text("no image")
    return Data(source="folders", images=str(images), masks=str(masks), query="the line", task="lines")


def test_images_and_masks_are_paired_by_name_whatever_their_suffix_and_case(folders):
    samples = load_samples(folders)
    assert [sample.id for sample in samples] == ["Ö 0", "Ö 1", "Ö 2"]
    assert all(sample.target[:, number].all() and sample.target.sum() == 6 for number, sample in enumerate(samples))
    assert {(sample.query, sample.task) for sample in samples} == {("the line", "lines")}


def test_the_first_so_many_of_a_folder_can_be_taken(folders, tmp_path):
    few = Data(source="folders", images=folders.images, masks=folders.masks, count=2)
    assert len(load_samples(few)) == 2


def test_an_image_without_a_mask_is_named(folders, tmp_path):
    (tmp_path / "masks" / "ö 1.png").unlink()
    with pytest.raises(DataError, match="Ö 1"):
        load_samples(folders)


def test_scenes_are_composed_as_the_recipe_says():
    samples = load_samples(Data(source="scenes", count=3, size=96, seed=5, tasks={"camouflaged": 1.0}))
    assert len(samples) == 3
    assert samples[0].image.size == (96, 96)
    assert samples[2].task == "camouflaged"


@pytest.mark.parametrize(
    ("data", "error", "sentence"),
    [
        (Data(source="scens"), RecipeError, "no data source 'scens': did you mean 'scenes'"),
        (Data(source="folders"), RecipeError, "needs 'data.images' and 'data.masks'"),
        (Data(source="worked"), RecipeError, "needs 'data.rows'"),
        (Data(source="worked", rows="nowhere"), DataError, "worked answers at 'nowhere'"),
        (Data(source="folders", images="nowhere", masks="nowhere"), DataError, "images at 'nowhere'"),
        (Data(source="dataset", root="."), RecipeError, "needs 'data.name'"),
        (Data(source="dataset", name="camo,", root="."), RecipeError, "needs 'data.name'"),
        (Data(source="dataset", name="camo"), RecipeError, "and 'data.root'"),
        (Data(source="dataset", name="camo", root="nowhere"), DataError, "no folder 'nowhere'"),
        (Data(source="scenes", tasks={"flying": 1.0}), DataError, "flying"),
        (Data(source="scenes", split="trian"), DataError, "trian"),
    ],
)
def test_a_source_that_cannot_be_read_is_named(data, error, sentence):
    with pytest.raises(error, match=sentence):
        load_samples(data)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Small copies of the data sets that the recipes name, as they lie on disk."""
    root = tmp_path_factory.mktemp("data")
    for name in ("cod10k", "camo", "dis5k", "duts"):
        write_folders(name, root)
    write_reasonseg(root)
    return root


def test_data_sets_are_named_and_come_one_after_the_other(root):
    samples = load_samples(Data(source="dataset", name="cod10k, camo", root=str(root)))
    assert [sample.id.split("_")[0] for sample in samples] == [
        "COD10K-CAM-1-Aquatic-1-BatFish-0", "COD10K-CAM-1-Aquatic-1-BatFish-1", "camourflage", "camourflage"
    ]  # fmt: skip
    assert {(sample.query, sample.task) for sample in samples} == {("all the primary objects", "camouflaged")}
    assert all(sample.target.any() for sample in samples)
    assert [sample.id for sample in samples[1:3]] == [samples[1].id, samples[2].id]
    assert len(load_samples(Data(source="dataset", name="cod10k,camo", root=str(root), count=3))) == 3


@pytest.mark.parametrize(
    ("name", "split", "sentence"),
    [
        ("como", "train", "no data set 'como'"),
        ("camo", "val", "'camo' has no split 'val'"),
        ("cod10k, duts-tr", "train", "no data set 'duts-tr'"),
        ("cod10k, ecssd", "test", "found no 'test' of ECSSD below .*get it: http"),
    ],
)
def test_a_data_set_that_is_not_known_or_not_there_is_named(root, name, split, sentence):
    with pytest.raises(DataError, match=sentence):
        load_samples(Data(source="dataset", name=name, split=split, root=str(root)))


def test_in_training_every_wording_of_a_question_is_a_sample(root):
    samples = load_samples(Data(source="dataset", name="reasonseg", root=str(root)))
    assert len({(sample.image, sample.query) for sample in samples}) == 4
    assert all(sample.ignore.any() for sample in samples)


@pytest.mark.parametrize(("recipe", "count"), [("prerl", 2), ("rl", 4), ("sod", 2)])
def test_the_recipes_of_seg_r1_find_their_data_where_the_authors_put_them(repository, root, recipe, count):
    path = repository / "recipes" / "seg_r1" / f"{recipe}.yaml"
    data = load_recipe(path, ["--data.root", str(root)]).data
    assert data.source == "dataset"
    assert len(load_samples(data)) == count


def test_any_part_of_joined_data_sets_is_a_sequence_of_its_own(root):
    samples = load_samples(Data(source="dataset", name="cod10k, camo", root=str(root)))
    identifiers = [sample.id for sample in samples]
    assert [sample.id for sample in samples[1:][::-1]] == identifiers[:0:-1]
    assert samples[-1].id == samples[1:][-1].id == identifiers[-1]
    with pytest.raises(IndexError):
        samples[4]


def test_worked_answers_are_a_source_and_their_frame_can_be_said(tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    tags = "<bbox>[96,96,480,480]</bbox><points>[[200,200]]</points><labels>[1]</labels>"
    row = {"problem": "it", "thinking": "there", "solution": tags, "image": "a.png"}
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for _ in range(3)))
    samples = load_samples(Data(source="worked", rows=str(tmp_path), frame=768, count=2))
    assert len(samples) == 2
    assert samples[0].reference.rescaled(Size(40, 30)).objects[0].box.xyxy == (5.0, 3.75, 25.0, 18.75)


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "masks").mkdir()
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match="no samples to train on"):
        load_samples(Data(source="folders", images=str(tmp_path / "images"), masks=str(tmp_path / "masks")))
