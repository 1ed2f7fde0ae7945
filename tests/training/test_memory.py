"""What a run needs is worked out before it begins, and a card that has clearly too little is refused."""

import json
from types import SimpleNamespace

import pytest
from PIL import Image

from thinkseg import testing
from thinkseg.cli import main
from thinkseg.errors import RecipeError
from thinkseg.models.checkpoint_config import CheckpointConfig, resolve_config
from thinkseg.models.reasoner import TransformersReasoner
from thinkseg.training.grpo import STAGE
from thinkseg.training.memory import (
    FIXED,
    GB,
    Estimate,
    Load,
    Prompt,
    Shape,
    Spread,
    estimate,
    parts_of,
    prompt_seen,
    refuse_too_little,
    spread_of,
)
from thinkseg.training.runs import quiet_libraries
from thinkseg.types import Instruction, Request, Size

# The configurations of the published models, and what docs/memory.md says of them.
THREE = Shape(3_750_000_000, 29_900_000, 36, 2048, 11008, 2 * 128, 151_936)
SEVEN = Shape(8_290_000_000, 40_400_000, 28, 3584, 18944, 4 * 128, 152_064)
STEP = Load(completions=2, prompt=729 + 300, answer=400, sampled=16)


def arguments(recipe):
    """TRL's configuration, as a run makes it."""
    with quiet_libraries():
        return STAGE.arguments(recipe)


@pytest.mark.parametrize(
    ("shape", "table"), [(THREE, [7.5, 0.5, 0.0, 0.9, 1.2, 1.2, 0.8]), (SEVEN, [16.6, 0.6, 0.0, 0.9, 2.0, 1.2, 1.3])]
)
def test_the_parts_are_those_of_the_table_in_the_documentation(shape, table):
    parts = parts_of(shape, STEP, 2, segmenter=0.217e9)
    assert [value / GB for value in parts.values()] == pytest.approx(table, abs=0.06)


def test_every_weight_has_a_gradient_and_two_moments_and_a_reference_where_there_is_one():
    shape = Shape(1_000, 0, 1, 1, 1, 1, 1)
    parts = parts_of(shape, Load(1, 1, 1, has_reference=True), 4)
    assert (parts["weights"], parts["gradients and moments"], parts["reference"]) == (4_000, 12_000, 4_000)


@pytest.mark.parametrize(
    ("weights", "zero_2", "zero_3"), [(2.21e9, 12.7, 5.0), (3.75e9, 21.6, 8.4), (8.29e9, 47.7, 18.7)]
)
def test_what_is_spread_over_eight_cards_is_that_of_the_table_in_the_documentation(weights, zero_2, zero_3):
    """DeepSpeed: gradients in bfloat16, weights and two moments in float32; the reference stays as the weights do."""
    shape = Shape(int(weights), 0, 1, 1, 1, 1, 1)
    for all_of_it, expected in ((False, zero_2), (True, zero_3)):
        spread = Spread(8, weights=all_of_it, master=True)
        parts = parts_of(shape, Load(1, 1, 1, has_reference=True, spread=spread), 2)
        assert sum(parts[name] for name in FIXED) / GB == pytest.approx(expected, abs=0.06)


def plugin(stage, **changed):
    devices = {"offload_optimizer_device": "none", "offload_param_device": "none"}
    return SimpleNamespace(deepspeed_plugin=SimpleNamespace(zero_stage=stage, **(devices | changed)), world_size=8)


def test_how_a_launcher_spreads_a_run_is_read_from_what_it_says():
    alone, fsdp = SimpleNamespace(deepspeed_plugin=None, world_size=8), {"ACCELERATE_USE_FSDP": "true"}
    assert spread_of(alone, {}) is None
    assert spread_of(alone, fsdp) == Spread(8, weights=True, master=False)
    assert spread_of(plugin(2), {}) == Spread(8, weights=False, master=True)
    assert spread_of(plugin(3), {}) == Spread(8, weights=True, master=True)
    for args, environment in (
        (plugin(3, offload_param_device="cpu"), {}),
        (plugin(1), {}),
        (alone, fsdp | {"FSDP_OFFLOAD_PARAMS": "true"}),
    ):
        with pytest.raises(NotImplementedError):
            spread_of(args, environment)


LINEAR = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
LINEAR = (*LINEAR, "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")


def test_a_base_in_4_bits_takes_what_qlora_says(start, rl_recipe):
    """Of a weight half a byte, a byte for 64, and 4 bytes for 256 of those; embeddings and vision stay whole."""
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(start)
    named = dict(model.named_parameters())
    depth = model.config.get_text_config().num_hidden_layers
    layers = [f"model.language_model.layers.{layer}.{name}.weight" for layer in range(depth) for name in LINEAR]
    in_4_bits = sum(named[name].numel() for name in layers)
    whole = sum(weight.numel() for weight in named.values()) - in_4_bits
    recipe = rl_recipe(model={"path": str(start), "lora": {"r": 2}}, segmenter="grabcut")
    args = arguments(recipe)
    four = recipe.replaced(model=recipe.model.replaced(lora=recipe.model.lora.replaced(bits=4)))
    needed = estimate(four, args, Prompt(64 * 64))
    assert needed.parts["weights"] == pytest.approx(4 * whole + in_4_bits * (1 / 2 + 1 / 64 + 4 / 64 / 256))
    assert needed.parts["gradients and moments"] == estimate(recipe, args).parts["gradients and moments"]


