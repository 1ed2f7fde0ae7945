"""Several images that are segmented together have the masks that each of them has alone."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from thinkseg import testing
from thinkseg.errors import ImageError, InputError
from thinkseg.models.asked import Asked, chunks
from thinkseg.models.base import ManyImagesSegmenter, segment_images
from thinkseg.models.checkpoint_config import CheckpointConfig
from thinkseg.models.encodings import Encoded, Encodings, keep_positions
from thinkseg.models.grabcut import GrabCutSegmenter
from thinkseg.models.prompting import prompted
from thinkseg.models.segmenter import PromptableSegmenter, load_segmenter
from thinkseg.types import Answer, Box, ObjectPrompt, Point, Segmentation, Size

Noise = Callable[[int, int], Image.Image]

FRAME = Size(120, 90)
BOXES = [ObjectPrompt(Box(10 + 3 * i, 10, 60 + 5 * i, 60 + 2 * i)) for i in range(4)]
POINTED = ObjectPrompt(Box(20, 10, 80, 60), (Point(50, 30), Point(100, 80, label=0)))
ROUNDING = 1e-5
"""By how much a logit may differ where other images are decoded beside its own, as a share of the largest one."""


def questions(noise: Noise) -> list[tuple[Image.Image, list[Answer]]]:
    """Images of several shapes, with many prompts, one, none, and some of several forms."""
    return [
        (noise(120, 90), [Answer(FRAME, tuple(BOXES)), Answer(FRAME, (BOXES[1],))]),
        (noise(40, 220), [Answer(FRAME, (POINTED,))]),
        (noise(64, 64), [Answer(FRAME), Answer(FRAME)]),
        (noise(64, 65), []),
        (noise(90, 120), [Answer(FRAME, (BOXES[0], POINTED)), Answer(FRAME), Answer(FRAME, (BOXES[2],))]),
    ]


def agree(first: list[list[Segmentation]], second: list[list[Segmentation]]) -> bool:
    """Whether masks are the same but for a pixel in a thousand, and scores to four digits."""
    pairs = [pair for a, b in zip(first, second, strict=True) for pair in zip(a, b, strict=True)]
    return all(
        a.masks.shape == b.masks.shape
        and (not a.masks.size or float((a.masks != b.masks).mean()) <= 1e-3)
        and np.allclose(a.scores, b.scores, atol=1e-4)  # type: ignore[arg-type]
        for a, b in pairs
    )


@pytest.mark.parametrize(("batch", "chunk"), [(1, 1), (2, 4), (8, 64)])
def test_images_together_have_the_masks_of_each_alone(
    batch: int, chunk: int, tiny_segmenter: tuple[Any, Any], noise: Noise
) -> None:
    segmenter = PromptableSegmenter(*tiny_segmenter, batch=batch, chunk=chunk)
    asked = questions(noise)
    alone = [segmenter.segment(image, answers) for image, answers in asked]
    assert len({mask.tobytes() for own in alone for each in own for mask in each.masks}) > 4
    assert agree(segmenter.segment_images(asked), alone)


@pytest.mark.gpu
def test_masks_of_a_gpu_are_those_of_a_cpu_but_for_a_pixel_in_a_hundred(
    tiny_segmenter: tuple[Any, Any], noise: Noise
) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU that PyTorch can use")
    model, processor = tiny_segmenter
    asked = questions(noise)
    expected = PromptableSegmenter(model, processor).segment_images(asked)
    found = PromptableSegmenter(copy.deepcopy(model).to("cuda"), processor).segment_images(asked)
    pairs = [pair for own, other in zip(found, expected, strict=True) for pair in zip(own, other, strict=True)]
    assert all((one.masks != other.masks).mean() <= 0.01 for one, other in pairs if one.masks.size)


def test_logits_of_prompts_about_several_images_are_those_of_each_alone_within_rounding(
    tiny_segmenter: tuple[Any, Any], noise: Noise
) -> None:
    model, processor = tiny_segmenter
    seen: list[torch.Tensor] = []
    forward = model.forward

    def kept(**options: Any) -> Any:
        outputs = forward(**options)
        seen.append(outputs.pred_masks.flatten(0, 1))
        return outputs

    model.forward = kept
    segmenter = PromptableSegmenter(model, processor, batch=4, chunk=64)
    asked = [(noise(60 + i, 50), [Answer(FRAME, (BOXES[i],))]) for i in range(4)]
    for image, answers in asked:
        segmenter.segment(image, answers)
    alone = torch.cat(seen)
    segmenter.segment_images(asked)
    assert seen[-1].shape == alone.shape
    assert (alone > 0).any()
    assert (alone < 0).any()
    assert (seen[-1] - alone).abs().max() <= ROUNDING * alone.abs().max()


def test_the_pockets_segmenter_has_the_same_masks_for_images_together(noise: Noise) -> None:
    segmenter = load_segmenter("pocket", device="cpu")
    assert isinstance(segmenter, PromptableSegmenter)
    asked = [(noise(96, 80 + i), [Answer(FRAME, (BOXES[i], POINTED))]) for i in range(3)]
    alone = [segmenter.segment(image, answers) for image, answers in asked]
    assert agree(segmenter.segment_images(asked), alone)


def test_images_are_encoded_in_batches_and_their_prompts_decoded_together(noise: Noise) -> None:
    model, processor = testing.tiny_sam2()
    encoded: list[int] = []
    decoded: list[int] = []
    encode = model.get_image_embeddings
    model.get_image_embeddings = lambda pixels: (encoded.append(len(pixels)), encode(pixels))[1]
    model.mask_decoder.register_forward_hook(lambda _m, _i, outputs: decoded.append(outputs[0].flatten(0, 1).shape[0]))
    segmenter = PromptableSegmenter(model, processor, batch=2, chunk=4)
    asked = [(noise(60 + i, 50), [Answer(FRAME, (BOXES[0], BOXES[1]))] * 8) for i in range(5)]
    segmenter.segment_images(asked)
    assert encoded == [2, 2, 1]
    assert decoded == [4, 4, 2]  # two distinct prompts of each of five images
    assert segmenter.encode_count == 5


def test_images_whose_pixels_are_too_many_together_are_decoded_one_after_another(noise: Noise) -> None:
    model, processor = testing.tiny_sam2()
    decoded: list[int] = []
    model.mask_decoder.register_forward_hook(lambda _m, _i, outputs: decoded.append(outputs[0].flatten(0, 1).shape[0]))
    segmenter = PromptableSegmenter(model, processor, chunk=64, upsampled_pixels=3 * 60 * 50)
    segmenter.segment_images(
        [(noise(60, 50), [Answer(FRAME, (BOXES[0], BOXES[1]))]), (noise(120, 50), [Answer(FRAME, (BOXES[0],))])]
    )
    assert decoded == [2, 1]


def test_one_image_with_too_many_objects_is_refused_before_any_is_encoded(noise: Noise) -> None:
    segmenter = PromptableSegmenter(*testing.tiny_sam2(), most_pixels=120 * 90)
    fine, refused = (noise(60, 50), [Answer(FRAME, (BOXES[0],))]), (noise(120, 90), [Answer(FRAME, tuple(BOXES))])
    with pytest.raises(ImageError, match=r"masks of 4 objects in an image of 120×90"):
        segmenter.segment_images([fine, refused])
    assert segmenter.encode_count == 0


def test_an_image_that_is_kept_is_not_encoded_again_beside_one_that_is_new(noise: Noise) -> None:
    plain = PromptableSegmenter(*testing.tiny_sam2())
    keeping = plain.remembering()
    answers = [Answer(FRAME, (POINTED, BOXES[0]))]
    keeping.segment_images([(noise(60, 50), answers)])
    asked = [(noise(70, 50), answers), (noise(60, 50), answers)]
    assert agree(keeping.segment_images(asked), plain.segment_images(asked))
    assert keeping.encode_count == 2


def test_what_is_kept_is_encoded_one_by_one_so_that_it_does_not_depend_on_what_came_beside_it(noise: Noise) -> None:
    model, processor = testing.tiny_sam2()
    encoded: list[int] = []
    encode = model.get_image_embeddings
    model.get_image_embeddings = lambda pixels: (encoded.append(len(pixels)), encode(pixels))[1]
    keeping = PromptableSegmenter(model, processor, batch=4).remembering()
    keeping.segment_images([(noise(60 + i, 50), [Answer(FRAME, (BOXES[0],))]) for i in range(3)])
    assert encoded == [1, 1, 1]


def test_a_logit_of_one_that_remembers_does_not_depend_on_which_answers_came_together(noise: Noise) -> None:
    """Records of an evaluation are the same bytes, whichever queries about an image are in one batch or shard."""
    model, processor = testing.tiny_sam2()
    seen: list[torch.Tensor] = []
    forward = model.forward

    def kept(**options: Any) -> Any:
        outputs = forward(**options)
        seen.append(outputs.pred_masks.flatten(0, 1))
        return outputs

    model.forward = kept
    keeping = PromptableSegmenter(model, processor).remembering()
    image, answers = noise(120, 90), [Answer(FRAME, (BOXES[0], POINTED)), Answer(FRAME), Answer(FRAME, (BOXES[1],))]
    alone = [keeping.segment(image, [answer])[0] for answer in answers]
    apart = seen.copy()
    seen.clear()
    together = keeping.segment(image, answers)
    assert len(seen) == len(apart) == 3
    assert all(torch.equal(one, other) for one, other in zip(seen, apart, strict=True))
    assert agree([together], [alone])
    assert keeping.segment(image, []) == []
    assert keeping.encode_count == 1


def test_one_that_remembers_encodes_an_image_once_for_its_answers_even_where_it_has_no_room(noise: Noise) -> None:
    keeping = PromptableSegmenter(*testing.tiny_sam2(), most_pixels=2 * 60 * 50).remembering(0)
    keeping.segment(noise(60, 50), [Answer(FRAME, (BOXES[0],)), Answer(FRAME, (BOXES[1],))])
    assert keeping.encode_count == 1
    with pytest.raises(ImageError, match="masks of 3 objects"):
        keeping.segment(noise(60, 50), [Answer(FRAME, (BOXES[0],)), Answer(FRAME, (BOXES[1], BOXES[2]))])


def test_a_segmenter_that_takes_one_image_at_a_time_is_asked_image_by_image(noise: Noise) -> None:
    grabcut = GrabCutSegmenter()
    assert not isinstance(grabcut, ManyImagesSegmenter)
    asked = [(noise(60 + i, 50), [Answer(FRAME, (BOXES[0],))]) for i in range(2)]
    together = segment_images(grabcut, asked)
    alone = [grabcut.segment(image, answers) for image, answers in asked]
    assert [own[0].masks.tobytes() for own in together] == [own[0].masks.tobytes() for own in alone]


def test_settings_of_a_checkpoint_hold_for_images_together(noise: Noise) -> None:
    config = CheckpointConfig(whole_pixels="half even", segmenter_canvas=48, segmenter_bgr=True)
    segmenter = prompted(PromptableSegmenter(*testing.tiny_sam2()), config)
    asked = questions(noise)
    assert agree(segment_images(segmenter, asked), [segmenter.segment(image, answers) for image, answers in asked])


def encoding(size: int) -> Encoded:
    """One of so many bytes."""
    return Encoded({"image_embeddings": [torch.zeros(1, size // 4)]}, FRAME, {})


def test_what_is_kept_stays_within_the_budget() -> None:
    kept = Encodings(100)
    for key in "abc":
        kept.keep(key, encoding(40))
        assert kept.get(key) is not None
    assert kept.bytes == 80
    assert [kept.get(key) is not None for key in "abc"] == [True, False, True]  # b had been asked for last
    kept.keep("too large", encoding(104))
    assert kept.get("too large") is None
    assert len(kept) == 2
    kept.keep("as large as all", encoding(100))
    assert (len(kept), kept.bytes) == (1, 100)


def test_for_people_those_that_were_asked_for_longest_ago_make_room() -> None:
    kept = Encodings(2 * 40, "longest ago")
    for key in ("a", "b"):
        kept.keep(key, encoding(40))
    assert kept.get("a") is not None  # asked for again, so that b was asked for longest ago
    kept.keep("c", encoding(40))
    assert [kept.get(key) is not None for key in ("a", "b", "c")] == [True, False, True]
    assert kept.bytes == 80


def test_images_that_do_not_all_find_room_are_still_found_again_in_the_next_epochs() -> None:
    kept, draw = Encodings(15 * 40), np.random.default_rng(0)
    asked = [int(key) for _ in range(20) for key in draw.permutation(40)]
    found = 0
    for key in asked:
        found += kept.get(key) is not None
        kept.keep(key, encoding(40))
    assert len(kept) == 15
    assert found / len(asked) > 0.3


def test_no_room_keeps_nothing_and_less_than_none_is_refused() -> None:
    kept = Encodings(0)
    kept.keep("a", encoding(4))
    assert len(kept) == 0
    with pytest.raises(InputError, match="may take 0 bytes or more, found -1"):
        Encodings(-1)


def test_what_is_kept_of_a_batch_does_not_hold_the_batch() -> None:
    batch = torch.zeros(8, 100)
    kept = Encodings()
    kept.keep("a", Encoded({"image_embeddings": batch[2:3]}, FRAME, {}))
    found = kept.get("a")
    assert found is not None
    assert found.embeddings["image_embeddings"].untyped_storage().nbytes() == 400


@pytest.mark.parametrize("create", [testing.tiny_sam2, testing.tiny_edgetam, testing.tiny_sam3_tracker])
def test_where_a_feature_lies_is_computed_once_and_is_what_transformers_computes(create: Callable[[], Any]) -> None:
    model, _ = create()
    positions = model.vision_encoder.neck.position_encoding
    shape = torch.Size((3, 32, 5, 7))
    expected = positions(shape, torch.device("cpu"), torch.float32)
    keep_positions(model)
    keep_positions(model)  # a second segmenter of one model changes nothing
    with torch.inference_mode():
        found = positions(shape, torch.device("cpu"), torch.float32)
    assert torch.equal(found, expected)
    again = positions(torch.Size((1, 32, 5, 7)), torch.device("cpu"), torch.float32)
    assert again.data_ptr() == found.data_ptr()
    assert not again.is_inference()  # so that one who trains the model may still use it


def test_a_chunk_holds_prompts_of_one_form() -> None:
    first, second = (Asked(Image.new("RGB", (10, 10)), [], encoding(4), {}) for _ in range(2))
    prompts = [(first, BOXES[0]), (first, POINTED), (second, BOXES[1]), (second, POINTED)]
    made = list(chunks(prompts, limit=8, pixels=10_000))
    assert [[prompt for _, prompt in chunk] for chunk in made] == [[BOXES[0], BOXES[1]], [POINTED, POINTED]]


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="a batch holds at least 1 image, found 0"):
        PromptableSegmenter(*testing.tiny_sam2(), batch=0)
