"""A prompt that is computed once for all of its completions changes the time; all is held against TRL's own way."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image
from safetensors.torch import load_file
from trl import GRPOConfig, GRPOTrainer

from thinkseg import testing
from thinkseg.errors import RecipeError
from thinkseg.models.reasoner import chat_messages
from thinkseg.training.callbacks import read_log
from thinkseg.training.checkpoints import write_manifest
from thinkseg.training.config import load_recipe, replace_settings, write_recipe
from thinkseg.training.runs import quiet_libraries
from thinkseg.training.shared_prefix.batch import with_whole_groups
from thinkseg.training.shared_prefix.deciding import DECISION, IN_LESS
from thinkseg.training.shared_prefix.seam import moved_seam
from thinkseg.training.shared_prefix.trainer import SharedPrefixMixin, sharing
from thinkseg.training.stages import Making, train_recipe
from thinkseg.types import Instruction

FAMILIES = {
    "qwen2_vl": testing.tiny_qwen2_vl,
    "qwen2_5_vl": testing.tiny_qwen2_5_vl,
    "qwen3_vl": testing.tiny_qwen3_vl,
    "internvl": testing.tiny_internvl,
    "smolvlm": testing.tiny_smolvlm,
    "fast_vlm": testing.tiny_fast_vlm,
}
LENGTH = 7
ORDER = (0, 1, 0, 0, 1, 0, 1, 1)
"""Groups as TRL's shuffle leaves them: the prompt of each row."""


def create_trainer(parts, folder, setting="on", device="cpu", tokens=None, **settings):
    """A trainer of a model, with prefixes shared."""
    model, processor = parts
    with quiet_libraries():
        args = GRPOConfig(
            output_dir=str(folder),
            use_cpu=device == "cpu",
            bf16=settings.pop("bf16", False),
            dataloader_pin_memory=False,
            gradient_checkpointing=bool(settings.pop("gradient_checkpointing", False)),
            report_to="none",
            **{"per_device_train_batch_size": 8, "num_generations": 4, **settings},
        )
        return sharing(GRPOTrainer, setting, tokens)(
            model=model,
            processing_class=processor,
            reward_funcs=[lambda completions, **_: [0.0] * len(completions)],
            args=args,
            train_dataset=Dataset.from_list([{"prompt": [{"role": "user", "content": "it"}]}] * 8),
        )


