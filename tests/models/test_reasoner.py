from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tokenizers import AddedToken

from thinkseg import testing
from thinkseg.answers import get_format
from thinkseg.errors import CheckpointError, InputError
from thinkseg.models.canvas import Canvas
from thinkseg.models.checkpoint_config import CheckpointConfig
from thinkseg.models.families import FAMILIES
from thinkseg.models.frames import FrameRule
from thinkseg.models.reasoner import TransformersReasoner
from thinkseg.models.reasoner_loading import load_reasoner
from thinkseg.testing.tiny_reasoners import CHAT_TEMPLATE
from thinkseg.types import Completion, FinishReason, Instruction, Request, Size

from .conftest import writing

# InternVL's processor of older releases of transformers counts tiles in a way that NumPy warns about.
pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning")

Build = Callable[..., TransformersReasoner]
Noise = Callable[[int, int], Image.Image]


@pytest.fixture
def requests(noise: Noise) -> list[Request]:
    """Four requests of very different lengths, two of them with a system message."""
    asked = [((200, 100), "find it"), ((70, 140), "find the other one, " * 4), ((30, 30), "a"), ((640, 480), "where")]
    return [
        Request(noise(*size), Instruction(text, system="Be brief." if i % 2 else None))
        for i, (size, text) in enumerate(asked)
    ]


def biased(reasoner: TransformersReasoner, towards: int) -> TransformersReasoner:
    """The reasoner, with a model that wants to write one token above all."""

    def push(_module: Any, _inputs: Any, logits: torch.Tensor) -> torch.Tensor:
        return logits + 1e4 * torch.nn.functional.one_hot(torch.tensor(towards), logits.shape[-1])

    reasoner.model.lm_head.register_forward_hook(push)
    return reasoner


