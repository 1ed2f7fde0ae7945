"""A check names exactly the faults that were planted, and leaves the copy as it is."""

import hashlib
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from thinkseg.data.discovery.catalog import DATA_SETS
from thinkseg.data.discovery.custom import OwnData
from thinkseg.data.discovery.load import find_datasets, find_listings, load_dataset
from thinkseg.data.listing import FaultKind
from thinkseg.data.prepared.builder import BuilderOptions
from thinkseg.data.prepared.writer import prepare
from thinkseg.data.readers.coco import list_coco
from thinkseg.data.readers.folders import NamePatterns, list_folders
from thinkseg.data.readers.reasonseg import list_reasonseg
from thinkseg.data.readers.refcoco import list_refs
from thinkseg.data.readers.tables import list_table
from thinkseg.data.validation.check import check_copy
from thinkseg.data.validation.inspection import went_through_jpeg
from thinkseg.imaging import save_mask
from thinkseg.testing.data_sets import (
    damaged_by_jpeg,
    scene_samples,
    write_coco,
    write_folders,
    write_pair,
    write_reasonseg,
    write_refcoco,
)


@pytest.fixture
def copy(tmp_path):
    """A folder of images and one of masks with six whole pairs, a to f."""
    for number, name in enumerate("abcdef"):
        write_pair(tmp_path / f"images/{name}.jpg", tmp_path / f"masks/{name}.png", number)
    return tmp_path


def check(root):
    return check_copy(root, {"all": list_folders(root / "images", root / "masks", "x")}, workers=1)


def found(report):
    return {(str(fault.kind), fault.where) for fault in report.faults}


def spoil(root: Path, fault: str) -> None:  # noqa: PLR0912 - a table in disguise
    """Plant one fault."""
    image, mask = root / "images/a.jpg", root / "masks/a.png"
    truth = scene_samples()[0].target
    if fault == "missing-mask":
        mask.unlink()
    elif fault == "missing-image":
        image.unlink()
    elif fault == "ambiguous":
        (root / "images/a.PNG").write_bytes(image.read_bytes())
    elif fault == "unreadable image":
        image.write_bytes(b"GIF? no")
    elif fault == "unreadable mask":
        mask.write_bytes(b"")
    elif fault in ("truncated image", "truncated mask"):
        file = image if "image" in fault else mask
        file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
    elif fault in ("too-large image", "too-large mask"):
        huge_png(image if "image" in fault else mask)
    elif fault == "too-narrow":
        Image.new("RGB", (900, 4), "red").save(image)
        save_mask(np.arange(900 * 4).reshape(4, 900) % 9 < 4, mask)
    elif fault == "wrong-size":
        save_mask(np.pad(truth, ((0, 0), (0, 1))), mask)
    elif fault == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.new("RGB", (64, 48), "red").save(image, exif=exif)
        save_mask(truth[:48], mask)
    elif fault in ("empty", "full"):
        save_mask(np.full((64, 64), fault == "full"), mask)
    elif fault == "class numbers":
        numbers = truth.astype(np.uint8) * 2
        numbers[:4] = 1
        Image.fromarray(numbers).save(mask)
    elif fault == "non-binary":
        Image.fromarray(truth.astype(np.uint8) * 255).resize((32, 32), Image.Resampling.BOX).resize(
            (64, 64), Image.Resampling.BILINEAR
        ).save(mask)
    elif fault == "jpeg bytes":
        damaged_by_jpeg(truth, mask)
    elif fault == "jpeg marks":
        damaged_by_jpeg(truth, root / "x")
        Image.open(root / "x").save(mask)
        (root / "x").unlink()
    elif fault == "duplicated image":
        image.write_bytes((root / "images/b.jpg").read_bytes())
    else:
        mask.write_bytes((root / "masks/b.png").read_bytes())


