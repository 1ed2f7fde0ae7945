"""`thinkseg.compare`: evaluations of the same samples side by side, with how sure the differences are."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from thinkseg.arguments import FROM_0, NAMES, PATH, Kind, many, optional, takes

if TYPE_CHECKING:
    from thinkseg.evaluation.comparison.compared import Comparison
    from thinkseg.evaluation.run import Run


def _is_run(value: object) -> bool:
    from thinkseg.evaluation.run import Run

    return isinstance(value, Run)


@takes(
    runs=many(PATH | Kind("a run", _is_run), "a list of runs or their folders"),
    names=optional(NAMES),
    measures=optional(NAMES),
    seed=FROM_0,
    out=optional(PATH),
    data=optional(PATH),
)
def compare(
    runs: Sequence[Run | Path | str],
    *,
    names: Sequence[str] | None = None,
    measures: Sequence[str] | None = None,
    seed: int = 0,
    out: Path | str | None = None,
    data: Path | str | None = None,
) -> Comparison:
    """Compare two or more evaluations of the same samples.

    The samples are matched by their ids. Differences are to the first run, with their 95 % interval by a paired
    bootstrap (BCa); fewer than 30 samples are called too few to tell.

    Args:
        runs: folders that `thinkseg.evaluate` has written, or the runs that it has returned.
        names: what they are called; by their folders when None.
        measures: what is measured of the folders: names as in docs/metrics.md, or the user's own by reference
            (``my_measures.py:NAME``); those of the benchmark when None.
        seed: of the draws; the same seed gives the same intervals.
        out: a folder for ``comparison.html``, ``comparison.json``, ``table.md`` and ``table.tex``; None writes nothing.
        data: where the data set is now, for the images of the page; where the first run had it when None.

    Returns:
        All numbers and differences; `print` shows them as a table.

    Raises:
        InputError: there are fewer than two runs, or the names do not fit.
        DataError: a folder holds no finished run, or the runs are not of the same samples.

    >>> import tempfile
    >>> from dataclasses import replace
    >>> import numpy as np
    >>> from thinkseg.evaluation.measures.pairs import score_pair
    >>> from thinkseg.evaluation.records import RunHeader
    >>> from thinkseg.evaluation.run import Run
    >>> square = np.ones((4, 4), bool)
    >>> start = [replace(score_pair(str(n), square & (np.arange(4) < 2), square), task="salient") for n in range(30)]
    >>> trained = [replace(one, iou=0.75, intersection=12) for one in start]
    >>> comparison = compare(
    ...     [
    ...         Run.from_records(RunHeader("mine", name, "", "none", 0), records, ["giou", "ciou"])
    ...         for name, records in (("start", start), ("trained", trained))
    ...     ]
    ... )
    >>> print(comparison.gain("giou").in_words())
    Mean IoU rose by 0.250 (95 % interval +0.250 to +0.250, 30 samples).
    """
    from thinkseg.evaluation.comparison.runs import compare_runs, open_runs
    from thinkseg.evaluation.reporting.comparison_page import ComparisonContext, samples_of, write_comparison

    opened = open_runs(runs, names, measures)
    comparison = compare_runs(opened, seed)
    if out is not None:
        samples = samples_of(opened[0], None if data is None else Path(data))
        write_comparison(Path(out), comparison, ComparisonContext(_command(opened, measures, seed, out, data), samples))
    return comparison


def _command(
    runs: Sequence[Run], measures: Sequence[str] | None, seed: int, out: Path | str, data: Path | str | None
) -> str:
    """What to type to get the same again, or to call where a run is in no folder."""
    words = ["thinkseg", "compare"]
    if any(run.folder is None for run in runs):
        return f"{'.'.join(words)}(runs, seed={seed})"
    words += [*(str(run.folder) for run in runs), "--names", ",".join(run.name for run in runs)]
    words += ["--measures", ",".join(measures)] if measures is not None else []
    words += ["--seed", str(seed)] if seed else []
    words += ["--data", str(data)] if data is not None else []
    return shlex.join([*words, "--out", str(out)])
