"""The table of how published numbers were made says what the protocols do, the page says what the table does, and a run
is held against it without a model."""

import dataclasses
import json
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from thinkseg.cli import main
from thinkseg.errors import DataError
from thinkseg.evaluation.benchmarks import BENCHMARKS
from thinkseg.evaluation.explaining import AS_THEIRS, ExplainedRun, explained_text
from thinkseg.evaluation.protocols import PROTOCOLS, Protocol, reader_of, settings_of
from thinkseg.evaluation.published_choices.choice import CHECKPOINT, PROTOCOL, SAME, SENTENCES, Choice, Table
from thinkseg.evaluation.published_choices.tables import TABLES, find_table
from thinkseg.models.checkpoint_config import KNOWN, CheckpointConfig
from thinkseg.models.published.store import InstructionStore
from thinkseg.types import Instruction

ROWS = [(table, task, choice) for table in TABLES for task in table.tasks for choice in table.choices]
RULES = {field.name for field in dataclasses.fields(Protocol)}


def rows_of(run: ExplainedRun) -> dict[str, str]:
    return {row["choice"]: row["run"] for row in run.rows()}


@pytest.mark.parametrize(("table", "task", "choice"), [row for row in ROWS if row[2].key and row[2].by == CHECKPOINT])
def test_what_a_checkpoints_name_gives_is_in_its_settings(table: Table, task: str, choice: Choice) -> None:
    for name in table.checkpoints:
        assert getattr(KNOWN[name], choice.key) == choice.value
        settings = settings_of(table.protocol, task)
        assert settings.get(choice.key, choice.value) == choice.value, "the protocol leaves it"


@pytest.mark.parametrize(
    ("table", "task", "choice"), [row for row in ROWS if row[2].key and row[2].by.startswith(PROTOCOL)]
)
def test_what_a_protocol_gives_is_in_the_protocol_and_not_in_the_default(
    table: Table, task: str, choice: Choice
) -> None:
    rules, plain = PROTOCOLS[table.protocol], PROTOCOLS["default"]
    if choice.key == "measures":
        assert dict(rules.measures).items() >= choice.value.items()
        assert not plain.measures
    elif choice.key in RULES:
        assert getattr(rules, choice.key) == choice.value != getattr(plain, choice.key)
    elif choice.key == "format":
        for name in table.checkpoints:
            own = KNOWN[name].format or ""
            assert reader_of(table.protocol, task, own) == choice.value != own
            assert reader_of("default", task, own) == own
    else:
        assert settings_of(table.protocol, task)[choice.key] == choice.value
        assert all(getattr(KNOWN[name], choice.key) != choice.value for name in table.checkpoints)


@pytest.mark.parametrize("protocol", ["seg-r1", "seg-zero", "vision-reasoner"])
def test_every_rule_and_setting_of_a_protocol_has_a_row(protocol: str) -> None:
    tables = [table for table in TABLES if table.protocol == protocol]
    keys = {choice.key for table in tables for choice in table.choices}
    plain = Protocol()
    changed = {name for name in RULES if getattr(PROTOCOLS[protocol], name) != getattr(plain, name)}
    # 'side' and 'first_object' are what a predictor gets that cannot be asked by the settings; their rows are those of
    # 'segmenter_canvas' and 'objects'; the row of 'readers' is that of 'format'.
    assert changed - {"asks", "readers", "side", "first_object"} <= keys
    assert "format" in keys
    for table in tables:
        for task in table.tasks:
            assert set(settings_of(protocol, task)) <= {choice.key for choice in table.choices}


@pytest.mark.parametrize(("table", "task", "choice"), ROWS)
def test_a_row_says_what_gives_the_authors_value_or_why_nothing_does(table: Table, task: str, choice: Choice) -> None:
    known = (PROTOCOL, SAME, CHECKPOINT, SENTENCES, "--dtype bfloat16", "nothing: ")
    assert choice.by.startswith(known), (table.title, task)
    if choice.by == SAME:
        assert choice.ours.startswith(("the same", "the number of objects", "above half of its range"))


def test_every_benchmark_has_a_table_for_each_protocol_of_authors_that_it_has() -> None:
    for benchmark in BENCHMARKS.values():
        for protocol in set(benchmark.protocols) - {"default", "lisa"}:
            assert find_table(protocol, benchmark.task) is not None, (benchmark.name, protocol)


def test_the_page_is_written_from_the_table(repository: Path) -> None:
    page: Callable[[], str] = runpy.run_path(str(repository / "scripts/write_published_page.py"))["page"]
    written = (repository / "docs/published.md").read_text(encoding="utf-8")
    assert written == page(), "run: python scripts/write_published_page.py docs/published.md"
    assert all(choice.name in written for table in TABLES for choice in table.choices)