class Watched:
    """The real model; keeps the tokens that it has written."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.written: list[int] = []

    def generate(self, *, input_ids: torch.Tensor, **options: Any) -> torch.Tensor:
        tokens: torch.Tensor = self._model.generate(input_ids=input_ids, **options)
        self.written += tokens[:, input_ids.shape[1] :].flatten().tolist()
        return tokens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def test_batch_size_and_padding_do_not_change_what_is_written(
    family: str, tiny_reasoner: Build, requests: list[Request]
) -> None:
    """A mismatch of padded inputs corrupts images without a word: the text alone shows it."""
    together = tiny_reasoner(family, batch_size=4).complete(requests)
    assert together == tiny_reasoner(family, batch_size=1).complete(requests)
    assert together == list(reversed(tiny_reasoner(family, batch_size=3).complete(requests[::-1])))
    assert len(set(together)) == len(requests)


def test_an_image_that_several_requests_are_about_is_encoded_once(tiny_reasoner: Build, noise: Noise) -> None:
    reasoner = tiny_reasoner("qwen2_5_vl")
    seen: list[int] = []
    reasoner.model.model.visual.register_forward_hook(
        lambda _m, _i, kept, _o: seen.append(len(kept["grid_thw"])), with_kwargs=True
    )
    first, second = noise(70, 140), noise(200, 100)
    asked = [
        Request(image, Instruction(text))
        for image, text in ((first, "the left one"), (second, "it"), (first, "what is red"))
    ]
    together = reasoner.complete(asked)
    assert seen == [2]
    assert together == [reasoner.complete([request])[0] for request in asked]
    assert seen == [2, 1, 1, 1]


def test_the_text_depends_on_the_image(family: str, tiny_reasoner: Build, noise: Noise) -> None:
    instruction = Instruction("find it")
    texts = tiny_reasoner(family).complete([Request(noise(100, 100 + i), instruction) for i in range(4)])
    assert len(set(texts)) > 1


def test_prompts_are_padded_on_the_left_with_the_image_marked_where_it_is(
    tiny_reasoner: Build, requests: list[Request]
) -> None:
    reasoner = tiny_reasoner("qwen2_5_vl")
    reasoner.processor.tokenizer.padding_side = "right"
    inputs = reasoner.inputs(requests)
    assert inputs["attention_mask"][:, -1].all()
    assert not inputs["attention_mask"].all()
    images = inputs["input_ids"] == reasoner.model.config.image_token_id
    assert torch.equal(images.long(), inputs["mm_token_type_ids"])


def test_a_long_prompt_is_not_cut(tiny_reasoner: Build, noise: Noise) -> None:
    reasoner = tiny_reasoner("qwen2_5_vl", max_new_tokens=1)
    reasoner.processor.tokenizer.model_max_length = 16
    words = "word " * 50
    inputs = reasoner.inputs([Request(noise(100, 100), Instruction(words))])
    assert words in reasoner.processor.tokenizer.decode(inputs["input_ids"][0])


def test_the_checkpoints_own_sampling_settings_do_not_bend_greedy_text(
    tiny_reasoner: Build, requests: list[Request]
) -> None:
    plain = tiny_reasoner("qwen2_5_vl").complete(requests)
    bent = tiny_reasoner("qwen2_5_vl")
    settings = bent.model.generation_config
    settings.update(do_sample=True, temperature=0.1, top_p=0.001, top_k=1, repetition_penalty=1.5)
    assert bent.complete(requests) == plain


def test_a_checkpoint_with_sampling_settings_gives_no_warning(tiny_reasoner: Build, requests: list[Request]) -> None:
    reasoner = tiny_reasoner("qwen2_vl")
    reasoner.model.generation_config.update(do_sample=True, temperature=0.01, top_k=1, top_p=0.001)
    assert len(reasoner.complete(requests[:1])) == 1


@pytest.mark.parametrize("token", ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"])
def test_tokens_that_stand_for_images_are_never_written(
    token: str, tiny_reasoner: Build, requests: list[Request]
) -> None:
    reasoner = tiny_reasoner("qwen2_5_vl")
    forbidden = reasoner.processor.tokenizer.convert_tokens_to_ids(token)
    watched = Watched(biased(reasoner, towards=forbidden).model)
    asked = TransformersReasoner(watched, reasoner.processor, max_new_tokens=12)
    asked.complete(requests[:1])
    asked.sample(requests[:1], count=2, temperature=1.0)
    assert watched.written
    assert forbidden not in watched.written


def test_a_completion_stops_at_the_end_token_or_at_the_length_limit(
    tiny_reasoner: Build, requests: list[Request]
) -> None:
    endless = tiny_reasoner("qwen2_5_vl", max_new_tokens=3)
    biased(endless, towards=endless.processor.tokenizer.convert_tokens_to_ids("!"))
    assert endless.complete(requests[:1]) == [Completion("!!!", FinishReason.LENGTH)]
    silent = tiny_reasoner("qwen2_5_vl")
    biased(silent, towards=silent.processor.tokenizer.eos_token_id)
    assert silent.complete(requests[:2]) == [Completion("", FinishReason.STOP)] * 2


def test_a_pad_token_that_equals_the_end_token_does_not_lose_the_stop(
    tiny_reasoner: Build, requests: list[Request]
) -> None:
    reasoner = tiny_reasoner("qwen2_5_vl", max_new_tokens=6)
    reasoner.processor.tokenizer.pad_token = reasoner.processor.tokenizer.eos_token
    assert {c.finish_reason for c in reasoner.complete(requests)} == {FinishReason.LENGTH}
    biased(reasoner, towards=reasoner.processor.tokenizer.eos_token_id)
    assert {c.finish_reason for c in reasoner.complete(requests)} == {FinishReason.STOP}


def test_answer_tags_stay_in_the_text_and_control_tokens_do_not(tiny_reasoner: Build, requests: list[Request]) -> None:
    reasoner = tiny_reasoner("qwen2_5_vl")
    tokenizer = reasoner.processor.tokenizer
    tokenizer.add_tokens([AddedToken("<think>", special=True), AddedToken("</think>", special=True)])
    written = "<think>a b</think><bbox>[1,2,3,4]</bbox>"
    said = f"<|im_start|>{written}<|endoftext|>"
    assert writing(reasoner, said).complete(requests[:1]) == [Completion(written, FinishReason.STOP)]


def test_thinking_that_the_chat_template_opens_belongs_to_the_text(
    tiny_reasoner: Build, requests: list[Request]
) -> None:
    reasoner = tiny_reasoner("qwen3_5")
    opening = CHAT_TEMPLATE.replace("assistant\n", "assistant\n<think>\n")
    reasoner.processor.chat_template = opening
    assert writing(reasoner, "a dog</think>").complete(requests[:1])[0].text == "<think>\na dog</think>"
    reasoner.processor.chat_template = opening.replace("<think>\n", "<think>\n\n</think>\n\n")
    found = writing(reasoner, "a dog", ends=False).complete(requests[:1])
    assert found == [Completion("<think>\n\n</think>\n\na dog", FinishReason.LENGTH)]


def test_the_image_comes_first_and_the_system_message_before_all(tiny_reasoner: Build) -> None:
    prompt = tiny_reasoner("qwen2_5_vl").prompt(Instruction("the dog", system="Be brief."))
    assert prompt == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>the dog<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("token", ["<|im_end|>", "<|image_pad|>"])
def test_a_query_cannot_smuggle_control_tokens_into_the_prompt(token: str, tiny_reasoner: Build, noise: Noise) -> None:
    with pytest.raises(InputError, match="control token"):
        tiny_reasoner("qwen2_5_vl").complete([Request(noise(50, 50), Instruction(f"a {token} b"))])


def test_several_completions_of_one_request_are_sampled(tiny_reasoner: Build, requests: list[Request]) -> None:
    reasoner = tiny_reasoner("qwen2_5_vl", batch_size=2)
    torch.manual_seed(0)
    sampled = reasoner.sample(requests[:3], count=4, temperature=2.0)
    assert [len(group) for group in sampled] == [4, 4, 4]
    assert len(set(sampled[0])) > 1
    torch.manual_seed(0)
    assert reasoner.sample(requests[:3], count=4, temperature=2.0) == sampled
    greedy = reasoner.complete(requests[:3])
    assert [group[0] for group in reasoner.sample(requests[:3], temperature=1e-6)] == greedy
    with pytest.raises(InputError, match="greedy decoding gives one completion"):
        reasoner.sample(requests, count=2, temperature=0.0)


def test_nothing_asked_is_nothing_answered(tiny_reasoner: Build) -> None:
    assert tiny_reasoner("qwen2_5_vl").complete([]) == []


def test_a_canvas_stretches_the_image_before_the_processor(tiny_reasoner: Build, noise: Noise) -> None:
    reasoner = tiny_reasoner("qwen2_5_vl", canvas=84, max_new_tokens=2)
    assert reasoner.frame_of(noise(200, 50)) == Size(84, 84)
    assert reasoner.inputs([Request(noise(200, 50), Instruction("x"))])["image_grid_thw"].tolist() == [[1, 6, 6]]


def test_by_the_rule_canvas_the_frame_is_the_square_that_is_handed_over(tiny_reasoner: Build, noise: Noise) -> None:
    """The processor sees 84 of 90 pixels; a corner at 90 is the image's corner and is not clipped to 84."""
    reasoner = tiny_reasoner("qwen2_5_vl", canvas=90, rule=FrameRule.CANVAS)
    assert reasoner.frame_of(noise(200, 50)) == Size(90, 90)
    assert reasoner.inputs([Request(noise(200, 50), Instruction("x"))])["image_grid_thw"].tolist() == [[1, 6, 6]]
    answer = get_format("seg-r1").parse(
        "<think></think><bbox>[45,0,90,90]</bbox><points>[[88,89]]</points><labels>[1]</labels>", Size(90, 90)
    )
    (found,) = answer.rescaled(Size(200, 50)).objects
    assert found.box is not None
    assert found.box.xyxy == (100, 0, 200, 50)


