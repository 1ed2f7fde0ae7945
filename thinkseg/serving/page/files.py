"""The files of a scene that its visitor may keep, named after the image."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from thinkseg.data.writers.coco import write_coco
from thinkseg.data.writers.written import WriteOptions
from thinkseg.results.files import INDEX, MASK, OVERLAY, RECORD
from thinkseg.results.result import Result
from thinkseg.serving.page.viewer import SHOWN_SIDE
from thinkseg.types import Answer, Prediction, Sample
from thinkseg.writing import json_text

CUTOUT, COCO, SHOWN = ".cutout.png", ".coco.json", ".shown.webp"

LABELS = {
    MASK: "Mask",
    CUTOUT: "Cut-out",
    OVERLAY: "Overlay",
    INDEX: "Numbered",
    RECORD: "JSON",
    COCO: "COCO",
}
"""What each file is called on the page, by what its name ends in."""


def write_shown(image: Image.Image, folder: Path, stem: str) -> Path:
    """Write the image as the page shows it.

    Args:
        image: RGB.
        folder: made if it is not there.
        stem: the image's name without suffix.
    """
    smaller = image.copy()
    smaller.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}{SHOWN}"
    smaller.save(path, "WEBP", quality=92, method=2)
    return path


def write_files(results: Sequence[Result], source: Path, folder: Path) -> list[tuple[str, Path]]:
    """Write what was found: the mask, a cut-out with transparency, the overlay, the numbered objects, JSON, COCO.

    Args:
        results: the answers about one image, at least one. The JSON of several is ``{"image", "answers"}``, a record
            each.
        source: the image.
        folder: into which they are written.

    Returns:
        Each with what it is called on the page.
    """
    whole = joined(results)
    written = whole.save(folder, index=True)
    stem = written[-1].name.removesuffix(RECORD)
    whole.cutout().save(folder / f"{stem}{CUTOUT}")
    if len(results) > 1:
        answers = {"image": whole.source, "answers": [result.to_record() for result in results]}
        (folder / f"{stem}{RECORD}").write_text(json_text(answers, indent=2) + "\n", encoding="utf-8")
    _write_coco(results, source, folder / f"{stem}{COCO}")
    return [(label, folder / f"{stem}{ending}") for ending, label in LABELS.items()]


def joined(results: Sequence[Result]) -> Result:
    """All objects of several answers about one image as one result, in their order.

    Its query is theirs with semicolons between them; there is no thinking of several.
    """
    if len(results) == 1:
        return results[0]
    last = results[-1]
    answers = [result.answer.rescaled(last.size) for result in results if result.answer is not None]
    scores = [result.scores for result in results if result.answer is not None and result.found]
    known = [each for each in scores if each is not None]
    prediction = Prediction(
        last.prediction.sample_id,
        last.prediction.completion,
        Answer(last.size, tuple(prompt for answer in answers for prompt in answer.objects)),
        np.concatenate([result.masks for result in results]),
        scores=np.concatenate(known) if known and len(known) == len(scores) else None,
    )
    return Result(last.image, "; ".join(result.query for result in results), prediction, last.source, last.model)


def _write_coco(results: Sequence[Result], source: Path, path: Path) -> None:
    """Write the objects as COCO instances, a category for each query; the image is named and not copied."""
    samples = [
        Sample(str(number), source, result.query, result.mask, instances=result.masks)
        for number, result in enumerate(results)
    ]
    with tempfile.TemporaryDirectory(dir=path.parent) as name:
        written = write_coco(samples, Path(name) / "coco", WriteOptions(copy_images=False))
        path.write_bytes(written.main.read_bytes())
