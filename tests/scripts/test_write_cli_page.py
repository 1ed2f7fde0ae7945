"""The page of the command line has what the verbs say of themselves."""

import subprocess
import sys

from thinkseg import cli


def test_the_page_has_a_section_with_an_example_for_every_verb(repository, tmp_path):
    page = tmp_path / "command_line.md"
    subprocess.run([sys.executable, repository / "scripts/write_cli_page.py", page], check=True)
    sections = page.read_text(encoding="utf-8").split("\n## ")[1:]
    assert [section.splitlines()[0] for section in sections] == ["thinkseg", *(f"thinkseg {v}" for v in cli.VERBS)]
    for section in sections:
        assert "example" in section
        assert section.count("```") == 2
