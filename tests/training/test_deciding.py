"""Whether prefixes are shared is measured once, told where they are not, and kept by a run that goes on."""

import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from trl import GRPOTrainer

from thinkseg import testing
from thinkseg.errors import RecipeError
from thinkseg.training.checkpoints import write_manifest
from thinkseg.training.config import load_recipe, replace_settings, write_recipe
from thinkseg.training.shared_prefix.deciding import DECISION, looks_through_windows
from thinkseg.training.shared_prefix.seam import moved_seam
from thinkseg.training.shared_prefix.trainer import SharedPrefixMixin, sharing
from thinkseg.training.stages import Making, train_recipe

from .shared_prefixes import create_trainer, rows


def test_linear_attention_is_found_out_and_goes_trls_way(tmp_path, capsys):
    parts = testing.tiny_qwen3_5()
    call, options = rows(parts[1])
    trainer = create_trainer(parts, tmp_path, "auto")
    found = trainer._get_per_token_logps_and_entropies(parts[0], *call, **options)[0]
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("thinkseg:")]
    assert re.fullmatch(
        r"thinkseg: each completion is computed with a prompt of its own: in a packed sequence this model's "
        r"log-probabilities differ by [\d.]+, and at most 0\.001 would be rounding",
        line,
    )
    expected = super(SharedPrefixMixin, trainer)._get_per_token_logps_and_entropies(parts[0], *call, **options)[0]
    assert torch.equal(found, expected)
    trainer = create_trainer(parts, tmp_path, "on")
    with pytest.raises(RecipeError, match=r"'shared_prefix: on' cannot be kept: .*; say 'shared_prefix: auto'$"):
        trainer._get_per_token_logps_and_entropies(parts[0], *call, **options)


def test_where_prompts_are_not_shared_passes_are_not_filled_and_that_is_said(tmp_path, capsys):
    parts = testing.tiny_qwen3_5()
    call, options = rows(parts[1])
    trainer = create_trainer(parts, tmp_path, "auto", tokens=100)
    found = trainer._get_per_token_logps_and_entropies(parts[0], *call, **options)[0]
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("thinkseg:")]
    assert line.startswith(
        "thinkseg: each completion is computed with a prompt of its own, and 'tokens_per_pass' has no effect: in a "
        "packed sequence this model's log-probabilities differ by "
    )
    assert trainer._pass is None
    expected = super(SharedPrefixMixin, trainer)._get_per_token_logps_and_entropies(parts[0], *call, **options)[0]
    assert torch.equal(found, expected)


def with_windows(parts):
    """A model whose layers see the last 64 tokens: the prompts of a first batch are shorter."""
    config = parts[0].config.get_text_config()
    config.layer_types, config.sliding_window = ["sliding_attention"] * config.num_hidden_layers, 64
    return {}


def with_flex_attention(parts):
    parts[0].config.get_text_config()._attn_implementation = "flex_attention"
    return {}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (with_windows, "the model looks back over a window of tokens, which few short prompts would not show"),
        (with_flex_attention, "nobody has proven it with the attention 'flex_attention'"),
        (
            lambda parts: {"use_liger_kernel": True},
            "nobody has proven it with the kernels of 'trl.use_liger_kernel'",
        ),
    ],
    ids=["windows", "flex attention", "Liger"],
)
@pytest.mark.filterwarnings("ignore:`use_liger_kernel=True` is deprecated:FutureWarning")
def test_what_few_log_probabilities_would_not_show_is_refused_beforehand(change, reason, tmp_path, capsys):
    parts = testing.tiny_qwen2_5_vl()
    settings = change(parts)
    call, options = rows(parts[1])
    trainer = create_trainer(parts, tmp_path, "auto", **settings)
    trainer._decide(parts[0], *call, options)
    assert trainer._refused == reason
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("thinkseg:")]
    assert line == f"thinkseg: each completion is computed with a prompt of its own: {reason}"
    with pytest.raises(RecipeError, match=re.escape(f"'shared_prefix: on' cannot be kept: {reason}; say")):
        create_trainer(parts, tmp_path, "on", **settings)._decide(parts[0], *call, options)


@pytest.mark.parametrize(
    ("config", "looks"),
    [
        ({"layer_types": ["full_attention", "sliding_attention"]}, True),
        ({"layer_types": ["chunked_attention"]}, True),
        ({"layer_types": ["full_attention", "linear_attention"], "sliding_window": 4096}, False),
        ({"sliding_window": 4096}, True),
        ({"sliding_window": None}, False),
        ({"attention_chunk_size": 8192}, True),
        ({}, False),
    ],
)
def test_windows_are_known_by_the_kinds_of_layers_or_by_one_for_all(config, looks):
    assert looks_through_windows(SimpleNamespace(**config)) == looks


def test_a_model_that_takes_no_packed_sequence_is_told_in_its_own_words(tmp_path, capsys):
    parts = testing.tiny_qwen2_5_vl()
    trainer = create_trainer(parts, tmp_path, "auto")

    def refuse(module, args, kwargs):
        if kwargs.get("position_ids") is not None:
            raise ValueError("no positions of your own")

    parts[0].model.register_forward_pre_hook(refuse, with_kwargs=True)
    call, options = rows(parts[1])
    trainer._get_per_token_logps_and_entropies(parts[0], *call, **options)
    assert "the model takes no packed sequence (no positions of your own)" in capsys.readouterr().err


def test_memory_that_is_used_up_and_a_lost_process_are_not_blamed_on_the_model(tmp_path):
    parts = testing.tiny_qwen2_5_vl()
    call, options = rows(parts[1])
    errors = [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("[../gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:9999"),
    ]

    def fail(module, args, kwargs):
        if kwargs.get("position_ids") is not None:
            raise errors[0]

    parts[0].model.register_forward_pre_hook(fail, with_kwargs=True)
    for setting in ("auto", "on", "auto"):
        trainer = create_trainer(parts, tmp_path, setting)
        with pytest.raises(type(errors[0]), match=re.escape(str(errors[0]))):
            trainer._get_per_token_logps_and_entropies(parts[0], *call, **options)
        errors.pop(0)


def test_measuring_draws_no_random_number_and_leaves_each_module_in_its_mode(tmp_path):
    """So that a run that goes on, which measures or does not, draws what the run before it would have drawn."""
    parts = testing.tiny_qwen2_5_vl()
    trainer = create_trainer(parts, tmp_path)
    call, options = rows(parts[1])
    parts[0].train()
    parts[0].model.visual.eval()
    torch.nn.Module.train(parts[0].lm_head, False)
    before = {name: module.training for name, module in parts[0].named_modules()}
    assert set(before.values()) == {True, False}
    states = [torch.get_rng_state(), np.random.get_state()[1].copy()]  # from Python's own beartype draws in the tests
    trainer._decide(parts[0], *call, options)
    assert trainer._measured
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()
    assert {name: module.training for name, module in parts[0].named_modules()} == before
    assert all(weight.grad is None for weight in parts[0].parameters())


def test_a_run_that_goes_on_goes_the_way_that_its_checkpoint_says(rl_recipe, squares, letters, tmp_path):
    """Whatever it would measure: in bfloat16 that may come out otherwise at another step."""
    recipe = rl_recipe(rewards=letters, steps=1, trl={"lr_scheduler_type": "constant"})
    train_recipe(recipe, samples=squares)
    file = recipe.output / "checkpoint-1" / DECISION
    assert json.loads(file.read_text()) == {"setting": "auto", "shared": True, "reason": None}
    file.write_text(json.dumps({"setting": "auto", "shared": False, "reason": "it was so"}))
    write_manifest(file.parent)
    kept = []

    class Kept(GRPOTrainer):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            kept.append(self)

    for setting, reason in (("auto", "it was so"), ("on", None)):  # who asks for another way has it measured
        longer = replace_settings(recipe, {"steps": 2, "shared_prefix": setting, "output": str(tmp_path / setting)})
        shutil.copytree(recipe.output, longer.output)
        train_recipe(longer, samples=squares, resume=True, allow=["shared_prefix"], making=Making(Kept))
        assert kept[-1]._refused == reason
        decided = json.loads((longer.output / "checkpoint-2" / DECISION).read_text())
        assert decided == {"setting": setting, "shared": reason is None, "reason": reason}


def test_the_seam_in_trl_is_where_this_release_has_it():
    """When this fails, TRL has moved what the shared prefix goes by: see `thinkseg.training.shared_prefix.seam`."""
    assert moved_seam(GRPOTrainer) is None


def test_a_trl_that_has_moved_it_is_left_as_it_is(capsys):
    class Moved(GRPOTrainer):
        def _prepare_inputs(self, generation_batch, mode):
            raise AssertionError("not called")

    assert sharing(Moved, "auto") is Moved
    (line,) = capsys.readouterr().err.splitlines()
    assert "'_prepare_inputs' has other arguments" in line
    assert "tokens_per_pass" not in line
    assert sharing(Moved, "auto", tokens=100) is Moved
    assert line[:-1] in (told := capsys.readouterr().err)
    assert told.endswith(", and 'tokens_per_pass' has no effect\n")
    with pytest.raises(RecipeError, match=r"needs TRL 1\.16"):
        sharing(Moved, "on")
    assert sharing(GRPOTrainer, "off") is GRPOTrainer


@pytest.mark.parametrize(("written", "meant"), [("on", "on"), ("off", "off"), ("auto", "auto")])
def test_a_recipe_says_it_in_words_that_yaml_takes_for_true_and_false(rl_recipe, tmp_path, written, meant):
    path = tmp_path / "recipe.yaml"
    write_recipe(rl_recipe(), path)
    path.write_text(re.sub("shared_prefix: .*", f"shared_prefix: {written}", path.read_text()))
    recipe = load_recipe(path)
    assert recipe.shared_prefix == meant
    write_recipe(recipe, path)
    assert load_recipe(path) == recipe
    assert load_recipe(path, ["--shared_prefix", written]).shared_prefix == meant
    with pytest.raises(RecipeError, match="shared_prefix"):
        rl_recipe(shared_prefix="yes")
