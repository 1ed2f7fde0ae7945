"""Gradio, told to keep to itself."""

from __future__ import annotations

import importlib
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from thinkseg.errors import MissingExtraError


def require_gradio() -> Any:
    """Gradio, told to keep to itself.

    Raises:
        MissingExtraError: it is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["DO_NOT_TRACK"] = "1"
    try:
        return importlib.import_module("gradio")
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise MissingExtraError("gradio", "demo", "for the web page") from error


def fetch_nothing(page: Any) -> None:
    """Let the components of a page take files only: Gradio would fetch an address that somebody names for an upload.

    An address stays what it is, which is no file of the page, and is treated as no image.

    Args:
        page: a `gradio.Blocks` that has all of its components.
    """
    for component in page.blocks.values():
        if hasattr(component, "async_move_resource_to_block_cache"):
            component.async_move_resource_to_block_cache = _taking_files(component.async_move_resource_to_block_cache)


def _taking_files(take: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    async def take_file(path: Any) -> Any:
        return path if "://" in str(path) else await take(path)

    return take_file


def html_part(gr: Any, elem_id: str, html: str = "") -> Any:
    """A part of the page that takes no place while it is empty, by the page's style.

    Gradio's own `visible` mounts a part anew, in which a busy browser may lose what the part is to show.
    """
    return gr.HTML(html, elem_id=elem_id, elem_classes="part", min_height=0)


def pickable_images(gr: Any, images: Sequence[tuple[str, str]], elem_id: str, *, columns: int) -> Any:
    """A gallery to pick from, whose images are not enlarged by themselves.

    Args:
        gr: Gradio.
        images: files and what stands below them.
        elem_id: what the page's style knows it by.
        columns: images in a row.
    """
    return gr.Gallery(
        list(images),
        show_label=False,
        columns=columns,
        height="auto",
        object_fit="cover",
        allow_preview=False,
        interactive=False,
        container=False,
        buttons=[],
        elem_id=elem_id,
    )


def with_request(gr: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """A handler whose first argument, `request`, Gradio fills in: it knows by the annotation what to hand over."""
    function.__annotations__["request"] = gr.Request
    return function
