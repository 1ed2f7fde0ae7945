"""``thinkseg metrics``: two folders of masks in, a table out."""

import json

import numpy as np
import pytest
from PIL import Image

from thinkseg import cli
from thinkseg.evaluation.mask_folders import PAIR_MEASURES, find_pairs, score_files
from thinkseg.evaluation.measures.pairs import GreyRecord
from thinkseg.evaluation.measures.registry import MEASURES, extra_metrics, measure
from thinkseg.evaluation.scoring import score
from thinkseg.imaging import save_mask
from thinkseg.metrics.boundary import correction_effort
from thinkseg.types import Answer, Completion, Prediction, Sample, Size


@pytest.fixture
def folders(tmp_path):
    """Five targets and their predictions, one of them in another letter case and file type."""
    rng = np.random.default_rng(0)
    pairs = []
    for number in range(5):
        target = np.zeros((24, 32), bool)
        target[4:18, 6 : 12 + 3 * number] = True
        pred = np.roll(target, number, axis=1)
        save_mask(target, tmp_path / f"targets/scene {number}.png")
        save_mask(pred, tmp_path / f"predictions/scene {number}.png")
        pairs.append((pred, target))
    (tmp_path / "predictions/scene 4.png").unlink()
    Image.fromarray(pairs[4][0]).convert("L").save(tmp_path / "predictions/scene 4.BMP")
    Image.fromarray(rng.integers(0, 255, (4, 4), dtype=np.uint8)).save(tmp_path / "predictions/another.png")
    return tmp_path / "predictions", tmp_path / "targets", pairs


