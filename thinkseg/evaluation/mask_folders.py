"""Masks made by any system, measured as an evaluation measures its own: pairs of arrays or files, and whole folders."""

import math
import multiprocessing
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from PIL import Image

from thinkseg.errors import ImageError, InputError
from thinkseg.evaluation.measures.base import ExtraMetric
from thinkseg.evaluation.measures.groups import SALIENCY_MEASURES
from thinkseg.evaluation.measures.pairs import score_pair
from thinkseg.evaluation.measures.registry import extra_metrics, get_measure, measure
from thinkseg.evaluation.records import PredictionRecord
from thinkseg.imaging import find_images, load_map, load_mask
from thinkseg.metrics.saliency import SoftMask
from thinkseg.results.files import result_masks
from thinkseg.types import Mask

PAIR_MEASURES = (*SALIENCY_MEASURES, "giou", "ciou")
"""What is measured where nothing else is asked for: all that masks alone have, but for HCE, which takes its time."""
NAMED = 10
"""So many missing predictions are named, further ones counted."""
CHUNK = 16
"""Pairs that a process takes at a time."""

Pair = tuple[Path, Path]
"""The files of a prediction and of its target."""
Counted = Callable[[int], None]
"""Told of so many more pairs that are done."""


@dataclass(frozen=True, slots=True)
class FolderScores:
    """What was measured of two folders of masks."""

    values: Mapping[str, float]
    """By the name of the measure, in the order that was asked for; not a number where no pair can speak to it."""
    count: int
    """How many pairs were measured."""
    left_out: Sequence[str] = ()
    """Why targets could not be read, a sentence for each that names its file. They are in no number."""

    def to_json(self) -> dict[str, object]:
        """The numbers as plain values, None in the place of what is not a number; what was left out where there is."""
        numbers = {name: None if math.isnan(value) else value for name, value in self.values.items()}
        left_out = {"left_out": list(self.left_out)} if self.left_out else {}
        return {"count": self.count, "metrics": numbers, **left_out}


def check_names(names: Iterable[str]) -> None:
    """Make sure that masks alone are enough for the named measures.

    Raises:
        InputError: there is no such measure, or it asks for what a model wrote.
    """
    for name in names:
        if not get_measure(name).from_masks:
            raise InputError(
                f"'{name}' asks what a model wrote, which masks do not say: take it with 'thinkseg evaluate', or leave "
                "it out here"
            )


def values_of(records: Sequence[PredictionRecord], names: Sequence[str]) -> dict[str, float]:
    """The named measures of records; not a number where no record can speak to one."""
    found = measure(records, names)
    return {name: found[name].value if name in found else math.nan for name in names}


def find_pairs(predictions: Path, targets: Path) -> list[Pair]:
    """Predictions and targets of the same name without suffix, in the order of the names.

    In a folder that ``thinkseg segment`` has written, the masks are ``NAME.mask.png``, and called NAME.

    Raises:
        ImageError: a folder is missing or without targets, or a target has no prediction.
    """
    found, wanted = _masks_in(predictions), _masks_in(targets)
    missing = [stem for stem in wanted if stem not in found]
    if missing:
        named = ", ".join(f"'{wanted[stem].name}'" for stem in missing[:NAMED])
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        raise ImageError(
            f"'{predictions}' has no prediction for {len(missing)} of {len(wanted)} targets in '{targets}': "
            f"{named}{more}"
        )
    if not wanted:
        raise ImageError(f"there are no masks in '{targets}'")
    return [(found[stem], wanted[stem]) for stem in wanted]


def _masks_in(folder: Path) -> Mapping[str, Path]:
    """Masks by their names: of results, where there are some, else every image."""
    return result_masks(folder) or find_images(folder)


