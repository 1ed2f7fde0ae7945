"""The main job in one folder: evaluate a checkpoint, train it, evaluate it again, report what it gained.

The parts are handed in (`Tools`), so that this module knows neither how a model is loaded nor how it is trained. Every
step leaves its result in the folder; started again, the job goes on behind the last one that is whole.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from thinkseg.errors import DataError, InputError
from thinkseg.evaluation.parallel.folder_lock import GATE, hold_folder
from thinkseg.evaluation.parallel.shards import WHOLE
from thinkseg.evaluation.progress import ProgressBar
from thinkseg.evaluation.provenance import (
    device_kind,
    device_of,
    dtype_of,
    machine,
    reasoner_revision,
    segmenter_revision,
)
from thinkseg.evaluation.record_file import write_json
from thinkseg.evaluation.records import RunHeader
from thinkseg.evaluation.reporting.report import ReportContext, write_report
from thinkseg.evaluation.run import Run, evaluate
from thinkseg.models.loading import is_pocket
from thinkseg.results.files import prepare_folder
from thinkseg.results.record import counted
from thinkseg.training.curves import Curve, curves_of
from thinkseg.types import Sample

STATE, REPORT, PAGE = "quickstart.json", "report.json", "report.html"
BEFORE, TRAINING, CHECKPOINT, AFTER = "before", "training", "checkpoint", "after"
OWN = ("data", "data.part", "contact_sheet.jpg", "start.json")
"""What a run on the user's own data writes besides."""
EXAMPLE = ("example.png", "example.mask.png", "example.overlay.png", "example.json")
WRITTEN = (STATE, BEFORE, TRAINING, CHECKPOINT, AFTER, *OWN, *EXAMPLE, PAGE, REPORT)
"""All that a run writes into its folder, and all that is removed from it when it is replaced."""

MEASURES = ("giou", "ciou", "s_measure", "mae", "parse_failures", "correct_abstentions", "false_abstentions")

DIGESTS = ("own.data", "own.test")
"""Settings that say nothing to people: of the user's files."""

CURVES: Mapping[str, str] = {
    "reward": "reward, the weighted sum",
    "parse_failures": "share of parse failures",
    "frac_reward_zero_std": "groups without a difference",
    "completions/mean_length": "length of an answer, tokens",
    "entropy": "entropy, nats per token",
    "kl": "distance from the start (KL), nats per token",
}
"""What is drawn over the training steps besides the parts of the reward, by its name in the training log."""


@dataclass(frozen=True, slots=True)
class QuickstartSettings:
    """What makes one run differ from another; a folder goes on only with the same."""

    steps: int | None
    """Training steps; None where the recipe counts epochs."""
    scenes: int
    """How many held-out scenes are evaluated."""
    seed: int
    start: str
    """The checkpoint before training: a name or a folder."""
    segmenter: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """All settings of the training, so that a changed recipe is noticed."""
    own: Mapping[str, Any] = field(default_factory=dict)
    """Of data of the user's own: which they are and how they are used; nothing for scenes."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured on, in words."""

    benchmark: str
    """Its name in reports."""
    samples: str
    """What the samples are called."""
    nature: str
    """What is said of them behind their number."""
    data: str = ""
    """Where they lie; empty for those that are composed."""
    facts: Mapping[str, str | int | float] = field(default_factory=dict)
    """What else is told of them."""


SCENES = Subject("scenes", "scenes", "of things and backgrounds that no training has shown it")


@dataclass(frozen=True, slots=True)
class Tools:
    """The parts that the job puts together."""

    load: Callable[[str], Any]
    """A pipeline, from the name or folder of a checkpoint."""
    train: Callable[[Path], Path]
    """Trains into a folder, going on with what is there, and returns the folder of the trained model."""
    samples: Sequence[Sample]
    """The scenes to evaluate on."""
    batch_size: int = 16
    command: str = ""
    """What to type to do the same again."""
    subject: Subject = field(default_factory=lambda: SCENES)
    """What is measured on."""


def run_quickstart(out: Path, settings: QuickstartSettings, tools: Tools) -> ReportContext:
    """Evaluate, train and evaluate again; what the folder holds already is not done again.

    Returns:
        What the report tells; `finish` writes it.
    """
    with timed(out, "evaluate"):
        before, _ = _evaluate(out, BEFORE, settings.start, "1/3 evaluate", settings, tools)
    with timed(out, "train"):
        checkpoint = _train(out, tools)
    with timed(out, "evaluate again"):
        after, device = _evaluate(out, AFTER, str(checkpoint), "3/3 evaluate again", settings, tools)
    return _tell(out, settings, tools, (before, after), device)


def finish(out: Path, context: ReportContext) -> dict[str, Any]:
    """Write the report, by which a run is known to be finished, and return what ``report.json`` holds."""
    return write_report(out, context)


