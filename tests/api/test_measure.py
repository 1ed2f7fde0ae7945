from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

import thinkseg
from thinkseg.errors import ImageError, InputError
from thinkseg.evaluation.mask_folders import PAIR_MEASURES
from thinkseg.evaluation.measures.registry import MEASURES
from thinkseg.imaging import save_mask
from thinkseg.metrics.overlap import count_overlap
from thinkseg.metrics.saliency import s_measure
from thinkseg.types import Mask


@pytest.fixture
def square() -> Mask:
    target = np.zeros((24, 32), bool)
    target[4:18, 6:20] = True
    return target


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Measures of one's own, some of which break the contract."""
    path = tmp_path / "my_measures.py"
    path.write_text(
        "import numpy as np\n"
        "from thinkseg.evaluation.measures.base import Measure, mean, mean_of_extra\n"
        "def dice_of(pred, target):\n"
        "    both = pred.sum() + target.sum()\n"
        "    return 2 * (pred & target).sum() / both if both else 1.0\n"
        "dice = Measure('Dice', 'Mean Dice.', mean_of_extra('dice'), extra={'dice': dice_of})\n"
        "other_dice = Measure('Dice 2', 'Zero.', mean_of_extra('dice'), extra={'dice': lambda *_: 0.0})\n"
        "wide = Measure('wide', 'Covers twice.', mean(lambda one: one.union > 2 * one.intersection), unit='share')\n"
        "unsure = Measure('unsure', 'Never a number.', mean(lambda record: 'high'))\n"
        "lost = Measure('lost', 'Not finite.', mean_of_extra('lost'), extra={'lost': lambda *_: float('nan')})\n"
        "failing = Measure('failing', 'Fails.', mean_of_extra('failing'), extra={'failing': lambda *_: 1 / 0})\n"
        "function = dice_of\n"
        "absent = Measure('absent', 'Wants a package.', mean_of_extra('absent'),"
        " extra={'absent': lambda *_: __import__('a_package_that_is_absent')})\n"
    )
    (tmp_path / "wrong.py").write_text(
        "from thinkseg.evaluation.measures.base import Measure, mean\n"
        "nothing = Measure('', 'b', mean(lambda record: 1.0))\n"
    )
    return path


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_the_numbers_of_a_pair_are_those_of_the_formulas(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(2, 9), st.integers(2, 9)))
    pred, target, ignore = (data.draw(arrays(np.bool_, shape)) for _ in range(3))
    found = thinkseg.measure(pred, target, ignore=ignore, measures=["giou", "ciou", "s_measure", "mae"])
    overlap = count_overlap(pred, target, ignore)
    assert found["giou"] == overlap.iou
    assert found["s_measure"] == s_measure(pred & ~ignore, target & ~ignore)
    assert np.isnan(found["ciou"]) if not overlap.union else found["ciou"] == overlap.iou
    assert found["mae"] == pytest.approx(np.mean((pred != target)[~ignore]) if not ignore.all() else 0)


def test_all_that_masks_have_is_measured_where_nothing_is_asked_for(square: Mask) -> None:
    found = thinkseg.measure(square, square)
    assert tuple(found) == PAIR_MEASURES
    assert {name for name, one in MEASURES.items() if one.from_masks} > set(found)
    assert all(value == pytest.approx(1, abs=0.01) for name, value in found.items() if name != "mae")
    assert found["mae"] == 0


def test_arrays_and_files_of_every_kind_give_the_same(square: Mask, tmp_path: Path) -> None:
    pred = np.roll(square, 3, axis=1)
    save_mask(pred, tmp_path / "pred.png")
    Image.fromarray(square.astype(np.uint8)).save(tmp_path / "target.png")
    expected = thinkseg.measure(pred, square)
    for one, other in (
        (tmp_path / "pred.png", str(tmp_path / "target.png")),
        (pred.astype(np.uint8), square.astype(np.float32)),
        (pred.astype(np.float64), square.astype(int)),
    ):
        assert thinkseg.measure(one, other) == expected


def test_a_map_is_cut_at_one_half_for_iou_and_stretched_for_the_measures_of_grey_values(square: Mask) -> None:
    found = thinkseg.measure(np.where(square, 0.8, 0.3), square)
    assert found["giou"] == 1
    assert found["mae"] == pytest.approx(0, abs=1e-9)
    assert found["max_f"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("pred", "said"),
    [
        (np.full((24, 32), 255, np.uint8), "values from 0 to 1; found uint8 from 255 to 255"),
        (np.full((24, 32), np.nan), "values from 0 to 1"),
        (np.zeros((24, 32, 3)), r"found an array of shape \(24, 32, 3\)"),
        (np.zeros((8, 8), bool), "has 8×8 pixels and what it is held against 32×24"),
        (np.full((24, 32), "a"), "found an array of <U1"),
    ],
)
def test_an_array_that_is_no_mask_is_refused_in_a_sentence(square: Mask, pred: np.ndarray, said: str) -> None:
    with pytest.raises(ImageError, match=said):
        thinkseg.measure(pred, square)


