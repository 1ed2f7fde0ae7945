"""A vision tower is trained as it is used, by its checkpoint's statistics where it has any, or not at all."""

import copy
import re

import pytest
import torch
from safetensors.torch import load_file

from thinkseg import testing
from thinkseg.errors import RecipeError
from thinkseg.models.families import Family
from thinkseg.models.reasoner import TransformersReasoner
from thinkseg.testing import FakeSegmenter
from thinkseg.training.config import recipe_from_settings
from thinkseg.training.policy import freeze_vision, keep_statistics
from thinkseg.training.stages import train_recipe

from .conftest import METHOD

STATISTICS = ("running_mean", "running_var")


@pytest.fixture(scope="module")
def fast_vlm(tmp_path_factory):
    settings = {"format": "seg-r1", "instruction": {"system": None, "user": "{query}"}, "max_new_tokens": 12}
    return testing.save(tmp_path_factory.mktemp("fast_vlm"), testing.tiny_fast_vlm(), settings)


def trained(stage, start, squares, output, **model):
    """Two steps of a stage; weights before and after."""
    method = METHOD if stage == "rl" else {"per_device_train_batch_size": 2, "learning_rate": 1e-3}
    rewards = {"rewards": {"segment": 1.0, "format": 0.5}} if stage == "rl" else {}
    settings = {
        "stage": stage,
        "output": str(output),
        "model": {"path": str(start), **model},
        "steps": 2,
        "device": "cpu",
        "trl": method,
    }
    recipe = recipe_from_settings(settings | rewards)
    final = train_recipe(recipe, samples=squares, segmenter=FakeSegmenter() if stage == "rl" else None)
    return [load_file(folder / "model.safetensors") for folder in (start, final)]


stages = pytest.mark.parametrize("stage", ["sft", "rl"])


@stages
def test_training_moves_the_weights_and_leaves_the_statistics(stage, fast_vlm, squares, tmp_path):
    before, after = trained(stage, fast_vlm, squares, tmp_path / "run")
    assert before.keys() == after.keys()
    statistics = [name for name in before if name.endswith(STATISTICS)]
    assert statistics
    assert all(torch.equal(before[name], after[name]) for name in statistics)
    convolutions = [name for name in before if "vision_tower" in name and before[name].ndim == 4]
    assert all(not torch.equal(before[name], after[name]) for name in convolutions)


def test_logits_in_training_are_those_in_use():
    model, processor = testing.tiny_fast_vlm()
    text = "<|im_start|>user\n<|image_pad|>where?<|im_end|>\n"
    pixels = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    inputs = processor(images=[pixels, pixels * 0.5], text=[text, text], return_tensors="pt")
    with torch.no_grad():
        used = model(**inputs).logits
        plain = copy.deepcopy(model).train()(**inputs).logits  # moves its statistics
        keep_statistics(model)
        kept = model.train()(**inputs).logits
    assert not torch.allclose(plain, used, atol=1e-3)
    torch.testing.assert_close(kept, used)


@stages
def test_a_frozen_tower_stays_as_it_is_and_what_reads_it_learns(stage, fast_vlm, squares, tmp_path):
    before, after = trained(stage, fast_vlm, squares, tmp_path / "run", freeze_vision=True)
    tower = {name for name in before if ".vision_tower." in name}
    assert tower
    assert all(torch.equal(before[name], after[name]) for name in tower)
    assert not torch.equal(before["lm_head.weight"], after["lm_head.weight"])
    projector = [name for name in before if "multi_modal_projector" in name]
    assert any(not torch.equal(before[name], after[name]) for name in projector)


@pytest.mark.parametrize(
    "tiny", [testing.tiny_qwen2_vl, testing.tiny_qwen2_5_vl, testing.tiny_qwen3_vl, testing.tiny_internvl]
)
def test_every_family_knows_its_vision_tower(tiny):
    reasoner = TransformersReasoner(*tiny())
    freeze_vision(reasoner)
    named = dict(reasoner.model.named_parameters())
    frozen = {name for name, weight in named.items() if not weight.requires_grad}
    assert frozen == {name for name in named if name.startswith(("model.visual.", "model.vision_tower."))}


def test_a_family_whose_tower_has_another_name_is_told(tmp_path):
    class Strange(Family):
        vision_tower = ".*eye"

    with pytest.raises(RecipeError, match=re.escape("no weights of a vision tower by the name '.*eye'")):
        freeze_vision(TransformersReasoner(*testing.tiny_fast_vlm(), family=Strange()))
