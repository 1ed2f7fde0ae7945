"""Three steps with prompts shared, of every family and in every combination, lead where three steps of TRL's lead."""

import numpy as np
import pytest
from datasets import Dataset
from transformers import AutoModelForImageTextToText

from tests.sharing_families import FAMILIES
from thinkseg import testing
from thinkseg.training.runs import quiet_libraries

from .shared_prefixes import WholeGroups, asked, create_trainer, noise

QUERIES = ("the pig", "what is left of the tall tree")
LENGTH = 7


def samples():
    """Prompts of two lengths about two images of two sizes, as they come."""
    images = noise(np.random.default_rng(0))
    return Dataset.from_list([{"prompt": asked(QUERIES[at]), "images": [images[at]]} for at in (0, 1, 1, 0, 1, 0)])


def by_tokens(completion_ids, **_):
    """A reward that differs from completion to completion."""
    return [float(sum(ids) % 7) for ids in completion_ids]


class SomeoneElse:
    """What writes completions in place of the model, as vLLM does, and says how likely it found each token."""

    def __init__(self, stop):
        self.numbers, self.stop, self.synced = np.random.default_rng(0), stop, 0

    def sync_weights(self):
        self.synced += 1

    def generate(self, prompts, images, num_generations, profiler):
        lengths = self.numbers.integers(0, LENGTH + 1, len(prompts))
        drawn = [self.numbers.integers(10, 60, length).tolist() for length in lengths]
        completions = [[*completion, self.stop][:LENGTH] for completion in drawn]  # some are cut off
        likely = [[[float(self.numbers.uniform(-6, -4))] for _ in completion] for completion in completions]
        return prompts, completions, likely, None


def trained(parts, folder, way, steps=3, *, written_elsewhere=False, **settings):
    """Three steps: what is logged, and what has become of each weight that is trained."""
    model, processor = parts
    stop = processor.tokenizer.eos_token_id
    unequal = [token for token in range(model.config.get_text_config().vocab_size) if not 10 <= token < 40]
    unequal.remove(stop)
    learning = {
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
        "max_completion_length": LENGTH,
        "temperature": 3.0,  # at 1 some of these models end nearly every completion at once
        "generation_kwargs": {"suppress_tokens": unequal},
        "optim": "sgd",  # whose steps are as long as the gradient says
        "learning_rate": 0.02,
        "lr_scheduler_type": "constant",
        "logging_steps": 1,
        "max_steps": steps,
        "save_strategy": "no",
        "loss_type": "grpo",
        "seed": 3,
        "disable_tqdm": True,
    }
    options = {"setting": "off", "create": WholeGroups} if way == "plain" else {"setting": "on"}
    trainer = create_trainer(parts, folder, samples=samples(), reward=by_tokens, **options, **learning | settings)
    if written_elsewhere:
        trainer.use_vllm, trainer.vllm_generation, trainer._last_loaded_step = True, SomeoneElse(stop), -1
    before = {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad}
    with quiet_libraries():
        trainer.train()
    moved = {name: weight.detach() - before[name] for name, weight in model.named_parameters() if name in before}
    return trainer, trainer.state.log_history[:steps], moved


def saved(parts, folder, attention="sdpa"):
    """What loads a model from its folder, from which TRL makes the reference, too."""
    testing.save(folder, parts)
    return lambda: (AutoModelForImageTextToText.from_pretrained(folder, attn_implementation=attention), parts[1])


def distance(moved, others):
    """Of weights from others."""
    assert moved.keys() == others.keys()
    return sum((moved[name] - others[name]).square().sum() for name in others).sqrt()


