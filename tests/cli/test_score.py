"""``thinkseg score``: from lines of completions to lines of rewards."""

import io
import json

import numpy as np
import pytest
from PIL import Image

import thinkseg
from thinkseg import cli
from thinkseg.api.score import create_rubric
from thinkseg.errors import InputError
from thinkseg.imaging import rle_from_mask, save_mask
from thinkseg.types import Segmentation

HIT = "<think>a</think><bbox>[10,5,19,14]</bbox><points></points><labels></labels>"
LISTED = '<think>a</think><answer>[{"bbox_2d": [10, 5, 19, 14], "point_2d": [12, 9]}]</answer>'


def write(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def scored(capsys, *words):
    """What the command prints, line by line."""
    code = cli.main(["score", *words])
    out, err = capsys.readouterr()
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


def complaint(capsys, *words):
    assert cli.main(["score", *words]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return err


def test_every_line_gives_id_parts_and_total(tmp_path, capsys):
    file = write(
        tmp_path / "completions.jsonl",
        {
            "id": "a",
            "completion": LISTED,
            "frame": [40, 30],
            "objects": [{"bbox_2d": [10, 5, 19, 14], "point_2d": [12, 9]}],
        },
        {"completion": LISTED, "comment": "unknown fields are passed over"},
        {"id": 7, "completion": "no"},
    )
    first, second, third = scored(capsys, file, "--format", "vision-reasoner")
    assert first == {"id": "a", "parts": {"format": 3, "accuracy": 3, "non_repeat": 1}, "total": 7, "malformed": None}
    assert second == {"id": 2, "parts": {"format": 3, "accuracy": None, "non_repeat": 1}, "total": 4, "malformed": None}
    assert (third["id"], third["parts"]["format"], third["malformed"]) == (7, 0, "there is no <answer>")


def test_the_recorded_completions_of_seg_r1_are_scored(repository, capsys):
    file = repository / "tests/data/golden/seg_r1_answers.jsonl"
    recorded = [json.loads(line) for line in file.read_text().splitlines()]
    lines = scored(capsys, str(file), "--format", "seg-r1")
    assert [line["id"] for line in lines] == [line["id"] for line in recorded]
    assert {line["parts"]["segment"] for line in lines} == {None}
    differing = [
        ours["id"] for ours, theirs in zip(lines, recorded, strict=True) if ours["parts"]["format"] != theirs["format"]
    ]
    assert len(differing) == 13  # decimals: see tests/answers/test_tags.py


def test_the_mask_of_a_line_is_compared_with_what_the_segmenter_makes(tmp_path, capsys):
    target = np.zeros((30, 40), bool)
    target[5:15, 10:20] = True
    (tmp_path / "data").mkdir()
    save_mask(target, tmp_path / "data/mask.png")
    Image.new("RGB", (40, 30)).save(tmp_path / "data/image.png")

    class Perfect:
        def segment(self, image, answers):
            return [Segmentation(np.stack([target] * len(answer.objects))) for answer in answers]

    truth = {"frame": [40, 30], "mask": "mask.png", "image": "image.png"}
    file = write(tmp_path / "data/completions.jsonl", {"completion": HIT, **truth}, {"completion": HIT})
    first, second = thinkseg.score(file, format="seg-r1", segmenter=Perfect())
    assert first.parts["segment"] == pytest.approx(1)
    assert second.parts == {"segment": None, "format": 1}
    (alone, _) = scored(capsys, file, "--format", "seg-r1")
    assert alone["parts"]["segment"] is None


def test_the_masks_of_a_line_are_matched_with_those_of_its_objects(tmp_path):
    left, right = np.zeros((2, 30, 40), bool)
    left[5:15, 10:20], right[5:15, 25:35] = True, True
    save_mask(left, tmp_path / "left.png")
    Image.new("RGB", (40, 30)).save(tmp_path / "image.png")

    class Perfect:
        def segment(self, image, answers):
            return [Segmentation(np.stack([left, right][: len(answer.objects)])) for answer in answers]

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("format: vision-reasoner\nrewards: {matched_masks: 1, points_inside: 1, soft_accuracy: 1}\n")
    nothing = LISTED.partition("<answer>")[0] + "<answer>[]</answer>"
    image = {"frame": [40, 30], "image": "image.png"}
    file = write(
        tmp_path / "completions.jsonl",
        {"completion": LISTED, "masks": ["left.png"], **image},
        {"completion": LISTED, "masks": ["left.png", rle_from_mask(right)], **image},
        {"completion": nothing, "masks": [], **image},
        {"completion": LISTED, "masks": [], "frame": [40, 30]},
        {"completion": LISTED, **image},
    )
    parts = [score.parts for score in thinkseg.score(file, recipe=recipe, segmenter=Perfect())]
    assert [part["matched_masks"] for part in parts] == [1, 0.5, 1, None, None]
    assert [part["points_inside"] for part in parts] == [1, 1, 1, 0, None]
    assert [part["soft_accuracy"] for part in parts] == [None, None, 3, 0, None]


def test_a_recipe_file_brings_its_weights_and_may_bring_its_format(tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("stage: rl\nformat: seg-zero\nrewards: {think_format: 0.5, answer_format: 2}\n")
    single = '{"bbox": [10, 5, 19, 14], "points_1": [12, 9], "points_2": [13, 9]}'
    file = write(tmp_path / "completions.jsonl", {"completion": f"<think>a</think><answer>{single}</answer>"})
    (line,) = scored(capsys, file, "--recipe", str(recipe))
    assert line["parts"] == {"think_format": 1, "answer_format": 1}
    assert line["total"] == 2.5
    assert "leave one out" in complaint(capsys, file, "--recipe", str(recipe), "--format", "seg-r1")
    recipe.write_text("rewards: {format: 1}\n")
    assert "add --format" in complaint(capsys, file, "--recipe", str(recipe))
    assert scored(capsys, file, "--recipe", str(recipe), "--format", "seg-zero")[0]["total"] == 1


def test_a_recipe_may_be_tolerant_about_code_fences(tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("format: vision-reasoner\ntolerant: true\nrewards: {format: 1}\n")
    fenced = LISTED.replace("<answer>", "<answer>```json\n").replace("</answer>", "\n```</answer>")
    file = write(tmp_path / "completions.jsonl", {"completion": fenced})
    assert scored(capsys, file, "--recipe", str(recipe))[0]["total"] == 3
    assert scored(capsys, file, "--format", "vision-reasoner")[0]["parts"]["format"] == 1


def test_standard_input_is_read_and_blank_lines_are_passed_over(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"completion": HIT}) + "\n\n"))
    assert len(scored(capsys, "-", "--format", "seg-r1")) == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"completion": "a"}\n{"completion": \n', "line 2 of"),
        ('{"completion": 3}\n', "the text 'completion'"),
        ("[]\n", "the text 'completion'"),
        ('{"completion": "a", "box": [1, 2, 3, 4]}\n', "line 1 of"),
        (
            '{"completion": "a", "frame": [840]}\n',
            "'frame' should be [width, height], two whole numbers from 1 on, found [840]",
        ),
        ('{"completion": "a", "mask": "m.png"}\n', "a 'mask' needs 'frame'"),
        ('{"completion": "a", "mask": "m.png", "frame": [8, 6]}\n', "m.png"),
        ('{"completion": "a", "masks": []}\n', "a 'mask' needs 'frame'"),
        ('{"completion": "a", "masks": "m.png", "frame": [8, 6]}\n', "should be a list of files or of run lengths"),
        (
            '{"completion": "a", "masks": [{"size": [1, 1]}], "frame": [8, 6]}\n',
            "one of 'masks' cannot be read: run lengths should be an object with 'size' and 'counts'",
        ),
        ('{"completion": "a", "masks": [3], "frame": [8, 6]}\n', "one of 'masks' should be a file, or run lengths"),
        ('{"completion": "a", "frame": [NaN, 6]}\n', "two whole numbers from 1 on, found [nan, 6]"),
        ('{"completion": "a", "frame": [0, 6]}\n', "two whole numbers from 1 on, found [0, 6]"),
        ('{"completion": "a", "frame": [8.5, 6]}\n', "two whole numbers from 1 on, found [8.5, 6]"),
        ('{"completion": "a", "frame": ["8", 6]}\n', "two whole numbers from 1 on"),
        ('{"completion": "a", "mask": ["m.png"], "frame": [8, 6]}\n', "'mask' should be a file, or run lengths"),
        (
            '{"completion": "a", "mask": "m.png", "frame": [8, 6], "image": ["a.png"]}\n',
            "'image' should be the name of",
        ),
        (
            '{"completion": "a", "masks": [{"size": [1, 1], "counts": "01"}, {"size": [1, 2], "counts": "02"}], '
            '"frame": [8, 6]}\n',
            "found different sizes",
        ),
    ],
)
def test_a_wrong_line_is_named_and_exits_with_two(tmp_path, capsys, text, sentence):
    path = tmp_path / "completions.jsonl"
    path.write_text(text)
    assert sentence in complaint(capsys, str(path), "--format", "seg-r1")


