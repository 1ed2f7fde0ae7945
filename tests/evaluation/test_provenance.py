import shlex
from pathlib import Path

from thinkseg.evaluation.provenance import (
    SAMPLED_BYTES,
    SAMPLED_PLACES,
    checkpoint_revision,
    command_line,
    package_versions,
)


def test_a_checkpoint_is_known_again_after_a_copy_and_not_after_a_change(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(bytes(range(256)) * 40)
        (tmp_path / name / "thinkseg.json").write_text('{"format": "seg-r1"}')
    first = checkpoint_revision(tmp_path / "one")
    assert len(first) == 12
    assert checkpoint_revision(tmp_path / "two") == first
    (tmp_path / "two" / "thinkseg.json").write_text('{"format": "seg-r2"}')
    assert checkpoint_revision(tmp_path / "two") != first


def test_a_large_file_is_sampled_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    size = SAMPLED_BYTES * SAMPLED_PLACES * 2
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(size))
    first = checkpoint_revision(tmp_path)
    for place in (10, size * (SAMPLED_PLACES - 1) // SAMPLED_PLACES + 10):
        changed = bytearray(size)
        changed[place] = 1
        path.write_bytes(changed)
        assert checkpoint_revision(tmp_path) != first


def test_a_hub_id_or_an_empty_folder_has_no_revision(tmp_path: Path) -> None:
    assert checkpoint_revision("owner/name") == ""
    assert checkpoint_revision(tmp_path) == ""


def test_a_command_can_be_typed_again_as_it_is_printed() -> None:
    words = ["/somewhere/bin/thinkseg", "evaluate", "scenes", "--out", "my runs/it's"]
    assert shlex.split(command_line(words)) == ["thinkseg", *words[1:]]
    assert command_line(["/site-packages/thinkseg/__main__.py", "doctor"]) == "python -m thinkseg doctor"


def test_versions_name_python_and_what_can_move_a_number() -> None:
    assert {"python", "thinkseg", "numpy", "pillow"} <= set(package_versions())
