from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from thinkseg.errors import DataError
from thinkseg.evaluation.comparison.compared import ALL, Comparison
from thinkseg.evaluation.comparison.runs import compare_runs
from thinkseg.evaluation.records import PredictionRecord, RunHeader
from thinkseg.evaluation.reporting.comparison_page import ComparisonContext, comparison_html
from thinkseg.evaluation.run import Run

MEASURES = ("giou", "ciou", "s_measure", "mae", "max_f", "parse_failures", "correct_abstentions", "false_abstentions")


@pytest.fixture
def create_run(create_record: Callable[..., PredictionRecord]) -> Callable[..., Run]:
    def create(name: str, gain: float = 0.0, count: int = 120, tasks: int = 2) -> Run:
        rng = np.random.default_rng(5)
        records = []
        for index, hard in enumerate(rng.uniform(0.1, 0.6, count)):
            record = create_record(
                index, float(hard + gain * rng.uniform(0.5, 1.5)), ("salient", "referring")[index % tasks]
            )
            extra = {"pixels": 1000.0, "target": 60.0}
            records.append(replace(record, extra=extra, target_empty=index % 10 == 0))
        return Run.from_records(RunHeader("squares", name, "", "fake", 0), records, MEASURES)

    return create


def gain_of(comparison: Comparison, measure: str, group: str = ALL, place: int = 0) -> Any:
    return next(line for line in comparison.lines[group] if line.measure == measure).gains[place]


def test_ratios_of_sums_and_maxima_are_worked_out_anew_for_every_draw(create_run: Callable[..., Run]) -> None:
    runs = create_run("a"), create_run("b", 0.1)
    comparison = compare_runs(runs, resamples=500)
    for measure in MEASURES:
        gain = gain_of(comparison, measure)
        values = [run.report.metrics[measure].value for run in runs]
        assert gain.mean == pytest.approx(values[1] - values[0])
        assert gain.low <= gain.mean <= gain.high
    ciou = gain_of(comparison, "ciou")
    rng = np.random.default_rng(9)
    counts = [np.array([(record.intersection, record.union) for record in run.records]) for run in runs]
    draws = []
    for _ in range(500):
        drawn = rng.integers(120, size=120)
        ratios = [count[drawn].sum(axis=0) for count in counts]
        draws.append(ratios[1][0] / ratios[1][1] - ratios[0][0] / ratios[0][1])
    assert (ciou.low, ciou.high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])), abs=0.01)


def test_a_planted_gain_is_told_from_luck_and_equal_runs_differ_by_nothing(create_run: Callable[..., Run]) -> None:
    comparison = compare_runs((create_run("a"), create_run("b", 0.1), create_run("c")), resamples=500)
    better, same = (gain_of(comparison, "giou", place=place) for place in (0, 1))
    assert better.low > 0
    assert (same.mean, same.low, same.high) == (0, 0, 0)
    assert gain_of(comparison, "mae").high < 0


def test_samples_are_matched_by_their_ids_not_by_their_places(create_run: Callable[..., Run]) -> None:
    first, second = create_run("a"), create_run("b", 0.1)
    shuffled = replace(second, records=[second.records[index] for index in np.random.default_rng(1).permutation(120)])
    found, expected = (compare_runs((first, other), resamples=200) for other in (shuffled, second))
    assert found.to_json() == expected.to_json()


def test_runs_over_different_samples_are_refused_with_the_samples_named(create_run: Callable[..., Run]) -> None:
    first, fewer = create_run("a"), create_run("b", count=118)
    with pytest.raises(DataError, match=r"'a' has 2 samples that 'b' has not \(square-118, square-119\)"):
        compare_runs((first, fewer))
    with pytest.raises(DataError, match=r"'a' has 2 samples that 'b' has not"):
        compare_runs((replace(fewer, name="b"), first))
    twice = replace(first, records=[*first.records, first.records[0]])
    with pytest.raises(DataError, match="some samples come twice"):
        compare_runs((first, twice))
    with pytest.raises(DataError, match="at least two runs, found 1"):
        compare_runs((first,))


def test_every_task_has_its_own_lines_and_a_single_task_none(create_run: Callable[..., Run]) -> None:
    both = compare_runs((create_run("a"), create_run("b", 0.1)), resamples=100)
    assert list(both.lines) == [ALL, "salient", "referring"]
    assert gain_of(both, "giou", "salient").n == 60
    one = compare_runs((create_run("a", tasks=1), create_run("b", tasks=1)), resamples=100)
    assert list(one.lines) == [ALL]


def test_samples_that_a_protocol_leaves_out_count_for_nothing(create_run: Callable[..., Run]) -> None:
    def without(run: Run) -> Run:
        records = [replace(record, counted=index % 2 == 0) for index, record in enumerate(run.records)]
        return Run.from_records(RunHeader("squares", run.name, "", "fake", 0), records, MEASURES)

    runs = without(create_run("a")), without(create_run("b", 0.1))
    gain = gain_of(compare_runs(runs, resamples=200), "giou")
    assert gain.mean == pytest.approx(runs[1].report.metrics["giou"].value - runs[0].report.metrics["giou"].value)
    assert gain.n == 60


def test_the_table_says_what_is_better_and_what_is_worse(create_run: Callable[..., Run]) -> None:
    lines = str(compare_runs((create_run("a"), create_run("b", 0.1)), resamples=300)).splitlines()
    assert lines[0].split() == ["a", "b", "b", "−", "a"]
    assert lines[1] == "all (120 samples)"
    assert lines[2].startswith("  mean IoU")
    assert lines[2].endswith("better")
    assert next(line for line in lines if "MAE" in line).endswith("better")
    assert not next(line for line in lines if "parse failures" in line).endswith(("better", "worse"))


def test_with_few_samples_the_table_and_the_page_say_that_they_are_too_few(create_run: Callable[..., Run]) -> None:
    comparison = compare_runs((create_run("a", count=20), create_run("b", 0.1, count=20)), resamples=300)
    lines = str(comparison).splitlines()
    assert lines[2].endswith("too few to tell")
    assert not any(line.endswith(("better", "worse")) for line in lines)
    page = comparison_html(comparison, ComparisonContext("thinkseg compare a b"))
    assert "too few to tell" in page
    assert '<td class="risen"' not in page
    alone = compare_runs((create_run("a", count=1), create_run("b", 0.1, count=1)))
    assert gain_of(alone, "giou").low is None
    assert "[" not in str(alone)
    assert "no interval" in comparison_html(alone, ComparisonContext("thinkseg compare a b"))


def test_the_page_loads_nothing_shows_every_run_and_escapes_its_names(
    create_run: Callable[..., Run], create_samples: Callable[[int], Any]
) -> None:
    runs = create_run("a"), create_run("<b>", 0.1), create_run("c", -0.05)
    comparison = replace(compare_runs(runs, resamples=100), warning="They differ.")
    page = comparison_html(comparison, ComparisonContext("thinkseg compare a b", create_samples(120)))
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "&lt;b&gt; − a" in page
    assert "<b>" not in page.replace("<b>asked for</b>", "").replace("<b>a</b>", "").replace("<b>c</b>", "").replace(
        "<b>&lt;b&gt;</b>", ""
    )
    assert "They differ." in page
    assert page.count("data:image/webp") >= 4 * 4  # the target and three runs of every case
    assert page.count("<svg") == 2 + 2
    bare = comparison_html(comparison, ComparisonContext("thinkseg compare a b"))
    assert "data:image" not in bare
