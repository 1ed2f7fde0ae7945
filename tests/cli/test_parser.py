"""Help that fits a screen, wrong calls that say what may be meant, colour where it may be, and quiet."""

import io
import re

import pytest

from thinkseg import cli
from thinkseg.cli.colours import has_colour, painted_help
from thinkseg.meter import Meter, quiet, tell


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("name", cli.VERBS)
def test_the_help_of_a_verb_fits_a_screen_and_ends_with_one_example(name, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    assert cli.main([name, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 40
    assert lines[-2].startswith("example")
    assert lines[-1].startswith("  ")
    assert f"thinkseg {name}" in lines[-1]


@pytest.mark.parametrize("name", cli.VERBS)
def test_all_of_the_help_has_every_flag_and_the_short_one_names_it(name, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    assert cli.main([name, "--help-all"]) == 0
    whole = capsys.readouterr().out
    cli.main([name, "--help"])
    short = capsys.readouterr().out
    for action in cli.create_parser(name)._actions:
        for flag in action.option_strings:
            assert flag in whole
        if action.option_strings:
            assert action.option_strings[0] in short


def test_the_help_of_an_action_says_what_the_action_does(capsys):
    assert cli.main(["data", "check", "--help"]) == 0
    assert "usage: thinkseg data check [options] ROOT" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["segment", "a.jpg", "--qeury", "the cow"], "--query"),
        (["evaluate", "scenes", "--ouut=runs/x"], "--out"),
        (["data", "check", "photos", "--jsn"], "--json"),
        (["demo", "--prot", "8000"], "--port"),
        (["train", "rl", "pocket/rl", "--dryrun"], "--dry-run"),
        (["train", "rl", "pocket/rl", "--resum"], "--resume"),
        (["train", "stf", "pocket/rl"], "sft"),
        (["data", "czeck", "photos"], "check"),
        (["--verbsoe", "doctor"], "--verbose"),
    ],
)
def test_a_misspelt_word_is_told_with_the_one_that_may_be_meant(words, meant, capsys):
    assert cli.main(words) == 2
    captured = capsys.readouterr()
    assert f"did you mean '{meant}'?" in captured.err
    assert captured.out == ""


def test_a_word_like_no_other_is_told_without_a_guess(capsys):
    assert cli.main(["doctor", "--xyzzy"]) == 2
    assert "did you mean" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stream", "environment", "coloured"),
    [
        (Terminal(), {"TERM": "xterm"}, True),
        (Terminal(), {"TERM": "xterm", "NO_COLOR": ""}, True),
        (Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {"TERM": "xterm"}, False),
    ],
)
def test_colour_is_for_terminals_whose_user_has_not_said_no(stream, environment, coloured):
    assert has_colour(stream, environment) is coloured


def test_colour_changes_no_letter_of_the_help(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    text = cli.create_parser("segment").format_help()
    shown = painted_help(text, Terminal())
    assert "\x1b[1musage:\x1b[0m" in shown
    assert "\x1b[36m--out DIR\x1b[0m" in shown
    assert re.sub(r"\x1b\[\d+m", "", shown) == text


def test_an_error_is_red_on_a_terminal(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    assert cli.main(["segmant"]) == 2
    assert terminal.getvalue().startswith("\x1b[31mthinkseg: error:\x1b[0m there is no verb")


def test_what_is_quiet_shows_no_progress_and_no_notes(capsys):
    with quiet():
        tell("loading …")
        with Meter("work", "image", 2) as meter:
            meter.move(2)
    assert capsys.readouterr().err == ""
    tell("loading …")
    with Meter("work", "image", 2) as meter:
        meter.move(2)
    assert re.fullmatch(r"loading …\nwork: 2/2 images, .*\n", capsys.readouterr().err)


@pytest.mark.parametrize("words", [["data", "check", "{}", "--quiet"], ["--quiet", "data", "check", "{}"]])
def test_a_quiet_verb_prints_its_result_and_its_errors_alone(words, tmp_path, capsys):
    (tmp_path / "table.csv").write_text("image,query,mask\nmissing.png,the cow,none\n", encoding="utf-8")
    words = [word.format(tmp_path / "table.csv") for word in words]
    assert cli.main(words) == 1
    captured = capsys.readouterr()
    assert "missing.png" in captured.out
    assert captured.err == ""
    assert cli.main(["--quiet", "data", "check", str(tmp_path / "nothing")]) == 2
    assert "thinkseg: error: " in capsys.readouterr().err
