"""A trained model and its start become one by the mean of their weights, whatever form the trained one has."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageTextToText

from thinkseg import testing
from thinkseg.errors import CheckpointError, InputError
from thinkseg.models.checkpoint_config import KNOWN
from thinkseg.models.merging import merge
from thinkseg.models.reasoner_loading import load_reasoner

from .layouts import OLD_NAMES_IN_PEFT, adapted, weights

SETTINGS = {"format": "seg-zero", "max_new_tokens": 24, "canvas": 84}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The start."""
    return testing.save(tmp_path_factory.mktemp("base"), testing.tiny_qwen2_5_vl(), SETTINGS)


def test_a_trained_model_and_its_start_become_the_mean_of_their_weights(base: Path, tmp_path: Path) -> None:
    trained = testing.save(tmp_path / "trained", testing.tiny_qwen2_5_vl(seed=7), {**SETTINGS, "max_new_tokens": 9})
    merged = merge(trained, tmp_path / "mixed", base=str(base), start_share=0.25)
    assert merged.layout == "a whole model, with 0.25 of the weights of its start"
    start, end, mixed = weights(base), weights(trained), weights(merged.folder)
    assert mixed.keys() == end.keys()
    for name, weight in mixed.items():
        torch.testing.assert_close(weight, 0.25 * start[name] + 0.75 * end[name], msg=name)
    settings = json.loads((merged.folder / "thinkseg.json").read_text())
    assert settings["max_new_tokens"] == 9, "it is asked as the trained model is"
    load_reasoner(merged.folder, device="cpu")


def test_the_mean_of_weights_in_half_precision_is_rounded_once(base: Path, tmp_path: Path) -> None:
    model, processor = testing.tiny_qwen2_5_vl(seed=7)
    trained = testing.save(tmp_path / "trained", (model.to(torch.bfloat16), processor), SETTINGS)
    merged = merge(trained, tmp_path / "mixed", base=str(base), start_share=0.5)
    assert merged.dtype == "bfloat16"
    start, end = weights(base), weights(trained)
    for name, weight in weights(merged.folder).items():
        assert torch.equal(weight, ((start[name] + end[name].float()) / 2).bfloat16()), name
    exact = testing.save(tmp_path / "exact", testing.tiny_qwen2_5_vl(seed=7), SETTINGS)
    merged = merge(exact, tmp_path / "rounded", base=str(base), start_share=0.5, dtype="bfloat16")
    end = weights(exact)
    for name, weight in weights(merged.folder).items():
        assert torch.equal(weight, torch.lerp(end[name], start[name], 0.5).bfloat16()), name


def test_weights_that_two_layers_share_are_mixed_once(tmp_path: Path) -> None:
    for name, seed in (("start", 0), ("trained", 7)):
        model, processor = testing.tiny_qwen2_5_vl(seed=seed)
        model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = True
        model.lm_head.weight = model.get_input_embeddings().weight
        testing.save(tmp_path / name, (model, processor), SETTINGS)
    merge(tmp_path / "trained", tmp_path / "mixed", base=str(tmp_path / "start"), start_share=0.5)
    start, end, mixed = (
        AutoModelForImageTextToText.from_pretrained(tmp_path / name) for name in ("start", "trained", "mixed")
    )
    expected = (start.lm_head.weight + end.lm_head.weight) / 2
    assert mixed.lm_head.weight is mixed.get_input_embeddings().weight
    torch.testing.assert_close(mixed.lm_head.weight, expected)


@OLD_NAMES_IN_PEFT
def test_an_adapter_with_a_share_of_its_base_adds_so_much_less(base: Path, tmp_path: Path) -> None:
    adapted(base, tmp_path / "adapter")
    whole = weights(merge(tmp_path / "adapter", tmp_path / "whole").folder)
    mixed = weights(merge(tmp_path / "adapter", tmp_path / "mixed", start_share=0.4).folder)
    for name, weight in weights(base).items():
        torch.testing.assert_close(mixed[name], weight + 0.6 * (whole[name] - weight), msg=name)


def test_what_cannot_be_mixed_is_refused_and_nothing_is_written(base: Path, tmp_path: Path) -> None:
    trained = testing.save(tmp_path / "trained", testing.tiny_qwen2_5_vl(seed=7), SETTINGS)
    other = testing.save(tmp_path / "other", testing.tiny_qwen2_vl(), SETTINGS)

    def refused(sentence: str, **options: Any) -> None:
        with pytest.raises((CheckpointError, InputError), match=sentence):
            merge(trained, tmp_path / "mixed", **{"base": str(base), **options})
        assert {path.name for path in tmp_path.iterdir()} == {"trained", "other"}

    for share in (1.0, -0.1, float("nan")):
        refused("should be 0 or more and below 1, found", start_share=share)
    refused("say with --base which model training started from", start_share=0.5, base=None)
    refused("cannot be mixed in: .* is not in both models, or has another shape", start_share=0.5, base=str(other))
    refused("which --start-share mixes with its start")


def test_the_mixed_model_is_asked_as_the_trained_one_whatever_is_known_of_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    start = "geshang/Seg-R1-3B"
    assert KNOWN[start].sentences
    testing.save(tmp_path / start, testing.tiny_qwen2_5_vl(), {})
    trained = testing.save(tmp_path / "trained", testing.tiny_qwen2_5_vl(seed=7), {"format": "seg-zero"})
    merged = merge(trained, tmp_path / "mixed", base=start, start_share=0.5)
    assert json.loads((merged.folder / "thinkseg.json").read_text()) == {"format": "seg-zero"}
    (trained / "thinkseg.json").unlink()  # it says nothing: then what is known of its start
    merged = merge(trained, tmp_path / "silent", base=start, start_share=0.5)
    assert merged.format == KNOWN[start].format
