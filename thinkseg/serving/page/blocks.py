"""The page itself: what is asked on the left, the answer beside it, on a phone below it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from typing import Any

from thinkseg.serving.examples import Example
from thinkseg.serving.page.browsing import Browsed
from thinkseg.serving.page.browsing_tab import add_browsing
from thinkseg.serving.page.desk import Desk
from thinkseg.serving.page.endpoints import add_endpoints
from thinkseg.serving.page.panel import Knobs, Panel, cleared, updates
from thinkseg.serving.page.sharing import SECOND, SharedState
from thinkseg.serving.page.showing import Shown, card
from thinkseg.serving.page.web import fetch_nothing, pickable_images, require_gradio, with_request

MODELS: Mapping[str, Any] = {"concurrency_limit": 1, "concurrency_id": "models", "api_visibility": "private"}
"""Of every request that needs a model: one at a time."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a page has besides its models."""

    examples: Sequence[Example] = ()
    """To pick from."""
    about: str = ""
    """A line on what runs."""
    runs: Sequence[Browsed] = ()
    """Evaluations to look through."""


def build(desk: Desk, content: Content = Content()) -> Any:
    """The page, not served yet: a `gradio.Blocks`."""
    gr = require_gradio()
    with gr.Blocks(title="ThinkSeg", analytics_enabled=False, fill_width=True) as page:
        gr.HTML(_heading(content.about))
        if not content.runs:
            _add_asking(gr, page, desk, content)
        else:
            with gr.Tabs(elem_id="tabs") as tabs:
                with gr.Tab("Ask", id="ask"):
                    _add_asking(gr, page, desk, content)
                with gr.Tab("Evaluation", id="evaluation"):
                    add_browsing(gr, page, tabs, desk.store, content.runs)
        add_endpoints(gr, desk)
    fetch_nothing(page)
    return page


def look() -> dict[str, str]:
    """The style and the script of the page, as Gradio takes them."""
    folder = resources.files("thinkseg.serving.page").joinpath("templates")
    script = folder.joinpath("demo.js").read_text(encoding="utf-8")
    return {
        "css": folder.joinpath("demo.css").read_text(encoding="utf-8"),
        "head": f'<meta name="viewport" content="width=device-width, initial-scale=1"><script>{script}</script>',
    }


def _add_asking(gr: Any, page: Any, desk: Desk, content: Content) -> None:
    """Where a visitor asks, and gets one answer or two side by side."""
    invitation = _invitation(bool(content.examples))
    with gr.Row(equal_height=False, elem_classes="workbench"):
        with gr.Column(scale=4, min_width=280, elem_classes="asking"):
            image = gr.Image(
                label="Image",
                type="filepath",
                sources=["upload", "clipboard"],
                height=300,
                buttons=[],
                elem_id="image",
            )
            # Gradio would open the file first, and with sentences of its own; the path is checked before this.
            image.preprocess = lambda payload: payload.path if payload else None
            query = gr.Textbox(
                label="What to look for",
                placeholder="such as: the animal that gives milk",
                max_lines=3,
                elem_id="query",
            )
            with gr.Row(elem_classes="presses"):
                button = gr.Button("Think, point, segment", variant="primary", elem_id="ask", scale=4, min_width=240)
                stop = gr.Button("Stop", elem_id="stop", scale=1, min_width=70)
                clear = gr.Button("Start over", elem_id="clear", scale=2, min_width=110)
            with gr.Accordion("Models", open=False, elem_id="models", visible=_is_choice(desk)):
                first = Knobs.build(gr, desk.choices)
                both = gr.Checkbox(label="A second answer to compare", value=False, elem_id="both")
                with gr.Column(visible=False, elem_id="second-models") as second_models:
                    second = Knobs.build(gr, desk.choices, SECOND)
        with gr.Column(scale=7, min_width=280, elem_classes="answer"):
            panel = Panel.build(gr, invitation)
        with gr.Column(scale=7, min_width=280, elem_classes="answer", visible=False, elem_id="second") as beside:
            other = Panel.build(gr, invitation, SECOND)
    take_example = _add_examples(gr, content.examples)

    shared = SharedState(desk, content.examples)
    asked = [image, query]
    told = [both, *second.parts]
    # One event for both answers: of two that begin at once, Gradio's client may lose what one of them brings.
    ask: dict[str, Any] = {
        "fn": _both(gr, desk, panel.handler(gr, desk, shared.of), other.handler(gr, desk, lambda *_: "")),
        "inputs": [*asked, *first.parts, *told, panel.scene, other.scene],
        "outputs": [*panel.outputs, *other.outputs],
        "show_progress": "hidden",
        **MODELS,
    }
    private = {"api_visibility": "private"}
    for event in (button.click, query.submit):
        event(**ask)
    stop.click(_stopper(gr, desk), queue=False, **private)
    clear.click(
        lambda: [*cleared(gr, invitation), *cleared(gr, invitation)],
        outputs=[*panel.outputs, *other.outputs],
        queue=False,
        **private,
    )
    both.change(
        lambda wanted: [gr.update(visible=wanted), gr.update(visible=wanted)],
        inputs=[both],
        outputs=[second_models, beside],
        queue=False,
        show_progress="hidden",
        **private,
    )
    for own, knobs, suffix in ((panel, first, ""), (other, second, SECOND)):
        own.apply.click(
            own.refiner(gr, desk),
            inputs=[own.edits, *knobs.parts, own.scene],
            outputs=own.outputs,
            js=f"(edits, ...more) => [window.thinkseg.edits('{suffix}'), ...more]",
            show_progress="hidden",
            **MODELS,
        )
    if take_example is not None:
        gallery, take = take_example
        picked = gallery.select(take, outputs=[image, query], show_progress="hidden", **private)
        picked.then(**ask)
    page.unload(_stopper(gr, desk))
    # Only where the address says something: it would undo what a visitor was quick to choose. And it gives values, no
    # updates: for one Gradio makes a component anew, without what was changed of that for the image.
    restore = gr.Button("Restore", visible="hidden", elem_id="restore")
    restored = restore.click(
        shared.restored,
        inputs=[panel.edits],  # it carries what the address says
        outputs=[*asked, *first.parts, *told],
        js="() => [window.location.search]",
        show_progress="hidden",
        **private,
    )
    restored.then(None, js="() => window.thinkseg.askIfShared()")
    page.load(None, js="() => window.thinkseg.restoreIfShared()")


