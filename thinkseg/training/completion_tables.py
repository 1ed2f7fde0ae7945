"""TRL's tables of completions (`trl.log_completions`), shown as progress is: on stderr, and not moving the training.

TRL prints the table to stdout, where `thinkseg train` has its result, as narrow as a log without a terminal seems to be
(80 columns for a dozen); it draws the completions that it shows from Python's random numbers, and shows those of the
last step once more when training ends. ``completions/completions_NNNNN.parquet`` in the run's folder has all of them,
with their rewards and advantages, a file for each logged step.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

WIDTH = "160"
"""Columns of a table where no terminal says how many there are."""


def show_aside(trainer: Any) -> None:
    """Let a trainer that shows completions show them on stderr; any other stays as it is.

    Args:
        trainer: TRL's; its `log` is wrapped.
    """
    if not getattr(trainer, "log_completions", False):
        return
    log = trainer.log

    def log_aside(logs: dict[str, float], *args: Any, **options: Any) -> None:
        trainer.log_completions = "train_runtime" not in logs  # the summary at the end is no step
        with _aside():
            log(logs, *args, **options)

    trainer.log = log_aside


@contextmanager
def _aside() -> Iterator[None]:
    """While this is open, what is printed goes to stderr, above a bar, and nothing is drawn from the random numbers."""
    from tqdm import tqdm

    drawn, narrow = random.getstate(), "COLUMNS" not in os.environ and not sys.stderr.isatty()
    if narrow:
        os.environ["COLUMNS"] = WIDTH
    try:
        with tqdm.external_write_mode(file=sys.stderr), redirect_stdout(sys.stderr):
            yield
    finally:
        random.setstate(drawn)
        if narrow:
            del os.environ["COLUMNS"]
