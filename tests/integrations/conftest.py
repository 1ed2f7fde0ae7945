"""Rows for engines, and completions about them."""

import json

import pytest

from thinkseg import cli
from thinkseg.testing.data_sets import write_pair

REWARDS = {"segment": 1.0, "soft_box_iou": 0.5, "points_inside": 0.25, "presence": 0.2, "format": 0.5}


@pytest.fixture(scope="session")
def settings():
    """How they are scored: each part of the pocket recipe's rewards, masks among them."""
    return {"format": "seg-r1", "rewards": REWARDS, "segmenter": "grabcut"}


@pytest.fixture(scope="session")
def own(tmp_path_factory):
    """A table of three queries about two images."""
    folder = tmp_path_factory.mktemp("own")
    for number in range(2):
        write_pair(folder / f"shots/{number}.png", folder / f"masks/{number}.png", number)
    (folder / "t.jsonl").write_text(
        '{"id": "a", "image": "shots/0.png", "query": "the thing", "masks": ["masks/0.png"]}\n'
        '{"id": "b", "image": "shots/1.png", "query": "both", "masks": ["masks/1.png", "masks/0.png"]}\n'
        '{"id": "c", "image": "shots/1.png", "query": "the cow", "masks": []}\n'
    )
    return folder


@pytest.fixture(scope="session")
def truths(own, tmp_path_factory):
    """The truths in rows that the command line has written, for the pocket model and its own format."""
    import pyarrow.parquet as pq

    out = tmp_path_factory.mktemp("rows") / "rows"
    asked = ["--schema", "easyr1", "--model", "pocket-small", "--out", str(out)]
    assert cli.main(["data", "prepare", str(own / "t.jsonl"), *asked]) == 0
    return [json.loads(row["answer"]) for row in pq.read_table(out / "train-00000-of-00001.parquet").to_pylist()]


@pytest.fixture(scope="session")
def said(truths):
    """Completions: an object that is near the true one of the first query, "nothing there", and no answer."""
    (found,) = truths[0]["objects"]
    x_min, y_min, x_max, y_max = map(round, found["box"])
    x, y = map(round, found["points"][0][:2])
    return (
        f"<think>a</think><bbox>[{x_min + 2},{y_min},{x_max},{y_max}]</bbox><points>[[{x},{y}]]</points>"
        "<labels>[1]</labels>",
        "<think>b</think><bbox></bbox><points></points><labels></labels>",
        "nothing that could be read",
    )
