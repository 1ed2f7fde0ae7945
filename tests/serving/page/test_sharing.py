"""What a page's address says of a request, and what of it is taken up again."""

from pathlib import Path
from urllib.parse import parse_qs

import pytest

from thinkseg.serving.examples import Example
from thinkseg.serving.guarding import Store
from thinkseg.serving.page.choices import ITS_OWN, Choices, Chosen, Offered
from thinkseg.serving.page.desk import Desk
from thinkseg.serving.page.sharing import SharedState
from thinkseg.testing import FakeSegmenter

from .conftest import fake


@pytest.fixture
def shared(store: Store) -> SharedState:
    models = {"small": Offered(fake), "large": Offered(fake)}
    choices = Choices(models, {"discs": FakeSegmenter}, ("seg-zero",))
    folder = store.new_folder(None)
    folder.mkdir(parents=True)
    (folder / "cow.png").touch()
    store.keep_what_is_there()
    return SharedState(Desk(choices, store), [Example(folder / "cow.png", "the cow")])


def test_what_an_address_says_is_read_back_from_it(shared: SharedState) -> None:
    image = str(shared.examples[0].image)
    choice, second = Chosen("large", "discs", ITS_OWN), ("small", ITS_OWN, "seg-zero")
    address = shared.of(image, "what gives milk & why?", choice, True, *second)
    assert parse_qs(address)["example"] == ["cow"]
    assert shared.restored(f"?{address}") == [
        *(image, "what gives milk & why?"),
        *("large", "discs", ITS_OWN),
        *(True, "small", ITS_OWN, "seg-zero"),
    ]


def test_an_upload_and_what_is_chosen_anyway_are_not_in_the_address(shared: SharedState, photo: str) -> None:
    assert shared.of(photo, "the cow", Chosen("small")) == "q=the+cow"


@pytest.mark.parametrize(
    "address",
    ["", "?", "?model=other&segmenter=&format=nonsense", "?example=../../etc/passwd", "?tab=evaluation&sample=3"],
)
def test_what_an_address_does_not_say_or_cannot_say_is_as_at_the_beginning(shared: SharedState, address: str) -> None:
    own = ["small", ITS_OWN, ITS_OWN]
    assert shared.restored(address) == [None, "", *own, False, *own]


def test_a_long_query_is_cut(shared: SharedState) -> None:
    query = shared.restored("?q=" + "a" * 5000)[1]
    assert query == "a" * 2000


def test_an_example_is_known_by_its_name_alone(shared: SharedState, tmp_path: Path) -> None:
    elsewhere = tmp_path / "cow.png"
    elsewhere.touch()
    assert "example" not in shared.of(str(elsewhere), "the cow", Chosen("small"))
