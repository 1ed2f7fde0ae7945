"""A report's numbers as rows for a paper, in Markdown and in LaTeX (with the package ``booktabs``)."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from thinkseg.evaluation.measures.registry import get_measure
from thinkseg.types import Metric, Report

LATEX_LETTERS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{letter: "\\" + letter for letter in "&%$#_{}"},
}
UP, DOWN = r"$\uparrow$", r"$\downarrow$"

Rows = Mapping[str, Mapping[str, Metric]]
"""By the name of a row, the metrics in it."""


def rows_of(report: Report, name: str) -> Rows:
    """The row of all samples under the name of the run, and one for each task where there are several."""
    tasks = report.by_task if len(report.by_task) > 1 else {}
    return {name: report.metrics} | {f"{name}, {task}": metrics for task, metrics in tasks.items()}


def write_rows(out: Path, rows: Rows, measures: Sequence[str]) -> None:
    """Write ``table.md`` and ``table.tex``; a number that no row has is left out."""
    measures = [name for name in measures if any(name in metrics for metrics in rows.values())]
    (out / "table.md").write_text(markdown(rows, measures), encoding="utf-8")
    (out / "table.tex").write_text(latex(rows, measures), encoding="utf-8")


def markdown(rows: Rows, measures: Sequence[str]) -> str:
    """A table with a line per row and a column per measure."""
    heads = [f"{get_measure(name).label} {_arrow(name, '↑', '↓')}" for name in measures]
    lines = [["model", *heads], ["---", *["---:"] * len(heads)]]
    lines += [[_plain(name), *_cells(metrics, measures, "–")] for name, metrics in rows.items()]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def latex(rows: Rows, measures: Sequence[str]) -> str:
    """The same as a ``tabular`` with the rules of ``booktabs``."""
    heads = [f"{_escaped(get_measure(name).label)} {_arrow(name, UP, DOWN)}" for name in measures]
    body = [[_escaped(name), *_cells(metrics, measures, "--")] for name, metrics in rows.items()]
    head, *lines = (" & ".join(line) + r" \\" for line in (["Model", *heads], *body))
    begin = rf"\begin{{tabular}}{{l{'r' * len(heads)}}}"
    return "\n".join([begin, r"\toprule", head, r"\midrule", *lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _cells(metrics: Mapping[str, Metric], measures: Sequence[str], nothing: str) -> list[str]:
    """Shares in per cent with one decimal, others with three, as tables in papers have them."""
    return [
        nothing
        if name not in metrics
        else f"{100 * metrics[name].value:.1f}"
        if get_measure(name).unit == "share"
        else f"{metrics[name].value:.3f}"
        for name in measures
    ]


def _arrow(name: str, up: str, down: str) -> str:
    return up if get_measure(name).better == "higher" else down


def _plain(name: str) -> str:
    """A name that cannot end its cell."""
    return re.sub(r"\s+", " ", name).replace("|", "\\|")


def _escaped(text: str) -> str:
    return "".join(LATEX_LETTERS.get(letter, letter) for letter in re.sub(r"\s+", " ", text))
