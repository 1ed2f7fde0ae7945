"""``thinkseg merge`` says what it made, or in one sentence what is wrong with what it was given."""

import json
from pathlib import Path

import pytest
import torch

from thinkseg import cli, testing


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """The actor of a run on one process: whole tensors in one shard."""
    model, processor = testing.tiny_qwen2_5_vl()
    actor = tmp_path / "global_step_5" / "actor"
    testing.save(actor / "huggingface", (model, processor))
    torch.save(dict(model.state_dict()), actor / "model_world_size_1_rank_0.pt")
    return actor


def test_the_merged_folder_is_told_and_can_be_used(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "merged"
    assert cli.main(["merge", str(shards), "--out", str(out), "--format", "vision-reasoner"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"{out}: 57 tensors, ")
    assert "a file per process" in said.out
    assert json.loads((out / "thinkseg.json").read_text()) == {"format": "vision-reasoner"}
    assert (out / "config.json").is_file()


def test_the_result_can_be_read_by_programs_and_a_missing_format_is_pointed_out(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "merged"
    assert cli.main(["merge", str(shards.parent), "--out", str(out), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["folder"], result["pieces"], result["dtype"], result["format"]) == (str(out), 1, "float32", None)
    assert cli.main(["merge", str(shards), "--out", str(tmp_path / "other")]) == 0
    assert "nothing says in which format it answers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["gone", "--out", "merged"], "there is no folder 'gone'"),
        (["SHARDS", "--out", "SHARDS"], "exists already"),
        (["SHARDS", "--out", "merged", "--dtype", "int4"], "a dtype is 'auto'"),
        (["SHARDS", "--out", "merged", "--base", "nowhere"], "there is no reasoner folder 'nowhere'"),
    ],
)
def test_a_wrong_call_is_a_sentence_and_exit_code_2(
    words: list[str], sentence: str, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert cli.main(["merge", *(str(shards) if word == "SHARDS" else word for word in words)]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "merged").exists()
