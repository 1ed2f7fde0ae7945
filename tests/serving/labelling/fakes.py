"""Models for tests of labelling that answer at once, and that end their process when they are told to."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from thinkseg.answers import get_format
from thinkseg.models.pipeline import Pipeline
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Request

ANSWER = "<think>there</think><bbox>[1,1,8,8]</bbox><points>[[4,4]]</points><labels>[1]</labels>"


def answering(say: Callable[[Request], str]) -> Pipeline:
    """A pipeline whose reasoner says this."""
    return Pipeline(FakeReasoner(say), FakeSegmenter(score=0.5), get_format("seg-r1"))


def load(model: str, **_: Any) -> Pipeline:
    """One that always finds the same object."""
    return answering(lambda _: ANSWER)


def load_deadly(model: str, marker: Path, after: int, **_: Any) -> Pipeline:
    """One whose process is killed at a request, once: by then it has left a marker, and later ones live."""
    asked = []

    def say(request: Request) -> str:
        asked.append(request)
        if len(asked) > after and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return ANSWER

    return answering(say)


def load_slow(model: str, log: Path, seconds: float, marker: Path, after: int, **_: Any) -> Pipeline:
    """One that takes its time, notes down what it is asked, a line each, and is killed once as `load_deadly` is."""
    asked = []

    def say(request: Request) -> str:
        time.sleep(seconds)
        with log.open("a") as file:
            file.write(f"{request.image.getpixel((0, 0))[0]}\n")
        asked.append(request)
        if len(asked) > after and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return ANSWER

    return answering(say)