def run(capsys, *words):
    code = cli.main(["metrics", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_table_and_the_file_hold_every_metric_as_a_report_has_it(folders, capsys, tmp_path):
    predictions, targets, pairs = folders
    code, out, _ = run(capsys, predictions, targets, "--processes", 1, "--json", tmp_path / "new/scores.json")
    assert code == 0
    labels = [MEASURES[name].label for name in PAIR_MEASURES]
    assert [line.split("  ")[0] for line in out.splitlines()] == ["masks", *labels]
    assert "HCE" not in out
    written = json.loads((tmp_path / "new/scores.json").read_text())
    records = []
    for name, (pred, target) in zip("abcde", pairs, strict=True):
        prediction = Prediction(name, Completion(""), Answer(Size(32, 24)), pred[None])
        records.append(score(Sample(name, "none.png", "it", target), prediction, extra_metrics(PAIR_MEASURES)))
    expected = {name: one.value for name, one in measure(records, PAIR_MEASURES).items()}
    assert written == {"count": 5, "metrics": expected}


def test_the_measures_that_are_asked_for_are_measured_those_of_ones_own_among_them(folders, capsys, tmp_path):
    predictions, targets, _ = folders
    mine = tmp_path / "my_measures.py"
    mine.write_text(
        "from thinkseg.evaluation.measures.base import Measure, mean\n"
        "hit = Measure('hit', 'Share that touch it.', mean(lambda one: one.intersection > 0), 'share')\n"
    )
    code, out, _ = run(capsys, predictions, targets, "--processes", 2, "--measures", f"giou, {mine}:hit,p50")
    assert code == 0
    rows = [line.rsplit("  ", 1) for line in out.splitlines()]
    assert [row[0].strip() for row in rows] == ["masks", "mean IoU", "hit", "P@0.5"]
    assert rows[2][1].strip() == "100.00 %"
    for names, said in (("giuo", "did you mean 'giou'"), (" ,", "--measures should name at least one")):
        code, _, err = run(capsys, predictions, targets, "--measures", names)
        assert (code, err.count("\n")) == (2, 1)
        assert said in err


def test_all_missing_predictions_are_named_up_to_ten(folders, capsys):
    predictions, targets, _ = folders
    for number in range(9):
        save_mask(np.eye(8, dtype=bool), targets / f"extra {number}.png")
    (predictions / "scene 1.png").unlink()
    (predictions / "scene 3.png").unlink()
    code, _, err = run(capsys, predictions, targets)
    assert code == 2
    assert "no prediction for 11 of 14 targets" in err
    assert "'extra 0.png', 'extra 1.png'" in err
    assert "'scene 1.png' and 1 more" in err
    (targets / "extra 0.png").unlink()
    assert "'scene 1.png', 'scene 3.png'\n" in run(capsys, predictions, targets)[2]


def test_the_effort_of_correction_is_counted_when_it_is_asked_for(folders, capsys):
    predictions, targets, pairs = folders
    pairs[0] = (~pairs[0][1], pairs[0][1])
    save_mask(pairs[0][0], predictions / "scene 0.png")
    code, out, _ = run(capsys, predictions, targets, "--processes", 1, "--hce")
    assert code == 0
    expected = np.mean([correction_effort(*pair) for pair in pairs])
    assert expected > 0
    assert next(line for line in out.splitlines() if line.startswith("HCE")).endswith(f" {expected:.4f}")


def test_masks_of_nought_and_one_are_measured_the_quick_way_and_grey_ones_by_the_package(folders):
    predictions, targets, pairs = folders
    Image.fromarray(pairs[0][0].astype(np.uint8)).save(predictions / "scene 0.png")  # 0 and 1 in place of 255
    grey = np.where(pairs[1][0], 255, 0).astype(np.uint8)
    grey[0, 0] = 9
    Image.fromarray(grey).save(predictions / "scene 1.png")
    records = score_files(find_pairs(predictions, targets)[:2], ("max_f",), processes=1)
    assert [isinstance(record, GreyRecord) for record in records] == [False, True]


def test_perfect_predictions_score_one(folders, capsys):
    _, targets, _ = folders
    _, out, _ = run(capsys, targets, targets, "--processes", 1)
    rows = dict(line.rsplit("  ", 1) for line in out.splitlines())
    found = {label.strip(): value.strip() for label, value in rows.items()}
    assert (found["S-measure"], found["MAE"], found["mean IoU"]) == ("1.0000", "0.0000", "1.0000")


@pytest.mark.slow
def test_several_processes_give_the_same_records_in_the_same_order(folders):
    predictions, targets, _ = folders
    pairs = find_pairs(predictions, targets)
    alone, together = (score_files(pairs, PAIR_MEASURES, processes=count, chunk=2) for count in (1, 2))
    assert alone == together


def test_soft_maps_are_measured_as_they_are_and_cut_at_one_half_for_iou(folders, capsys):
    predictions, targets, pairs = folders
    soft = Image.fromarray(np.where(pairs[0][1], 200, 90).astype(np.uint8))
    soft.save(predictions / "scene 0.png")
    records = score_files(find_pairs(predictions, targets)[:1], ("giou",), processes=1)
    assert records[0].iou == 1


def test_a_prediction_of_another_size_is_named_unless_it_is_to_be_resized(folders, capsys):
    predictions, targets, pairs = folders
    save_mask(pairs[0][1].repeat(2, axis=0).repeat(2, axis=1), predictions / "scene 0.png")
    code, _, err = run(capsys, predictions, targets, "--processes", 1)
    assert code == 2
    assert "scene 0.png' has 64×48 pixels" in err
    assert "--resize" in err
    code, _, err = run(capsys, predictions, targets, "--processes", 1, "--resize")
    assert code == 0, err
    assert score_files(find_pairs(predictions, targets)[:1], ("giou",), resize=True, processes=1)[0].iou > 0.9


@pytest.mark.parametrize("broken", ["missing", "unreadable", "no targets", "no folder", "processes"])
def test_what_is_wrong_is_named(folders, capsys, broken):
    predictions, targets, _ = folders
    words, sentence = [predictions, targets, "--processes", 1], ""
    if broken == "missing":
        (predictions / "scene 1.png").unlink()
        (predictions / "scene 3.png").unlink()
        sentence = "no prediction for 2 of 5 targets in"
    elif broken == "unreadable":
        (predictions / "scene 1.png").write_bytes(b"")
        sentence = "scene 1.png"
    elif broken == "no targets":
        words[1] = targets / "empty"
        words[1].mkdir()
        sentence = "there are no masks"
    elif broken == "no folder":
        words[0] = targets / "nowhere"
        sentence = "nowhere"
    else:
        words[-1] = -1
        sentence = "'processes' of measure_folders should be a whole number from 1 or None, found -1"
    code, _, err = run(capsys, *words)
    assert code == 2
    assert sentence in err
    assert err.count("\n") == 1


def test_targets_that_cannot_be_read_are_named_and_in_no_number(folders, capsys, tmp_path):
    predictions, targets, pairs = folders
    broken, labels = targets / "scene 1.png", targets / "scene 3.png"
    broken.write_bytes(broken.read_bytes()[:50])
    Image.fromarray(np.repeat(np.arange(3, dtype=np.uint8), 256).reshape(24, 32)).save(labels)
    code, out, err = run(capsys, predictions, targets, "--measures", "giou", "--json", tmp_path / "scores.json")
    kept = [pairs[0], pairs[2], pairs[4]]
    right = np.mean([(pred & target).sum() / (pred | target).sum() for pred, target in kept])
    written = json.loads((tmp_path / "scores.json").read_text())
    assert code == 0
    assert written["count"] == 3
    assert written["metrics"]["giou"] == pytest.approx(right)
    assert [str(broken) in written["left_out"][0], str(labels) in written["left_out"][1]] == [True, True]
    assert out.splitlines()[0].split() == ["masks", "3"]
    assert f"left out of every number: '{broken}' is damaged" in err
    assert f"left out of every number: '{labels}' is no mask of two values" in err
    assert "2 of 5 targets are left out" in err


def test_targets_none_of_which_can_be_read_are_refused(folders, capsys):
    predictions, targets, _ = folders
    for file in targets.iterdir():
        file.write_bytes(b"no image")
    code, out, err = run(capsys, predictions, targets, "--measures", "giou")
    assert (code, out) == (2, "")
    assert "none of the 5 targets" in err
