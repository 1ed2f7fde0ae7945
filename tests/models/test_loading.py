import json
import sys
import types
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from thinkseg import testing
from thinkseg.errors import CheckpointError, InputError
from thinkseg.models import loading
from thinkseg.models.checkpoint_config import CheckpointConfig
from thinkseg.models.reasoner_loading import load_reasoner


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return testing.save(tmp_path / "model", testing.tiny_qwen2_5_vl())


def pocket_with(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    pocket = types.ModuleType("thinkseg_pocket")
    pocket.path = lambda part: (root / part).resolve(strict=True)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "thinkseg_pocket", pocket)


def test_the_pocket_reasoner_comes_from_the_pocket_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pocket_with(monkeypatch, tmp_path)
    testing.save(tmp_path / "reasoner", testing.tiny_qwen2_5_vl())
    assert loading.locate("pocket", "reasoner") == str(tmp_path / "reasoner")
    with pytest.raises(CheckpointError, match="has no segmenter"):
        loading.locate("pocket", "segmenter")


def test_without_the_pocket_distribution_the_way_to_get_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "thinkseg_pocket", None)
    with pytest.raises(InputError, match=r"Install it with: pip install \S*pocket$"):
        loading.locate("pocket", "reasoner")


@pytest.mark.parametrize("name", ["no-such-folder", "./runs/rl", "/no/such/folder", "a/b/c", Path("runs/rl")])
def test_a_folder_that_is_not_there_is_named(name: str | Path) -> None:
    with pytest.raises(CheckpointError, match=f"there is no reasoner folder '{name}'"):
        loading.locate(name, "reasoner")


def test_a_hub_id_without_a_hub_is_told_in_a_sentence() -> None:
    with pytest.raises(CheckpointError, match=r"no folder 'nobody/no-model'.*check the name and the network"):
        load_reasoner("nobody/no-model", device="cpu")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no config\.json: it is no model"):
        loading.locate(tmp_path, "reasoner")
    (tmp_path / "adapter_config.json").touch()
    with pytest.raises(CheckpointError, match=r"an adapter that has to be merged .* thinkseg merge"):
        loading.locate(tmp_path, "reasoner")


def test_shards_are_told_from_a_model(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model_fsdp_0").mkdir()
    with pytest.raises(CheckpointError, match="holds shards that have to be merged first: thinkseg merge"):
        loading.locate(folder, "reasoner")


def test_a_checkpoint_that_lacks_weights_is_refused(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights[sorted(weights)[-1]]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"is incomplete: 1 of \d+ weights are missing"):
        load_reasoner(folder, device="cpu")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", "{"),
        ("config.json", '{"model_type": "qwen9_vl"}'),
        ("config.json", "{}"),
        ("model.safetensors", "cut short"),
        ("tokenizer.json", "{"),
    ],
)
def test_a_damaged_checkpoint_is_told_in_a_sentence(file: str, content: str, folder: Path) -> None:
    (folder / file).write_text(content)
    with pytest.raises(CheckpointError):
        load_reasoner(folder, CheckpointConfig(frame="relative-1000"), device="cpu")


def test_a_missing_weights_file_is_told_in_a_sentence(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_reasoner(folder, device="cpu")


def test_a_segmenter_is_not_a_reasoner(tmp_path: Path) -> None:
    folder = testing.save(tmp_path / "model", testing.tiny_sam2())
    with pytest.raises(CheckpointError, match="models of the kind 'sam2'"):
        load_reasoner(folder, device="cpu")


def test_devices_and_dtypes_that_do_not_exist_are_refused() -> None:
    with pytest.raises(InputError, match="no device 'gpu'"):
        loading.torch_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no device 'cuda'"):
            loading.torch_device("cuda")
    for name in ("float31", "int8", "nn"):
        with pytest.raises(InputError, match="a dtype is"):
            loading.torch_dtype(name, torch.device("cpu"))
    assert loading.torch_dtype("auto", torch.device("cpu")) is torch.float32
    assert loading.torch_dtype("auto", torch.device("cuda")) == "auto"


def test_a_config_without_a_model_type_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 3}))
    with pytest.raises(CheckpointError, match="names no model_type"):
        loading.model_type(str(tmp_path))


@pytest.mark.parametrize(("name", "model_type"), [("pocket", "fast_vlm"), ("pocket-small", "qwen2_5_vl")])
def test_the_pocket_has_two_reasoners(name, model_type):
    assert loading.model_type(loading.locate(name, "reasoner")) == model_type
    assert loading.is_pocket(name)


def test_only_reasoners_come_in_a_smaller_size():
    with pytest.raises(CheckpointError, match="there is no segmenter folder 'pocket-small'"):
        loading.locate("pocket-small", "segmenter")
