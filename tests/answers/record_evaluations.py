"""Record what the evaluations of the published systems read in `tests/rewards/published_completions.py`.

    python -m tests.answers.record_evaluations SEG_ZERO VISION_REASONER SEG_R1

The arguments are checkouts of the authors' repositories (dvlab-research/Seg-Zero, dvlab-research/VisionReasoner and
geshang777/Seg-R1). The functions that parse are taken out of their modules by name and run as they are. The files
under `tests/data/golden/published` hold for each completion what was found: boxes, points and labels, null where there
is none, and null in place of all three where the evaluation goes on with an empty mask. Where an evaluation reads in
pixels of the image, the image is as large as the canvas: coordinates stay what they are, but for rounding.
"""

import ast
import contextlib
import hashlib
import io
import json
import re
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Optional

import numpy as np

from tests.rewards.published_completions import completions
from tests.rewards.record_published import GOLDEN, digest

MOST = 300
"""Completions of each group that are kept, evenly drawn from its kinds."""


def drawn(system):
    """The completions that are held against an evaluation."""
    by_group = {}
    for case in completions(system):
        by_group.setdefault(case.group, []).append(case)
    return [case for cases in by_group.values() for case in cases[:: max(1, len(cases) // MOST)]]


def function(path: Path, name: str):
    """One function of a module, which is not run itself."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            node.returns = None
            scope = {"re": re, "json": json, "np": np, "Optional": Optional, "Tuple": tuple}
            exec(compile(ast.Module([node], []), str(path), "exec"), scope)
            return scope[name]
    raise SystemExit(f"there is no function {name} in {path}")


def _plain(value):
    return None if value is None else np.asarray(value).tolist()


def seg_r1(parse, text):
    points, labels, boxes = (_plain(each) for each in parse(text))
    if points is None or labels is None or len(points) != len(labels):
        points = labels = None  # the evaluations look at both or at none
    if boxes is not None and boxes and not isinstance(boxes[0], list):
        boxes = [boxes]
    return None if points is None and boxes is None else [boxes, points, labels]


def seg_zero(parse, text):
    try:
        box, points, _ = parse(text, 1.0, 1.0)
    except Exception:  # noqa: BLE001 - as the evaluation does
        return None
    return [[box], points, None]


def vision_reasoner(parse, text):
    boxes, points, _, _ = parse(SimpleNamespace(), text, 1.0, 1.0)
    return [boxes, points or None, None] if boxes else None


def write(name, system, read, parse):
    cases = drawn(system)
    with contextlib.redirect_stdout(io.StringIO()):  # they print what they cannot parse
        found = [read(parse, case.completion) for case in cases]
    kept = {"completions": digest(cases), "found": found}
    (GOLDEN / f"{name}.json").write_text(json.dumps(kept, separators=(",", ":")) + "\n")
    print(f"{name}: {len(cases)} completions, {hashlib.sha256(json.dumps(found).encode()).hexdigest()[:12]}")  # noqa: T201


def main(seg_zero_folder: Path, vision_reasoner_folder: Path, seg_r1_folder: Path) -> None:
    warnings.simplefilter("ignore")
    of_task = {
        task: function(seg_r1_folder / f"eval/eval_{task}_segmentation.py", "parse_custom_format")
        for task in ("foreground", "referring", "reasoning")
    }
    write("evaluated-seg-r1", "seg-r1", seg_r1, of_task["referring"])
    write("evaluated-seg-r1-reasoning", "seg-r1", seg_r1, of_task["reasoning"])
    with contextlib.redirect_stdout(io.StringIO()):
        for case in drawn("seg-r1"):
            one, other = (seg_r1(of_task[task], case.completion) for task in ("referring", "foreground"))
            assert one == other, "the evaluation of the foreground reads otherwise than that of referring"
    of_seg_zero = function(seg_zero_folder / "evaluation_scripts/evaluation.py", "extract_bbox_points_think")
    write("evaluated-seg-zero", "seg-zero", seg_zero, of_seg_zero)
    model = vision_reasoner_folder / "vision_reasoner/models/vision_reasoner_model.py"
    parse = function(model, "extract_bbox_points_think")
    write("evaluated-vision-reasoner", "vision-reasoner", vision_reasoner, parse)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
