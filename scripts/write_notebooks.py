"""Write notebooks from tutorials, so that a page and its notebook cannot differ.

Run it with::

    python scripts/write_notebooks.py docs

Python becomes a cell, a file of the page a cell that writes it, each command of the shell a line with ``!``, and the
text between them stays text.
"""

import argparse
import re
from pathlib import Path

import nbformat
from nbformat.notebooknode import NotebookNode

TUTORIALS = ("own_data", "write_a_reward")
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```\n?', re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)]+)\)")


def notebook_of(page: Path) -> NotebookNode:
    """The notebook of a tutorial."""
    cells, text, end = [], page.read_text(encoding="utf-8"), 0
    for block in BLOCK.finditer(text):
        cells += _told(text[end : block.start()])
        cells += _cell(*block.groups()) if block[1] in ("python", "sh") else _told(block[0])
        end = block.end()
    cells += _told(text[end:])
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def _told(text: str) -> list[NotebookNode]:
    """A cell of text, whose links lead from the folder of notebooks."""
    moved = LINK.sub(lambda link: f"](../{'' if link[1].startswith('../') else 'tutorials/'}{_up(link[1])})", text)
    return [nbformat.v4.new_markdown_cell(moved.strip())] if moved.strip() else []


def _up(target: str) -> str:
    return target.removeprefix("../")


def _cell(language: str, file: str | None, text: str) -> list[NotebookNode]:
    """A cell of code; one line of the shell each."""
    if file:
        text = f"%%writefile {file}\n{text}"
    elif language == "sh":
        text = "".join(f"!{line}\n" for line in text.replace("\\\n", " ").splitlines() if line.strip())
    return [nbformat.v4.new_code_cell(text.rstrip("\n"))]


def write(docs: Path) -> None:
    """Write all of them into the folder ``notebooks`` of the documentation."""
    for name in TUTORIALS:
        path = docs / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        path.write_text(nbformat.writes(notebook_of(docs / "tutorials" / f"{name}.md")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="Write notebooks from tutorials.")
    arguments.add_argument("docs", type=Path, help="the folder of the documentation")
    write(arguments.parse_args().docs)
