"""Rows of imitation as prompts and completions, where a prompt is what rows about one image have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Int

from thinkseg.models.sharing.distinct import distinct
from thinkseg.training.shared_prefix.batch import Batch, create_batch
from thinkseg.training.shared_prefix.packing import IGNORED

_IMAGES = ("pixel_values", "image_grid_thw", "pixel_attention_mask", "image_sizes", "mm_token_type_ids", "labels")


def batch_by_image(inputs: Mapping[str, Any], image_token: int | None) -> Batch | None:
    """Cut each row behind what it has in common with the others about its image; it ends before what is learnt.

    Args:
        inputs: a batch as the collator of imitation makes it, with an image in each row; `labels` are -100 where
            nothing is learnt.
        image_token: what stands for a piece of an image; None where that is not known.

    Returns:
        The rows in their order, with `labels` among what belongs to each; None where images are not told by tokens.
    """
    ids, labels = inputs["input_ids"], inputs["labels"]
    kept = [columns.nonzero()[:, 0] for columns in inputs["attention_mask"].bool().cpu()]
    texts = [row[columns].tolist() for row, columns in zip(ids.cpu(), kept, strict=True)]
    learnt = [row[columns] != IGNORED for row, columns in zip(labels.cpu(), kept, strict=True)]
    pieces = [text.count(image_token) for text in texts]
    if image_token is None or not all(pieces) or "pixel_values" not in inputs:
        return None
    fields = _of_rows(inputs, pieces)
    if sum(fields.get("num_tiles", [])) not in (0, len(inputs["pixel_values"])):
        return None  # as many pieces to an image, whatever its size
    rows = create_batch(ids, inputs["attention_mask"], 0, fields).rows
    heads = [tuple(text[: len(text) - text[::-1].index(image_token)]) for text in texts]  # to the end of the image
    owners = distinct(list(rows["pixel_values"]), heads)[1]
    prefixes = _prefixes(texts, [int(mine.long().argmax()) for mine in learnt], owners)
    places, used = _places([columns.tolist() for columns in kept], prefixes)
    places, used = places.to(ids.device), used.to(ids.device)

    def moved(value: Any, blank: int = 0) -> Any:
        by_token = isinstance(value, torch.Tensor) and value.shape == ids.shape
        return value.gather(1, places).masked_fill(~used, blank) if by_token else value

    fields = {name: moved(value, IGNORED if name == "labels" else 0) for name, value in rows.items()}
    return Batch(moved(ids), used.long(), places.shape[1] - max(prefixes), fields)


def _of_rows(inputs: Mapping[str, Any], pieces: Sequence[int]) -> dict[str, Any]:
    """What belongs to each row, as TRL has it in reinforcement; a row has so many pieces of its image."""
    fields = {name: inputs[name] for name in _IMAGES if name in inputs}
    fields["num_images"] = [1] * len(pieces)
    pixels = fields["pixel_values"]
    if "image_grid_thw" not in fields and pixels.ndim == 4:  # squares, as many of them as an image takes
        fields["num_tiles"] = [count * len(pixels) // sum(pieces) for count in pieces]
    return fields


def _prefixes(texts: Sequence[Sequence[int]], first_learnt: Sequence[int], owners: Sequence[int]) -> list[int]:
    """How many tokens each row has in common with the others of its owner."""
    shared = []
    for owner in range(max(owners) + 1):
        mine = [row for row in range(len(texts)) if owners[row] == owner]
        limit = min(first_learnt[row] for row in mine)
        columns = zip(*(texts[row][:limit] for row in mine), strict=True)
        shared.append(next((at for at, tokens in enumerate(columns) if len(set(tokens)) > 1), limit))
    return [shared[owner] for owner in owners]


def _places(
    kept: Sequence[Sequence[int]], prefixes: Sequence[int]
) -> tuple[Int[torch.Tensor, "B T"], Bool[torch.Tensor, "B T"]]:
    """Columns of each row with prefixes padded on the left and the rest on the right, and which of them count."""
    width = max(prefixes)
    rest = max(len(columns) - prefix for columns, prefix in zip(kept, prefixes, strict=True))
    places = torch.zeros(len(kept), width + rest, dtype=torch.long)
    used = torch.zeros(len(kept), width + rest, dtype=torch.bool)
    for row, (columns, prefix) in enumerate(zip(kept, prefixes, strict=True)):
        mine = slice(width - prefix, width - prefix + len(columns))
        places[row, mine] = torch.tensor(columns)
        used[row, mine] = True
    return places, used
