"""What a page shows of a prediction: an image, a verdict, the thinking, a table of objects, and files to keep.

Nothing here knows of the web's packages, so that all of it can be used and tested without them. Every text that comes
from a model, an image or a user is escaped before it becomes part of a page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from thinkseg import results
from thinkseg.drawing import COLOURS, overlay
from thinkseg.errors import InputError
from thinkseg.imaging import load_image, resize_mask
from thinkseg.types import Failure, Mask, Prediction, Size

if TYPE_CHECKING:
    from thinkseg.models.pipeline import Pipeline

SHOWN_SIDE = 1600
"""Longest side, in pixels, of the image on the page; files have the original size."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the parts of the page show; texts named `html` are escaped."""

    image: Image.Image | None
    """Masks, boxes and points over the image; None when there is none."""
    verdict_html: str
    thinking: str = ""
    table_html: str = ""
    text: str = ""
    """What the model wrote, word by word."""
    mask: Path | None = None
    """The union of the masks, as a PNG."""
    index: Path | None = None
    """The numbered objects, as a PNG."""
    record: Path | None = None
    """All of it, as JSON."""


def show_answer(
    pipeline: Pipeline, source: Path | str | None, query: str, folder: Path, model: Mapping[str, Any] | None = None
) -> Shown:
    """Answer a request, write its files into a folder, and say what the page shows.

    What the user gave and what the model wrote cannot make this raise: what is wrong with it is what is shown.

    Args:
        pipeline: the models.
        source: the image's file; None when none was chosen.
        query: what to look for.
        folder: for the files; made if it is not there.
        model: what the record says about the models.
    """
    if source is None:
        return show_error("choose an image first: upload one, or take an example")
    if not query.strip():
        return show_error("the query is empty: say in words what to look for")
    try:
        image = load_image(source)
        prediction = pipeline.segment(image, query)
    except InputError as error:
        # Where an upload lies on the server is nobody's business.
        return show_error(str(error).replace(str(source), Path(source).name))
    record = {**results.record_from_prediction(prediction, query), **({"model": dict(model)} if model else {})}
    stem = folder / "thinkseg"
    results.write_result(stem, record, lambda: image, index=True)
    return Shown(
        image=_drawn(image, prediction),
        verdict_html=_verdict(record),
        thinking=(record["thinking"] or "").strip(),
        table_html=_table(record),
        text=record["completion"]["text"],
        mask=results.with_ending(stem, results.MASK),
        index=results.with_ending(stem, results.INDEX),
        record=results.with_ending(stem, results.RECORD),
    )


def show_error(sentence: str) -> Shown:
    """What the page shows when there is no result."""
    return Shown(None, _card("error", "That did not work", sentence))


def _drawn(image: Image.Image, prediction: Prediction) -> Image.Image:
    """The overlay, drawn at the size of the page."""
    shown = image.copy()
    shown.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    size = Size(*shown.size)
    masks = [resize_mask(_as_mask(mask), size, "area") for mask in prediction.masks]
    return overlay(shown, np.stack(masks) if masks else None, prediction.answer)


def _as_mask(mask: np.ndarray) -> Mask:
    return mask.astype(bool, copy=False)


def _verdict(record: results.ResultRecord) -> str:
    """What came of it, in a sentence or two."""
    if record["failure"] is not None:
        sentence = Failure(record["failure"]).sentence
        return _card("unreadable", "No readable answer", f"{sentence} {record['failure_detail'] or ''}")
    if record["nothing_there"]:
        return _card("nothing", "Nothing there", f"The model sees nothing that “{record['query']}” asks for.")
    covered = float(results.masks_from_record(record).any(axis=0).mean())
    found = f"Asked for “{record['query']}”; the mask covers {results.share_text(covered)} of the image."
    if covered == 0:
        found = f"Asked for “{record['query']}”; the segmenter made an empty mask of it."
    return _card("found", f"{results.counted(len(record['objects']), 'object')} found", found)


def _card(kind: str, title: str, sentence: str) -> str:
    return (
        f'<div class="verdict {kind}" role="status"><strong>{escape(title)}</strong>'
        f"<span>{escape(sentence.strip())}</span></div>"
    )


def _table(record: results.ResultRecord) -> str:
    """The objects with their colours, boxes and points in pixels of the image; empty when there is none."""
    if not record["objects"]:
        return ""
    pixels = record["size"]["width"] * record["size"]["height"]
    rows = []
    for number, found in enumerate(record["objects"], start=1):
        red, green, blue = COLOURS[(number - 1) % len(COLOURS)]
        box = "–" if found["box"] is None else ", ".join(f"{value:.0f}" for value in found["box"])
        points = " ".join(
            f"<span>({x:.0f}, {y:.0f}){'' if label else ' beside'}</span>"
            for (x, y), label in zip(found["points"], found["labels"], strict=True)
        )
        rows.append(
            f'<tr><td><span class="swatch" style="background:rgb({red},{green},{blue})"></span>{number}</td>'
            f"<td>{box}</td><td>{points or '–'}</td><td>{results.share_text(found['area'] / pixels)}</td></tr>"
        )
    return (
        '<div class="objects"><table><thead><tr><th>object</th><th>box</th><th>points</th><th>mask</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
