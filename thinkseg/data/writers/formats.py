"""The formats that samples are written in. To add one, write a writer, add a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from thinkseg.data.writers.coco import write_coco
from thinkseg.data.writers.cutouts import write_cutouts, write_objects
from thinkseg.data.writers.labelme import write_labelme
from thinkseg.data.writers.table import write_table
from thinkseg.data.writers.written import WriteOptions, Written
from thinkseg.data.writers.yolo import write_yolo
from thinkseg.types import Sample

Writer = Callable[[Sequence[Sample], Path, WriteOptions], Written]

WRITERS: Mapping[str, Writer] = {
    "coco": write_coco,
    "yolo": write_yolo,
    "labelme": write_labelme,
    "csv": write_table,
    "cutouts": write_cutouts,
    "objects": write_objects,
}
"""By the name by which they are asked for."""
