"""The data sets that are known, one record each. To add one, add a record.

All else reads it: `discovery.load` finds the copy on disk, `thinkseg data list` prints it, and each split that names a
benchmark is one of ``thinkseg evaluate``, with the measures of its kind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from thinkseg.data.discovery.patterns import DirectoryPattern
from thinkseg.errors import DataError

PRIMARY = "all the primary objects"
"""The query for every image of a known data set that has none, as in Seg-R1."""

MAIN = "the main object"
"""The query for every image in folders of one's own where none is given, in training, evaluation and preparation."""

OWN = "own"
"""The name of data of one's own, which are in no catalogue."""

Layout = Literal["folders", "refcoco", "reasonseg", "coco", "lvis", "rows"]


MeasuredAs = Literal["masks", "foreground", "dichotomous", "referring", "several", "reasoning"]
"""The kinds of benchmarks; `thinkseg.evaluation.benchmarks` says which measures and protocols each has."""


@dataclass(frozen=True, slots=True)
class Split:
    """One split of a data set."""

    count: int | None = None
    """How many were published, in the data set's unit; None when no number is known."""
    patterns: tuple[DirectoryPattern, ...] = ()
    """Where it may lie, for "folders"; for "coco" the folder of images, for "rows" the folder of files, as `root`."""
    benchmark: str = ""
    """The name of the benchmark that it is; empty for none."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A ZIP that a data set's authors offer at a lasting address, and that its terms let a program fetch."""

    url: str
    size: int
    """In bytes."""
    sha256: str
    """As TensorFlow Datasets has published it, since the authors publish none; empty where none is known."""
    into: str
    """The folder, from that of the data sets on, that it is unpacked into."""
    splits: tuple[str, ...] = ()
    """The splits that need it; empty for all."""

    @property
    def name(self) -> str:
        """The last part of its address."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class DataSet:
    """What is known of a data set."""

    name: str
    title: str
    layout: Layout
    task: str
    splits: Mapping[str, Split]
    source: str
    """Where to get it."""
    licence: str
    query: str = PRIMARY
    """For data sets without words; for "coco" and "lvis", ``{}`` stands for the category."""
    unit: Literal["samples", "images"] = "samples"
    """What the published counts count."""
    only: tuple[str, ...] = ("*",)
    """For "folders": patterns of the names that belong to it, where mirrors mix data sets."""
    without: tuple[str, ...] = ()
    """Patterns of names that do not."""
    no_object: tuple[str, ...] = ()
    """Patterns of images that show no object and need no mask."""
    on_request: bool = False
    """Whether it is looked for only by its name, since its folders are those of another data set."""
    shared_masks: bool = False
    """Whether the splits share a folder of masks."""
    refs: tuple[str, str] = ("", "")
    """For "refcoco": its folder and the file of references."""
    absent: bool = False
    """For "lvis": whether it asks for what is known not to be in the images."""
    measured_as: MeasuredAs = "masks"
    """By what its benchmarks are measured."""
    archives: tuple[Archive, ...] = ()
    """What ``thinkseg data download`` fetches; empty where the terms name no licence that lets a program do so."""


def _roots(*roots: str) -> tuple[DirectoryPattern, ...]:
    return tuple(map(DirectoryPattern, roots))


_COD_TRAIN = ("COD10K*/Train*", "COD10K*Train*", "TrainDataset", "TrainValDataset")
_COD_TEST = ("COD10K*/Test*", "TestDataset/COD10K*", "COD10K*Test*")
_CAMO_TRAIN = (
    DirectoryPattern("CAMO*", "Images/Train", "GT"), DirectoryPattern("CAMO*", "Train/Im*", "Train/GT*"),
    *_roots("TrainDataset", "TrainValDataset"),
)  # fmt: skip
_CAMO_TEST = (
    DirectoryPattern("CAMO*", "Images/Test", "GT"), DirectoryPattern("CAMO*", "Test/Im*", "Test/GT*"),
    *_roots("TestDataset/CAMO*"),
)  # fmt: skip
_UNSTATED = "none stated; made for research"
_COCO_TERMS = "annotations CC BY 4.0; images under the terms of Flickr"
_ROW_TERMS = "see its page; images under the terms of Flickr"
_LVIS = "https://www.lvisdataset.org (with COCO's train2017 and val2017 images)"
_REFER = "https://github.com/lichengunc/refer (with COCO's train2014 images)"

_COCO_FILES = "https://s3.amazonaws.com/images.cocodataset.org"
_LVIS_FILES = "https://s3-us-west-2.amazonaws.com/dl.fbaipublicfiles.com/LVIS"


def _coco_images(train: tuple[str, ...] = (), val: tuple[str, ...] = ()) -> tuple[Archive, ...]:
    """COCO's images of 2017, for the splits that need them."""
    return (
        Archive(f"{_COCO_FILES}/zips/train2017.zip", 19_336_861_798,
                "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929", "coco", train),
        Archive(f"{_COCO_FILES}/zips/val2017.zip", 815_585_330,
                "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05", "coco", val),
    )  # fmt: skip


