"""The documentation says what is so: its commands are accepted, its targets and linked files exist."""

import ast
import re
import shlex
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import thinkseg
from thinkseg import cli
from thinkseg.data.synthetic.scenes import load_scenes

REPOSITORY = Path(__file__).parent.parent
PAGES = sorted(
    {*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("pocket/*.md")}
    - {REPOSITORY / "docs/command_line.md"}  # written for each build, by scripts/write_cli_page.py
)


def shell_lines():
    """Page and line of every line in the pages' blocks of shell commands, continued lines joined."""
    for page in PAGES:
        for block in re.findall(r"```(?:sh|bash|console)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                yield page.name, line.removeprefix("$ ").strip()


COMMANDS = [(page, line.split("|")[0]) for page, line in shell_lines() if line.startswith("thinkseg ")]
TARGETS = [(page, line) for page, line in shell_lines() if line.startswith("make ")]


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_a_command_in_the_documentation_is_one_that_its_verb_accepts(page, command):
    verb, *words = shlex.split(command, comments=True)[1:]
    assert verb in cli.VERBS, page
    if "--help" in words or (verb == "train" and {"--list", "--schema"} & set(words)):  # prints something and ends
        with pytest.raises(SystemExit, match=r"^0$"):
            cli.create_parser(verb).parse_args(words)
        return
    _, unknown = cli.create_parser(verb).parse_known_args(words)
    assert not unknown or import_module(f"thinkseg.cli.{verb}").PARSE_KNOWN


@pytest.mark.parametrize(("page", "command"), TARGETS)
def test_a_make_target_in_the_documentation_exists(page, command):
    targets = re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    for word in shlex.split(command, comments=True)[1:]:
        assert "=" in word or word in targets, page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_what_a_page_links_to_exists(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if "://" not in target and target != "command_line.md":
            assert (page.parent / target).exists(), target


def test_there_are_commands_and_targets_to_check():
    assert COMMANDS
    assert TARGETS


def glossary():
    """Term and meaning of every row of the glossary."""
    page = (REPOSITORY / "docs/glossary.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return [(term.removeprefix("| "), meaning.removesuffix(" |")) for term, meaning in rows[1:]]


def test_the_glossary_is_alphabetical_and_says_each_term_once():
    terms = [term.casefold() for term, _ in glossary()]
    assert len(terms) > 50
    assert terms == sorted(set(terms))


@pytest.mark.parametrize(("term", "meaning"), glossary())
def test_a_term_of_the_glossary_is_explained_in_a_sentence_or_a_few(term, meaning):
    assert re.match(r"[A-Z]|`|gRef|1\. ", meaning)
    assert meaning.endswith((".", ".)"))
    assert len(meaning) < 300, "a page about it is the place for more"


def test_the_types_that_the_glossary_names_exist():
    named = {word for _, meaning in glossary() for word in re.findall(r"\(`([A-Z]\w+)`\)", meaning)}
    assert {"Sample", "Answer", "Rubric", "RewardInput"} <= named
    assert named <= set(defined_names())


def defined_names():
    """Classes and annotated constants of the package."""
    for path in (REPOSITORY / "thinkseg").rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                yield node.name
            elif isinstance(node, ast.AnnAssign):
                yield ast.unparse(node.target)


def test_every_defect_on_its_page_is_cited_by_the_tests_beside_it_and_every_one_cited_is_on_it():
    page = (REPOSITORY / "docs/defects.md").read_text(encoding="utf-8")
    rows = {int(row.split("|")[1]): row for row in page.splitlines() if re.match(r"\| \d+ \|", row)}
    assert list(rows) == list(range(1, len(rows) + 1))
    citing = {number: set() for number in rows}
    for path in (REPOSITORY / "tests").rglob("*.py"):
        for numbers in re.findall(r"\b(?i:defects?) ((?:\d+(?:, | and )?)+)", path.read_text(encoding="utf-8")):
            for number in re.findall(r"\d+", numbers):
                citing[int(number)].add(str(path.relative_to(REPOSITORY / "tests")))
    for number, row in rows.items():
        beside = set(re.findall(r"`([\w/]+\.py)`", row))
        assert beside, f"defect {number} names no test"
        assert beside <= citing[number], f"a test beside defect {number} does not cite it"


PYTHON_PAGES = [
    "README.md",
    *(f"docs/{name}.md" for name in ("index", "coordinates", "data/formats", "labelling", "models")),
    *(f"docs/{name}.md" for name in ("pocket", "python", "segment")),
]


@pytest.mark.parametrize("page", PYTHON_PAGES)
def test_the_python_of_a_page_runs_and_prints_what_stands_beside_it(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    load_scenes("test", count=1, seed=1, size=224)[0].image.save("photo.jpg")
    blocks = re.findall(r"```python\n(.*?)```", (REPOSITORY / page).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), {})
        promised = re.findall(r"^print\(.*\)  # (.+)$", block, re.MULTILINE)
        assert capsys.readouterr().out.splitlines() == promised


@pytest.mark.parametrize("name", sorted(set(thinkseg.__all__) - {"__version__"}))
def test_every_public_name_is_on_the_page_about_python(name):
    page = (REPOSITORY / "docs/python.md").read_text(encoding="utf-8")
    assert f"`thinkseg.{name}`" in page


def rows_to_change():
    """Cells of every row of CONTRIBUTING's table of what to open for which change."""
    page = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = page.partition("| to change | ")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.splitlines()[2:]]


@pytest.mark.parametrize("cells", rows_to_change(), ids=lambda cells: cells[0])
def test_a_row_of_what_to_open_names_files_and_tables_that_exist_and_a_test_that_shows_it(cells):
    _, where, outside, shown_by = cells
    texts = {path: REPOSITORY / path for path in re.findall(r"`([\w/.]+[/.][\w/]*)`", where)}
    assert texts
    for path in texts.values():
        assert path.is_file() or path.is_dir(), path
    for table, path in re.findall(r"`([A-Z_]+)` of `([\w/.]+)`", where):
        assert re.search(rf"^{table}\b", texts[path].read_text(encoding="utf-8"), re.MULTILINE), table
    test = (REPOSITORY / shown_by.strip("`")).read_text(encoding="utf-8")
    assert "def test_" in test
    if outside:
        assert re.search(r"def test_\w*_ones_own|from a file of the user's own|outside the package", test)
        assert re.search(r"\.py\b", test), "it writes or names no file of code"


def test_the_rooms_of_the_contributing_page_are_those_whose_imports_are_checked(repository):
    page = (repository / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Rooms")[2].partition("\n\n")[0]
    rooms = [re.findall(r"`(\w+)/?`", line.split(" | ")[0]) for line in page.splitlines()[3:]]
    contract = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    layers = [layer.split(" | ") for layer in contract["layers"]]
    flat = [room for line in rooms for room in line]
    ranks = {room: rank for rank, layer in enumerate(layers) for room in layer}
    assert sorted(flat) == sorted([*ranks, *set(contract["exhaustive_ignores"]) - {"__main__"}])
    ordered = [ranks[room] for room in flat if room in ranks]
    assert ordered == sorted(ordered), "rooms stand from the top down"
