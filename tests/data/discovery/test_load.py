"""Every known data set is found below a root, under the names that its mirrors give its folders."""

import json

import numpy as np
import pytest

from thinkseg.data.discovery.catalog import DATA_SETS
from thinkseg.data.discovery.custom import OwnData
from thinkseg.data.discovery.load import find_datasets, find_listings, load_dataset
from thinkseg.data.readers.results import ResultListing
from thinkseg.errors import DataError
from thinkseg.evaluation.benchmarks import LoadOptions, load_benchmark
from thinkseg.testing.data_sets import FOLDERS, write_coco, write_folders, write_pair, write_reasonseg, write_refcoco
from thinkseg.training.sections import Data
from thinkseg.training.sources import load_samples


def ids(listing):
    return [listing.entry(index).id for index in range(len(listing))]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_copy_as_its_authors_arrange_it_is_found(tmp_path, name):
    write_folders(name, tmp_path)
    for split, (_, _, pattern) in FOLDERS[name].items():
        listing = load_dataset(name, split, tmp_path)
        assert ids(listing) == [pattern.format(0), pattern.format(1)]
        assert listing[0].target.any()
        assert listing[0].task == DATA_SETS[name].task
        assert listing[0].query == "all the primary objects"
    assert [data_set.name for data_set, _ in find_datasets(tmp_path)] == [name]


def test_many_data_sets_below_one_root_are_told_apart(tmp_path):
    for name in FOLDERS:
        write_folders(name, tmp_path, count=1)
    found = {data_set.name: listings for data_set, listings in find_datasets(tmp_path)}
    assert set(found) == set(FOLDERS)
    for name, splits in FOLDERS.items():
        assert set(found[name]) == set(splits)
        for split, (images, masks, pattern) in splits.items():
            listing = found[name][split]
            assert (listing.images, listing.masks) == (tmp_path / images, tmp_path / masks)
            assert ids(listing) == [pattern.format(0)]
            assert not listing.faults


@pytest.mark.parametrize(
    ("name", "split", "images", "masks"),
    [
        ("cod10k", "test", "TestDataset/COD10K/Imgs", "TestDataset/COD10K/GT"),
        ("cod10k", "train", "cod/TrainDataset/Imgs", "cod/TrainDataset/GT"),
        ("cod10k", "train", "cod10k_v2/cod10k_v2/train/im", "cod10k_v2/cod10k_v2/train/gt"),
        ("duts", "train", "DUTS/Train/Image", "DUTS/Train/Mask"),
        ("duts", "test", "DUTS-TE/Test/images", "DUTS-TE/Test/masks"),
        ("duts", "test", "duts_te/img", "duts_te/GT"),
        ("dis5k", "te1", "DIS5K-TE1/im", "DIS5K-TE1/gt"),
        ("dis5k", "tr", "DIS5K_TR/Images", "DIS5K_TR/Masks"),
        ("dut-omron", "test", "DUTOMRON/Image", "DUTOMRON/Mask"),
        ("hku-is", "test", "HKU_IS/Imgs", "HKU_IS/GT"),
        ("ecssd", "test", "ECSSD/Test/images", "ECSSD/Test/masks"),
        ("chameleon", "test", "TestDataset/CHAMELEON/Imgs", "TestDataset/CHAMELEON/GT"),
        ("nc4k", "test", "NC4K/img/nested", "NC4K/gt/nested"),
        ("camo", "test", "TestDataset/CAMO/Imgs", "TestDataset/CAMO/GT"),
        ("camo", "train", "CAMO-COCO-V.1.0-CVIU2019/Camouflage/Images/Train", "CAMO-COCO-V.1.0-CVIU2019/Camouflage/GT"),
    ],
)
def test_folder_names_that_differ_between_mirrors_are_found(tmp_path, name, split, images, masks):
    stem = {"cod10k": "COD10K-CAM-1", "camo": "camourflage_1"}.get(name, "1")
    write_pair(tmp_path / images / f"{stem}.jpg", tmp_path / masks / f"{stem}.png")
    (tmp_path / masks / ".." / "Edge").mkdir(exist_ok=True)
    assert [entry.rpartition("/")[2] for entry in ids(load_dataset(name, split, tmp_path))] == [stem]


def test_the_root_may_be_the_data_set_under_another_name(tmp_path):
    root = tmp_path / "my copy"
    write_pair(root / "images" / "1.jpg", root / "GT" / "1.png")
    assert ids(load_dataset("ecssd", "test", root)) == ["1"]
    assert find_datasets(root) == []
    write_pair(root / "Train" / "Imgs" / "COD10K-CAM-1.jpg", root / "Train" / "GT" / "COD10K-CAM-1.png")
    assert ids(load_dataset("cod10k", "train", root)) == ["COD10K-CAM-1"]
    with pytest.raises(DataError, match="no 'test'"):
        load_dataset("cod10k", "test", root)


