"""The table of a report: all samples and each task, one run or two, for a page or for a terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from thinkseg.evaluation.comparison.intervals import ENOUGH, Gain
from thinkseg.evaluation.measures.groups import MASK_MEASURES
from thinkseg.evaluation.measures.registry import format_value, get_measure
from thinkseg.evaluation.text_table import aligned
from thinkseg.types import Metric, Report


@dataclass(frozen=True, slots=True)
class Cell:
    """One value as it is printed."""

    now: str
    was: str | None = None
    """The value before, without the sign of per cent; None in the table of a single run."""
    kind: str = ""
    """``risen`` when it is better than before, ``fallen`` when worse, empty when neither or on too few samples."""


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One group of samples."""

    name: str
    count: int
    cells: tuple[Cell, ...]
    """One per measure."""


def table_rows(before: Report, after: Report | None = None, measures: Sequence[str] = MASK_MEASURES) -> list[ReportRow]:
    """The rows for one run, or for two over the same samples: all samples first, then each task."""
    last = before if after is None else after
    groups = [("all", before.metrics, last.metrics)]
    groups += [(task, before.by_task.get(task, {}), metrics) for task, metrics in last.by_task.items()]
    return [
        ReportRow(
            name=name,
            count=max((metric.count for metric in new.values()), default=0),
            cells=tuple(_cell(measure, old.get(measure), new.get(measure), after is not None) for measure in measures),
        )
        for name, old, new in groups
    ]


def _cell(name: str, old: Metric | None, new: Metric | None, paired: bool) -> Cell:
    now = format_value(name, new)
    if not paired or old is None or new is None:
        return Cell(now)
    was = format_value(name, old)
    told = was != now and min(old.count, new.count) >= ENOUGH
    kind = "risen" if get_measure(name).is_better(new.value - old.value) else "fallen"
    return Cell(now, was.removesuffix(" %"), kind if told else "")


def text_table(
    before: Report,
    after: Report | None = None,
    measures: Sequence[str] = MASK_MEASURES,
    gains: Mapping[str, Gain] | None = None,
) -> str:
    """The table for a terminal: a column per task, a line per measure, below them the gains with their intervals."""
    rows = table_rows(before, after, measures)
    lines = [["", *(row.name for row in rows)], ["samples", *(str(row.count) for row in rows)]]
    for place, name in enumerate(measures):
        lines.append([get_measure(name).label, *(_compact(row.cells[place]) for row in rows)])
    if gains:
        lines.append(["gain in mean IoU", *(_signed(gains[row.name].mean) for row in rows)])
        lines.append(["  95 % interval", *(_interval(gains[row.name]) for row in rows)])
    return aligned(lines)


def _compact(cell: Cell) -> str:
    return cell.now if cell.was is None else f"{cell.was}→{cell.now}"


def _interval(gain: Gain) -> str:
    return "–" if gain.low is None or gain.high is None else f"{_signed(gain.low)}…{_signed(gain.high)}"


def _signed(value: float) -> str:
    """Three decimals with the sign and without the zero before the point, which a table has no room for."""
    return f"{value:+.3f}".replace("+0.", "+.").replace("-0.", "-.")
