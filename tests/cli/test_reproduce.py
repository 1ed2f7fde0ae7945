"""A published number is made again: what it needs is named and looked for, and both values stand side by side."""

import json
from pathlib import Path

import numpy as np
import pytest

import thinkseg
from thinkseg.cli import main
from thinkseg.evaluation.benchmarks import BENCHMARKS
from thinkseg.evaluation.measures.registry import MEASURES
from thinkseg.evaluation.published_numbers import PUBLISHED
from thinkseg.evaluation.reproduction import BILLIONS, Reproduction, Row
from thinkseg.models.checkpoint_config import KNOWN
from thinkseg.models.pipeline import Pipeline, load_pipeline
from thinkseg.models.published.store import InstructionStore
from thinkseg.testing.data_sets import write_folders, write_reasonseg
from thinkseg.testing.published import write_published_qwen2_5_vl, write_published_sam2
from thinkseg.testing.published_sentences import KNOWN as RECORDS
from thinkseg.testing.published_sentences import write_repository


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Small copies of COD10K and ReasonSeg in their published layouts."""
    write_folders("cod10k", tmp_path / "data", count=3)
    write_reasonseg(tmp_path / "data", count=2)
    return tmp_path / "data"


@pytest.fixture
def empty(tmp_path: Path) -> InstructionStore:
    """A cache without sentences."""
    return InstructionStore(tmp_path / "none")


def test_a_number_is_made_again_to_the_end_with_a_stand_in(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--data",
        str(data),
        "--model",
        "pocket",
        "--limit",
        "3",
        "--device",
        "cpu",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(["reproduce", "seg-r1/cod10k", *words]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "Seg-R1-7B on cod10k (Seg-R1, arXiv 2506.22624, cod10k)"
    assert out[1].split() == ["measure", "published", "found", "95", "%", "interval", "the", "published", "value"]
    assert out[2].split()[:2] == ["s_measure", "0.873"]
    assert out[2].endswith("too few samples to tell")
    assert "note: not the published checkpoint: pocket was run in place of Seg-R1-7B" in out
    assert "note: not the whole benchmark: 3 samples of 2026, its first ones" in out
    assert "note: asked in other sentences than the authors'" in out
    told = json.loads((tmp_path / "out" / "reproduction.json").read_text(encoding="utf-8"))
    run = thinkseg.Run.open(tmp_path / "out")
    (row,) = told["rows"]
    assert row["published"] == 0.873
    assert row["found"] == pytest.approx(np.mean([record.s_measure for record in run.records]))
    assert row["samples"] == len(run.records) == 3
    assert run.header.benchmark == "cod10k"


def test_a_folder_that_says_nothing_is_asked_and_read_as_the_published_checkpoint_is_by_the_protocol(
    tmp_path: Path,
) -> None:
    made = Reproduction(PUBLISHED["seg-r1/refcoco-val"], model=str(tmp_path)).config
    assert (made.canvas, made.max_new_tokens, made.decoding) == (1024, 512, "sampled")
    assert (made.frame, made.format, made.sentences) == ("canvas", "seg-r1-published", "seg-r1")
    assert Reproduction(PUBLISHED["seg-r1/refcoco-val"]).config.said() == {}  # the protocol itself asks it so


def test_a_published_checkpoint_is_asked_by_its_protocol_settings_and_sentences(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub, clone = tmp_path / "hub", write_repository(tmp_path / "clone")
    write_published_qwen2_5_vl(hub / "Ricky06662/Seg-Zero-7B")
    write_published_sam2(hub / "facebook/sam2-hiera-large")
    monkeypatch.chdir(hub)
    store = InstructionStore(tmp_path / "cache", RECORDS, {"seg-zero": {"": "pointer/training"}})
    store.take("pointer/training", clone)
    loaded: list[Pipeline] = []

    def load(model: str, **options: object) -> Pipeline:
        pipeline = load_pipeline(model, **options, store=store)  # type: ignore[arg-type]
        pipeline.reasoner.max_new_tokens = 8  # type: ignore[attr-defined]
        loaded.append(pipeline)
        return pipeline

    words = ["--data", str(data), "--limit", "1", "--device", "cpu", "--out", str(tmp_path / "out"), "--json"]
    assert main(["reproduce", "seg-zero/reasonseg-val", *words], load=load, store=store) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["model"] == "Ricky06662/Seg-Zero-7B"
    assert told["protocol"] == "seg-zero"
    assert told["instruction"].startswith("seg-zero ")
    assert [(row["measure"], row["published"]) for row in told["rows"]] == [("giou", 0.626), ("ciou", 0.62)]
    assert not any("published checkpoint" in note or "other sentences" in note for note in told["notes"])
    assert loaded[0].config.canvas == 840


def test_what_is_missing_is_named_with_the_way_to_get_it_and_nothing_runs(
    data: Path, tmp_path: Path, empty: InstructionStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", "seg-r1/cod10k", "--dry-run"], store=empty, is_cached=lambda _: False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "weights: geshang/Seg-R1-7B, 16.6 GB" in lines
    assert "  missing: not in the hub's cache: hf download geshang/Seg-R1-7B" in lines
    assert "weights: facebook/sam2.1-hiera-large, 0.9 GB" in lines
    assert "  missing: not fetched: thinkseg instruction seg-r1" in lines
    assert "  missing: say --data, the folder that the data sets lie below" in lines
    out = tmp_path / "out"
    words = ["reproduce", "seg-r1/cod10k", "--data", str(data), "--limit", "3", "--out", str(out)]
    assert main(words, store=empty, is_cached=lambda _: False) == 2
    err = capsys.readouterr().err
    assert (
        "error: 'seg-r1/cod10k' cannot be made again yet: weights (geshang/Seg-R1-7B, 16.6 GB): not in the hub" in err
    )
    assert not out.exists()


def test_a_copy_of_the_data_that_is_not_whole_or_not_there_is_missing(
    data: Path, tmp_path: Path, empty: InstructionStore
) -> None:
    def missing(root: Path, limit: int | None = None) -> str:
        from thinkseg.evaluation.load_options import LoadOptions

        number = PUBLISHED["seg-r1/cod10k"]
        one = Reproduction(number, "pocket", LoadOptions(limit, root=root), store=empty)
        return next(need.missing for need in one.needs() if need.what == "data")

    assert missing(data, limit=2) == ""
    assert "has 2026 samples, found 3; the copy on disk is not whole" in missing(data)
    assert missing(tmp_path / "nothing") != ""


def test_an_unpublished_checkpoint_and_a_wrong_call_are_told(
    empty: InstructionStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", "seg-zero-3b/reasonseg-val", "--dry-run"], store=empty, is_cached=lambda _: True) == 0
    assert "  missing: its checkpoint is not known to be published: say --model" in capsys.readouterr().out
    for words, said in (
        (["seg-r1/none"], "there is no published number 'seg-r1/none'; 'thinkseg reproduce' lists"),
        (["seg-r1/cod10k"], "say --out, the folder for the results, or --dry-run"),
    ):
        assert main(["reproduce", *words]) == 2
        assert said in capsys.readouterr().err


def test_a_published_value_lies_in_the_interval_up_to_its_last_digit() -> None:
    def verdict(published: float, samples: int = 100) -> str:
        return Row("giou", published, 0.6, 0.5604, 0.64, samples, half_unit=0.0005).verdict

    assert verdict(0.56) == "lies in the interval"
    assert verdict(0.559) == "lies outside the interval"
    assert verdict(0.6405) == "lies in the interval"
    assert verdict(0.641) == "lies outside the interval"
    assert verdict(0.6, samples=29) == "too few samples to tell"
    assert Row("giou", 0.6, None, None, None, 100).verdict == "too few samples to tell"


def test_every_number_on_record_names_what_there_is() -> None:
    for name, one in PUBLISHED.items():
        assert one.benchmark in BENCHMARKS
        assert name.endswith(f"/{one.benchmark}")
        assert set(one.values) <= set(BENCHMARKS[one.benchmark].measures) <= set(MEASURES)
        assert all(0 < value < 1 for value in one.values.values())
        assert not one.checkpoint or (one.checkpoint in KNOWN and one.checkpoint in BILLIONS)


def test_the_list_has_every_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == list(PUBLISHED)
    assert told["vision-reasoner/reasonseg-test"]["values"] == {"giou": 0.636}
    assert main(["reproduce"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(PUBLISHED) + 1


def test_in_python_it_gives_the_rows(data: Path) -> None:
    found = thinkseg.reproduce("seg-r1/reasonseg-val", model="pocket", data=data, limit=2, device="cpu", progress=False)
    assert [(row.measure, row.published) for row in found.rows] == [("ciou", 0.412)]
    assert found.run.header.protocol == "seg-r1"
