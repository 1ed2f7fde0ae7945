"""Runs ``thinkseg`` with models that answer at once: the same box in every image. `image_zoo.py` uses it."""

from __future__ import annotations

import sys
from typing import Any

from thinkseg.answers import get_format
from thinkseg.cli import main
from thinkseg.models.pipeline import Pipeline
from thinkseg.testing import FakeReasoner, FakeSegmenter

ANSWER = "<think>a square</think><bbox>[0,0,1,1]</bbox>"


def load(model: str, **options: Any) -> Pipeline:
    """The pipeline that answers, in place of any model."""
    return Pipeline(FakeReasoner(lambda request: ANSWER), FakeSegmenter(), get_format("seg-r1"))


if __name__ == "__main__":
    answered = {"load": load} if sys.argv[1] in ("segment", "evaluate") else {}
    raise SystemExit(main(sys.argv[1:], **answered))
