"""The segmenter: a promptable model of the SAM line, which turns the boxes and points of an answer into masks.

>>> segmenter = load_segmenter("facebook/sam2.1-hiera-large", device="cuda")  # doctest: +SKIP
>>> masks = segmenter.segment(image, [answer])[0].masks                       # doctest: +SKIP

An image is encoded once, however many answers are about it, and equal prompts are decoded once: when a group of
completions is scored, most of the work is shared. Several images are encoded in batches, and their prompts are decoded
together. Prompts are decoded in chunks of the same form, so that none is padded: a padding token still takes part in
the decoder's attention, and a mask would depend on its neighbours.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from thinkseg.errors import CheckpointError, ImageError, InputError
from thinkseg.extension import import_reference, is_reference
from thinkseg.imaging import content_key
from thinkseg.models import loading
from thinkseg.models.asked import Asked, by_image, chunks, nothing
from thinkseg.models.base import Segmenter
from thinkseg.models.checking import check_segmenter
from thinkseg.models.checkpoint_config import GRABCUT, EncoderKind
from thinkseg.models.encoders import COMPILER, Embed, encoder_of
from thinkseg.models.encodings import MEMORY, Encoded, Encodings, Leaves, joined, keep_positions, mapped
from thinkseg.models.engines.served_segmenter import load_served_segmenter
from thinkseg.models.engines.service import is_address
from thinkseg.models.folders import check_folder
from thinkseg.models.grabcut import GrabCutSegmenter
from thinkseg.models.layout import channels_last
from thinkseg.stopwatch import timed
from thinkseg.types import Answer, ObjectPrompt, Segmentation, Size

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
# Of the pocket's segmenter on a CPU: batches of two and of four are as fast, and twelve are no faster than one.
_CPU_BATCH = 4
_GPU_BATCH = 8
_AT_ONCE = 16
"""Images whose encodings wait for their prompts together: of SAM 2 270 MB."""
_UPSAMPLED_PIXELS = 64 * 2**20
"""256 MB of logits."""

MOST_PIXELS = 4_000_000_000
"""Of all masks of an image together: a byte each, 4 GB, as 333 objects in a photograph of 12 megapixels have."""

_log = logging.getLogger(__name__)


class PromptableSegmenter:
    """A `Segmenter` on `Sam2Model`, `EdgeTamModel`, `Sam3TrackerModel`, `SamModel` or `SamHQModel`.

    Args:
        model: the model in float32 and in evaluation mode, on its device.
        processor: its processor, which knows the size of the model's input.
        chunk: how many prompts are decoded at once; None for a number that suits the device.
        batch: how many images are encoded at once; None for a number that suits the device.
        upsampled_pixels: how many logits may be brought to the image's size at once.
        most_pixels: how many the masks of an image may have together, a byte each; more are refused.
        best_of_three: whether the model makes three masks of a prompt and the one of the highest score is taken, the
            last of equal ones. False takes its single mask.

    Attributes:
        encode_count: how many images have been encoded so far.
        encoder: how it computes encodings; see `encoding_in`.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        chunk: int | None = None,
        batch: int | None = None,
        upsampled_pixels: int = _UPSAMPLED_PIXELS,
        most_pixels: int = MOST_PIXELS,
        best_of_three: bool = False,
    ) -> None:
        if chunk is not None and chunk < 1:
            raise InputError(f"a chunk holds at least 1 prompt, found {chunk}")
        if batch is not None and batch < 1:
            raise InputError(f"a batch holds at least 1 image, found {batch}")
        self.model = model
        self.processor = processor
        on_cpu = self.device.type == "cpu"
        self.chunk = chunk or (_CPU_CHUNK if on_cpu else _GPU_CHUNK)
        self.batch = batch or (_CPU_BATCH if on_cpu else _GPU_BATCH)
        self._upsampled_pixels = upsampled_pixels
        self.most_pixels = most_pixels
        self.best_of_three = best_of_three
        self.encode_count = 0
        self._known: Encodings | None = None
        self.encoder: EncoderKind = "float32"
        self._embed: Embed = encoder_of(model, self.encoder)
        keep_positions(model)

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
            says, cut to 0…1. One that remembers encodings decodes each answer on its own: its masks do not depend on
            which answers came together.

        Raises:
            ImageError: the masks would have more pixels than `most_pixels`.
        """
        if self._known is None:
            return self.segment_images([(image, answers)])[0]
        self._refuse_too_many(answers, image)
        return [own for (own,) in self._segment([(image, [answer]) for answer in answers], apart=True)]

    def segment_images(self, asked: Sequence[tuple[Image.Image, Sequence[Answer]]]) -> list[list[Segmentation]]:
        """The masks of answers about several images, which are encoded in batches; their prompts are decoded together.

        Args:
            asked: images, RGB of any sizes, each with the answers about it.

        Returns:
            For each image what `segment` gives. A logit may differ from its there in the last digits, since kernels add
            up in another order for another number of rows: with float32 by a hundred-thousandth of the largest one at
            most, so that a pixel of a mask differs only where its logit is that close to 0.

        Raises:
            ImageError: the masks of an image would have more pixels than `most_pixels`.
        """
        for image, answers in asked:
            self._refuse_too_many(answers, image)
        found: list[list[Segmentation]] = []
        for start in range(0, len(asked), _AT_ONCE):
            found += self._segment(asked[start : start + _AT_ONCE])
        return found

    def _segment(
        self, asked: Sequence[tuple[Image.Image, Sequence[Answer]]], *, apart: bool = False
    ) -> list[list[Segmentation]]:
        """As `segment_images`, for as many images as may wait together; their prompts decoded apart if wanted."""
        with torch.inference_mode():
            shown = [image for image, answers in asked if any(answer.objects for answer in answers)]
            encoded = iter(self._encoded(shown))
            prepared: list[Asked | None] = []
            for image, answers in asked:
                if not any(answer.objects for answer in answers):
                    prepared.append(None)
                    continue
                own = next(encoded)
                prepared.append(Asked(image, [answer.rescaled(own.frame).objects for answer in answers], own, {}))
            with timed("segmenter, decoding"):
                known = [each for each in prepared if each is not None]
                for together in [[each] for each in known] if apart else [known]:
                    self._decode(together)
        return [
            [nothing(image) for _ in answers] if own is None else own.segmentations()
            for (image, answers), own in zip(asked, prepared, strict=True)
        ]

    def remembering(self, memory: int = MEMORY, leaves: Leaves = "last") -> PromptableSegmenter:
        """The same model, which keeps what it has encoded: an image of the same content is not encoded again.

        It is for images that come again. They are encoded one by one, `segment` decodes each answer on its own, and
        encodings wait in the CPU's memory: of SAM 2 17 MB an image.

        Args:
            memory: the bytes that encodings may take together; see `Encodings`.
            leaves: which of them make room for another one.
        """
        other = copy.copy(self)
        other.encode_count, other._known = 0, Encodings(memory, leaves)
        return other

    def encoding_in(self, kind: EncoderKind, compiler: str = COMPILER) -> PromptableSegmenter:
        """The same model, whose encoder computes in another way; encodings that are kept are not shared.

        Args:
            kind: ``"float32"``, ``"bfloat16"`` (for GPUs: masks differ in a few pixels), ``"compiled"``, by
                `torch.compile`, or ``"compiled bfloat16"``.
            compiler: a backend of `torch.compile`.

        Raises:
            InputError: there is no such kind, the device has no bfloat16, or nothing compiles here.
        """
        other = copy.copy(self)
        other.encoder, other._embed = kind, encoder_of(self.model, kind, compiler)
        if self._known is not None:
            other.encode_count, other._known = 0, Encodings(self._known.budget, self._known.leaves)
        return other

    def _refuse_too_many(self, answers: Sequence[Answer], image: Image.Image) -> None:
        count = sum(len(answer.objects) for answer in answers)
        if count * image.width * image.height > self.most_pixels:
            raise ImageError(
                f"the masks of {count} objects in an image of {image.width}×{image.height} would take "
                f"{count * image.width * image.height / 1e9:.1f} GB, more than {self.most_pixels / 1e9:g}: make the "
                "image smaller"
            )

    def _encoded(self, images: Sequence[Image.Image]) -> list[Encoded]:
        """Encodings of images, in order; what is kept is not made again."""
        for image in images:
            if image.mode != "RGB":
                raise InputError(f"the segmenter takes RGB images, found mode {image.mode!r}")
        known = self._known
        if known is None:
            return self._encode(images, self.batch)
        key_of = {number: content_key(image) for number, image in {id(image): image for image in images}.items()}
        keys = [key_of[id(image)] for image in images]
        found = {key: kept.on(self.device) for key in key_of.values() if (kept := known.get(key)) is not None}
        missing = {key: image for key, image in zip(keys, images, strict=True) if key not in found}
        # One by one: what is kept must not depend on what it was encoded beside, or a run could not go on the same.
        for key, encoded in zip(missing, self._encode(list(missing.values()), batch=1), strict=True):
            found[key] = encoded
            known.keep(key, encoded)
        return [found[key] for key in keys]

    def _encode(self, images: Sequence[Image.Image], batch: int) -> list[Encoded]:
        """Encodings of images, in order, made in batches."""
        encoded: list[Encoded] = []
        for start in range(0, len(images), batch):
            with timed("segmenter, encoding"):
                encoded += self._encode_batch(images[start : start + batch])
        return encoded

    def _encode_batch(self, images: Sequence[Image.Image]) -> list[Encoded]:
        inputs = [self.processor(images=image, return_tensors="pt") for image in images]
        self.encode_count += len(images)
        pixels = torch.cat([each["pixel_values"] for each in inputs]).to(self.device, dtype=self.model.dtype)
        embeddings = self._embed(channels_last(pixels))
        named = {"image_embeddings": embeddings}
        if isinstance(embeddings, tuple):  # SAM-HQ: the tower's early features besides its last ones
            named = dict(zip(("image_embeddings", "intermediate_embeddings"), embeddings, strict=True))
        encoded = []
        for row, each in enumerate(inputs):
            restore = {key: each[key] for key in ("original_sizes", "reshaped_input_sizes") if key in each}
            # SAM keeps the image's shape and pads the rest of the square; its successors stretch it over the square.
            height, width = (
                restore["reshaped_input_sizes"][0].tolist() if "reshaped_input_sizes" in restore else pixels.shape[-2:]
            )
            own = mapped(partial(_row, number=row), named)
            encoded.append(Encoded(own, Size(width, height), restore))
        return encoded

    def _decode(self, asked: Sequence[Asked]) -> None:
        """Find a mask and its score for every distinct prompt."""
        prompts = ((each, prompt) for each in asked for prompt in each.prompts)
        for chunk in chunks(prompts, self.chunk, self._upsampled_pixels):
            asked_of = by_image(chunk)
            outputs = self.model(**self._inputs(asked_of), multimask_output=self.best_of_three)
            logits, estimates = _best(
                outputs.pred_masks.flatten(0, 1).float(), outputs.iou_scores.flatten(0, 1).float()
            )
            # The IoU head of SAM and SAM-HQ has no sigmoid, so that its estimates can leave 0…1.
            scores = iter(estimates.clamp(0, 1).tolist())
            rows = iter(torch.split(logits, [len(own) for _, own in asked_of]))
            for (each, own), of_image in zip(asked_of, rows, strict=True):
                restored = self.processor.post_process_masks([of_image], **each.encoded.restore)[0][:, 0].cpu().numpy()
                each.found.update((prompt, (mask, next(scores))) for prompt, mask in zip(own, restored, strict=True))

    def _inputs(self, asked_of: Sequence[tuple[Asked, Sequence[ObjectPrompt]]]) -> dict[str, Any]:
        """Prompts of one form with the embeddings of their images, as the model wants them.

        Prompts about one image are a batch of that image with several objects; those about several images are a batch
        of an image each, with one object.
        """
        prompts = [prompt for _, own in asked_of for prompt in own]
        if len(asked_of) == 1:
            return {**asked_of[0][0].encoded.embeddings, **self._tensors(prompts)}
        shown = joined([each.encoded.embeddings for each, own in asked_of for _ in own])
        return {**shown, **{name: tensor.transpose(0, 1) for name, tensor in self._tensors(prompts).items()}}

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


def _row(tensor: torch.Tensor, number: int) -> torch.Tensor:
    """A batch of one: the part of a batch that is one image's."""
    return tensor[number : number + 1]


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


def load_segmenter(name: str | Path = loading.POCKET, device: str = "auto", *, chunk: int | None = None) -> Segmenter:
    """Load a segmenter.

    Args:
        name: ``"grabcut"`` (no weights), ``"pocket"`` (falls back to GrabCut where the pocket has none), a checkpoint
            folder, a hub id such as ``"facebook/sam2.1-hiera-large"``, one of your own by reference, such as
            ``"my_segmenter.py:MySegmenter"`` (see `models.base.Segmenter`), or the address of a ThinkSeg service, such
            as ``"http://127.0.0.1:8000"``, whose segmenter is asked.
        device: ``"auto"`` (a GPU if there is one), or a torch device.
        chunk: prompts decoded at once; None for a number that suits the device.

    Raises:
        CheckpointError: the folder is missing or incomplete, the hub cannot be reached, or the kind is not known.
        InputError: the code that a reference names is not there, or breaks the contract; or no service answers at an
            address.
    """
    if is_address(str(name)):
        return load_served_segmenter(str(name))
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
