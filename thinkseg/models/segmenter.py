"""The segmenter: a promptable model of the SAM line, which turns the boxes and points of an answer into masks.

>>> segmenter = load_segmenter("facebook/sam2.1-hiera-large", device="cuda")  # doctest: +SKIP
>>> masks = segmenter.segment(image, [answer])[0].masks                       # doctest: +SKIP

An image is encoded once, however many answers are about it, and equal prompts are decoded once: when a group of
completions is scored, most of the work is shared. Prompts are decoded in chunks of the same form, so that none is
padded: a padding token still takes part in the decoder's attention, and a mask would depend on its neighbours.
"""

from __future__ import annotations

import copy
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from thinkseg.errors import CheckpointError, ImageError, InputError
from thinkseg.extension import import_reference, is_reference
from thinkseg.imaging import content_key
from thinkseg.models import loading
from thinkseg.models.base import Segmenter
from thinkseg.models.checking import check_segmenter
from thinkseg.models.folders import check_folder
from thinkseg.models.grabcut import GrabCutSegmenter
from thinkseg.types import Answer, Masks, ObjectPrompt, Scores, Segmentation, Size

GRABCUT = "grabcut"
"""The name of the segmenter that needs no weights."""

MODEL_CLASSES: Mapping[str, tuple[str, str]] = {
    "sam2": ("Sam2Model", "Sam2Processor"),
    # The published SAM 2 and EdgeTAM folders hold the video model; its image part is what is needed here.
    "sam2_video": ("Sam2Model", "Sam2Processor"),
    "edgetam": ("EdgeTamModel", "Sam2Processor"),
    "edgetam_video": ("EdgeTamModel", "Sam2Processor"),
    "sam3_tracker": ("Sam3TrackerModel", "Sam3TrackerProcessor"),
    "sam3_tracker_video": ("Sam3TrackerModel", "Sam3TrackerProcessor"),
    "sam3_video": ("Sam3TrackerModel", "Sam3TrackerProcessor"),
    "sam": ("SamModel", "SamProcessor"),
    "sam_hq": ("SamHQModel", "SamHQProcessor"),
}
"""Model and processor class of transformers by the `model_type` of a checkpoint's config."""

# Measured on CPUs at inputs of 256 and 1024 pixels: four prompts at a time are as fast as one or faster at both, more
# do not help, and at 1024 pixels eight are slower.
_CPU_CHUNK = 4
_GPU_CHUNK = 64
_UPSAMPLED_PIXELS = 64 * 2**20
"""256 MB of logits."""

MOST_PIXELS = 4_000_000_000
"""Of all masks of a call together: a byte each, 4 GB, as 333 objects in a photograph of 12 megapixels have."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Encoded:
    """An image that is ready to be prompted."""

    embeddings: Mapping[str, Any]
    frame: Size
    """Where the image lies in the model's square input: prompts are measured in it."""
    restore: Mapping[str, Any]
    """What `post_process_masks` needs to bring masks back to the image's size."""