def huge_png(file: Path) -> None:
    """A file of a hundred bytes that says that it holds 30,000×30,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 100)
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))


PLANTED = {
    "missing-mask": {("missing-mask", "images/a.jpg")},
    "missing-image": {("missing-image", "masks/a.png")},
    "ambiguous": {("ambiguous", "images/a.PNG")},
    "unreadable image": {("unreadable", "images/a.jpg")},
    "unreadable mask": {("unreadable", "masks/a.png")},
    "truncated image": {("truncated", "images/a.jpg")},
    "truncated mask": {("truncated", "masks/a.png")},
    "too-large image": {("too-large", "images/a.jpg")},
    "too-large mask": {("too-large", "masks/a.png")},
    "too-narrow": {("too-narrow", "images/a.jpg")},
    "wrong-size": {("wrong-size", "masks/a.png")},
    "turned": {("wrong-size", "masks/a.png")},
    "empty": {("empty", "masks/a.png")},
    "full": {("full", "masks/a.png")},
    "class numbers": {("not-a-mask", "masks/a.png")},
    "non-binary": {("non-binary", "masks/a.png")},
    "jpeg bytes": {("jpeg-damaged", "masks/a.png")},
    "jpeg marks": {("jpeg-damaged", "masks/a.png")},
    "duplicated image": {("duplicated", "images/b.jpg")},
    "duplicated mask": {("duplicated", "masks/b.png")},
}


def test_a_whole_copy_has_no_fault(copy):
    report = check(copy)
    assert report.faults == []
    assert report.splits[0].samples == report.splits[0].image_count == 6


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_named_and_nothing_else_is(copy, fault):
    spoil(copy, fault)
    assert found(check(copy)) == PLANTED[fault]


def test_faults_of_many_kinds_are_all_named_in_order(copy):
    for name, fault in zip("abcdef", ("missing-mask", "truncated mask", "empty", "jpeg bytes", "full", "unreadable"),
                           strict=True):  # fmt: skip
        mask = copy / f"masks/{name}.png"
        if fault == "missing-mask":
            mask.unlink()
        elif fault == "truncated mask":
            mask.write_bytes(mask.read_bytes()[:80])
        elif fault == "jpeg bytes":
            damaged_by_jpeg(scene_samples()[3].target, mask)
        elif fault == "unreadable":
            mask.write_text("no")
        else:
            save_mask(np.full((64, 64), fault == "full"), mask)
    report = check(copy)
    assert [(str(fault.kind), fault.where) for fault in report.faults] == [
        ("missing-mask", "images/a.jpg"),
        ("unreadable", "masks/f.png"),
        ("truncated", "masks/b.png"),
        ("empty", "masks/c.png"),
        ("full", "masks/e.png"),
        ("jpeg-damaged", "masks/d.png"),
    ]
    assert report.counts[FaultKind.FULL] == 1


def test_what_only_looks_odd_is_no_fault(copy):
    truth = scene_samples()[0].target
    palette = Image.fromarray(truth.astype(np.uint8))
    palette.putpalette([0, 0, 0, 200, 0, 0])
    palette.save(copy / "masks/a.png")
    Image.fromarray(truth.astype(np.uint16) * 65535).save(copy / "masks/b.png")
    Image.fromarray(np.stack([truth * 255, truth * 0, truth * 0, truth * 0 + 255], axis=-1).astype(np.uint8)).save(
        copy / "masks/c.png"
    )
    Image.open(copy / "images/d.jpg").convert("CMYK").save(copy / "images/d.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (64, 48), "red").save(copy / "images/e.jpg", exif=exif)
    turned = np.zeros((64, 48), dtype=bool)
    turned[:9, :7] = True
    save_mask(turned, copy / "masks/e.png")
    Image.open(copy / "images/f.jpg").convert("LA").save(copy / "images/f.PNG")
    (copy / "images/f.jpg").unlink()
    (copy / "images/été 鳥").mkdir()
    (copy / "masks/été 鳥").mkdir()
    (copy / "images/a.jpg").rename(copy / "images/été 鳥/a b.JPEG")
    (copy / "masks/a.png").rename(copy / "masks/été 鳥/a b.PNG")
    assert found(check(copy)) == set()


def test_the_detail_says_what_was_found(copy):
    spoil(copy, "turned")
    (fault,) = check(copy).faults
    assert fault.detail == (
        "is 64×48 (width×height), its image 48×64, which it fits before the turn that the image's EXIF data ask for"
    )
    spoil(copy, "class numbers")
    faults = {fault.kind: fault.detail for fault in check(copy).faults}
    assert faults["not-a-mask"].startswith("is no mask of two values: found 0 (")
    spoil(copy, "jpeg bytes")
    assert check(copy).faults[-1].detail == "is a JPEG named '.png'"


def test_a_check_writes_nothing(copy):
    """Defect 11: files deleted and moved in the user's data set, JPEG bytes written into ground-truth PNGs."""
    for fault in ("jpeg bytes", "missing-image"):
        spoil(copy, fault)

    def state():
        return {
            path: (path.stat().st_mtime_ns, hashlib.sha1(path.read_bytes()).hexdigest() if path.is_file() else "")
            for path in copy.rglob("*")
        }

    before = state()
    check(copy)
    assert state() == before


