"""`thinkseg.label`: a table, a folder or a pattern of images into Parquet, as ``thinkseg label`` does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkseg.arguments import COUNT, FLAG, FUNCTION, MAPPING, PATH, TEXT, having, optional, takes
from thinkseg.evaluation.parallel.shards import WHOLE, Shard
from thinkseg.evaluation.plan import EvaluatedModel
from thinkseg.evaluation.provenance import model_identity
from thinkseg.models.checkpoint_config import (
    CanvasFilter,
    CheckpointConfig,
    Decoding,
    EncoderKind,
    MaskChoice,
    told_instruction,
)
from thinkseg.models.engines.engine import Engine, refuse_overruling
from thinkseg.models.loading import POCKET
from thinkseg.models.pipeline import load_pipeline
from thinkseg.serving.labelling.job import run_labelling
from thinkseg.serving.labelling.labelled import Labelled
from thinkseg.serving.labelling.plan import LOCAL, LabelPlan
from thinkseg.serving.labelling.sources import LabelSource

if TYPE_CHECKING:
    from thinkseg.api.segment import Loader
    from thinkseg.models.pipeline import Pipeline
    from thinkseg.types import Instruction


@takes(
    source=PATH,
    query=TEXT,
    out=PATH,
    model=PATH | having("a pipeline", "predict"),
    engine=TEXT,
    processes=optional(COUNT),
    shard=optional(TEXT),
    batch_size=COUNT,
    rows_per_file=optional(COUNT),
    address=optional(TEXT),
    encoding=TEXT,
    segmenter=optional(TEXT),
    format=optional(TEXT),
    device=TEXT,
    dtype=TEXT,
    reasoner=optional(TEXT),
    engine_options=optional(MAPPING),
    enforce_format=FLAG,
    progress=FLAG,
    load=optional(FUNCTION),
)
def label(
    source: str | Path,
    *,
    query: str = "",
    out: str | Path,
    model: str | Path | Pipeline = POCKET,
    engine: str = LOCAL,
    processes: int | None = None,
    shard: str | None = None,
    batch_size: int = 8,
    rows_per_file: int | None = None,
    address: str | None = None,
    encoding: str = "",
    segmenter: str | None = None,
    format: str | None = None,
    instruction: Instruction | str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    max_new_tokens: int | None = None,
    family: str | None = None,
    frame: str | None = None,
    canvas: int | None = None,
    canvas_filter: CanvasFilter | None = None,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
    decoding: Decoding | None = None,
    masks: MaskChoice | None = None,
    segmenter_canvas: int | None = None,
    segmenter_encoder: EncoderKind | None = None,
    reasoner: str | None = None,
    engine_options: Mapping[str, Any] | None = None,
    enforce_format: bool = False,
    progress: bool = True,
    load: Loader | None = None,
) -> Labelled:
    """Label every row of a table, or every image of a folder or a pattern: one row of results each, in Parquet.

    Called again, or killed at any moment and called again, it goes on where it was. Called twice at once, the engine
    ``local`` shares the rows between the two calls, and ``ray`` refuses the second.

    >>> import tempfile, thinkseg
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> folder = Path(tempfile.mkdtemp())
    >>> Image.new("RGB", (64, 48), "white").save(folder / "photo.png")
    >>> labelled = thinkseg.label(folder, query="the red fruit", out=folder / "labels", progress=False)
    >>> labelled.rows, labelled.complete
    (1, True)
    >>> [record["image"] for record in labelled.records()]
    ['photo.png']

    Args:
        source: a table (CSV, TSV, JSONL, Parquet) with the columns ``image`` and ``query`` and, if there are any,
            ``id``, whose images are looked for from its folder on; or a folder, or a pattern.
        query: what to look for in the images of a folder or a pattern; tables bring their own.
        out: the folder of the results; made if it is not there.
        model: ``"pocket"``, a checkpoint folder, a hub id, or a pipeline. A pipeline in memory works in this process
            alone, and its results cannot be gone on with.
        engine: ``"local"``, or ``"ray"`` for a cluster.
        processes: how many work at once, on Ray how many actors; None for one a card, or one where there is none.
        shard: ``"I/N"`` to do part I of N only, of the files of rows: for machines that do not share a disk.
        batch_size: rows that the model gets at a time, from 1.
        rows_per_file: how many rows a file of results has, from 1; None for 2048 at most, on Ray for 256.
        address: of a Ray cluster; None for that of the environment (``RAY_ADDRESS``), or for one on this machine.
        encoding: of a table of text, where it is not UTF-8.
        segmenter: as in `thinkseg.load`, as is what follows; not for a pipeline.
        format: name of the answer format.
        instruction: sentences in place of the format's own, or the name of a published one.
        device: ``"auto"`` (a GPU if there is one), or a torch device.
        dtype: of the reasoner's weights.
        max_new_tokens: length limit of a completion, in tokens.
        family: the model's family, if its own code does not say it.
        frame: how coordinates are measured.
        canvas: stretch images to a square of this many pixels a side for the reasoner.
        canvas_filter: by which filter, ``"bicubic"`` or ``"bilinear"``.
        min_pixels: enlarge images to at least this many pixels for the reasoner.
        max_pixels: shrink images to at most this many pixels for the reasoner.
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
        progress: whether it is shown on stderr how far it is.
        load: loads the models in place of `load_pipeline`; a function of a module where there are several processes.

    Returns:
        How many rows there are and what came of them, and the rows themselves.

    Raises:
        InputError: nothing is named, the query is empty, a model is not there, or a setting cannot work.
        DataError: the table is not as expected, or the folder holds other results.
        ThinkSegError: a result cannot be written, or a process was lost; the same call goes on from there.
    """
    config = CheckpointConfig(
        segmenter=segmenter,
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
    writing = Engine.chosen(reasoner, engine_options, enforce_format)
    checkpoint = str(model) if isinstance(model, str | Path) else model
    if not isinstance(checkpoint, str):
        refuse_overruling(config, writing)
    plan = LabelPlan(
        source=LabelSource(str(source), query, encoding),
        model=EvaluatedModel(checkpoint, config, device, dtype, load or load_pipeline, writing),
        out=Path(out),
        engine=engine,
        processes=processes,
        shard=WHOLE if shard is None else Shard.parse(shard),
        batch_size=batch_size,
        rows_per_file=rows_per_file,
        address=address,
        progress=progress,
    )
    plan.check()
    if isinstance(checkpoint, str):
        plan = replace(plan, identity=model_identity(checkpoint, config, writing))
    return run_labelling(plan)
