"""What is to be labelled, by what and where to: all that a caller says, in one value that travels between processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from thinkseg.errors import InputError
from thinkseg.evaluation.job import ENCODINGS
from thinkseg.evaluation.parallel.shards import WHOLE, Shard
from thinkseg.evaluation.plan import EvaluatedModel
from thinkseg.evaluation.run import Predictor
from thinkseg.models.pipeline import Pipeline
from thinkseg.models.prompting import remembering
from thinkseg.serving.labelling.sources import LabelSource

LOCAL, RAY = "local", "ray"
ENGINES = (LOCAL, RAY)


@dataclass(frozen=True, slots=True)
class LabelPlan:
    """A labelling."""

    source: LabelSource
    model: EvaluatedModel
    out: Path
    identity: Mapping[str, Any] = field(default_factory=dict)
    """By which the models are told apart; empty for a pipeline in memory."""
    engine: str = LOCAL
    processes: int | None = None
    """How many work at once, actors on Ray; None for one a card."""
    shard: Shard = WHOLE
    """The part of the blocks that is done."""
    batch_size: int = 8
    """Rows that the model gets at a time."""
    rows_per_file: int | None = None
    """None for what suits the input."""
    address: str | None = None
    """Of a Ray cluster; None for that of the environment, or for one on this machine."""
    progress: bool = True
    """Whether it is shown on stderr how far it is."""

    def check(self) -> None:
        """Refuse what cannot work, before anything is read.

        Raises:
            InputError: the sentence says what.
        """
        if self.engine not in ENGINES:
            raise InputError(f"an engine is {' or '.join(ENGINES)}, found '{self.engine}'")
        for name, value in (("a batch", self.batch_size), ("--rows-per-file", self.rows_per_file)):
            if value is not None and value < 1:
                raise InputError(f"{name} is at least 1 row, found {value}")
        if self.processes is not None and self.processes < 1:
            raise InputError(f"--processes is at least 1, found {self.processes}")
        if not isinstance(self.model.checkpoint, str) and ((self.processes or 1) > 1 or self.engine == RAY):
            raise InputError("several processes need a model by its name: a pipeline in memory cannot travel to them")
        if self.engine == RAY and self.shard != WHOLE:
            raise InputError("leave out --shard: Ray shares the rows out by itself")
        if self.engine != RAY and self.address is not None:
            raise InputError("an address is that of a Ray cluster: say --engine ray, too")

    def pipeline(self) -> Predictor:
        """The models, loaded. The segmenter keeps encodings from batch to batch and decodes answer by answer, so that a
        mask does not depend on which rows came in one batch.
        """
        pipeline = self.model.pipeline(self.batch_size)
        if not isinstance(pipeline, Pipeline):
            return pipeline
        return replace(pipeline, segmenter=remembering(pipeline.segmenter, ENCODINGS))
