"""The scripts of ``thinkseg completion``: real shells complete by them."""

import shutil
import subprocess

import pytest

from thinkseg import cli
from thinkseg.cli.completion import SHELLS


@pytest.fixture
def script(tmp_path, capsys):
    """The file of a shell's script."""

    def write(shell):
        assert cli.main(["completion", shell]) == 0
        path = tmp_path / f"completion.{shell}"
        path.write_text(capsys.readouterr().out, encoding="utf-8")
        return path

    return write


def completed(path, *words):
    """What bash offers for the last of the words."""
    code = f"""
        source {path}
        COMP_WORDS=({" ".join(repr(word) for word in words)})
        COMP_CWORD={len(words) - 1}
        $(complete -p thinkseg | sed -E 's/.* -F ([^ ]+) .*/\\1/')
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True, cwd=path.parent)
    return done.stdout.split()


def test_bash_completes_verbs_actions_flags_choices_and_files(script):
    path = script("bash")
    (path.parent / "photos").mkdir()
    assert completed(path, "thinkseg", "seg") == ["segment"]
    assert completed(path, "thinkseg", "data", "che") == ["check"]
    assert completed(path, "thinkseg", "segment", "--max-n") == ["--max-new-tokens"]
    assert completed(path, "thinkseg", "train", "r") == ["rl"]
    assert completed(path, "thinkseg", "segment", "--out", "pho") == ["photos"]
    assert {"--quiet", "--verbose", "--help"} <= set(completed(path, "thinkseg", "doctor", "--"))


@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shell != "bash"])
def test_other_shells_take_their_scripts(shell, script):
    text = script(shell).read_text(encoding="utf-8")
    assert all(verb in text for verb in cli.VERBS)
    if shutil.which(shell):
        subprocess.run([shell, "-n", str(script(shell))], check=True, timeout=60)


def test_a_shell_that_is_not_known_is_told_with_those_that_are(capsys):
    assert cli.main(["completion", "basch"]) == 2
    assert "did you mean 'bash'?" in capsys.readouterr().err
