"""``thinkseg data``: its words, its exit codes, its files."""

import json

import numpy as np
import pytest
from PIL import Image

from thinkseg.cli import main
from thinkseg.data.discovery.catalog import DATA_SETS
from thinkseg.data.prepared.writer import load_prepared
from thinkseg.imaging import save_mask
from thinkseg.testing.data_sets import write_coco, write_folders, write_pair, write_refcoco


@pytest.fixture
def own(tmp_path):
    """Two folders with three pairs."""
    for number in range(3):
        write_pair(tmp_path / f"own/shots/{number}.jpg", tmp_path / f"own/masks/{number}.png", number)
    return tmp_path / "own"


def run(capsys, *words):
    code = main(["data", *map(str, words)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_list_names_every_data_set_with_counts_and_sources(capsys):
    code, out, _ = run(capsys, "list")
    assert code == 0
    for data_set in DATA_SETS.values():
        assert data_set.name in out
        assert data_set.source in out
        assert data_set.licence in out
    assert "train 3,040, test 2,026" in out
    code, out, _ = run(capsys, "list", "--json")
    assert [entry["name"] for entry in json.loads(out)] == list(DATA_SETS)


@pytest.mark.parametrize("name", DATA_SETS)
def test_the_list_tells_all_about_one(capsys, name):
    code, out, _ = run(capsys, "list", name)
    assert code == 0
    assert DATA_SETS[name].licence in out
    assert "expected" in out


def test_an_unknown_data_set_is_a_wrong_call(capsys):
    code, _, err = run(capsys, "list", "cod")
    assert code == 2
    assert "there is no data set 'cod'" in err


def test_own_folders_without_a_fault_pass(capsys, own):
    code, out, _ = run(capsys, "check", own, "--images", "shots", "--masks", "masks")
    assert code == 0
    assert "all: 3 samples, 3 images" in out
    assert "no fault" in out


def test_faults_are_named_and_exit_with_1(capsys, own):
    (own / "masks/1.png").unlink()
    save_mask(np.zeros((64, 64), dtype=bool), own / "masks/2.png")
    words = ("check", own, "--images", "shots", "--masks", "masks")
    code, out, _ = run(capsys, *words)
    assert code == 1
    assert "missing-mask: 1 × an image that no mask goes with\n    shots/1.jpg" in out
    assert "empty: 1 × " in out
    code, out, _ = run(capsys, *words, "--json")
    assert code == 1
    report = json.loads(out)
    assert report["refused"] == 2
    assert [fault["where"] for fault in report["sets"][0]["faults"]] == ["shots/1.jpg", "masks/2.png"]
    assert run(capsys, *words, "--allow", "empty")[0] == 1
    assert run(capsys, *words, "--allow", "empty", "--allow", "missing-mask")[0] == 0


def test_a_kind_that_does_not_exist_cannot_be_allowed(capsys, own):
    code, _, err = run(capsys, "check", own, "--allow", "ugly")
    assert code == 2
    assert "there is no fault 'ugly'" in err


def test_long_lists_of_files_are_cut_for_people_only(capsys, own):
    for number in range(3):
        (own / f"masks/{number}.png").write_bytes(b"")
    words = ("check", own, "--images", "shots", "--masks", "masks", "--names", 1)
    _, out, _ = run(capsys, *words)
    assert "and 2 more (--names 3, or --json)" in out
    assert len(json.loads(run(capsys, *words, "--json")[1])["sets"][0]["faults"]) == 3


def test_known_data_sets_below_a_root_are_checked_together(capsys, tmp_path):
    write_folders("camo", tmp_path)
    write_folders("ecssd", tmp_path)
    code, out, _ = run(capsys, "check", tmp_path)
    assert code == 1
    assert "camo in" in out
    assert "ecssd in" in out
    assert "camo test: 2 samples, published are 250" in out
    assert run(capsys, "check", tmp_path, "--allow", "wrong-count")[0] == 0
    code, out, _ = run(capsys, "check", tmp_path, "--split", "train", "--json")
    assert [entry["name"] for entry in json.loads(out)["sets"]] == ["camo"]


def test_a_data_set_can_be_named_and_has_to_be_there(capsys, tmp_path):
    write_refcoco(tmp_path / "a/refcoco", tmp_path / "photos", splits=("val", "testA"))
    words = ("check", tmp_path, "--dataset", "refcoco", "--images", "photos")
    code, out, _ = run(capsys, *words, "--json")
    assert code == 1
    assert [split["split"] for split in json.loads(out)["sets"][0]["splits"]] == ["val", "testA"]
    code, _, err = run(capsys, "check", tmp_path, "--dataset", "nc4k")
    assert code == 2
    assert "found no split of NC4K" in err
    code, _, err = run(capsys, "check", tmp_path, "--dataset", "refcoco", "--split", "testB", "--images", "photos")
    assert code == 2
    assert "found no 'testB'" in err


def test_a_pickle_that_runs_code_is_a_fault_and_the_check_goes_on(capsys, tmp_path):
    write_refcoco(tmp_path / "refcoco", tmp_path / "train2014")
    write_folders("ecssd", tmp_path)
    (tmp_path / "refcoco/refs(unc).p").write_bytes(b"cos\nsystem\n(S'touch it-ran'\ntR.")
    code, out, _ = run(capsys, "check", tmp_path, "--allow", "wrong-count")
    assert code == 1
    assert "is refused: to read it would run 'os.system'" in out
    assert "ecssd in" in out
    words = ("--dataset", "refcoco", "--split", "val", "--out", tmp_path / "a.png")
    code, _, err = run(capsys, "show", tmp_path, *words)
    assert code == 2
    assert "is refused: to read it would run 'os.system'" in err


@pytest.mark.parametrize("root", [".", "gone"])
def test_a_root_with_nothing_in_it_is_a_wrong_call(capsys, tmp_path, root):
    code, _, err = run(capsys, "check", tmp_path / root)
    assert code == 2
    assert "thinkseg: error:" in err
    assert "found n" in err


def test_tables_and_coco_instances_are_checked(capsys, own, tmp_path):
    (own / "rows.csv").write_text("image,query,mask\nshots/0.jpg,x,masks/0.png\nshots/1.jpg,y,masks/gone.png\n")
    code, out, _ = run(capsys, "check", own / "rows.csv")
    assert code == 1
    assert "masks/gone.png: named in line 3 of rows.csv" in out
    write_coco(tmp_path / "coco/a.json", tmp_path / "coco/images")
    assert run(capsys, "check", tmp_path / "coco", "--annotations", "a.json", "--images", "images")[0] == 0


def test_show_writes_a_sheet(capsys, own, tmp_path):
    words = ("show", own, "--images", "shots", "--masks", "masks", "--query", "the thing")
    code, out, _ = run(capsys, *words, "--out", tmp_path / "new/sheet.png", "--count", 2, "--columns", 2)
    assert code == 0
    assert "2 of 3 samples" in out
    with Image.open(tmp_path / "new/sheet.png") as sheet:
        assert sheet.width == 2 * 300 + 3 * 12
    assert run(capsys, *words, "--out", tmp_path / "sheet.txt")[0] == 2
    assert run(capsys, *words, "--out", tmp_path / "sheet.png", "--count", 0)[0] == 2


def test_show_and_prepare_want_one_split(capsys, tmp_path):
    write_folders("camo", tmp_path / "data")
    code, _, err = run(capsys, "show", tmp_path / "data", "--out", tmp_path / "a.png")
    assert code == 2
    assert "--dataset camo --split train or --dataset camo --split test" in err
    assert run(capsys, "show", tmp_path / "data", "--split", "test", "--out", tmp_path / "a.png")[0] == 0


def test_prepare_writes_rows_and_says_what_it_left_out(capsys, own, tmp_path):
    (own / "masks/1.png").write_bytes(b"")
    words = ("prepare", own, "--images", "shots", "--masks", "masks", "--split", "test", "--out", tmp_path / "rows")
    code, _, err = run(capsys, *words)
    assert code == 2
    assert "1.png" in err
    words = (*words[:-1], tmp_path / "other", "--skip-faulty", "--query", "the thing")
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert out == (
        f"2 rows in 1 files: {tmp_path / 'other'}\nleft out 1 × unreadable (its image or its mask cannot be read): 1\n"
    )
    assert list(json.loads(run(capsys, *words, "--json")[1])["left_out"]) == ["1"]
    assert [sample.query for sample in load_prepared(tmp_path / "other", "test")] == ["the thing"] * 2


def test_prepare_refuses_a_copy_with_holes_and_numbers_that_cannot_be(capsys, own, tmp_path):
    (own / "masks/1.png").unlink()
    words = ("prepare", own, "--images", "shots", "--masks", "masks", "--out", tmp_path / "rows")
    code, _, err = run(capsys, *words)
    assert code == 2
    assert "not whole: 1 × missing-mask" in err
    assert run(capsys, *words, "--rows-per-file", 0)[0] == 2


def test_an_action_has_to_be_named(capsys):
    assert main(["data"]) == 2
    assert "required: {list,download,check,show,split,prepare}" in capsys.readouterr().err


def test_rows_of_the_published_schemas_are_written_shown_and_read_again(capsys, own, tmp_path):
    (own / "t.jsonl").write_text(
        '{"id": "a", "image": "shots/0.jpg", "query": "it", "masks": ["masks/0.png"]}\n'
        '{"id": "b", "image": "shots/1.jpg", "query": "both", "masks": ["masks/1.png", "masks/0.png"]}\n'
        '{"id": "c", "image": "shots/1.jpg", "query": "the cow", "masks": []}\n'
    )
    words = ("prepare", own / "t.jsonl", "--schema", "vision-reasoner", "--resize", 112)
    code, out, _ = run(capsys, *words, "--out", tmp_path / "vision")
    assert (code, out) == (0, f"3 rows in 1 files: {tmp_path / 'vision'}\n")
    assert [len(sample.reference.objects) for sample in load_prepared(tmp_path / "vision")] == [1, 2, 0]
    assert run(capsys, "show", tmp_path / "vision", "--out", tmp_path / "sheet.png")[0] == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 900
    code, out, _ = run(capsys, "prepare", own / "t.jsonl", "--schema", "seg-zero", "--out", tmp_path / "zero")
    assert code == 0
    assert "1 rows in 1 files" in out
    assert "left out 1 × several-objects (the schema has one object): b\n" in out
    assert "left out 1 × nothing-there (the schema has one object): c" in out
    assert load_prepared(tmp_path / "zero")[0].image.size == (840, 840)
    code, out, _ = run(capsys, "prepare", tmp_path / "vision", "--out", tmp_path / "own rows")
    assert (code, out) == (0, f"3 rows in 1 files: {tmp_path / 'own rows'}\n")
    assert run(capsys, "check", tmp_path / "own rows")[0] == 0


def test_rows_that_a_segmenter_does_not_reach_are_left_out_and_listed(capsys, own, tmp_path):
    words = ("prepare", own, "--images", "shots", "--masks", "masks", "--schema", "seg-zero", "--resize", 56)
    code, out, _ = run(capsys, *words, "--keep-iou", 1, "--segmenter", "grabcut", "--out", tmp_path / "none")
    assert code == 0
    assert "0 rows in 1 files" in out
    assert "left out 3 × below-iou" in out
    manifest = json.loads((tmp_path / "none/prepared.json").read_text())
    assert manifest["reasons"] == {"below-iou": 3}
    assert (manifest["settings"]["keep_iou"], manifest["settings"]["segmenter"]) == (1, "grabcut")
    assert all(why.startswith("below-iou: 0.") for why in manifest["left_out"]["train-00000-of-00001.parquet"].values())
    code, out, _ = run(capsys, *words, "--keep-iou", 0.01, "--segmenter", "grabcut", "--out", tmp_path / "all")
    assert "3 rows in 1 files" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--keep-iou", 0.6), "'--keep-iou' and '--segmenter' go together"),
        (("--segmenter", "grabcut"), "'--keep-iou' and '--segmenter' go together"),
        (("--keep-iou", 60, "--segmenter", "grabcut"), "above 0 and at most 1"),
        (("--resize", 0), "at least 1"),
        (("--points", 2, "--schema", "seg-zero"), "'--points' is for the schema 'thinkseg'"),
        (("--published-points",), "'--published-points' says how points are found: ask for some"),
        (("--resize", 84, "--longest-side", 84), "not allowed with"),
    ],
)
def test_settings_of_rows_that_cannot_be_are_told(capsys, own, tmp_path, words, said):
    code, _, err = run(capsys, "prepare", own, "--images", "shots", "--masks", "masks", "--out", tmp_path / "r", *words)
    assert code == 2
    assert said in err


