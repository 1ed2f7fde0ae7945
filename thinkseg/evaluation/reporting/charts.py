"""Charts for the report: plain SVG inside the page, no script, no font or style from elsewhere.

Colours are classes that the page's style sheet fills, so that a chart follows the reader's light or dark scheme. Text
is escaped by `Markup.format`.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from thinkseg.evaluation.comparison.intervals import Gain

WIDTH, HEIGHT = 340, 190
LEFT, RIGHT, TOP, BOTTOM = 44, 52, 10, 28
BINS = 20
"""Bars of a histogram."""
LABEL_WIDTH, VALUE_WIDTH, ROW_HEIGHT = 130, 190, 34

_GAIN_ROW = Markup(
    '<text class="label" text-anchor="end" x="{label_x}" y="{text_y:.1f}">{name}</text>'
    '<line class="interval {kind}" x1="{low_x:.1f}" x2="{high_x:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
    '<circle class="mean {kind}" cx="{mean_x:.1f}" cy="{y:.1f}" r="5"/>'
    '<text class="gain {kind}" x="{value_x}" y="{text_y:.1f}">{mean}'
    '<tspan class="tick" dx="8">{interval}</tspan></text>'
)


def histogram_chart(curves: Mapping[str, Float[np.ndarray, " samples"]]) -> Markup:
    """How many samples have which IoU, in steps of 0.05: bars of the last run, an outline of each other one.

    Args:
        curves: by the name of the run, the IoU of each sample, 0…1.
    """
    edges = np.linspace(0, 1, BINS + 1)
    counts = {name: np.histogram(values, edges)[0].astype(float) for name, values in curves.items()}
    y_ticks = [tick for tick in ticks(0, max(1, *(int(found.max()) for found in counts.values()))) if tick == int(tick)]
    plot = _Plot((0.0, 1.0), (0.0, y_ticks[-1]))
    parts = [*_grid(plot, [0, 0.25, 0.5, 0.75, 1], y_ticks)]
    *others, last = counts.values()
    for left, right, count in zip(edges[:-1], edges[1:], last, strict=True):
        (x, y), (end, bottom) = plot.place(left, count), plot.place(right, 0)
        bar = Markup('<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>')
        parts.append(bar.format(x + 0.5, y, end - x - 1, bottom - y))
    for found in others:
        parts.append(plot.line("other", edges.repeat(2)[1:-1], found.repeat(2)))
    spoken = "; ".join(
        f"{name}: {found[0]:.0f} samples below 0.05, {found[-1]:.0f} from 0.95 on" for name, found in counts.items()
    )
    return _svg(WIDTH, HEIGHT, f"How many samples have which IoU. {spoken}", parts)


def line_chart(label: str, steps: Sequence[int], values: Sequence[float | None], *, marks: bool = False) -> Markup:
    """One quantity over the training steps: each step thin, the running mean thick, its last value written beside it.

    Args:
        label: read out by screen readers.
        steps: rising, at least one.
        values: one per step; None where the step has none.
        marks: whether each value stands for itself, with a mark, in place of the running mean: for few of them.
    """
    known = [(step, value) for step, value in zip(steps, values, strict=True) if value is not None]
    x_values = np.array([step for step, _ in known], dtype=float)
    y_values = np.array([value for _, value in known], dtype=float)
    if y_values.size == 0:
        return Markup("")
    smooth = y_values if marks else running_mean(y_values)
    y_ticks = ticks(float(y_values.min()), float(y_values.max()))
    plot = _Plot((x_values[0], max(x_values[-1], x_values[0] + 1)), (y_ticks[0], y_ticks[-1]))
    parts = [*_grid(plot, ticks(*plot.x_range, most=4), y_ticks)]
    if not marks:
        parts.append(plot.line("raw", x_values, y_values))
    parts.append(plot.line("smooth", x_values, smooth))
    for place in zip(x_values, y_values, strict=True) if marks else ():
        parts.append(Markup('<circle class="end" cx="{:.1f}" cy="{:.1f}" r="2.5"/>').format(*plot.place(*place)))
    x, y = plot.place(x_values[-1], smooth[-1])
    parts.append(Markup('<circle class="end" cx="{:.1f}" cy="{:.1f}" r="3"/>').format(x, y))
    parts.append(Markup('<text class="value" x="{:.1f}" y="{:.1f}">{}</text>').format(x + 7, y + 4, _short(smooth[-1])))
    spoken = f"{label}: from {_short(smooth[0])} to {_short(smooth[-1])} over {len(known)} steps"
    return _svg(WIDTH, HEIGHT, spoken, parts)


def success_chart(curves: Mapping[str, Float[np.ndarray, " samples"]]) -> Markup:
    """For every threshold 0…1 the share of samples whose IoU reaches it: a line per run, the last one thick.

    Args:
        curves: by the name of the run, the IoU of each sample.
    """
    thresholds = np.linspace(0, 1, 101)
    plot = _Plot((0.0, 1.0), (0.0, 1.0))
    parts = [*_grid(plot, [0, 0.25, 0.5, 0.75, 1], [0, 0.25, 0.5, 0.75, 1])]
    shares = {name: (values[None, :] >= thresholds[:, None]).mean(axis=1) for name, values in curves.items()}
    for position, (name, share) in enumerate(shares.items()):
        last = position == len(shares) - 1
        parts.append(plot.line("smooth" if last else "other", thresholds, share))
        x, y = WIDTH - RIGHT - 86, TOP + 14 + 16 * position
        kind = "value" if last else "other-value"
        parts.append(Markup('<text class="{}" x="{}" y="{}">{}</text>').format(kind, x, y, name))
    spoken = "; ".join(f"{name}: {100 * share[50]:.0f} % of the samples at 0.5" for name, share in shares.items())
    return _svg(WIDTH, HEIGHT, f"Share of samples that reach an IoU. {spoken}", parts)


def gain_chart(gains: Mapping[str, Gain]) -> Markup:
    """Every gain with its interval, on one axis with zero in view: risen, fallen, or undecided."""
    ends = [value for gain in gains.values() for value in _ends(gain)]
    axis = ticks(min(0.0, *ends), max(0.0, *ends), most=6)
    width, height = 720, ROW_HEIGHT * len(gains) + 34
    span = width - LABEL_WIDTH - VALUE_WIDTH

    def across(value: float) -> float:
        return LABEL_WIDTH + span * (value - axis[0]) / (axis[-1] - axis[0])

    bottom = height - 26
    parts = []
    for tick in axis:
        x, kind = across(tick), "zero" if math.isclose(tick, 0, abs_tol=1e-9) else "grid"
        parts.append(Markup('<line class="{}" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{}"/>').format(kind, bottom, x=x))
        text = Markup('<text class="tick" text-anchor="middle" x="{:.1f}" y="{}">{}</text>')
        parts.append(text.format(x, bottom + 17, "0" if kind == "zero" else _signed(tick, ".3g")))
    for row, (name, gain) in enumerate(gains.items()):
        low, high = _ends(gain)
        parts.append(
            _GAIN_ROW.format(
                kind=gain.verdict if gain.verdict != "too few" else "undecided",
                name=name,
                label_x=LABEL_WIDTH - 16,
                value_x=width - VALUE_WIDTH + 22,
                low_x=across(low),
                mean_x=across(gain.mean),
                high_x=across(high),
                y=4 + ROW_HEIGHT * (row + 0.5),
                text_y=4 + ROW_HEIGHT * (row + 0.5) + 4,
                mean=_signed(gain.mean, ".3f"),
                interval=_interval(gain),
            )
        )
    spoken = "; ".join(f"{name} {_signed(gain.mean, '.3f')}, {_interval(gain)}" for name, gain in gains.items())
    return _svg(width, height, f"Gain in mean IoU with 95 % intervals: {spoken}", parts)


def _ends(gain: Gain) -> tuple[float, float]:
    """The ends of the line that is drawn: of no length where there is no interval."""
    return gain.mean if gain.low is None else gain.low, gain.mean if gain.high is None else gain.high


def _interval(gain: Gain) -> str:
    if gain.low is None or gain.high is None:
        return "no interval"
    return f"{_signed(gain.low, '.3f')} … {_signed(gain.high, '.3f')}"


def _signed(value: float, digits: str) -> str:
    return f"{value:+{digits}}".replace("-", "−")


def running_mean(values: Float[np.ndarray, " steps"]) -> Float[np.ndarray, " steps"]:
    """The mean of each value and its neighbours, a tenth of the length in all (at least 3), fewer at the ends."""
    reach = max(1, len(values) // 20)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    positions = np.arange(len(values))
    low, high = np.maximum(positions - reach, 0), np.minimum(positions + reach + 1, len(values))
    means: Float[np.ndarray, " steps"] = (sums[high] - sums[low]) / (high - low)
    return means


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers that enclose both ends, about evenly many as asked for, rising."""
    if high - low < 1e-9:
        margin = max(abs(low) / 2, 0.01)
        low, high = low - margin, high + margin
    rough = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