def check_same(parts, folder, bound=1e-3, attention="sdpa", **settings):
    """Losses, what else is logged, and weights after three steps are those of TRL's own way, up to rounding."""
    start, tokens = saved(parts, folder, attention), settings.pop("tokens", None)
    _, plain, expected = trained(start(), folder, "plain", **settings)
    trainer, shared, found = trained(start(), folder, "shared", tokens=tokens, **settings)
    assert trainer._measured
    assert trainer._refused is None
    assert len(shared) == len(plain) == 3
    for mine, other in zip(plain, shared, strict=True):
        assert mine["grad_norm"] > 1e-4
        assert mine.get("reward_std", 1) > 0.1  # which is not logged where rollouts are used again
        for name in ("loss", "grad_norm", "entropy", "reward", "kl", "completions/mean_length"):
            if name in mine:
                assert other[name] == pytest.approx(mine[name], rel=bound, abs=bound / 10), name
    length = sum(moved.square().sum() for moved in expected.values()).sqrt()
    assert length > 1e-3
    assert distance(found, expected) < bound * length


in_both_ways = pytest.mark.parametrize("tokens", [None, 10_000], ids=["micro-batches", "passes"])


@pytest.mark.slow
@in_both_ways
@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "fast_vlm"])
def test_each_family_learns_the_same(family, tokens, tmp_path):
    check_same(FAMILIES[family](), tmp_path, tokens=tokens, beta=0.1)


FIRST = "completions that something else wrote, in passes"
COMBINATIONS = {
    "completions that something else wrote": {"written_elsewhere": True},
    FIRST: {"written_elsewhere": True, "tokens": 10_000},
    "such completions that are used twice": {"written_elsewhere": True, "num_iterations": 2, "tokens": 10_000},
    "only tokens of high entropy": {"top_entropy_quantile": 0.5},
    "only tokens of high entropy, in passes": {"top_entropy_quantile": 0.5, "tokens": 10_000},
    "a bonus for entropy, in passes": {"entropy_coef": 0.1, "tokens": 10_000},
    "a ratio for each completion": {"importance_sampling_level": "sequence", "num_iterations": 2, "tokens": 200},
    "such completions, but for those that were cut off": {
        "written_elsewhere": True,
        "mask_truncated_completions": True,
        "tokens": 10_000,
    },
}


def in_the_default_tier(combination):
    """One stands for all there, which takes a second."""
    return combination if combination == FIRST else pytest.param(combination, marks=pytest.mark.slow)


@pytest.mark.parametrize("combination", [in_the_default_tier(name) for name in COMBINATIONS])
def test_so_it_is_with(combination, tmp_path):
    check_same(testing.tiny_qwen2_5_vl(), tmp_path, **COMBINATIONS[combination])


@pytest.mark.slow
@pytest.mark.parametrize("tokens", [None, 150], ids=["micro-batches", "passes"])
def test_so_it_is_with_eager_attention(tokens, tmp_path):
    check_same(testing.tiny_qwen2_5_vl(), tmp_path, attention="eager", tokens=tokens, beta=0.1)


@pytest.mark.slow
@in_both_ways
def test_in_half_precision_they_differ_by_far_less_than_it_rounds(tokens, tmp_path):
    start, written = saved(testing.tiny_qwen2_5_vl(), tmp_path), {"written_elsewhere": True}
    written["vllm_importance_sampling_correction"] = False  # which cuts off at a limit that rounding crosses
    _, _, exact = trained(start(), tmp_path, "plain", **written)
    _, plain, expected = trained(start(), tmp_path, "plain", bf16=True, **written)
    trainer, shared, found = trained(start(), tmp_path, "shared", bf16=True, tokens=tokens, **written)
    assert trainer.accelerator.mixed_precision == "bf16"
    assert trainer._refused is None
    assert 0 < distance(found, expected) < 0.2 * distance(expected, exact)
    assert shared[0]["grad_norm"] == pytest.approx(plain[0]["grad_norm"], rel=5e-3)
    for mine, other in zip(plain, shared, strict=True):
        assert other["loss"] == pytest.approx(mine["loss"], abs=1e-3)
        assert other["entropy"] == pytest.approx(mine["entropy"], rel=1e-3)
