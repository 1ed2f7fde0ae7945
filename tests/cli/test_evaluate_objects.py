"""Benchmarks of objects from files on disk to the printed report, with a model that says what it is told to say."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.cli import main
from thinkseg.models.pipeline import Pipeline
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.testing.data_sets import write_grefcoco, write_refcoco
from thinkseg.types import Request

Say = Callable[[Request], str]
Evaluate = Callable[..., dict[str, Any]]


def said(*boxes: tuple[float, float, float, float]) -> str:
    objects = [{"bbox_2d": list(box), "point_2d": [(box[0] + box[2]) // 2, (box[1] + box[3]) // 2]} for box in boxes]
    return f"<think>look</think><answer>{json.dumps(objects)}</answer>"


@pytest.fixture
def evaluate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Evaluate:
    """Runs the verb with a model in VisionReasoner's format and returns the report."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")

    def run(benchmark: str, say: Say, *words: str) -> dict[str, Any]:
        pipeline = Pipeline(FakeReasoner(say), FakeSegmenter(), get_format("vision-reasoner"))
        out = tmp_path / "-".join(("out", benchmark, *words))
        usual = ["--data", tmp_path / "data", "--model", tmp_path / "model", "--out", out, "--json"]
        assert main(["evaluate", benchmark, *words, *map(str, usual)], load=lambda *_words, **_options: pipeline) == 0
        report: dict[str, Any] = json.loads(capsys.readouterr().out)
        page = (out / "report.html").read_text(encoding="utf-8")
        assert "Share of samples that reach an IoU" in page or benchmark in ("pixmo-count", "countbench")
        return report

    return run


def value(report: dict[str, Any], name: str) -> float:
    return float(report["metrics"][name]["value"])


def test_grefcoco_is_asked_for_several_objects_and_for_none(evaluate: Evaluate, tmp_path: Path) -> None:
    """Both objects of the first expression are marked in full, the second expression is refused, then not."""
    write_grefcoco(tmp_path / "data" / "grefcoco", tmp_path / "data" / "train2014", ("val",))

    def right(request: Request) -> str:
        return said() if "dinosaur" in request.instruction.user else said((0, 0, 63, 63))

    report = evaluate("grefcoco-val", right)
    assert (value(report, "n_acc"), value(report, "t_acc"), value(report, "correct_abstentions")) == (1, 1, 1)
    assert report["metrics"]["n_acc"]["count"] == report["metrics"]["t_acc"]["count"] == 1
    target = value(report, "ciou")  # the whole image is marked: the share of it that is the target
    assert value(report, "giou") == pytest.approx((target + 1) / 2)

    everything = evaluate("grefcoco-val", lambda _: said((0, 0, 63, 63)), "--limit", "2")
    assert (value(everything, "n_acc"), value(everything, "t_acc")) == (0, 1)
    assert value(everything, "giou") == pytest.approx(target / 2)
    assert value(everything, "ciou") == pytest.approx(target / 2)  # the union grows by the whole image


def write_boxes(root: Path, images: int = 2) -> None:
    """Grey images of 40 × 40 pixels with two cats each; a dog on the second, and a crowd of cats on the first."""
    (root / "images").mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    for number in range(1, images + 1):
        Image.new("RGB", (40, 40), "grey").save(root / "images" / f"{number}.png")
        boxes = [(1, [0, 0, 8, 8], 0), (1, [20, 0, 8, 8], 0)]
        boxes += [(1, [0, 30, 40, 10], 1)] if number == 1 else [(2, [20, 20, 10, 10], 0)]
        for category, (x, y, w, h), crowd in boxes:
            outline = [x, y, x + w, y, x + w, y + h, x, y + h]
            rows.append(
                {"id": len(rows) + 1, "image_id": number, "category_id": category, "bbox": [x, y, w, h],
                 "area": w * h, "iscrowd": crowd, "segmentation": [outline]}
            )  # fmt: skip
    content = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 40, "height": 40} for n in range(1, images + 1)],
        "annotations": rows,
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    (root / "annotations.json").write_text(json.dumps(content), encoding="utf-8")