def test_a_size_that_no_model_sees_is_remarked(capsys, own, tmp_path):
    words = ("prepare", own, "--images", "shots", "--masks", "masks", "--out")
    assert "multiple neither of 28 nor of 32" in run(capsys, *words, tmp_path / "a", "--resize", 100)[2]
    assert "multiple neither" not in run(capsys, *words, tmp_path / "b", "--resize", 96)[2]


def test_a_source_without_a_sample_is_a_fault(capsys, tmp_path):
    for name in ("images", "masks"):
        (tmp_path / "own" / name).mkdir(parents=True)
    code, out, _ = run(capsys, "check", tmp_path / "own", "--images", "images", "--masks", "masks")
    assert code == 1
    assert "no-samples: 1" in out
    assert "no fault" not in out


def test_every_wrong_row_of_annotations_is_named_and_nothing_is_loaded(capsys, tmp_path):
    file = tmp_path / "own/a.json"
    write_coco(file, tmp_path / "own/images")
    content = json.loads(file.read_text())
    row = content["annotations"][0]
    content["annotations"] = [row | {"id": number, "image_id": "first"} for number in range(14)]
    content["categories"][0]["name"] = None
    file.write_text(json.dumps(content))
    words = [tmp_path / "own", "--images", "images", "--annotations", "a.json"]
    code, out, _ = run(capsys, "check", *words)
    assert code == 1
    assert "bad-record: 15" in out
    assert "'image_id' of annotations[3]" in out
    assert "'name' of categories[0]" in out or "and 5 more" in out
    code, out, _ = run(capsys, "check", *words, "--json")
    faults = json.loads(out)["sets"][0]["faults"]
    assert [fault["where"].rpartition(": ")[2] for fault in faults].count("categories[0]") == 1
    assert len(faults) == 15
    code, _, err = run(capsys, "show", *words, "--out", tmp_path / "sheet.png")
    assert code == 2
    assert "and 14 more rows: 'thinkseg data check' names them" in err


