"""`thinkseg.measure` and `thinkseg.measure_folders`: the numbers of masks made by any system."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from thinkseg.arguments import COUNT, FLAG, FUNCTION, NAMES, PATH, TEXT, Kind, optional, takes
from thinkseg.errors import ImageError, InputError, reason_of
from thinkseg.extension import described

if TYPE_CHECKING:
    import numpy as np

    from thinkseg.evaluation.mask_folders import FolderScores


_MASK = PATH | Kind("an array", lambda value: hasattr(value, "dtype") and hasattr(value, "shape"))
_NAMES = optional(TEXT | NAMES)


@takes(pred=_MASK, target=_MASK, ignore=optional(_MASK), measures=_NAMES)
def measure(
    pred: Path | str | np.ndarray,
    target: Path | str | np.ndarray,
    *,
    ignore: Path | str | np.ndarray | None = None,
    measures: Sequence[str] | None = None,
) -> dict[str, float]:
    """Measure one predicted mask against its target, with the numbers that a report has.

    Args:
        pred: a mask, or a map of values 0…1: an array H×W (boolean, or numbers 0…1), or the path of an image.
        target: the true mask, of the same size: an array of two values, or the path of an image.
        ignore: a mask of pixels that count neither way, or None.
        measures: names as in docs/metrics.md, or the user's own by reference (``my_measures.py:NAME``); when None, all
            that masks alone have, but for HCE.

    Returns:
        By name, in the order asked for; not a number where the pair has nothing to say, such as cIoU without any pixel.

    Raises:
        ImageError: a file cannot be read, an array is no mask, or the sizes differ.
        InputError: there is no such measure, or it asks for what a model wrote.

    >>> import numpy as np
    >>> target = np.zeros((64, 64), bool)
    >>> target[16:48, 16:48] = True
    >>> scores = measure(np.roll(target, 8, axis=1), target)
    >>> round(scores["giou"], 2), round(scores["mae"], 3)
    (0.6, 0.125)
    >>> measure(target, target, measures=["giou", "max_f"])
    {'giou': 1.0, 'max_f': 1.0}
    """
    from thinkseg.evaluation.mask_folders import PAIR_MEASURES, as_map, as_mask, check_names, values_of
    from thinkseg.evaluation.measures.pairs import score_pair
    from thinkseg.evaluation.measures.registry import extra_metrics

    names = PAIR_MEASURES if measures is None else (measures,) if isinstance(measures, str) else tuple(measures)
    check_names(names)
    predicted, true = as_map(pred, "the prediction"), as_mask(target, "the target")
    ignored = None if ignore is None else as_mask(ignore, "what is to be ignored")
    for other in (true, ignored):
        if other is not None and other.shape != predicted.shape:
            raise ImageError(
                f"the prediction has {predicted.shape[1]}×{predicted.shape[0]} pixels and what it is held against "
                f"{other.shape[1]}×{other.shape[0]}: make them equal"
            )
    name = str(target) if isinstance(target, Path | str) else "the target"
    record = score_pair(name, predicted, true, ignore=ignored, extra=extra_metrics(names))
    return values_of([record], names)


@takes(
    predictions=PATH,
    targets=PATH,
    measures=_NAMES,
    resize=FLAG,
    processes=optional(COUNT),
    progress=optional(FUNCTION),
)
def measure_folders(
    predictions: Path | str,
    targets: Path | str,
    *,
    measures: Sequence[str] | None = None,
    resize: bool = False,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FolderScores:
    """Measure a folder of predicted masks against a folder of true ones, paired by their names without suffix.

    Args:
        predictions: masks or maps of grey values; those without a target are passed over.
        targets: masks; every one needs its prediction. One that is damaged, or of which it cannot be told what is the
            object, is left out of every number, since nothing is known to compare with, and told in the scores.
        measures: names as in docs/metrics.md, or the user's own by reference; as for `measure` when None.
        resize: whether predictions of another size are brought to that of their target; else they are an error.
        processes: that share the work; None for one per core.
        progress: called with the pairs done and their number in all.

    Returns:
        The values by name, on how many pairs they rest, and which targets were left out.

    Raises:
        ImageError: a folder or file is missing, a prediction or no target at all can be read, a target has no
            prediction, or sizes differ, of which it cannot be told which one is wrong.
        InputError: there is no such measure, it asks for what a model wrote, or `processes` is below 1.

    >>> import tempfile, numpy as np
    >>> from thinkseg.imaging import save_mask
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("a.png", "b.png"):
    ...     save_mask(np.eye(8, dtype=bool), folder / "true" / name)
    >>> scores = measure_folders(folder / "true", folder / "true", measures=["giou", "mae"], processes=1)
    >>> scores.count, dict(scores.values)
    (2, {'giou': 1.0, 'mae': 0.0})
    """
    from thinkseg.evaluation.mask_folders import (
        PAIR_MEASURES,
        FolderScores,
        check_names,
        find_pairs,
        score_files,
        values_of,
    )

    names = PAIR_MEASURES if measures is None else (measures,) if isinstance(measures, str) else tuple(measures)
    check_names(names)
    pairs = find_pairs(Path(predictions), Path(targets))
    done = 0

    def counted(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            try:
                progress(done, len(pairs))
            except Exception as error:
                raise InputError(
                    "'progress' of measure_folders should be a function of two numbers, the pairs done and their "
                    f"number in all; {described(progress)} fails: {reason_of(error)}"
                ) from error

    found = score_files(pairs, names, resize=resize, processes=processes, counted=counted)
    records = [one for one in found if not isinstance(one, str)]
    left_out = [one for one in found if isinstance(one, str)]
    if not records:
        raise ImageError(f"none of the {len(found)} targets in '{targets}' can be read; the first: {left_out[0]}")
    return FolderScores(values_of(records, names), len(records), left_out)