def test_the_same_image_in_two_splits_is_a_leak_that_is_named(tmp_path):
    write_folders("duts", tmp_path)
    for kind, suffix in (("Image", "jpg"), ("Mask", "png")):
        source = tmp_path / f"DUTS/DUTS-TR/DUTS-TR-{kind}/ILSVRC2012_test_00000000.{suffix}"
        (tmp_path / f"DUTS/DUTS-TE/DUTS-TE-{kind}/leak.{suffix}").write_bytes(source.read_bytes())
    ((data_set, listings),) = find_datasets(tmp_path)
    report = check_copy(tmp_path, listings, data_set, workers=1)
    duplicated = [fault for fault in report.faults if fault.kind is FaultKind.DUPLICATED]
    assert [(fault.where, fault.detail) for fault in duplicated] == [
        (
            "DUTS/DUTS-TE/DUTS-TE-Image/leak.jpg",
            "is the same as DUTS/DUTS-TR/DUTS-TR-Image/ILSVRC2012_test_00000000.jpg",
        )
    ]


def test_counts_are_held_against_the_published_ones(tmp_path):
    write_folders("cod10k", tmp_path)
    ((data_set, listings),) = find_datasets(tmp_path)
    report = check_copy(tmp_path, listings, data_set, workers=1)
    assert [(str(fault.kind), fault.where, fault.detail) for fault in report.faults] == [
        ("wrong-count", "cod10k test", "2 samples, published are 2,026"),
        ("wrong-count", "cod10k train", "2 samples, published are 3,040"),
    ]


def test_masks_that_splits_share_are_left_over_only_if_no_split_uses_them(tmp_path):
    write_folders("camo", tmp_path)
    gt = tmp_path / "CAMO-V.1.0-CVIU2019/GT"
    save_mask(scene_samples()[5].target, gt / "camourflage_09999.png")
    ((data_set, listings),) = find_datasets(tmp_path)
    report = check_copy(tmp_path, listings, data_set, workers=1)
    assert ("missing-image", "CAMO-V.1.0-CVIU2019/GT/camourflage_09999.png") in found(report)
    assert len(report.faults) == 3  # and two counts
    part = check_copy(tmp_path, {"train": listings["train"]}, data_set, whole=False, workers=1)
    assert [fault.kind for fault in part.faults] == [FaultKind.WRONG_COUNT]


def test_images_without_an_object_are_right_to_have_empty_masks(tmp_path):
    write_folders("cod10k", tmp_path)
    folder = tmp_path / "COD10K-v3/Train"
    Image.new("RGB", (64, 64), "green").save(folder / "Image/COD10K-NonCAM-1.jpg")
    tree = {data_set.name for data_set, _ in find_datasets(tmp_path)}
    assert tree == {"cod10k"}
    listing = list_folders(folder / "Image", folder / "GT_Object", "x", patterns=NamePatterns(no_object=("*NonCAM*",)))
    assert check_copy(tmp_path, {"train": listing}, workers=1).faults == []


