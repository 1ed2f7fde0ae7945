"""`thinkseg export` writes results, evaluations and data for other tools, and says what it left out."""

import json

import numpy as np
import pytest
import yaml
from PIL import Image

import thinkseg
from thinkseg.cli import main
from thinkseg.data.discovery.custom import OwnData
from thinkseg.data.discovery.load import find_listings
from thinkseg.errors import DataError, InputError
from thinkseg.imaging import load_image, save_mask
from thinkseg.testing.data_sets import write_folders, write_pair
from thinkseg.types import Answer, Box, Completion, ObjectPrompt, Prediction, Sample, Size


class Box4:
    """A predictor that finds the same square in every image, and nothing where the query says so."""

    def predict(self, samples, batch_size):
        for sample in samples:
            size = Size(*load_image(sample.image).size)
            there = "nothing" not in sample.query
            mask = np.zeros((int(there), *size.hw), bool)
            mask[:, 4:20, 8:30] = True
            objects = (ObjectPrompt(Box(8, 4, 30, 20)),) * int(there)
            yield Prediction(sample.id, Completion(""), Answer(size, objects, ""), mask)


@pytest.fixture
def table(tmp_path):
    """A table of three requests about two images, with their masks."""
    for number, name in enumerate("ab"):
        write_pair(tmp_path / f"images/{name}.jpg", tmp_path / f"true/{name}.png", number)
    rows = ["images/a.jpg,the leaf,true/a.png", "images/b.jpg,every shell,true/b.png", "images/b.jpg,nothing here,none"]
    (tmp_path / "mine.csv").write_text("image,query,mask\n" + "\n".join(rows) + "\n")
    return tmp_path / "mine.csv"


def listed(folder):
    ((_, listings),) = find_listings(OwnData(folder))
    (listing,) = listings.values()
    return listing.require_complete()


def test_a_table_is_written_as_yolo_from_the_command_line(table, capsys):
    out = table.parent / "yolo"
    assert main(["export", str(table), "--to", "yolo", "--tolerance", "0", "--out", str(out)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"2 requests about 2 images, 2 objects: {out / 'data.yaml'}"
    assert told[1] == "left out 1 × nothing is there, which the format cannot say of a query"
    assert told[2].startswith("polygons changed 0 of ")
    assert yaml.safe_load((out / "data.yaml").read_text())["names"] == {0: "leaf", 1: "every shell"}
    assert [sample.query for sample in listed(out)] == ["the leaf", "every shell"]


def test_an_account_is_printed_as_json_where_a_program_asks(table, capsys):
    assert main(["export", str(table), "--to", "csv", "--no-images", "--out", str(table.parent / "t"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["samples"], told["images"], told["objects"], told["left_out"]) == (3, 2, 2, {})


def test_an_evaluation_is_written_with_what_it_predicted(table):
    run = thinkseg.evaluate("folder", Box4(), data=table, out=table.parent / "run", progress=False)
    for number, source in enumerate((table.parent / "run", run)):
        out = table.parent / f"coco-{number}"
        written = thinkseg.export(source, out, "coco")
        assert (written.samples, sum(written.left_out.values())) == (2, 1)
        content = json.loads((out / "annotations.json").read_text())
        assert [one["bbox"] for one in content["annotations"]] == [[8, 4, 22, 16]] * 2
        assert [one["name"] for one in content["categories"]] == ["the leaf", "every shell"]


def test_an_evaluation_whose_data_have_changed_is_refused(table):
    thinkseg.evaluate("folder", Box4(), data=table, out=table.parent / "run", progress=False)
    table.write_text("id,image,query,mask\nx,images/b.jpg,a,true/b.png\ny,images/b.jpg,b,none\nz,images/a.jpg,c,none\n")
    with pytest.raises(DataError, match="the data of this evaluation have changed: expected sample '2', found 'x'"):
        thinkseg.export(table.parent / "run", table.parent / "out", "csv")
    table.unlink()
    with pytest.raises(InputError, match=r"the images of this evaluation \('folder'\) cannot be had"):
        thinkseg.export(table.parent / "run", table.parent / "out-2", "csv")


def test_results_of_segment_are_written_with_the_images_that_they_name(tmp_path):
    write_pair(tmp_path / "photos/a.jpg", tmp_path / "true/a.png")
    pipeline = Box4()
    pipeline.name = "square"
    for _ in thinkseg.segment_files(tmp_path / "photos", query="the leaf", model=pipeline, out=tmp_path / "cut"):
        pass
    thinkseg.export(tmp_path / "cut", tmp_path / "labels", "labelme", polygons=True, tolerance=0)
    (shape,) = json.loads((tmp_path / "labels/a.json").read_text())["shapes"]
    assert (shape["label"], shape["shape_type"]) == ("leaf", "polygon")
    assert np.argwhere(listed(tmp_path / "labels")[0].target).min(axis=0).tolist() == [4, 8]
    thinkseg.export(tmp_path / "cut", tmp_path / "stickers", "cutouts")
    with Image.open(tmp_path / "stickers/a.png") as sticker:
        assert (sticker.mode, sticker.size) == ("RGBA", (22, 16))


def test_a_known_data_set_is_written_and_of_several_splits_one_has_to_be_said(tmp_path):
    write_folders("duts", tmp_path / "data")
    with pytest.raises(InputError, match=r"has several parts; say .*: --dataset duts --split train or --dataset duts "):
        thinkseg.export(tmp_path / "data", tmp_path / "out")
    written = thinkseg.export(tmp_path / "data", tmp_path / "out", "yolo", dataset="duts", split="test")
    assert written.samples == 2
    assert (tmp_path / "out/labels/test").is_dir()


def test_samples_at_hand_are_written(tmp_path):
    target = np.zeros((20, 30), bool)
    target[3:9, 4:8] = True
    samples = [Sample("a", Image.new("RGB", (30, 20)), "the crack", target)]
    assert thinkseg.export(samples, tmp_path / "a", "objects").objects == 1
    with pytest.raises(InputError, match="found no sample to write"):
        thinkseg.export([], tmp_path / "b")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["gone", "--to", "coco"], "expected data at 'gone'"),
        ([".", "--to", "coco"], "found nothing below"),
        ([".", "--to", "coco", "--tolerance", "-2"], "a polygon's tolerance should be from 0 to 1000 pixels"),
    ],
)
def test_a_wrong_call_is_a_sentence_and_writes_nothing(tmp_path, monkeypatch, capsys, words, told):
    monkeypatch.chdir(tmp_path)
    assert main(["export", *words, "--out", "out"]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_with_files_in_it_is_left_alone(table, capsys):
    save_mask(np.ones((4, 4), bool), table.parent / "full/a.png")
    assert main(["export", str(table), "--to", "coco", "--out", str(table.parent / "full")]) == 2
    assert "has files in it: name another" in capsys.readouterr().err
    with pytest.raises(InputError, match="there is no format 'pdf' to write; there are: coco, yolo, "):
        thinkseg.export(table, table.parent / "out", "pdf")
