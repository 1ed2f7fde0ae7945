"""Settings that come from people are checked strictly, and what is wrong with them is one sentence."""

import json
import pickle
from typing import Annotated, Any

import pytest
from pydantic import Field

from thinkseg.errors import DataError
from thinkseg.settings import TEXT_KEYS, Count, PathText, Settings


class Lens(Settings):
    """What is in front."""

    focus: float = 1.0
    """Metres."""
    names: Annotated[dict[str, int], TEXT_KEYS] = Field(default_factory=dict)
    """By letter."""


class Camera(Settings):
    """All of it."""

    error = DataError
    whole = "the camera"

    film: PathText
    """A file."""
    lens: Lens | None = None
    """What is in front; null for a hole."""
    shots: Count | None = None
    """How many."""


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"film": "a", "flim": "b"}, "there is no setting 'flim' in here; did you mean 'film'?"),
        ({"flim": "b"}, "there is no setting 'flim' in here; did you mean 'film'?"),
        ({"film": "a", "lens": {"focsu": 1}}, "there is no setting 'lens.focsu' in here; did you mean 'lens.focus'?"),
        ({"film": "a", "focus": 1}, "there is no setting 'focus' in here; did you mean 'lens.focus'?"),
        ({"film": "a", "zzz": 1}, "there is no setting 'zzz' in here; there are film, lens, shots"),
        ({}, "the camera has to say 'film' in here, which has no default"),
        ({"film": ""}, "'film' in here should be a path, found ''"),
        ({"film": "a", "lens": 3}, "'lens' in here should be a section of settings or null, found 3"),
        ({"film": "a", "lens": {"focus": True}}, "'lens.focus' in here should be a number, found True"),
        ({"film": "a", "lens": {"names": {"b": "x"}}}, "'lens.names.b' in here should be a whole number, found 'x'"),
        ({"film": "a", "shots": 0}, "'shots' in here should be at least 1, found 0"),
        ({"film": "a", "shots": 2.0}, "'shots' in here should be a whole number or null, found 2.0"),
        ([], "the camera in here should be a mapping of settings, found []"),
    ],
)
def test_what_is_wrong_is_one_sentence_with_the_dotted_name(values: Any, sentence: str) -> None:
    with pytest.raises(DataError) as caught:
        Camera.checked(values, " in here")
    assert str(caught.value) == sentence


def test_a_whole_number_is_a_number_and_a_name_that_yaml_read_as_a_number_is_a_name() -> None:
    lens = Camera.checked({"film": "a", "lens": {"focus": 2, "names": {3: 1}}}).lens
    assert lens == Lens(focus=2.0, names={"3": 1})


def test_settings_built_in_python_are_checked_and_stay_as_they_are() -> None:
    camera = Camera(film="a", lens=Lens(focus=2.0))
    with pytest.raises(DataError, match="'shots' should be at least 1"):
        camera.replaced(shots=-1)
    assert camera.replaced(shots=3).replaced(shots=None) == camera
    with pytest.raises(ValueError, match="frozen"):
        camera.shots = 3
    assert pickle.loads(pickle.dumps(camera)) == camera


def test_the_help_below_a_setting_is_in_the_schema_for_editors() -> None:
    schema = Camera.model_json_schema()
    json.dumps(schema)
    assert schema["properties"]["film"]["description"] == "A file."
    assert schema["additionalProperties"] is False
