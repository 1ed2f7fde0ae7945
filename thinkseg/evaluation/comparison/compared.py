"""What a comparison holds: every number of every run, how sure its difference to the first run is, and its table."""

from collections.abc import Mapping
from dataclasses import dataclass

from thinkseg.evaluation.comparison.intervals import Gain
from thinkseg.evaluation.measures.registry import format_value, get_measure
from thinkseg.evaluation.run import Run
from thinkseg.evaluation.text_table import aligned
from thinkseg.types import Metric

ALL = "all"
TOO_FEW = "too few to tell"


@dataclass(frozen=True, slots=True)
class ComparedMeasure:
    """One measure of all runs."""

    measure: str
    """Its name in `MEASURES`, or the reference to one of the user's own."""
    metrics: tuple[Metric, ...]
    """In the order of the runs."""
    gains: tuple[Gain | None, ...]
    """Of every run but the first over the first; None for a measure that is no ratio of sums."""

    @property
    def count(self) -> int:
        """How many samples the numbers rest on, at most."""
        return max(metric.count for metric in self.metrics)

    def is_better(self, place: int) -> bool | None:
        """Whether the difference of a run is for the better; None where that cannot be told."""
        gain = self.gains[place]
        if gain is None or gain.verdict not in ("risen", "fallen"):
            return None
        return get_measure(self.measure).is_better(gain.mean)

    def interval(self, place: int) -> str:
        """The difference of a run with its interval, as a table prints it."""
        gain = self.gains[place]
        if gain is None:
            return "no interval"
        scale, digits = (100, 1) if get_measure(self.measure).unit == "share" else (1, 3)
        values = (gain.mean, gain.low, gain.high)
        mean, *ends = (f"{scale * value:+.{digits}f}" for value in values if value is not None)
        return (f"{mean} [{', '.join(ends)}]" if ends else mean).replace("-", "−")

    def verdict(self, place: int) -> str:
        """What may be said of the difference of a run: better, worse, that there are too few samples, or nothing."""
        gain = self.gains[place]
        if gain is not None and gain.verdict == "too few":
            return TOO_FEW
        return {True: "better", False: "worse", None: ""}[self.is_better(place)]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs over the same samples in the same order, and what there is to say about them; `print` shows a table."""

    runs: tuple[Run, ...]
    lines: Mapping[str, tuple[ComparedMeasure, ...]]
    """Of all samples under ``all``, and of each task where there are several."""
    warning: str = ""
    """What makes the numbers of these runs different besides the models; empty where nothing does."""
    seed: int = 0
    """Of the draws."""

    def gain(self, measure: str, run: int = -1, group: str = ALL) -> Gain | None:
        """The difference of a run to the first one; None where a measure has no interval.

        Args:
            measure: its name.
            run: the place of the run, from 1 on, or from the end.
            group: ``all``, or a task.

        Raises:
            KeyError: the group has no such measure, or there is no such group.
        """
        gains = {line.measure: line.gains for line in self.lines[group]}[measure]
        return (None, *gains)[run]

    def to_json(self) -> dict[str, object]:
        """The comparison as plain values."""
        return {
            "runs": [
                {"name": run.name, "model": run.report.model, "protocol": run.report.protocol} for run in self.runs
            ],
            "benchmark": self.runs[0].report.benchmark,
            "samples": len(self.runs[0].records),
            "groups": {
                group: {
                    line.measure: {
                        "values": [metric.value for metric in line.metrics],
                        "gains": [None if gain is None else gain._asdict() for gain in line.gains],
                    }
                    for line in lines
                }
                for group, lines in self.lines.items()
            },
            "warning": self.warning,
        }

    def __str__(self) -> str:
        """A line per measure with each run's value and, but for the first, its difference to that."""
        first, *others = [run.name for run in self.runs]
        verdicts = [
            line.verdict(place) for lines in self.lines.values() for line in lines for place in range(len(others))
        ]
        width = max(map(len, verdicts), default=0)
        table = [["", first, *others, *(f"{name} − {first}" for name in others)]]
        for group, lines in self.lines.items():
            count = max((line.count for line in lines), default=0)
            table.append([f"{group} ({count} samples)" if lines else group, *[""] * (len(table[0]) - 1)])
            table += [
                [
                    f"  {get_measure(line.measure).label}",
                    *(format_value(line.measure, metric) for metric in line.metrics),
                    *(f"{line.interval(place)} {line.verdict(place):{width}}" for place in range(len(others))),
                ]
                for line in lines
            ]
        return aligned(table)
