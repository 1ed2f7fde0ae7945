"""Predictions as images on disk: the masks for other tools, the overlays for the eye.

Both come from the records, so that they can be written for a finished run without asking a model again.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from thinkseg.drawing import overlay
from thinkseg.evaluation.records import PredictionRecord
from thinkseg.evaluation.reporting.images import image_or_blank
from thinkseg.imaging import save_mask
from thinkseg.types import Sample

LONGEST = 120
"""Characters of a name, without its ending; file systems differ, and this suits all."""
RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})
"""Names that Windows keeps for its devices."""


def safe_names(ids: Sequence[str]) -> list[str]:
    """A file name without ending for each sample, no two alike on any file system.

    An id that is a good name stays as it is. In others what cannot stand in a file name becomes ``_``, and eight digits
    of the id's hash keep them apart.
    """
    folded = Counter(map(_folded, ids))
    return [name if _is_good(name) and folded[_folded(name)] == 1 else _made_safe(name) for name in ids]


def _folded(name: str) -> str:
    """Equal for names that some file system takes for the same: by letter case, or by how accents are written."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _is_good(name: str) -> bool:
    return (
        0 < len(name.encode()) <= LONGEST
        and re.search(r'[\x00-\x1f\x7f<>:"/\\|?*]', name) is None
        and not name.startswith((".", " ", "-"))
        and not name.endswith((".", " "))
        and name.isprintable()
        and name.partition(".")[0].lower() not in RESERVED
    )


def _made_safe(name: str) -> str:
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    kept = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[: LONGEST - 9].strip("_-") or "sample"
    return f"{kept}-{digest}"


def save_masks(folder: Path, records: Sequence[PredictionRecord]) -> Iterator[Path]:
    """Write ``NAME.png`` for every prediction, 255 on the object, at the image's size, and tell each path."""
    yield from _save(folder, records, lambda _, record, path: save_mask(record.mask, path))


def save_overlays(folder: Path, records: Sequence[PredictionRecord], samples: Sequence[Sample]) -> Iterator[Path]:
    """Write ``NAME.png`` for every prediction: the image with its mask, boxes and points; tell each path.

    Args:
        folder: made if it is not there.
        records: of a run.
        samples: in the order of the records; each is asked for once, when its turn comes.
    """

    def draw(index: int, record: PredictionRecord, path: Path) -> None:
        overlay(image_or_blank(samples[index], record), record.mask, record.answer).save(path)

    yield from _save(folder, records, draw)


def _save(
    folder: Path, records: Sequence[PredictionRecord], write: Callable[[int, PredictionRecord, Path], object]
) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for index, (record, name) in enumerate(zip(records, safe_names([one.id for one in records]), strict=True)):
        if record.failure is not None and record.failure.of_truth:
            continue  # nothing was predicted
        path = folder / f"{name}.png"
        write(index, record, path)
        yield path
