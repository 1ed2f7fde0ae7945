"""The simulation of labelling labels what it says, and keeps nothing of it."""

from argparse import Namespace

import pytest

from thinkseg.serving.labelling.labelled import Labelled


@pytest.fixture(scope="module")
def label(load_benchmark):
    return load_benchmark("label")


def test_every_row_of_its_table_is_labelled_and_counted(label, tmp_path):
    label.write_table(tmp_path, 40)
    found = label.measure(tmp_path, Namespace(engine="local", processes=1, plan_only=False))
    assert min(found[name] for name in ("rows_per_s", "rows_per_cpu_s", "bytes_per_row", "memory_mb")) > 0
    records = list(Labelled.open(tmp_path / "out").records())
    assert [record["query"] for record in records] == [f"the thing of row {number}" for number in range(40)]
    assert [record["image"] for record in records[14:18]] == ["14.jpg", "15.jpg", "0.jpg", "1.jpg"]
    (area,) = {record["objects"][0]["area"] for record in records}
    assert area == pytest.approx(3.14159 * 35 * 30, rel=0.02)  # an ellipse in a box of 70 × 60
