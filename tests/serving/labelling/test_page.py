"""The commands of the page about labelling run as they stand, with models that answer at once."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.pages import blocks_of, lines_of
from tests.serving.labelling import fakes
from thinkseg.cli import main
from thinkseg.serving.labelling.labelled import Labelled


def commands(repository: Path) -> list[list[str]]:
    """The words of each call of the verb on the page."""
    blocks = [block for block in blocks_of(repository / "docs/labelling.md") if block.language == "sh"]
    return [words[1:] for block in blocks for words in lines_of(block) if words[:2] == ["thinkseg", "label"]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the page supposes to be there."""
    monkeypatch.chdir(tmp_path)
    rows = [{"image": f"photos/{number}.png", "query": "the ball"} for number in range(12)]
    for row in rows:
        Path(row["image"]).parent.mkdir(exist_ok=True)
        Image.new("RGB", (10, 10)).save(row["image"])
    Path("requests.csv").write_text("image,query\n" + "".join(f"{row['image']},{row['query']}\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), "requests.parquet")
    return tmp_path


def test_the_commands_of_the_page_label_every_row(folder: Path, repository: Path) -> None:
    words = [words for words in commands(repository) if "ray" not in words]
    assert len(words) == 5
    for command in words:
        assert main([*command, "--device", "cpu"], load=fakes.load) == 0
    for name in ("labelled", "objects", "balls", "part"):
        labelled = Labelled.open(folder / name)
        assert labelled.complete
        assert labelled.found == 12
