"""Every expression is a sample, and a pickle can build plain containers only."""

import collections
import json
import os
import pickle

import numpy as np
import pytest

from thinkseg.data.discovery.load import load_dataset
from thinkseg.data.listing import BrokenFile, FaultKind
from thinkseg.data.readers.refcoco import list_refs, load_refs
from thinkseg.errors import DataError
from thinkseg.testing.data_sets import scene_samples, write_refcoco


@pytest.fixture
def copy(tmp_path):
    """A file of references with two splits, and a folder of images."""
    write_refcoco(tmp_path / "refcoco", tmp_path / "train2014", splits=("val", "testA"))
    return tmp_path / "refcoco" / "refs(unc).p", tmp_path / "train2014"


def changed(file, change):
    refs = pickle.loads(file.read_bytes())
    change(refs)
    file.write_bytes(pickle.dumps(refs, protocol=2))


class Bomb:
    """What runs a command when it is read from a pickle."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_every_expression_is_a_sample(copy):
    """Defect 5: one random expression per image."""
    listing = list_refs(copy[0], "val", copy[1])
    assert [(sample.id, sample.query) for sample in listing] == [
        ("1-2", "thing 1"),
        ("1-3", "the café on image 1"),
    ]
    assert listing.image_count == 1
    assert [sample.query for sample in list_refs(copy[0], "testA", copy[1])] == ["thing 2", "the café on image 2"]


def test_an_expression_has_the_mask_of_its_object(copy):
    sample = list_refs(copy[0], "val", copy[1])[0]
    assert np.array_equal(sample.target, scene_samples()[0].target)
    assert np.array_equal(sample.instances, sample.target[None])
    assert sample.image == copy[1] / "COCO_train2014_000000000001.jpg"
    assert sample.task == "referring"


def test_a_pickle_that_runs_code_is_refused_and_nothing_runs(copy, tmp_path):
    file, images = copy
    mark = tmp_path / "it ran"
    file.write_bytes(pickle.dumps([{"split": "val", "evil": Bomb(f"touch '{mark}'")}]))
    with pytest.raises(DataError, match=r"is refused: to read it would run '(posix|nt)\.system'.*plain containers"):
        list_refs(file, "val", images)
    assert not mark.exists()


@pytest.mark.parametrize(
    "pickled",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"c__builtin__\neval\n(S'1'\ntR.",
        b"cbuiltins\ngetattr\n.",
        b"(S'true'\nios\nsystem\n.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
        pickle.dumps(collections.OrderedDict(a=1)),
        pickle.dumps(np.float64(1)),
        b"Pname\n.",
        b"\x82\x01.",
    ],
    ids=["global", "eval", "getattr", "inst", "stack global", "ordered dict", "numpy", "persistent", "extension"],
)
def test_whatever_a_pickle_looks_up_is_refused(tmp_path, pickled):
    (tmp_path / "refs.p").write_bytes(pickled)
    with pytest.raises(DataError, match=r"is refused|is damaged"):
        load_refs(tmp_path / "refs.p")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_containers_of_every_protocol_are_read(tmp_path, protocol):
    rows = [{"split": "val", "a": (1, 2**70, 0.5, None, True), "b": {"é"}, "c": frozenset([1]), "d": [b"x", "ü"]}]
    (tmp_path / "refs.p").write_bytes(pickle.dumps(rows, protocol=protocol))
    if protocol == 0:
        rows[0]["d"] = ["ü"]  # bytes need a function there
        (tmp_path / "refs.p").write_bytes(pickle.dumps(rows, protocol=protocol))
    elif protocol < 3:
        rows[0]["d"] = ["ü"]
        (tmp_path / "refs.p").write_bytes(pickle.dumps(rows, protocol=protocol))
    assert load_refs(tmp_path / "refs.p") == rows


def test_texts_of_python_2_are_read(tmp_path):
    (tmp_path / "refs.p").write_bytes(b"(lp0\n(dp1\nS'split'\np2\nS'caf\\xc3\\xa9'\np3\nsa.")
    assert load_refs(tmp_path / "refs.p") == [{"split": "café"}]


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x02]q", b"junk", pickle.dumps({}), pickle.dumps([1]), pickle.dumps([{}])]
)
def test_a_damaged_file_or_one_of_another_kind_is_told(tmp_path, content):
    (tmp_path / "refs.p").write_bytes(content)
    with pytest.raises(DataError, match=r"damaged|list of references"):
        load_refs(tmp_path / "refs.p")


def test_a_missing_file_and_an_unknown_split_are_told(copy, tmp_path):
    with pytest.raises(DataError, match="expected a file of references"):
        list_refs(tmp_path / "gone.p", "val", copy[1])
    with pytest.raises(DataError, match="no split 'test'; it has: testA, val"):
        list_refs(copy[0], "test", copy[1])


def test_references_that_lead_nowhere_are_named_and_left_out(copy):
    file, images = copy

    def spoil(refs):
        refs.append({**refs[0], "ref_id": 7, "ann_id": 404})
        refs.append({**refs[0], "ref_id": 8, "image_id": 2})
        refs.append({key: value for key, value in {**refs[0], "ref_id": 9}.items() if key != "sentences"})
        refs[0]["sentences"][0]["sent"] = refs[0]["sentences"][0]["raw"] = " "

    changed(file, spoil)
    listing = list_refs(file, "val", images)
    assert [sample.id for sample in listing] == ["1-3"]
    assert {fault.kind for fault in listing.faults} == {FaultKind.BAD_RECORD}
    assert [fault.where.rpartition(" ")[2] for fault in listing.faults] == ["1", "7", "8", "9"]
    assert "annotation 404" in listing.faults[1].detail


def test_missing_images_are_named(copy):
    file, images = copy
    (images / "COCO_train2014_000000000001.jpg").unlink()
    (fault,) = list_refs(file, "val", images).faults
    assert fault.kind is FaultKind.MISSING_IMAGE


def test_an_expression_may_name_several_objects_or_none(copy):
    file, images = copy
    refs = pickle.loads(file.read_bytes())
    content = json.loads((file.parent / "instances.json").read_text())
    square = {"id": 11, "image_id": 1, "category_id": 3, "segmentation": [[50, 50, 60, 50, 60, 60, 50, 60]]}
    content["annotations"].append(square)
    (file.parent / "instances.json").write_text(json.dumps(content))
    rows = [{**refs[0], "ann_id": [10, 11]}, {**refs[0], "ref_id": 5, "ann_id": [-1], "no_target": True}]
    (file.parent / "grefs(unc).json").write_text(json.dumps(rows))
    listing = list_refs(file.parent / "grefs(unc).json", "val", images)
    assert listing[0].instances.shape == (2, 64, 64)
    assert listing[0].target[55, 55]
    assert listing[2].instances.shape == (0, 64, 64)
    assert not listing[2].target.any()
    assert listing.entry(2).may_be_empty


@pytest.mark.parametrize("home", ["grefcoco", "data/grefcoco/annotations"])
def test_grefcoco_is_found_with_several_objects_and_none(tmp_path, home):
    write_refcoco(tmp_path / home, tmp_path / "train2014", "grefs(unc).json", ("val", "testA"))
    listing = load_dataset("grefcoco", "testA", tmp_path)
    assert [len(sample.instances) for sample in listing] == [1, 1, 0, 0]
    assert [sample.target.any() for sample in listing] == [True, True, False, False]


@pytest.mark.parametrize("protocol", [0, 2])
def test_a_pickle_whose_line_ends_were_changed_is_told_what_happened_to_it(copy, protocol):
    file, _ = copy
    content = pickle.dumps(pickle.loads(file.read_bytes()), protocol)
    file.write_bytes(content.replace(b"\n", b"\r\n"))
    with pytest.raises(BrokenFile, match=r"refs\(unc\).p' was changed on its way.*CRLF.*binary file"):
        load_refs(file)


def test_texts_of_python_2_in_another_encoding_are_refused_until_it_is_named(tmp_path):
    file = tmp_path / "refs(unc).p"
    file.write_bytes(b"(lp0\n(dp1\nS'split'\np2\nS'caf\\xe9'\np3\nsa.")
    with pytest.raises(BrokenFile, match=r"texts in '.*refs\(unc\).p' should be in UTF-8 and are not.*--encoding"):
        load_refs(file)
    assert load_refs(file, "latin-1") == [{"split": "café"}]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ref_id": 1.5}, "'ref_id' of it should be a whole number, found 1.5"),
        ({"ann_id": ["x"]}, "'ann_id' of it should be a whole number"),
        ({"sentences": [{"sent_id": 1, "sent": 3}]}, "'sent' of one of its sentences should be text, found 3"),
        ({"sentences": [7]}, "one of its sentences should be a JSON object, found 7"),
    ],
)
def test_a_reference_with_a_value_of_another_kind_is_a_fault_of_its_own(copy, change, said):
    file, images = copy
    rows = pickle.loads(file.read_bytes())
    rows[0].update(change)
    (file.parent / "refs.json").write_text(json.dumps(rows))
    (fault, *_) = list_refs(file.parent / "refs.json", "val", images).faults
    assert said in fault.detail
