"""Record the values of the published functions for `published_completions.py`.

    python -m tests.rewards.record_published SEG_ZERO SEG_R1

SEG_ZERO and SEG_R1 are checkouts of the authors' repositories (dvlab-research/Seg-Zero, which has VisionReasoner's
rewards, too, and geshang777/Seg-R1). Their modules are loaded as they are; what they import besides and is not
installed is replaced by nothing, and Seg-R1's segmenter by `painted`. The files under `tests/data/golden/published`
hold for each function the distinct rows of values and, for each completion, the row's number.
"""

import hashlib
import importlib.util
import json
import sys
import warnings
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
from PIL import Image

from tests.rewards.published_completions import MASK_SIDE, completions, painted

GOLDEN = Path(__file__).parent.parent / "data/golden/published"


def load(path: Path, name: str, missing=()):
    for each in missing:
        sys.modules[each] = MagicMock()
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def digest(cases) -> str:
    lines = "\n".join(json.dumps([case.completion, case.truth]) for case in cases)
    return hashlib.sha256(lines.encode()).hexdigest()


def write(system: str, names, rows_of) -> None:
    cases = completions(system)
    kept = {"completions": digest(cases), "values": {}}
    for function, rows in rows_of(cases).items():
        distinct = sorted(set(map(tuple, rows)))
        kept["values"][function] = {
            "names": names,
            "rows": distinct,
            "of": [distinct.index(tuple(row)) for row in rows],
        }
    GOLDEN.mkdir(parents=True, exist_ok=True)
    (GOLDEN / f"{system}.json").write_text(json.dumps(kept, separators=(",", ":")) + "\n")
    print(f"{system}: {len(cases)} completions")  # noqa: T201


def seg_zero(module, cases):
    def truth(case):
        box, points = case.truth["box"], case.truth["points"]
        pair = "({},{}),({},{})"
        return f"<box>{pair.format(*box)}</box><points>{pair.format(*points[0], *points[1])}</points>"

    total = module.seg_strict_compute_score if hasattr(module, "seg_strict_compute_score") else module.seg_compute_score
    return [
        [
            module.seg_thinking_format_reward(case.completion),
            module.seg_segmentation_format_reward(case.completion),
            module.seg_iou_reward(case.completion, truth(case)),
            module.seg_box_l1_reward(case.completion, truth(case)),
            module.seg_point_l1_reward(case.completion, truth(case)),
            total(case.completion, truth(case)),
        ]
        for case in cases
    ]


def vision_reasoner(module, cases):
    return [
        [
            module.vision_reasoner_format_reward(case.completion),
            float(module.vision_reasoner_accuracy_reward(case.completion, json.dumps(case.truth))),
            float(module.vision_reasoner_non_repeat_reward(case.completion)),
            float(module.vision_reasoner_compute_score(case.completion, json.dumps(case.truth))),
        ]
        for case in cases
    ]


class Painter:
    """In place of the published wrapper of a segmenter."""

    def __init__(self, **_):
        pass

    def predict(self, image, points, labels, bbox=None):
        return painted(bbox, points, labels).astype(np.float32), 1.0


def seg_r1(module, cases):
    module.SAMWrapper = Painter
    module.RESIZE_SIZE = (MASK_SIDE, MASK_SIDE)
    image = Image.new("RGB", (MASK_SIDE, MASK_SIDE))
    rows = []
    for case in cases:
        said = [[{"content": case.completion}]]
        target = painted(case.truth, None, None)
        (mask,) = module.segmentation_reward(said, [target], [image], sam_config=[{"model_path": None, "device": None}])
        (form,) = module.format_reward(said)
        rows.append([float(mask), float(form), float(mask) + float(form)])
    return rows


def _rows_of_seg_r1(module, system, cases):
    return {system: seg_r1(module, cases)}


def main(seg_zero_folder: Path, seg_r1_folder: Path) -> None:
    warnings.simplefilter("ignore")
    scores = seg_zero_folder / "verl/utils/reward_score"
    strict, soft = load(scores / "seg_restrict.py", "strict"), load(scores / "seg.py", "soft")
    terms = ["think_format", "answer_format", "box_iou", "box_l1", "points", "total"]
    write(
        "seg-zero", terms, lambda cases: {"seg-zero": seg_zero(strict, cases), "seg-zero-soft": seg_zero(soft, cases)}
    )
    reasoner = load(scores / "vision_reasoner.py", "reasoner")
    write(
        "vision-reasoner",
        ["format", "accuracy", "non_repeat", "total"],
        lambda cases: {"vision-reasoner": vision_reasoner(reasoner, cases)},
    )
    source = seg_r1_folder / "seg-r1/src/open_r1"
    missing = ["cv2", "datasets", "torchvision", "torchvision.transforms", "torchvision.transforms.functional", "trl"]
    missing += ["transformers", "sam2", "sam2.build_sam", "sam2.sam2_image_predictor", "open_r1", "open_r1.trainer"]
    stand_ins = [*missing, "utils"]
    for each in stand_ins:
        sys.modules[each] = MagicMock()
    sys.modules["trl"].ScriptArguments = object
    sys.modules["open_r1.trainer"].Qwen2VLGRPOVLLMTrainerModified = object
    sys.modules["utils.metrics"] = load(source / "utils/metrics.py", "utils.metrics")
    for system, name in (("seg-r1", "grpo"), ("seg-r1-points", "grpo_prerl")):
        module = load(source / f"{name}.py", name)
        write(
            system,
            ["segment", "format", "total"],
            lambda cases, module=module, system=system: {system: seg_r1(module, cases)},
        )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
