"""One sample that cannot be asked about stops no other, and costs little."""

from collections.abc import Iterator, Sequence

import pytest
from PIL import Image

from thinkseg.errors import CheckpointError, ImageError, InputError
from thinkseg.models.attempts import predict_each
from thinkseg.testing.squares import Filler, Squares
from thinkseg.types import Prediction, Sample


class Picky:
    """Refuses batches that hold one of some samples, as a processor does."""

    def __init__(self, refused: set[str]) -> None:
        self.refused, self.asked = refused, 0

    def predict(self, samples: Sequence[Sample], batch_size: int) -> Iterator[Prediction]:
        self.asked += len(samples)
        bad = [sample.id for sample in samples if sample.id in self.refused]
        if bad:
            raise ImageError(f"refused: {bad[0]}")
        yield from Filler().predict(samples, batch_size)


@pytest.mark.parametrize("bad", [(), (0,), (15,), (7, 8), (0, 5, 10, 15), tuple(range(16))])
def test_every_sample_has_its_outcome_in_order(bad: tuple[int, ...]) -> None:
    picky = Picky({f"square-{index}" for index in bad})
    samples = [Squares(16)[index] for index in range(16)]
    found = list(predict_each(picky.predict, samples))
    told = [str(one) if isinstance(one, InputError) else one.sample_id for one in found]
    assert told == [f"refused: square-{index}" if index in bad else f"square-{index}" for index in range(16)]
    assert picky.asked <= 16 * (1 + 4)


def test_what_came_before_a_refusal_is_kept_and_not_asked_again() -> None:
    asked: list[str] = []

    def predict(samples: Sequence[Sample], batch_size: int) -> Iterator[Prediction]:
        for sample in samples:
            asked.append(sample.id)
            if sample.id == "square-2":
                raise ImageError("no")
            yield from Filler().predict([sample], batch_size)

    found = list(predict_each(predict, [Squares(4)[index] for index in range(4)]))
    assert [isinstance(one, InputError) for one in found] == [False, False, True, False]
    assert asked[:3] == ["square-0", "square-1", "square-2"]
    assert asked.count("square-0") == 1


def test_a_model_that_cannot_be_asked_at_all_stops_everything() -> None:
    def predict(_samples: Sequence[Sample], _batch_size: int) -> Iterator[Prediction]:
        raise CheckpointError("no chat template")

    with pytest.raises(CheckpointError):
        list(predict_each(predict, [Sample("a", Image.new("RGB", (2, 2)), "x")]))