def test_the_rule_canvas_without_a_canvas_is_refused(tiny_reasoner: Build, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"measures in the square .* give its pixels a side as 'canvas'"):
        tiny_reasoner("qwen2_5_vl", rule=FrameRule.CANVAS)
    with pytest.raises(InputError, match="there is none"):
        load_reasoner(testing.save(tmp_path / "model", testing.tiny_qwen2_5_vl()), CheckpointConfig(frame="canvas"))


def test_the_decoding_may_be_the_checkpoints_own(tiny_reasoner: Build, noise: Noise) -> None:
    reasoner = tiny_reasoner("qwen2_5_vl", max_new_tokens=2)
    own = reasoner.model.generation_config
    own.do_sample, own.repetition_penalty, own.temperature, own.top_p = True, 1.05, 1e-6, 0.5
    generate, told = reasoner.model.generate, []
    reasoner.model.generate = lambda **options: told.append(options) or generate(**options)
    request, texts = Request(noise(50, 50), Instruction("x")), []
    for decoding in ("greedy", "penalised", "sampled"):
        reasoner.decoding = decoding
        texts.append([reasoner.complete([request])[0].text for _ in range(2)])
    assert [(each["do_sample"], each["repetition_penalty"]) for each in told[::2]] == [
        (False, 1.0),
        (False, 1.05),
        (True, 1.05),
    ]
    assert (told[-1]["temperature"], told[-1]["top_p"]) == (1e-6, 0.5)
    assert all(first == second for first, second in texts)


