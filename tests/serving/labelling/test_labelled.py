"""A folder of results is counted, and no row stands in it twice."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from thinkseg.cli import main
from thinkseg.errors import DataError
from thinkseg.serving.labelling.labelled import Labelled, rows_there, settle

from .test_local import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path, 6)
    desk.label(rows_per_file=2)
    return desk


def test_rows_that_were_written_twice_are_taken_out_and_those_that_lack_are_counted(desk: Desk) -> None:
    first, second, third = sorted((desk.out / "labels").iterdir())
    doubled = pq.read_table(first).slice(1, 1)
    third_rows = pq.read_table(third)
    pq.write_table(pq.read_table(first), desk.out / "labels" / "again.parquet")
    pq.write_table(pa.concat_tables([third_rows, doubled, third_rows]), third)
    second.unlink()
    assert settle(desk.out, 6) == 2
    assert sorted(desk.rows) == [0, 1, 4, 5]
    assert settle(desk.out, 6) == 2


def test_a_file_that_is_being_written_has_no_rows_yet(desk: Desk) -> None:
    (desk.out / "labels" / "torn.parquet").write_bytes(b"PAR1 torn")
    known: dict[Path, int] = {}
    assert rows_there(desk.out, known) == 6
    assert len(known) == 3
    with pytest.raises(DataError, match=r"torn.parquet' is no file of 'thinkseg label', or is damaged"):
        Labelled.open(desk.out)


def test_a_folder_of_something_else_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"found no label.json"):
        Labelled.open(tmp_path)
    (tmp_path / "label.json").write_text('{"rows": "many"}')
    with pytest.raises(DataError, match="is not what 'thinkseg label' writes"):
        Labelled.open(tmp_path)


def test_the_verb_labels_and_tells_what_came_of_it(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["label", str(desk.folder), "--query", "it", "--out", str(tmp_path / "new"), "--device", "cpu"]
    assert main(words, load=desk.load) == 0
    told = capsys.readouterr()
    assert told.out == f"6 rows: objects in 6, nothing there in 0\nlabels: {tmp_path / 'new' / 'labels'}\n"
    assert "label: 6/6 rows" in told.err
    assert "took 0:0" in told.err
    desk.says = lambda _: "nonsense"
    words[words.index(str(tmp_path / "new"))] = str(tmp_path / "failed")
    assert main([*words, "--json"], load=desk.load) == 1
    assert '"failures": {"malformed_answer": 6}' in capsys.readouterr().out
    assert main([*words, "--query", "another"], load=desk.load) == 2
    assert "holds results of another labelling: data revision was" in capsys.readouterr().err
