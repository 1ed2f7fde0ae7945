"""Making the pixels of an image once changes the time and nothing else."""

import numpy as np
import pytest
import torch
from PIL import Image

from thinkseg import testing
from thinkseg.models.reasoner import chat_messages
from thinkseg.models.sharing.pixels import images_processed_once
from thinkseg.types import Instruction


def inputs_of(processor, images):
    text = processor.apply_chat_template(chat_messages(Instruction("it")), add_generation_prompt=True, tokenize=False)
    return processor(images=[[image] for image in images], text=[text] * len(images), padding=True, return_tensors="pt")


def images():
    """Two, the first of them three times: twice as the same object, once as another one of the same content."""
    noise = np.random.default_rng(0)
    one, other = (Image.fromarray(noise.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in ((64, 96), (70, 60)))
    return [one, other, one, one.copy()]


@pytest.mark.parametrize("tiny", [testing.tiny_qwen2_vl, testing.tiny_qwen2_5_vl, testing.tiny_qwen3_vl])
def test_inputs_are_the_same_bits_and_each_image_is_processed_once(tiny):
    _, processor = tiny()
    expected = inputs_of(processor, images())
    seen = []
    process = processor.image_processor._preprocess
    processor.image_processor._preprocess = lambda images, *rest, **how: (
        seen.append(len(images)) or process(images, *rest, **how)
    )
    with images_processed_once(processor):
        found = inputs_of(processor, images())
    assert seen == [2]
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_prompt_with_several_images_has_its_own():
    _, processor = testing.tiny_qwen2_5_vl()
    one, other, *_ = images()
    text = ["<|vision_start|><|image_pad|><|vision_end|>" * 2] * 2
    expected = processor(images=[[one, other], [other, one]], text=text, return_tensors="pt")
    with images_processed_once(processor):
        found = processor(images=[[one, other], [other, one]], text=text, return_tensors="pt")
    assert torch.equal(found["pixel_values"], expected["pixel_values"])
    assert torch.equal(found["image_grid_thw"], expected["image_grid_thw"])


@pytest.mark.parametrize("tiny", [testing.tiny_internvl, testing.tiny_smolvlm])
def test_a_processor_of_another_kind_works_as_before(tiny):
    _, processor = tiny()
    expected = inputs_of(processor, images())
    with images_processed_once(processor):
        found = inputs_of(processor, images())
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_afterwards_the_processor_is_as_it_was():
    _, processor = testing.tiny_qwen2_5_vl()
    before = dict(vars(processor.image_processor))
    with images_processed_once(processor):
        pass
    assert vars(processor.image_processor) == before


def test_a_tokenizer_alone_has_no_images():
    with images_processed_once(testing.tiny_tokenizer()):
        pass
