"""Towers get an image's numbers channels last, and the same numbers."""

import torch
from PIL import Image

from thinkseg import testing
from thinkseg.models.layout import channels_last
from thinkseg.models.segmenter import PromptableSegmenter
from thinkseg.models.sharing.images import images_encoded_once


def is_channels_last(pixels):
    return pixels.is_contiguous(memory_format=torch.channels_last)


def test_the_numbers_stay_where_they_are_read():
    pixels = torch.randn(2, 3, 4, 5)
    ordered = channels_last(pixels)
    assert torch.equal(ordered, pixels)
    assert is_channels_last(ordered)
    assert not is_channels_last(pixels)
    assert channels_last(pixels[0, 0]).shape == (4, 5)  # rows of patches, say


def test_a_segmenters_tower_is_given_them_so():
    model, processor = testing.tiny_sam()
    seen = []
    model.vision_encoder.register_forward_pre_hook(
        lambda _, args, options: seen.append(options.get("pixel_values", *args[:1])), with_kwargs=True
    )
    PromptableSegmenter(model, processor)._encoded([Image.new("RGB", (40, 30), "red")])
    assert [is_channels_last(pixels) for pixels in seen] == [True]


def test_a_tower_of_squares_is_given_them_so_whether_images_are_the_same_or_not():
    model, _ = testing.tiny_fast_vlm()
    seen = []
    model.model.vision_tower.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    one, other = torch.randn(2, 3, 64, 64)
    with images_encoded_once(model):
        for pixels in (torch.stack([one, other]), torch.stack([one, one, other])):
            model.model.get_image_features(pixel_values=pixels)
    assert [(len(pixels), is_channels_last(pixels)) for pixels in seen] == [(2, True), (2, True)]