_COCO_ARCHIVES = (
    Archive(f"{_COCO_FILES}/annotations/annotations_trainval2017.zip", 252_907_541,
            "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268", "coco"),
    *_coco_images(("train2017",), ("val2017",)),
)  # fmt: skip
_LVIS_ARCHIVES = (
    Archive(f"{_LVIS_FILES}/lvis_v1_train.json.zip", 350_264_821,
            "334a4caa374030a7817cf050364525e910f7960f9b6968cef47cffbf3893f8ba", "lvis", ("train",)),
    Archive(f"{_LVIS_FILES}/lvis_v1_val.json.zip", 64_026_968,
            "5cae9a3c79aadb667550c2b5dcf7f4d86e059a41ec91ef690225b667e28e9ba5", "lvis", ("val",)),
    *_coco_images(),
)  # fmt: skip

DATA_SETS: Mapping[str, DataSet] = {
    data_set.name: data_set
    for data_set in (
        DataSet(
            "cod10k", "COD10K, its images with a camouflaged object", "folders", "camouflaged",
            {"train": Split(3_040, _roots(*_COD_TRAIN)), "test": Split(2_026, _roots(*_COD_TEST), "cod10k")},
            "https://github.com/DengPingFan/SINet", _UNSTATED, only=("COD10K-*",), without=("*NonCAM*",),
            measured_as="foreground",
        ),
        DataSet(
            "cod10k-all", "COD10K, with the images that show no object", "folders", "camouflaged",
            {"train": Split(6_000, _roots(*_COD_TRAIN)), "test": Split(4_000, _roots(*_COD_TEST))},
            "https://github.com/DengPingFan/SINet", _UNSTATED, only=("COD10K-*",), no_object=("*NonCAM*",),
            on_request=True,
        ),
        DataSet(
            "camo", "CAMO", "folders", "camouflaged",
            {
                "train": Split(1_000, _CAMO_TRAIN),
                "test": Split(250, _CAMO_TEST, "camo"),
            },
            "https://sites.google.com/view/ltnghia/research/camo", _UNSTATED,
            only=("camo*",), shared_masks=True, measured_as="foreground",
        ),
        DataSet(
            "chameleon", "CHAMELEON", "folders", "camouflaged", {"test": Split(76, _roots("CHAMELEON*"), "chameleon")},
            "https://github.com/DengPingFan/SINet (with the test data)", _UNSTATED, measured_as="foreground",
        ),
        DataSet(
            "nc4k", "NC4K", "folders", "camouflaged", {"test": Split(4_121, _roots("NC4K*"), "nc4k")},
            "https://github.com/JingZhang617/COD-Rank-Localize-and-Segment", _UNSTATED, measured_as="foreground",
        ),
        DataSet(
            "dis5k", "DIS5K", "folders", "dichotomous",
            {
                "tr": Split(3_000, _roots("DIS*TR", "DIS*/TR")),
                "vd": Split(470, _roots("DIS*VD", "DIS*/VD"), "dis-vd"),
                "te1": Split(500, _roots("DIS*TE1"), "dis-te1"), "te2": Split(500, _roots("DIS*TE2"), "dis-te2"),
                "te3": Split(500, _roots("DIS*TE3"), "dis-te3"), "te4": Split(500, _roots("DIS*TE4"), "dis-te4"),
            },
            "https://github.com/xuebinqin/DIS", "terms of use of its own, beside the download",
            measured_as="dichotomous",
        ),
        DataSet(
            "duts", "DUTS", "folders", "salient",
            {
                "train": Split(10_553, _roots("DUTS*TR", "DUTS*/Train*", "DUTS*Train*")),
                "test": Split(5_019, _roots("DUTS*TE", "DUTS*/Test*", "DUTS*Test*"), "duts"),
            },
            "http://saliencydetection.net/duts/", _UNSTATED, measured_as="foreground",
        ),
        DataSet(
            "dut-omron", "DUT-OMRON", "folders", "salient",
            {"test": Split(5_168, (*_roots("DUT-OMRON*", "OMRON*"),
                                   DirectoryPattern("*", "DUT-OMRON-image*", "pixelwiseGT-new-PNG*")), "dut-omron")},
            "http://saliencydetection.net/dut-omron/", _UNSTATED, measured_as="foreground",
        ),
        DataSet(
            "hku-is", "HKU-IS", "folders", "salient", {"test": Split(4_447, _roots("HKU-IS*", "HKUIS*"), "hku-is")},
            "https://i.cs.hku.hk/~gbli/deep_saliency.html", _UNSTATED, measured_as="foreground",
        ),
        DataSet(
            "ecssd", "ECSSD", "folders", "salient", {"test": Split(1_000, _roots("ECSSD*"), "ecssd")},
            "https://www.cse.cuhk.edu.hk/leojia/projects/hsaliency/dataset.html", _UNSTATED, measured_as="foreground",
        ),
        DataSet(
            "refcoco", "RefCOCO (UNC)", "refcoco", "referring",
            {"train": Split(120_624), "val": Split(10_834, benchmark="refcoco-val"),
             "testA": Split(5_657, benchmark="refcoco-testa"), "testB": Split(5_095, benchmark="refcoco-testb")},
            _REFER, _COCO_TERMS, refs=("refcoco", "refs(unc).p"), measured_as="referring",
        ),
        DataSet(
            "refcoco+", "RefCOCO+ (UNC)", "refcoco", "referring",
            {"train": Split(120_191), "val": Split(10_758, benchmark="refcoco+-val"),
             "testA": Split(5_726, benchmark="refcoco+-testa"), "testB": Split(4_889, benchmark="refcoco+-testb")},
            _REFER, _COCO_TERMS, refs=("refcoco+", "refs(unc).p"), measured_as="referring",
        ),
        DataSet(
            "refcocog", "RefCOCOg (UMD)", "refcoco", "referring",
            {"train": Split(80_512), "val": Split(4_896, benchmark="refcocog-val"),
             "test": Split(9_602, benchmark="refcocog-test")},
            _REFER, _COCO_TERMS, refs=("refcocog", "refs(umd).p"), measured_as="referring",
        ),
        DataSet(
            "refcocog-google", "RefCOCOg (Google)", "refcoco", "referring",
            {"train": Split(85_474), "val": Split(9_536)},
            _REFER, _COCO_TERMS, refs=("refcocog", "refs(google).p"),
        ),
        DataSet(
            "grefcoco", "gRefCOCO: several objects, or none", "refcoco", "referring",
            {"train": Split(), "val": Split(benchmark="grefcoco-val"), "testA": Split(benchmark="grefcoco-testa"),
             "testB": Split(benchmark="grefcoco-testb")},
            "https://github.com/henghuiding/gRefCOCO", _COCO_TERMS, refs=("grefcoco", "grefs(unc).json"),
            measured_as="several",
        ),
        DataSet(
            "reasonseg", "ReasonSeg", "reasonseg", "reasoning",
            {"train": Split(239), "val": Split(200, benchmark="reasonseg-val"),
             "test": Split(779, benchmark="reasonseg-test")},
            "https://github.com/dvlab-research/LISA", _UNSTATED, unit="images", measured_as="reasoning",
        ),
        DataSet(
            "coco", "COCO 2017, all objects of a category", "coco", "instances",
            {"train2017": Split(118_287, _roots("train2017")), "val2017": Split(5_000, _roots("val2017"))},
            "https://cocodataset.org", _COCO_TERMS, query="{}", unit="images", archives=_COCO_ARCHIVES,
        ),
        DataSet(
            "lvis", "LVIS v1, all objects of a category", "lvis", "instances",
            {"train": Split(100_170), "val": Split(19_809)},
            _LVIS, _COCO_TERMS, query="{}", unit="images", archives=_LVIS_ARCHIVES,
        ),
        DataSet(
            "lvis-absent", "LVIS v1, what was looked for and is not in the image", "lvis", "nothing",
            {"train": Split(100_170), "val": Split(19_809)},
            _LVIS, _COCO_TERMS, query="{}", unit="images", on_request=True, absent=True, archives=_LVIS_ARCHIVES,
        ),
        *(
            DataSet(
                name, title, "rows", "referring",
                {"train": Split(patterns=_roots(f"*{repository}*"))},
                f"https://huggingface.co/datasets/Ricky06662/{repository}", _ROW_TERMS,
            )
            for name, title, repository in (
                ("refcocog-2k", "RefCOCOg-2K, Seg-Zero's rows", "refCOCOg_2k_840"),
                ("refcocog-9k", "RefCOCOg-9K, Seg-Zero's rows", "refCOCOg_9k_840"),
                ("multi-object-1k", "MultiObject-1K, VisionReasoner's rows", "VisionReasoner_multi_object_1k_840"),
                ("multi-object-7k", "MultiObject-7K, VisionReasoner's rows", "VisionReasoner_multi_object_7k_840"),
            )
        ),
    )
}  # fmt: skip


