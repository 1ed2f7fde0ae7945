"""Shards of every layout become the very model that they were taken from, and none stands in for another one."""

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from thinkseg import testing
from thinkseg.errors import CheckpointError, InputError
from thinkseg.models.checkpoint_config import CheckpointConfig
from thinkseg.models.merging import merge, model_from_tensors
from thinkseg.models.reasoner import TransformersReasoner
from thinkseg.models.reasoner_loading import load_reasoner
from thinkseg.types import Instruction, Request

from . import layouts
from .layouts import OLD_NAMES_IN_PEFT, adapted, weights

SETTINGS = {"format": "seg-zero", "max_new_tokens": 24, "canvas": 84}
WRITERS = {
    "actor": lambda folder, tensors: layouts.write_actor(folder / "actor", tensors, world=3),
    "actor, two copies": lambda folder, tensors: layouts.write_actor(folder / "actor", tensors, world=4, groups=2),
    "rank files": lambda folder, tensors: layouts.write_actor(
        folder, tensors, world=2, named="pytorch_model_fsdp_0_rank{rank}.bin"
    ),
    "distributed": lambda folder, tensors: layouts.write_distributed(folder / "pytorch_model_fsdp_0", tensors, world=3),
    "zero 2": lambda folder, tensors: layouts.write_zero(folder, tensors, world=3, stage=2),
    "zero 2, frozen": lambda folder, tensors: layouts.write_zero(folder, tensors, 2, 2, frozen=("visual",)),
    "zero 3": lambda folder, tensors: layouts.write_zero(folder, tensors, world=3, stage=3),
    "zero 3, frozen": lambda folder, tensors: layouts.write_zero(folder, tensors, 2, 3, frozen=("visual",)),
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Config, processor and settings, with weights of another seed."""
    return testing.save(tmp_path_factory.mktemp("base"), testing.tiny_qwen2_5_vl(), SETTINGS)


@pytest.fixture(scope="module")
def trained() -> Any:
    """The model that the shards are of."""
    return testing.tiny_qwen2_5_vl(seed=7)[0]


@pytest.fixture(scope="module")
def tensors(trained: Any) -> dict[str, torch.Tensor]:
    return dict(trained.state_dict())


def said(reasoner: TransformersReasoner, noise: Any) -> list[str]:
    requests = [Request(noise(60, 40), Instruction("the cat")), Request(noise(50, 70), Instruction("a"))]
    return [completion.text for completion in reasoner.complete(requests)]


def same_state(model: Any, other: Any) -> bool:
    first, second = model.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("layout", WRITERS)
def test_shards_become_the_model_that_they_are_of_and_say_what_it_says(
    layout: str, base: Path, trained: Any, tensors: dict[str, torch.Tensor], tmp_path: Path, noise: Any
) -> None:
    WRITERS[layout](tmp_path / "run", tensors)
    merged = merge(tmp_path / "run", tmp_path / "merged", base=str(base), max_shard_size="100KB")
    exact = "frozen" not in layout or "3" in layout
    assert (merged.tensors, merged.format, merged.dtype) == (len(tensors), "seg-zero", "float32")
    assert merged.parameters == sum(tensor.numel() for tensor in trained.parameters())
    assert len(list(merged.folder.glob("*.safetensors"))) > 1
    assert not list(tmp_path.glob("*.partial"))
    assert json.loads((merged.folder / "thinkseg.json").read_text()) == SETTINGS
    found = load_reasoner(merged.folder, CheckpointConfig(max_new_tokens=24), device="cpu")
    if exact:
        assert same_state(found.model, trained)
        expected = TransformersReasoner(*testing.tiny_qwen2_5_vl(seed=7), max_new_tokens=24)
        assert said(found, noise) == said(expected, noise)
    else:  # DeepSpeed keeps what is not trained in half precision
        for name, tensor in found.model.state_dict().items():
            kept = tensors[name].bfloat16().float() if "visual" in name else tensors[name]
            assert torch.equal(tensor, kept)


def test_config_and_processor_are_taken_from_beside_the_shards(
    base: Path, trained: Any, tensors: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    actor = layouts.write_actor(tmp_path / "global_step_9" / "actor", tensors, world=2)
    with pytest.raises(CheckpointError, match=r"no config\.json beside the shards .* say with --base"):
        merge(tmp_path / "global_step_9", tmp_path / "merged")
    testing.save(actor / "huggingface", testing.tiny_qwen2_5_vl())
    merged = merge(tmp_path / "global_step_9", tmp_path / "merged", format="vision-reasoner")
    assert merged.format == "vision-reasoner"
    assert same_state(AutoModelForImageTextToText.from_pretrained(merged.folder), trained)


def older(name: str) -> str:
    return name.replace("model.language_model.", "model.").replace("model.visual.", "visual.")


@pytest.mark.parametrize(
    "renamed",
    [
        pytest.param(older, id="as in files of older releases"),
        pytest.param(lambda name: f"module.{name}", id="module"),
        pytest.param(lambda name: name.replace("layers.0.", "layers.0._fsdp_wrapped_module."), id="fsdp"),
        pytest.param(lambda name: f"_orig_mod.{older(name)}", id="compiled"),
        pytest.param(lambda name: name.replace("blocks.1.", "blocks.1._checkpoint_wrapped_module."), id="checkpointed"),
    ],
)
def test_names_of_wrappers_and_of_older_releases_are_understood(
    renamed: Any, base: Path, trained: Any, tensors: dict[str, torch.Tensor]
) -> None:
    model = model_from_tensors({renamed(name): tensor for name, tensor in tensors.items()}, str(base))
    assert same_state(model, trained)


def test_a_tensor_under_two_names_is_refused(base: Path, tensors: dict[str, torch.Tensor]) -> None:
    with pytest.raises(CheckpointError, match=r"two tensors for 'lm_head\.weight', the second as 'module\."):
        model_from_tensors({**tensors, "module.lm_head.weight": tensors["lm_head.weight"]}, str(base))


def test_what_does_not_fit_the_class_is_named(base: Path, tensors: dict[str, torch.Tensor]) -> None:
    less = {name: tensor for name, tensor in tensors.items() if "layers.1.mlp.up_proj" not in name}
    with pytest.raises(
        CheckpointError, match=r"lack 'model\.language_model\.layers\.1\.mlp\.up_proj\.weight' \(1 such"
    ):
        model_from_tensors(less, str(base))
    with pytest.raises(CheckpointError, match=r"have a tensor besides, 'value_head\.weight'"):
        model_from_tensors({**tensors, "value_head.weight": torch.zeros(2)}, str(base))
    with pytest.raises(CheckpointError, match=r"'lm_head\.weight' is \(3, 32\) in the shards and \(\d+, 32\) in the"):
        model_from_tensors({**tensors, "lm_head.weight": torch.zeros(3, 32)}, str(base))
    with pytest.raises(CheckpointError, match="hold an adapter"):
        model_from_tensors({**tensors, "x.lora_A.default.weight": torch.zeros(3, 32)}, str(base))


def test_tied_weights_may_be_in_the_shards_once_or_twice_but_not_differ(
    tensors: dict[str, torch.Tensor], base: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(base, tmp_path / "tied")
    config = json.loads((folder / "config.json").read_text())
    config["tie_word_embeddings"] = config["text_config"]["tie_word_embeddings"] = True
    (folder / "config.json").write_text(json.dumps(config))
    embedding = tensors["model.language_model.embed_tokens.weight"]
    once = {name: tensor for name, tensor in tensors.items() if name != "lm_head.weight"}
    for shards in (once, {**once, "lm_head.weight": embedding.clone()}):
        model = model_from_tensors(shards, str(folder))
        assert model.lm_head.weight is model.model.language_model.embed_tokens.weight
        assert torch.equal(model.lm_head.weight, embedding)
    with pytest.raises(CheckpointError, match="the output layer is the embedding, and the shards hold two different"):
        model_from_tensors(tensors, str(folder))
    layouts.write_actor(tmp_path / "run", once, world=2)
    merged = merge(tmp_path / "run", tmp_path / "merged", base=str(folder))
    assert merged.tensors == len(once)
    again = AutoModelForImageTextToText.from_pretrained(merged.folder)
    assert torch.equal(again.lm_head.weight, embedding)


@pytest.mark.parametrize("layout", ["actor", "distributed", "zero 2", "zero 3"])
def test_a_missing_shard_is_named_and_nothing_is_written(
    layout: str, base: Path, tensors: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    WRITERS[layout](tmp_path / "run", tensors)
    last = max((path for path in tmp_path.rglob("*[12]*") if "_1" in path.name and path.is_file()), key=str)
    last.unlink()
    with pytest.raises(CheckpointError, match=r"lacks (that of rank 1|the shard __1_0\.distcp)|lacks that of rank"):
        merge(tmp_path / "run", tmp_path / "merged", base=str(base))
    assert not list(tmp_path.glob("merged*"))


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        ("actor", "model_world_size_3_rank_{}.pt"),
        ("zero 2", "bf16_zero_pp_rank_{}_mp_rank_00_optim_states.pt"),
        ("zero 3", "bf16_zero_pp_rank_{}_mp_rank_00_optim_states.pt"),
    ],
)
def test_a_shard_that_is_there_twice_is_refused(
    layout: str, name: str, base: Path, tensors: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    """Defect 19: where a shard failed to load, the published merge took the one before it again."""
    WRITERS[layout](tmp_path / "run", tensors)
    first = next((tmp_path / "run").rglob(name.format(0)))
    shutil.copy(first, first.with_name(name.format(1)))
    with pytest.raises(CheckpointError, match="hold the same shard"):
        merge(tmp_path / "run", tmp_path / "merged", base=str(base))


@pytest.mark.parametrize("layout", ["actor", "distributed", "zero 2", "zero 3"])
def test_a_shard_that_cannot_be_read_stops_the_merge(
    layout: str, base: Path, tensors: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    """Defect 19: a shard that fails to load is an error, not the tensor of another one."""
    WRITERS[layout](tmp_path / "run", tensors)
    shards = [path for path in (tmp_path / "run").rglob("*") if path.is_file() and "_1" in path.name]
    cut = next(path for path in shards if path.suffix == ".distcp" or "rank_1" in path.name)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    with pytest.raises(CheckpointError, match="cannot be read, copy"):
        merge(tmp_path / "run", tmp_path / "merged", base=str(base))
    assert not list(tmp_path.glob("merged*"))


def test_shards_of_two_runs_are_told_apart(base: Path, tensors: dict[str, torch.Tensor], tmp_path: Path) -> None:
    for world in (2, 3):
        layouts.write_actor(tmp_path / "run", tensors, world=world)
    with pytest.raises(CheckpointError, match="shards of runs on 2 and 3 processes"):
        merge(tmp_path / "run", tmp_path / "merged", base=str(base))
    layouts.write_distributed(tmp_path / "dcp", tensors, world=2)
    (tmp_path / "dcp" / "__2_0.distcp").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"holds __2_0\.distcp, which does not belong"):
        merge(tmp_path / "dcp", tmp_path / "merged", base=str(base))


def test_a_shard_under_anothers_name_is_told(base: Path, tensors: dict[str, torch.Tensor], tmp_path: Path) -> None:
    folder = layouts.write_actor(tmp_path, tensors, world=2)
    first, second = (folder / f"model_world_size_2_rank_{rank}.pt" for rank in (0, 1))
    first.rename(folder / "x")
    second.rename(first)
    (folder / "x").rename(second)
    with pytest.raises(CheckpointError, match="holds the shard of rank 1, not its own"):
        merge(folder, tmp_path / "merged", base=str(base))


def test_what_every_process_has_is_taken_once_and_has_to_be_the_same(
    base: Path, trained: Any, tensors: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    """The published merge joins what is whole in every shard, so that a norm becomes twice as long."""
    for rank in range(2):
        with layouts.playing(rank, 2):
            shard = layouts.spread(tensors, rank, 2)
            plain = {name: tensor.clone() for name, tensor in tensors.items() if tensor.ndim == 1}
            torch.save({**shard, **plain}, tmp_path / f"model_world_size_2_rank_{rank}.pt")
    merge(tmp_path, tmp_path / "merged", base=str(base))
    assert same_state(AutoModelForImageTextToText.from_pretrained(tmp_path / "merged"), trained)
    name = next(name for name, tensor in plain.items() if "norm" in name)
    torch.save({**shard, **plain, name: plain[name] + 1}, tmp_path / "model_world_size_2_rank_1.pt")
    with pytest.raises(CheckpointError, match="should be the same in every shard and is not"):
        merge(tmp_path, tmp_path / "other", base=str(base))


class Runs:
    """A pickle of this makes a folder when it is read as pickles are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_a_shard_that_tries_to_run_code_runs_nothing(base: Path, tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    torch.save({"lm_head.weight": Runs(trap)}, tmp_path / "model_world_size_1_rank_0.pt")
    with pytest.raises(CheckpointError, match=r"names \w+\.mkdir, which no checkpoint needs"):
        merge(tmp_path, tmp_path / "merged", base=str(base))
    (tmp_path / "dcp").mkdir()
    (tmp_path / "dcp" / ".metadata").write_bytes(pickle.dumps(Runs(trap)))
    with pytest.raises(CheckpointError, match=r"names \w+\.mkdir, which describes no checkpoint"):
        merge(tmp_path / "dcp", tmp_path / "merged", base=str(base))
    assert not trap.exists()


@OLD_NAMES_IN_PEFT
def test_an_adapter_is_added_to_the_model_that_it_names(base: Path, tmp_path: Path, noise: Any) -> None:
    model = adapted(base, tmp_path / "adapter")
    merged = merge(tmp_path / "adapter", tmp_path / "merged")
    assert (merged.layout, merged.format) == ("a LoRA adapter", "seg-zero")
    found = load_reasoner(tmp_path / "merged", CheckpointConfig(max_new_tokens=24), device="cpu")
    expected = TransformersReasoner(
        model.merge_and_unload(), testing.tiny_qwen2_5_vl()[1], found.rule, max_new_tokens=24
    )
    assert said(found, noise) == said(expected, noise)
    plain = load_reasoner(base, CheckpointConfig(max_new_tokens=24), device="cpu")
    assert said(found, noise) != said(plain, noise)


@OLD_NAMES_IN_PEFT
def test_an_adapter_with_the_names_of_an_older_release_fits(base: Path, tmp_path: Path) -> None:
    model = adapted(base, tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    renamed = {older(name): tensor for name, tensor in load_file(file).items()}
    assert renamed.keys() != load_file(file).keys()
    save_file(renamed, file)
    merge(tmp_path / "adapter", tmp_path / "merged")
    merged = AutoModelForImageTextToText.from_pretrained(tmp_path / "merged")
    for name, tensor in model.merge_and_unload().state_dict().items():
        torch.testing.assert_close(merged.state_dict()[name], tensor)


@OLD_NAMES_IN_PEFT
def test_an_adapter_that_is_not_whole_or_of_another_model_is_refused(base: Path, tmp_path: Path) -> None:
    adapted(base, tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    whole = load_file(file)
    name = min(whole)
    save_file({key: tensor for key, tensor in whole.items() if key != name}, file)
    with pytest.raises(CheckpointError, match=r"adapter in .* lacks .*lora_A"):
        merge(tmp_path / "adapter", tmp_path / "merged")
    save_file({**whole, "base_model.model.more.lora_A.weight": torch.zeros(2, 3)}, file)
    with pytest.raises(CheckpointError, match=r"has, and its base not, 'base_model\.model\.more"):
        merge(tmp_path / "adapter", tmp_path / "merged")
    save_file({**whole, name: torch.zeros(2, 3)}, file)
    with pytest.raises(CheckpointError, match=r"is \(2, 3\) and should be"):
        merge(tmp_path / "adapter", tmp_path / "merged")
    file.unlink()
    with pytest.raises(CheckpointError, match=r"has no adapter_model\.safetensors"):
        merge(tmp_path / "adapter", tmp_path / "merged")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    for named, sentence in ((None, "does not say which model"), ("./gone", "'./gone', which is not there")):
        config["base_model_name_or_path"] = named
        (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config))
        with pytest.raises(CheckpointError, match=sentence):
            merge(tmp_path / "adapter", tmp_path / "merged")


def rewrite(folder: Path, **values: Any) -> None:
    """Change values of an adapter's configuration."""
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


@OLD_NAMES_IN_PEFT
def test_an_adapter_that_would_change_nothing_is_refused_with_the_reason(base: Path, tmp_path: Path) -> None:
    adapted(base, tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    whole = load_file(file)

    def refused(sentence: str, dtype: str = "auto") -> None:
        with pytest.raises(CheckpointError, match=sentence):
            merge(tmp_path / "adapter", tmp_path / "merged", base=str(base), dtype=dtype)
        assert not (tmp_path / "merged").exists()

    save_file({name: tensor * ("lora_B" not in name) for name, tensor in whole.items()}, file)
    refused("changes no weight of .*: its weights are zero, as before training")
    # A millionth of a millionth of a weight is less than any of bfloat16's eight bits can hold.
    save_file({name: tensor * (1e-12 if "lora_B" in name else 1) for name, tensor in whole.items()}, file)
    refused("what it adds is lost where it is rounded to bfloat16; say --dtype float32", dtype="bfloat16")
    save_file(whole, file)
    rewrite(tmp_path / "adapter", lora_alpha=0)
    refused("has a lora_alpha of 0, so it would change no weight of its base: write the lora_alpha")


@OLD_NAMES_IN_PEFT
def test_an_adapter_whose_scale_is_0_for_some_modules_only_is_merged(base: Path, tmp_path: Path) -> None:
    adapted(base, tmp_path / "adapter")
    rewrite(tmp_path / "adapter", lora_alpha=0, alpha_pattern={"v_proj": 8})
    merge(tmp_path / "adapter", tmp_path / "merged")
    old, new = weights(base), weights(tmp_path / "merged")
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed
    assert all("v_proj" in name for name in changed)


@OLD_NAMES_IN_PEFT
def test_an_adapter_of_values_that_are_not_finite_is_refused(base: Path, tmp_path: Path) -> None:
    adapted(base, tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    whole = load_file(file)
    whole[min(whole)][0, 0] = float("nan")
    save_file(whole, file)
    with pytest.raises(CheckpointError, match=r"adapter in .* not finite \(NaN or infinite\) in 1 of"):
        merge(tmp_path / "adapter", tmp_path / "merged")


@OLD_NAMES_IN_PEFT
@pytest.mark.parametrize("named", ["global_step_3", "global_step_3/actor", "global_step_3/actor/lora_adapter"])
def test_the_adapter_that_lies_beside_its_shards_is_merged(named: str, base: Path, tmp_path: Path) -> None:
    model = adapted(base, tmp_path / "global_step_3" / "actor" / "lora_adapter")
    layouts.write_actor(tmp_path / "global_step_3" / "actor", dict(model.state_dict()), world=2)
    merged = merge(tmp_path / named, tmp_path / "merged", base=str(base))
    assert merged.layout == "a LoRA adapter"
    assert same_state(AutoModelForImageTextToText.from_pretrained(merged.folder), model.merge_and_unload())


def test_shards_of_values_that_are_not_finite_are_refused(base: Path, tensors: dict[str, torch.Tensor]) -> None:
    spoiled = {**tensors, "lm_head.weight": torch.full_like(tensors["lm_head.weight"], float("inf"))}
    with pytest.raises(
        CheckpointError, match=r"not finite \(NaN or infinite\) in 1 of \d+ weights, the first is lm_head"
    ):
        model_from_tensors(spoiled, str(base))


def test_weights_can_be_written_in_half_precision(base: Path, tensors: dict[str, torch.Tensor], tmp_path: Path) -> None:
    layouts.write_actor(tmp_path / "run", tensors, world=2)
    merged = merge(tmp_path / "run", tmp_path / "merged", base=str(base), dtype="bfloat16")
    assert merged.dtype == "bfloat16"
    assert {tensor.dtype for tensor in weights(merged.folder).values()} == {torch.bfloat16}
    with pytest.raises(InputError, match="a dtype is"):
        merge(tmp_path / "run", tmp_path / "other", base=str(base), dtype="int8")


def test_folders_that_hold_something_else_are_told(base: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="it is a whole model already"):
        merge(base, tmp_path / "merged")
    with pytest.raises(CheckpointError, match="there is no folder"):
        merge(tmp_path / "gone", tmp_path / "merged")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="neither an adapter nor shards"):
        merge(tmp_path / "empty", tmp_path / "merged")
    with pytest.raises(InputError, match="exists already"):
        merge(tmp_path / "empty", base)
