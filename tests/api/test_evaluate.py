"""The call `thinkseg.evaluate`: a benchmark or samples, a model or a pipeline, in memory or into a folder."""

import doctest
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import thinkseg
from thinkseg.answers import get_format
from thinkseg.api import evaluate as module
from thinkseg.errors import DataError, InputError
from thinkseg.models.pipeline import Pipeline
from thinkseg.models.segmenter import PromptableSegmenter
from thinkseg.testing import FakeReasoner, tiny_sam2
from thinkseg.testing.squares import Filler, Squares
from thinkseg.types import Completion, Sample


def test_samples_and_a_pipeline_give_a_run_and_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = thinkseg.evaluate(Squares(9), Filler(share=0.5), batch_size=4, progress=False)
    assert run.metrics["giou"].count == 9
    assert run.metrics["giou"].value == pytest.approx((6 * 0.5 + 3) / 9)
    assert [record.id for record in run.records] == [f"square-{index}" for index in range(9)]
    assert run.folder is None
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_run_in_a_folder_is_the_run_in_memory_and_can_be_opened_again(tmp_path: Path) -> None:
    in_memory = thinkseg.evaluate(Squares(6), Filler(share=0.5), progress=False)
    written = thinkseg.evaluate(Squares(6), Filler(share=0.5), out=tmp_path, save_masks=True, progress=False)
    assert written.report == in_memory.report
    opened = thinkseg.Run.open(tmp_path)
    assert (opened.report, list(opened.records)) == (written.report, list(written.records))
    assert opened.name == tmp_path.name
    assert len(list((tmp_path / "masks").iterdir())) == 6
    assert (tmp_path / "report.html").exists()


def test_an_image_is_encoded_once_by_the_segmenter_whatever_batches_its_queries_are_in() -> None:
    model, processor = tiny_sam2()
    encoded: list[int] = []
    encode = model.get_image_embeddings
    model.get_image_embeddings = lambda pixels: (encoded.append(len(pixels)), encode(pixels))[1]
    box = "<think>it</think><bbox>[10,10,50,50]</bbox><points>[[30,30]]</points><labels>[1]</labels>"
    pipeline = Pipeline(
        FakeReasoner(lambda _: Completion(box)), PromptableSegmenter(model, processor), get_format("seg-r1")
    )
    images = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    target = np.ones((64, 64), dtype=bool)
    samples = [Sample(f"{n}-{query}", images[n], query, target) for n in range(2) for query in ("it", "that", "this")]
    run = thinkseg.evaluate(samples, pipeline, batch_size=2, progress=False)
    assert encoded == [1, 1]
    whole = thinkseg.evaluate(samples, pipeline, batch_size=6, progress=False)
    assert [record.rle for record in run.records] == [record.rle for record in whole.records]


def test_settings_that_a_loaded_pipeline_would_not_follow_are_refused_and_not_written_into_its_report(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match=r"asked as it was loaded: leave out 'segmenter_encoder', 'engine_options'"):
        thinkseg.evaluate(
            Squares(3),
            Filler(),
            out=tmp_path / "run",
            segmenter_encoder="bfloat16",
            engine_options={"tokens_per_pass": 300},
            progress=False,
        )
    assert not (tmp_path / "run").exists()


def test_what_is_said_beside_a_loaded_pipeline_is_let_through_where_a_protocol_asks_it_in_its_own_way() -> None:
    segmenter = PromptableSegmenter(*tiny_sam2())
    pipeline = Pipeline(FakeReasoner(lambda _: Completion("no answer")), segmenter, get_format("seg-r1"))
    sample = Sample("one", Image.new("RGB", (64, 64)), "it", np.ones((64, 64), dtype=bool))
    run = thinkseg.evaluate([sample], pipeline, protocol="vision-reasoner", segmenter_canvas=32, progress=False)
    assert run.header.asked == {"segmenter_canvas": 32}


def test_a_limit_and_a_protocol_go_for_samples_at_hand_too() -> None:
    run = thinkseg.evaluate(Squares(9), Filler(), limit=4, protocol="vision-reasoner", progress=False)
    assert run.metrics["giou"].count == 4
    assert run.metrics["giou"].value == 3 / 4  # an empty mask where nothing is counts as wrong there
    assert run.header.protocol == "vision-reasoner"


def test_the_predictions_of_a_pipeline_without_a_name_are_never_gone_on_with(tmp_path: Path) -> None:
    thinkseg.evaluate(Squares(3), Filler(), out=tmp_path, progress=False)
    before = (tmp_path / "predictions.jsonl").read_bytes()
    with pytest.raises(InputError, match="cannot be told from the one that made them"):
        thinkseg.evaluate(Squares(6), Filler(share=0.5), out=tmp_path, progress=False)
    assert (tmp_path / "predictions.jsonl").read_bytes() == before


def test_a_part_of_the_samples_can_be_asked_for(tmp_path: Path) -> None:
    part = thinkseg.evaluate(Squares(9), Filler(), shard="2/3", progress=False)
    assert [record.id for record in part.records] == ["square-1", "square-4", "square-7"]
    parts = [
        thinkseg.evaluate(Squares(9), Filler(), shard=f"{index}/3", out=tmp_path, progress=False) for index in (2, 1, 3)
    ]
    assert [run.metrics["giou"].count for run in parts] == [3, 3, 9]
    assert parts[2].report == thinkseg.evaluate(Squares(9), Filler(), progress=False).report


def test_what_cannot_work_is_told_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="what is loaded already cannot travel to them"):
        thinkseg.evaluate(Squares(3), "pocket", processes=2)
    with pytest.raises(InputError, match="what is loaded already cannot travel to them"):
        thinkseg.evaluate("scenes", Filler(), processes=2)
    with pytest.raises(InputError, match="masks and overlays need a folder"):
        thinkseg.evaluate(Squares(3), Filler(), save_overlays=True)
    with pytest.raises(InputError, match="did you mean 'scenes'"):
        thinkseg.evaluate("scene", Filler())
    with pytest.raises(InputError, match="one by one: dis-vd, dis-te1"):
        thinkseg.evaluate("dis5k", Filler(), data=tmp_path)
    with pytest.raises(DataError, match="expected the header of a run"):
        thinkseg.Run.open(tmp_path)


@pytest.mark.slow  # loads the pocket models
def test_the_example_of_the_documentation_runs() -> None:
    results = doctest.testmod(module)
    assert results.attempted > 5
    assert results.failed == 0