def test_another_data_set_is_never_taken_for_the_one_that_is_asked_for(tmp_path):
    write_folders("ecssd", tmp_path)
    for name in ("hku-is", "nc4k", "dut-omron", "chameleon"):
        with pytest.raises(DataError, match=f"found no 'test' .* 'thinkseg data list {name}'"):
            load_dataset(name, "test", tmp_path)


def test_a_folder_that_mixes_two_data_sets_is_told_apart_by_names(tmp_path):
    for number, stem in enumerate(("COD10K-CAM-1", "COD10K-NonCAM-2", "camourflage_3")):
        write_pair(tmp_path / f"TrainDataset/Imgs/{stem}.jpg", tmp_path / f"TrainDataset/GT/{stem}.png", number)
    assert ids(load_dataset("cod10k", "train", tmp_path)) == ["COD10K-CAM-1"]
    assert ids(load_dataset("cod10k-all", "train", tmp_path)) == ["COD10K-CAM-1", "COD10K-NonCAM-2"]
    assert ids(load_dataset("camo", "train", tmp_path)) == ["camourflage_3"]


def test_the_order_of_samples_does_not_depend_on_the_disk(tmp_path):
    for number in (3, 1, 2):
        write_pair(tmp_path / f"NC4K/Imgs/{number}.jpg", tmp_path / f"NC4K/GT/{number}.png", number)
    assert ids(load_dataset("nc4k", "test", tmp_path)) == ["1", "2", "3"]


def test_a_copy_with_holes_is_refused_unless_that_is_allowed(tmp_path):
    write_folders("nc4k", tmp_path)
    (tmp_path / "NC4K/GT/012.png").unlink()
    with pytest.raises(DataError, match=r"nc4k test .* 1 × missing-mask"):
        load_dataset("nc4k", "test", tmp_path)
    assert ids(load_dataset("nc4k", "test", tmp_path, allow_faults=True)) == ["112"]


def test_the_words_of_the_request_can_be_chosen(tmp_path):
    write_folders("nc4k", tmp_path)
    assert load_dataset("nc4k", "test", tmp_path, query="the hidden animal")[0].query == "the hidden animal"


def test_unknown_names_are_answered_with_the_known_ones(tmp_path):
    with pytest.raises(DataError, match="no data set 'cod'; there are: cod10k, "):
        load_dataset("cod", "test", tmp_path)
    with pytest.raises(DataError, match="no split 'val'; it has: train, test"):
        load_dataset("cod10k", "val", tmp_path)
    with pytest.raises(DataError, match="expected a folder"):
        load_dataset("cod10k", "test", tmp_path / "gone")


def test_annotated_data_sets_are_found_too(tmp_path):
    write_refcoco(tmp_path / "Refer_Segm/refcoco+", tmp_path / "coco_2014/train2014", splits=("val", "testA"))
    write_reasonseg(tmp_path / "data")
    write_coco(tmp_path / "coco/annotations/instances_val2017.json", tmp_path / "coco/val2017")
    found = {data_set.name: set(listings) for data_set, listings in find_datasets(tmp_path)}
    assert found == {"refcoco+": {"val", "testA"}, "reasonseg": {"train", "val", "test"}, "coco": {"val2017"}}
    assert len(load_dataset("reasonseg", "val", tmp_path / "data" / "ReasonSeg")) == 2
    assert len(load_dataset("reasonseg", "train", tmp_path)) == 4
    assert len(load_dataset("reasonseg", "val", tmp_path, every_text=True)) == 4


def test_the_images_of_refcoco_may_lie_elsewhere(tmp_path):
    write_refcoco(tmp_path / "refs/refcoco", tmp_path / "far/photos")
    with pytest.raises(DataError, match="no folder 'train2014'"):
        load_dataset("refcoco", "val", tmp_path / "refs")
    listing = load_dataset("refcoco", "val", tmp_path / "refs", images=tmp_path / "far/photos")
    assert len(listing) == 2


def test_every_record_is_complete():
    for name, data_set in DATA_SETS.items():
        assert name == data_set.name
        assert data_set.splits
        assert data_set.source.startswith("http")
        assert data_set.licence
        if data_set.layout == "folders":
            assert all(split.patterns and split.count for split in data_set.splits.values())
    assert DATA_SETS["refcoco"].splits["val"].count == 10_834


