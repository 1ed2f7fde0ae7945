"""Masks in Label Studio's run lengths, held against what its own code writes and reads."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from thinkseg.serving.http.label_studio.brush import brush_from_mask

# Written by label-studio-sdk 2.1.2, `converter.brush.encode_rle`, of the mask in all four channels as 0 and 255.
DIAGONAL = [0, 0, 0, 36, 57, 27, 252, 127, 246, 192, 35, 255, 182, 1, 31, 248]
RUNS = (1, 2, 3, 4, 5, 64, 65, 16384, 40000, 3)
"""Lengths at which the number of bits changes, on both sides, in one row; every second is of the object."""
OF_RUNS = [
    0, 3, 115, 76, 57, 27, 252, 96, 19, 255, 219, 0, 191, 255, 132, 192, 55, 255, 255, 1, 3, 0, 255, 255, 255, 255, 255,
    252, 3, 255, 255, 128, 119, 15, 240, 11, 127, 224,
]  # fmt: skip

READS = """
import json, sys
from label_studio_sdk.converter.brush import decode_rle
json.dump([decode_rle(rle).tolist() for rle in json.load(sys.stdin)], sys.stdout)
"""


def test_masks_are_written_byte_by_byte_as_label_studio_writes_them() -> None:
    assert brush_from_mask(np.eye(3, dtype=bool)) == DIAGONAL
    row = np.repeat(np.arange(len(RUNS)) % 2 == 1, RUNS)
    assert brush_from_mask(row[None]) == OF_RUNS


@pytest.mark.label_studio
def test_label_studio_reads_the_masks_that_were_written() -> None:
    program = os.environ.get("LABEL_STUDIO")
    if not program:
        pytest.skip("Label Studio has an environment of its own: make test-label-studio")
    draw = np.random.default_rng(7).random
    masks = [draw(shape) < share for shape in ((1, 1), (3, 5), (150, 200), (40, 1000)) for share in (0, 0.02, 0.5, 1)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    told = subprocess.run(
        [Path(program).with_name("python"), "-c", READS],
        input=json.dumps([brush_from_mask(mask) for mask in masks]),
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    for mask, values in zip(masks, json.loads(told.stdout), strict=True):
        assert np.array_equal(values, np.repeat(mask.ravel() * 255, 4))
