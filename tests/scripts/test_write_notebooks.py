"""The notebooks are their tutorials, and run in a kernel of their own."""

import os
import runpy
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(Path(__file__).parents[2] / "scripts/write_notebooks.py"))


@pytest.mark.parametrize("name", ["own_data", "write_a_reward"])
def test_a_notebook_says_what_its_tutorial_says(name, script, repository):
    assert name in script["TUTORIALS"]
    made = script["notebook_of"](repository / f"docs/tutorials/{name}.md")
    kept = (repository / f"docs/notebooks/{name}.ipynb").read_text(encoding="utf-8")
    assert kept == nbformat.writes(made) + "\n", "run: python scripts/write_notebooks.py docs"


@pytest.mark.parametrize("name", ["own_data", "write_a_reward"])
def test_the_links_of_a_notebook_lead_to_pages(name, script, repository):
    found = [
        link.partition("#")[0]
        for cell in script["notebook_of"](repository / f"docs/tutorials/{name}.md").cells
        for link in script["LINK"].findall(cell.source)
    ]
    assert found
    for link in found:
        assert (repository / "docs/notebooks" / link).exists(), link


@pytest.mark.slow
@pytest.mark.parametrize("name", ["own_data", "write_a_reward"])
def test_a_notebook_runs_from_top_to_bottom(name, repository, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    notebook = nbformat.read(repository / f"docs/notebooks/{name}.ipynb", as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shell = [cell for cell in notebook.cells if cell.source.startswith("!")]
    assert shell
    for cell in shell:
        assert "error" not in "".join(output.get("text", "") for output in cell.outputs)
