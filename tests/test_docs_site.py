"""The site: its menu has every page, and nothing on it comes from elsewhere."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parent.parent
GENERATED = {"command_line.md"}
"""Written for each build."""


CONFIG = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"))


def pages_of(nav):
    """The pages of a menu, and of the menus in it."""
    for entry in nav:
        if isinstance(entry, str):
            yield entry
        else:
            for value in entry.values():
                yield from [value] if isinstance(value, str) else pages_of(value)


def test_every_page_stands_in_the_menu_once():
    docs = REPOSITORY / "docs"
    written = {str(path.relative_to(docs)) for path in docs.rglob("*.md")} | GENERATED
    assert sorted(pages_of(CONFIG["nav"])) == sorted(written), "give a new page its line under 'nav' in mkdocs.yml"


def test_the_site_loads_nothing_from_elsewhere():
    assert CONFIG["theme"]["font"] is False
    for path in [REPOSITORY / "docs/styles.css", *(REPOSITORY / "docs/images").glob("*.svg")]:
        text = path.read_text(encoding="utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert not re.search(r"https?:|@import", text), path


@pytest.mark.parametrize("page", sorted((REPOSITORY / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_no_image_of_a_page_comes_from_elsewhere(page):
    assert not re.search(r"!\[[^]]*\]\(https?:", page.read_text(encoding="utf-8"))


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs the program 'chromium'")
def test_no_page_is_wider_than_a_phone_or_asks_another_machine(tmp_path):
    shutil.copytree(REPOSITORY / "docs", tmp_path / "docs")
    shutil.copytree(REPOSITORY / "scripts", tmp_path / "scripts")
    shutil.copy(REPOSITORY / "mkdocs.yml", tmp_path)
    (tmp_path / "thinkseg").symlink_to(REPOSITORY / "thinkseg")
    script = runpy.run_path(str(REPOSITORY / "scripts/write_cli_page.py"))
    (tmp_path / "docs/command_line.md").write_text(script["page"](), encoding="utf-8")
    silent = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    subprocess.run(command, cwd=tmp_path, env=silent, check=True)
    assert runpy.run_path(str(REPOSITORY / "scripts/look_at_site.py"))["main"]([str(tmp_path / "site")]) == 0