def _is_choice(desk: Desk) -> bool:
    """Whether there are two different answers to be had."""
    choices = desk.choices
    return len(choices.models) > 1 or len(choices.segmenter_names) > 1 or len(choices.format_names) > 1


def _both(gr: Any, desk: Desk, answer: Callable[..., Any], answer_beside: Callable[..., Any]) -> Callable[..., Any]:
    """A handler that answers in the first panel and then, where that is wanted and nobody stops it, in the second."""
    nothing = updates(gr, Shown())
    unasked = updates(gr, Shown(card("nothing", "Stopped", "The second model was not asked.")))

    def answer_both(request: Any, *given: Any) -> Any:
        source, query, *chosen, both, model, segmenter, format, scene, scene_beside = given
        second = (model, segmenter, format)
        first = nothing
        stop = threading.Event()
        with desk.stoppable(request.session_hash, stop):
            for first in answer(request, source, query, *chosen, both, *second, scene):
                yield [*first, *nothing]
        if both and stop.is_set():
            yield [*first, *unasked]
        elif both:
            for shown in answer_beside(request, source, query, *second, scene_beside):
                yield [*first, *shown]

    return with_request(gr, answer_both)


def _stopper(gr: Any, desk: Desk) -> Callable[..., None]:
    return with_request(gr, lambda request: desk.stop(request.session_hash))


def _add_examples(gr: Any, examples: Sequence[Example]) -> tuple[Any, Callable[..., tuple[str, str]]] | None:
    """Images to pick, and what happens when one is picked."""
    if not examples:
        return None
    gr.HTML('<h2 class="examples">Or take an example</h2>')
    shown = [(str(example.image), example.query) for example in examples]
    gallery = pickable_images(gr, shown, "examples", columns=6)

    def take(event: Any) -> tuple[str, str]:
        example = examples[event.index]
        return str(example.image), example.query

    take.__annotations__["event"] = gr.SelectData  # by which Gradio knows what to hand over
    return gallery, take


def _heading(about: str) -> str:
    line = f'<p class="about">{escape(about)}</p>' if about else ""
    return (
        '<header class="heading"><h1>ThinkSeg</h1>'
        "<p>A model thinks about a request, points at what was asked for, and cuts it out.</p>"
        f"{line}</header>"
    )


def _invitation(examples: bool) -> str:
    more = ", or take one of the examples" if examples else ""
    return card("waiting", "Nothing asked yet", f"Upload an image and say what to look for{more}.")