def test_a_wrong_call_says_what_to_do(tmp_path, capsys):
    file = write(tmp_path / "completions.jsonl", {"completion": HIT})
    assert "--format" in complaint(capsys, file)
    assert "did you mean 'seg-r1'?" in complaint(capsys, file, "--format", "seg-r9")
    assert "vision-reasoner" in complaint(capsys, file, "--format", "seg-r1", "--recipe", "nowhere.yaml")
    assert "no setting 'completion'" in complaint(capsys, file, "--format", "seg-r1", "--recipe", file)
    (tmp_path / "bare.yaml").write_text("format: seg-r1\n")
    assert "needs 'rewards'" in complaint(capsys, file, "--recipe", str(tmp_path / "bare.yaml"))
    assert "leave one out" in complaint(capsys, file, "--format", "seg-r1", "--recipe", "seg-zero")
    assert "nowhere.jsonl" in complaint(capsys, "nowhere.jsonl", "--format", "seg-r1")


def test_a_recipe_that_comes_along_is_known_by_its_name(tmp_path, capsys):
    file = write(tmp_path / "completions.jsonl", {"completion": HIT})
    (line,) = scored(capsys, file, "--recipe", "pocket/rl")
    assert list(line["parts"]) == ["segment", "soft_box_iou", "points_inside", "presence", "format"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rewads: {format: 1}", "there is no setting 'rewads'; did you mean 'rewards'?"),
        ("rewards: {format: true}", "'rewards.format' should be a number, found True"),
        ("rewards: {format: 1}\nrewards: {format: 2}", "the key 'rewards' comes twice"),
    ],
)
def test_a_recipe_is_checked_as_for_training(tmp_path, capsys, text, sentence):
    file = write(tmp_path / "completions.jsonl", {"completion": HIT})
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text)
    assert sentence in complaint(capsys, file, "--format", "seg-r1", "--recipe", str(recipe))


