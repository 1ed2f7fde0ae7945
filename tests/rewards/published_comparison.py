"""Our rewards beside the recorded values of the published functions, by kind of completion; and the tables of the page.

python -m tests.rewards.published_comparison          # prints the tables of docs/rewards.md
"""

import json
import math
import re
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from PIL import Image

from tests.rewards.published_completions import BROKEN, MASK_SIDE, SIDE, completions, painted
from tests.rewards.record_published import GOLDEN, digest
from thinkseg.answers import get_format
from thinkseg.rewards import Rubric, Truth, objects_from_record, published_rewards
from thinkseg.types import Segmentation, Size

IMAGE = Image.new("RGB", (MASK_SIDE, MASK_SIDE))
FORMATS = {
    "seg-zero": "seg-zero",
    "seg-zero-soft": "seg-zero",
    "vision-reasoner": "vision-reasoner",
    "seg-r1": "seg-r1",
    "seg-r1-points": "seg-r1-points",
}
"""By the name of a format the completions that are drawn for it."""

JSON_REASONS = {
    "words in the answer": "an answer is what the tag holds; `tolerant` takes it out of the words",
    "a code fence in the answer": "the same",
    "a code fence without tags": "braces anywhere are no answer; `tolerant` reads them",
    "no answer tag": "the same",
    "the answer is not closed": "it may go on",
    "the thinking is not closed": "what is in it is thinking",
    "thinking after the answer": "the answer comes after the thinking",
    "two thoughts": "thinking happens once",
    "<think> in the thinking": "the same",
    "two answers": "which one is meant is not said",
    "an answer in the thinking": "what is in the thinking is thinking",
    "JSON in the thinking": "the same",
    "a space in </think >": "there is no such tag",
    "capitals in the tags": "the same",
    "nothing there": "ours has a form for it",
    "decimals": "a decimal is kept; there a point is cut to whole numbers",
    "a point less than a pixel outside its box": "it is outside; there a point is cut to whole numbers",
    "decimals in the thinking": "a decimal point is no full stop",
    "beyond the frame": "clipped to the frame",
    "negative coordinates": "refused",
    "numbers as strings": "a string is no number",
    "a point in two brackets": "a list is no point",
    "three numbers in a point": "a point has two numbers",
    "one number in a point": "the same",
    "five numbers in a box": "a box has four numbers",
    "three numbers in a box": "the same",
    "a box in two brackets": "a list is no box",
    "a reversed box": "refused",
    "a key twice": "which one is meant is not said; there the later one counts",
    "a list of one object": "one object is asked for; there the first braces count",
    "a list of two objects": "the same",
    "soft keys with point": "a soft key is one in every part",
    "a point is missing": "both are asked for; there each part looks at what it needs",
    "three points": "which two are meant is not said",
    "a box one pixel wide": "its IoU with itself is 1",
    "numbers in place of objects": "there counting ends at the first item that is none",
    "more than 120 objects": "refused; there cut to 120",
}
TAG_REASONS = {
    "decimal points": "a decimal is kept; there only whole numbers are read",
    "decimal boxes": "the same",
    "points beyond the frame": "clipped to the frame",
    "boxes beyond the frame": "the same",
    "negative points": "refused; there the points are none",
    "a label of 2 or more": "refused: to a segmenter 2 and 3 are corners of a box",
    "a label too many": "refused; there the boxes remain",
    "a label too few": "the same",
    "no points in the list": "boxes alone are an answer; without boxes it says that nothing is there",
    "a comma at the end of the points": "it is no JSON",
    "a comma at the end of the labels": "the same",
    "a second <points>": "which one is meant is not said; there the first counts",
    "a second <labels>": "the same",
    "nothing there": "ours has a form for it",
    "the thinking is not closed": "what is in it is thinking",
    "a space in </think >": "the same",
    "no thinking": "thinking is asked for; there the masks count",
    "two thoughts": "thinking happens once",
    "tags in the thinking": "what is in the thinking is thinking",
    "words before": "the tags stand alone",
    "words after": "the same",
    "words between": "the same",
    "a code fence": "the same",
    "the end of a turn": "the same",
    "an answer tag": "the same",
    "a reversed box": "refused",
    "a box is not closed": "refused; there the others count",
}