class PromptableSegmenter:
    """A `Segmenter` on `Sam2Model`, `EdgeTamModel`, `Sam3TrackerModel`, `SamModel` or `SamHQModel`.

    Args:
        model: the model in float32 and in evaluation mode, on its device.
        processor: its processor, which knows the size of the model's input.
        chunk: how many prompts are decoded at once; None for a number that suits the device.
        upsampled_pixels: how many logits may be brought to the image's size at once.
        most_pixels: how many the masks of one call may have together, a byte each; more are refused.
        best_of_three: whether the model makes three masks of a prompt and the one of the highest score is taken, the
            last of equal ones. False takes its single mask.

    Attributes:
        encode_count: how many images have been encoded so far.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        chunk: int | None = None,
        upsampled_pixels: int = _UPSAMPLED_PIXELS,
        most_pixels: int = MOST_PIXELS,
        best_of_three: bool = False,
    ) -> None:
        if chunk is not None and chunk < 1:
            raise InputError(f"a chunk holds at least 1 prompt, found {chunk}")
        self.model = model
        self.processor = processor
        self.chunk = chunk or (_CPU_CHUNK if self.device.type == "cpu" else _GPU_CHUNK)
        self._upsampled_pixels = upsampled_pixels
        self.most_pixels = most_pixels
        self.best_of_three = best_of_three
        self.encode_count = 0
        self._known: dict[object, _Encoded] | None = None

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = self.model.device
        return device

    def segment(self, image: Image.Image, answers: Sequence[Answer]) -> list[Segmentation]:
        """The masks of several answers about one image, which is encoded once.

        Args:
            image: RGB, any size.
            answers: each in any frame.

        Returns:
            For each answer (objects, height, width) at the image's size, objects in the answer's order; a pixel is
            True where the model's logit, interpolated bilinearly, is above 0. The scores are what the model's IoU head
            says, cut to 0…1.

        Raises:
            ImageError: the masks would have more pixels than `most_pixels`.
        """
        if not any(answer.objects for answer in answers):
            return [_segmentation((), {}, Counter(), image.size) for _ in answers]
        self._refuse_too_many(answers, image)
        with torch.inference_mode():
            encoded = self._encode(image) if self._known is None else self._remembered(image, self._known)
            asked = [answer.rescaled(encoded.frame).objects for answer in answers]
            prompts = (prompt for objects in asked for prompt in objects)
            found = self._decode(encoded, prompts, image.width * image.height)
        left = Counter(prompt for objects in asked for prompt in objects)
        return [_segmentation(objects, found, left, image.size) for objects in asked]

    def remembering(self) -> PromptableSegmenter:
        """The same model, which keeps what it has encoded: an image of the same content is not encoded again.

        It is for a fixed set of images that comes again and again. Encodings wait in the CPU's memory: of SAM 2 17 MB
        an image.
        """
        other = copy.copy(self)
        other.encode_count, other._known = 0, {}
        return other

    def _refuse_too_many(self, answers: Sequence[Answer], image: Image.Image) -> None:
        count = sum(len(answer.objects) for answer in answers)
        if count * image.width * image.height > self.most_pixels:
            raise ImageError(
                f"the masks of {count} objects in an image of {image.width}×{image.height} would take "
                f"{count * image.width * image.height / 1e9:.1f} GB, more than {self.most_pixels / 1e9:g}: make the "
                "image smaller"
            )

    def _encode(self, image: Image.Image) -> _Encoded:
        if image.mode != "RGB":
            raise InputError(f"the segmenter takes RGB images, found mode {image.mode!r}")
        inputs = self.processor(images=image, return_tensors="pt")
        self.encode_count += 1
        pixels = inputs["pixel_values"].to(self.device, dtype=self.model.dtype)
        embeddings = self.model.get_image_embeddings(pixels)
        named = {"image_embeddings": embeddings}
        if isinstance(embeddings, tuple):  # SAM-HQ: the tower's early features besides its last ones
            named = dict(zip(("image_embeddings", "intermediate_embeddings"), embeddings, strict=True))
        restore = {key: inputs[key] for key in ("original_sizes", "reshaped_input_sizes") if key in inputs}
        # SAM keeps the image's shape and pads the rest of the square; its successors stretch it over the square.
        height, width = (
            restore["reshaped_input_sizes"][0].tolist() if "reshaped_input_sizes" in restore else pixels.shape[-2:]
        )
        return _Encoded(named, Size(width, height), restore)

    def _remembered(self, image: Image.Image, known: dict[object, _Encoded]) -> _Encoded:
        key = content_key(image)
        if key not in known:
            encoded = self._encode(image)
            known[key] = replace(encoded, embeddings=_moved(encoded.embeddings, "cpu"))
            return encoded
        return replace(known[key], embeddings=_moved(known[key].embeddings, self.device))

    def _decode(
        self, encoded: _Encoded, prompts: Iterable[ObjectPrompt], pixels: int
    ) -> dict[ObjectPrompt, tuple[np.ndarray, float]]:
        """A boolean mask (height, width) and its score for every distinct prompt."""
        limit = max(1, min(self.chunk, self._upsampled_pixels // pixels))
        found: dict[ObjectPrompt, tuple[np.ndarray, float]] = {}
        for chunk in _chunks(prompts, limit):
            outputs = self.model(**encoded.embeddings, **self._tensors(chunk), multimask_output=self.best_of_three)
            logits, estimates = _best(outputs.pred_masks[0].float(), outputs.iou_scores[0].float())
            restored = self.processor.post_process_masks([logits], **encoded.restore)[0][:, 0].cpu().numpy()
            # The IoU head of SAM and SAM-HQ has no sigmoid, so that its estimates can leave 0…1.
            scores = estimates.clamp(0, 1).tolist()
            found.update(zip(chunk, zip(restored, scores, strict=True), strict=True))
        return found

    def _tensors(self, chunk: Sequence[ObjectPrompt]) -> dict[str, torch.Tensor]:
        """Prompts of one form as the model wants them: a batch of one image with several objects."""
        tensors: dict[str, torch.Tensor] = {}
        if chunk[0].box is not None:
            boxes = [prompt.box.xyxy for prompt in chunk if prompt.box is not None]
            tensors["input_boxes"] = torch.tensor([boxes], dtype=torch.float32)
        if chunk[0].points:
            points = [[(point.x, point.y) for point in prompt.points] for prompt in chunk]
            labels = [[point.label for point in prompt.points] for prompt in chunk]
            tensors["input_points"] = torch.tensor([points], dtype=torch.float32)
            tensors["input_labels"] = torch.tensor([labels], dtype=torch.long)
        return {name: tensor.to(self.device) for name, tensor in tensors.items()}


def _moved(embeddings: Any, device: torch.device | str) -> Any:
    """Tensors, alone or in lists and mappings, on a device."""
    if isinstance(embeddings, torch.Tensor):
        return embeddings.to(device)
    if isinstance(embeddings, Mapping):
        return {name: _moved(value, device) for name, value in embeddings.items()}
    return type(embeddings)(_moved(value, device) for value in embeddings)


def _best(logits: torch.Tensor, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each object's masks the one of the highest score, before any is brought to the image's size.

    Args:
        logits: (objects, masks, height, width).
        scores: (objects, masks).

    Returns:
        (objects, 1, height, width) and (objects,).
    """
    # Counted from the end: of equal scores the published code's sorting takes the last.
    best = scores.shape[1] - 1 - scores.flip(1).argmax(dim=1)
    rows = torch.arange(len(scores), device=scores.device)
    return logits[rows, best][:, None], scores[rows, best]


