"""Published checkpoints, by their names on the hub: what reaches the model, and where on the image its words land."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

import thinkseg
from thinkseg import cli
from thinkseg.models.canvas import Canvas
from thinkseg.models.checkpoint_config import KNOWN
from thinkseg.models.pipeline import Pipeline
from thinkseg.models.segmenter import PromptableSegmenter
from thinkseg.testing.published import MAX_PIXELS, MIN_PIXELS, write_published_qwen2_5_vl, write_published_sam2

SEG_R1 = ("seg-r1", "facebook/sam2.1-hiera-large", 768, 756, 400)
PUBLISHED = {
    "geshang/Seg-R1-3B": SEG_R1,
    "geshang/Seg-R1-7B": SEG_R1,
    "Ricky06662/Seg-Zero-7B": ("seg-zero", "facebook/sam2-hiera-large", 840, 840, 1300),
    "Ricky06662/VisionReasoner-7B": ("vision-reasoner", "facebook/sam2-hiera-large", 840, 840, 2000),
}
"""Format, segmenter, canvas, the side that the model then sees, tokens."""
ANSWERS = {
    "seg-r1": "<think>it</think><bbox>[{0},{1},{2},{3}]</bbox><points>[[{4},{5}]]</points><labels>[1]</labels>",
    "seg-zero": '<think>it</think><answer>{{"bbox": [{0}, {1}, {2}, {3}], "points_1": [{4}, {5}], '
    '"points_2": [{4}, {5}]}}</answer>',
    "vision-reasoner": '<think>it</think><answer>[{{"bbox_2d": [{0}, {1}, {2}, {3}], "point_2d": [{4}, {5}]}}]'
    "</answer>",
}
SIZES = [(640, 480), (200, 900), (60, 40)]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which folders lie that are named like the published checkpoints."""
    root = tmp_path_factory.mktemp("hub")
    for number, name in enumerate(PUBLISHED):
        write_published_qwen2_5_vl(root / name, seed=number)
    for name in {segmenter for _, segmenter, *_ in PUBLISHED.values()}:
        write_published_sam2(root / name)
    return root


