"""What is committed holds for everybody: no one machine's folders, registries or habits are in it.

And it keeps to the project's own rules of style: its words, its messages, its signatures.
"""

import re
import subprocess
import tomllib

import pytest
import yaml

# A letter of each word stands in brackets, so that this file does not find itself.
REGISTRY = r"\bpyp[i]\.org|pythonhoste[d]\.org|registry\.npmj[s]|/simpl[e]/?\b"
PRIVATE_FOLDER = r"/wor[k]/(?:main|shared|\.)|/tm[p]/w\b|/roo[t]\b|/hom[e]/\w+|/op[t]/pypi"
INDEX_OPTION = r"--(?:extra-)?index-ur[l]|--find-link[s]|--trusted-hos[t]"


def committed_texts(repository):
    """Path and text of every text file that git tracks."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        path = repository / name
        try:
            yield name, path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):  # an image or weights; deleted but not committed yet
            continue


@pytest.mark.parametrize("pattern", [REGISTRY, PRIVATE_FOLDER, INDEX_OPTION], ids=["registry", "folder", "index"])
def test_no_file_names_a_package_registry_or_a_folder_of_one_machine(pattern, repository):
    found = [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in committed_texts(repository)
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("pattern", "parts"),
    [
        (REGISTRY, ["https://files.py", "pi.org"]),
        (PRIVATE_FOLDER, ["cd /wo", "rk/main"]),
        (INDEX_OPTION, ["--find-", "links x"]),
    ],
)
def test_the_patterns_find_what_they_are_for(pattern, parts):
    assert re.search(pattern, "".join(parts))


WORD_OF_OLD = r"(?i)pictur[e]"
WHERE_IT_MAY_STAND = {
    "docs/decisions/0007-words-of-the-field.md": "says what the word was replaced by",
    "pocket/thinkseg_pocket/images/images.json": "names files of other people",
    "scripts/pocket/sources.json": "names files of other people",
    "thinkseg/data/discovery/tree.py": "finds folders that people call so",
}


def test_the_model_s_input_is_called_image_everywhere(repository):
    found = {name for name, text in committed_texts(repository) if re.search(WORD_OF_OLD, text)}
    assert found == set(WHERE_IT_MAY_STAND)


def test_every_pinned_version_lies_in_the_range_that_the_project_declares(repository):
    from packaging.requirements import Requirement

    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    lines = (line.split("#")[0].strip() for line in (repository / "constraints.txt").read_text().splitlines())
    pinned = {name.lower().replace("_", "-"): version for name, version in (line.split("==") for line in lines if line)}
    declared = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    for requirement in map(Requirement, declared):
        if requirement.name != "thinkseg":
            assert requirement.specifier.contains(pinned[requirement.name]), requirement


def test_every_yaml_file_can_be_read(repository):
    files = [name for name, _ in committed_texts(repository) if name.endswith((".yaml", ".yml", ".cff"))]
    assert "mkdocs.yml" in files
    for name in files:
        yaml.safe_load((repository / name).read_text())


def test_the_changelog_tells_of_the_version_that_is_coming(repository):
    assert "## [Unreleased]" in (repository / "CHANGELOG.md").read_text()


def test_decisions_are_numbered_without_a_gap_and_follow_the_template(repository):
    decisions = sorted((repository / "docs/decisions").glob("[0-9]*.md"))
    assert [int(path.name[:4]) for path in decisions] == list(range(1, len(decisions) + 1))
    for path in decisions:
        text = path.read_text()
        for heading in ("## Context", "## Decision", "## Consequences"):
            assert heading in text, f"{path.name} lacks '{heading}'"
