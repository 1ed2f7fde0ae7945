"""One bad image or name never stops an evaluation: it is a failure that names its file, and counts as an empty mask."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import thinkseg
from thinkseg.answers import get_format
from thinkseg.data.readers.folders import list_folders
from thinkseg.errors import DataError, ImageError
from thinkseg.evaluation.protocols import ProtocolSamples
from thinkseg.evaluation.record_file import read_records
from thinkseg.imaging import save_mask
from thinkseg.models.pipeline import Pipeline
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Completion, Failure, Prediction, Request, Sample

ANSWER = "<think>there</think><bbox>[2,2,7,7]</bbox><points>[[4,4]]</points><labels>[1]</labels>"


def answer(request: Request) -> str:
    """As a processor that refuses long strips."""
    if max(request.image.size) > 200 * min(request.image.size):
        raise ImageError("the model's processor refuses it: the aspect ratio must be smaller than 200")
    return ANSWER


def pipeline() -> Pipeline:
    return Pipeline(FakeReasoner(answer), FakeSegmenter(), get_format("seg-r1"))


def folder_of(root: Path, sizes: dict[bytes, tuple[int, int]]) -> Path:
    """Images of these names and sizes, whose target is the box that is answered."""
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for name, (width, height) in sizes.items():
        target = np.zeros((height, width), dtype=bool)
        target[2:8, 2:8] = True
        path = os.fsdecode(name) + ".png"
        Image.new("RGB", (width, height), "white").save(root / "images" / path)
        save_mask(target, root / "masks" / path)
    return root


def test_a_strip_that_the_model_refuses_is_a_failure_that_names_its_file(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data", {b"a": (60, 60), b"b": (900, 4), b"c": (60, 60)})
    run = thinkseg.evaluate("folder", pipeline(), data=root, out=tmp_path / "out", save_overlays=True, progress=False)
    good = run.records[0].iou
    assert good > 0.5
    assert [record.iou for record in run.records] == [good, 0.0, good]
    assert run.metrics["giou"].value == pytest.approx(2 * good / 3)
    assert run.metrics["giou"].count == 3
    assert run.failures == {"refused_image": 1}
    assert run.metrics["parse_failures"].value == 0
    bad = run.records[1]
    assert "b.png" in bad.failure_detail
    assert "smaller than 200" in bad.failure_detail
    assert bad.mask.shape == (4, 900)
    assert not bad.abstained
    assert len(list((tmp_path / "out" / "overlays").iterdir())) == 3


@pytest.mark.parametrize("left", [0, 20, 70])
def test_a_damaged_image_in_the_middle_is_a_failure_that_names_its_file(tmp_path: Path, left: int) -> None:
    root = folder_of(tmp_path / "data", {b"a": (60, 60), b"b": (60, 60), b"c": (60, 60)})
    broken = root / "images" / "b.png"
    broken.write_bytes(broken.read_bytes()[:left])
    run = thinkseg.evaluate(
        "folder", pipeline(), data=root, out=tmp_path / "out", batch_size=2, save_overlays=True, progress=False
    )
    assert run.failures == {"unreadable_image": 1}
    assert [record.failure for record in run.records] == [None, Failure.UNREADABLE_IMAGE, None]
    assert str(broken) in run.records[1].failure_detail
    assert run.metrics["giou"].count == 3
    opened = thinkseg.Run.open(tmp_path / "out")
    assert opened.report == run.report
    assert json.loads((tmp_path / "out" / "report.json").read_text())["failures"] == {"unreadable_image": 1}


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names there are always Unicode")
@pytest.mark.parametrize(("stem", "written"), [(b"caf\xe9", r"caf\xe9"), (b"two\nlines", r"two\nlines")])
def test_a_damaged_image_of_an_odd_name_is_named_once_in_letters_that_a_file_takes(
    tmp_path: Path, stem: bytes, written: str
) -> None:
    root = folder_of(tmp_path / "data", {stem: (60, 60), b"zz": (60, 60)})
    broken = root / "images" / os.fsdecode(stem + b".png")
    broken.write_bytes(b"")
    run = thinkseg.evaluate("folder", pipeline(), data=root, progress=False)
    (detail,) = (record.failure_detail for record in run.records if record.failure is not None)
    assert detail.encode().splitlines() == [detail.encode()]
    assert detail.count(f"{written}.png'") == 1


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names there are always Unicode")
def test_a_file_whose_name_is_not_utf8_is_evaluated_as_any_other(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data", {b"\xcd\xbc\xc6\xac": (60, 60), b"zz": (60, 60)})
    out = tmp_path / "out"
    run = thinkseg.evaluate("folder", pipeline(), data=root, out=out, save_masks=True, progress=False)
    assert run.failures == {}
    assert {os.fsencode(record.id) for record in run.records} == {b"\xcd\xbc\xc6\xac", b"zz"}
    assert list(read_records(out / "predictions.jsonl")) == list(run.records)
    (out / "predictions.jsonl").read_bytes().decode("utf-8", "strict")
    assert thinkseg.Run.open(out).report == run.report
    assert len(list((out / "masks").iterdir())) == 2


@pytest.mark.parametrize("half", ["\ud83d", "a\udce9b"])
def test_half_a_surrogate_pair_in_an_answer_can_be_written_and_read_back(tmp_path: Path, half: str) -> None:
    root = folder_of(tmp_path / "data", {b"a": (60, 60), b"b": (60, 60)})
    cut = Pipeline(FakeReasoner(lambda _: ANSWER.replace("there", half)), FakeSegmenter(), get_format("seg-r1"))
    run = thinkseg.evaluate("folder", cut, data=root, out=tmp_path / "out", progress=False)
    assert [record.iou > 0.5 for record in run.records] == [True, True]
    assert [record.text for record in thinkseg.Run.open(tmp_path / "out").records] == [
        record.text for record in run.records
    ]
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (b"\xff\xfe\n", "utf-8"),
        (b"[]\n", "expected a JSON object, found list"),
        (b"null\n", "expected a JSON object, found NoneType"),
        (b"[" * 100_000 + b"\n", "RecursionError|recursion"),
        (b'{"id": 3}\n', ""),
    ],
)
def test_a_damaged_line_is_one_sentence_with_its_number(tmp_path: Path, damage: bytes, said: str) -> None:
    root = folder_of(tmp_path / "data", {b"a": (60, 60), b"b": (60, 60)})
    thinkseg.evaluate("folder", pipeline(), data=root, out=tmp_path / "out", progress=False)
    file = tmp_path / "out" / "predictions.jsonl"
    first, second = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(first + damage + second)
    with pytest.raises(DataError, match=f"line 2 of .*predictions.jsonl is not a record.*({said})"):
        thinkseg.Run.open(tmp_path / "out")


@pytest.mark.parametrize(
    ("field", "value"),
    [("iou", "1.0"), ("iou", None), ("iou", True), ("id", 3), ("intersection", 1.5), ("objects", {}), ("rle", "x")],
)
def test_a_value_of_the_wrong_kind_is_named_with_its_line(tmp_path: Path, field: str, value: object) -> None:
    root = folder_of(tmp_path / "data", {b"a": (60, 60)})
    thinkseg.evaluate("folder", pipeline(), data=root, out=tmp_path / "out", progress=False)
    file = tmp_path / "out" / "predictions.jsonl"
    file.write_text(json.dumps(json.loads(file.read_text()) | {field: value}) + "\n")
    with pytest.raises(DataError, match=f"line 1 of .*'{field}' should be"):
        read_records(file)


def label_map(path: Path) -> None:
    """Areas of the classes 0, 1 and 2, of which nobody can tell which one is meant."""
    values = np.zeros((60, 60), dtype=np.uint8)
    values[:20], values[40:] = 1, 2
    Image.fromarray(values).save(path)


DAMAGES = {
    "damaged": (lambda path: path.write_bytes(path.read_bytes()[:60]), "is damaged or cut short"),
    "map": (label_map, "is no mask of two values"),
    "size": (
        lambda path: save_mask(np.ones((50, 40), dtype=bool), path),
        r"is 40×50 \(width×height\), its image 60×60",
    ),
}
EVALUATE = """
import sys
import thinkseg
from thinkseg.answers import get_format
from thinkseg.models.pipeline import Pipeline
from thinkseg.testing import FakeReasoner, FakeSegmenter

