"""Looking through an evaluation, the worst samples first."""

import shutil
from pathlib import Path

import pytest

from thinkseg.errors import DataError
from thinkseg.serving.guarding import Store
from thinkseg.serving.page.browsing import ALL, FAILED, Browsed
from thinkseg.serving.page.browsing_tab import Shelf


@pytest.fixture
def browsed(evaluated: Path) -> Browsed:
    return Browsed.open(evaluated)


@pytest.fixture
def shelf(browsed: Browsed, store: Store) -> Shelf:
    return Shelf([browsed], store)


def test_the_worst_sample_comes_first(browsed: Browsed) -> None:
    assert [browsed.caption(place) for place in browsed.ranked()] == [
        "IoU 0.000 · thing 2",
        "IoU 0.333 · thing 3",
        "IoU 1.000 · thing 1",
    ]
    assert browsed.subsets == [ALL]
    assert browsed.ranked(FAILED) == []
    assert (browsed.place_of("3"), browsed.place_of("4")) == (2, None)


def test_a_sample_shows_its_true_mask_and_the_predicted_one_and_what_was_written(shelf: Shelf) -> None:
    shown = shelf.shown("run", ALL, 1)
    assert "Sample 2 of 3, the worst first. Asked for “thing 3”." in (shown.verdict_html or "")
    assert 'aria-label="the true mask"' in (shown.viewer_html or "")
    assert 'aria-label="the predicted mask"' in (shown.viewer_html or "")
    assert "tab=evaluation&amp;run=run&amp;sample=3" in (shown.viewer_html or "")
    assert "&lt;bbox&gt;[20,10,39,29]&lt;/bbox&gt;" in (shown.written_html or "")
    assert shelf.shown("another", "no such task", 0).verdict_html is not None
    assert shelf.shown("run", ALL, 99).verdict_html == shelf.shown("run", ALL, 2).verdict_html


def test_a_sheet_has_an_image_of_each_sample_that_is_made_anew_when_it_was_pruned(shelf: Shelf, store: Store) -> None:
    for _ in range(2):
        thumbnails, number, sheets = shelf.sheet("run", ALL, 7)
        assert (number, sheets) == (0, 1)
        assert [caption for _, caption in thumbnails] == [
            "IoU 0.000 · thing 2",
            "IoU 0.333 · thing 3",
            "IoU 1.000 · thing 1",
        ]
        assert all(Path(path).is_file() and store.holds(path) for path, _ in thumbnails)
        shutil.rmtree(store.folder)


def test_an_image_that_is_gone_is_told_and_the_others_are_shown(tmp_path: Path, evaluated: Path, store: Store) -> None:
    shutil.copytree(evaluated.parent, tmp_path / "copy")
    header = tmp_path / "copy" / "run" / "run.json"
    header.write_text(header.read_text().replace(str(evaluated.parent), str(tmp_path / "copy")))
    shelf = Shelf([Browsed.open(tmp_path / "copy" / "run")], store)
    (tmp_path / "copy" / "2.png").unlink()
    assert 'class="verdict error"' in (shelf.shown("run", ALL, 0).verdict_html or "")
    assert len(shelf.sheet("run", ALL, 0)[0]) == 3
    assert "IoU 1.000" in (shelf.shown("run", ALL, 2).verdict_html or "")


def test_a_folder_without_an_evaluation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected the header of a run"):
        Browsed.open(tmp_path)
