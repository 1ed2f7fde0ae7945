from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thinkseg.cli import evaluate as verb
from thinkseg.errors import DataError, InputError
from thinkseg.evaluation.benchmarks import BENCHMARKS, LoadOptions, load_benchmark
from thinkseg.evaluation.measures import MEASURES
from thinkseg.imaging import save_mask


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
        assert f"\n  {name} " in verb.EXAMPLE


def test_the_held_out_scenes_are_512_and_the_same_ones_every_time() -> None:
    _, samples = load_benchmark("scenes", LoadOptions(seed=1))
    _, again = load_benchmark("scenes", LoadOptions(limit=3, seed=1))
    assert len(samples) == 512
    assert len(again) == 3
    assert samples[2].id == again[2].id
    assert np.array_equal(np.asarray(samples[2].image), np.asarray(again[2].image))
    tasks = {samples[index].task for index in range(12)}
    assert {"salient", "referring", "nothing"} <= tasks


def test_folders_of_pictures_and_masks_are_a_benchmark(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        write_pair(tmp_path, name)
    _, samples = load_benchmark("folder", LoadOptions(root=tmp_path))
    assert [sample.id for sample in samples] == ["a", "b", "c"]
    assert samples[0].target is not None
    assert samples[0].target.sum() == 8
    assert len(load_benchmark("folder", LoadOptions(root=tmp_path, limit=2))[1]) == 2


def test_a_picture_without_a_mask_is_refused_since_it_would_shrink_the_denominator(tmp_path: Path) -> None:
    write_pair(tmp_path, "a")
    write_pair(tmp_path, "b")
    (tmp_path / "masks" / "b.png").unlink()
    with pytest.raises(DataError, match=r"b\.jpg"):
        load_benchmark("folder", LoadOptions(root=tmp_path))


def test_a_wrong_name_protocol_limit_or_place_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no benchmark 'scene'; there are: scenes"):
        load_benchmark("scene", LoadOptions())
    with pytest.raises(InputError, match="no protocol 'lisa'; it has: default"):
        load_benchmark("scenes", LoadOptions(), "lisa")
    with pytest.raises(InputError, match="at least 1 sample, found 0"):
        load_benchmark("scenes", LoadOptions(limit=0))
    with pytest.raises(InputError, match="--data ROOT"):
        load_benchmark("folder", LoadOptions())
    with pytest.raises(DataError, match="expected a folder of pictures"):
        load_benchmark("folder", LoadOptions(root=tmp_path))
