import json
from pathlib import Path
from typing import Any

import pytest

from thinkseg.answers import FORMATS
from thinkseg.errors import CheckpointError
from thinkseg.models.checkpoint_config import KNOWN, CheckpointConfig, read_settings, settings_for
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
    found = settings_for("geshang/Seg-R1-3B", str(folder), given)
    assert found.max_new_tokens == 9
    assert found.format == "seg-zero"
    assert found.segmenter == KNOWN["geshang/Seg-R1-3B"].segmenter
    assert found.min_pixels is None


def test_another_format_takes_neither_the_sentences_nor_the_length_of_the_one_in_the_file(folder: Path) -> None:
    write(folder, {"format": "seg-r1", "instruction": {"user": "Find {query}."}, "max_new_tokens": 64, "canvas": 112})
    found = settings_for(folder, str(folder), CheckpointConfig(format="seg-zero"))
    assert found == CheckpointConfig(format="seg-zero", canvas=112)
    assert settings_for(folder, str(folder), CheckpointConfig(format="seg-r1")).max_new_tokens == 64


def test_published_checkpoints_are_known_by_formats_that_exist() -> None:
    assert {settings.format for settings in KNOWN.values()} <= set(FORMATS)
    assert set(KNOWN) == {
        "geshang/Seg-R1-3B",
        "geshang/Seg-R1-7B",
        "Ricky06662/Seg-Zero-7B",
        "Ricky06662/VisionReasoner-7B",
    }


def test_a_folder_without_the_file_says_nothing(folder: Path) -> None:
    assert read_settings(folder) == CheckpointConfig()
    assert settings_for(folder, str(folder), CheckpointConfig()) == CheckpointConfig()


def test_a_hub_that_is_out_of_reach_says_nothing() -> None:
    assert read_settings("nobody/no-model") == CheckpointConfig()
    assert settings_for("Ricky06662/Seg-Zero-7B", "Ricky06662/Seg-Zero-7B", CheckpointConfig()).format == "seg-zero"


def test_the_file_holds_the_instruction_and_keys_of_its_own(folder: Path) -> None:
    write(folder, {"instruction": {"system": None, "user": "Find {query}."}, "trained_on": "scenes", "canvas": 112})
    assert read_settings(folder) == CheckpointConfig(instruction=Instruction("Find {query}."), canvas=112)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"max_new_tokens": "many"}, "'max_new_tokens' in .* has to be of type int, found 'many'"),
        ({"max_new_tokens": True}, "found True"),
        ({"format": 3}, "'format' in .* has to be of type str"),
        ({"instruction": "Find {query}."}, "'instruction' in .* has to be of type dict"),
        ({"instruction": {"system": "Find {query}."}}, "'instruction' in .* has to be"),
        ({"instruction": {"user": "Find it."}}, "no place for the query"),
        (["seg-r1"], "has to hold an object of settings, found list"),
    ],
)
def test_a_wrong_value_in_the_file_is_named(settings: Any, reason: str, folder: Path) -> None:
    with pytest.raises(CheckpointError, match=reason):
        read_settings(write(folder, settings))


def test_a_file_that_is_not_json_is_named(folder: Path) -> None:
    (folder / "thinkseg.json").write_text("{format: seg-r1}")
    with pytest.raises(CheckpointError, match=r"thinkseg\.json' is not JSON"):
        read_settings(folder)
