"""Code of the user's own is found by its reference, and by nothing else."""

import pickle
import subprocess
import sys

import pytest

from thinkseg.errors import InputError, RecipeError
from thinkseg.extension import (
    OwnCode,
    Reference,
    digest_of,
    import_reference,
    is_reference,
    refuse_reference,
    resolve,
)


@pytest.fixture
def code(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("class Box:\n    side = 3\n\ndef area(side):\n    return side ** 2\n")
    return file


def keep(value, _name):
    return value


@pytest.mark.parametrize(
    "name", ["mine.py:area", "some/where/mine.py:area", "pkg.module:area", "mine:Box.side", "C:/a/mine.py:area"]
)
def test_a_file_or_a_module_with_an_attribute_is_a_reference(name):
    assert is_reference(name)
    assert str(Reference.parse(name)) == name


@pytest.mark.parametrize(
    "name",
    [
        "seg-r1",
        "owner/model",
        "runs/rl/final",
        "http://localhost:8000/v1",
        "C:/models/rl",
        "mine.py",
        "a b:c",
        "mine.py:",
        None,
        3,
    ],
)
def test_names_paths_hub_ids_and_addresses_are_none(name):
    assert not is_reference(name)


def test_a_reference_gives_the_object_and_runs_its_file_once(code):
    assert import_reference(f"{code}:area")(4) == 16
    assert import_reference(f"{code}:Box") is import_reference(f"{code}:Box")
    assert import_reference(f"{code}:Box.side") == 3


def test_a_module_is_found_where_the_user_is(code, monkeypatch):
    monkeypatch.chdir(code.parent)
    code.rename(code.with_name("mine_of_the_test.py"))
    assert import_reference("mine_of_the_test:area")(2) == 4


def test_a_file_that_changed_is_run_again_and_has_another_digest(code):
    before, digest = import_reference(f"{code}:area"), digest_of(f"{code}:area")
    code.write_text(code.read_text().replace("** 2", "** 3"))
    assert import_reference(f"{code}:area")(2) == 8 != before(2)
    assert digest_of(f"{code}:area") != digest


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none.py:area", "found no such file"),
        ("no_such_module_at_all:area", "no module 'no_such_module_at_all'"),
        ("{code}:aera", "nothing called 'aera'; did you mean 'area'"),
        ("{broken}:area", "cannot be imported: ZeroDivisionError: division by zero"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_said_in_a_sentence(code, name, said):
    broken = code.with_name("broken.py")
    broken.write_text("1 / 0\n")
    with pytest.raises(RecipeError, match=said):
        import_reference(name.format(code=code, broken=broken), RecipeError)


def test_a_name_of_the_table_wins_and_an_unknown_one_is_told_the_nearest(code):
    table = {"area": 1, "width": 2}
    assert resolve("area", table, "number", keep) == 1
    assert resolve(f"{code}:Box.side", table, "number", keep) == 3
    with pytest.raises(InputError, match=r"no number 'aera': did you mean 'area'\? One of your own is FILE\.py:NAME"):
        resolve("aera", table, "number", keep)


def test_what_a_checkpoint_names_is_never_run(code):
    refuse_reference("seg-r1", "the thinkseg.json")
    with pytest.raises(InputError, match="only when you name it yourself"):
        refuse_reference(f"{code}:Box", "the thinkseg.json")


def in_another_process(pickled: bytes) -> subprocess.CompletedProcess[str]:
    read = "import pickle, sys; print([type(value).__name__ for value in pickle.load(sys.stdin.buffer)][1:])"
    told = subprocess.run([sys.executable, "-c", read], check=False, input=pickled, capture_output=True)
    return subprocess.CompletedProcess(told.args, told.returncode, told.stdout.decode(), told.stderr.decode())


def test_another_process_runs_the_files_that_the_values_need_and_no_others(tmp_path):
    file, other = tmp_path / "own.py", tmp_path / "other.py"
    file.write_text("class Mine:\n    pass\n", encoding="utf-8")
    other.write_text("class Theirs:\n    pass\n", encoding="utf-8")
    mine, theirs = import_reference(f"{file}:Mine")(), import_reference(f"{other}:Theirs")()
    other.write_text("raise ValueError('edited since')\n", encoding="utf-8")
    assert in_another_process(pickle.dumps((OwnCode(), mine))).stdout == "['Mine']\n"
    refused = in_another_process(pickle.dumps((OwnCode(), theirs)))
    assert f"'{other}' has changed since it was read; bring the earlier content back" in refused.stderr


def test_a_file_that_fails_in_another_process_is_named(tmp_path, monkeypatch):
    file = tmp_path / "own.py"
    file.write_text("import os\nassert os.environ['WHERE'] == 'here'\nclass Mine:\n    pass\n", encoding="utf-8")
    monkeypatch.setenv("WHERE", "here")
    mine = import_reference(f"{file}:Mine")()
    monkeypatch.setenv("WHERE", "there")
    told = in_another_process(pickle.dumps((OwnCode(), mine)))
    assert f"'{file}' cannot be imported in a process of its own: AssertionError" in told.stderr
