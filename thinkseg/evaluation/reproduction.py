"""Makes a published number again: what it needs, whether that is here, the run, and both numbers side by side.

::

    PublishedNumbers ─▶ needs ─▶ EvaluationPlan ─▶ Run ─▶ published | found, its interval
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from thinkseg.data.discovery.catalog import benchmark_splits
from thinkseg.errors import InputError
from thinkseg.evaluation.benchmarks import BENCHMARKS, LoadOptions, load_benchmark
from thinkseg.evaluation.comparison.intervals import ENOUGH, interval_of
from thinkseg.evaluation.job import run_plan
from thinkseg.evaluation.plan import EvaluatedModel, EvaluationPlan
from thinkseg.evaluation.protocols import reader_of, settings_of
from thinkseg.evaluation.published_numbers import PublishedNumbers
from thinkseg.evaluation.record_file import write_json
from thinkseg.evaluation.run import Run
from thinkseg.models import loading
from thinkseg.models.checkpoint_config import CONFIG_FILE, KNOWN, CheckpointConfig
from thinkseg.models.published.store import InstructionStore
from thinkseg.models.published.wording import published_sentences

NAME = "reproduction.json"

BILLIONS: Mapping[str, float] = {"geshang/Seg-R1-3B": 3.75, "": 0.217} | dict.fromkeys(
    ("geshang/Seg-R1-7B", "Ricky06662/Seg-Zero-7B", "Ricky06662/VisionReasoner-7B"), 8.29
)
"""Weights by hub id, as docs/memory.md counts them (Qwen2.5-VL-3B and -7B); the empty id is SAM 2 large."""

KV_BYTES = 2 * 28 * 4 * 128 * 2
"""What a token keeps in Qwen2.5-VL-7B: 2 × layers × heads for keys and values × their size × 2 bytes."""

TOKENS_OF_TEXT = 300
"""Of a prompt besides its image, as in docs/memory.md."""


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that a run needs."""

    what: str
    detail: str
    missing: str = ""
    """Why it is not here, and how to get it; empty where it is, or where that is not for us to say."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What is to be made again, and how."""

    published: PublishedNumbers
    model: str | None = None
    """What is run in place of the published checkpoint; None for that one."""
    options: LoadOptions = field(default_factory=LoadOptions)
    out: Path | None = None
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int = 16
    processes: int = 1
    store: InstructionStore = field(default_factory=InstructionStore)
    is_cached: Callable[[str], bool] = field(default_factory=lambda: _is_cached)
    """Whether a hub id's files are on this machine."""

    @property
    def protocol(self) -> str:
        """By whose rules it is made: the published ones where the benchmark has them."""
        wanted = self.published.protocol
        return wanted if wanted in BENCHMARKS[self.published.benchmark].protocols else "default"

    @property
    def config(self) -> CheckpointConfig:
        """How the model is asked: as the published checkpoint is by the protocol, unless its folder says how."""
        known = KNOWN.get(self.published.checkpoint)
        if self.model is None or self._describes_itself or known is None:
            return CheckpointConfig()
        task = BENCHMARKS[self.published.benchmark].task
        read = reader_of(self.protocol, task, known.format or "")
        return known.replaced(**settings_of(self.protocol, task), format=read)

    @property
    def _describes_itself(self) -> bool:
        if self.model is None:
            return False
        return loading.is_pocket(self.model) or (Path(self.model).expanduser() / CONFIG_FILE).is_file()

    @property
    def _known(self) -> CheckpointConfig | None:
        """What is known of the published checkpoint, where the model is asked like it."""
        return None if self._describes_itself else KNOWN.get(self.published.checkpoint)

    def needs(self) -> list[Need]:
        """What it needs, and what of that is missing."""
        return [*self._weights(), *self._sentences(), self._data(), self._memory(), self._time()]

    def _weights(self) -> list[Need]:
        if self.model is not None:
            return [Need("model", f"{self.model}, in place of {self.published.checkpoint or 'the published one'}")]
        checkpoint = self.published.checkpoint
        if not checkpoint:
            return [Need("model", self.published.system, "its checkpoint is not known to be published: say --model")]
        segmenter = KNOWN[checkpoint].segmenter or ""
        sizes = {checkpoint: 2 * BILLIONS[checkpoint], segmenter: 4 * BILLIONS[""]}
        return [
            Need(
                "weights",
                f"{hub_id}, {size:.1f} GB",
                "" if self.is_cached(hub_id) else f"not in the hub's cache: hf download {hub_id}",
            )
            for hub_id, size in sizes.items()
        ]

    def _sentences(self) -> list[Need]:
        name = None if self._known is None else self._known.sentences
        if name is None:
            return []
        here = published_sentences(name, self.store) is not None
        return [Need("instruction", name, "" if here else f"not fetched: thinkseg instruction {name}")]

    def _data(self) -> Need:
        benchmark = BENCHMARKS[self.published.benchmark]
        source = next((data_set.source for name, data_set, _ in benchmark_splits() if name == benchmark.name), "")
        detail = f"{benchmark.summary}, {benchmark.expected_count or 'some'} samples; from {source}"
        if self.options.root is None:
            return Need("data", detail, "say --data, the folder that the data sets lie below")
        try:
            load_benchmark(benchmark.name, self.options, self.protocol)
        except InputError as error:
            return Need("data", detail, str(error))
        return Need("data", detail)

    def _memory(self) -> Need:
        """Weights in bfloat16, the segmenter in float32 and the keys and values of 8 answers decoded together."""
        known = self._known
        if known is None or self.published.checkpoint not in BILLIONS:
            return Need("GPU memory", "that of the model that is run")
        asked = known.replaced(**settings_of(self.protocol, BENCHMARKS[self.published.benchmark].task))
        tokens = ((asked.canvas or 0) // 28) ** 2 + TOKENS_OF_TEXT + (asked.max_new_tokens or 0)
        weights = 2 * BILLIONS[self.published.checkpoint] + 4 * BILLIONS[""]
        together = weights + 8 * tokens * KV_BYTES / 1e9
        return Need("GPU memory", f"about {together:.1f} GB by arithmetic (docs/memory.md), not measured")

    def _time(self) -> Need:
        return Need("hours", "not measured on a GPU; a run says at its end how long the whole would take")

    def run(self, load: Callable[..., Any] | None = None, command: str = "", progress: bool = True) -> Reproduced:
        """Evaluate and compare; `load` takes the place of what loads the models.

        Raises:
            InputError: something is missing that it needs.
        """
        missing = [need for need in self.needs() if need.missing]
        if missing:
            told = "; ".join(f"{need.what} ({need.detail.partition(';')[0]}): {need.missing}" for need in missing)
            raise InputError(f"'{self.published.name}' cannot be made again yet: {told}")
        model = EvaluatedModel(self.model or self.published.checkpoint, self.config, self.device, self.dtype)
        plan = EvaluationPlan(
            benchmarks=[self.published.benchmark],
            model=model if load is None else replace(model, load=load),
            out=self.out,
            options=self.options,
            protocol=self.protocol,
            batch_size=self.batch_size,
            processes=self.processes,
            progress=progress,
            command=command,
        )
        (evaluated,) = run_plan(plan)
        seconds = None if evaluated.report is None else evaluated.report["seconds"]["evaluate"]
        outcome = Reproduced(
            self.published, evaluated.run, self._rows(evaluated.run), self._notes(evaluated.run, seconds)
        )
        if self.out is not None:
            write_json(self.out / NAME, outcome.to_json())
        return outcome

    def _rows(self, run: Run) -> list[Row]:
        intervals = interval_of(list(self.published.values), run.records, seed=self.options.seed)
        rows = []
        for name, value in self.published.values.items():
            found = run.metrics.get(name)
            low, high = intervals.get(name, (None, None))
            rows.append(
                Row(name, value, None if found is None else found.value, low, high, len(run.records),
                    self.published.half_unit)
            )  # fmt: skip
        return rows

    def _notes(self, run: Run, seconds: float | None) -> list[str]:
        published, notes = self.published, []
        if self.model is not None:
            notes.append(f"not the published checkpoint: {self.model} was run in place of {published.system}")
        whole = BENCHMARKS[published.benchmark].expected_count
        if self.options.limit is not None:
            notes.append(f"not the whole benchmark: {len(run.records)} samples of {whole or 'all'}, its first ones")
        if self.protocol != published.protocol:
            notes.append(f"by the default protocol: {published.benchmark} has none of the name {published.protocol}")
        if not run.header.instruction:
            notes.append("asked in other sentences than the authors'")
        if seconds and whole and run.records:
            notes.append(
                f"{len(run.records)} samples took {seconds:.0f} s with loading: about "
                f"{seconds * whole / len(run.records) / 3600:.1f} hours for {whole} at this rate"
            )
        return notes


@dataclass(frozen=True, slots=True)
class Row:
    """A published value beside the one that was found."""

    measure: str
    published: float
    found: float | None
    """None where the measure has nothing to say about the samples."""
    low: float | None
    """Of the 95 % interval of what was found; None where there is none."""
    high: float | None
    samples: int
    half_unit: float = 0.0

    @property
    def verdict(self) -> str:
        """Whether the published value, as it is rounded, lies in the interval."""
        if self.low is None or self.high is None or self.samples < ENOUGH:
            return "too few samples to tell"
        inside = self.low - self.half_unit <= self.published <= self.high + self.half_unit
        return "lies in the interval" if inside else "lies outside the interval"


@dataclass(frozen=True, slots=True)
class Reproduced:
    """What came of it."""

    published: PublishedNumbers
    run: Run
    rows: list[Row]
    notes: list[str]
    """What keeps the two numbers from being of the same thing, and how long it took."""

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "name": self.published.name,
            "system": self.published.system,
            "source": self.published.source,
            "model": self.run.header.model,
            "benchmark": self.run.header.benchmark,
            "protocol": self.run.header.protocol,
            "instruction": self.run.header.instruction,
            "rows": [
                {"measure": row.measure, "published": row.published, "found": row.found, "low": row.low,
                 "high": row.high, "samples": row.samples, "verdict": row.verdict}
                for row in self.rows
            ],
            "notes": self.notes,
        }  # fmt: skip


def _is_cached(hub_id: str) -> bool:
    """Whether a hub id's config is on this machine: below the current folder, or in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache

    return (Path(hub_id) / "config.json").is_file() or isinstance(try_to_load_from_cache(hub_id, "config.json"), str)
