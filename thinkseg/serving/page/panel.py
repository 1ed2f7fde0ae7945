"""The part of the page that shows an answer; side by side there are two of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from thinkseg.serving.guarding import visitor_of
from thinkseg.serving.page.choices import Choices, Chosen
from thinkseg.serving.page.desk import Desk, PageRequest
from thinkseg.serving.page.scene import FoundScene
from thinkseg.serving.page.showing import Shown
from thinkseg.serving.page.web import html_part, with_request


@dataclass(frozen=True, slots=True)
class Knobs:
    """By which a visitor chooses among the models."""

    model: Any
    segmenter: Any
    format: Any

    @classmethod
    def build(cls, gr: Any, choices: Choices, suffix: str = "") -> Knobs:
        """Three lists to choose from; one in which there is no choice is not shown."""

        def chosen(name: str, names: list[str]) -> Any:
            label = f"second {name}" if suffix else name
            return gr.Dropdown(
                names,
                value=names[0],
                label=label.capitalize(),
                visible=len(names) > 1,
                elem_id=f"{name}{suffix}",
                min_width=140,
            )

        with gr.Row():
            return cls(
                chosen("model", list(choices.models)),
                chosen("segmenter", choices.segmenter_names),
                chosen("format", choices.format_names),
            )

    @property
    def parts(self) -> list[Any]:
        """The lists, in the order of `Chosen`."""
        return [self.model, self.segmenter, self.format]


@dataclass(frozen=True, slots=True)
class Panel:
    """An answer on the page, with what is kept of it for the next request."""

    parts: list[Any]
    """Verdict, viewer, thinking, table, downloads, what the model wrote; the order is that of `Shown`."""
    scene: Any
    edits: Any
    """Hidden: the page's script puts what was drawn into it."""
    apply: Any
    """Hidden: the page's script presses it."""

    @classmethod
    def build(cls, gr: Any, invitation: str, suffix: str = "") -> Panel:
        """The components, empty."""
        names = ["verdict", "found", "thinking", "objects", "downloads", "written"]
        parts = [html_part(gr, f"{name}{suffix}", invitation if name == "verdict" else "") for name in names]
        edits = gr.Textbox(visible="hidden", elem_id=f"edits{suffix}", label="edits")
        apply = gr.Button("Apply", visible="hidden", elem_id=f"apply{suffix}")
        return cls(parts, gr.State(None), edits, apply)

    @property
    def outputs(self) -> list[Any]:
        """What an answer changes."""
        return [*self.parts, self.scene]

    def handler(self, gr: Any, desk: Desk, shared: Callable[..., str]) -> Callable[..., Iterator[list[Any]]]:
        """Answers a request; called with image, query, the three of a choice, what `shared` takes, and the scene."""

        def answer(request: Any, *given: Any) -> Iterator[list[Any]]:
            source, query, model, segmenter, format, *rest, scene = given
            choice = Chosen(model, segmenter, format)
            asked = _asked(request, source, choice, query or "", shared(source, query or "", choice, *rest))
            yield from _kept(gr, desk.ask(asked, scene))

        return with_request(gr, answer)

    def refiner(self, gr: Any, desk: Desk) -> Callable[..., Iterator[list[Any]]]:
        """Answers what was drawn: called with it, the three of a choice, and the scene."""

        def answer_edits(request: Any, *given: Any) -> Iterator[list[Any]]:  # Gradio's API knows another as "refine"
            edits, model, segmenter, format, scene = given
            # What is drawn on, whatever image is chosen beside it by now.
            source = scene.source if isinstance(scene, FoundScene) else None
            yield from _kept(gr, desk.refine(_asked(request, source, Chosen(model, segmenter, format)), scene, edits))

        return with_request(gr, answer_edits)


def _asked(request: Any, source: str | None, choice: Chosen, query: str = "", shared: str = "") -> PageRequest:
    return PageRequest(source, choice, query, visitor_of(request.request.scope), request.session_hash, shared)


def updates(gr: Any, shown: Shown) -> list[Any]:
    """The new state of each part of a panel; what is None stays."""
    told = [
        shown.verdict_html,
        shown.viewer_html,
        shown.thinking_html,
        shown.table_html,
        shown.downloads_html,
        shown.written_html,
    ]
    parts = [gr.skip() if html is None else html for html in told]
    return [*parts, gr.skip() if shown.scene is None else shown.scene]


def _kept(gr: Any, steps: Iterator[Shown]) -> Iterator[list[Any]]:
    """The state of a panel after each step, with all that earlier steps have changed.

    Of several steps that reach a busy browser together, Gradio's page takes the last one for each part: one that
    changed nothing would undo what came before it.
    """
    told = Shown()
    for shown in steps:
        new = {field.name: value for field in fields(shown) if (value := getattr(shown, field.name)) is not None}
        told = replace(told, **new)
        yield updates(gr, told)


def cleared(gr: Any, invitation: str) -> list[Any]:
    """A panel with nothing in it."""
    return [*updates(gr, Shown(invitation, "", "", "", "", ""))[:-1], None]
