"""The shell of the command line: help, exit codes, errors as sentences."""

import os
import re
import resource
import shlex
import subprocess
import sys
from importlib import import_module
from types import SimpleNamespace

import pytest

from thinkseg import __version__, cli
from thinkseg.errors import ImageError, MalformedAnswer
from thinkseg.stopwatch import count


def run_thinkseg(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "thinkseg", *words], capture_output=True, text=True, check=False)


def cpu_seconds(*words: str) -> float:
    """The CPU time of a child Python with these arguments: the best of five, for other work disturbs a single one."""
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


@pytest.fixture
def verb(monkeypatch):
    """A verb of the test's own: call the fixture with what its `run` shall do; the name is 'probe'."""

    def create(run, **attributes):
        def add_arguments(parser):
            parser.add_argument("--count", type=int, default=1)

        module = SimpleNamespace(EXAMPLE="example: thinkseg probe", add_arguments=add_arguments, run=run, **attributes)
        monkeypatch.setitem(cli.VERBS, "probe", "probe the shell")
        monkeypatch.setitem(sys.modules, "thinkseg.cli.probe", module)

    return create


def raise_error(error):
    def run(args):
        raise error

    return run


def test_help_answers_within_three_tenths_of_a_second_of_cpu_over_bare_python():
    assert cpu_seconds("-m", "thinkseg", "--help") - cpu_seconds("-c", "pass") < 0.3


def test_help_lists_every_verb_and_exits_with_0():
    done = run_thinkseg("--help")
    assert done.returncode == 0
    assert done.stderr == ""
    for name, text in cli.VERBS.items():
        assert name in done.stdout
        assert text in done.stdout


