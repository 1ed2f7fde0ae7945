"""ThinkSeg in the model zoo of FiftyOne: what a remote source of models has beside its ``manifest.json``.

FiftyOne copies this folder into its own and imports it from there, by these names. What it is for lies in the ThinkSeg
that is installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def download_model(model_name: str, model_path: str) -> None:
    """Say that the model may be loaded: its checkpoint is not FiftyOne's to keep, but fetched when it is loaded.

    Args:
        model_name: of the manifest.
        model_path: the file by which FiftyOne knows that the model is there.
    """
    told = f"{model_name}: the checkpoint is loaded by the ThinkSeg that is installed\n"
    Path(model_path).write_text(told, encoding="utf-8")


def load_model(model_name: str, model_path: str, **settings: Any) -> Any:
    """The model.

    Args:
        model_name: of the manifest.
        model_path: as for `download_model`.
        settings: as `thinkseg.integrations.fiftyone.load_model` takes them: ``query``, ``model``, …

    Raises:
        InputError: the model or a setting is none.
    """
    del model_name, model_path
    from thinkseg.integrations.fiftyone import load_model as load

    return load(**settings)


def resolve_input(model_name: str, ctx: Any) -> Any:
    """What FiftyOne's App asks for before it loads the model: the query, and which checkpoint.

    Args:
        model_name: of the manifest.
        ctx: of FiftyOne's operator.
    """
    del model_name, ctx
    from thinkseg.integrations.fiftyone import asked_in_app

    return asked_in_app()