def test_a_target_between_two_values_is_refused(square: Mask) -> None:
    with pytest.raises(ImageError, match="the target is a mask of two values"):
        thinkseg.measure(square, square * 0.5)


def test_a_measure_of_ones_own_is_named_by_its_reference(square: Mask, mine: Path) -> None:
    pred = square.copy()
    pred[4:11] = False
    assert thinkseg.measure(pred, square, measures=[f"{mine}:dice", "giou", f"{mine}:wide"]) == {
        f"{mine}:dice": pytest.approx(2 / 3),
        "giou": 0.5,
        f"{mine}:wide": 0.0,
    }

    assert thinkseg.measure(pred, square, measures="giou") == {"giou": 0.5}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["giuo"], "no measure 'giuo': did you mean 'giou'"),
        (["parse_failures"], "'parse_failures' asks what a model wrote"),
        (["{mine}:function"], "should be a thinkseg.evaluation.measures.base.Measure .* found the function '"),
        (["{mine}:dise"], "has nothing called 'dise'; did you mean 'dice'"),
        (["{mine}:dice", "{mine}:other_dice"], "different numbers under the name 'dice'"),
        (["{mine}:unsure"], "should be a finite number or None, found 'high'"),
        (["{mine}:lost"], "the extra metric 'lost' should be a finite number, found nan"),
        (["{mine}:failing"], "the extra metric 'failing' fails for '.*': ZeroDivisionError: division by zero"),
        (["{wrong}:nothing"], "cannot be imported: ValueError: a measure has a label and a meaning in words, found ''"),
    ],
)
def test_a_measure_that_cannot_be_taken_is_refused_in_a_sentence(
    square: Mask, mine: Path, names: list[str], said: str
) -> None:
    given = [name.format(mine=mine, wrong=mine.with_name("wrong.py")) for name in names]
    with pytest.raises(InputError, match=said):
        thinkseg.measure(square, square, measures=given)


def test_a_package_that_a_measure_lacks_is_told_by_its_own_name(square: Mask, mine: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named 'a_package_that_is_absent'"):
        thinkseg.measure(square, square, measures=[f"{mine}:absent"])


@pytest.fixture
def create_folders(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    def create(pairs: list[tuple[np.ndarray, Mask]]) -> tuple[Path, Path]:
        for number, (pred, target) in enumerate(pairs):
            save_mask(target, tmp_path / "targets" / f"{number}.png")
            (tmp_path / "predictions").mkdir(exist_ok=True)
            grey = pred.astype(np.uint8) * (255 if pred.dtype == np.bool_ else 1)
            Image.fromarray(grey).save(tmp_path / "predictions" / f"{number}.png")
        return tmp_path / "predictions", tmp_path / "targets"

    return create


def test_folders_are_measured_with_a_count_and_with_measures_of_ones_own(
    square: Mask, mine: Path, create_folders: Callable[..., tuple[Path, Path]]
) -> None:
    folders = create_folders([(square, square), (np.roll(square, 7, axis=1), square)])
    told: list[tuple[int, int]] = []
    scores = thinkseg.measure_folders(
        *folders, measures=["giou", f"{mine}:dice", "n_acc"], processes=1, progress=lambda *news: told.append(news)
    )
    assert scores.count == 2
    assert scores.values["giou"] == pytest.approx((1 + 1 / 3) / 2)
    assert scores.values[f"{mine}:dice"] == pytest.approx((1 + 1 / 2) / 2)
    assert np.isnan(scores.values["n_acc"])
    assert scores.to_json()["metrics"]["n_acc"] is None  # type: ignore[index]
    assert told == [(2, 2)]
    with pytest.raises(
        InputError, match="'processes' of measure_folders should be a whole number from 1 or None, found 0"
    ):
        thinkseg.measure_folders(*folders, processes=0)
    with pytest.raises(InputError, match=r"'progress' .* a function of two numbers.*the class 'int' fails: TypeError"):
        thinkseg.measure_folders(*folders, processes=1, progress=int)


def test_a_folder_of_one_pair_has_the_numbers_of_the_pair(
    square: Mask, create_folders: Callable[..., tuple[Path, Path]]
) -> None:
    grey = (np.random.default_rng(2).random(square.shape) * 200 + 55 * square).astype(np.uint8)
    predictions, targets = create_folders([(grey, square)])
    assert thinkseg.measure_folders(predictions, targets, processes=1).values == thinkseg.measure(
        predictions / "0.png", targets / "0.png"
    )
