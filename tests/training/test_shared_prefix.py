"""A prompt that is computed once for all of its completions changes the time; all is held against TRL's own way."""

import numpy as np
import pytest
import torch
from PIL import Image

from tests.sharing_families import FAMILIES
from thinkseg import testing
from thinkseg.errors import RecipeError
from thinkseg.training.runs import quiet_libraries
from thinkseg.training.shared_prefix.batch import with_whole_groups
from thinkseg.training.shared_prefix.deciding import IN_LESS
from thinkseg.training.shared_prefix.trainer import SharedPrefixMixin

from .shared_prefixes import LENGTH, ORDER, create_trainer, on, rows


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


def test_prompts_may_be_padded_on_the_right(tmp_path):
    """TRL pads them on the left, where its own way needs them, which is what they are held against."""
    parts = testing.tiny_qwen2_5_vl()
    trainer = create_trainer(parts, tmp_path)
    trainer._measured = True
    (ids, mask, length), options = rows(parts[1])
    plain = outcome(
        super(SharedPrefixMixin, trainer)._get_per_token_logps_and_entropies, parts[0], (ids, mask, length), options
    )
    padding = mask[:, :-length].shape[1] - mask[:, :-length].sum(1)
    assert len(set(padding.tolist())) == 2
    columns = torch.stack([torch.arange(ids.shape[1]) for _ in ids])
    for row, count in zip(columns, padding.tolist(), strict=True):
        row[:-length] = row[:-length].roll(-count)
    ids, mask = ids.gather(1, columns), mask.gather(1, columns)
    options["mm_token_type_ids"] = options["mm_token_type_ids"].gather(1, columns)
    shared = outcome(trainer._get_per_token_logps_and_entropies, parts[0], (ids, mask, length), options)
    torch.testing.assert_close(shared[0], plain[0] * mask[:, -length:], rtol=0, atol=1e-4)
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
