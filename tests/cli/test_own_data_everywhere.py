"""Data of one's own, of whatever kind, mean the same samples to every verb."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thinkseg.cli import main
from thinkseg.data.discovery.custom import OwnData
from thinkseg.data.discovery.load import load_own
from thinkseg.data.prepared.writer import prepare
from thinkseg.data.readers.folders import list_folders
from thinkseg.evaluation.reporting.comparison_page import samples_of
from thinkseg.evaluation.run import Run
from thinkseg.imaging.run_lengths import rle_from_mask
from thinkseg.quickstart.own_data import listings_of
from thinkseg.quickstart.own_options import OwnOptions
from thinkseg.training.sources import load_samples

COUNT, QUERY = 5, "the crack"


def mask_of(number: int) -> np.ndarray:
    mask = np.zeros((16, 24), dtype=bool)
    mask[2 + number : 9, 5:15] = True
    return mask


def write_folders(root: Path, images: str = "images", masks: str = "masks") -> Path:
    for name in (images, masks):
        (root / name).mkdir(parents=True)
    for number in range(COUNT):
        Image.new("RGB", (24, 16), (number, 40, 0)).save(root / images / f"{number}.png")
        Image.fromarray(mask_of(number).astype(np.uint8) * 255).save(root / masks / f"{number}.png")
    return root


def separated(sign: str, suffix: str) -> Callable[[Path], list[str]]:
    def write(root: Path) -> list[str]:
        write_folders(root)
        lines = [["image", "query", "mask"], *([f"images/{n}.png", QUERY, f"masks/{n}.png"] for n in range(COUNT))]
        (root / f"all{suffix}").write_text("".join(sign.join(line) + "\n" for line in lines), encoding="utf-8")
        return [str(root / f"all{suffix}")]

    return write


def jsonl(root: Path) -> list[str]:
    write_folders(root)
    rows = [{"image": f"images/{n}.png", "query": QUERY, "masks": [rle_from_mask(mask_of(n))]} for n in range(COUNT)]
    (root / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return [str(root / "all.jsonl")]


def one_folder(root: Path) -> list[str]:
    return [str(write_folders(root)), "--query", QUERY]


def beside(root: Path) -> list[str]:
    """One folder for images and masks."""
    write_folders(root)
    for number in range(COUNT):
        (root / "masks" / f"{number}.png").rename(root / f"{number}{'_mask' if number % 2 else '.mask'}.png")
        (root / "images" / f"{number}.png").rename(root / f"{number}.png")
    return [str(root), "--query", QUERY]


def two_folders(root: Path) -> list[str]:
    write_folders(root, "shots", "outlines")
    return [str(root), "--image-folder", "shots", "--mask-folder", "outlines", "--query", QUERY]


def coco(root: Path) -> list[str]:
    write_folders(root)
    shutil.rmtree(root / "masks")
    images = [{"id": n, "file_name": f"{n}.png", "width": 24, "height": 16} for n in range(COUNT)]
    objects = [
        {"id": n, "image_id": n, "category_id": 1, "segmentation": rle_from_mask(mask_of(n)), "iscrowd": 0,
         "area": int(mask_of(n).sum()), "bbox": [5, 2 + n, 10, 7 - n]}
        for n in range(COUNT)
    ]  # fmt: skip
    content = {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "crack"}]}
    (root / "all.json").write_text(json.dumps(content), encoding="utf-8")
    return [str(root), "--annotations", "all.json", "--image-folder", "images", "--query", "the {}"]


def rows(root: Path) -> list[str]:
    source = write_folders(root.with_name("source"))
    prepare(list_folders(source / "images", source / "masks", QUERY), root)
    return [str(root)]


def code(root: Path) -> list[str]:
    write_folders(root)
    text = f"""
from thinkseg.data.readers.folders import list_folders
def load():
    return list_folders({str(root / "images")!r}, {str(root / "masks")!r}, {QUERY!r})
"""
    (root / "mine.py").write_text(text, encoding="utf-8")
    return [f"{root / 'mine.py'}:load"]


KINDS = {
    "csv": separated(",", ".csv"),
    "tsv": separated("\t", ".tsv"),
    "jsonl": jsonl,
    "one folder": one_folder,
    "two folders": two_folders,
    "beside": beside,
    "coco": coco,
    "rows": rows,
    "code": code,
}


@pytest.fixture(params=KINDS)
def told(request, tmp_path) -> list[str]:
    """Where the data are, and what else is said of them."""
    return KINDS[request.param](tmp_path / "mine")


def assert_the_same(samples) -> None:
    assert [sample.query for sample in samples] == [QUERY] * COUNT
    for number, sample in enumerate(samples):
        np.testing.assert_array_equal(sample.target, mask_of(number))


class Perfect:
    """Predicts the truth, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked = []

    def predict(self, samples, batch_size):
        from thinkseg.types import Answer, Box, Completion, ObjectPrompt, Prediction, Size

        for sample in samples:
            self.asked.append(sample)
            answer = Answer(Size(24, 16), (ObjectPrompt(Box(0, 0, 24, 16)),))
            yield Prediction(sample.id, Completion("x"), answer, sample.target[None])


