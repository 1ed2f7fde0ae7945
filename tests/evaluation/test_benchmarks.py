from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thinkseg.cli import evaluate as verb
from thinkseg.errors import DataError, InputError
from thinkseg.evaluation.benchmarks import BENCHMARKS, LoadOptions, load_benchmark
from thinkseg.evaluation.measures.registry import MEASURES
from thinkseg.imaging import save_mask
from thinkseg.testing.data_sets import FOLDERS, write_folders, write_grefcoco, write_reasonseg, write_refcoco


def write_pair(root: Path, name: str, side: int = 8) -> None:
    (root / "images").mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), "teal").save(root / "images" / f"{name}.jpg")
    save_mask(np.eye(side, dtype=bool), root / "masks" / f"{name}.png")


def test_every_record_is_complete_and_told_of_in_the_help() -> None:
    for name, benchmark in BENCHMARKS.items():
        assert benchmark.name == name
        assert benchmark.summary
        assert set(benchmark.measures) <= set(MEASURES)
        assert "default" in benchmark.protocols
        assert name in verb.EXAMPLE.split()


def test_the_held_out_scenes_are_512_and_the_same_ones_every_time() -> None:
    _, samples = load_benchmark("scenes", LoadOptions(seed=1))
    _, again = load_benchmark("scenes", LoadOptions(limit=3, seed=1))
    assert len(samples) == 512
    assert len(again) == 3
    assert samples[2].id == again[2].id
    assert np.array_equal(np.asarray(samples[2].image), np.asarray(again[2].image))
    tasks = {samples[index].task for index in range(12)}
    assert {"salient", "referring", "nothing"} <= tasks


def test_folders_of_images_and_masks_are_a_benchmark(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        write_pair(tmp_path, name)
    _, samples = load_benchmark("folder", LoadOptions(root=tmp_path))
    assert [sample.id for sample in samples] == ["a", "b", "c"]
    assert samples[0].target is not None
    assert samples[0].target.sum() == 8
    assert len(load_benchmark("folder", LoadOptions(root=tmp_path, limit=2))[1]) == 2


def test_an_image_without_a_mask_is_refused_since_it_would_shrink_the_denominator(tmp_path: Path) -> None:
    write_pair(tmp_path, "a")
    write_pair(tmp_path, "b")
    (tmp_path / "masks" / "b.png").unlink()
    with pytest.raises(DataError, match=r"b\.jpg"):
        load_benchmark("folder", LoadOptions(root=tmp_path))


def test_a_wrong_name_protocol_limit_or_place_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no benchmark 'scene': did you mean 'scenes'"):
        load_benchmark("scene", LoadOptions())
    with pytest.raises(InputError, match="no protocol 'lisa'; it has: default"):
        load_benchmark("scenes", LoadOptions(), "lisa")
    with pytest.raises(InputError, match="at least 1 sample, found 0"):
        load_benchmark("scenes", LoadOptions(limit=0))
    with pytest.raises(InputError, match="--data ROOT"):
        load_benchmark("folder", LoadOptions())
    with pytest.raises(DataError, match=r"found nothing below .*a folder of images and one of masks"):
        load_benchmark("folder", LoadOptions(root=tmp_path))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small copies of all data sets that are benchmarks: two images of a split, two wordings of each."""
    root = tmp_path_factory.mktemp("data")
    for name in FOLDERS:
        write_folders(name, root / name)
    for folder, file, splits in (
        ("refcoco", "refs(unc).p", ("val", "testA", "testB")),
        ("refcoco+", "refs(unc).p", ("val", "testA", "testB")),
        ("refcocog", "refs(umd).p", ("val", "test")),
    ):
        write_refcoco(root / folder, root / "train2014", file, splits)
    write_grefcoco(root / "grefcoco", root / "train2014", ("val", "testA", "testB"))
    write_reasonseg(root)
    return root


ON_DISK = {
    "cod10k": 2_026, "camo": 250, "chameleon": 76, "nc4k": 4_121,
    "dis-vd": 470, "dis-te1": 500, "dis-te2": 500, "dis-te3": 500, "dis-te4": 500,
    "duts": 5_019, "dut-omron": 5_168, "hku-is": 4_447, "ecssd": 1_000,
    "refcoco-val": 10_834, "refcoco-testa": 5_657, "refcoco-testb": 5_095,
    "refcoco+-val": 10_758, "refcoco+-testa": 5_726, "refcoco+-testb": 4_889,
    "refcocog-val": 4_896, "refcocog-test": 9_602,
    "grefcoco-val": None, "grefcoco-testa": None, "grefcoco-testb": None,
    "reasonseg-val": 200, "reasonseg-test": 779,
}  # fmt: skip
"""The published numbers of samples; a sample of RefCOCO is an expression, one of ReasonSeg an image."""

OF_OBJECTS = ("coco-detection", "folder-detection", "pixmo-count", "pixmo-count-val", "countbench")
"""They have tests of their own."""


def test_the_tests_know_of_every_benchmark() -> None:
    assert list(BENCHMARKS) == ["scenes", "folder", *ON_DISK, *OF_OBJECTS]


@pytest.mark.parametrize("name", ON_DISK)
def test_a_benchmark_on_disk_is_found_below_the_root_and_counted(root: Path, name: str) -> None:
    benchmark, samples = load_benchmark(name, LoadOptions(limit=2, root=root))
    assert benchmark.expected_count == ON_DISK[name]
    assert len(samples) == 2
    assert len({sample.id for sample in samples}) == 2
    for sample in samples:
        assert sample.target is not None
        assert sample.target.any() == (sample.query != "a dinosaur")
        assert sample.task == benchmark.task
    if ON_DISK[name] is None:  # no number is known
        return
    with pytest.raises(DataError, match=f"has {ON_DISK[name]} samples, found 2; the copy on disk is not whole"):
        load_benchmark(name, LoadOptions(root=root))


def test_images_without_words_are_asked_for_all_primary_objects_and_others_in_their_own_words(root: Path) -> None:
    asked = {
        name: [sample.query for sample in load_benchmark(name, LoadOptions(limit=2, root=root))[1]]
        for name in ("camo", "refcoco-testa", "reasonseg-val")
    }
    assert set(asked["camo"]) == {"all the primary objects"}
    assert asked["refcoco-testa"] == ["thing 2", "the café on image 2"]
    assert asked["reasonseg-val"] == ["What stands out on image 0?", "What stands out on image 1?"]


@pytest.mark.parametrize("name", ON_DISK)
def test_a_copy_that_is_not_there_is_told_with_the_way_to_get_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"needs --data ROOT"):
        load_benchmark(name, LoadOptions())
    with pytest.raises(DataError, match=r"is no folder; check --data"):
        load_benchmark(name, LoadOptions(root=tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"found no '\w+' of .* below .*'thinkseg data list .*get it: http"):
        load_benchmark(name, LoadOptions(root=tmp_path))


def test_references_without_their_images_are_told_with_a_way_out(tmp_path: Path) -> None:
    write_refcoco(tmp_path / "refcoco", tmp_path / "elsewhere", splits=("val",))
    with pytest.raises(DataError, match=r"no folder 'train2014' with COCO's images below .*a link to it"):
        load_benchmark("refcoco-val", LoadOptions(root=tmp_path))