def test_layers_that_are_not_computed_again_are_all_kept():
    kept = [
        parts_of(THREE, Load(2, 1029, 400, checkpointed=checkpointed), 2)["kept for the backward pass"]
        for checkpointed in (True, False)
    ]
    assert kept[1] == pytest.approx(36 * 287e3 * 2 * 1429, rel=0.01)  # 287 kB a token and layer, in the documentation
    assert kept[0] < kept[1] / 10


def test_a_card_that_cannot_hold_the_weights_is_refused_and_a_tight_one_is_told_of():
    needed = Estimate({"weights": 20e9, "KV cache": 5e9})
    assert refuse_too_little(needed, 40e9) is None
    assert refuse_too_little(None, 1e9) is None
    assert "may need more memory than there is" in refuse_too_little(needed, 24e9)
    with pytest.raises(RecipeError, match=r"needs about 25\.0 GB .*the card has 16\.0 GB: train adapters"):
        refuse_too_little(needed, 16e9)


def test_a_model_is_counted_from_its_config_alone(rl_recipe, start):
    from transformers import AutoModelForImageTextToText

    recipe = rl_recipe(segmenter="grabcut")
    model = AutoModelForImageTextToText.from_pretrained(start)
    weights = sum(weight.numel() for weight in model.parameters())
    needed = estimate(recipe, arguments(recipe), Prompt(64 * 64))
    assert needed.parts["weights"] == 4 * weights
    assert needed.parts["segmenter"] == 0
    adapted = rl_recipe(model={"path": str(start), "lora": {"r": 2}}, segmenter="nobody/knows")
    needed = estimate(adapted, arguments(adapted), Prompt(64 * 64))
    assert 0 < needed.parts["gradients and moments"] < 4 * weights
    assert "not counted: the segmenter 'nobody/knows'" in needed.in_words()


def test_without_a_config_nothing_is_known(rl_recipe):
    recipe = rl_recipe(model={"path": "nobody/has-this"})
    assert estimate(recipe, arguments(recipe)) is None


def test_a_dry_run_tells_what_the_run_would_be_and_writes_nothing(start, tmp_path, capsys):
    out = tmp_path / "run"
    words = ["train", "rl", "pocket/rl", "--dry-run", "--model.path", str(start), "--data.size", "64", "--steps", "10"]
    words += ["--validation.every", "5", "--validation.samples", "4", "--device", "cpu", "--output", str(out)]
    assert main(words) == 0
    told = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.replace("held out", "held-out").splitlines())
    assert told["data"] == "10,000 samples of scenes (train); 8 were read"
    assert told["held-out"] == "4 samples: other scenes of the same things"
    assert (
        told["steps"] == "10, each with 96 completions, 96 at a time; 12 prompts × 8 completions are sampled together"
    )
    assert told["in"] == "all       120 prompts, 960 completions"
    assert told["memory"].startswith("about 0.")
    assert told["folder"] == f"{out}, which is new"
    assert not out.exists()


def test_a_dry_run_refuses_what_the_run_would(start, tmp_path, capsys):
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"image": "missing.png", "query": "x"}) + "\n")
    words = ["train", "sft", "pocket/sft", "--dry-run", "--data", str(rows), "--model.path", str(start)]
    assert main([*words, "--output", str(tmp_path / "run")]) == 2
    assert "missing.png" in capsys.readouterr().err


@pytest.mark.parametrize("tiny", [testing.tiny_qwen2_5_vl, testing.tiny_fast_vlm, testing.tiny_internvl])
def test_a_prompt_is_as_long_as_the_models_processor_makes_it(tiny, rl_recipe, tmp_path):
    model, processor = tiny()
    folder, size = str(testing.save(tmp_path / "model", (model, processor), {"format": "seg-r1"})), Size(448, 300)
    instruction = Instruction("the square")
    seen = prompt_seen(folder, resolve_config(folder, CheckpointConfig()), size, instruction)
    reasoner = TransformersReasoner(model, processor)
    inputs = reasoner.inputs([Request(Image.new("RGB", (448, 300)), instruction)])
    assert seen.tokens == inputs["input_ids"].shape[1]
    recipe = rl_recipe(model={"path": folder}, segmenter="grabcut")
    whole, longer = (estimate(recipe, arguments(recipe), Prompt(tokens=n)) for n in (seen.tokens, 2 * seen.tokens))
    assert 0 < whole.total < longer.total


def test_without_a_processor_a_prompt_is_as_large_as_the_limits_of_pixels_say(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    config = CheckpointConfig(max_pixels=1000)
    assert prompt_seen(str(tmp_path), config, Size(448, 448), Instruction("the square")) == Prompt(1000)


@pytest.mark.parametrize(("tokens", "completions"), [(None, 1), (100, 1), (130, 2), (148, 4), (300, 8), (10_000, 8)])
def test_a_pass_filled_by_tokens_needs_memory_for_all_that_has_room(tokens, completions, rl_recipe):
    """Completions of 12 tokens to prompts of 100, four to each, eight a step; a group without room is torn."""
    small = {"per_device_train_batch_size": 1, "num_generations": 4, "gradient_accumulation_steps": 8}
    alone, filled = (
        estimate(recipe, arguments(recipe), Prompt(tokens=100)).parts["logits"]
        for recipe in (rl_recipe(trl=small), rl_recipe(trl=small, tokens_per_pass=tokens))
    )
    assert filled == completions * alone