@pytest.mark.parametrize("masks", ["black", "missing", "one of each"])
def test_cod10ks_images_without_a_camouflaged_object_have_black_masks_or_none(tmp_path, masks):
    write_folders("cod10k", tmp_path)
    train = tmp_path / "COD10K-v3/Train"
    for number, shade in enumerate(("green", "blue")):
        name = f"COD10K-NonCAM-5-NonAnimal-{number}"
        Image.new("RGB", (64, 64), shade).save(train / f"Image/{name}.jpg")
        if masks == "black" or (masks == "one of each" and number):
            save_mask(np.zeros((64, 64), dtype=bool), train / f"GT_Object/{name}.png")
    plain, whole = (load_dataset(name, "train", tmp_path) for name in ("cod10k", "cod10k-all"))
    assert len(plain) == 2
    assert [sample.target.any() for sample in whole] == [True, True, False, False]
    assert whole[3].target.shape == (64, 64)
    for listing in (plain, whole):
        assert check_copy(tmp_path, {"train": listing}, workers=1).faults == []
    save_mask(np.zeros((64, 64), dtype=bool), train / "GT_Object/COD10K-CAM-1-Aquatic-1-BatFish-0.png")
    assert found(check_copy(tmp_path, {"train": whole}, workers=1)) == {
        ("empty", "COD10K-v3/Train/GT_Object/COD10K-CAM-1-Aquatic-1-BatFish-0.png")
    }


def test_annotations_are_checked_too(tmp_path):
    write_coco(tmp_path / "a.json", tmp_path / "images")
    content = json.loads((tmp_path / "a.json").read_text())
    content["annotations"][0]["segmentation"] = [[1, 2, 3]]
    content["annotations"][1]["segmentation"] = [[-90, -90, -50, -90, -50, -50]]
    content["images"][2].update(width=80)
    content["annotations"][2]["segmentation"] = [[0, 0, 9, 0, 9, 9]]
    (tmp_path / "a.json").write_text(json.dumps(content))
    report = check_copy(tmp_path, {"all": list_coco(tmp_path / "a.json", tmp_path / "images")}, workers=1)
    assert found(report) == {
        ("bad-record", "a.json: category 3 in image 1"),
        ("empty", "a.json: category 3 in image 2"),
        ("wrong-size", "a.json: category 3 in image 3"),
    }


def test_an_object_that_many_expressions_name_is_looked_at_once(tmp_path):
    write_refcoco(tmp_path / "refcoco", tmp_path / "train2014")
    content = json.loads((tmp_path / "refcoco/instances.json").read_text())
    content["annotations"][0]["segmentation"] = [[-90, -90, -50, -90, -50, -50]]
    (tmp_path / "refcoco/instances.json").write_text(json.dumps(content))
    listing = list_refs(tmp_path / "refcoco/refs(unc).p", "val", tmp_path / "train2014")
    calls = []
    report = check_copy(tmp_path, {"val": listing}, workers=1, progress=lambda done, total: calls.append((done, total)))
    assert found(report) == {("empty", "refcoco/instances.json: annotation 10")}
    assert calls == [(1, 1)]
    (tmp_path / "train2014/COCO_train2014_000000000001.jpg").unlink()
    listing = list_refs(tmp_path / "refcoco/refs(unc).p", "val", tmp_path / "train2014")
    assert found(check_copy(tmp_path, {"val": listing}, workers=1)) == {
        ("missing-image", "train2014/COCO_train2014_000000000001.jpg")
    }


def test_reasonseg_counts_images(tmp_path):
    write_reasonseg(tmp_path)
    (tmp_path / "ReasonSeg/val/0_a.b.json").write_text('{"text": ["x"], "shapes": [{"label": "target"}]}')
    data_set = DATA_SETS["reasonseg"]
    listing = list_reasonseg(tmp_path / "ReasonSeg/val", every_text=True)
    report = check_copy(tmp_path, {"val": listing}, data_set, workers=1)
    assert found(report) == {("bad-record", "ReasonSeg/val/0_a.b.json"), ("wrong-count", "reasonseg val")}
    assert report.faults[-1].detail == "2 images, published are 200"


