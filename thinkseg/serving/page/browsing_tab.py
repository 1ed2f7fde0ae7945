"""The tab that looks through evaluations: a list of thumbnails, worst first, and the sample that is picked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from PIL import Image

from thinkseg.drawing import overlay
from thinkseg.errors import InputError
from thinkseg.evaluation.reporting.images import image_or_blank
from thinkseg.results.files import safe_stem
from thinkseg.serving.guarding import Store
from thinkseg.serving.page.browsing import ALL, Browsed, show_sample
from thinkseg.serving.page.desk import address_of
from thinkseg.serving.page.files import write_shown
from thinkseg.serving.page.showing import Shown, show_error
from thinkseg.serving.page.viewer import ShownImage
from thinkseg.serving.page.web import html_part, pickable_images

PER_SHEET = 12
"""Thumbnails at a time."""

THUMBNAIL_SIDE = 240


@dataclass
class Shelf:
    """The evaluations of a page, with the images of them that were looked at."""

    runs: Sequence[Browsed]
    store: Store
    _turn: threading.Lock = field(default_factory=threading.Lock, init=False)
    _folder: Path | None = field(default=None, init=False)

    def named(self, name: str) -> Browsed:
        """The run of a name; the first where there is none."""
        return next((run for run in self.runs if run.name == name), self.runs[0])

    def sheet(self, name: str, subset: str, number: int) -> tuple[list[tuple[str, str]], int, int]:
        """Thumbnails with their captions, the number of the sheet from 0, and how many there are."""
        run = self.named(name)
        ranked = run.ranked(subset)
        sheets = max(1, -(-len(ranked) // PER_SHEET))
        number = min(max(number, 0), sheets - 1)
        wanted = ranked[number * PER_SHEET : (number + 1) * PER_SHEET]
        return [(str(self._thumbnail(run, place)), run.caption(place)) for place in wanted], number, sheets

    def shown(self, name: str, subset: str, rank: int) -> Shown:
        """A sample by its rank, from 0; what is wrong with it is told in a sentence."""
        run = self.named(name)
        ranked = run.ranked(subset)
        if not ranked:
            return show_error("there is no such sample in this evaluation")
        rank = min(max(rank, 0), len(ranked) - 1)
        place = ranked[rank]
        try:
            image = self._image(run, place)
            path = self._path(run, place, ".shown.webp")
            if not path.exists():
                write_shown(image, path.parent, path.name.removesuffix(".shown.webp"))
            told = {"tab": "evaluation", "run": run.name, "subset": subset if subset != ALL else ""}
            told["sample"] = run.run.records[place].id
            shared = urlencode({key: value for key, value in told.items() if value})
            position = f"Sample {rank + 1} of {len(ranked)}, the worst first"
            return show_sample(run, place, position, ShownImage(address_of(path), shared))
        except InputError as error:
            return show_error(str(error))

    def _thumbnail(self, run: Browsed, place: int) -> Path:
        path = self._path(run, place, ".png")
        if not path.exists():
            record = run.run.records[place]
            try:
                image = overlay(self._image(run, place), record.mask, record.answer)
            except InputError:
                image = Image.new("RGB", (THUMBNAIL_SIDE, THUMBNAIL_SIDE), (150, 150, 150))
            image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
            image.save(path)
        return path

    def _image(self, run: Browsed, place: int) -> Image.Image:
        return image_or_blank(run.sample(place), run.run.records[place])

    def _path(self, run: Browsed, place: int, ending: str) -> Path:
        """Where an image of a sample lies; what was pruned is made anew."""
        with self._turn:
            if self._folder is None or not self._folder.is_dir():
                self._folder = self.store.new_folder(None)
                self._folder.mkdir(parents=True)
        which = next(number for number, own in enumerate(self.runs) if own is run)
        return self._folder / f"{which}-{place}-{safe_stem(run.run.records[place].id.replace('/', '_')).name}{ending}"


def add_browsing(gr: Any, page: Any, tabs: Any, store: Store, runs: Sequence[Browsed]) -> None:
    """Declare the tab."""
    shelf = Shelf(runs, store)
    first = runs[0]
    with gr.Row(elem_classes="choosing"):
        run = gr.Dropdown([one.name for one in runs], value=first.name, label="Evaluation", elem_id="run")
        subset = gr.Dropdown(first.subsets, value=ALL, label="Samples", elem_id="subset")
    with gr.Row(equal_height=False, elem_classes="workbench"):
        with gr.Column(scale=5, min_width=280):
            gallery = pickable_images(gr, [], "sheet", columns=3)
            with gr.Row(elem_classes="turning"):
                back = gr.Button("Previous page", elem_id="sheet-back", size="sm", min_width=80)
                forth = gr.Button("Next page", elem_id="sheet-forth", size="sm", min_width=80)
        with gr.Column(scale=7, min_width=280, elem_classes="answer"):
            with gr.Row(elem_classes="turning"):
                worse = gr.Button("Worse", elem_id="worse", size="sm", min_width=80)
                better = gr.Button("Better", elem_id="better", size="sm", min_width=80)
            parts = [html_part(gr, f"sample-{name}") for name in ("verdict", "found", "masks", "written")]
    sheet, rank = gr.State(0), gr.State(0)

    def sheet_of(name: str, which: str, number: int) -> list[Any]:
        thumbnails, number, sheets = shelf.sheet(name, which, number)
        return [
            gr.update(value=thumbnails, selected_index=None),
            number,
            gr.update(interactive=number > 0),
            gr.update(interactive=number + 1 < sheets),
        ]

    def sample_of(name: str, which: str, at: int) -> list[Any]:
        shown = shelf.shown(name, which, at)
        count = len(shelf.named(name).ranked(which))
        told = [shown.verdict_html, shown.viewer_html, shown.table_html, shown.written_html]
        return [
            *(html or "" for html in told),
            min(max(at, 0), max(count - 1, 0)),
            gr.update(interactive=at > 0),
            gr.update(interactive=at + 1 < count),
        ]

    on_sheet, on_sample = [gallery, sheet, back, forth], [*parts, rank, worse, better]
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}

    def turn(by: int) -> Callable[[str, str, int], list[Any]]:
        return lambda name, which, number: sheet_of(name, which, number + by)

    def step(by: int) -> Callable[[str, str, int], list[Any]]:
        return lambda name, which, at: sample_of(name, which, at + by)

    def pick(event: Any, name: str, which: str, number: int) -> list[Any]:
        return sample_of(name, which, number * PER_SHEET + event.index)

    pick.__annotations__["event"] = gr.SelectData  # by which Gradio knows what to hand over

    def begin(name: str, which: str) -> list[Any]:
        return [*sheet_of(name, which, 0), *sample_of(name, which, 0)]

    def opened(name: str) -> list[Any]:
        return [gr.update(choices=shelf.named(name).subsets, value=ALL), *begin(name, ALL)]

    def restored(search: str) -> list[Any]:
        told = dict(parse_qsl((search or "").removeprefix("?")))
        chosen = shelf.named(told.get("run", ""))
        which = told["subset"] if told.get("subset") in chosen.subsets else ALL
        place = chosen.place_of(told.get("sample", ""))
        ranked = chosen.ranked(which)
        at = ranked.index(place) if place in ranked else 0
        return [
            gr.Tabs(selected="evaluation") if told.get("tab") == "evaluation" else gr.skip(),
            chosen.name,
            gr.update(choices=chosen.subsets, value=which),
            *sheet_of(chosen.name, which, at // PER_SHEET),
            *sample_of(chosen.name, which, at),
        ]

    back.click(turn(-1), [run, subset, sheet], on_sheet, **quiet)
    forth.click(turn(+1), [run, subset, sheet], on_sheet, **quiet)
    worse.click(step(-1), [run, subset, rank], on_sample, **quiet)
    better.click(step(+1), [run, subset, rank], on_sample, **quiet)
    gallery.select(pick, [run, subset, sheet], on_sample, **quiet)
    run.input(opened, [run], [subset, *on_sheet, *on_sample], **quiet)
    subset.input(begin, [run, subset], [*on_sheet, *on_sample], **quiet)
    search = gr.Textbox(visible="hidden", elem_id="search", label="search")
    page.load(
        restored,
        [search],
        [tabs, run, subset, *on_sheet, *on_sample],
        js="() => [window.location.search]",
        **quiet,
    )