def test_boxes_of_ones_own_are_held_against_all_objects_of_a_category(evaluate: Evaluate, tmp_path: Path) -> None:
    """Cats: in each image one of two is found and a large box is wrong; a third box lies on the crowd of the first
    image, where it counts neither way, and is wrong on the second. So 2 of 5 boxes are right and 2 of 4 cats found:
    precision 2/5 at 51 of 101 recalls. The dog is found: 1. Their mean is the AP.

    By area (180, 180, 144 wrong, 64 and 64 right) the precision is 1/4 and 2/5 at the recalls 1/4 and 2/4; COCO takes
    the best from a recall on: 2/5, the same.
    """
    write_boxes(tmp_path / "data")

    def say(request: Request) -> str:
        if '"dog"' in request.instruction.user:
            return said((20, 20, 30, 30))
        return said((10, 10, 20, 28), (20, 0, 28, 8), (2, 31, 20, 39))

    report = evaluate("folder-detection", say)
    assert value(report, "box_precision") == pytest.approx(3 / 6)  # the dog's box is one more, and right
    assert value(report, "box_recall") == pytest.approx(3 / 5)
    assert value(report, "ap") == pytest.approx((2 / 5 * 51 / 101 + 1) / 2)
    assert report["metrics"]["ap"]["count"] == 3

    by_area = evaluate("folder-detection", say, "--protocol", "vision-reasoner")
    assert value(by_area, "ap_by_area") == pytest.approx((2 / 5 * 51 / 101 + 1) / 2)
    assert "ap" not in by_area["metrics"]


def test_a_large_right_box_before_a_small_wrong_one_is_worth_more_by_area(evaluate: Evaluate, tmp_path: Path) -> None:
    """One cat of two found by the larger of two boxes: by area precision 1 at 51 of 101 recalls, unranked 1/2."""
    write_boxes(tmp_path / "data", images=1)

    def say(_: Request) -> str:
        return said((12, 12, 15, 15), (0, 0, 8, 8))

    assert value(evaluate("folder-detection", say), "ap") == pytest.approx(0.5 * 51 / 101)
    by_area = evaluate("folder-detection", say, "--protocol", "vision-reasoner")
    assert value(by_area, "ap_by_area") == pytest.approx(51 / 101)


def test_coco_is_found_by_its_tree_and_has_to_be_whole(
    evaluate: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_boxes(tmp_path / "own")
    data = tmp_path / "data"
    (data / "annotations").mkdir(parents=True)
    (tmp_path / "own" / "images").rename(data / "val2017")
    (tmp_path / "own" / "annotations.json").rename(data / "annotations" / "instances_val2017.json")
    report = evaluate("coco-detection", lambda _: said((0, 0, 8, 8), (20, 0, 28, 8)), "--limit", "1")
    assert value(report, "ap") == 1
    words = ["--data", data, "--model", tmp_path / "model", "--out", tmp_path / "out"]
    assert main(["evaluate", "coco-detection", *map(str, words)]) == 2
    assert "has 5000 images, found 2; the copy on disk is not whole" in capsys.readouterr().err


def test_referring_data_sets_tell_how_many_boxes_are_right(evaluate: Evaluate, tmp_path: Path) -> None:
    """The right box is written second: wrong by the first box, right by whichever box, as VisionReasoner counts."""
    write_refcoco(tmp_path / "data" / "refcoco", tmp_path / "data" / "train2014", splits=("val",))
    content = json.loads((tmp_path / "data" / "refcoco" / "instances.json").read_text(encoding="utf-8"))
    x, y, width, height = content["annotations"][0]["bbox"]
    right, corner = (x, y, x + width, y + height), (0, 0, 2, 2)

    def say(request: Request) -> str:
        return said(right) if "thing 1" in request.instruction.user else said(corner, right)

    report = evaluate("refcoco-val", say, "--limit", "2")
    assert value(report, "box_accuracy") == 0.5
    assert report["metrics"]["box_accuracy"]["count"] == 2
    published = evaluate("refcoco-val", lambda _: said(corner, right), "--limit", "2", "--protocol", "vision-reasoner")
    assert value(published, "any_box_accuracy") == 1
    assert value(published, "any_box_or_hull_accuracy") == 1
    told = {row["choice"]: row["run"] for row in published["published"]}
    assert told["unit"] == told["right box"] == "as theirs"
    assert told["canvas"] == "the image's own size"  # the tiny model is none of theirs
    assert "published" not in report
    assert published["metrics"]["any_box_accuracy"]["count"] == 1  # one expression of the one object


def write_rows(file: Path, rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True)
    for row in rows:
        stream = io.BytesIO()
        Image.new("RGB", (40, 40), "white").save(stream, format="PNG")
        row["image"] = {"bytes": stream.getvalue(), "path": None}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)


