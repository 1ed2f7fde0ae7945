"""The memory that the documentation states is what the arithmetic gives, and the arithmetic counts real models."""

import pytest


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


@pytest.mark.slow
def test_a_layer_keeps_what_the_documentation_says(memory, repository):
    assert memory.layer_bytes("Qwen2.5-VL-3B") / 1e3 == pytest.approx(287, abs=0.5)