@dataclass
class Kind:
    """How the completions of a kind compare."""

    group: str
    count: int = 0
    differing: list[tuple[float, float]] = field(default_factory=list)
    """Total of the published functions, and ours, of those that differ."""


class Painting:
    """A segmenter that paints as the recorded one did."""

    def segment(self, image, answers):
        return [Segmentation(_masks(answer)) for answer in answers]


def _masks(answer):
    made = [
        painted(o.box.xyxy if o.box else None, [(p.x, p.y) for p in o.points], [p.label for p in o.points])
        for o in answer.objects
    ]
    return np.stack(made) if made else np.zeros((0, MASK_SIDE, MASK_SIDE), dtype=bool)


def scored(name, weights, cases):
    """What a format's rubric makes of completions: the inputs with their masks, and the rewards."""
    rubric = Rubric(get_format(name), weights, Painting())
    side = SIDE if "seg-r1" not in name else MASK_SIDE
    truths = [_truth(name, case.truth) for case in cases]
    inputs = rubric.read([case.completion for case in cases], truths, [Size(side, side)] * len(cases))
    return inputs, rubric.score_inputs(inputs)


@cache
def scored_as_published(name):
    """The same by ``published``, of the recorded completions."""
    return scored(name, "published", recorded(name)[0])


def _truth(name, truth):
    if "seg-r1" in name:
        return Truth(mask=painted(truth, None, None), image=IMAGE)
    record = {"objects": truth} if isinstance(truth, list) else truth
    return Truth(objects=objects_from_record({"frame": [SIDE, SIDE], **record}))


@cache
def recorded(name):
    """The completions of a format, and for each the published values by name."""
    cases = completions(FORMATS[name])
    kept = json.loads((GOLDEN / f"{FORMATS[name]}.json").read_text())
    assert kept["completions"] == digest(cases), "other completions were recorded: run record_published again"
    values = kept["values"][name]
    return cases, [dict(zip(values["names"], values["rows"][at], strict=True)) for at in values["of"]]


@cache
def compare(name):
    """By kind how ours compare by default with the published values.

    The mask rewards of Seg-R1 are compared without the S-measure, which is another one there: by the masks.
    """
    cases, published = recorded(name)
    inputs, ours = scored(name, published_rewards(name).weights, cases)
    theirs, _ = scored_as_published(name)
    kinds = {}
    for case, row, mine, own, other in zip(cases, published, ours, inputs, theirs, strict=True):
        kind = kinds.setdefault(case.kind, Kind(case.group))
        kind.count += 1
        parts = dict(mine.parts)
        agrees = True
        if "segment" in parts:
            asked = row["segment"] > 0
            agrees = np.array_equal(own.masks.any(axis=0), other.masks.any(axis=0) & asked)
            parts.pop("segment")
        if not agrees or not all(math.isclose(value, row[part]) for part, value in parts.items()):
            kind.differing.append((row["total"], mine.total))
    return kinds


def table(names, reasons):
    """The rows of a table: for each kind in which any differs how many do, and the totals of one."""
    by_name = {name: compare(name) for name in names}
    rows = [f"| completion | {' | '.join(f'`{name}`' for name in names)} | why |", f"|---|{'---|' * len(names)}---|"]
    kinds = dict.fromkeys(kind for found in by_name.values() for kind in found)
    for kind in kinds:
        cells = [_cell(found.get(kind)) for found in by_name.values()]
        if any(cells):
            broken = any(found[kind].group == BROKEN for found in by_name.values() if kind in found)
            why = "by chance one of the above" if broken else reasons[kind]
            rows.append(f"| {kind} | {' | '.join(cells)} | {why} |".replace("  ", " "))
    return [re.sub(r"</?\w+ ?>", r"`\g<0>`", row) for row in rows]


def _cell(kind):
    if kind is None or not kind.differing:
        return ""
    theirs, ours = max(kind.differing, key=lambda pair: abs(pair[0] - pair[1]))
    return f"{len(kind.differing)} of {kind.count}: {theirs:.3g} → {ours:.3g}"


TABLES = ((("seg-zero", "seg-zero-soft", "vision-reasoner"), JSON_REASONS), (("seg-r1", "seg-r1-points"), TAG_REASONS))

if __name__ == "__main__":
    for names, reasons in TABLES:
        print("\n".join(table(names, reasons)), end="\n\n")  # noqa: T201
