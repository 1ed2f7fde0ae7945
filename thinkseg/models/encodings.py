"""Images that a segmenter has encoded: cut from a batch, put together into one, and kept for as long as there is room.

An encoding is what the decoder is given in an image's place. It is worth keeping where an image comes again: in the
next epoch, in the next validation, or with another query.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from thinkseg.errors import InputError
from thinkseg.types import Size

MEMORY = 4 * 2**30
"""Bytes that encodings may take where nothing is said: of SAM 2's, of 17 MB an image, 250; of the pocket's 1,000."""

Leaves = Literal["last", "longest ago"]
"""Which encodings make room for another one, by when they were asked for."""


@dataclass(frozen=True)
class Encoded:
    """An image that is ready to be prompted."""

    embeddings: Mapping[str, Any]
    """What the model takes in place of pixels, by the names of its arguments: tensors, alone or in lists, whose first
    dimension is a batch of one image."""
    frame: Size
    """Where the image lies in the model's square input: prompts are measured in it."""
    restore: Mapping[str, Any]
    """What `post_process_masks` needs to bring masks back to the image's size."""

    def on(self, device: torch.device | str) -> Encoded:
        """The same on a device."""
        return replace(self, embeddings=mapped(lambda tensor: tensor.to(device), self.embeddings))

    def apart(self) -> Encoded:
        """The same in the CPU's memory, with tensors of its own: a part of a batch would keep all of the batch."""
        return replace(self, embeddings=mapped(_own, self.embeddings))

    @property
    def bytes(self) -> int:
        """The memory that its tensors take."""
        sizes: list[int] = []
        mapped(lambda tensor: sizes.append(tensor.nbytes), self.embeddings)
        return sum(sizes)


def _own(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.clone() if tensor.device.type == "cpu" else tensor.to("cpu")


def mapped(change: Callable[[torch.Tensor], Any], embeddings: Any) -> Any:
    """Tensors, alone or in lists and mappings, each changed; in the same form."""
    if isinstance(embeddings, torch.Tensor):
        return change(embeddings)
    if isinstance(embeddings, Mapping):
        return {name: mapped(change, value) for name, value in embeddings.items()}
    return type(embeddings)(mapped(change, value) for value in embeddings)


def joined(embeddings: Sequence[Any]) -> Any:
    """Embeddings of single images as those of one batch, in order."""
    first = embeddings[0]
    if isinstance(first, torch.Tensor):
        return torch.cat(list(embeddings))
    if isinstance(first, Mapping):
        return {name: joined([one[name] for one in embeddings]) for name in first}
    return type(first)(joined(level) for level in zip(*embeddings, strict=True))


class Encodings:
    """Encodings by the content of their image, as many as a number of bytes holds, in the CPU's memory.

    Where one more would take more, others make room. Of images that come again epoch by epoch, those asked for last are
    needed again latest: of 40 in random order and room for 15, a third is found where the ones that were asked for
    longest ago would leave a fourteenth. What is asked several times in a row is found as well. Of images that people
    send, those asked for last are the ones that come again.

    Args:
        budget: the bytes that they may take together; an encoding that takes more than all of it is not kept.
        leaves: which make room: those asked for "last", or "longest ago".
    """

    def __init__(self, budget: int = MEMORY, leaves: Leaves = "last") -> None:
        if budget < 0:
            raise InputError(f"encodings may take 0 bytes or more, found {budget}")
        self.budget = budget
        self.leaves = leaves
        self.bytes = 0
        self._known: OrderedDict[object, Encoded] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: object) -> Encoded | None:
        """The encoding of an image, None where it is not kept."""
        if key in self._known:
            self._known.move_to_end(key)
        return self._known.get(key)

    def keep(self, key: object, encoded: Encoded) -> None:
        """Keep an encoding that is not kept yet, if there is room for it."""
        if key in self._known or encoded.bytes > self.budget:
            return
        while self.bytes + encoded.bytes > self.budget:
            _, left = self._known.popitem(last=self.leaves == "last")
            self.bytes -= left.bytes
        self._known[key] = encoded.apart()
        self.bytes += encoded.bytes


def keep_positions(model: Any) -> None:
    """Let a vision tower compute what says where a feature lies once for a size, instead of once for each image.

    The neck of SAM 2's kin makes sines and cosines for every level of every image: for the pocket's segmenter a quarter
    of the work of encoding. Transformers keeps those of one level, which the next one replaces.

    Args:
        model: of any kind; one that has no such neck stays as it is.
    """
    positions = getattr(getattr(getattr(model, "vision_encoder", None), "neck", None), "position_encoding", None)
    if positions is None or isinstance(positions.forward, _KeptPositions):
        return
    positions.forward = _KeptPositions(positions.forward)


class _KeptPositions:
    """Encoded positions by their size, as they are computed for one image."""

    def __init__(self, compute: Callable[..., torch.Tensor]) -> None:
        self._compute = compute
        self._known: dict[tuple[object, ...], torch.Tensor] = {}

    def __call__(self, shape: Sequence[int], device: Any, dtype: torch.dtype, mask: Any = None) -> torch.Tensor:
        """As the module's own; (images, channels, height, width)."""
        if mask is not None:
            return self._compute(shape, device, dtype, mask)
        images, *size = shape
        key = (*size, str(device), dtype)
        if key not in self._known:
            with torch.inference_mode(False), torch.no_grad():
                self._known[key] = self._compute(torch.Size((1, *size)), device, dtype)
        return self._known[key].expand(images, -1, -1, -1)
