"""A family of reasoners and a segmenter from outside the package, each in a file, from the command line to the mask.

The family is new to transformers, too: its file registers the class of the model, which says the same of every image.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import thinkseg
from thinkseg import testing
from thinkseg.cli import main
from thinkseg.extension import digest_of, import_reference
from thinkseg.imaging import load_mask
from thinkseg.models.base import Segmenter
from thinkseg.training.callbacks import read_log
from thinkseg.types import Size

from .conftest import example_in

FAMILY = """
import torch
from transformers import AutoConfig, AutoModelForImageTextToText, Qwen2VLConfig, Qwen2VLForConditionalGeneration

from thinkseg.models.families import PatchGridFamily
from thinkseg.types import Size


class ToyConfig(Qwen2VLConfig):
    model_type = "toy_vl"


class ToyModel(Qwen2VLForConditionalGeneration):
    config_class = ToyConfig

    def generate(self, input_ids, **options):
        said = torch.tensor(self.config.said, device=input_ids.device)
        return torch.cat([input_ids, said.expand(len(input_ids), -1)], dim=1)


AutoConfig.register("toy_vl", ToyConfig, exist_ok=True)
AutoModelForImageTextToText.register(ToyConfig, ToyModel, exist_ok=True)


class ToyFamily(PatchGridFamily):
    '''Writes coordinates from 0 to 100.'''

    lora_targets = r".*language_model.*(q|v)_proj"

    def frame_of(self, processor, size):
        return Size(100, 100)
