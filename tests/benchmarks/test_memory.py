"""The memory that the documentation states is what the arithmetic gives, and the arithmetic counts real models."""

import pytest
import torch

from thinkseg.models.sharing.attention import _plan_of, block_mask, dense_mask
from thinkseg.models.sharing.prefix import lay_out


@pytest.fixture(scope="module")
def memory(load_benchmark):
    return load_benchmark("memory")


@pytest.mark.parametrize(
    ("name", "billions", "millions"),
    [("Qwen2-VL-2B", 2.21, 18.5), ("Qwen2.5-VL-3B", 3.75, 29.9), ("Qwen2.5-VL-7B", 8.29, 40.4)],
)
def test_weights_and_adapters_are_those_of_the_published_models(memory, repository, name, billions, millions):
    model = memory.build(name)
    assert memory.count(model) / 1e9 == pytest.approx(billions, abs=0.005)
    assert memory.adapters(model) / 1e6 == pytest.approx(millions, abs=0.05)
    assert f"| {name} | {billions} | {millions} |" in (repository / "docs" / "memory.md").read_text()


def test_the_targets_are_those_that_recipes_train(memory):
    from thinkseg.models.families import FAMILIES

    assert all(FAMILIES[kind].lora_targets == memory.TARGETS for kind in ("qwen2_vl", "qwen2_5_vl"))


def test_3b_fits_one_card_of_24_gb_as_documented(memory, repository, monkeypatch):
    monkeypatch.setattr(memory, "layer_bytes", lambda name: {"Qwen2.5-VL-3B": 287e3}[name])  # weighed in the slow tier
    step = memory.Step(completions=2, prompt=729 + 300, answer=400, sampled=16)
    needed = memory.card("Qwen2.5-VL-3B", step)
    text = (repository / "docs" / "memory.md").read_text()
    for part, size in needed.items():
        assert f"| {part} | {size:.1f} |" in text
    assert f"| **together** | **{sum(needed.values()):.1f}** |" in text
    assert sum(needed.values()) < 24


def test_what_eight_cards_need_is_what_the_recipes_say(memory, repository):
    recipes = repository / "recipes"
    for name, recipe in (("Qwen2-VL-2B", "qwen2_vl_2b"), ("Qwen2.5-VL-3B", "qwen2_5_vl_3b")):
        assert (
            f"{memory.whole(name, 2):.1f} GB on each with ZeRO 2" in (recipes / f"seg_zero/{recipe}.yaml").read_text()
        )
    both = f"{memory.whole('Qwen2.5-VL-7B', 3):.1f} GB on each with ZeRO 3, {memory.whole('Qwen2.5-VL-7B', 2):.1f} GB"
    assert both in (recipes / "seg_zero/qwen2_5_vl_7b.yaml").read_text()
    assert both in (recipes / "vision_reasoner/qwen2_5_vl_7b.yaml").read_text()


def test_masks_of_packed_groups_are_as_large_as_they_are_made(memory, capsys, repository):
    group = memory.Group(completions=3, prompt=11, answer=4)
    rows, width = 2 * group.completions, group.prompt + group.answer
    layout = lay_out(torch.ones(rows, width, dtype=torch.bool), group.answer, [0, 0, 0, 1, 1, 1])
    dense, eager, branch, copies = memory.masks("Qwen2.5-VL-3B", group, 2)
    assert dense == dense_mask(layout).nbytes
    in_rows = lay_out(torch.ones(rows, width, dtype=torch.bool), group.answer, [0, 0, 0, 1, 1, 1], capacity=0)
    assert eager == dense_mask(in_rows).float().nbytes
    plan = _plan_of(block_mask(layout.blocks), torch.device("cpu"))
    assert branch == plan.mask.nbytes
    heads, head = 2, 128  # of keys, in the published configuration
    keys = plan.spread(torch.zeros(2, heads, group.prefix, head, dtype=torch.bfloat16)).nbytes
    own = torch.zeros(rows, heads, group.answer, head, dtype=torch.bfloat16).nbytes
    assert copies == 2 * (keys + own)
    memory.main(["--masks"])
    printed = capsys.readouterr().out
    text = (repository / "docs" / "performance.md").read_text()
    for line in printed.splitlines()[-2:]:
        assert line in text


@pytest.mark.slow
def test_a_layer_keeps_what_the_documentation_says(memory, repository):
    assert memory.layer_bytes("Qwen2.5-VL-3B") / 1e3 == pytest.approx(287, abs=0.5)
