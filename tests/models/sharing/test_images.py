"""Encoding each image of a batch once changes the time and nothing else."""

import numpy as np
import pytest
import torch
from PIL import Image

from thinkseg import testing
from thinkseg.models.families import FAMILIES
from thinkseg.models.reasoner import chat_messages
from thinkseg.models.sharing.images import images_encoded_once
from thinkseg.types import Instruction

TINY = [testing.tiny_qwen2_vl, testing.tiny_qwen2_5_vl, testing.tiny_qwen3_vl, testing.tiny_qwen3_5]


def batch(processor, numbers, sizes):
    """Inputs that show images of these numbers."""
    images = {}
    for number, size in zip(numbers, sizes, strict=True):
        pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)
        images.setdefault(number, Image.fromarray(pixels))
    text = processor.apply_chat_template(chat_messages(Instruction("it")), add_generation_prompt=True, tokenize=False)
    return processor(
        images=[[images[number]] for number in numbers],
        text=[text] * len(numbers),
        padding=True,
        padding_side="left",
        return_tensors="pt",
    )


def outcome(model, inputs):
    """Logits, and the gradient of each weight of the vision tower."""
    model.zero_grad()
    logits = model(**inputs).logits
    logits[:, -1].square().mean().backward()
    return logits.detach(), [weight.grad.clone() for weight in model.model.visual.parameters()]


@pytest.mark.parametrize("tiny", TINY)
def test_logits_and_gradients_are_the_same(tiny):
    model, processor = tiny()
    sizes = [(70, 100), (70, 100), (64, 64), (70, 100), (64, 64), (64, 64)]
    inputs = batch(processor, [1, 1, 2, 1, 2, 3], sizes)
    plain_logits, plain_gradients = outcome(model, inputs)
    seen = []
    hook = model.model.visual.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    with images_encoded_once(model):
        logits, gradients = outcome(model, inputs)
    hook.remove()
    rows = inputs["image_grid_thw"].prod(-1)
    assert seen == [int(rows[0] + rows[2] + rows[5])]
    torch.testing.assert_close(logits, plain_logits, rtol=1e-4, atol=1e-4)
    for shared, plain in zip(gradients, plain_gradients, strict=True):
        torch.testing.assert_close(shared, plain, rtol=1e-3, atol=1e-5)


def test_images_of_one_size_are_encoded_once_too():
    model, processor = testing.tiny_fast_vlm()
    inputs = batch(processor, [1, 1, 2, 1, 2, 3], [(64, 64)] * 6)
    tower = model.model.vision_tower

    def outcome_of_tower():
        model.zero_grad()
        logits = model(**inputs).logits
        logits[:, -1].square().mean().backward()
        return logits.detach(), [weight.grad.clone() for weight in tower.parameters() if weight.grad is not None]

    plain_logits, plain_gradients = outcome_of_tower()
    seen = []
    hook = tower.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(len((*args, *kwargs.values())[0])), with_kwargs=True
    )
    with images_encoded_once(model):
        logits, gradients = outcome_of_tower()
    hook.remove()
    assert seen == [3]
    assert gradients
    torch.testing.assert_close(logits, plain_logits, rtol=1e-4, atol=1e-4)
    for shared, plain in zip(gradients, plain_gradients, strict=True):
        torch.testing.assert_close(shared, plain, rtol=1e-3, atol=1e-5)


def test_images_that_differ_in_one_pixel_are_told_apart():
    model, processor = testing.tiny_qwen2_5_vl()
    inputs = batch(processor, [1, 1], [(64, 64)] * 2)
    inputs["pixel_values"][-1, -1] += 1.0
    # The same sum: what is taken from one place is put in another.
    inputs["pixel_values"][-1, -2] -= 1.0
    with torch.no_grad():
        plain = model(**inputs).logits
        with images_encoded_once(model):
            shared = model(**inputs).logits
    torch.testing.assert_close(shared, plain, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(plain[0], plain[1], atol=1e-3)


def test_afterwards_the_model_is_as_before():
    model, _ = testing.tiny_qwen2_5_vl()
    with images_encoded_once(model):
        assert "get_image_features" in vars(model.model)
    assert "get_image_features" not in vars(model.model)


def test_within_one_that_is_open_the_outer_one_stays():
    """A validation asks the model that is being trained."""
    model, _ = testing.tiny_qwen2_5_vl()
    with images_encoded_once(model):
        outer = vars(model.model)["get_image_features"]
        with images_encoded_once(model):
            assert vars(model.model)["get_image_features"] is not outer
        assert vars(model.model)["get_image_features"] is outer
    assert "get_image_features" not in vars(model.model)


def test_a_family_without_grids_is_left_as_it_is():
    model, _ = testing.tiny_internvl()
    with FAMILIES["internvl"].encoding_once(model):
        assert "get_image_features" not in vars(model.model)


@pytest.mark.parametrize("tiny", TINY)
def test_families_with_grids_encode_once(tiny):
    model, _ = tiny()
    with FAMILIES[model.config.model_type].encoding_once(model):
        assert "get_image_features" in vars(model.model)