def score_files(
    pairs: Sequence[Pair],
    names: Sequence[str],
    *,
    resize: bool = False,
    processes: int | None = None,
    counted: Counted | None = None,
    chunk: int = CHUNK,
) -> list[PredictionRecord | str]:
    """The records of all pairs, in order, made by several processes; in place of one why its target cannot be read.

    Args:
        pairs: files.
        names: of the measures that will be taken of them.
        resize: whether a prediction of another size is brought to the target's; else it is an error.
        processes: that share the work; None for one per core, 1 for none beside this one.
        counted: told of every chunk.
        chunk: pairs that a process takes at a time.

    Raises:
        ImageError: a prediction cannot be read, or a pair differs in size and is not to be resized.
    """
    chunks = [pairs[start : start + chunk] for start in range(0, len(pairs), chunk)]
    work = partial(_score_chunk, names=tuple(names), resize=resize)
    processes = min(processes or os.cpu_count() or 1, len(chunks))
    records: list[PredictionRecord | str] = []

    def collect(parts: Iterable[list[PredictionRecord | str]]) -> None:
        for part in parts:
            records.extend(part)
            if counted is not None:
                counted(len(part))

    if processes <= 1:
        collect(map(work, chunks))
    else:
        with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
            collect(pool.map(work, chunks))
    return records


def _score_chunk(pairs: Sequence[Pair], names: Sequence[str], resize: bool) -> list[PredictionRecord | str]:
    extra = extra_metrics(names)
    return [_score_files(*pair, resize=resize, extra=extra) for pair in pairs]


def _score_files(
    prediction: Path, target_path: Path, *, resize: bool, extra: Mapping[str, ExtraMetric]
) -> PredictionRecord | str:
    try:
        target = load_mask(target_path)
    except ImageError as error:
        return str(error)
    pred = load_map(prediction)
    if pred.shape != target.shape:
        if not resize:
            raise ImageError(
                f"'{prediction}' has {pred.shape[1]}×{pred.shape[0]} pixels and its target '{target_path}' "
                f"{target.shape[1]}×{target.shape[0]}: make them equal, or ask with --resize to have it done"
            )
        pred = _resized(pred, target.shape)
    return score_pair(target_path.stem, mask_if_it_is_one(pred), target, extra=extra)


def as_map(source: Path | str | np.ndarray, what: str) -> SoftMask:
    """A mask, or a map of values 0…1, from a file or an array.

    Raises:
        ImageError: the file cannot be read, or the array is neither.
    """
    if isinstance(source, Path | str):
        return mask_if_it_is_one(load_map(source))
    values = np.asarray(source)
    if values.ndim != 2 or not values.size:
        raise ImageError(f"{what} has a height and a width, found an array of shape {values.shape}")
    if values.dtype == np.bool_:
        return values
    if values.dtype.kind not in "fiu":
        raise ImageError(f"{what} is a boolean mask, or has values from 0 to 1; found an array of {values.dtype}")
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise ImageError(
            f"{what} is a boolean mask, or has values from 0 to 1; found {values.dtype} from {values.min()} to "
            f"{values.max()}: compare or divide it, as in mask > 127 or mask / 255"
        )
    return mask_if_it_is_one(values.astype(np.float64))


def as_mask(source: Path | str | np.ndarray, what: str) -> Mask:
    """A mask from a file or an array.

    Raises:
        ImageError: the file cannot be read, or the array has values between 0 and 1.
    """
    if isinstance(source, Path | str):
        return load_mask(source)
    mask = as_map(source, what)
    if mask.dtype != np.bool_:
        raise ImageError(f"{what} is a mask of two values, found values between 0 and 1: compare it, as in mask > 0.5")
    return mask


def mask_if_it_is_one(values: SoftMask) -> SoftMask:
    """Two values are a mask, which is measured many times quicker than grey ones, and the same."""
    mask = values == 1
    return mask if bool((mask | (values == 0)).all()) else values


def _resized(values: SoftMask, shape_hw: tuple[int, ...]) -> Float64[np.ndarray, "_ _"]:
    """A soft map at another size, bilinearly."""
    image = Image.fromarray(values.astype(np.float32))
    resized = image.resize((shape_hw[1], shape_hw[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float64).clip(0, 1)