def test_completions_in_memory_are_scored_with_weights_of_ones_own():
    (found,) = thinkseg.score([{"id": "a", "completion": HIT}], format="seg-r1", rewards={"format": 0.5})
    assert found.as_json() == {"id": "a", "parts": {"format": 1.0}, "total": 0.5, "malformed": None}


def test_a_recipe_may_be_more_exact_about_the_format_than_the_call():
    assert create_rubric("seg-r1", "seg-r1-prerl").format.name == "seg-r1-points"
    assert create_rubric("seg-zero", "seg-zero-soft").format.name == "seg-zero-soft"
    assert create_rubric("seg-r1-points", None).weights == {"segment": 1.0, "format": 1.0}
    with pytest.raises(InputError, match="leave one out"):
        create_rubric("seg-r1-points", "seg-r1")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_the_first_completion(tmp_path, capsys, encoding):
    file = tmp_path / "c.jsonl"
    file.write_bytes('{"completion": "<think>caf\u00e9\u2028</think>"}\n'.encode(encoding))
    assert cli.main(["score", str(file), "--format", "seg-zero"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == 1


def test_a_file_in_another_encoding_is_told_until_it_is_named(tmp_path, capsys):
    file = tmp_path / "c.jsonl"
    file.write_bytes('{"completion": "<think>caf\u00e9</think>"}\n'.encode("cp1252"))
    assert "c.jsonl' should be text in UTF-8 and is not (line 1)" in complaint(
        capsys, str(file), "--format", "seg-zero"
    )
    assert cli.main(["score", str(file), "--format", "seg-zero", "--encoding", "cp1252"]) == 0


@pytest.mark.parametrize("name", ["mask", "masks"])
def test_run_lengths_that_are_written_out_are_the_truth(tmp_path, capsys, name):
    told = {"size": [4, 6], "counts": [8, 4, 12]}  # the third column of four pixels
    written = rle_from_mask(np.arange(6)[None].repeat(4, axis=0) == 2)
    scores = []
    for form in (told, written):
        line = {"completion": HIT, "frame": [6, 4], name: [form] if name == "masks" else form}
        (tmp_path / "c.jsonl").write_text(json.dumps(line) + "\n")
        assert cli.main(["score", str(tmp_path / "c.jsonl"), "--format", "seg-r1"]) == 0
        scores.append(capsys.readouterr().out)
    assert scores[0] == scores[1]


def test_the_values_of_the_published_functions_are_given_where_they_are_asked_for(tmp_path, capsys):
    """White space before the thinking: the published pattern of its format does not match, ours reads it."""
    text = '<think>a</think><answer>{"bbox": [1, 1, 9, 9], "points_1": [2, 2], "points_2": [3.9, 3]}</answer>'
    line = {"completion": f" {text}", "frame": [9, 9], "box": [1, 1, 9, 9], "points": [[2, 2], [3, 3]]}
    (tmp_path / "c.jsonl").write_text(json.dumps(line) + "\n")
    assert cli.main(["score", str(tmp_path / "c.jsonl"), "--format", "seg-zero", "--rewards", "published"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["parts"]["think_format"] == 0
    (found,) = thinkseg.score([line], format="seg-zero", rewards="published")
    assert found.as_json() == told
    with pytest.raises(InputError, match="'rewards' of score should be a mapping or 'published' or None, found 'ours'"):
        thinkseg.score([line], format="seg-zero", rewards="ours")


def test_a_format_of_ones_own_needs_rewards_that_are_named(tmp_path):
    file = tmp_path / "my_format.py"
    file.write_text("from thinkseg.answers.tags import SegR1 as Boxes\n")
    with pytest.raises(InputError, match="a format of one's own has no published rewards, so name a recipe with --rec"):
        create_rubric(f"{file}:Boxes", None)


def test_a_completion_of_a_stream_is_answered_before_the_next_one_comes():
    taken = []

    def lines():
        for name in "abc":
            taken.append(name)
            yield json.dumps({"id": name, "completion": HIT})

    scores = thinkseg.score(lines(), format="seg-r1")
    assert next(scores).id == "a"
    assert taken == ["a"]
    assert [score.id for score in scores] == ["b", "c"]
