"""What several tests of serving need."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.api.evaluate import evaluate
from thinkseg.imaging import save_mask
from thinkseg.models.pipeline import Pipeline
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Size


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an evaluation of three images; the second answer is the worst, the first is right."""

    folder = tmp_path_factory.mktemp("evaluated")
    rows = []
    for number, right in enumerate((20, 80, 30), start=1):
        Image.new("RGB", (100, 50), (60, 90, 140)).save(folder / f"{number}.png")
        mask = np.zeros((50, 100), dtype=bool)
        mask[10:30, right : right + 20] = True
        save_mask(mask, folder / f"{number}.mask.png")
        rows.append({"image": f"{number}.png", "query": f"thing {number}", "mask": f"{number}.mask.png"})
    table = folder / "table.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = "<think>here</think><bbox>[20,10,39,29]</bbox><points>[[30,20]]</points><labels>[1]</labels>"
    pipeline = Pipeline(FakeReasoner(lambda _: said, Size(100, 50)), FakeSegmenter(), get_format("seg-r1"))
    evaluate("folder", data=table, model=pipeline, out=folder / "run")
    return folder / "run"
