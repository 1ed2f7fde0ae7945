"""Maps of grey values that do not reach white: which measures stretch them first, and whose numbers they then have.

Recorded values are of the evaluation of Seg-R1 (its ``eval/utils/metrics.py``), which was run on the maps below.
"""

import numpy as np
import py_sod_metrics
import pytest

from thinkseg.evaluation.measures.pairs import score_pair
from thinkseg.evaluation.measures.registry import extra_metrics, measure
from thinkseg.metrics.boundary import correction_effort
from thinkseg.metrics.grey import stretched
from thinkseg.types import Mask

STRETCHED = {
    "s_measure": 0.8331940810463001,
    "mae": 0.16660803608558894,
    "weighted_f": 0.5425195815607629,
    "max_f": 0.8989614896146634,
    "mean_f": 0.6221125734235268,
    "adaptive_f": 0.8740997478333427,
    "max_e": 0.9557157811152903,
    "mean_e": 0.6700948316859665,
    "adaptive_e": 0.9530332685291474,
}
AS_THEY_ARE = {"mba": 0.5315875246124142, "hce": 13.333333333333334}
BOUNDARY_IOU_OF_MASKS = 0.2507789204736222
NAMES = (*STRETCHED, *AS_THEY_ARE, "biou", "giou")


def pair(index: int) -> tuple[np.ndarray, Mask]:
    """A map of values 30 to 173 of 255, none of them 128, and a true ellipse, 80 × 60 pixels."""
    rng = np.random.RandomState(index)  # whose numbers are the same in every version of NumPy
    rows, columns = np.mgrid[:60, :80]
    target = ((rows - 25 - index) / (14 + index % 5)) ** 2 + ((columns - 38) / (20 - index % 4)) ** 2 < 1
    distance = ((rows - 27) / 15) ** 2 + ((columns - 42 + index) / 19) ** 2
    grey = (np.clip(150 - 60 * distance, 30, 150) + rng.randint(0, 25, (60, 80))).astype(np.uint8)
    grey[grey == 128] = 127
    return grey, target


PAIRS = [pair(index) for index in range(6)]


def measured(masks: bool = False) -> dict[str, float]:
    extra = extra_metrics(NAMES)
    records = [
        score_pair(str(index), grey > 100 if masks else grey / 255, target, extra=extra)
        for index, (grey, target) in enumerate(PAIRS)
    ]
    return {name: metric.value for name, metric in measure(records, NAMES).items()}


def test_s_mae_f_and_e_are_those_of_the_stretched_map_and_of_seg_r1s_evaluation() -> None:
    assert {name: measured()[name] for name in STRETCHED} == pytest.approx(STRETCHED, abs=1e-9)


def test_mba_and_hce_are_those_of_the_map_as_it_is_and_of_seg_r1s_evaluation() -> None:
    assert {name: measured()[name] for name in AS_THEY_ARE} == pytest.approx(AS_THEY_ARE, abs=1e-9)


def test_boundary_iou_of_masks_is_the_largest_of_seg_r1s_curve() -> None:
    assert measured(masks=True)["biou"] == pytest.approx(BOUNDARY_IOU_OF_MASKS, abs=1e-9)


def test_s_mae_f_and_e_are_those_of_pysodmetrics_when_it_reads_the_grey_image() -> None:
    f = py_sod_metrics.FmeasureV2(
        {"f": py_sod_metrics.FmeasureHandler(with_dynamic=True, with_adaptive=True, beta=0.3)}
    )
    s, mae, e = py_sod_metrics.Smeasure(), py_sod_metrics.MAE(), py_sod_metrics.Emeasure()
    weighted = py_sod_metrics.WeightedFmeasure()
    for grey, target in PAIRS:
        for one in (s, mae, e, weighted, f):
            one.step(grey, target.astype(np.uint8) * 255)
    f_scores, e_scores = f.get_results()["f"], e.get_results()["em"]
    found = measured()
    assert {name: found[name] for name in STRETCHED} == pytest.approx(
        {
            "s_measure": s.get_results()["sm"],
            "mae": mae.get_results()["mae"],
            "weighted_f": weighted.get_results()["wfm"],
            "max_f": f_scores["dynamic"].max(),
            "mean_f": f_scores["dynamic"].mean(),
            "adaptive_f": f_scores["adaptive"],
            "max_e": e_scores["curve"].max(),
            "mean_e": e_scores["curve"].mean(),
            "adaptive_e": e_scores["adp"],
        },
        abs=1e-6,
    )


def test_hce_of_pysodmetrics_is_that_of_the_stretched_map() -> None:
    """The one measure on which the packages differ: 255 is the largest value there, 173 here."""
    package = py_sod_metrics.HumanCorrectionEffortMeasure()
    efforts = []
    for grey, target in PAIRS:
        package.step(grey, target.astype(np.uint8) * 255)
        efforts.append(correction_effort(stretched(grey / 255) > 0.5, target))
    assert package.get_results()["hce"] == pytest.approx(np.mean(efforts))
    assert measured()["hce"] != pytest.approx(np.mean(efforts))


def test_iou_cuts_the_map_as_it_is_at_one_half() -> None:
    expected = [(grey >= 128) & target for grey, target in PAIRS]
    unions = [(grey >= 128) | target for grey, target in PAIRS]
    ious = [inside.sum() / union.sum() for inside, union in zip(expected, unions, strict=True)]
    assert measured()["giou"] == pytest.approx(np.mean(ious))


def test_a_grey_of_128_is_the_object_here_and_in_pysodmetrics_but_not_in_seg_r1s_evaluation() -> None:
    target = PAIRS[0][1]
    assert measure([score_pair("a", np.where(target, 128 / 255, 0.0), target)], ("giou",))["giou"].value == 1
    assert measure([score_pair("a", np.where(target, 127 / 255, 0.0), target)], ("giou",))["giou"].value == 0
