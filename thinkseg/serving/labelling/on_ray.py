"""The engine ``ray``: Ray Data with a pool of actors, for clusters.

::

    rows ─▶ leave out what is done ─▶ blocks of rows ─▶ actors ─▶ OUT/labels/*.parquet
             └──────── Ray's checkpoint in OUT/.label/ray ◀───────────┘

Blocks are small before the actors get them, since a block is what the checkpoint knows: an actor that is lost does its
block again, a driver that is killed costs the blocks that were on their way. Files and checkpoint are committed
together by Ray; what a process of a killed driver may still have written twice is taken out at the end (`settle`).
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from filelock import FileLock, Timeout

from thinkseg.errors import DataError, InputError, MissingExtraError, ThinkSegError, reason_of
from thinkseg.machine import usable_cpus
from thinkseg.meter import Meter
from thinkseg.serving.labelling.folder import ROWS, LabelFolder
from thinkseg.serving.labelling.header import LabelHeader
from thinkseg.serving.labelling.labelled import rows_there, settle
from thinkseg.serving.labelling.labeller import Labeller
from thinkseg.serving.labelling.plan import LabelPlan
from thinkseg.serving.labelling.pool import RESERVED, Pool, fit_pool
from thinkseg.serving.labelling.rows import table_of
from thinkseg.serving.labelling.sources import LabelRequest
from thinkseg.stopwatch import count

CHECKPOINT = "ray"
STARTS = 3
"""How often it is tried to start Ray here: on a busy machine it misses its own limit of 30 seconds."""
LOOK_SECONDS = 2.0
"""Seconds between two looks at how many rows are written."""


def label_on_ray(plan: LabelPlan, folder: LabelFolder) -> None:
    """Label all rows that have no results yet.

    Raises:
        MissingExtraError: Ray is not installed.
        InputError: there is no such cluster, or it can never hold the pool.
        DataError: another labelling works in the folder.
        ThinkSegError: a task failed for good; the same call goes on from there.
    """
    ray = _import_ray()
    known: dict[Any, int] = {}
    with _held(folder):
        before = rows_there(folder.out, known)
        if before < folder.header.rows:
            with _cluster(ray, plan.address):
                pool = fit_pool(_nodes(ray), plan.processes, on_gpu=_on_gpu(plan.model.device))
                with _followed(plan, folder, known):
                    _run(ray, plan, folder, pool)
        missing = settle(folder.out, folder.header.rows)
        if missing:
            raise ThinkSegError(f"{missing} rows have no results yet; the same command goes on from here")
        count("rows", folder.header.rows - before)
        shutil.rmtree(folder.work / CHECKPOINT, ignore_errors=True)


def _run(ray: Any, plan: LabelPlan, folder: LabelFolder, pool: Pool) -> None:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.checkpoint_config = ray.data.checkpoint.CheckpointConfig(
        "row", str((folder.work / CHECKPOINT).absolute()), delete_checkpoint_on_success=False
    )
    try:
        rows = ray.data.read_parquet(str(folder.manifest.absolute()), file_extensions=[ROWS.rpartition(".")[2]])
        labelled = rows.repartition(target_num_rows_per_block=folder.header.rows_per_file).map_batches(
            LabellingActor,
            fn_constructor_args=(plan, folder.header),
            batch_size=folder.header.rows_per_file,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=pool.actors),
            num_cpus=pool.cpus,
            num_gpus=pool.gpus or None,
        )
        labelled.write_parquet(str(folder.labels.absolute()))
    except (ray.exceptions.RayError, OSError, ValueError) as error:
        raise ThinkSegError(f"labelling on Ray ended: {_cause(error)}; the same command goes on from here") from error
    finally:
        context.checkpoint_config = None


class LabellingActor:
    """Holds the models in a process of the cluster.

    Args:
        plan: of the labelling.
        header: of its folder.
    """

    def __init__(self, plan: LabelPlan, header: LabelHeader) -> None:
        self._labeller = Labeller(plan.pipeline(), plan.source.root, header.stamp)
        self._batch_size = plan.batch_size

    def __call__(self, rows: Any) -> Any:
        """A table of requests into one of results, row by row."""
        requests = [LabelRequest(**row) for row in rows.to_pylist()]
        return table_of(row for batch in self._labeller.label(requests, self._batch_size) for row in batch)


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere unasked
    try:
        import ray
        import ray.data
        import ray.data.checkpoint
    except ImportError as error:
        raise MissingExtraError("ray", "ray", "for --engine ray") from error
    return ray


@contextmanager
def _held(folder: LabelFolder) -> Iterator[None]:
    """Keep another labelling on Ray out of the folder: its checkpoint knows of one."""
    lock = FileLock(folder.work / "ray.lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise DataError(
            f"another labelling is at work in '{folder.out}'; wait until it ends, or choose another folder with --out"
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _cluster(ray: Any, address: str | None) -> Iterator[None]:
    """The cluster of the address, that of the environment, or one on this machine for as long as this is open."""
    if ray.is_initialized():
        yield
        return
    named = address or os.environ.get("RAY_ADDRESS")
    own = {} if named else {"num_cpus": max(RESERVED + 1, usable_cpus()), "include_dashboard": False}
    for left in reversed(range(1 if named else STARTS)):
        try:
            ray.init(address=named or "local", logging_level=logging.ERROR, log_to_driver=False, **own)
            break
        except Exception as error:  # what Ray raises where it cannot start is of no kind of its own
            ray.shutdown()
            if not left:
                raise InputError(f"there is no Ray cluster at '{named or 'this machine'}': {_cause(error)}") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()


def _nodes(ray: Any) -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _on_gpu(device: str) -> bool | None:
    return None if device == "auto" else device.startswith("cuda")


def _cause(error: BaseException) -> str:
    """What an error of Ray's says at its end, below the names of its processes."""
    cause = getattr(error, "cause", None) or error.__cause__ or error
    if isinstance(cause, ThinkSegError):
        return str(cause)
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return lines[-1] if lines else reason_of(cause)


@contextmanager
def _followed(plan: LabelPlan, folder: LabelFolder, known: dict[Any, int]) -> Iterator[None]:
    """Show how many rows are written, for as long as this is open."""
    ended = threading.Event()
    before = sum(known.values())
    with Meter("label", "row", folder.header.rows, before) if plan.progress else nullcontext() as meter:

        def look() -> None:
            while not ended.wait(LOOK_SECONDS):
                if meter is not None:
                    meter.move(rows_there(folder.out, known))

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            if meter is not None:
                meter.move(rows_there(folder.out, known))