class _Plot:
    """Where the data's numbers lie in the image."""

    def __init__(self, x_range: tuple[float, float], y_range: tuple[float, float]) -> None:
        self.x_range, self.y_range = x_range, y_range

    def place(self, x: float, y: float) -> tuple[float, float]:
        x_share = (x - self.x_range[0]) / (self.x_range[1] - self.x_range[0])
        y_share = (y - self.y_range[0]) / (self.y_range[1] - self.y_range[0])
        return LEFT + x_share * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y_share * (HEIGHT - TOP - BOTTOM)

    def line(self, kind: str, x_values: Sequence[float] | np.ndarray, y_values: Sequence[float] | np.ndarray) -> Markup:
        places = (self.place(float(x), float(y)) for x, y in zip(x_values, y_values, strict=True))
        return Markup('<polyline class="{}" points="{}"/>').format(
            kind, " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        )


def _grid(plot: _Plot, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> list[Markup]:
    parts = []
    for tick in y_ticks:
        _, y = plot.place(plot.x_range[0], tick)
        parts.append(
            Markup(
                '<line class="grid" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>'
                '<text class="tick" text-anchor="end" x="{}" y="{:.1f}">{}</text>'
            ).format(LEFT, WIDTH - RIGHT, LEFT - 7, y + 4, _tick(tick), y=y)
        )
    for tick in x_ticks:
        if plot.x_range[0] <= tick <= plot.x_range[1]:
            x, _ = plot.place(tick, plot.y_range[0])
            text = Markup('<text class="tick" text-anchor="middle" x="{:.1f}" y="{}">{}</text>')
            parts.append(text.format(x, HEIGHT - 9, f"{tick:.4g}"))
    return parts


def _tick(value: float) -> str:
    return _brief(f"{value:.3g}")


def _brief(text: str) -> str:
    """A power of ten without its leading zero, as there is room for."""
    return text.replace("e-0", "e-").replace("-", "−")


def _short(value: float) -> str:
    if value and abs(value) < 0.001:
        return _brief(f"{value:.1e}")
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _svg(width: int, height: int, spoken: str, parts: Sequence[Markup]) -> Markup:
    head = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(width, height, spoken)
    return head + Markup("").join(parts) + Markup("</svg>")