"""
ANSWER = "<think>there</think><bbox>[50,50,75,75]</bbox><points>[[60,60]]</points><labels>[1]</labels>"
SIZE = Size(80, 40)


@pytest.fixture
def family(tmp_path: Path) -> str:
    """The reference to a family in a file."""
    (tmp_path / "toy_family.py").write_text(FAMILY)
    return f"{tmp_path / 'toy_family.py'}:ToyFamily"


@pytest.fixture
def segmenter(tmp_path: Path) -> str:
    """The reference to the segmenter in the contract, in a file."""
    (tmp_path / "boxes.py").write_text(example_in(Segmenter))
    return f"{tmp_path / 'boxes.py'}:Boxes"


@pytest.fixture
def model(tmp_path: Path, family: str) -> Path:
    """A checkpoint of the family."""
    tiny, processor = testing.tiny_qwen2_vl()
    toy = import_reference(family.replace("ToyFamily", "ToyModel"))
    said = processor.tokenizer(ANSWER + processor.tokenizer.eos_token)["input_ids"]
    own = toy(toy.config_class(**(tiny.config.to_dict() | {"model_type": "toy_vl", "said": said})))
    return testing.save(tmp_path / "model", (own, processor), {"format": "seg-r1"})


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    Image.effect_noise(SIZE.wh, 60).convert("RGB").save(tmp_path / "images" / "photo.png")
    return tmp_path / "images" / "photo.png"


@pytest.fixture
def expected() -> np.ndarray:
    """The box of the answer, filled."""
    mask = np.zeros(SIZE.hw, bool)
    mask[20:30, 40:60] = True
    return mask


@pytest.fixture
def segment(photo: Path, tmp_path: Path) -> Callable[..., int]:
    """Runs the verb on the photo."""

    def run(model: Path, *words: str) -> int:
        asked = ["segment", photo, "--query", "it", "--model", model, "--device", "cpu", "--out", tmp_path / "out"]
        return main([*map(str, asked), *words])

    return run


def test_flags_name_a_family_and_a_segmenter_of_ones_own(
    segment: Callable[..., int], model: Path, family: str, segmenter: str, expected: np.ndarray, tmp_path: Path
) -> None:
    assert segment(model, "--family", family, "--segmenter", segmenter) == 0
    assert np.array_equal(load_mask(tmp_path / "out" / "photo.mask.png"), expected)
    record = json.loads((tmp_path / "out" / "photo.json").read_text())
    assert record["frame"] == {"width": 100, "height": 100}
    assert record["objects"][0]["box"] == [40, 20, 60, 30]


def test_a_result_by_a_segmenter_that_has_changed_since_is_not_kept(
    segment: Callable[..., int], model: Path, family: str, segmenter: str, tmp_path: Path
) -> None:
    words = ("--family", family, "--segmenter", segmenter)
    result = tmp_path / "out" / "photo.mask.png"
    segment(model, *words)
    written = result.stat().st_mtime_ns
    segment(model, *words)
    assert result.stat().st_mtime_ns == written
    file = tmp_path / "boxes.py"
    file.write_text(file.read_text().replace("prompt.box is None", "True"))
    segment(model, *words)
    assert load_mask(tmp_path / "out" / "photo-2.mask.png").all()


def test_an_evaluation_writes_down_the_code_that_it_ran(
    model: Path, family: str, segmenter: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", "scenes", "--limit", "2", "--model", str(model), "--device", "cpu", "--family", family]
    assert main([*words, "--segmenter", segmenter, "--out", str(tmp_path / "run")]) == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["code"] == {
        family: digest_of(family),
        segmenter: digest_of(segmenter),
    }


def test_completions_are_scored_with_a_segmenter_of_ones_own(
    segmenter: str, photo: Path, expected: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(expected).save(tmp_path / "mask.png")
    line = {"completion": ANSWER, "frame": [100, 100], "image": str(photo), "mask": str(tmp_path / "mask.png")}
    (tmp_path / "lines.jsonl").write_text(json.dumps(line))
    assert main(["score", str(tmp_path / "lines.jsonl"), "--recipe", "seg-r1", "--segmenter", segmenter]) == 0
    assert json.loads(capsys.readouterr().out)["parts"]["segment"] == pytest.approx(1.0)


def test_without_the_family_the_model_is_refused_with_what_to_do(
    segment: Callable[..., int], model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segment(model, "--segmenter", "grabcut") == 2
    assert "models of the kind 'toy_vl'" in (said := capsys.readouterr().err)
    assert "--family" in said


def test_a_call_names_them_as_the_command_line_does(
    model: Path, family: str, segmenter: str, photo: Path, expected: np.ndarray
) -> None:
    pipeline = thinkseg.load(model, family=family, segmenter=segmenter, device="cpu")
    assert np.array_equal(pipeline.segment(photo, "it").mask, expected)


def test_a_plain_name_may_stand_in_the_checkpoints_folder(tmp_path: Path) -> None:
    settings = {"format": "seg-r1", "family": "qwen2_5_vl"}
    folder = testing.save(tmp_path / "model", testing.tiny_qwen2_vl(), settings)
    reasoner = thinkseg.load(folder, segmenter="grabcut", device="cpu").reasoner
    assert reasoner.frame_of(Image.new("RGB", (64, 64))) == Size(56, 56)


@pytest.mark.parametrize("key", ["family", "segmenter"])
def test_a_folder_that_names_code_is_refused(
    key: str, segment: Callable[..., int], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    code = f"{tmp_path / 'evil.py'}:Evil"
    (model / "thinkseg.json").write_text(json.dumps({"format": "seg-r1", key: code}))
    assert segment(model) == 2
    assert f"names '{code}', which is code, and code is run only when you name it yourself: say --{key}" in (
        capsys.readouterr().err
    )


def test_a_recipe_trains_with_them_and_its_checkpoint_asks_to_be_told_again(
    segment: Callable[..., int],
    model: Path,
    family: str,
    segmenter: str,
    photo: Path,
    expected: np.ndarray,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "masks").mkdir()
    Image.fromarray(expected).save(tmp_path / "masks" / "photo.png")
    trl = {"per_device_train_batch_size": 4, "num_generations": 2, "beta": 0.0, "loss_type": "grpo"}
    trl |= {"scale_rewards": "group", "epsilon": 0.2, "num_iterations": 1, "learning_rate": 1e-3, "entropy_coef": 0.1}
    recipe = {
        "stage": "rl",
        "output": str(tmp_path / "run"),
        "model": {"path": str(model), "family": family, "lora": {"r": 2}},
        "segmenter": segmenter,
        "data": {"source": "folders", "images": str(photo.parent), "masks": str(tmp_path / "masks"), "query": "it"},
        "rewards": {"segment": 1.0},
        "generation": {"max_new_tokens": 120},
        "steps": 2,
        "device": "cpu",
        "trl": trl,
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    assert main(["train", "rl", str(tmp_path / "recipe.yaml")]) == 0
    records = read_log(tmp_path / "run" / "log.jsonl")
    assert [record["rewards/segment/mean"] for record in records] == [1.0, 1.0]
    adapters = json.loads((tmp_path / "run" / "checkpoint-2" / "adapter_config.json").read_text())
    assert adapters["target_modules"] == r".*language_model.*(q|v)_proj"

    final = tmp_path / "run" / "final"
    assert segment(final) == 2
    assert f"--family {family}" in capsys.readouterr().err
    assert segment(final, "--family", family, "--segmenter", segmenter) == 0
    assert np.array_equal(load_mask(tmp_path / "out" / "photo.mask.png"), expected)