def claim_folder(out: Path, settings: QuickstartSettings, *, overwrite: bool = False) -> None:
    """Make the folder, or make sure that it holds this very run, not finished yet.

    Args:
        out: the folder.
        settings: of this run.
        overwrite: first remove what an earlier run has written there, and nothing else.

    Raises:
        InputError: it holds a finished run, another one, or files that no quickstart wrote.
    """
    state = out / STATE
    if out.exists() and not out.is_dir():
        raise InputError(f"'{out}' is a file; choose another place with --out")
    if out.is_dir() and not state.is_file() and any(path.name != GATE for path in out.iterdir()):
        raise InputError(f"'{out}' holds files that no quickstart wrote; choose a new folder with --out")
    if state.is_file() and overwrite:
        for path in (out / name for name in WRITTEN):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    prepare_folder(out)
    asked = json.loads(json.dumps(_flat(asdict(settings))))
    if not state.is_file():
        write_json(state, {"settings": asked, "seconds": {}})
        return
    if (out / REPORT).is_file():
        raise InputError(
            f"'{out}' holds a finished run: see {out / PAGE}; choose another folder with --out for a new one, or add "
            "--overwrite to replace it"
        )
    found = _state(out)["settings"]
    differing = [name for name in {**found, **asked} if found.get(name) != asked.get(name)]
    if differing and not any((out / name).exists() for name in WRITTEN if name != STATE):
        write_json(state, {"settings": asked, "seconds": {}})  # that one was refused before it did anything
        return
    if differing:
        named = ", ".join(
            f"other files ({name})"
            if name in DIGESTS
            else f"{name} {found.get(name)!r} (asked for: {asked.get(name)!r})"
            for name in differing[:3]
        )
        raise InputError(
            f"'{out}' holds an unfinished run with {named}; give the same to go on with it, choose another folder with "
            "--out, or add --overwrite to replace it"
        )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, by dotted names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Keep other processes out of the folder of a run.

    Raises:
        InputError: another one is at work there, or it cannot be a folder.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"'{out}' is a file; choose another place with --out")
    prepare_folder(out)
    with ExitStack() as open_folder:
        try:
            open_folder.enter_context(hold_folder(out, WHOLE))
        except DataError as error:
            raise InputError(
                f"another quickstart is at work in '{out}'; wait until it ends, or choose another folder with --out"
            ) from error
        yield


def seconds_of(out: Path) -> Mapping[str, float]:
    """The seconds that each stage of the run in a folder has taken, in all its starts."""
    seconds: Mapping[str, float] = _state(out)["seconds"]
    return seconds


@contextmanager
def timed(out: Path, stage: str) -> Iterator[None]:
    """Add the seconds that a stage takes to those that earlier starts have spent on it."""
    began = time.monotonic()
    try:
        yield
    finally:
        state = _state(out)
        state["seconds"][stage] = state["seconds"].get(stage, 0.0) + time.monotonic() - began
        write_json(out / STATE, state)


def curves_from_log(path: Path) -> dict[str, Curve]:
    """What the report draws over the steps of a training log, the reward and its parts first.

    Args:
        path: a JSONL file with a ``step`` and any of `CURVES` and ``rewards/NAME/mean`` in each line; a missing one has
            no curves.

    Returns:
        By title, steps and values; None where a step has no value.
    """
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return curves_of([json.loads(line) for line in lines], CURVES)


def _evaluate(
    out: Path, name: str, model: str, title: str, settings: QuickstartSettings, tools: Tools
) -> tuple[Run, str]:
    """One evaluation on the held-out scenes, in the folder of its name, and the device that it ran on."""
    pipeline = tools.load(model)
    header = RunHeader(
        benchmark=tools.subject.benchmark,
        model=model,
        model_revision=reasoner_revision(model),
        segmenter=settings.segmenter,
        seed=settings.seed,
        data=tools.subject.data,
        answer_format=pipeline.answer_format.name,
        segmenter_revision=segmenter_revision(settings.segmenter),
        dtype=dtype_of(pipeline),
        device=device_kind(pipeline),
    )
    with ProgressBar(title) as bar:
        run = evaluate(pipeline, tools.samples, out / name, header, batch_size=tools.batch_size, progress=bar)
    return replace(run, name=name), device_of(pipeline)


def _train(out: Path, tools: Tools) -> Path:
    """The trained checkpoint, which appears whole or not at all."""
    checkpoint = out / CHECKPOINT
    if not checkpoint.is_dir():
        trained = tools.train(out / TRAINING)
        half = out / TRAINING / "copy"
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(trained, half)
        half.rename(checkpoint)
    return checkpoint


def _tell(out: Path, settings: QuickstartSettings, tools: Tools, runs: tuple[Run, Run], device: str) -> ReportContext:
    before, after = (run.report.metrics["giou"].value for run in runs)
    curves = curves_from_log(out / TRAINING / "log.jsonl")
    steps = max((steps[-1] for steps, _ in curves.values()), default=settings.steps or 0)
    small = "small " if is_pocket(settings.start) else ""
    return ReportContext(
        title=_title(f"{before:.3f}", f"{after:.3f}"),
        lead=(
            f"A {small}multimodal model before and after {counted(steps, 'step')} of GRPO with a segmenter inside the "
            f"reward, measured on {settings.scenes} {tools.subject.samples} {tools.subject.nature}."
        ),
        runs=runs,
        samples=tools.samples,
        measures=MEASURES,
        command=tools.command,
        curves=curves,
        machine=machine(device),
        seconds=_state(out)["seconds"],
        settings={"training steps": steps, tools.subject.samples: settings.scenes, **tools.subject.facts}
        | {"segmenter": settings.segmenter},
        seed=settings.seed,
    )


def _title(before: str, after: str) -> str:
    """The outcome in a line, by the digits that a reader sees."""
    if before == after:
        return f"Mean IoU stays at {after}"
    return f"Mean IoU {'up' if float(after) > float(before) else 'down'} from {before} to {after}"


def _state(out: Path) -> dict[str, Any]:
    """What the folder's state says: the settings, and the seconds of each stage."""
    path = out / STATE
    try:
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        sound = isinstance(state["settings"], dict) and all(
            isinstance(seconds, int | float) for seconds in state["seconds"].values()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(_damaged(path, f"{type(error).__name__}: {error}")) from error
    if not sound:
        raise InputError(_damaged(path, "its values are not those of a quickstart"))
    return state


def _damaged(path: Path, reason: str) -> str:
    return (
        f"'{path}', the state of the run, cannot be read ({reason}): choose another folder with --out, or add "
        "--overwrite to start again"
    )