def count_to_three(request: Request) -> str:
    """Three boxes where cups are asked for, two for plates, nonsense for forks."""
    if "forks" in request.instruction.user:
        return "many"
    return said(*[(0, 0, 8, 8), (10, 0, 18, 8), (20, 0, 28, 8)][: 3 if "cups" in request.instruction.user else 2])


@pytest.mark.parametrize("protocol", ["default", "vision-reasoner"])
def test_counts_are_the_number_of_objects_that_the_model_names(
    protocol: str, evaluate: Evaluate, tmp_path: Path
) -> None:
    """3 of 3 cups, 2 of 5 plates, 0 of 4 forks: one of three exact, wrong by (0 + 3 + 4) / 3."""
    rows = [{"label": label, "count": count} for label, count in (("cups", 3), ("plates", 5), ("forks", 4))]
    write_rows(tmp_path / "data" / "pixmo-count" / "data" / "test-00000-of-00001.parquet", rows)
    report = evaluate("pixmo-count", count_to_three, "--protocol", protocol)
    assert value(report, "exact_count") == pytest.approx(1 / 3)
    assert value(report, "count_error") == pytest.approx(7 / 3)
    assert value(report, "parse_failures") == pytest.approx(1 / 3)
    assert report["metrics"]["exact_count"]["count"] == 3
    assert set(report["metrics"]) == {"exact_count", "count_error", "parse_failures", "false_abstentions"}


def test_countbench_is_asked_its_questions(evaluate: Evaluate, tmp_path: Path) -> None:
    rows = [{"question": "How many cups are there?", "number": 3, "text": "three cups"}]
    write_rows(tmp_path / "data" / "CountBench" / "train-00000-of-00001.parquet", rows)
    assert value(evaluate("countbench", count_to_three), "exact_count") == 1


def test_a_report_of_counts_shows_numbers_and_no_iou(evaluate: Evaluate, tmp_path: Path) -> None:
    write_rows(tmp_path / "data" / "pixmo-count" / "test.parquet", [{"label": "plates", "count": 5}])
    evaluate("pixmo-count", count_to_three)
    page = (tmp_path / "out-pixmo-count" / "report.html").read_text(encoding="utf-8")
    assert "the true number: 5" in page
    assert "2 found, 5 there" in page
    assert "Share of the samples with the right number of objects. (1 samples)" in page
    assert "IoU" not in page.split('id="failures"')[0].split("<body>")[1]


def test_a_counting_benchmark_that_is_not_there_is_told_with_the_way_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", tmp_path, "--model", tmp_path / "no model", "--out", tmp_path / "out"]
    assert main(["evaluate", "countbench", *map(str, words)]) == 2
    assert "found no '*' (.parquet, .jsonl, .csv) in a folder 'countbench'" in capsys.readouterr().err
