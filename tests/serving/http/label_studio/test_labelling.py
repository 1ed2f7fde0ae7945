"""A labelling configuration says what asks and what takes the answer."""

import pytest

from thinkseg.errors import InputError
from thinkseg.serving.http.label_studio.labelling import Labelling, read_labelling

BRUSH = """<View>
  <!-- what annotators see -->
  <Header value="Find it"/><Style><![CDATA[ .all > p { color: red } ]]></Style>
  <Image name="photo" value="$file" zoom="true"/>
  <RectangleLabels name="other" toName="audio"><Label value="No"/></RectangleLabels>
  <BrushLabels name="brush" toName="photo"><Label value="Car" background="#f00"/><Label value="Race car"/></BrushLabels>
  <PolygonLabels name="polygon" toName="photo"><Label value="Car"/></PolygonLabels>
  <TextArea name="thinking" toName="photo"/>
  <TextArea name="ask" toName="photo" value="$wanted"/>
</View>"""
SMALL = '<View><Image name="i" value="$image"/><PolygonLabels name="p" toName="i"/></View>'


def test_the_first_tag_for_an_image_takes_the_answer_and_the_text_areas_ask_and_tell() -> None:
    assert read_labelling(BRUSH) == Labelling(
        "brushlabels", "brush", "photo", "file", ("Car", "Race car"), "ask", "wanted", "thinking"
    )
    assert read_labelling(SMALL) == Labelling("polygonlabels", "p", "i", "image")


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("<View></View>", r"expected an <Image> .* and one of BrushLabels, PolygonLabels, RectangleLabels"),
        ('<View><Image name="i" value="$image"/><KeyPointLabels name="k" toName="i"/></View>', "found none"),
        ('<View><Image name="i" value="http://x/y.png"/><BrushLabels name="b" toName="i"/></View>', "found none"),
        ("<View>", "expected a labelling configuration in XML"),
        ("", "expected a labelling configuration in XML"),
        ('<!DOCTYPE v [<!ENTITY a "aaaa">]><View>&a;</View>', "without a document type"),
    ],
)
def test_one_that_cannot_be_answered_is_refused_in_a_sentence(config: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_labelling(config)


def typed(*words: str, name: str = "ask") -> dict[str, list[object]]:
    return {"result": [{"from_name": name, "to_name": "photo", "type": "textarea", "value": {"text": list(words)}}]}


@pytest.mark.parametrize(
    ("data", "context", "query"),
    [
        ({"wanted": "a cat"}, typed("a dog", "the sky"), "the sky"),
        ({}, {"result": [*typed("a dog")["result"], *typed("the sky")["result"], *typed(" ")["result"]]}, "the sky"),
        ({"wanted": "a cat"}, typed(" "), "a cat"),
        ({"wanted": "a cat"}, typed("a dog", name="brush"), "a cat"),
        ({"wanted": " a cat "}, None, "a cat"),
        ({}, None, "anything red"),
        ({"query": "not this field"}, {"result": "?"}, "anything red"),
    ],
)
def test_what_was_typed_last_counts_then_the_tasks_field_then_the_operators_word(
    data: dict[str, str], context: dict[str, object] | None, query: str
) -> None:
    assert read_labelling(BRUSH).query(data, context, "anything red") == query


def test_without_a_query_it_is_said_where_one_may_stand() -> None:
    with pytest.raises(InputError, match=r"<TextArea> .* field 'query' .* 'thinkseg serve --query'; found none"):
        read_labelling(SMALL).query({"query": 7}, None, "")


@pytest.mark.parametrize(
    ("query", "label"), [("race car", "Race car"), ("the red CAR!", "Car"), ("a scar", "Car"), ("a bus", "Car")]
)
def test_what_is_found_gets_the_label_that_the_query_names_or_else_the_first(query: str, label: str) -> None:
    own = read_labelling(BRUSH)
    assert own.label(query) == label
    assert read_labelling(SMALL).label(query) == query


@pytest.mark.parametrize(
    ("query", "label"),
    [
        ("红色的汽车", "汽车"),
        ("左边的赛车", "赛车"),
        ("赤い車", "車"),
        ("木の上のネコ", "ネコ"),
        ("木の上のﾈｺ", "ネコ"),
        ("รถสีแดง", "รถ"),
        ("那辆 CAR", "car"),
        ("ＣＡＲ", "car"),
        ("红色的东西", "物体"),
        ("a scar", "物体"),
    ],
)
def test_a_label_is_found_in_a_query_without_blanks(query: str, label: str) -> None:
    labels = ("物体", "汽车", "赛车", "車", "ネコ", "รถ", "car")
    assert Labelling("brushlabels", "brush", "image", "image", labels).label(query) == label


def test_of_labels_that_a_query_names_the_longest_is_taken() -> None:
    assert Labelling("brushlabels", "brush", "image", "image", ("车", "消防车", "消防")).label("红色消防车") == "消防车"


def test_a_label_without_a_word_is_named_by_no_query() -> None:
    assert Labelling("brushlabels", "brush", "image", "image", labels=("Thing", "+")).label("a bus") == "Thing"