pipeline = Pipeline(FakeReasoner(lambda _: sys.argv[3]), FakeSegmenter(), get_format("seg-r1"))
thinkseg.evaluate(
    "folder", pipeline, data=sys.argv[1], out=sys.argv[2], save_masks=True, save_overlays=True, progress=False
)
"""


@pytest.mark.parametrize("form", ["folders", "table"])
def test_samples_whose_true_masks_cannot_be_had_are_named_and_left_out_of_every_measure(
    tmp_path: Path, form: str
) -> None:
    names = ["a", *DAMAGES, "z"]
    root = data = folder_of(tmp_path / "data", {name.encode(): (60, 60) for name in names})
    for name, (damage, _) in DAMAGES.items():
        damage(root / "masks" / f"{name}.png")
    if form == "table":
        data = tmp_path / "table.csv"
        rows = [f"data/images/{name}.png,the main object,data/masks/{name}.png,{name},salient" for name in names]
        data.write_text("\n".join(["image,query,mask,id,task", *rows]))
    out = tmp_path / "out"
    # in a process of its own, since the checks of types in the tests read samples wherever a sequence goes by
    subprocess.run([sys.executable, "-c", EVALUATE, data, out, ANSWER], check=True, timeout=300)
    run = thinkseg.Run.open(out)
    for name in DAMAGES:
        (root / "images" / f"{name}.png").unlink()
        (root / "masks" / f"{name}.png").unlink()
    alone = thinkseg.evaluate("folder", pipeline(), data=root, progress=False)
    assert dict(run.metrics) == dict(alone.metrics)
    assert run.metrics["giou"].count == 2
    assert run.failures == {"unreadable_truth": 3}
    assert [record.id for record in run.records] == sorted(names)
    for record in run.records[1:-1]:
        assert re.search(f"masks/{record.id}.png' {DAMAGES[record.id][1]}", record.failure_detail)
        assert (record.counted, record.has_target, record.abstained) == (False, False, False)
    assert {path.name for path in (out / "masks").iterdir()} == {"a.png", "z.png"}
    assert {path.name for path in (out / "overlays").iterdir()} == {"a.png", "z.png"}
    page = (out / "report.html").read_text()
    assert all(f"masks/{name}.png" in page for name in DAMAGES)
    assert "3 of 5 samples" in page
    assert json.loads((out / "report.json").read_text())["failures"] == {"unreadable_truth": 3}


@pytest.mark.parametrize("protocol", ["default", "vision-reasoner"])
def test_a_protocol_calls_a_sample_without_its_truth_as_it_calls_it_with_it(tmp_path: Path, protocol: str) -> None:
    root = folder_of(tmp_path / "data", {b"a": (60, 60)})
    samples = ProtocolSamples(list_folders(root / "images", root / "masks", "The Cup!"), protocol, [0, 0])
    for index in range(2):
        known, entry = samples[index], samples.entry(index)
        assert entry is not None
        assert (entry.id, entry.query) == (known.id, known.query)
    assert ProtocolSamples([samples[0]], protocol).entry(0) is None


def test_a_prediction_of_the_wrong_size_is_not_laid_to_the_true_mask(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data", {b"a": (60, 60)})

    class Careless:
        def predict(self, samples: Sequence[Sample], batch_size: int) -> Iterator[Prediction]:
            del batch_size
            for sample in samples:
                yield Prediction(sample.id, Completion(""), None, np.zeros((1, 5, 5), dtype=bool))

    with pytest.raises(DataError, match="of 60×60 pixels, found one for 'a' of 5×5"):
        thinkseg.evaluate("folder", Careless(), data=root, progress=False)


def test_a_table_in_another_encoding_is_read_in_the_one_that_is_named_and_the_run_says_so(tmp_path: Path) -> None:
    folder_of(tmp_path / "data", {b"a": (60, 60)})
    table = tmp_path / "data" / "t.csv"
    table.write_bytes("image,query,mask\nimages/a.png,杯子,masks/a.png\n".encode("gbk"))
    with pytest.raises(DataError, match=r"t.csv' should be text in UTF-8.*--encoding"):
        thinkseg.evaluate("folder", pipeline(), data=table, progress=False)
    out = tmp_path / "out"
    run = thinkseg.evaluate("folder", pipeline(), data=table, encoding="gbk", out=out, progress=False)
    assert run.records[0].query == "杯子"
    assert thinkseg.Run.open(out).header.asked == {"encoding": "gbk"}