def known(name: str, data_sets: Mapping[str, DataSet] = DATA_SETS) -> DataSet:
    """The record of a data set.

    Args:
        name: what it is called.
        data_sets: those that are known.

    Raises:
        DataError: there is none of this name.
    """
    if name not in data_sets:
        raise DataError(f"there is no data set '{name}'; there are: {', '.join(data_sets)}")
    return data_sets[name]


def benchmark_splits() -> list[tuple[str, DataSet, str]]:
    """The splits that are benchmarks: the benchmark's name, the data set, the split."""
    return [
        (split.benchmark, data_set, name)
        for data_set in DATA_SETS.values()
        for name, split in data_set.splits.items()
        if split.benchmark
    ]


def expected_tree(data_set: DataSet) -> Sequence[str]:
    """The folders and files that a data set is looked for in, a line each."""
    if data_set.layout == "refcoco":
        folder, refs = data_set.refs
        return [f"{folder}/{refs}", f"{folder}/instances.json", "train2014/COCO_train2014_*.jpg  (anywhere below ROOT)"]
    if data_set.layout == "reasonseg":
        return [f"Reason*Seg*/{split}/NAME.jpg, NAME.json" for split in data_set.splits]
    if data_set.layout == "coco":
        return [f"annotations/instances_{split}.json, {split}/*.jpg" for split in data_set.splits]
    if data_set.layout == "lvis":
        folders = "train2017/*.jpg, val2017/*.jpg  (in one folder, anywhere below ROOT; both splits show both)"
        return [*(f"lvis_v1_{split}.json" for split in data_set.splits), folders]
    if data_set.layout == "rows":
        roots = [pattern.root for split in data_set.splits.values() for pattern in split.patterns]
        return [f"{root}/data/train-*-of-*.parquet, or *.arrow" for root in roots]
    lines = []
    for name, split in data_set.splits.items():
        for number, pattern in enumerate(split.patterns):
            images, masks = (
                f"{pattern.root}/{below}" for below in (pattern.images or "IMAGES", pattern.masks or "MASKS")
            )
            lines.append(f"{name if not number else ' or':6}  {images} with {masks}")
    return [*lines, "IMAGES is called image, imgs, im, …; MASKS gt, mask, GT_Object, ground_truth_mask, …"]