def test_evaluate(told, tmp_path, capsys):
    model = Perfect()
    words = ["evaluate", "--data", *told, "--out", str(tmp_path / "run"), "--json"]
    assert main(words, load=lambda *_, **__: model) == 0
    assert_the_same(model.asked)
    assert json.loads(capsys.readouterr().out)["metrics"]["giou"] == {"value": 1, "count": COUNT}
    run = Run.open(tmp_path / "run")
    samples = samples_of(run)
    assert samples is not None  # a comparison finds its images by what the folder of the run says
    assert_the_same(list(samples))


@pytest.mark.parametrize("stage", ["rl pocket/rl", "rl pocket/own", "sft pocket/sft", "sft pocket/own_sft"])
def test_train(told, stage, tmp_path):
    seen = []

    def train(recipe, **_):
        seen.extend(load_samples(recipe.data))
        return recipe.output

    assert main(["train", *stage.split(), "--data", *told, "--output", str(tmp_path / "run")], train=train) == 0
    assert_the_same(seen)


def test_quickstart(told):
    flags = dict(zip(told[1::2], told[2::2], strict=True))
    named = {"--query": "query", "--image-folder": "images", "--mask-folder": "masks", "--annotations": "annotations"}
    options = OwnOptions(told[0], **{named[flag]: value for flag, value in flags.items()})
    listing, test = listings_of(options)
    assert_the_same(list(listing))
    assert test is None


def test_data_show(told, tmp_path, capsys):
    assert main(["data", "show", *told, "--out", str(tmp_path / "sheet.png")]) == 0
    assert f"{COUNT} of {COUNT} samples" in capsys.readouterr().out


def test_data_check(told, capsys):
    assert main(["data", "check", *told, "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["sets"]
    assert [split["samples"] for split in one["splits"]] == [COUNT]


def test_data_prepare(told, tmp_path):
    assert main(["data", "prepare", *told, "--out", str(tmp_path / "made")]) == 0
    assert_the_same(list(load_own(OwnData(tmp_path / "made"))))


def test_data_split(told, tmp_path, capsys):
    assert main(["data", "split", *told, "--out", str(tmp_path / "parts"), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    train, test = (list(load_own(OwnData(made[name]["path"]))) for name in ("train", "test"))
    assert (len(train), len(test)) == (COUNT - 1, 1)
    assert_the_same(sorted([*train, *test], key=lambda sample: -int(sample.target.sum())))


@pytest.mark.parametrize("blank", ["", " "])
@pytest.mark.parametrize(
    "words",
    [
        "quickstart --data BLANK",
        "quickstart --data photos --test BLANK",
        "train rl pocket/rl --data BLANK",
        "evaluate --data BLANK --out run",
        "reproduce seg-r1/camo --data BLANK --out run",
        "compare one other --data BLANK",
        "export BLANK --to csv --out made",
        "data check BLANK",
        "data split BLANK --out parts",
    ],
)
def test_a_blank_path_is_not_the_folder_that_one_is_in(words, blank, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(write_folders(tmp_path / "mine"))
    assert main([blank if word == "BLANK" else word for word in words.split()]) == 2
    assert "expected a path, found a blank one; '.' is the folder that you are in" in capsys.readouterr().err


def test_a_path_in_the_place_of_a_benchmark_is_put_right(tmp_path, capsys):
    write_folders(tmp_path / "mine")
    assert main(["evaluate", str(tmp_path / "mine"), "--out", str(tmp_path / "run")]) == 2
    assert f"is no benchmark but a path: say --data {tmp_path / 'mine'}" in capsys.readouterr().err
    assert main(["evaluate", "--out", str(tmp_path / "run")]) == 2
    assert "say which benchmark, such as 'scenes', or with --data which data" in capsys.readouterr().err
    assert main(["evaluate", "scenes", "--query", QUERY, "--out", str(tmp_path / "run")]) == 2
    assert "'--query' are for data of your own, and 'scenes' has words" in capsys.readouterr().err


def test_the_data_of_a_recipe_give_way_to_those_that_are_named(tmp_path):
    """The recipe's own settings of data, such as the size of scenes, count no more."""
    write_folders(tmp_path / "mine")
    seen = []
    words = ["train", "rl", "pocket/rl", "--data", str(tmp_path / "mine"), "--query", QUERY, "--data.count", "2"]
    assert main(words, train=lambda recipe, **_: seen.append(recipe.data) or tmp_path) == 0
    (data,) = seen
    assert (data.source, data.name, data.root, data.query) == ("dataset", "own", str(tmp_path / "mine"), QUERY)
    assert (data.size, data.tasks, data.count, data.shuffle) == (None, None, 2, True)


def test_a_recipe_may_name_its_data_by_a_path_alone(tmp_path):
    write_folders(tmp_path / "mine")
    recipe = tmp_path / "mine.yaml"
    text = (Path(__file__).parents[2] / "recipes" / "pocket" / "own.yaml").read_text(encoding="utf-8")
    head, _, rest = text.partition("data:\n")
    recipe.write_text(
        f"{head}data: {tmp_path / 'mine'}\n{rest.partition('rewards:')[1]}{rest.partition('rewards:')[2]}"
    )
    seen = []
    assert main(["train", "rl", str(recipe)], train=lambda found, **_: seen.append(found.data) or tmp_path) == 0
    assert len(load_samples(seen[0])) == COUNT
