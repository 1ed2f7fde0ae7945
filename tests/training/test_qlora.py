"""Adapters on a base in 4 bits: what is trained is small, what comes out is a model as any other."""

import importlib.util
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from thinkseg.errors import RecipeError
from thinkseg.models.families import FAMILIES
from thinkseg.models.quantizing import quantized_layers
from thinkseg.training.policy import load_policy
from thinkseg.training.stages import train_recipe
from thinkseg.training.trl_settings import refuse_missing_bitsandbytes

HAS_IT = importlib.util.find_spec("bitsandbytes") is not None
needs_it = pytest.mark.skipif(not HAS_IT, reason="bitsandbytes is not installed (the extra 'qlora')")


def test_without_the_package_one_sentence_says_how_to_get_it():
    told = r"bitsandbytes is not installed: pip install 'thinkseg\[qlora\]', or leave it out"
    with pytest.raises(RecipeError, match=told):
        refuse_missing_bitsandbytes(lambda name: None)
    refuse_missing_bitsandbytes(lambda name: SimpleNamespace(origin="there"))


def test_only_the_layers_of_the_language_model_are_put_into_4_bits(start):
    model = AutoModelForImageTextToText.from_pretrained(start)
    layers = quantized_layers(model, FAMILIES["qwen2_5_vl"])
    assert all(name.startswith("model.language_model.layers.") for name in layers)
    assert len(layers) == 7 * model.config.get_text_config().num_hidden_layers


def test_tokens_of_its_own_and_a_base_in_4_bits_do_not_go_together(sft_recipe, start):
    settings = {"path": str(start), "lora": {"r": 2, "bits": 4}, "new_tokens": {"<here>": "here"}}
    with pytest.raises(RecipeError, match=r"'model\.new_tokens' grows layers that 'model\.lora\.bits' keeps"):
        load_policy(sft_recipe(model=settings))


@needs_it
@pytest.mark.filterwarnings("ignore")  # bitsandbytes' own
def test_a_run_on_4_bits_trains_adapters_and_ends_with_the_weights_of_the_files_and_what_was_learnt(
    sft_recipe, start, squares
):
    recipe = sft_recipe(model={"path": str(start), "lora": {"r": 2, "bits": 4, "dropout": 0.0}}, save_every=1)
    policy = load_policy(recipe)
    kinds = {type(module).__name__ for module in policy.reasoner.model.model.language_model.modules()}
    assert "Linear4bit" in kinds
    assert not any("4bit" in type(module).__name__ for module in policy.reasoner.model.model.visual.modules())
    final = train_recipe(recipe, samples=squares)
    before, after = load_file(start / "model.safetensors"), load_file(final / "model.safetensors")
    assert before.keys() == after.keys()
    adapter = load_file(recipe.output / "checkpoint-2" / "adapter_model.safetensors")
    changed = 0
    for name, tensor in before.items():
        # Files call the layers as older releases did.
        place = f"base_model.model.{name.removesuffix('.weight')}".replace(
            ".model.layers.", ".model.language_model.layers."
        )
        down, up = (adapter.get(f"{place}.lora_{letter}.weight") for letter in "AB")
        expected = tensor if down is None else tensor + (up @ down) * (32 / 2)
        changed += down is not None
        torch.testing.assert_close(after[name], expected, rtol=0, atol=1e-6)
    assert changed == len(adapter) // 2 > 0
    assert AutoModelForImageTextToText.from_pretrained(final).config.to_dict().get("quantization_config") is None
