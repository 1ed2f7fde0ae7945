"""What is to be evaluated, and how: everything that a caller says, in one value that can travel between processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from thinkseg.errors import InputError
from thinkseg.evaluation.benchmarks import (
    Benchmark,
    BenchmarkChoice,
    LoadOptions,
    benchmark_names,
    check_protocol,
    find_benchmark,
    load_benchmark,
)
from thinkseg.evaluation.explaining import ExplainedRun
from thinkseg.evaluation.measures.registry import get_measure
from thinkseg.evaluation.parallel.shards import Shard
from thinkseg.evaluation.protocols import reader_of, settings_of
from thinkseg.evaluation.provenance import (
    checkpoint_revision,
    code_digests,
    device_kind,
    dtype_of,
    instruction_of,
    segmenter_revision,
)
from thinkseg.evaluation.records import RunHeader
from thinkseg.evaluation.run import Predictor
from thinkseg.models.checkpoint_config import CheckpointConfig
from thinkseg.models.engines.engine import Engine
from thinkseg.models.pipeline import Pipeline, load_pipeline
from thinkseg.types import Sample


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """What answers: a checkpoint with its settings, or a pipeline that is loaded already."""

    checkpoint: str | Predictor = "pocket"
    config: CheckpointConfig = field(default_factory=CheckpointConfig)
    """What the caller overrules of the checkpoint's settings, its segmenter among it."""
    device: str = "auto"
    dtype: str = "auto"
    load: Callable[..., Any] = load_pipeline
    """Loads a checkpoint as `load_pipeline` does; a function of a module where there are several processes."""
    engine: Engine = field(default_factory=Engine)
    """Where its text is written."""

    @property
    def name(self) -> str:
        """What the model is called in reports."""
        return self.checkpoint if isinstance(self.checkpoint, str) else type(self.checkpoint).__name__

    def pipeline(self, batch_size: int) -> Predictor:
        """Load it, if it is not at hand."""
        if not isinstance(self.checkpoint, str):
            return self.checkpoint
        elsewhere = {} if self.engine == Engine() else {"engine": self.engine}
        predictor: Predictor = self.load(
            self.checkpoint,
            config=self.config,
            device=self.device,
            dtype=self.dtype,
            batch_size=batch_size,
            **elsewhere,
        )
        return predictor

    def asked(self) -> dict[str, Any]:
        """What is overruled, as JSON; the segmenter is told by itself."""
        said = {name: value for name, value in self.config.as_json().items() if name != "segmenter"}
        return said | self.engine.identity()

    def revision(self) -> str:
        """The digest of a named checkpoint; empty for a hub id, what a server alone has, and a pipeline."""
        if not isinstance(self.checkpoint, str):
            return ""
        return checkpoint_revision(self.engine.source(self.checkpoint, self.config) or "a server's own")


