"""What the messages tell people to type is right where they are: in a clone, beside one, without one."""

import json
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from thinkseg.installing import extra_command, own_command, pocket_command

REPOSITORY = Path(__file__).parent.parent


def clone_at(root: Path) -> Path:
    """A folder with the files that tell a clone."""
    (root / "pocket").mkdir(parents=True)
    (root / "pocket/pyproject.toml").touch()
    return root


def test_in_a_clone_the_pocket_is_named_by_its_folder_so_that_the_command_works_from_anywhere(tmp_path: Path) -> None:
    clone = clone_at(tmp_path / "my clone")
    assert pocket_command(clone / "thinkseg", origin="") == f"pip install '{clone / 'pocket'}'"
    assert pocket_command() == f"pip install {REPOSITORY / 'pocket'}"


def test_what_was_installed_from_a_clone_finds_the_way_back_to_it(tmp_path: Path) -> None:
    clone = clone_at(tmp_path / "my clone")
    origin = json.dumps({"url": clone.as_uri(), "dir_info": {}})
    assert pocket_command(tmp_path / "site-packages/thinkseg", origin) == f"pip install '{clone / 'pocket'}'"


def test_a_clone_that_is_gone_is_not_named(tmp_path: Path) -> None:
    origin = json.dumps({"url": (tmp_path / "gone").as_uri(), "dir_info": {"editable": True}})
    assert pocket_command(tmp_path / "site-packages/thinkseg", origin) == "pip install thinkseg-pocket"


def test_from_an_index_the_pocket_is_a_distribution_of_its_own(tmp_path: Path) -> None:
    assert pocket_command(tmp_path / "site-packages/thinkseg", origin="") == "pip install thinkseg-pocket"


def test_from_a_repository_the_pocket_comes_from_the_same_commit_of_it(tmp_path: Path) -> None:
    vcs = {"vcs": "git", "commit_id": "0f3c"}
    origin = json.dumps({"url": "https://example.org/thinkseg.git", "vcs_info": vcs})
    command = pocket_command(tmp_path / "site-packages/thinkseg", origin)
    assert command == ("pip install 'thinkseg-pocket @ git+https://example.org/thinkseg.git@0f3c#subdirectory=pocket'")
    assert Requirement(command.partition("'")[2].rstrip("'")).name == "thinkseg-pocket"


def test_sources_and_extras_have_their_commands(tmp_path: Path) -> None:
    assert own_command(tmp_path / "my clone/thinkseg") == f"pip install -e '{tmp_path / 'my clone'}'"
    assert extra_command("demo") == "pip install 'thinkseg[demo]'"


@pytest.mark.parametrize(
    ("file", "name"), [("pyproject.toml", "thinkseg"), ("pocket/pyproject.toml", "thinkseg-pocket")]
)
def test_the_commands_name_the_distributions_as_they_are_called(file: str, name: str) -> None:
    assert tomllib.loads((REPOSITORY / file).read_text(encoding="utf-8"))["project"]["name"] == name