@pytest.mark.parametrize(("table", "task"), [(table, task) for table in TABLES for task in table.tasks])
def test_by_its_protocol_a_known_checkpoint_has_all_that_is_reproduced(table: Table, task: str) -> None:
    for checkpoint in table.checkpoints:
        run = ExplainedRun("a", task, table.protocol, checkpoint, dtype="bfloat16", instruction="")
        others = {name for name, here in rows_of(run).items() if here != AS_THEIRS}
        unreproduced = {choice.name for choice in table.choices if not choice.reproduced or choice.by == SENTENCES}
        assert others == unreproduced


def test_without_a_protocol_only_the_checkpoints_name_and_the_default_give_theirs() -> None:
    rows = rows_of(ExplainedRun("reasonseg-val", "reasoning", "default", "geshang/Seg-R1-7B"))
    assert rows["frame of coordinates"] == rows["masks of an object"] == AS_THEIRS
    assert rows["canvas"] == "768 × 768"
    assert rows["length limit"] == "400 tokens"
    assert rows["pixels to ignore"] == "left out"
    assert rows["empty mask, empty target"] == "IoU 1"


def test_what_the_caller_says_comes_before_the_protocol() -> None:
    given = CheckpointConfig(max_new_tokens=99, canvas=840)
    rows = rows_of(ExplainedRun("a", "reasoning", "seg-r1", "geshang/Seg-R1-7B", given))
    assert (rows["length limit"], rows["canvas"]) == ("99 tokens", "840 × 840")
    assert rows["decoding"] == AS_THEIRS


@pytest.mark.parametrize(
    ("given", "instruction", "said"),
    [
        (CheckpointConfig(), "", "ours, until theirs are fetched"),
        (CheckpointConfig(), "seg-zero 0123456789ab", AS_THEIRS),
        (
            CheckpointConfig(sentences="seg-zero/training"),
            "seg-zero/training 0123456789ab",
            "those of seg-zero/training",
        ),
        (CheckpointConfig(instruction=Instruction("{query}?")), "", "those given, or of the checkpoint's folder"),
    ],
)
def test_the_sentences_of_a_run_are_those_that_it_is_asked_with(
    given: CheckpointConfig, instruction: str, said: str
) -> None:
    run = ExplainedRun("a", "referring", "seg-zero", "Ricky06662/Seg-Zero-7B", given, instruction=instruction)
    assert rows_of(run)["sentences"] == said


def test_before_a_run_the_sentences_are_those_that_the_machine_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ExplainedRun("a", "salient", "seg-r1", "geshang/Seg-R1-7B")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert rows_of(run)["query"] == "the same request in our words"
    store = InstructionStore()
    assert tmp_path in store.folder.parents
    for one in store.by_kind("seg-r1").values():
        store.path(one).parent.mkdir(parents=True, exist_ok=True)
        store.path(one).write_text("{}", encoding="utf-8")
    with pytest.raises(DataError):  # they are looked for there, and checked
        run.rows()


def test_a_format_that_the_caller_says_is_read_by_itself() -> None:
    run = ExplainedRun("a", "reasoning", "seg-r1", "geshang/Seg-R1-7B", CheckpointConfig(format="seg-r1"))
    assert rows_of(run)["reader of an answer"] == "that of seg-r1"
    assert rows_of(run)["coordinates beyond the canvas"] == "are clipped"


def test_a_report_says_which_reader_read() -> None:
    for read, told in (("seg-r1-published", AS_THEIRS), ("seg-zero", "that of seg-zero")):
        run = ExplainedRun("a", "reasoning", "seg-r1", "pocket", answer_format=read)
        assert rows_of(run)["reader of an answer"] == told


def test_a_checkpoint_without_a_canvas_is_not_asked_with_one() -> None:
    rows = rows_of(ExplainedRun("a", "reasoning", "seg-r1", "pocket"))
    assert rows["canvas"] == "the image's own size"
    assert rows["segmenter"] == "the checkpoint's own"
    assert rows["pixels to ignore"] == AS_THEIRS


def test_a_run_of_which_nothing_was_published_says_so() -> None:
    run = ExplainedRun("scenes", "mixed", "default", "pocket")
    assert run.rows() == []
    assert "no numbers are published" in explained_text(run)


def test_a_run_is_explained_on_the_command_line_without_data_or_model(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", "reasonseg-test", "--model", "geshang/Seg-R1-7B", "--protocol", "seg-r1", "--explain"]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "reasonseg-test, protocol seg-r1, geshang/Seg-R1-7B" in told
    assert "red and blue swapped before SAM 2" in told
    assert "choices are the authors'; the others: sentences, weights, labels above 1 and reversed" in told
    assert main([*words, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"choice", "authors", "default", "by", "run"} == set(rows[0])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["scenes", "--protocol", "seg-r1", "--explain"], "'scenes' has no protocol 'seg-r1'"),
        (["scenes"], "results need a folder: say --out DIR"),
        (["nowhere", "--explain"], "nowhere"),
    ],
)
def test_what_cannot_be_explained_or_run_is_told(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["evaluate", *words]) == 2
    assert said in capsys.readouterr().err