def test_rows_of_a_table_are_checked_too(copy):
    save_mask(np.zeros((5, 5), dtype=bool), copy / "masks/small.png")
    (copy / "a.csv").write_text(
        "image,query,mask,ignore\n"
        "images/a.jpg,x,masks/a.png,\n"
        "images/a.jpg,y,masks/a.png|masks/small.png,\n"
        "images/b.jpg,z,none,masks/small.png\n"
        "images/gone.jpg,z,masks/c.png,\n"
    )
    report = check_copy(copy, {"all": list_table(copy / "a.csv")}, workers=1)
    assert found(report) == {
        ("missing-image", "images/gone.jpg"),
        ("wrong-size", "masks/small.png"),
        ("empty", "masks/small.png"),
    }


def test_several_workers_find_the_same(copy):
    for fault in ("duplicated image", "truncated mask"):
        spoil(copy, fault)
    listing = list_folders(copy / "images", copy / "masks", "x")
    assert check_copy(copy, {"all": listing}, workers=3) == check_copy(copy, {"all": listing}, workers=1)


def test_a_report_can_be_written_as_json(copy):
    spoil(copy, "full")
    content = json.loads(json.dumps(check(copy).to_json()))
    assert content["counts"] == {"full": 1}
    assert content["faults"] == [{"kind": "full", "where": "masks/a.png", "detail": ""}]
    assert content["splits"][0] == {
        "split": "all", "folder": str(copy), "samples": 6, "images": 6, "expected": None, "unit": "samples"
    }  # fmt: skip


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_the_marks_of_jpeg_are_told_from_soft_edges(tmp_path, quality):
    truth = Image.fromarray(scene_samples(6, 128)[1].target.astype(np.uint8) * 255)
    truth.save(tmp_path / "a.jpg", quality=quality)
    assert went_through_jpeg(np.asarray(Image.open(tmp_path / "a.jpg")) / 255)
    for method in (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.LANCZOS):
        assert not went_through_jpeg(np.asarray(truth.resize((90, 90), method)) / 255)
        assert not went_through_jpeg(np.asarray(truth.resize((200, 200), method)) / 255)