@dataclass(frozen=True, slots=True)
class LoadedBenchmark:
    """One benchmark of a plan, with its samples at hand."""

    benchmark: Benchmark
    samples: Sequence[Sample]
    out: Path | None
    """Its folder; None for a run that writes nothing."""
    name: str | None = None
    """The name or the reference that it was asked for by; None for one that was handed over."""


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """Benchmarks, a model, and where the results go."""

    benchmarks: Sequence[BenchmarkChoice]
    model: EvaluatedModel = field(default_factory=EvaluatedModel)
    out: Path | None = None
    """The folder of the results; with several benchmarks each has one of its name in there. None writes nothing."""
    options: LoadOptions = field(default_factory=LoadOptions)
    protocol: str = "default"
    batch_size: int = 16
    processes: int = 1
    """How many share the samples."""
    shard: Shard | None = None
    """The part that is done; None for all, or for what the launcher of this process says."""
    images: frozenset[str] = frozenset()
    """What is drawn of every sample: ``masks``, ``overlays``."""
    measures: tuple[str, ...] | None = None
    """What the reports have, by names or references; None for what each benchmark has."""
    progress: bool = True
    """Whether bars are drawn on stderr."""
    command: str = ""
    """What to type to get the same again."""

    def check(self) -> None:
        """Refuse what cannot work, before anything is loaded.

        Raises:
            InputError: the sentence says what.
        """
        if self.batch_size < 1:
            raise InputError(f"a batch has at least 1 sample, found {self.batch_size}")
        if self.processes < 1:
            raise InputError(f"--processes is at least 1, found {self.processes}")
        for name in self.measures or ():
            get_measure(name)
        if self.measures is not None and not 0 < len(set(self.measures)) == len(self.measures):
            raise InputError(f"'measures' should name at least one, and each once, found {list(self.measures)}")
        if self.processes > 1 and (self.shard is not None or Shard.of_environment() is not None):
            raise InputError(
                "--processes starts the parts by itself; leave out --shard, torchrun and accelerate launch"
            )
        named = isinstance(self.model.checkpoint, str) and all(isinstance(one, str) for one in self.benchmarks)
        if self.processes > 1 and not named:
            raise InputError(
                "several processes need a model and a benchmark by their names, or references to your own code: "
                "what is loaded already cannot travel to them"
            )
        if self.images and self.out is None:
            raise InputError("masks and overlays need a folder to be written to: give 'out'")

    @property
    def launched(self) -> Shard | None:
        """The part that torchrun or accelerate launch gives to this process; None outside of them.

        A run that writes nothing has no other processes to share with.
        """
        return Shard.of_environment() if self.shard is None and self.out is not None else None

    def load_benchmarks(self) -> list[LoadedBenchmark]:
        """Load the benchmarks, without the models.

        Raises:
            InputError: one is not there, or its data are not.
        """
        choices: dict[object, BenchmarkChoice] = {}
        for one in self.benchmarks:
            names = benchmark_names([one]) if isinstance(one, str) else [one]
            choices |= {name if isinstance(name, str) else id(name): name for name in names}
        loaded = []
        for one in choices.values():
            benchmark, samples = load_benchmark(one, self.options, self.protocol)
            if self.measures is not None:
                benchmark = replace(benchmark, measures=self.measures)
            out = self.out if self.out is None or len(choices) == 1 else self.out / benchmark.name
            loaded.append(LoadedBenchmark(benchmark, samples, out, one if isinstance(one, str) else None))
        names = sorted(one.benchmark.name for one in loaded)
        if len(set(names)) < len(names):
            raise InputError(f"several benchmarks have the same name, so that one would replace the other: {names}")
        return loaded

    def explained(self) -> list[ExplainedRun]:
        """How each benchmark would be asked and scored, from names alone: neither data nor models are looked for.

        Raises:
            InputError: a benchmark or a protocol does not exist, or a benchmark has not this protocol.
        """
        names = benchmark_names([one for one in self.benchmarks if isinstance(one, str)])
        found = [find_benchmark(one) for one in [*names, *(one for one in self.benchmarks if not isinstance(one, str))]]
        for benchmark in found:
            check_protocol(benchmark, self.protocol)
        model = self.model
        return [
            ExplainedRun(one.name, one.task, self.protocol, model.name, model.config, dtype=model.dtype)
            for one in found
        ]

    def asked(self, pipeline: Predictor, benchmark: Benchmark) -> Predictor:
        """The pipeline as the protocol asks models in a benchmark; what the caller says comes before that."""
        settings = settings_of(self.protocol, benchmark.task)
        if not settings or not isinstance(pipeline, Pipeline):
            return pipeline
        given = self.model.config
        asked = pipeline.asked_as(given.with_defaults(CheckpointConfig(**settings)), self.protocol)
        if given.format is not None:
            return asked
        return asked.read_by(reader_of(self.protocol, benchmark.task, asked.answer_format.reader_name))

    def header(self, loaded: LoadedBenchmark, pipeline: Predictor) -> RunHeader:
        """What is run, with digests of the checkpoint and of the user's own code, so that nothing is mixed."""
        config = self.model.config
        named = (loaded.name, *config.references().values(), *loaded.benchmark.measures)
        return RunHeader(
            benchmark=loaded.benchmark.name,
            model=self.model.name,
            model_revision=self.model.revision(),
            segmenter=config.segmenter or "the model's own",
            seed=self.options.seed,
            answer_format=pipeline.answer_format.reader_name if isinstance(pipeline, Pipeline) else "",
            protocol=self.protocol,
            data="" if self.options.root is None else str(self.options.root.resolve()),
            asked=self.model.asked() | self.options.asked(),
            code=code_digests(named),
            segmenter_revision=self._segmenter_revision(),
            dtype=dtype_of(pipeline),
            device=device_kind(pipeline),
            instruction=instruction_of(pipeline),
        )

    def _segmenter_revision(self) -> str:
        """The digest of the segmenter that a named model is used with, be it asked for or the model's own."""
        model = self.model.checkpoint
        if not isinstance(model, str):
            return ""
        return segmenter_revision(self.model.engine.resolve(model, self.model.config).segmenter)