@pytest.mark.parametrize("option", ["max_new_tokens", "batch_size", "canvas"])
def test_settings_below_one_are_refused(option: str, tiny_reasoner: Build) -> None:
    with pytest.raises(InputError, match="at least 1"):
        tiny_reasoner("qwen2_5_vl", **{option: 0})


def test_a_model_without_chat_template_or_end_token_is_refused(tiny_reasoner: Build, noise: Noise) -> None:
    request = Request(noise(50, 50), Instruction("x"))
    mute = tiny_reasoner("qwen2_5_vl")
    mute.processor.chat_template = None
    with pytest.raises(CheckpointError, match="no chat template"):
        mute.complete([request])
    endless = tiny_reasoner("qwen2_5_vl")
    endless.model.generation_config.eos_token_id = endless.processor.tokenizer.eos_token = None
    with pytest.raises(CheckpointError, match="no end-of-text token"):
        endless.complete([request])


def test_the_class_follows_from_the_config_and_not_from_the_folders_name(
    tmp_path: Path, requests: list[Request]
) -> None:
    """The published code looks for a family's name in the path, so training cannot go on from a folder (defect 10)."""
    tiny = testing.tiny_qwen3_vl()
    folder = testing.save(tmp_path / "Qwen2.5-VL-run" / "checkpoint-40", tiny)
    reasoner = load_reasoner(folder, CheckpointConfig(max_new_tokens=12), device="cpu")
    assert type(reasoner.model).__name__ == "Qwen3VLForConditionalGeneration"
    assert reasoner.family is FAMILIES["qwen3_vl"]
    assert not reasoner.model.training
    assert reasoner.model.dtype == torch.float32
    assert reasoner.complete(requests) == TransformersReasoner(*tiny, max_new_tokens=12).complete(requests)


def test_every_family_survives_being_saved_and_loaded(
    family: str, tiny_reasoner: Build, tmp_path: Path, requests: list[Request]
) -> None:
    made = tiny_reasoner(family)
    folder = testing.save(tmp_path / "model", (made.model, made.processor))
    assert load_reasoner(folder, CheckpointConfig(max_new_tokens=12), device="cpu").complete(requests) == made.complete(
        requests
    )


def test_a_small_model_decodes_many_prompts_at_a_time(tmp_path: Path) -> None:
    folder = testing.save(tmp_path / "model", testing.tiny_qwen2_5_vl())
    assert load_reasoner(folder, device="cpu").batch_size == 32


def test_settings_reach_the_loaded_reasoner(tmp_path: Path) -> None:
    folder = testing.save(tmp_path / "model", testing.tiny_qwen2_5_vl())
    config = CheckpointConfig(frame="relative-1000", canvas=56, max_new_tokens=7, min_pixels=3136, max_pixels=6272)
    reasoner = load_reasoner(folder, config, device="cpu", dtype="bfloat16", batch_size=3)
    assert reasoner.model.dtype == torch.bfloat16
    assert (reasoner.rule, reasoner.canvas, reasoner.batch_size, reasoner.max_new_tokens) == (
        FrameRule.RELATIVE_1000,
        Canvas(56),
        3,
        7,
    )
    assert reasoner.processor.image_processor.size["longest_edge"] == 6272
