"""Reading a prompt once for all of its completions changes the time and nothing else."""

import numpy as np
import pytest
import torch
from PIL import Image

from tests.sharing_families import FAMILIES
from thinkseg import testing
from thinkseg.models.families import FAMILIES as KNOWN
from thinkseg.models.reasoner import chat_messages
from thinkseg.models.sharing.images import images_encoded_once
from thinkseg.models.sharing.prefill import prompts_read_once
from thinkseg.types import Instruction

ORDER = (0, 1, 0, 2, 1, 0)
"""Two prompts of unequal length about the same image, and the first one about another image."""


def batch(processor, order=ORDER):
    """Inputs of prompts in an order."""
    noise = np.random.default_rng(0)
    images = [Image.fromarray(noise.integers(0, 256, (64, 96, 3), dtype=np.uint8)) for _ in range(2)]
    asked = [(images[0], "the pig"), (images[0], "what is left of the tall tree"), (images[1], "the pig")]
    texts = [
        processor.apply_chat_template(chat_messages(Instruction(query)), add_generation_prompt=True, tokenize=False)
        for _, query in asked
    ]
    return processor(
        images=[[asked[number][0]] for number in order],
        text=[texts[number] for number in order],
        padding=True,
        padding_side="left",
        return_tensors="pt",
    )


def written(model, inputs, **how):
    """Tokens and logits of what the model writes, and how many rows its language model read at first."""
    rows = []
    hook = model.get_decoder().layers[0].register_forward_hook(lambda _, args, __: rows.append(len(args[0])))
    torch.manual_seed(0)
    output = model.generate(
        **inputs, max_new_tokens=6, do_sample=True, output_logits=True, return_dict_in_generate=True, **how
    )
    hook.remove()
    return output.sequences, torch.stack(output.logits), rows


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_tokens_are_sampled_and_prompts_are_read_once(family, device):
    model, processor = FAMILIES[family]()
    model.to(device)
    inputs = batch(processor).to(device)
    tokens, logits, rows = written(model, inputs)
    with KNOWN[family].encoding_once(model), prompts_read_once(model):
        found, scores, read = written(model, inputs)
    assert rows[0] == 6
    assert read == [3, *rows[1:]]
    assert torch.equal(found, tokens)
    torch.testing.assert_close(scores, logits, rtol=1e-4, atol=1e-4)


def test_a_cache_that_is_no_plain_one_is_left_alone():
    model, processor = testing.tiny_qwen2_5_vl()
    with prompts_read_once(model):
        assert written(model, batch(processor), cache_implementation="static")[2][0] == 6


def test_without_a_cache_nothing_is_read_once():
    model, processor = testing.tiny_qwen2_5_vl()
    expected = written(model, batch(processor), use_cache=False)
    with prompts_read_once(model):
        found = written(model, batch(processor), use_cache=False)
    assert found[2] == expected[2]
    assert torch.equal(found[0], expected[0])


def test_linear_attention_is_left_alone():
    model, processor = testing.tiny_qwen3_5()
    expected = written(model, batch(processor))
    with images_encoded_once(model), prompts_read_once(model):
        found = written(model, batch(processor))
    assert found[2][0] == 6
    assert torch.equal(found[0], expected[0])


def test_afterwards_and_inside_another_the_model_is_as_it_was():
    model, processor = testing.tiny_qwen2_5_vl()
    with prompts_read_once(model):
        with prompts_read_once(model):
            pass
        assert written(model, batch(processor, (0, 0)))[2][0] == 1
    assert written(model, batch(processor, (0, 0)))[2][0] == 2


def test_learning_is_left_alone():
    model, processor = testing.tiny_qwen2_5_vl()
    inputs = batch(processor)
    expected = model(**inputs).logits
    with prompts_read_once(model):
        assert torch.equal(model(**inputs).logits, expected)
