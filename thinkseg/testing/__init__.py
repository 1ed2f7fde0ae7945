"""Fakes and tiny real models, for tests of ThinkSeg and of what is built on it. Nothing here needs a network.

* `FakeReasoner` replays given completions; `FakeSegmenter` fills boxes. Both keep count of their calls.
* ``tiny_…`` builds a real model of transformers and its processor from a config, with random weights, in a fraction
  of a second: the whole machinery with none of the skill. `save` writes one as a checkpoint folder.

>>> from PIL import Image
>>> reasoner = FakeReasoner(["<think>a square</think><bbox>[1,1,3,3]</bbox>"])
>>> reasoner.frame_of(Image.new("RGB", (8, 6)))
Size(width=8, height=6)
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thinkseg.testing.fakes import FakeReasoner, FakeSegmenter
from thinkseg.testing.tiny_reasoners import (
    tiny_fast_vlm,
    tiny_internvl,
    tiny_qwen2_5_vl,
    tiny_qwen2_vl,
    tiny_qwen3_5,
    tiny_qwen3_vl,
    tiny_smolvlm,
    tiny_tokenizer,
)
from thinkseg.testing.tiny_segmenters import tiny_edgetam, tiny_sam, tiny_sam2, tiny_sam3_tracker, tiny_sam_hq

__all__ = [
    "FakeReasoner",
    "FakeSegmenter",
    "save",
    "tiny_edgetam",
    "tiny_fast_vlm",
    "tiny_internvl",
    "tiny_qwen2_5_vl",
    "tiny_qwen2_vl",
    "tiny_qwen3_5",
    "tiny_qwen3_vl",
    "tiny_sam",
    "tiny_sam2",
    "tiny_sam3_tracker",
    "tiny_sam_hq",
    "tiny_smolvlm",
    "tiny_tokenizer",
]


def save(folder: Path, model_and_processor: tuple[Any, Any], settings: Mapping[str, Any] | None = None) -> Path:
    """Write a model and its processor as a checkpoint folder.

    Args:
        folder: made if it does not exist.
        model_and_processor: what a ``tiny_…`` function returns.
        settings: the content of the folder's `thinkseg.json`; no such file when None.

    Returns:
        The folder.
    """
    model, processor = model_and_processor
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    if settings is not None:
        (folder / "thinkseg.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder
