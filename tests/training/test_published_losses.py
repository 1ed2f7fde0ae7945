"""The loss that a published recipe asks TRL for is its authors', on batches whose completions differ in length.

Held against the formulas of the trainers of Seg-Zero, VisionReasoner (both on veRL) and Seg-R1, written down here once
more in NumPy. For one token: p, old and ref are the log-probabilities under the policy, the policy that sampled and the
reference, A the advantage, H the entropy of what could have come; k3 = exp(ref - p) - (ref - p) - 1.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from trl import GRPOTrainer

from thinkseg.testing import FakeSegmenter
from thinkseg.training.config import load_recipe
from thinkseg.training.stages import Making, train_recipe

OF_THE_MACHINE = ("bf16", "gradient_checkpointing", "use_vllm")
"""Settings of a recipe that say where and how fast, not what: a CPU has none of them."""


@dataclass(frozen=True)
class MicroBatch:
    """What went into the loss of one micro-batch, an array (completions, tokens) each but for the advantages."""

    mask: np.ndarray
    logps: np.ndarray
    old: np.ndarray
    ref: np.ndarray
    entropies: np.ndarray
    advantages: np.ndarray
    loss: float


class WatchedTrainer(GRPOTrainer):
    """TRL's trainer; it cuts completions to lengths of 1, 4, 7, 10 … and keeps what the loss was made of."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.batches: list[MicroBatch] = []
        self._turn = 0
        self._last: tuple[Any, ...] = ()

    def _get_per_token_logps_and_entropies(self, *args: Any, **settings: Any) -> Any:
        self._last = super()._get_per_token_logps_and_entropies(*args, **settings)
        return self._last

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        mask = inputs["completion_mask"].clone()
        for row in mask:
            row[1 + 3 * (self._turn % 4) :] = 0
            self._turn += 1
        inputs = inputs | {"completion_mask": mask, "advantages": torch.linspace(-1, 1.4, len(mask)) + self._turn % 5}
        loss = super()._compute_loss(model, inputs)
        logps, entropies = (part.detach().double().numpy() for part in self._last[:2])
        old = inputs.get("old_per_token_logps")
        self.batches.append(
            MicroBatch(
                mask=mask.numpy().astype(bool),
                logps=logps,
                old=logps if old is None else old.double().numpy(),
                ref=inputs["ref_per_token_logps"].double().numpy(),
                entropies=entropies,
                advantages=inputs["advantages"].double().numpy()[:, None],
                loss=float(loss.detach()),
            )
        )
        return loss


def k3(batch: MicroBatch) -> np.ndarray:
    return np.exp(batch.ref - batch.logps) - (batch.ref - batch.logps) - 1


def verl_loss(batch: MicroBatch, trl: Mapping[str, Any]) -> float:
    """Three means over all tokens of the micro-batch: clipped policy, entropy, KL."""
    ratio = np.exp(batch.logps - batch.old)
    clipped = np.clip(ratio, 1 - trl["epsilon"], 1 + trl["epsilon"])
    policy = np.maximum(-batch.advantages * ratio, -batch.advantages * clipped)[batch.mask].mean()
    entropy = batch.entropies[batch.mask].mean()
    return float(policy - trl["entropy_coef"] * entropy + trl["beta"] * k3(batch)[batch.mask].mean())


def seg_r1_loss(batch: MicroBatch, trl: Mapping[str, Any]) -> float:
    """The mean over completions of each one's mean over its tokens, advantage and KL together, nothing clipped."""
    per_token = trl["beta"] * k3(batch) - np.exp(batch.logps - batch.old) * batch.advantages
    return float(np.mean([row[kept].mean() for row, kept in zip(per_token, batch.mask, strict=True)]))


@pytest.mark.parametrize(
    ("name", "authors_loss", "micro_batch", "micro_batches"),
    [
        ("seg_zero/qwen2_5_vl_3b", verl_loss, 1, 16),
        ("vision_reasoner/qwen2_5_vl_7b", verl_loss, 16, 1),
        ("seg_r1/rl", seg_r1_loss, 4, 3),
    ],
)
def test_a_published_recipe_has_its_authors_loss(
    rl_recipe: Callable[..., Any],
    squares: list[Any],
    name: str,
    authors_loss: Callable[[MicroBatch, Mapping[str, Any]], float],
    micro_batch: int,
    micro_batches: int,
) -> None:
    published = {key: value for key, value in load_recipe(name).trl.items() if not key.startswith("vllm")}
    trl = {"entropy_coef": 0.0} | {key: value for key, value in published.items() if key not in OF_THE_MACHINE}
    recipe = rl_recipe(trl=trl | {"learning_rate": 1e-2}, steps=2)  # so that the second step is off the reference
    seen: list[WatchedTrainer] = []

    def create(**settings: Any) -> WatchedTrainer:
        seen.append(WatchedTrainer(**settings))
        return seen[-1]

    train_recipe(recipe, samples=squares, segmenter=FakeSegmenter(), making=Making(create))
    batches = seen[0].batches
    assert [len(batch.mask) for batch in batches] == [micro_batch] * micro_batches * 2
    assert [batch.loss for batch in batches] == pytest.approx(
        [authors_loss(batch, trl) / micro_batches for batch in batches], rel=1e-4, abs=1e-6
    )
    assert max(k3(batch)[batch.mask].mean() for batch in batches[micro_batches:]) > 1e-3  # there is a KL to speak of
    lengths = {int(row.sum()) for batch in batches for row in batch.mask}
    assert len(lengths) > 2  # where all are as long, every average is the same


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("seg_zero/qwen2_vl_2b", "seg_zero/qwen2_5_vl_3b"),
        ("seg_zero/qwen2_5_vl_7b", "seg_zero/qwen2_5_vl_3b"),
        ("seg_r1/prerl", "seg_r1/rl"),
        ("seg_r1/sod", "seg_r1/rl"),
    ],
)
def test_the_recipes_of_one_method_have_one_loss(name: str, like: str) -> None:
    """But for the size of a group, and with it the number of micro-batches."""

    def loss_of(recipe: str) -> dict[str, Any]:
        trl = load_recipe(recipe).trl
        prompts = trl.pop("gradient_accumulation_steps") / trl.pop("num_generations")
        return {"prompts": prompts} | {key: value for key, value in trl.items() if not key.startswith("vllm")}

    assert loss_of(name) == loss_of(like)