def test_a_table_beside_folders_is_never_chosen_or_left_in_silence(tmp_path):
    write_pair(tmp_path / "images/a.jpg", tmp_path / "masks/a.png", 0)
    (tmp_path / "a.csv").write_text("image,query,mask\nimages/a.jpg,the bird,masks/a.png\n")
    with pytest.raises(DataError, match=r"found the table '.*a.csv' beside '.*images' and '.*masks': say which"):
        find_listings(OwnData(tmp_path))
    ((_, own),) = find_listings(OwnData(tmp_path / "a.csv"))
    assert own["all"].entry(0).query == "the bird"
    ((_, own),) = find_listings(OwnData(tmp_path, images="images", masks="masks"))
    assert own["all"].entry(0).query == "the main object"
    (tmp_path / "a.csv").write_text("epoch,loss\n1,2\n")  # no table of requests
    ((_, own),) = find_listings(OwnData(tmp_path))
    assert len(own["all"]) == 1


def test_several_tables_are_named(tmp_path):
    for name in ("a.csv", "b.jsonl"):
        (tmp_path / name).write_text("image,query\na,b\n" if name == "a.csv" else '{"image": "a", "query": "b"}')
    with pytest.raises(DataError, match=r"several tables in '.*': name one of a.csv, b.jsonl"):
        find_listings(OwnData(tmp_path))


def test_folders_of_ones_own_have_one_default_query_everywhere(tmp_path):
    write_pair(tmp_path / "images/a.jpg", tmp_path / "masks/a.png", 0)
    ((_, own),) = find_listings(OwnData(tmp_path))
    data = {"source": "folders", "images": str(tmp_path / "images"), "masks": str(tmp_path / "masks")}
    (trained,) = load_samples(Data(**data))
    _, (evaluated,) = load_benchmark("folder", LoadOptions(root=tmp_path))
    assert {own["all"].entry(0).query, trained.query, evaluated.query} == {"the main object"}


def test_a_blank_query_is_refused(tmp_path):
    write_pair(tmp_path / "images/a.jpg", tmp_path / "masks/a.png", 0)
    with pytest.raises(DataError, match="the query is blank: say what to look for"):
        find_listings(OwnData(tmp_path, query="  "))


def test_tables_and_annotations_are_read_in_the_encoding_that_is_named(tmp_path):
    (tmp_path / "a.csv").write_bytes("image,query\na.jpg,杯子\n".encode("gbk"))
    ((_, own),) = find_listings(OwnData(tmp_path / "a.csv", encoding="gbk"))
    assert own["all"].entry(0).query == "杯子"
    write_reasonseg(tmp_path)
    file = next((tmp_path / "ReasonSeg/val").glob("*.json"))
    file.write_bytes(json.dumps({"text": "杯子", "shapes": []}, ensure_ascii=False).encode("gbk"))
    ((_, known),) = find_listings(OwnData(tmp_path, dataset="reasonseg", split="val", encoding="gbk"))
    assert str(file) not in [fault.where for fault in known["val"].faults]


def test_own_images_are_evaluated_with_the_queries_of_their_table_when_it_is_named(tmp_path):
    write_pair(tmp_path / "images/a.jpg", tmp_path / "masks/a.png", 0)
    (tmp_path / "a.csv").write_text("image,query,mask\nimages/a.jpg,the bird,masks/a.png\n")
    with pytest.raises(DataError, match=r"found the table '.*a\.csv' beside.*by naming the table"):
        load_benchmark("folder", LoadOptions(root=tmp_path))
    _, (sample,) = load_benchmark("folder", LoadOptions(root=tmp_path / "a.csv"))
    assert sample.query == "the bird"


def test_masks_beside_their_images_are_found_and_are_the_truth_beside_results_of_a_model(tmp_path):
    scene = write_pair(tmp_path / "a.jpg", tmp_path / "a.png", 0)
    record = {"image": str(tmp_path / "a.jpg"), "query": "the bird", "objects": [], "size": {}, "completion": {}}
    (tmp_path / "a.mask.png").write_bytes((tmp_path / "a.png").read_bytes())
    (tmp_path / "a.json").write_text(json.dumps(record))
    ((_, own),) = find_listings(OwnData(tmp_path, "the bird"))
    (sample,) = own["all"].require_complete()
    assert (sample.image.name, sample.query) == ("a.jpg", "the bird")
    assert np.array_equal(sample.target, scene.target)
    (tmp_path / "more").mkdir()
    (tmp_path / "a.png").rename(tmp_path / "more" / "a.png")  # no longer beside it
    ((_, own),) = find_listings(OwnData(tmp_path))
    assert isinstance(own["all"], ResultListing)
