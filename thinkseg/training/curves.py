"""What a run log tells over the steps, as a page draws it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Curve = tuple[list[int], list[float | None]]
"""Steps, and a value at each; None where the step has none."""

_PART = re.compile(r"rewards/(.+)/mean")


def curves_of(records: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> dict[str, Curve]:
    """Curves by their titles, those without a single value left out.

    Args:
        records: lines of a run log, in order.
        titles: by the name of a value in there, in the order in which they are drawn. Behind ``reward`` come the parts
            of the reward, each with its own title.
    """
    parts = dict.fromkeys(name for record in records for name in record if _PART.fullmatch(name))
    named: dict[str, str] = {}
    for name, title in titles.items():
        named[name] = title
        if name == "reward":
            named |= {part: f"reward for {part[8:-5]}" for part in parts}
    curves: dict[str, Curve] = {}
    for name, title in named.items():
        steps = [int(record["step"]) for record in records]
        values = [record.get(name) for record in records]
        if any(value is not None for value in values):
            curves[title] = (steps, values)
    return curves


def thinned(curve: Curve, most: int = 400) -> Curve:
    """A curve of so many values at most, without its gaps: means of neighbours, at the last step of each group.

    >>> thinned(([1, 2, 3, 4], [0.0, 1.0, None, 5.0]), most=2)
    ([2, 4], [0.5, 5.0])
    """
    known = [(step, value) for step, value in zip(*curve, strict=True) if value is not None]
    if len(known) <= most:
        return [step for step, _ in known], [value for _, value in known]
    groups = np.array_split(np.array(known, dtype=float), most)
    return [int(group[-1, 0]) for group in groups], [float(group[:, 1].mean()) for group in groups]
