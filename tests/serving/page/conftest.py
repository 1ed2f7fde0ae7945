from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.models.pipeline import Pipeline
from thinkseg.results.result import Result
from thinkseg.serving.guarding import Store
from thinkseg.serving.page.choices import Choices
from thinkseg.serving.page.desk import Desk
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Completion, Request, Size

TWO = (
    "<think>two of them</think><bbox>[10,20,40,60]</bbox><bbox>[50,50,90,90]</bbox>"
    "<points>[[20,30],[60,60],[85,85]]</points><labels>[1,1,0]</labels>"
)
ONE = "<think>one</think><bbox>[70,10,80,20]</bbox><points>[[75,15]]</points><labels>[1]</labels>"
NOTHING = "<think>no dog</think><bbox></bbox><points></points><labels></labels>"
BROKEN = Completion("<think>hm <b>so</b>")

SAID = {"the dogs": TWO, "the cat": ONE, "nothing": NOTHING, "a riddle": BROKEN}

Ask = Callable[..., Result]


def fake(segmenter: FakeSegmenter | None = None) -> Pipeline:
    """A pipeline that answers by the query; its frame is 100×100, whatever the image's size."""

    def say(request: Request) -> str | Completion:
        return next(said for query, said in SAID.items() if query in request.instruction.user)

    return Pipeline(FakeReasoner(say, Size(100, 100)), segmenter or FakeSegmenter(score=0.756), get_format("seg-r1"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "files")


@pytest.fixture
def photo(store: Store) -> str:
    """An upload of 200×50 pixels."""
    path = store.new_folder(None) / "photo.png"
    path.parent.mkdir(parents=True)
    Image.new("RGB", (200, 50), (90, 120, 60)).save(path)
    return str(path)


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(Choices.of(fake()), store)


@pytest.fixture
def ask(photo: str) -> Ask:
    """The result of a query about the photo."""
    return lambda query, score=0.756: fake(FakeSegmenter(score=score)).segment(photo, query)
