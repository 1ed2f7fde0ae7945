"""What a page shows of a result: an image, a verdict, the thinking, a table of objects, and files to keep.

Nothing here asks a model, writes a file or knows of the web's packages: a `Result` comes in, parts of a page go out.
Every text that comes from a model, an image or a user is escaped before it becomes part of a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image

from thinkseg.drawing import COLOURS
from thinkseg.results.files import INDEX, MASK, RECORD
from thinkseg.results.record import counted, share_text
from thinkseg.results.result import FoundObject, Result

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
    overlay: Path | None = None
    """The image, as a file that the page shows."""


def show_result(result: Result, files: Sequence[Path] = ()) -> Shown:
    """What the page shows of a result.

    Args:
        result: whatever came of it.
        files: what `Result.save` wrote; those that are there can be downloaded.
    """

    def file(ending: str) -> Path | None:
        return next((path for path in files if path.name.endswith(ending)), None)

    return Shown(
        image=result.overlay(SHOWN_SIDE),
        verdict_html=_verdict(result),
        thinking=result.thinking,
        table_html=_table(result.objects, result.size.width * result.size.height),
        text=result.text,
        mask=file(MASK),
        index=file(INDEX),
        record=file(RECORD),
    )


def show_error(sentence: str) -> Shown:
    """What the page shows when there is no result."""
    return Shown(None, _card("error", "That did not work", sentence))


def _verdict(result: Result) -> str:
    """What came of it, in a sentence or two."""
    if result.failure is not None:
        return _card("unreadable", "No readable answer", f"{result.failure.sentence} {result.failure_detail}")
    if result.nothing_there:
        return _card("nothing", "Nothing there", f"The model sees nothing that “{result.query}” asks for.")
    covered = float(result.mask.mean())
    found = f"Asked for “{result.query}”; the mask covers {share_text(covered)} of the image."
    if covered == 0:
        found = f"Asked for “{result.query}”; the segmenter made an empty mask of it."
    return _card("found", f"{counted(len(result.masks), 'object')} found", found)


def _card(kind: str, title: str, sentence: str) -> str:
    return (
        f'<div class="verdict {kind}" role="status"><strong>{escape(title)}</strong>'
        f"<span>{escape(sentence.strip())}</span></div>"
    )


def _table(objects: Sequence[FoundObject], pixels: int) -> str:
    """The objects with their colours, boxes and points in pixels of the image; empty when there is none."""
    if not objects:
        return ""
    scored = any(found.score is not None for found in objects)
    head = "<th>object</th><th>box</th><th>points</th><th>mask</th>" + ("<th>score</th>" if scored else "")
    rows = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in _cells(found, pixels))}</tr>" for found in objects)
    return f'<div class="objects"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cells(found: FoundObject, pixels: int) -> list[str]:
    """The row of an object: numbers only, so that nothing has to be escaped."""
    red, green, blue = COLOURS[(found.number - 1) % len(COLOURS)]
    box = "–" if found.box is None else ", ".join(f"{value:.0f}" for value in found.box.xyxy)
    points = " ".join(
        f"<span>({point.x:.0f}, {point.y:.0f}){'' if point.label else ' beside'}</span>" for point in found.points
    )
    swatch = f'<span class="swatch" style="background:rgb({red},{green},{blue})"></span>'
    cells = [f"{swatch}{found.number}", box, points or "–", share_text(found.area / pixels)]
    return cells if found.score is None else [*cells, f"{found.score:.2f}"]
