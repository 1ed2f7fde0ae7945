"""ThinkSeg: a large multimodal model that thinks, points and segments.

>>> import numpy as np
>>> import thinkseg
>>> photo = np.full((120, 160, 3), 235, dtype=np.uint8)  # or a path, or a PIL image
>>> photo[30:90, 40:100] = (200, 30, 30)
>>> pipeline = thinkseg.load("pocket")  # or a folder, or a hub id
>>> result = pipeline.segment(photo, "the red thing")
>>> result.mask.shape
(120, 160)

`result.thinking`, `.boxes`, `.points`, `.masks` and `.scores` have the rest, in pixels of the image.

Importing the package is cheap: PyTorch and transformers are loaded by `load`, not by `import`, and NumPy by the first
use of a name from `thinkseg.types` or `thinkseg.rewards`, so that the command line answers `--help` at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from thinkseg.arguments import COUNT, FLAG, MAPPING, PATH, TEXT, having, optional, takes
from thinkseg.errors import ThinkSegError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from thinkseg.api.compare import compare
    from thinkseg.api.evaluate import evaluate
    from thinkseg.api.export import export
    from thinkseg.api.instruction import instruction
    from thinkseg.api.label import label
    from thinkseg.api.measure import measure, measure_folders
    from thinkseg.api.reproduce import reproduce
    from thinkseg.api.score import score
    from thinkseg.api.segment import segment_files
    from thinkseg.api.train import train
    from thinkseg.evaluation.run import Run
    from thinkseg.models.base import Segmenter
    from thinkseg.models.checkpoint_config import CanvasFilter, Decoding, EncoderKind, MaskChoice
    from thinkseg.models.pipeline import Pipeline
    from thinkseg.results.result import Result
    from thinkseg.rewards.part import reward
    from thinkseg.serving.batch import Outcome
    from thinkseg.serving.client import AsyncClient, Client
    from thinkseg.serving.jobs import Job
    from thinkseg.serving.labelling.labelled import Labelled
    from thinkseg.types import Answer, Box, Completion, Instruction, ObjectPrompt, Point, Prediction, Sample, Size

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "AsyncClient",
    "Box",
    "Client",
    "Completion",
    "Instruction",
    "Job",
    "Labelled",
    "ObjectPrompt",
    "Outcome",
    "Point",
    "Prediction",
    "Result",
    "Run",
    "Sample",
    "Size",
    "ThinkSegError",
    "__version__",
    "compare",
    "evaluate",
    "export",
    "instruction",
    "label",
    "load",
    "measure",
    "measure_folders",
    "reproduce",
    "reward",
    "score",
    "segment_files",
    "train",
]


@takes(
    model=PATH,
    segmenter=optional(PATH | having("a segmenter", "segment")),
    format=optional(TEXT),
    device=TEXT,
    dtype=TEXT,
    batch_size=optional(COUNT),
    family=optional(TEXT),
    frame=optional(TEXT),
    reasoner=optional(TEXT),
    engine_options=optional(MAPPING),
    enforce_format=FLAG,
)
def load(
    model: "str | Path" = "pocket",
    *,
    segmenter: "str | Path | Segmenter | None" = None,
    format: str | None = None,
    instruction: "Instruction | str | None" = None,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | None = None,
    max_new_tokens: int | None = None,
    family: str | None = None,
    frame: str | None = None,
    canvas: int | None = None,
    canvas_filter: "CanvasFilter | None" = None,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
    decoding: "Decoding | None" = None,
    masks: "MaskChoice | None" = None,
    segmenter_canvas: int | None = None,
    segmenter_encoder: "EncoderKind | None" = None,
    reasoner: str | None = None,
    engine_options: "Mapping[str, Any] | None" = None,
    enforce_format: bool = False,
) -> "Pipeline":
    """Load a reasoner and a segmenter as a pipeline, from an image and a query to masks.

    What is not given comes from the `thinkseg.json` in the checkpoint's folder, or from what is known about a published
    checkpoint.

    Args:
        model: ``"pocket"`` (a small model for trying things out), a checkpoint folder, or a hub id.
        segmenter: ``"pocket"``, ``"grabcut"``, a checkpoint folder, a hub id, a reference to one of your own such as
            ``"my_segmenter.py:MySegmenter"``, or a segmenter; the pocket's where nothing else is known.
        format: name of the answer format, such as ``"seg-r1"``.
        instruction: sentences in place of the format's own, a template with ``{query}``: an `Instruction`, or the
            user's text alone; or the name of a published one that `thinkseg.instruction` has fetched (``"seg-r1"``).
        device: ``"auto"`` (a GPU if there is one), or a torch device; for both models.
        dtype: of the reasoner's weights: ``"auto"`` (the checkpoint's on a GPU, float32 on a CPU), or a name.
        batch_size: prompts that the reasoner decodes together; None for what suits the device.
        max_new_tokens: length limit of a completion, in tokens, from 1; 512 where nothing else is known.
        family: the kind of model that it is, a name in `thinkseg.models.families` or a reference to one of your own,
            such as ``"my_family.py:MyFamily"``; None for that of its `config.json`.
        frame: how coordinates are measured, a rule of `thinkseg.models.frames`; None for its family's.
        canvas: stretch images to a square of this many pixels a side before the reasoner sees them.
        canvas_filter: by which filter, ``"bicubic"`` or ``"bilinear"``.
        min_pixels: enlarge images to at least this many pixels in all for the reasoner.
        max_pixels: shrink images to at most this many pixels in all for the reasoner.
        decoding: ``"greedy"`` (without a penalty), ``"penalised"`` or ``"sampled"``, by its `generation_config.json`.
        masks: of the segmenter, for an object: its ``"single"`` mask, or the ``"best of three"`` by its own score.
        segmenter_canvas: show the segmenter a square of this many pixels a side in place of the image.
        segmenter_encoder: how it encodes images: ``"float32"``, ``"bfloat16"``, ``"compiled"`` or
            ``"compiled bfloat16"``; see docs/performance.md.
        reasoner: where its text is written: ``"vllm"``, the address of an OpenAI-style server
            (``"http://127.0.0.1:8000/v1"``), or ``"transformers"`` when None; see docs/engines.md.
        engine_options: of that engine: keyword arguments of `vllm.LLM`, or of a server ``model``, ``concurrency``,
            ``retries`` and ``timeout``, of transformers ``tokens_per_pass`` (docs/performance.md).
        enforce_format: whether that engine lets the model write nothing but what its answer format can read.

    Raises:
        CheckpointError: a model is missing or incomplete, or nothing says in which format it answers.
        InputError: an impossible setting, or the pocket is asked for and not installed.

    >>> pipeline = load("pocket", device="cpu", max_new_tokens=32)
    >>> pipeline.answer_format.name
    'seg-r1'
    """
    from thinkseg.models.checkpoint_config import CheckpointConfig, told_instruction
    from thinkseg.models.engines.engine import Engine
    from thinkseg.models.pipeline import load_pipeline

    config = CheckpointConfig(
        format=format,
        **told_instruction(instruction),
        max_new_tokens=max_new_tokens,
        family=family,
        frame=frame,
        canvas=canvas,
        canvas_filter=canvas_filter,
        decoding=decoding,
        masks=masks,
        segmenter_canvas=segmenter_canvas,
        segmenter_encoder=segmenter_encoder,
        min_pixels=min_pixels,
        max_pixels=max_pixels,
    )
    engine = Engine.chosen(reasoner, engine_options, enforce_format=enforce_format)
    return load_pipeline(model, segmenter, config, device=device, dtype=dtype, batch_size=batch_size, engine=engine)


_HOMES = {
    "AsyncClient": "thinkseg.serving.client",
    "Client": "thinkseg.serving.client",
    "Job": "thinkseg.serving.jobs",
    "Labelled": "thinkseg.serving.labelling.labelled",
    "Outcome": "thinkseg.serving.batch",
    "Result": "thinkseg.results.result",
    "Run": "thinkseg.evaluation.run",
    "compare": "thinkseg.api.compare",
    "evaluate": "thinkseg.api.evaluate",
    "export": "thinkseg.api.export",
    "instruction": "thinkseg.api.instruction",
    "label": "thinkseg.api.label",
    "measure": "thinkseg.api.measure",
    "measure_folders": "thinkseg.api.measure",
    "reproduce": "thinkseg.api.reproduce",
    "reward": "thinkseg.rewards.part",
    "score": "thinkseg.api.score",
    "segment_files": "thinkseg.api.segment",
    "train": "thinkseg.api.train",
}
"""Where public names come from that are not values of `thinkseg.types`."""


def __getattr__(name: str) -> Any:
    """The public calls and values, imported at their first use."""
    if name not in __all__:
        raise AttributeError(f"module 'thinkseg' has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "thinkseg.types")), name)
