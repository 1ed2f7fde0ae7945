"""What a page shows of a scene: the image with its objects, a verdict, the thinking, a table, and files to keep.

Nothing here asks a model, writes a file or knows of the web's packages: results come in, parts of a page go out.
Every text that comes from a model, an image or a user is escaped before it becomes part of a page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import count

from thinkseg.answers.codec import answer_to_json
from thinkseg.results.record import counted, share_text
from thinkseg.results.result import FoundObject, Result
from thinkseg.serving.page.scene import FoundScene
from thinkseg.serving.page.viewer import Layer, ShownImage, colour_of, css_colour, viewer_html
from thinkseg.writing import json_text


@dataclass(frozen=True, slots=True)
class Shown:
    """What the parts of the page show; all texts are HTML. None leaves a part as it is, an empty text hides it."""

    verdict_html: str | None = None
    viewer_html: str | None = None
    thinking_html: str | None = None
    table_html: str | None = None
    downloads_html: str | None = None
    written_html: str | None = None
    """What the model wrote, word by word, and what was read of it."""
    scene: FoundScene | None = None
    """What is kept for the next request."""


def show_waiting(title: str, sentence: str) -> Shown:
    """What the page shows while there is nothing to see yet."""
    return Shown(card("waiting", title, sentence))


def show_writing(thinking: str) -> Shown:
    """What the page shows while the model writes."""
    waiting = card("waiting", "Thinking …", "The model is writing.")
    return Shown(waiting, thinking_html=thinking_html(thinking, going_on=True), downloads_html="", written_html="")


def show_error(sentence: str) -> Shown:
    """What the page says of a request that there is no answer to; what was found before stays."""
    return Shown(card("error", "That did not work", _sentence(sentence)))


def show_scene(scene: FoundScene, results: Sequence[Result], told: Result, image: ShownImage, verdict: str) -> Shown:
    """What the page shows of a scene.

    Args:
        scene: it.
        results: its answers, at least one.
        told: the answer whose words are shown.
        image: as the viewer shows it.
        verdict: what came of the request, as HTML.
    """
    layers = [
        Layer(f"object {number}: {result.query}", found.mask, found.box, found.points)
        for number, result, found in numbered(results)
    ]
    described = f"the image {told.source} with {counted(len(layers), 'object')}"
    return Shown(
        verdict_html=verdict,
        viewer_html=viewer_html(image, told.size, layers, described),
        thinking_html=thinking_html(told.thinking),
        table_html=table_html(results),
        downloads_html="",  # those of an earlier answer: its own come when they are written
        written_html=written_html(told),
        scene=scene,
    )


def numbered(results: Sequence[Result]) -> Iterator[tuple[int, Result, FoundObject]]:
    """The objects of several answers with their numbers from 1, and the answer that each is of."""
    numbers = count(1)
    for result in results:
        for found in result.objects:
            yield next(numbers), result, found


def verdict_html(result: Result, stopped: bool = False) -> str:
    """What came of it, in a sentence or two."""
    if stopped and result.failure is not None:
        return card("nothing", "Stopped", "The model was stopped before it finished its answer.")
    if result.failure is not None:
        return card("unreadable", "No readable answer", f"{result.failure.sentence} {_sentence(result.failure_detail)}")
    if result.nothing_there:
        return card("nothing", "Nothing there", f"The model sees nothing that “{result.query}” asks for.")
    covered = float(result.mask.mean())
    found = f"Asked for “{result.query}”; the mask covers {share_text(covered)} of the image."
    if covered == 0:
        found = f"Asked for “{result.query}”; the segmenter made an empty mask of it."
    return card("found", f"{counted(len(result.masks), 'object')} found", found)


def refined_html(edits: int, total: int) -> str:
    """What came of a refinement."""
    return card("found", "Refined", f"{counted(edits, 'change')} applied; {counted(total, 'object')} in the image.")


def thinking_html(thinking: str, *, going_on: bool = False) -> str:
    """The thinking, with a sign that it goes on."""
    if not thinking and not going_on:
        return ""
    sign = '<span class="going-on" aria-hidden="true"></span>' if going_on else ""
    return f'<div class="thinking"><h3>Thinking</h3><p tabindex="0">{escape(thinking)}{sign}</p></div>'


def written_html(result: Result) -> str:
    """What the model wrote and what was read of it, unfolded where it could not be read; empty without any text."""
    if not result.text:
        return ""
    parts = [("Completion", result.text)]
    if result.answer is not None:
        parts.append(("Read as", json_text(answer_to_json(result.answer), indent=2)))
    shown = "".join(f'<h3>{title}</h3><pre tabindex="0">{escape(text)}</pre>' for title, text in parts)
    unfolded = " open" if result.failure is not None else ""
    return f'<details class="written"{unfolded}><summary>What the model wrote</summary>{shown}</details>'


def table_html(results: Sequence[Result]) -> str:
    """The objects with their colours, boxes and points in pixels of the image; empty when there is none."""
    rows = list(numbered(results))
    if not rows:
        return ""
    scored = any(found.score is not None for _, _, found in rows)
    asked = len({result.query for _, result, _ in rows}) > 1
    names = ["object", *(["query"] if asked else []), "box", "points", "mask", *(["score"] if scored else [])]
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    body = "".join(_row(number, result, found, asked=asked, scored=scored) for number, result, found in rows)
    return (
        '<div class="objects" tabindex="0" role="region" aria-label="Objects"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(number: int, result: Result, found: FoundObject, *, asked: bool, scored: bool) -> str:
    """The row of an object."""
    box = "–" if found.box is None else ", ".join(f"{value:.0f}" for value in found.box.xyxy)
    points = " ".join(
        f"<span>({point.x:.0f}, {point.y:.0f}){'' if point.label else ' beside'}</span>" for point in found.points
    )
    swatch = f'<span class="swatch" style="background:{css_colour(colour_of(number))}"></span>'
    button = f'<button type="button" class="pick" data-pick="{number}" aria-pressed="false">{swatch}{number}</button>'
    pixels = result.size.width * result.size.height
    cells = [("object", button)]
    cells += [("query", escape(result.query))] if asked else []
    cells += [("box", box), ("points", f'<span class="points">{points or "–"}</span>')]
    cells += [("mask", share_text(found.area / pixels))]
    cells += [("score", "–" if found.score is None else f"{found.score:.2f}")] if scored else []
    told = "".join(f'<td class="{name}">{cell}</td>' for name, cell in cells)
    return f'<tr data-number="{number}">{told}</tr>'


def downloads_html(files: Sequence[tuple[str, str, str]]) -> str:
    """Links to files: what each is called on the page, its name, its address."""
    links = "".join(
        f'<a data-file="{escape(label.lower().replace(" ", "-"))}" href="{escape(address)}" download="{escape(name)}">'
        f"{escape(label)}</a>"
        for label, name, address in files
    )
    return (
        f'<div class="downloads" role="group" aria-label="Downloads"><span>Download</span>{links}</div>'
        if links
        else ""
    )


def card(kind: str, title: str, sentence: str) -> str:
    """A title with a sentence; its kind is one of waiting, found, poor, nothing, unreadable and error."""
    return (
        f'<div class="verdict {kind}" role="status"><strong>{escape(title)}</strong>'
        f"<span>{escape(sentence.strip())}</span></div>"
    )


def _sentence(error: str) -> str:
    """What an error says, which begins in lower case behind a program's name, as a sentence that stands alone."""
    error = error.strip()
    return f"{error[:1].upper()}{error[1:]}" + ("." if error and error[-1] not in ".!?…" else "")