@pytest.fixture(autouse=True)
def _beside_the_folders(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(hub)


def answering(pipeline: Pipeline, text: str) -> list[dict[str, Any]]:
    """Let the model write this, and keep what it was called with."""
    calls: list[dict[str, Any]] = []
    reasoner: Any = pipeline.reasoner
    tokens = reasoner.processor.tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
    end = torch.tensor([[reasoner.processor.tokenizer.eos_token_id]])

    def generate(**inputs: Any) -> torch.Tensor:
        calls.append(inputs)
        written = torch.cat([tokens, end], dim=1).expand(len(inputs["input_ids"]), -1)
        return torch.cat([inputs["input_ids"], written], dim=1)

    reasoner.model.generate = generate
    return calls


def test_the_layout_is_the_published_one(hub: Path) -> None:
    folder = hub / "geshang/Seg-R1-3B"
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 2
    assert {name.split(".")[0] for name in index["weight_map"]} == {"visual", "model", "lm_head"}
    assert "model.layers.0.self_attn.q_proj.weight" in index["weight_map"]
    config = json.loads((folder / "config.json").read_text())
    assert config["rope_scaling"]["type"] == "mrope"
    assert "text_config" not in config
    assert not (folder / "thinkseg.json").exists()


@pytest.mark.parametrize("name", PUBLISHED)
def test_format_frame_and_settings_of_a_published_checkpoint_reach_the_model(name: str) -> None:
    answer_format, segmenter, canvas, seen, tokens = PUBLISHED[name]
    assert KNOWN[name].segmenter == segmenter
    pipeline = thinkseg.load(name, device="cpu")
    reasoner: Any = pipeline.reasoner
    assert pipeline.answer_format.name == answer_format
    assert (reasoner.canvas, reasoner.max_new_tokens) == (Canvas(canvas, "bilinear"), tokens)
    assert reasoner.processor.image_processor.size == {"shortest_edge": MIN_PIXELS, "longest_edge": MAX_PIXELS}
    prompted: Any = pipeline.segmenter
    inner = getattr(prompted, "segmenter", prompted)
    assert getattr(prompted, "rounding", None) == KNOWN[name].whole_pixels
    assert isinstance(inner, PromptableSegmenter)
    assert inner.best_of_three == (answer_format != "seg-r1")
    assert type(inner.model).__name__ == "Sam2Model"
    corners = (canvas * 0.25, canvas * 0.5, canvas * 0.75, canvas - 1, canvas * 0.5, canvas * 0.75)
    calls = answering(pipeline, ANSWERS[answer_format].format(*(round(value) for value in corners)))
    for width, height in SIZES:
        image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8))
        result = pipeline.segment(image, "the thing")
        assert result.answer is not None
        assert result.answer.frame.wh == (canvas, canvas)
        (found,) = result.answer.rescaled(result.size).objects
        assert found.box is not None
        # Within half a pixel of the frame, on the way from the frame to the image.
        x, y = width / canvas, height / canvas
        expected = [value * scale for value, scale in zip(corners[:4], (x, y, x, y), strict=True)]
        assert found.box.xyxy == pytest.approx(expected, abs=0.5 * max(x, y) + 1e-6)
        assert result.masks.shape == (1, height, width)
        call = calls[-1]
        assert call["image_grid_thw"].tolist() == [[1, seen // 14, seen // 14]]
        assert (call["repetition_penalty"], call["do_sample"], call["num_beams"]) == (1.0, False, 1)
        assert call["max_new_tokens"] == tokens
        assert call["eos_token_id"] == sorted({reasoner.processor.tokenizer.convert_tokens_to_ids(t) for t in
                                               ("<|im_end|>", "<|endoftext|>")})  # fmt: skip


@pytest.mark.parametrize("name", ["geshang/Seg-R1-7B", "Ricky06662/VisionReasoner-7B"])
def test_a_published_checkpoint_is_asked_in_its_own_chat_layout(name: str) -> None:
    answer_format, _, _, seen, _ = PUBLISHED[name]
    pipeline = thinkseg.load(name, device="cpu")
    calls = answering(pipeline, "nothing")
    pipeline.segment(Image.new("RGB", (50, 50)), "the fifth wheel")
    reasoner: Any = pipeline.reasoner
    text = reasoner.processor.tokenizer.decode(calls[0]["input_ids"][0])
    instruction = pipeline.answer_format.instruction("the fifth wheel")
    system = instruction.system or "You are a helpful assistant."
    assert (instruction.system is None) == (answer_format != "seg-r1")
    image = "<|vision_start|>" + "<|image_pad|>" * (seen // 28) ** 2 + "<|vision_end|>"
    assert text == (
        f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{image}{instruction.user}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_weights_are_the_files_own_whether_their_names_are_of_older_or_of_newer_releases(
    hub: Path, tmp_path: Path
) -> None:
    folder = hub / "geshang/Seg-R1-3B"
    held = {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}
    newer = tmp_path / "newer"
    newer.mkdir()
    for file in folder.glob("*.json"):
        if "index" not in file.name:
            (newer / file.name).write_bytes(file.read_bytes())
    renamed = {
        (
            f"model.{name}"
            if name.startswith("visual.")
            else name.replace("model.", "model.language_model.", 1)
            if name.startswith("model.")
            else name
        ): tensor
        for name, tensor in held.items()
    }
    save_file(renamed, newer / "model.safetensors", metadata={"format": "pt"})
    first = thinkseg.load("geshang/Seg-R1-3B", device="cpu", dtype="bfloat16")
    second = thinkseg.load(str(newer), format="seg-r1", segmenter="grabcut", device="cpu", dtype="bfloat16")
    states = [dict(pipeline.reasoner.model.state_dict()) for pipeline in (first, second)]  # type: ignore[attr-defined]
    assert states[0].keys() == states[1].keys() == renamed.keys()
    for name, tensor in renamed.items():
        assert torch.equal(states[0][name], tensor)
        assert torch.equal(states[1][name], tensor)


def test_a_checkpoint_in_the_published_layout_is_used_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (90, 60), (200, 30, 30)).save(tmp_path / "photo.png")
    words = ["segment", str(tmp_path / "photo.png"), "--query", "it", "--device", "cpu", "--max-new-tokens", "2"]
    code = cli.main([*words, "--model", "Ricky06662/Seg-Zero-7B", "--out", str(tmp_path / "out")])
    assert code == 1  # a model that knows nothing writes nothing that can be read
    record = json.loads((tmp_path / "out" / "photo.json").read_text())
    assert record["failure"] == "truncated"
    assert "the model" in capsys.readouterr().out or record["completion"]["finish_reason"] == "length"


def test_any_model_of_the_family_is_used_by_flags(hub: Path) -> None:
    """A folder whose name nobody knows: format and canvas are said, the frame is read back."""
    folder = hub / "some-qwen"
    write_published_qwen2_5_vl(folder, seed=9)
    pipeline = thinkseg.load(
        str(folder), segmenter="facebook/sam2.1-hiera-large", format="seg-zero", max_pixels=560 * 560, device="cpu"
    )
    reasoner: Any = pipeline.reasoner
    assert reasoner.frame_of(Image.new("RGB", (1000, 1000))).wh == (560, 560)
    assert reasoner.frame_of(Image.new("RGB", (300, 200))).wh == (308, 196)
    assert isinstance(AutoModelForImageTextToText.from_pretrained(folder), type(reasoner.model))