def _segmentation(
    objects: Sequence[ObjectPrompt],
    found: dict[ObjectPrompt, tuple[np.ndarray, float]],
    left: Counter[ObjectPrompt],
    size_wh: tuple[int, int],
) -> Segmentation:
    """Masks and scores of one answer, an array each; a mask that no further answer needs is let go."""
    width, height = size_wh
    masks: Masks = np.empty((len(objects), height, width), dtype=bool)
    scores: Scores = np.empty(len(objects), dtype=np.float64)
    for number, prompt in enumerate(objects):
        masks[number], scores[number] = found[prompt]
        left[prompt] -= 1
        if not left[prompt]:
            del found[prompt]
    return Segmentation(masks, scores)


def _chunks(prompts: Iterable[ObjectPrompt], limit: int) -> Iterator[tuple[ObjectPrompt, ...]]:
    """Distinct prompts in chunks of the same form: with a box or without, and so many points."""
    forms: dict[tuple[bool, int], list[ObjectPrompt]] = {}
    for prompt in dict.fromkeys(prompts):
        forms.setdefault((prompt.box is not None, len(prompt.points)), []).append(prompt)
    for same in forms.values():
        for start in range(0, len(same), limit):
            yield tuple(same[start : start + limit])


def load_segmenter(name: str | Path = loading.POCKET, device: str = "auto", *, chunk: int | None = None) -> Segmenter:
    """Load a segmenter.

    Args:
        name: ``"grabcut"`` (no weights), ``"pocket"`` (falls back to GrabCut where the pocket has none), a checkpoint
            folder, a hub id such as ``"facebook/sam2.1-hiera-large"``, or one of your own by reference, such as
            ``"my_segmenter.py:MySegmenter"``: see `models.base.Segmenter`.
        device: ``"auto"`` (a GPU if there is one), or a torch device.
        chunk: prompts decoded at once; None for a number that suits the device.

    Raises:
        CheckpointError: the folder is missing or incomplete, the hub cannot be reached, or the kind is not known.
        InputError: the code that a reference names is not there, or breaks the contract.
    """
    if is_reference(name):
        return check_segmenter(import_reference(str(name)), str(name), str(loading.torch_device(device)))
    if str(name) == GRABCUT:
        return GrabCutSegmenter()
    if str(name) == loading.POCKET and loading.pocket_folder("segmenter") is None:
        _log.warning("the installed thinkseg-pocket has no segmenter, so GrabCut is used in its place")
        return GrabCutSegmenter()
    target = loading.torch_device(device)
    source = loading.locate(name, "segmenter")
    check_folder(source)
    with loading.explained(source):
        model_class, processor_class = _classes(source)
        processor = processor_class.from_pretrained(source)
        # float32: coordinates up to 1024 would lose whole pixels in a 16-bit prompt encoder.
        model = loading.load_weights(model_class, source, dtype=torch.float32)
    return PromptableSegmenter(model.to(target).eval(), processor, chunk=chunk)


def _classes(source: str) -> tuple[Any, Any]:
    """Model and processor class of a checkpoint, by its `model_type`."""
    import transformers

    kind = loading.model_type(source)
    if kind not in MODEL_CLASSES:
        raise CheckpointError(
            f"'{source}' is a {kind!r}, and a segmenter is one of {', '.join(MODEL_CLASSES)}; name another one, or "
            f"'{GRABCUT}', which needs no weights"
        )
    if kind.startswith("edgetam"):
        loading.spare_edgetam_the_hub()
    model_class, processor_class = MODEL_CLASSES[kind]
    return getattr(transformers, model_class), getattr(transformers, processor_class)
