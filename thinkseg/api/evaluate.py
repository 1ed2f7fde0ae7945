"""``thinkseg.evaluate``: a model on a benchmark, or on samples of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkseg.arguments import (
    COUNT,
    FLAG,
    FROM_0,
    MAPPING,
    NAMES,
    PATH,
    TEXT,
    having,
    instance,
    optional,
    read_one_by_one,
    takes,
)
from thinkseg.errors import InputError
from thinkseg.evaluation.benchmarks import Benchmark, LoadOptions, benchmark_names
from thinkseg.evaluation.job import run_plan
from thinkseg.evaluation.parallel.shards import Shard
from thinkseg.evaluation.plan import EvaluatedModel, EvaluationPlan
from thinkseg.evaluation.provenance import command_line
from thinkseg.evaluation.run import Predictor, Run
from thinkseg.models.checkpoint_config import (
    CanvasFilter,
    CheckpointConfig,
    Decoding,
    EncoderKind,
    MaskChoice,
    told_instruction,
)
from thinkseg.models.engines.engine import Engine, refuse_overruling
from thinkseg.types import Sample

if TYPE_CHECKING:
    from thinkseg.types import Instruction


@takes(
    benchmark=TEXT
    | instance("a benchmark", Benchmark)
    | read_one_by_one(instance("a sample", Sample), "a list of samples"),
    model=PATH | having("a pipeline", "predict"),
    out=optional(PATH),
    data=optional(PATH),
    query=TEXT,
    split=TEXT,
    protocol=TEXT,
    limit=optional(COUNT),
    seed=FROM_0,
    batch_size=COUNT,
    processes=COUNT,
    shard=optional(TEXT),
    segmenter=optional(TEXT),
    format=optional(TEXT),
    device=TEXT,
    dtype=TEXT,
    save_masks=FLAG,
    save_overlays=FLAG,
    measures=optional(TEXT | NAMES),
    reasoner=optional(TEXT),
    engine_options=optional(MAPPING),
    enforce_format=FLAG,
    progress=FLAG,
)
def evaluate(
    benchmark: str | Benchmark | Sequence[Sample],
    model: str | Path | Predictor = "pocket",
    *,
    out: str | Path | None = None,
    data: str | Path | None = None,
    query: str = "",
    split: str = "",
    encoding: str = "",
    protocol: str = "default",
    limit: int | None = None,
    seed: int = 0,
    batch_size: int = 16,
    processes: int = 1,
    shard: str | None = None,
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
    save_masks: bool = False,
    save_overlays: bool = False,
    measures: str | Sequence[str] | None = None,
    progress: bool = True,
) -> Run:
    """Run a model over samples whose targets are known, and measure how well it did.

    Every sample is in the denominator: an answer that cannot be parsed counts as an empty mask. With a folder the run
    goes on where an earlier one was interrupted, and its report is written there, as by ``thinkseg evaluate``.

    Args:
        benchmark: a name in `thinkseg.evaluation.benchmarks.BENCHMARKS`, a reference to one of your own
            (``my_benchmarks.py:NAME``), a `Benchmark`, or samples with a target each.
        model: ``"pocket"``, a checkpoint folder, a hub id, or a pipeline that is loaded already (anything whose
            ``predict(samples, batch_size)`` gives one prediction per sample, in order).
        out: folder of the results; None keeps them in memory.
        data: folder that the data sets lie below, for benchmarks on disk; for ``"folder"`` the user's own data: a
            table, a folder of images and masks, or rows.
        query: what is asked of own images that have no words.
        split: of own rows that have several.
        encoding: of tables and JSON, such as ``"gbk"``; when empty, UTF-8 or what a file's byte order mark says.
        protocol: by whose rules it is scored, a name in `thinkseg.evaluation.protocols.PROTOCOLS`.
        limit: only the first so many samples.
        seed: of benchmarks that are composed, and of protocols that draw samples.
        batch_size: samples that the model gets at a time; numbers do not depend on it.
        processes: how many share the samples, each with models of its own.
        shard: ``"2/4"`` for the second of four parts; the last part to end has the whole run and writes the report.
            When it is None and ``torchrun`` or ``accelerate launch`` have started this process, theirs is taken.
        segmenter: name of the segmenter; the checkpoint's own when None.
        format: name of the answer format. This and what follows as in `thinkseg.load`.
        instruction: sentences in place of the format's own, or the name of a published instruction.
        device: where the models run.
        dtype: of the reasoner's weights.
        max_new_tokens: length limit of a completion, in tokens.
        family: the kind of model that it is.
        frame: how coordinates are measured.
        canvas: stretch images to a square of this many pixels a side.
        canvas_filter: by which filter, ``"bicubic"`` or ``"bilinear"``.
        min_pixels: enlarge images to at least this many pixels in all.
        max_pixels: shrink images to at most this many pixels in all.
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
        save_masks: write the predicted masks to ``out/masks``, as PNG.
        save_overlays: write the images with their masks to ``out/overlays``.
        measures: what the report has, names as in docs/metrics.md or the user's own by reference
            (``my_measures.py:NAME``); those of the benchmark when None.
        progress: draw a bar on stderr.

    Returns:
        The run: ``metrics`` by name (a value, and the number of samples that it rests on), ``by_task``, ``failures``,
        and a record per sample in ``records``. `Run.open` reads one from its folder.

    Raises:
        InputError: there is no such benchmark, model or protocol, its data are not there, or two options clash.
        DataError: the folder holds another run, or a sample has no target or one of the wrong size.

    >>> import numpy as np
    >>> from PIL import Image
    >>> from thinkseg.types import Sample
    >>> target = np.zeros((84, 112), dtype=bool)
    >>> target[20:60, 30:80] = True
    >>> image = Image.fromarray(np.where(target[..., None], (200, 40, 30), (90, 120, 90)).astype(np.uint8))
    >>> run = evaluate([Sample("red", image, "the red square", target)], "pocket", device="cpu", progress=False)
    >>> run.metrics["giou"].count
    1
    >>> 0 <= run.metrics["giou"].value <= 1
    True
    >>> run.records[0].query
    'the red square'
    """
    names = benchmark_names([benchmark]) if isinstance(benchmark, str) else []
    if len(names) > 1:
        raise InputError(f"'{benchmark}' stands for several benchmarks; evaluate them one by one: {', '.join(names)}")
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
    engine = Engine.chosen(reasoner, engine_options, enforce_format=enforce_format)
    if not isinstance(model, str | Path):
        # A protocol asks a pipeline in its own way, and what is said here comes before that.
        refuse_overruling(config if protocol == "default" else CheckpointConfig(), engine)
    plan = EvaluationPlan(
        benchmarks=[benchmark],
        model=EvaluatedModel(str(model) if isinstance(model, Path) else model, config, device, dtype, engine=engine),
        out=None if out is None else Path(out),
        options=LoadOptions(limit, seed, None if data is None else Path(data), encoding, query, split),
        protocol=protocol,
        batch_size=batch_size,
        processes=processes,
        shard=None if shard is None else Shard.parse(shard),
        images=frozenset(name for name, wanted in (("masks", save_masks), ("overlays", save_overlays)) if wanted),
        measures=None if measures is None else (measures,) if isinstance(measures, str) else tuple(measures),
        progress=progress,
        command=command_line(),
    )
    (evaluated,) = run_plan(plan)
    return evaluated.run