def odd(root: Path) -> None:
    """Everything that real copies have and that is no fault: odd suffixes, names, folders and kinds of masks."""
    truth = scene_samples()[0].target
    images, masks = root / "COD10K-v3/Train/Image", root / "COD10K-v3/Train/GT_Object"
    stems = [
        f"COD10K-CAM-{kind}" for kind in ("jpg", "upper", "nested", "é 鳥", "16", "rgba", "palette", "exif", "cmyk")
    ]
    shades = iter(range(0, 250, 12))
    for stem in stems:
        place = "sub folder/" if stem.endswith("nested") else ""
        for folder in (images / place, masks / place):
            folder.mkdir(parents=True, exist_ok=True)
        suffix = {"jpg": ".JPG", "upper": ".JPEG"}.get(stem.rpartition("-")[2], ".jpg")
        size = (64, 48) if stem.endswith("exif") else (64, 64)
        image = Image.new("RGB", size, (next(shades), 90, 160))
        exif = Image.Exif()
        if stem.endswith("exif"):
            exif[0x0112] = 6
        if stem.endswith("cmyk"):
            image = image.convert("CMYK")
        image.save(images / f"{place}{stem}{suffix}", format="JPEG", exif=exif)
        mask = np.roll(truth, next(shades) // 12, axis=1)
        drawn = Image.fromarray(mask.astype(np.uint8) * 255)
        if stem.endswith("16"):
            drawn = Image.fromarray(mask.astype(np.uint16) * 65535)
        elif stem.endswith("rgba"):
            drawn = Image.merge("RGBA", (drawn, drawn, drawn, Image.new("L", drawn.size, 255)))
        elif stem.endswith("palette"):
            drawn = Image.fromarray(mask.astype(np.uint8))
            drawn.putpalette([0, 0, 0, 200, 0, 0])
        elif stem.endswith("exif"):
            drawn = drawn.crop((0, 0, 48, 64))
        target = masks / f"{place}{stem.upper() if stem.endswith('upper') else stem}.png"
        drawn.save(target.with_suffix(".PNG") if stem.endswith("upper") else target)


def test_exactly_the_planted_faults_are_reported_of_a_copy_that_has_all_that_real_copies_have(tmp_path):
    odd(tmp_path)
    images, masks = (tmp_path / f"COD10K-v3/Train/{name}" for name in ("Image", "GT_Object"))
    for number, stem in enumerate(("no-mask", "no-image", "twice", "cut", "huge", "grey"), start=0):
        write_pair(images / f"COD10K-CAM-{stem}.jpg", masks / f"COD10K-CAM-{stem}.png", number)
    (masks / "COD10K-CAM-no-mask.png").unlink()
    (images / "COD10K-CAM-no-image.jpg").unlink()
    Image.new("RGB", (64, 64), "pink").save(images / "COD10K-CAM-twice.png")
    (images / "COD10K-CAM-twice.jpg").rename(images / "COD10K-CAM-twice.jpeg")
    (images / "COD10K-CAM-cut.jpg").write_bytes((images / "COD10K-CAM-cut.jpg").read_bytes()[:700])
    huge_png(masks / "COD10K-CAM-huge.png")
    write_refcoco(tmp_path / "refcoco", tmp_path / "train2014")
    (tmp_path / "refcoco/refs(unc).p").write_bytes(b"cos\nsystem\n(S'touch it-ran'\ntR.")
    write_coco(tmp_path / "annotations/instances_val2017.json", tmp_path / "val2017")
    (tmp_path / "annotations/instances_val2017.json").write_text("{")
    reports = {
        record.name: check_copy(tmp_path, listings, record, workers=1)
        for record, listings in find_listings(OwnData(tmp_path))
    }
    train = "COD10K-v3/Train"
    assert found(reports["cod10k"]) == {
        ("missing-mask", f"{train}/Image/COD10K-CAM-no-mask.jpg"),
        ("missing-image", f"{train}/GT_Object/COD10K-CAM-no-image.png"),
        ("ambiguous", f"{train}/Image/COD10K-CAM-twice.jpeg"),
        ("truncated", f"{train}/Image/COD10K-CAM-cut.jpg"),
        ("too-large", f"{train}/GT_Object/COD10K-CAM-huge.png"),
        ("wrong-count", "cod10k train"),
    }
    assert found(reports["refcoco"]) == {("refused", "refcoco/refs(unc).p")}
    assert found(reports["coco"]) == {("unreadable", "annotations/instances_val2017.json")}
    assert reports.keys() == {"cod10k", "refcoco", "coco"}
    assert not Path("it-ran").exists()


def test_rows_are_checked_one_by_one(copy, tmp_path_factory):
    root = tmp_path_factory.mktemp("made")
    listing = list_folders(copy / "images", copy / "masks", "x")
    prepare(listing, root / "rows", settings=BuilderOptions(schema="seg-zero", resize=112))
    ((_, splits),) = find_listings(OwnData(root / "rows"))
    assert check_copy(root, splits, workers=1).faults == []
    file = root / "rows/train-00000-of-00001.parquet"
    rows = pq.read_table(file).to_pylist()
    rows[2]["solution"] = "<box>(0,0),(839,839)</box><points>(1,1),(2,2)</points>"
    rows[4]["image"]["bytes"] = rows[4]["image"]["bytes"][:90]
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(file)), file)
    ((_, splits),) = find_listings(OwnData(root / "rows"))
    report = check_copy(root, splits, workers=1)
    assert [(str(fault.kind), fault.where) for fault in report.faults] == [
        ("bad-record", "rows/train-00000-of-00001.parquet#2"),
        ("bad-record", "rows/train-00000-of-00001.parquet#4"),
    ]
    assert "the image of row 4 of 'rows/train-00000-of-00001.parquet' is not an image" in report.faults[1].detail
    assert "another frame" in report.faults[0].detail
