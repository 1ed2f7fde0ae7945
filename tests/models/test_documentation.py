"""The page about models says what is so: its examples of models of one's own keep the contracts."""

import re
from pathlib import Path

import pytest

from thinkseg.models.base import Segmenter
from thinkseg.models.families import Family, family_of
from thinkseg.models.segmenter import load_segmenter
from thinkseg.types import Size

from ..conftest import example_in


@pytest.fixture
def own(repository: Path, tmp_path: Path) -> Path:
    """The folder with the files that the page shows."""
    page = (repository / "docs" / "models.md").read_text(encoding="utf-8")
    for name, code in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", page, re.DOTALL):
        (tmp_path / name).write_text(code)
    return tmp_path


def test_the_family_on_the_page_is_one(own: Path) -> None:
    family = family_of("qwen2_vl", f"{own / 'my_family.py'}:MyFamily")
    assert isinstance(family, Family)
    assert family.frame_of(None, Size(3, 3)) == Size(100, 100)


def test_the_segmenter_on_the_page_is_that_of_the_contract(own: Path) -> None:
    load_segmenter(f"{own / 'my_segmenter.py'}:Boxes", device="cpu")
    assert "".join((own / "my_segmenter.py").read_text().split()) == "".join(example_in(Segmenter).split())