def rows(processor, order=ORDER):
    """A call of log-probabilities as TRL makes it: two images and prompts of unequal length, unequal completions."""
    numbers = np.random.default_rng(0)
    images = [Image.fromarray(numbers.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in ((96, 64), (64, 112))]
    queries = ("the pig", "what is left of the tall tree")
    texts = [
        processor.apply_chat_template(chat_messages(Instruction(query)), add_generation_prompt=True, tokenize=False)
        for query in queries
    ]
    inputs = processor(
        images=[[images[number]] for number in order],
        text=[texts[number] for number in order],
        padding=True,
        padding_side="left",
        return_tensors="pt",
    )
    completions = torch.from_numpy(numbers.integers(10, 60, (len(order), LENGTH)))
    lengths = torch.from_numpy(numbers.integers(1, LENGTH + 1, len(order)))
    lengths[1] = 0  # one that was cut off and does not count
    counts = (torch.arange(LENGTH) < lengths[:, None]).long()
    options = {"num_images": [1] * len(order)}
    for name in ("pixel_values", "image_grid_thw", "pixel_attention_mask"):
        if name in inputs:
            options[name] = inputs[name]
    if "mm_token_type_ids" in inputs and "image_grid_thw" in inputs:
        options["mm_token_type_ids"] = torch.cat([inputs["mm_token_type_ids"], torch.zeros_like(completions)], dim=1)
    if type(processor).__name__ == "InternVLProcessor":
        options["num_tiles"] = [len(inputs["pixel_values"]) // len(order)] * len(order)
    ids = torch.cat([inputs["input_ids"], completions], dim=1)
    return (ids, torch.cat([inputs["attention_mask"], counts], dim=1), LENGTH), options


def on(device, call, options):
    """The same on a device."""
    ids, mask, length = call
    moved = {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in options.items()}
    return (ids.to(device), mask.to(device), length), moved


def outcome(compute, model, call, options, **how):
    """Log-probabilities, entropies, and the gradient of each weight."""
    model.zero_grad()
    logps, entropies, _ = compute(model, *call, compute_entropy=True, **options, **how)
    counts = call[1][:, -LENGTH:]
    (logps * torch.arange(1, LENGTH + 1, device=logps.device) + entropies * counts).sum().backward()
    gradients = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    return logps.detach(), (entropies * counts).detach(), gradients


def relative_error(found, expected):
    assert found.keys() == expected.keys()
    wrong = sum((found[name] - expected[name]).square().sum() for name in expected)
    return (wrong / sum(value.square().sum() for value in expected.values())).sqrt().item()


@pytest.mark.parametrize("family", FAMILIES)
def test_log_probabilities_entropies_and_gradients_are_the_same(family, device, tmp_path):
    parts = FAMILIES[family]()
    trainer = create_trainer(parts, tmp_path, device=device)
    call, options = on(device, *rows(parts[1]))
    plain = outcome(super(SharedPrefixMixin, trainer)._get_per_token_logps_and_entropies, trainer.model, call, options)
    seen = []
    hook = trainer.model.get_input_embeddings().register_forward_hook(lambda _, args, __: seen.append(args[0].numel()))
    shared = outcome(trainer._get_per_token_logps_and_entropies, trainer.model, call, options)
    hook.remove()
    assert seen[-1] < 0.5 * call[0].numel()  # the last pass is of the packed row
    torch.testing.assert_close(shared[0], plain[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(shared[1], plain[1], rtol=0, atol=1e-4)
    assert len(plain[2]) > 20
    assert relative_error(shared[2], plain[2]) < 1e-4


@pytest.mark.parametrize(
    ("attention", "settings"),
    [
        ("eager", {}),
        ("sdpa", {"gradient_checkpointing": True}),
        ("eager", {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}}),
    ],
    ids=str,
)
def test_so_they_are_with_another_attention_and_with_less_memory(attention, settings, tmp_path):
    parts = testing.tiny_qwen3_vl()
    parts[0].config.get_text_config()._attn_implementation = attention
    trainer = create_trainer(parts, tmp_path, **settings)
    trainer.model.train()
    if settings:
        with quiet_libraries():
            trainer.model.gradient_checkpointing_enable(trainer.args.gradient_checkpointing_kwargs)
    call, options = rows(parts[1])
    plain = outcome(super(SharedPrefixMixin, trainer)._get_per_token_logps_and_entropies, trainer.model, call, options)
    shared = outcome(trainer._get_per_token_logps_and_entropies, trainer.model, call, options)
    torch.testing.assert_close(shared[0], plain[0], rtol=0, atol=1e-4)
    assert relative_error(shared[2], plain[2]) < 1e-4


def test_a_call_in_parts_makes_as_many_passes_as_trl(tmp_path):
    parts = testing.tiny_qwen2_5_vl()
    trainer = create_trainer(parts, tmp_path)
    trainer._measured = True
    call, options = rows(parts[1])
    seen = []
    parts[0].get_input_embeddings().register_forward_hook(lambda *_: seen.append(1))
    with torch.no_grad():
        logps, entropies, aux = trainer._get_per_token_logps_and_entropies(parts[0], *call, batch_size=3, **options)
        whole, _, _ = trainer._get_per_token_logps_and_entropies(parts[0], *call, **options)
    assert len(seen) == 3 + 1  # of 3, 3 and 2 rows, and of all 8
    assert (entropies, aux) == (None, None)
    torch.testing.assert_close(logps, whole, rtol=0, atol=1e-4)


def test_a_prompt_without_an_image_is_shared_too(tmp_path):
    parts = testing.tiny_qwen2_5_vl()
    trainer = create_trainer(parts, tmp_path)
    texts = ["a long prompt of words", "short"]
    inputs = parts[1].tokenizer([texts[number] for number in ORDER], padding=True, return_tensors="pt")
    completions = torch.arange(8 * LENGTH).view(8, LENGTH) + 10
    call = (
        torch.cat([inputs["input_ids"], completions], dim=1),
        torch.cat([inputs["attention_mask"], torch.ones_like(completions)], dim=1),
        LENGTH,
    )
    plain = outcome(super(SharedPrefixMixin, trainer)._get_per_token_logps_and_entropies, trainer.model, call, {})
    shared = outcome(trainer._get_per_token_logps_and_entropies, trainer.model, call, {})
    torch.testing.assert_close(shared[0], plain[0], rtol=0, atol=1e-4)
    assert relative_error(shared[2], plain[2]) < 1e-4


def test_rollouts_read_a_prompt_once_and_make_its_pixels_once(tmp_path):
    noise = np.random.default_rng(0)
    asked = [
        {"prompt": [{"role": "user", "content": query}], "images": [Image.fromarray(pixels)]}
        for query, pixels in (("it", noise.integers(0, 256, (64, 96, 3), dtype=np.uint8)),) * 4
        + (("all of it", noise.integers(0, 256, (70, 60, 3), dtype=np.uint8)),) * 4
    ]
    outcomes = []
    for setting in ("off", "on"):
        model, processor = testing.tiny_qwen2_5_vl()
        trainer = create_trainer((model, processor), tmp_path, setting, max_completion_length=6)
        read, made = [], []
        model.get_decoder().layers[0].register_forward_hook(
            lambda _, args, __, read=read: read.append(args[0].shape[:2])
        )
        make = processor.image_processor._preprocess
        processor.image_processor._preprocess = lambda images, *rest, made=made, make=make, **how: (
            made.append(len(images)) or make(images, *rest, **how)
        )
        torch.manual_seed(0)
        with quiet_libraries():
            outcomes.append((trainer._generate_and_score_completions(asked), read, made))
    (plain, all_rows, all_images), (shared, rows, images) = outcomes
    assert (all_rows[0][0], rows[0][0]) == (8, 2)
    assert rows[1:] == all_rows[1:]
    assert (set(all_images), set(images)) == ({8}, {2})
    for name in ("completion_ids", "pixel_values", "image_grid_thw", "prompt_ids"):
        assert torch.equal(shared[name], plain[name])


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


def test_half_precision_is_measured_by_its_mean(device, tmp_path):
    parts = testing.tiny_qwen2_5_vl()
    trainer = create_trainer(parts, tmp_path, device=device, bf16=True)
    call, options = on(device, *rows(parts[1]))
    with torch.no_grad():
        shared = trainer._get_per_token_logps_and_entropies(parts[0], *call, **options)[0]
        plain = super(SharedPrefixMixin, trainer)._get_per_token_logps_and_entropies(parts[0], *call, **options)[0]
    counts = call[1][:, -LENGTH:].bool()
    difference = (shared - plain).abs()[counts]
    assert trainer.accelerator.mixed_precision == "bf16"
    assert difference.mean() < IN_LESS
    parts = testing.tiny_qwen3_5()
    call, options = on(device, *rows(parts[1]))
    with pytest.raises(RecipeError, match=r"at most 0\.05 would be rounding"):
        create_trainer(parts, tmp_path, device=device, bf16=True)._get_per_token_logps_and_entropies(
            parts[0], *call, **options
        )


def test_where_all_completions_were_cut_off_there_is_nothing_to_learn(tmp_path):
    parts = testing.tiny_qwen2_5_vl()
    trainer = create_trainer(parts, tmp_path)
    (ids, mask, length), options = rows(parts[1])
    mask[:, -length:] = 0
    logps, entropies, _ = trainer._get_per_token_logps_and_entropies(
        parts[0], ids, mask, length, compute_entropy=True, **options
    )
    assert logps.shape == entropies.shape == (8, length)
    (logps.sum() + 0 * entropies.sum()).backward()
    assert not any(weight.grad.any() for weight in parts[0].parameters() if weight.grad is not None)


def test_parts_of_rollouts_get_whole_groups_with_their_images():
    """Three prompts of two completions; the image of a prompt has as many patches as its number and is full of it."""
    owners = [2, 1, 3, 1, 2, 3]
    parts = [
        {
            "prompt_ids": torch.tensor([[owner] for owner in mine]),
            "prompt_mask": torch.ones(2, 1),
            "advantages": torch.tensor([10.0 * owner for owner in mine]) + at,
            "num_items_in_batch": torch.tensor(7),
            "old_per_token_logps": None,
            "pixel_values": torch.cat([torch.full((owner, 2), float(owner)) for owner in mine]),
            "image_grid_thw": torch.tensor([[1, 1, owner] for owner in mine]),
            "num_images": [1, 1],
        }
        for at, mine in enumerate(zip(owners[::2], owners[1::2], strict=True))
    ]
    whole = with_whole_groups(parts)
    assert [part["prompt_ids"].flatten().tolist() for part in whole] == [[2, 2], [1, 1], [3, 3]]
    assert [part["advantages"].tolist() for part in whole] == [[20, 22], [10, 11], [31, 32]]
    assert [part["pixel_values"][:, 0].tolist() for part in whole] == [[2.0] * 4, [1.0] * 2, [3.0] * 6]
    assert [part["image_grid_thw"][:, 2].tolist() for part in whole] == [[2, 2], [1, 1], [3, 3]]
    assert all(part["num_items_in_batch"] == 7 and part["old_per_token_logps"] is None for part in whole)


class WholeGroups(SharedPrefixMixin, GRPOTrainer):
    """TRL's own log-probabilities, of parts that hold whole groups."""

    _get_per_token_logps_and_entropies = GRPOTrainer._get_per_token_logps_and_entropies


UNEQUAL = {"suppress_tokens": [token for token in range(40, 263) if token != 258]}
"""Completions of few different tokens, of which 258 ends one."""

RUNS = {
    "a step in two parts with a reference": (
        {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "beta": 0.1},
        {},
        None,
    ),
    "rollouts for two steps that are used twice": (
        {
            "per_device_train_batch_size": 4,
            "steps_per_generation": 2,
            "num_iterations": 2,
            "loss_type": "dapo",
            "generation_batch_size": None,
        },
        {"save_every": 4},
        WholeGroups,
    ),
    "adapters with the model under them as reference": (
        {"beta": 0.1, "learning_rate": 1e-2},
        {"model.lora": {"r": 4, "dropout": 0.0}},
        None,
    ),
    "less memory": ({"gradient_checkpointing": True}, {}, None),
    "micro-batches of a row, filled by tokens": (
        {
            "per_device_train_batch_size": 1,
            "gradient_accumulation_steps": 12,
            "generation_batch_size": 12,
            "loss_type": "bnpo",
            "beta": 0.1,
            "generation_kwargs": UNEQUAL,
        },
        {"tokens_per_pass": 110},
        WholeGroups,
    ),
    "two steps of rollouts that are used twice, filled by tokens": (
        {
            "per_device_train_batch_size": 2,
            "gradient_accumulation_steps": 4,
            "steps_per_generation": 8,
            "num_iterations": 2,
            "loss_type": "dapo",
            "generation_kwargs": UNEQUAL,
        },
        {"save_every": 4, "tokens_per_pass": 100},
        WholeGroups,
    ),
    "adapters and less memory, filled by tokens": (
        {
            "per_device_train_batch_size": 4,
            "gradient_accumulation_steps": 3,
            "gradient_checkpointing": True,
            "beta": 0.1,
            "learning_rate": 1e-2,
            "generation_kwargs": UNEQUAL,
        },
        {"model.lora": {"r": 4, "dropout": 0.0}, "tokens_per_pass": 10_000},
        WholeGroups,
    ),
}


@pytest.fixture
def letters(tmp_path):
    """A part of the reward that tells completions apart which cannot be read."""
    path = tmp_path / "my_rewards.py"
    path.write_text('def letters(item):\n    """Its length."""\n    return len(item.text) / 10\n')
    return {f"{path}:letters": 1.0}


@pytest.mark.parametrize("run", RUNS)
def test_losses_and_weights_after_three_steps_are_those_of_trl(run, rl_recipe, squares, letters, tmp_path):
    trl, changes, oracle = RUNS[run]
    model = {"path": rl_recipe().model.path}
    if "model.lora" in changes:
        model["lora"] = changes["model.lora"]
    budget = changes.get("tokens_per_pass")
    more = {name: value for name, value in changes.items() if name not in ("model.lora", "tokens_per_pass")}
    finals, logs = [], []
    for setting in ("off", "on"):
        recipe = rl_recipe(
            output=str(tmp_path / setting),
            trl=trl,
            rewards=letters,
            steps=more.get("save_every", 3),
            shared_prefix=setting,
            tokens_per_pass=None if setting == "off" else budget,
            model=model,
            **more,
        )
        making = Making(oracle) if setting == "off" and oracle else None
        finals.append(train_recipe(recipe, samples=squares, making=making))
        logs.append(read_log(recipe.output / "log.jsonl"))
    for mine, other in zip(*logs, strict=True):
        assert mine["grad_norm"] > 1e-3
        for name in ("loss", "grad_norm", "entropy", "reward", "kl", "completions/mean_length"):
            if name in mine:
                assert other[name] == pytest.approx(mine[name], rel=2e-3, abs=1e-5), name
    weights, others = (load_file(final / "model.safetensors") for final in finals)
    for key, tensor in weights.items():
        torch.testing.assert_close(others[key], tensor, rtol=1e-3, atol=1e-4)
