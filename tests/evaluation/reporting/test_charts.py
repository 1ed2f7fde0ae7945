from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkseg.evaluation.comparison.intervals import Gain
from thinkseg.evaluation.reporting.charts import gain_chart, line_chart, running_mean, success_chart, ticks


def texts(chart: str) -> list[str]:
    return ["".join(node.itertext()) for node in ElementTree.fromstring(chart).iter("text")]


def test_a_line_chart_leaves_out_steps_without_a_value_and_writes_the_last_mean() -> None:
    chart = line_chart("reward", [1, 2, 3, 4], [0.0, None, 1.0, 1.0])
    lines = [node for node in ElementTree.fromstring(chart).iter("polyline")]
    assert [len(line.attrib["points"].split()) for line in lines] == [3, 3]
    assert "1.000" in texts(chart)


def test_a_chart_of_nothing_is_empty_and_one_of_a_constant_still_has_an_axis() -> None:
    assert line_chart("reward", [1, 2], [None, None]) == ""
    assert line_chart("reward", [7], [0.5]).startswith("<svg")


def test_a_title_cannot_break_out_of_a_chart() -> None:
    chart = line_chart('"><script>x</script>', [1, 2], [0.0, 1.0])
    assert "<script" not in chart
    assert "<script" not in gain_chart({"<script>": Gain(0.1, 0.05, 0.2, 99)})
    assert "<script" not in success_chart({"<script>": np.array([0.5])})


def test_a_gain_is_coloured_by_its_interval_and_not_by_its_mean() -> None:
    gains = {"up": Gain(0.1, 0.05, 0.2, 99), "maybe": Gain(0.1, -0.05, 0.2, 99), "down": Gain(-0.1, -0.2, -0.05, 99)}
    chart = ElementTree.fromstring(gain_chart(gains))
    kinds = ["risen", "undecided", "fallen"]
    assert [circle.attrib["class"] for circle in chart.iter("circle")] == [f"mean {kind}" for kind in kinds]
    numbers = [text for text in chart.iter("text") if text.attrib["class"].startswith("gain")]
    assert [number.attrib["class"] for number in numbers] == [f"gain {kind}" for kind in kinds]
    assert [number.text for number in numbers] == ["+0.100", "+0.100", "−0.100"]


def test_the_success_chart_counts_samples_that_reach_the_threshold() -> None:
    chart = success_chart({"before": np.array([0.2, 0.4, 0.6, 0.8]), "after": np.array([0.9, 0.9, 0.1, 0.5])})
    spoken = ElementTree.fromstring(chart).attrib["aria-label"]
    assert "before: 50 % of the samples at 0.5" in spoken
    assert "after: 75 % of the samples at 0.5" in spoken


@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e4))
def test_ticks_are_few_and_enclose_both_ends(low: float, span: float) -> None:
    found = ticks(low, low + span)
    step = found[1] - found[0]
    assert found[0] <= low + 1e-6 * step
    assert found[-1] >= low + span - 1e-6 * step
    assert 2 <= len(found) <= 7


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=80))
def test_a_running_mean_keeps_the_length_and_stays_between_the_extremes(values: list[float]) -> None:
    means = running_mean(np.array(values))
    assert means.shape == (len(values),)
    assert means.min() >= min(values) - 1e-9
    assert means.max() <= max(values) + 1e-9


def test_a_running_mean_of_a_straight_line_is_that_line_except_at_its_ends() -> None:
    line = np.arange(40, dtype=float)
    assert running_mean(line)[5:-5] == pytest.approx(line[5:-5])
