"""What the integrations take for a model, and for a query."""

from typing import Any

import pytest
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.errors import InputError
from thinkseg.integrations.segmenting import results_of, segmenting
from thinkseg.models.pipeline import Pipeline
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Size


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline(FakeReasoner(lambda request: "", Size(8, 8)), FakeSegmenter(), get_format("seg-r1"))


@pytest.mark.parametrize("model", [7, None, object(), Pipeline])
def test_what_segments_nothing_is_refused_in_a_sentence(model: Any) -> None:
    with pytest.raises(InputError, match="should be a path or something that segments"):
        segmenting(model)


def test_a_pipeline_is_taken_as_it_is_and_with_no_settings(pipeline: Pipeline) -> None:
    assert segmenting(pipeline) is pipeline
    with pytest.raises(InputError, match="takes no settings, found device"):
        segmenting(pipeline, device="cpu")


@pytest.mark.parametrize(
    ("query", "reason"),
    [("", "the query is empty"), ("  ", "the query is empty"), (None, "should be texts"), (3, "should be texts")],
)
def test_a_query_says_something_in_words(pipeline: Pipeline, query: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        results_of(pipeline, [Image.new("RGB", (8, 8))], [query])
