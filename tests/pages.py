"""Runs a page of the documentation as its reader would: block after block, in one folder, with one Python."""

import re
import runpy
import shlex
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from thinkseg.cli import main

BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```', re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: its language, the file that it is to be written to (or ""), and its text."""

    language: str
    file: str
    text: str


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(*found) for found in BLOCK.findall(page.read_text(encoding="utf-8"))]


def lines_of(block: Block) -> Iterator[list[str]]:
    """The words of each command of a block of the shell's, continued lines joined."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield words


def run_page(
    page: Path,
    repository: Path,
    shorter: Callable[[list[str]], list[str]] = list,
    languages: Collection[str] = ("python", "sh"),
) -> None:
    """Run its blocks of these languages in the current folder; `shorter` may make a command's work less."""
    names: dict[str, object] = {}
    for block in blocks_of(page):
        if block.file:
            Path(block.file).write_text(block.text, encoding="utf-8")
        elif block.language not in languages:
            continue
        elif block.language == "python":
            exec(compile(block.text, str(page), "exec"), names)
        elif block.language == "sh":
            for words in lines_of(block):
                _run(words, repository, shorter)


def _run(words: list[str], repository: Path, shorter: Callable[[list[str]], list[str]]) -> None:
    if words[0] == "python":
        sys.argv = words[1:]
        runpy.run_path(str(repository / words[1]), run_name="__main__")
    else:
        assert words[0] == "thinkseg", f"neither Python nor ThinkSeg: {words[0]}"
        assert main(shorter(words[1:])) == 0, shlex.join(words)