def test_every_wrong_row_of_a_table_is_named(capsys, own):
    rows = ["shots/0.jpg,", "shots/0.jpg,the cup", ",the cup"]
    (own / "t.csv").write_text("\n".join(["image,query", *rows]))
    code, out, _ = run(capsys, "check", own / "t.csv")
    assert code == 1
    assert "bad-record: 2" in out
    assert "line 2 of" in out
    assert "line 4 of" in out


def test_files_out_of_the_folder_are_taken_from_a_table_of_ones_own_alone(capsys, own, tmp_path):
    (tmp_path / "secret").mkdir()
    (own / "shots/0.jpg").rename(tmp_path / "secret/0.jpg")
    (own / "masks").rename(tmp_path / "secret/masks")
    for name in ("../secret/0.jpg", str(tmp_path / "secret/0.jpg")):
        (own / "t.csv").write_text(f"image,query\n{name},the cup\n")
        code, out, _ = run(capsys, "check", own / "t.csv")
        assert (code, "no fault" in out) == (0, True)
        code, out, _ = run(capsys, "check", own)
        assert code == 1
        assert "which leads out of it" in out
        code, _, err = run(capsys, "prepare", own, "--split", "all", "--out", tmp_path / "rows")
        assert code == 2
        assert "name the table itself" in err
        assert not list((tmp_path).rglob("*.parquet"))
