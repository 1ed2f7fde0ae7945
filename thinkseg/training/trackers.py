"""The sheets of held-out samples where a run is tracked (`trl.report_to`): TensorBoard, W&B, Trackio.

Numbers reach these by transformers' own callbacks; here the image is handed to the writer that such a callback holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

NAME = "eval/samples"
"""What the image is called there; beside the numbers of a validation, which transformers calls ``eval/…``."""


def show_sheet(trainer: Any, sheet: Image.Image, caption: str) -> None:
    """Hand a sheet to all that track the run.

    Args:
        trainer: transformers', with its callbacks.
        sheet: RGB.
        caption: what it shows; TensorBoard has no place for it.
    """
    for callback in trainer.callback_handler.callbacks:
        show = TRACKERS.get(type(callback).__name__)
        if show is not None:
            show(callback, sheet, caption, trainer.state.global_step)


def _show_in_tensorboard(callback: Any, sheet: Image.Image, caption: str, step: int) -> None:
    if callback.tb_writer is not None:
        callback.tb_writer.add_image(NAME, np.asarray(sheet), step, dataformats="HWC")
        callback.tb_writer.flush()


def _show_in_wandb(callback: Any, sheet: Image.Image, caption: str, step: int) -> None:
    if callback._wandb is not None:
        callback._wandb.log({NAME: callback._wandb.Image(sheet, caption=caption), "train/global_step": step})


def _show_in_trackio(callback: Any, sheet: Image.Image, caption: str, step: int) -> None:
    callback._trackio.log({NAME: callback._trackio.Image(sheet, caption=caption), "train/global_step": step})


TRACKERS: Mapping[str, Callable[[Any, Image.Image, str, int], None]] = {
    "TensorBoardCallback": _show_in_tensorboard,
    "WandbCallback": _show_in_wandb,
    "TrackioCallback": _show_in_trackio,
}
"""By the name of transformers' callback."""