def test_the_version_goes_to_stdout(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"thinkseg {__version__}\n"


@pytest.mark.parametrize("name", cli.VERBS)
def test_the_help_of_every_verb_ends_with_an_example_that_its_own_parser_accepts(name, capsys):
    assert cli.main([name, "--help-all"]) == 0
    text = capsys.readouterr().out
    example = text[text.rindex("example") :]
    # A long command goes on in the next line after a backslash; what follows a pipe is another program's.
    commands = [
        re.split(r"\||> ", line)[0] for line in example.replace("\\\n", " ").splitlines() if f"thinkseg {name}" in line
    ]
    assert commands
    for command in commands:
        words = shlex.split(command[command.index(f"thinkseg {name}") :], comments=True)
        if name == "train" and {"--list", "--schema"} & set(
            words
        ):  # prints something and ends, whatever else is asked for
            with pytest.raises(SystemExit, match=r"^0$"):
                cli.create_parser(name).parse_args(words[2:])
            continue
        _, unknown = cli.create_parser(name).parse_known_args(words[2:])
        assert not unknown or import_module(f"thinkseg.cli.{name}").PARSE_KNOWN


@pytest.mark.parametrize("name", cli.VERBS)
def test_every_verb_has_a_module_with_the_names_that_the_shell_calls(name):
    module = import_module(f"thinkseg.cli.{name}")
    assert callable(module.add_arguments)
    assert callable(module.run)


def test_the_help_of_the_verbs_loads_no_pytorch():
    code = (
        "import sys; from thinkseg import cli\n"
        "for verb in cli.VERBS: cli.main([verb, '--help'])\n"
        "sys.exit(' '.join({'torch', 'transformers', 'trl'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_every_verb_stands_in_one_group_of_the_help():
    assert sorted(name for names in cli.GROUPS.values() for name in names) == sorted(cli.VERBS)


def test_the_commands_that_the_help_begins_with_are_accepted_by_their_verbs():
    commands = [
        shlex.split(line, comments=True)[1:] for line in cli.BEGIN.splitlines() if line.startswith("  thinkseg")
    ]
    assert [verb for verb, *_ in commands] == ["segment", "quickstart", "quickstart"]
    for verb, *words in commands:
        cli.create_parser(verb).parse_args(words)


@pytest.mark.parametrize("words", [["segment"], ["data"], ["data", "check"], ["quickstart", "--no-such-flag"]])
def test_a_wrong_call_is_told_in_two_lines_that_say_where_to_read_on(words, capsys):
    assert cli.main(words) == 2
    said, where = capsys.readouterr().err.splitlines()
    prog = "thinkseg " + " ".join(word for word in words if not word.startswith("-"))
    assert said.startswith(f"{prog}: error: ")
    assert where == f"'{prog} --help' says more"


def test_no_verb_at_all_shows_the_help_on_stderr_and_exits_with_2(capsys):
    assert cli.main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "verbs:" in captured.err


@pytest.mark.parametrize(("typo", "meant"), [("segmant", "segment"), ("docter", "doctor"), ("eval", "evaluate")])
def test_an_unknown_verb_exits_with_2_and_names_the_nearest(typo, meant, capsys):
    assert cli.main([typo]) == 2
    assert f"did you mean '{meant}'?" in capsys.readouterr().err


def test_a_verb_like_no_other_gets_the_list(capsys):
    assert cli.main(["xyzzy"]) == 2
    assert "the verbs are quickstart, segment" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--colour"], ["doctor", "--colour"], ["doctor", "extra-word"]])
def test_arguments_that_nobody_declared_exit_with_2(words, capsys):
    assert cli.main(words) == 2
    assert words[-1] in capsys.readouterr().err


def test_the_exit_code_of_the_verb_is_handed_through(verb):
    verb(lambda args: args.count)
    assert cli.main(["probe", "--count", "7"]) == 7


def test_flags_are_not_abbreviated_for_a_shortened_one_could_mean_an_override(verb):
    verb(lambda args: args.count)
    assert cli.main(["probe", "--cou", "7"]) == 2


def test_a_verb_that_asks_for_it_gets_the_flags_that_it_did_not_declare(verb):
    seen = []
    verb(lambda args: seen.append(args.overrides) or 0, PARSE_KNOWN=True)
    assert cli.main(["probe", "--learning-rate", "1e-5", "--count", "2"]) == 0
    assert seen == [["--learning-rate", "1e-5"]]


def test_long_work_ends_with_a_line_of_how_much_was_done_and_what_it_needed(verb, capsys):
    def work(args):
        count("samples", 12)
        return 0

    verb(work, LONG=True)
    assert cli.main(["probe"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(
        r"took 0:00: 12 samples \([\d,.]+/s\); at most \d+\.\d GB of memory( and .* of the card's)?\n", captured.err
    )


@pytest.mark.parametrize(("done", "long", "code"), [(12, False, 0), (0, True, 0), (12, True, 1)])
def test_short_work_and_work_that_did_nothing_or_failed_ends_without_such_a_line(verb, capsys, done, long, code):
    def work(args):
        count("samples", done)
        return code

    verb(work, LONG=long)
    assert cli.main(["probe"]) == code
    assert "samples" not in capsys.readouterr().err


def test_wrong_input_exits_with_2_and_one_sentence(verb, capsys):
    verb(raise_error(ImageError("cow.png is not an image")))
    assert cli.main(["probe"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "thinkseg: error: cow.png is not an image\n"
    assert captured.out == ""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MalformedAnswer("no box"), "MalformedAnswer: no box"),
        (RuntimeError("out of memory\nlong explanation"), "RuntimeError: out of memory"),
        (ValueError(), "ValueError"),
    ],
)
def test_any_other_error_exits_with_1_and_one_line_that_says_that_it_is_a_defect_and_how_to_report_it(
    verb, error, told, capsys
):
    verb(raise_error(error))
    assert cli.main(["probe"]) == 1
    said = "this is a defect of ThinkSeg: please report it, with the command and the traceback that --verbose shows"
    assert capsys.readouterr().err == f"thinkseg: error: {told}; {said}\n"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space left on device", "out/x.json"), "[Errno 28] No space left on device: 'out/x.json'"),
        (MemoryError("32 GB were asked for"), "32 GB were asked for"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"), "CUDA out of memory"),
    ],
)
def test_a_fault_of_the_machine_is_not_called_a_defect(verb, error, told, capsys):
    verb(raise_error(error))
    assert cli.main(["probe"]) == 1
    assert (
        capsys.readouterr().err == f"thinkseg: error: {type(error).__name__}: {told} (--verbose shows the traceback)\n"
    )


@pytest.mark.parametrize("words", [["-v", "probe"], ["probe", "--verbose"]])
def test_verbose_shows_the_traceback_before_the_sentence(verb, words, capsys):
    verb(raise_error(RuntimeError("out of memory")))
    assert cli.main(words) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-1].startswith("thinkseg: error: RuntimeError: out of memory")


def test_a_missing_package_is_named_with_the_way_to_get_it(verb, capsys):
    verb(raise_error(ModuleNotFoundError("No module named 'trl'", name="trl")))
    assert cli.main(["probe"]) == 2
    assert "the package 'trl' is not installed; 'thinkseg doctor'" in capsys.readouterr().err


def test_an_interruption_exits_with_130(verb, capsys):
    verb(raise_error(KeyboardInterrupt()))
    assert cli.main(["probe"]) == 130
    assert capsys.readouterr().err == "thinkseg: error: interrupted\n"


def test_a_reader_that_goes_away_ends_the_program_without_a_word():
    reader, writer = os.pipe()
    os.close(reader)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-m", "thinkseg", "--help"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, env=buffered)
    os.close(writer)
    assert done.returncode == 141
    assert done.stderr == ""


def test_a_name_longer_than_any_files_is_wrong_input(capsys):
    name = "n" * 300
    for words in (["data", "check", name], ["metrics", name, name], ["compare", name, f"m{name}"]):
        assert cli.main(words) == 2
        assert capsys.readouterr().err.count("longer than a system takes: 'nnn") == 1
