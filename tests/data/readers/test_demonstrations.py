"""Worked answers are read as published and as talks, whole or not at all, in the frame that they were measured in."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from thinkseg.data.readers.demonstrations import load_worked
from thinkseg.errors import DataError, ImageError
from thinkseg.types import Size

TAGS = "<bbox>[10,20,90,80]</bbox><points>[[40,50],[12,22]]</points><labels>[1,0]</labels>"
SQUARE = Size(100, 100)
ROW = {"problem": "the dog", "thinking": "It lies on the left.", "solution": TAGS, "image": "dog.png"}


def encoded(size=(100, 100)):
    stream = io.BytesIO()
    Image.new("RGB", size, "red").save(stream, format="PNG")
    return {"bytes": stream.getvalue(), "path": None}


def write_lines(folder, *rows, size=(100, 100)):
    folder.mkdir(exist_ok=True)
    Image.new("RGB", size).save(folder / "dog.png")
    file = folder / "rows.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows))
    return file


def check(sample, frame=SQUARE):
    (prompt,) = sample.reference.objects
    assert sample.query == "the dog"
    assert sample.reference.think == "It lies on the left."
    assert sample.reference.frame == frame
    assert prompt.box.xyxy == (10, 20, 90, 80)
    assert [(point.x, point.y, point.label) for point in prompt.points] == [(40, 50, 1), (12, 22, 0)]


@pytest.mark.parametrize(
    "row",
    [
        ROW,
        ROW | {"thinking": "<think>It lies on the left.</think>", "system": "You find things."},
        ROW | {"solution": TAGS.replace("><", ">, <"), "problem": "<image>\nthe dog"},
        {
            "image": "dog.png",
            "messages": [
                {"role": "system", "content": "You find things."},
                {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "the dog"}]},
                {"role": "assistant", "content": f"<think>It lies on the left.</think>{TAGS}"},
            ],
        },
        {
            "image": "dog.png",
            "conversations": [
                {"from": "human", "value": "<image>the dog"},
                {"from": "gpt", "value": f"<think>It lies on the left.</think>\n{TAGS}"},
            ],
        },
    ],
    ids=["published", "tagged thinking", "separators", "messages", "conversations"],
)
def test_a_row_is_read_whatever_its_custom(tmp_path, row):
    samples = load_worked(write_lines(tmp_path, row))
    assert len(samples) == 1
    check(samples[0])


def test_parquet_rows_with_embedded_images_are_read_in_any_order(tmp_path):
    rows = [ROW | {"image": encoded((100 + number, 100))} for number in range(5)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train-00000-of-00001.parquet", row_group_size=2)
    samples = load_worked(tmp_path)
    for number in (4, 0, 3, 1, 2):
        assert samples[number].image.size == (100 + number, 100)
        check(samples[number], Size(100 + number, 100))
    assert [sample.image.size[0] for sample in samples[1:3]] == [101, 102]


def test_no_image_is_opened_before_its_sample_is_asked_for(tmp_path):
    samples = load_worked(write_lines(tmp_path, ROW, ROW | {"image": "gone.png"}))
    check(samples[0])
    with pytest.raises(ImageError, match=r"gone\.png"):
        samples[1]


@pytest.mark.parametrize(
    ("solution", "reason"),
    [
        (TAGS[:-9], "the tag <labels> is not closed"),
        (TAGS[:40], "the tag <points> is not closed"),
        ("<bbox>[10,20,90,80]</bbox>", "the tag <points> is missing"),
        (TAGS + " and so on and", "text outside the tags"),
        (TAGS.replace("[1,0]", "[1]"), "2 points and 1 labels"),
    ],
)
def test_an_answer_that_was_cut_off_is_refused_before_training(tmp_path, solution, reason):
    file = write_lines(tmp_path, ROW, ROW | {"solution": solution})
    with pytest.raises(DataError, match=r"row 1 of .*not whole: .*mend the row or leave it out") as caught:
        load_worked(file)
    assert reason in str(caught.value)


def test_thinking_that_was_cut_off_is_refused_too(tmp_path):
    with pytest.raises(DataError, match="tag <think> is not closed"):
        load_worked(write_lines(tmp_path, ROW | {"thinking": "<think>It lies"}))


def test_answers_measured_in_a_square_keep_its_frame(tmp_path):
    file = write_lines(tmp_path, ROW, size=(60, 40))
    check(load_worked(file, Size(768, 768))[0], Size(768, 768))


def test_numbers_beyond_the_image_are_told_as_another_frame(tmp_path):
    samples = load_worked(write_lines(tmp_path, ROW, size=(60, 40)))
    with pytest.raises(DataError, match=r"reaches to \(90, 80\), beyond 60×40: say in 'data.frame'"):
        samples[0]


def test_nothing_there_is_an_answer_too(tmp_path):
    empty = "<bbox></bbox><points></points><labels></labels>"
    assert load_worked(write_lines(tmp_path, ROW | {"solution": empty}))[0].reference.objects == ()


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"image": "dog.png"}, "should have 'problem', 'thinking' and 'solution', or 'messages'"),
        ({"image": "dog.png", "messages": [{"role": "user", "content": "the dog"}]}, "end with the assistant's answer"),
        ({"image": "dog.png", "messages": ["the dog"]}, "turn 0 of row 0 .* should be a JSON object, found 'the dog'"),
        ({"image": "dog.png", "messages": [{"role": "user", "content": 3}] * 2}, "its turns are of user, user"),
        (ROW | {"solution": [TAGS]}, "'solution' of row 0 .* should be text"),
        (ROW | {"thinking": {"a": 1}}, "'thinking' of row 0 .* should be text"),
        (ROW | {"problem": "half \ud83d"}, "has no request"),
        (ROW | {"image": ["dog.png"]}, "'image' of row 0 .* should be text, found ..dog"),
        (ROW | {"problem": " "}, "has no request"),
        (ROW | {"image": None}, "has no 'image'"),
        ([1], "should be a JSON object"),
        (ROW | {"problem": "<image><image>the dog"}, "row 0 .* asks about 2 images"),
        (
            {
                "image": "dog.png",
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image"}, {"type": "image"}, {"type": "text", "text": "the dog"}],
                    },
                    {"role": "assistant", "content": TAGS},
                ],
            },
            "turn 0 of row 0 .* asks about 2 images",
        ),
        ({"image": "dog.png", "messages": [], "conversations": [{}]}, "both 'messages' and 'conversations'"),
    ],
)
def test_a_row_that_lacks_something_is_named(tmp_path, row, sentence):
    with pytest.raises(DataError, match=sentence):
        load_worked(write_lines(tmp_path, row))


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"{}\n\n{", r"line 3 of '.*' is no JSON"),
        (b"[1]\n", r"line 1 of '.*' should be a JSON object, found \[1\]"),
        ('{"problem": "é"}\n'.encode("latin-1"), r"rows\.jsonl' should be text in UTF-8 and is not"),
    ],
)
def test_a_file_that_is_no_jsonl_is_named_with_its_line(tmp_path, raw, sentence):
    file = tmp_path / "rows.jsonl"
    file.write_bytes(raw if raw[:2] != b"{}" else json.dumps(ROW).encode() + raw[2:])
    with pytest.raises(DataError, match=sentence):
        load_worked(file)


def test_a_place_without_rows_is_named(tmp_path):
    with pytest.raises(DataError, match="found none"):
        load_worked(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        load_worked(tmp_path / "nowhere")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="damaged or no file of rows"):
        load_worked(tmp_path)


def test_a_talk_of_several_requests_is_refused_since_none_of_its_answers_is_that_to_the_first(tmp_path):
    turns = [("user", "<image>\nthe cup"), ("assistant", TAGS), ("user", "now the dog"), ("assistant", TAGS)]
    for names in (("role", "content"), ("from", "value")):
        talk = [dict(zip(names, turn, strict=True)) for turn in turns]
        with pytest.raises(DataError, match=r"row 0 of .* has 2 requests in one talk.*a row of its own"):
            load_worked(write_lines(tmp_path, {"image": "dog.png", "conversations": talk}))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ([encoded()], "row 0 of .* should have one image, found a list of 1"),
        ({"bytes": None, "path": None}, "should have an image, as bytes or as the name of a file, found neither"),
        ({"bytes": None, "path": "../dog.png"}, "only names '../dog.png'"),
    ],
)
def test_an_image_in_a_row_that_is_no_image_is_told(tmp_path, image, said):
    pq.write_table(pa.Table.from_pylist([ROW | {"image": image}]), tmp_path / "train-00000-of-00001.parquet")
    with pytest.raises(DataError, match=said):
        load_worked(tmp_path)[0]


def test_an_image_that_a_row_of_parquet_only_names_lies_beside_it(tmp_path):
    Image.new("RGB", (100, 100)).save(tmp_path / "dog.png")
    pq.write_table(pa.Table.from_pylist([ROW | {"image": {"bytes": None, "path": "dog.png"}}]), tmp_path / "a.parquet")
    check(load_worked(tmp_path)[0])


def test_words_before_and_behind_the_image_stay_apart(tmp_path):
    parts = [{"type": "text", "text": "the dog"}, {"type": "image"}, {"type": "text", "text": "on the left"}]
    for content in (parts, "the dog<image>on the left", "the dog <image> on the left"):
        talk = [{"role": "user", "content": content}, {"role": "assistant", "content": f"<think>a</think>{TAGS}"}]
        (sample,) = load_worked(write_lines(tmp_path, {"image": "dog.png", "messages": talk}))
        assert sample.query == "the dog on the left"
