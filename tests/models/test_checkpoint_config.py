import json
from pathlib import Path
from typing import Any

import pytest

from thinkseg.answers import FORMATS
from thinkseg.errors import CheckpointError
from thinkseg.models.checkpoint_config import KNOWN, CheckpointConfig, read_config, resolve_config, write_config
from thinkseg.types import Instruction


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").touch()
    return tmp_path


def write(folder: Path, settings: Any) -> Path:
    (folder / "thinkseg.json").write_text(json.dumps(settings))
    return folder


def test_what_the_caller_says_wins_over_the_file_and_the_file_over_the_table(folder: Path) -> None:
    write(folder, {"format": "seg-zero", "max_new_tokens": 64, "segmenter": None})
    given = CheckpointConfig(max_new_tokens=9)
    found = resolve_config("geshang/Seg-R1-3B", given, source=str(folder))
    assert found.max_new_tokens == 9
    assert found.format == "seg-zero"
    assert found.segmenter == KNOWN["geshang/Seg-R1-3B"].segmenter
    assert found.min_pixels is None


def test_another_format_takes_neither_the_sentences_nor_the_length_of_the_one_in_the_file(folder: Path) -> None:
    write(folder, {"format": "seg-r1", "instruction": {"user": "Find {query}."}, "max_new_tokens": 64, "canvas": 112})
    found = resolve_config(folder, CheckpointConfig(format="seg-zero"))
    assert found == CheckpointConfig(format="seg-zero", canvas=112)
    assert resolve_config(folder, CheckpointConfig(format="seg-r1")).max_new_tokens == 64


def test_published_checkpoints_are_known_by_formats_that_exist() -> None:
    assert {settings.format for settings in KNOWN.values()} <= set(FORMATS)
    assert set(KNOWN) == {
        "geshang/Seg-R1-3B",
        "geshang/Seg-R1-7B",
        "Ricky06662/Seg-Zero-7B",
        "Ricky06662/VisionReasoner-7B",
    }


def test_a_folder_without_the_file_says_nothing(folder: Path) -> None:
    assert read_config(folder) == CheckpointConfig()
    assert resolve_config(folder) == CheckpointConfig()


def test_a_hub_that_is_out_of_reach_says_nothing() -> None:
    assert read_config("nobody/no-model") == CheckpointConfig()
    assert resolve_config("Ricky06662/Seg-Zero-7B").format == "seg-zero"


def test_the_file_holds_the_instruction_and_keys_of_its_own(folder: Path) -> None:
    write(folder, {"instruction": {"system": None, "user": "Find {query}."}, "trained_on": "scenes", "canvas": 112})
    assert read_config(folder) == CheckpointConfig(instruction=Instruction("Find {query}."), canvas=112)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (
            {"max_new_tokens": "many"},
            "'max_new_tokens' in .*thinkseg.json' should be a whole number or null, found 'm",
        ),
        ({"max_new_tokens": True}, "found True"),
        ({"format": 3}, "'format' in .* should be text or null, found 3"),
        ({"canvas": 0}, "'canvas' in .* should be at least 1, found 0"),
        ({"instruction": "Find {query}."}, "'instruction' in .* should be a section of settings or null, found 'Find"),
        ({"instruction": {"system": "Find {query}."}}, "'instruction' in .* should be"),
        ({"instruction": {"user": "Find it."}}, "no place for the query"),
        (["seg-r1"], "has to hold an object of settings, found list"),
    ],
)
def test_a_wrong_value_in_the_file_is_named(settings: Any, reason: str, folder: Path) -> None:
    with pytest.raises(CheckpointError, match=reason):
        read_config(write(folder, settings))


@pytest.mark.parametrize("name", ["format", "segmenter", "family"])
def test_a_checkpoint_cannot_have_code_run_that_the_user_has_not_named(name: str, folder: Path) -> None:
    """Whoever uses a checkpoint of somebody else would run somebody else's code."""
    write(folder, {"format": "seg-r1", "max_new_tokens": 9, name: "theirs.py:Own"})
    with pytest.raises(CheckpointError, match=rf"thinkseg.json of .* names 'theirs.py:Own'.*--{name} theirs.py:Own"):
        resolve_config(folder)
    given = CheckpointConfig(**{name: "theirs.py:Own"})
    found = resolve_config(folder, given)
    assert getattr(found, name) == "theirs.py:Own"
    assert found.max_new_tokens == 9


def test_a_config_that_was_written_reads_back_the_same(folder: Path) -> None:
    config = CheckpointConfig(format="seg-r1", instruction=Instruction("Find {query}."), canvas=56)
    write_config(config, folder)
    assert read_config(folder) == config


@pytest.mark.parametrize("values", [{"max_new_tokens": "many"}, {"canvas": -1}, {"formt": "seg-r1"}])
def test_a_config_that_python_builds_is_checked_as_well(values: Any) -> None:
    with pytest.raises(CheckpointError, match=rf"'{next(iter(values))}'"):
        CheckpointConfig(**values)


def test_a_file_that_is_not_json_is_named(folder: Path) -> None:
    (folder / "thinkseg.json").write_text("{format: seg-r1}")
    with pytest.raises(CheckpointError, match=r"thinkseg\.json' is not JSON"):
        read_config(folder)


@pytest.mark.parametrize(
    ("key", "meant"), [("formt", "format"), ("max_new_token", "max_new_tokens"), ("Frame", "frame")]
)
def test_a_misspelt_setting_in_the_file_is_refused_with_what_is_meant(key: str, meant: str, folder: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"no setting '{key}' in .*; did you mean '{meant}'\?"):
        read_config(write(folder, {"canvas": 112, key: 3}))
