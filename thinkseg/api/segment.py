"""`thinkseg.segment_files`: many images and queries into a folder of results, as ``thinkseg segment`` does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkseg.arguments import (
    COUNT,
    FLAG,
    FUNCTION,
    MAPPING,
    PATH,
    TEXT,
    Kind,
    check,
    having,
    instance,
    many,
    optional,
    takes,
)
from thinkseg.evaluation.provenance import model_identity
from thinkseg.models.checkpoint_config import (
    CanvasFilter,
    CheckpointConfig,
    Decoding,
    EncoderKind,
    MaskChoice,
    instruction_from,
)
from thinkseg.models.engines.engine import Engine, refuse_overruling
from thinkseg.models.loading import POCKET
from thinkseg.results.files import is_image_of_result, prepare_folder
from thinkseg.serving.batch import JobOptions, JobRunner, ModelChoice, Outcome
from thinkseg.serving.jobs import Job, list_jobs

if TYPE_CHECKING:
    from thinkseg.models.pipeline import Pipeline
    from thinkseg.types import Instruction

Loader = Callable[..., "Pipeline"]
"""Loads models, with the arguments of `thinkseg.models.pipeline.load_pipeline`."""


_JOB = PATH | instance("a job", Job)


@takes(
    jobs=_JOB | many(_JOB, "a list of them") | Kind("an iterator", lambda value: hasattr(value, "__next__")),
    query=TEXT,
    model=PATH | having("a pipeline", "predict"),
    out=PATH,
    index=FLAG,
    instances=FLAG,
    overwrite=FLAG,
    batch_size=COUNT,
    segmenter=optional(TEXT),
    format=optional(TEXT),
    device=TEXT,
    dtype=TEXT,
    reasoner=optional(TEXT),
    engine_options=optional(MAPPING),
    enforce_format=FLAG,
    load=optional(FUNCTION),
)
def segment_files(
    jobs: str | Path | Job | Iterable[str | Path | Job],
    *,
    query: str = "",
    model: str | Path | Pipeline = POCKET,
    out: str | Path = ".",
    index: bool = False,
    instances: bool = False,
    overwrite: bool = False,
    batch_size: int = 8,
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
    load: Loader | None = None,
) -> Iterator[Outcome]:
    """Segment images and write a result for each; see `thinkseg segment --help` for what is kept and what is made anew.

    What is wrong with the call is raised at once; the work is done as the outcomes are taken.

    >>> import tempfile, thinkseg
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> folder = Path(tempfile.mkdtemp())
    >>> Image.new("RGB", (64, 48), "white").save(folder / "photo.png")
    >>> for outcome in thinkseg.segment_files(folder, query="the red fruit", out=folder / "cut"):
    ...     print(outcome.job.image.name, [path.name for path in outcome.files])
    photo.png ['photo.mask.png', 'photo.overlay.png', 'photo.json']
    >>> again = thinkseg.segment_files(folder / "photo.png", query="the red fruit", out=folder / "cut")
    >>> [outcome.kept for outcome in again]
    [True]

    Args:
        jobs: one or many images, folders, patterns and tables (as in `thinkseg.serving.jobs`), or `Job`s.
        query: what to look for in whatever brings no query of its own.
        model: ``"pocket"``, a checkpoint folder, a hub id, or a pipeline. Of a pipeline in memory it is not known which
            models it has, so that none of its results is kept from an earlier call.
        out: the folder; made if it is not there.
        index: whether to write an image that is n on object n.
        instances: whether to write each object's own mask.
        overwrite: whether to make results of the same images and queries anew, in place of the old ones.
        batch_size: images that the model gets at a time, from 1.
        segmenter: ``"pocket"``, ``"grabcut"``, a folder, a hub id, or a reference to one's own; None for the one that
            the model was trained with. This and what follows is not for a pipeline, and is as in `thinkseg.load`.
        format: name of the answer format.
        instruction: sentences in place of the format's own, a template with ``{query}``: an `Instruction`, or the
            user's text alone.
        device: ``"auto"`` (a GPU if there is one), or a torch device; for both models.
        dtype: of the reasoner's weights: ``"auto"``, or a name.
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
        load: loads the models when the first image needs them, in place of `load_pipeline`.

    Yields:
        The outcome of each job, in order. What is wrong with one image is its outcome's `error`.

    Raises:
        InputError: nothing is named, a query is empty, a file or a model is not there, the folder cannot be made, or a
            setting cannot work.
    """
    config = CheckpointConfig(
        segmenter=segmenter,
        format=format,
        instruction=instruction_from(instruction),
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
    options = JobOptions(batch_size, index, instances, overwrite)
    wanted = [jobs] if isinstance(jobs, str | Path | Job) else list(jobs)
    for job in wanted:
        check(job, _JOB, "each of the 'jobs' of segment_files")
    listed = list_jobs(wanted, query, leave_out=is_image_of_result)
    folder = Path(out)
    prepare_folder(folder)
    if isinstance(model, str | Path):
        how: dict[str, Any] = {"device": device, "dtype": dtype, "batch_size": batch_size}
        if engine != Engine():
            how["engine"] = engine
        models = _named(model, config, load, **how)
    else:
        refuse_overruling(config, engine)
        pipeline = model
        models = ModelChoice(lambda: pipeline, None)
    return JobRunner(folder, models, options).run(listed)


def _named(model: str | Path, config: CheckpointConfig, load: Loader | None, **how: Any) -> ModelChoice:
    """A model by its name, which is loaded when it is needed."""

    def loaded() -> Pipeline:
        if load is not None:
            return load(model, config=config, **how)
        from thinkseg.models.pipeline import load_pipeline

        return load_pipeline(model, config=config, **how)

    return ModelChoice(loaded, model_identity(model, config, how.get("engine")))
