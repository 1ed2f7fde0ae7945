"""Which samples a report shows, and how: chosen by rank and by lot, never by hand.

Images are drawn small, compressed, and written into the page as data.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from thinkseg.drawing import overlay
from thinkseg.evaluation.records import PredictionRecord
from thinkseg.evaluation.reporting.images import image_or_blank
from thinkseg.evaluation.run import Run
from thinkseg.types import Sample

SHOWN_SIDE = 360
"""Longest side of an image in the page, in pixels."""

UNCHANGED = "unchanged"
"""In place of the largest or the smallest gain or loss, where that is none."""


@dataclass(frozen=True, slots=True)
class GalleryItem:
    """One sample to show, and why this one."""

    index: int
    """Its place among the records."""
    reason: str


def choose_items(
    before: Sequence[PredictionRecord] | None, after: Sequence[PredictionRecord], seed: int = 0
) -> list[GalleryItem]:
    """For each task the extremes, the median, and one drawn at random.

    With a run before, samples are ranked by their change: the two largest gains, the median, the two largest losses; of
    a single run the best, the median, the worst. What is ranked is the IoU, or the count where there
    is no mask. No sample is shown twice.
    """
    scores = np.array([record.quality for record in after])
    shown = [index for index, record in enumerate(after) if record.failure is None or not record.failure.of_truth]
    if before is not None:
        scores = scores - np.array([record.quality for record in before])
    rng = np.random.default_rng(seed)
    items: list[GalleryItem] = []
    for task in dict.fromkeys(after[index].task for index in shown):
        members = np.array([index for index in shown if after[index].task == task])
        ranked = members[np.argsort(scores[members], kind="stable")]
        best, worst = ("best", "worst") if before is None else _words(scores[ranked[-1]], scores[ranked[0]])
        wanted = [(ranked[-1], best), (ranked[len(ranked) // 2], "median"), (ranked[0], worst)]
        if before is not None:
            wanted.insert(1, (ranked[-2:][0], f"second {best}"))
            wanted.append((ranked[:2][-1], f"second {worst}"))
        wanted.append((rng.permutation(members)[0], "drawn at random"))
        taken: dict[int, GalleryItem] = {}
        for index, reason in wanted:
            is_change = reason.endswith(("gain", "loss"))
            taken.setdefault(
                int(index), GalleryItem(int(index), reason if scores[index] or not is_change else UNCHANGED)
            )
        items += taken.values()
    return items


def _words(best: float, worst: float) -> tuple[str, str]:
    return "largest gain" if best > 0 else "smallest loss", "largest loss" if worst < 0 else "smallest gain"


def render_gallery(runs: Sequence[Run], samples: Sequence[Sample], seed: int = 0) -> list[dict[str, Any]]:
    """The chosen samples of each task, as the pages' template wants them.

    Args:
        runs: one, or several over the same samples; the last one is ranked, or its change to the first.
        samples: in the order of the records; only those that are shown are asked for.
        seed: of what is drawn at random.
    """
    first, last = runs[0].records, runs[-1].records
    tasks: dict[str, list[dict[str, Any]]] = {}
    for item in choose_items(first if len(runs) > 1 else None, last, seed):
        views = [(run.name, run.records[item.index]) for run in runs]
        tasks.setdefault(last[item.index].task, []).append(render_item(item, samples[item.index], views))
    return [{"name": name, "cases": shown} for name, shown in tasks.items()]


def render_item(item: GalleryItem, sample: Sample, views: Sequence[tuple[str, PredictionRecord]]) -> dict[str, Any]:
    """An item as the page's template wants it: the target first, then what each run made of it.

    Args:
        item: which sample, and why.
        sample: its image and target.
        views: the name of each run with its record of this sample; with two, the last is compared to the first.
    """
    image = image_or_blank(sample, views[0][1])
    target = {
        "name": "asked for",
        "note": _truth_in_words(sample),
        "alt": f"the true mask of: {sample.query}",
        "text": None,
        "failed": "",
        **_image(overlay(image, sample.target)),
    }
    change = views[-1][1].quality - views[0][1].quality
    return {
        "reason": item.reason,
        "query": sample.query,
        "change": f"{change:+.3f}" if len(views) > 1 else "",
        "kind": "risen" if change > 0 else "fallen" if change < 0 else "",
        "views": [target, *(_view(name, record, image) for name, record in views)],
    }


def _truth_in_words(sample: Sample) -> str:
    if sample.target is None:
        there = sample.count if sample.boxes is None else sum(not true.crowd for true in sample.boxes)
        return f"the true number: {there}"
    return "the true mask" if sample.target.any() else "nothing is there"


def _view(name: str, record: PredictionRecord, image: Image.Image) -> dict[str, Any]:
    """One run's boxes, points, mask and words."""
    return {
        "name": name,
        "note": record.outcome + (", says nothing is there" if record.abstained else ""),
        "alt": f"the prediction {name}, {record.outcome}",
        "text": record.text,
        "failed": record.failure_detail or (record.failure.sentence if record.failure is not None else ""),
        **_image(overlay(image, record.mask, record.answer)),
    }


def _image(image: Image.Image) -> dict[str, Any]:
    image = image.copy()
    image.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.LANCZOS)
    return {"image": data_uri(image), "width": image.width, "height": image.height}


def data_uri(image: Image.Image, quality: int = 82) -> str:
    """The image as a ``data:`` address, in WebP."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
