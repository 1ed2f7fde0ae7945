"""What is committed holds for everybody: no one machine's folders, registries or habits are in it.

And it keeps to the project's own rules of style: its words, its messages, its signatures.
"""

import ast
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


def parsed(repository, *folders):
    """Name and syntax tree of every Python file below the folders."""
    for folder in folders:
        for path in sorted((repository / folder).rglob("*.py")):
            yield str(path.relative_to(repository)), ast.parse(path.read_text(encoding="utf-8"))


def openings(message):
    """The texts that a message may begin with; none where it begins with a value."""
    if isinstance(message, ast.Constant) and isinstance(message.value, str):
        yield message.value
    elif isinstance(message, ast.JoinedStr) and message.values:
        yield from openings(message.values[0])
    elif isinstance(message, ast.BinOp):
        yield from openings(message.left)
    elif isinstance(message, ast.IfExp):
        yield from openings(message.body)
        yield from openings(message.orelse)


def capital_messages(tree):
    """Line and opening of every message of an error that begins like a sentence of prose.

    Names such as GrabCut, LVIS or HF_HUB_OFFLINE, whose later letters are not all small, may begin one.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and re.search(r"([Ee]rror|MalformedAnswer)$", ast.unparse(node.func)):
            for message in node.args:
                for text in openings(message):
                    if re.match(r"[A-Z][a-z]*(?![\w-])", text):
                        yield node.lineno, text[:60]


def test_every_error_message_begins_in_lower_case(repository):
    found = {name: list(capital_messages(tree)) for name, tree in parsed(repository, "thinkseg", "pocket")}
    assert {name: messages for name, messages in found.items() if messages} == {}


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ('raise DataError(f"Expected {n} rows")', 1),
        ('raise InputError("A shard is I/N" if n else f"{n} is none")', 1),
        ('raise errors.ImageError("Line " + name) from error', 1),
        ('raise DataError(f"{name} has no rows")', 0),
        ('raise InputError("GrabCut needs a box")', 0),
        ('raise InputError("HF_HUB_OFFLINE is set")', 0),
        ("raise DataError(\"'a' is no number\")", 0),
        ('print("Expected")', 0),
    ],
)
def test_messages_that_begin_with_a_capital_are_found(code, count):
    assert len(list(capital_messages(ast.parse(code)))) == count


MOST_PARAMETERS = 8
"""``self``, ``cls``, ``*args`` and ``**kwargs`` are not counted; parameters that can only be given by name are."""


def parameters(function):
    """Names of a function's parameters as they are counted."""
    given = function.args
    names = [parameter.arg for parameter in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


def test_no_function_has_more_parameters_than_one_can_keep_in_mind(repository):
    """The public calls alone may have more: there each option has its name, its default and its line of explanation."""
    found = {
        f"{name}:{node.name}": len(parameters(node))
        for name, tree in parsed(repository, "thinkseg")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not name.startswith("thinkseg/api/")
        and name != "thinkseg/__init__.py"
    }
    assert {name: count for name, count in found.items() if count > MOST_PARAMETERS} == {}


def test_parameters_are_counted_whatever_their_kind():
    method = ast.parse("def f(self, a, /, b, *rest, c, d=1, **more): ...").body[0]
    assert parameters(method) == ["a", "b", "c", "d"]


def own_patches(tree):
    """Line and target of every ``setattr`` or ``patch`` of one of the package's own modules."""
    own = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "thinkseg":
            own |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            own |= {alias.asname or "thinkseg" for alias in node.names if alias.name.split(".")[0] == "thinkseg"}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name) and node.args):
            continue
        called = ast.unparse(node.func)
        if re.search(r"(^|\.)(setattr|delattr)$|(^|\.)patch(\.object|\.dict)?$", called):
            target = ast.unparse(node.args[0]).strip("'\"")
            if target.split(".")[0] in own | {"thinkseg"}:
                yield node.lineno, target


def test_no_test_patches_a_module_of_our_own(repository):
    """What a patch would replace is given in: a loader, a clock, a folder, a limit."""
    found = [
        f"{name}:{line}: {target}" for name, tree in parsed(repository, "tests") for line, target in own_patches(tree)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("from thinkseg.training import grpo\nmonkeypatch.setattr(grpo, 'Rubric', None)", 1),
        ("monkeypatch.setattr('thinkseg.models.pipeline.load_pipeline', load)", 1),
        ("import thinkseg.evaluation.records as records\nwith mock.patch.object(records, 'WAIT', 1): ...", 1),
        ("monkeypatch.setattr('sys.stdin', lines)\nmonkeypatch.setattr(socket.socket, 'connect', guarded)", 0),
        ("monkeypatch.setenv('RANK', '1')", 0),
    ],
)
def test_patches_of_our_own_modules_are_told_from_others(code, count):
    assert len(list(own_patches(ast.parse(code)))) == count


def test_no_two_public_classes_have_one_name(repository):
    homes: dict[str, list[str]] = {}
    for name, tree in parsed(repository, "thinkseg"):
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(name)
    assert len(homes) > 100
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


def _without_encoding(call):
    """Whether a call opens a file as text and leaves its encoding to the machine, where it is not UTF-8 on Windows."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if any(keyword.arg in ("encoding", None) for keyword in call.keywords):
        return False
    if name in ("read_text", "write_text"):
        return isinstance(call.func, ast.Attribute)
    if isinstance(call.func, ast.Attribute):
        owner = call.func.value
        if isinstance(owner, ast.Name) and (owner.id == "os" or owner.id[0].isupper()):
            return False  # os.open, Image.open, Run.open
    if name != "open":
        return False
    given = call.args if isinstance(call.func, ast.Attribute) else call.args[1:]
    modes = [word.value for word in call.keywords if word.arg == "mode"] or given[:1] or [ast.Constant("r")]
    return isinstance(modes[0], ast.Constant) and "b" not in str(modes[0].value)


def test_what_opens_a_file_as_text_without_an_encoding_is_found():
    bad = [
        "p.read_text()",
        "p.write_text(t)",
        "p.open()",
        "p.open('a')",
        "open(p)",
        "open(p, 'w')",
        "open(p, mode='r')",
    ]
    good = ["p.read_text(encoding='utf-8')", "p.open('rb')", "open(p, 'wb')", "os.open(p, 1)", "read_text(p, e)"]
    found = [text for text in bad + good if _without_encoding(ast.parse(text).body[0].value)]
    assert found == bad


def test_every_file_that_is_read_or_written_as_text_says_its_encoding(repository):
    found = [
        f"{path.relative_to(repository)}:{node.lineno}"
        for folder in ("thinkseg", "scripts", "pocket", "benchmarks")
        for path in sorted((repository / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and _without_encoding(node)
    ]
    assert found == []
