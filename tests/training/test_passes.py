"""Passes are filled by tokens with whole groups, as far as there is room."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thinkseg import testing
from thinkseg.errors import RecipeError
from thinkseg.models.sharing.prefix import lay_out
from thinkseg.training.grpo import refuse_impossible_passes
from thinkseg.training.runs import quiet_libraries
from thinkseg.training.shared_prefix.batch import Batch
from thinkseg.training.shared_prefix.passes import Pass, fill, tokens_needed

from .shared_prefixes import create_trainer, rows

groups = st.lists(
    st.tuples(st.integers(1, 4), st.lists(st.integers(0, 3), min_size=2, max_size=2)), min_size=1, max_size=4
)


def batch_of(prompts):
    """Rows of prompts of such lengths, with completions of such lengths."""
    width, ids, mask = max(length for length, _ in prompts), [], []
    for number, (length, completions) in enumerate(prompts):
        for completion in completions:
            ids.append([number] * width + [9] * 3)
            mask.append([0] * (width - length) + [1] * length + [1] * completion + [0] * (3 - completion))
    return Batch(torch.tensor(ids), torch.tensor(mask), 3, {})


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(groups, st.sampled_from([1, 2]), st.integers(1, 40), st.sampled_from([None, 0]))
def test_a_pass_is_as_long_as_its_packed_rows_and_has_whole_groups_where_they_fit(prompts, size, budget, capacity):
    """`capacity` is None for one row, and 0 for rows as long as the longest group, which are filled up."""
    batch = batch_of(prompts)
    needed, torn = tokens_needed(batch, size, capacity)
    passes = fill(needed.tolist(), torn, budget)
    assert [part for parts in passes for part in parts] == list(range(len(torn)))
    for parts in passes:
        mine = batch.taken(range(parts.start * size, parts.stop * size))
        length = lay_out(mine.mask.bool(), 3, mine.owners(), capacity).tokens.numel()
        assert needed[parts.start, parts.stop - 1] == length
        assert length <= budget or len(parts) == 1
        if parts.stop < len(torn) and torn[parts.stop]:  # then the group has no room beside what is already there
            begin = max(part for part in parts if not torn[part]) if any(not torn[part] for part in parts) else None
            assert begin in (None, parts.start)
        elif parts.stop < len(torn):
            behind = next((stop for stop in range(parts.stop + 1, len(torn)) if not torn[stop]), len(torn))
            assert needed[parts.start, behind - 1] > budget


def test_losses_of_parts_go_back_through_one_pass():
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    scores = (weights[:, None] * torch.ones(4, 2), weights[:, None] ** 2 * torch.ones(4, 2))
    whole = Pass.of(range(3, 5), 2, scores)
    for part, factor in ((3, 1.0), (4, 10.0)):
        logps, entropies = whole.of_part(part)
        (factor * logps.sum() - entropies.sum()).backward()
        assert weights.grad is None
    whole.go_back()
    assert weights.grad.tolist() == [2 - 4, 2 - 8, 20 - 12, 20 - 16]


@pytest.mark.parametrize(("tokens", "passes"), [(10_000, 1), (40, 2), (1, 8)])
def test_a_step_goes_through_the_model_as_often_as_its_tokens_need(tokens, passes, tmp_path):
    """Eight completions of five tokens to one prompt, a micro-batch each."""
    parts = testing.tiny_qwen2_5_vl()
    few = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 8, "max_completion_length": 5}
    trainer = create_trainer(parts, tmp_path, tokens=tokens, max_steps=1, save_strategy="no", **few)
    seen = []
    parts[0].get_input_embeddings().register_forward_hook(lambda *_: seen.append(torch.is_grad_enabled()))
    with quiet_libraries():
        trainer.train()
    assert sum(seen) == passes


def test_what_fills_rows_up_counts_where_attention_is_eager(tmp_path):
    """Two groups of two completions, of 50 and of 10 tokens: one row of 60, or two of 50."""
    prompts = torch.zeros(4, 48, dtype=torch.long)
    answers = torch.ones(4, 1, dtype=torch.long)
    mask = torch.cat([prompts + 1, answers], dim=1)
    mask[2:, :40] = 0
    ids = torch.cat([prompts, answers], dim=1)
    found = {}
    for attention in ("sdpa", "eager"):
        parts = testing.tiny_qwen2_5_vl()
        parts[0].config.get_text_config()._attn_implementation = attention
        trainer = create_trainer(parts, tmp_path, tokens=70)
        found[attention] = trainer._filled(Batch(ids, mask, 1, {}), 2, trainer.tokens)
    assert found == {"sdpa": [range(2)], "eager": [range(1), range(1, 2)]}


@pytest.mark.parametrize("family", ["qwen2_5_vl", "smolvlm"])
def test_a_pass_of_completions_that_were_all_cut_off_is_gone_through_and_teaches_nothing(family, tmp_path):
    parts = getattr(testing, f"tiny_{family}")()
    few = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "max_completion_length": 5}
    cut = {
        "mask_truncated_completions": True,
        "generation_kwargs": {"suppress_tokens": [parts[1].tokenizer.eos_token_id]},
        "entropy_coef": 0.1,  # else there is nothing to learn from rewards that are all the same
    }
    trainer = create_trainer(
        parts, tmp_path, tokens=10_000, max_steps=1, save_strategy="no", logging_steps=1, **few, **cut
    )
    with quiet_libraries():
        trainer.train()
    assert trainer.state.log_history[0]["completions/clipped_ratio"] == 1
    assert trainer.state.log_history[0]["grad_norm"] == 0


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_vision_tower_that_averages_over_images_is_refused(goes_on, tmp_path):
    parts = testing.tiny_fast_vlm()
    trainer = create_trainer(parts, tmp_path, tokens=100)
    trainer._measured = goes_on  # as a checkpoint says it, which may be of a run without a budget
    parts[0].train()
    call, options = rows(parts[1])
    with pytest.raises(RecipeError, match="batch norm"):
        trainer._get_per_token_logps_and_entropies(parts[0], *call, **options)


def test_a_budget_of_tokens_is_refused_where_deepspeed_spreads_the_run():
    spread, whole = (
        SimpleNamespace(deepspeed_plugin=SimpleNamespace(zero_stage=2)),
        SimpleNamespace(deepspeed_plugin=None),
    )
    refuse_impossible_passes(100, whole)
    refuse_impossible_passes(None, spread)
    with pytest.raises(RecipeError, match=r"does not go with DeepSpeed, .* launch with recipes/accelerate/fsdp2\.yaml"):
        refuse_impossible_passes(100, spread)


@pytest.mark.parametrize("changes", [{"stage": "sft", "rewards": {}}, {"shared_prefix": "off"}])
def test_a_budget_of_tokens_is_refused_where_no_prompts_are_shared(changes, rl_recipe):
    with pytest.raises(RecipeError, match="'tokens_per_pass' packs the groups of rl"):
        rl_recipe(tokens_per_pass=1000, **changes)
