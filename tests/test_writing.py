import json

from hypothesis import given
from hypothesis import strategies as st

from thinkseg.writing import json_text


@given(st.recursive(st.text(st.characters()) | st.integers(), st.lists))
def test_any_text_becomes_json_that_is_utf8_and_is_read_back(value: object) -> None:
    written = json_text(value).encode("utf-8", "strict")
    assert json.loads(written) == json.loads(json.dumps(value))


def test_letters_stay_as_they_are_and_half_pairs_are_escaped() -> None:
    assert json_text("é猫😀") == '"é猫😀"'
    assert json_text("a\udce9\ud83d") == '"a\\udce9\\ud83d"'
