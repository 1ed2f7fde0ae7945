from thinkseg.evaluation.comparison.intervals import ENOUGH, Gain
from thinkseg.evaluation.reporting.tables import table_rows, text_table
from thinkseg.types import Metric, Report

MEASURES = ("giou", "mae", "parse_failures")


def report(giou: float, mae: float, count: int = ENOUGH) -> Report:
    metrics = {"giou": Metric(giou, count), "mae": Metric(mae, count), "parse_failures": Metric(0.25, count)}
    return Report("scenes", "m", metrics, {"salient": {"giou": Metric(giou, 2)}})


def test_a_change_is_coloured_by_whether_more_is_better_and_not_on_too_few_samples() -> None:
    whole, salient = table_rows(report(0.2, 0.2), report(0.3, 0.3), MEASURES)
    assert [cell.kind for cell in whole.cells] == ["risen", "fallen", ""]
    assert [(cell.was, cell.now) for cell in whole.cells] == [
        ("0.200", "0.300"),
        ("0.200", "0.300"),
        ("25.0", "25.0 %"),
    ]
    assert (salient.cells[0].now, salient.cells[0].kind, salient.count) == ("0.300", "", 2)
    few, _ = table_rows(report(0.2, 0.2, ENOUGH - 1), report(0.3, 0.3, ENOUGH - 1), MEASURES)
    assert {cell.kind for cell in few.cells} == {""}


def test_the_table_for_a_terminal_lines_up_and_says_where_there_is_no_interval() -> None:
    gains = {"all": Gain(0.1, 0.05, 0.15, ENOUGH), "salient": Gain(-0.1, None, None, 1)}
    assert text_table(report(0.2, 0.2), report(0.3, 0.1), MEASURES, gains).splitlines() == [
        "                          all      salient",
        "samples                    30            2",
        "mean IoU          0.200→0.300  0.200→0.300",
        "MAE               0.200→0.100            –",
        "parse failures    25.0→25.0 %            –",
        "gain in mean IoU        +.100        -.100",
        "  95 % interval   +.050…+.150            –",
    ]
