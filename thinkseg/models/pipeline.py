"""Reasoner, answer format and segmenter together: the one path from an image and a query to masks.

>>> pipeline = load_pipeline("pocket")                                    # doctest: +SKIP
>>> result = pipeline.segment("photo.jpg", "what could fly away")         # doctest: +SKIP

The reasoner writes a completion, the answer format reads it, the segmenter turns what it read into masks at the
image's size. Text that cannot be read is data: the prediction says so and has no mask of its own. There is exactly
one prediction per sample.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from thinkseg.answers import FORMATS, get_format
from thinkseg.answers.base import AnswerFormat
from thinkseg.answers.patterns import AnswerPattern
from thinkseg.arguments import COUNT, FLAG, FUNCTION, ITERABLE, TEXT, optional, takes
from thinkseg.errors import CheckpointError, InputError, MalformedAnswer
from thinkseg.imaging import shown_image
from thinkseg.inputs import ImageInput, check_sample, image_from_input
from thinkseg.models import loading
from thinkseg.models.base import Reasoner, Segmenter
from thinkseg.models.checkpoint_config import CONFIG_FILE, CheckpointConfig
from thinkseg.models.engines.engine import VLLM, Engine
from thinkseg.models.listening import Listener, complete
from thinkseg.models.prompting import prompted
from thinkseg.models.published.store import InstructionStore
from thinkseg.models.published.wording import Wording, wording_for
from thinkseg.results.result import IN_MEMORY, Result
from thinkseg.types import (
    Answer,
    Completion,
    Failure,
    FinishReason,
    Prediction,
    Request,
    Sample,
    Segmentation,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pipeline:
    """A reasoner, a segmenter, and the format in which the one tells the other where to look."""

    reasoner: Reasoner
    segmenter: Segmenter
    answer_format: AnswerFormat
    wording: Wording | None = None
    """How queries are put into words; None for the format's own sentences."""
    config: CheckpointConfig = field(default_factory=CheckpointConfig)
    """How its checkpoint is asked, as far as that is known."""
    asked_by: str = ""
    """The protocol by whose settings it is asked; empty for its own."""

    def asked_as(self, settings: CheckpointConfig, protocol: str = "") -> Pipeline:
        """The same models asked in another way, sharing their weights.

        Args:
            settings: what takes the place of its own, see `CheckpointConfig.asked_as`.
            protocol: whose settings these are.
        """
        config = self.config.asked_as(settings)
        reasoner, asked_as = self.reasoner, getattr(self.reasoner, "asked_as", None)
        if self.config.canvas is not None and asked_as is not None:
            reasoner = asked_as(config)
        segmenter = prompted(self.segmenter, config)
        return replace(self, reasoner=reasoner, segmenter=segmenter, config=config, asked_by=protocol)

    def read_by(self, name: str) -> Pipeline:
        """The same, asked in the same words, with completions read by another answer format.

        Args:
            name: of the format, in `thinkseg.answers.FORMATS`; the pipeline's own, or one of the user's own, stays.
        """
        own = self.answer_format
        if name == own.reader_name or FORMATS.get(own.name) is not type(own):
            return self
        return replace(self, answer_format=get_format(name), wording=self.wording or Wording(own))

    @takes(query=TEXT, allow_url=FLAG, listen=optional(FUNCTION))
    def segment(
        self,
        image: ImageInput,
        query: str,
        *,
        allow_url: bool = False,
        listen: Callable[[str], bool | None] | None = None,
    ) -> Result:
        """Answer one query about one image.

        >>> import thinkseg
        >>> from PIL import Image
        >>> pipeline = thinkseg.load("pocket", segmenter="grabcut")
        >>> result = pipeline.segment(Image.new("RGB", (64, 48), "white"), "the red fruit")
        >>> result.mask.shape  # height, width
        (48, 64)

        Args:
            image: a path, a PIL image, or an array of uint8: H×W×3 in RGB, H×W×4 in RGBA, or H×W in grey.
            query: what to look for, in words.
            allow_url: whether an image may also be an http(s) address, which is then fetched: at most 64 MB in 30
                seconds.
            listen: is called with all that the reasoner has written, each time that there is more, where it is one that
                tells (see `models.listening`), or else once; where it gives False, the reasoner writes no more.

        Returns:
            Masks, boxes and points in pixels of the image, the thinking, and what to make of them: see `Result`.

        Raises:
            ImageError: the image is missing, cannot be read, or is an address that is not allowed or cannot be fetched.
            InputError: the query is empty, or an argument is of the wrong kind.
        """
        if not query.strip():
            raise InputError("the query is empty: say in words what to look for")
        source = str(image) if isinstance(image, Path | str) else IN_MEMORY
        pixels = image_from_input(image, allow_url=allow_url)
        sample = Sample(id=Path(source).name, image=pixels, query=query)
        told = None if listen is None else lambda _number, text: listen(text)
        prediction = next(self.predict([sample], batch_size=1, listen=told))
        return Result(pixels, query, prediction, source)

    @takes(samples=ITERABLE, batch_size=COUNT, listen=optional(FUNCTION))
    def predict(
        self, samples: Iterable[Sample], batch_size: int = 8, *, listen: Listener | None = None
    ) -> Iterator[Prediction]:
        """One prediction per sample, in order, whatever the model writes.

        Args:
            samples: any number, read as they are needed.
            batch_size: how many of them the reasoner is handed at a time. Samples of a batch that share an image share
                its encoding, too.
            listen: is told what is written for a sample, by its number from 0, while it is written.

        Raises:
            ImageError: an image is missing or cannot be read.
            InputError: a query is empty.
        """
        remaining, start = iter(samples), 0
        while batch := list(islice(remaining, batch_size)):
            for sample in batch:
                check_sample(sample)
            yield from self._predict_batch(batch, None if listen is None else _counted_from(start, listen))
            start += len(batch)

    def _predict_batch(self, samples: Sequence[Sample], listen: Listener | None) -> list[Prediction]:
        keys = [_image_key(sample) for sample in samples]
        sources = {key: sample.image for key, sample in zip(keys, samples, strict=True)}
        images = {key: shown_image(source) for key, source in sources.items()}
        requests = [self.request(images[key], sample) for key, sample in zip(keys, samples, strict=True)]
        completions = complete(self.reasoner, requests, listen)
        read = [self.read(completion, images[key]) for completion, key in zip(completions, keys, strict=True)]

        segmented: dict[int, Segmentation] = {}
        for key, image in images.items():
            members = [i for i, own in enumerate(keys) if own == key]
            answers = [(i, answer) for i in members if isinstance(answer := read[i], Answer)]
            found = self.segmenter.segment(image, [answer for _, answer in answers])
            segmented.update(zip((i for i, _ in answers), found, strict=True))
        return [
            prediction_of(sample, completion, outcome, segmented.get(i), images[key])
            for i, (sample, completion, outcome, key) in enumerate(zip(samples, completions, read, keys, strict=True))
        ]

    def request(self, image: Image.Image, sample: Sample) -> Request:
        """What the reasoner is asked about a sample.

        Args:
            image: the sample's, RGB.
            sample: its query is asked.

        Raises:
            InputError: the query is empty.
        """
        if not sample.query.strip():
            raise InputError(f"the query of sample '{sample.id}' is empty: say in words what to look for")
        return Request(image, (self.wording or Wording(self.answer_format)).instruction(sample))

    def read(self, completion: Completion, image: Image.Image) -> Answer | MalformedAnswer:
        """The answer that a completion about an image gives, in the reasoner's frame, or why there is none."""
        if completion.failure:
            return MalformedAnswer(completion.failure)
        frame = self.reasoner.frame_of(image)
        if self.config.objects == "first with all points":
            return self.answer_format.try_parse(completion.text, frame, first=True)
        return self.answer_format.try_parse(completion.text, frame)


def _counted_from(start: int, listen: Listener) -> Listener:
    """A listener to a batch that hears numbers of samples from the first batch on."""
    return lambda number, text: listen(start + number, text)


def _image_key(sample: Sample) -> str | int:
    """Equal for samples that are about the same image."""
    return id(sample.image) if isinstance(sample.image, Image.Image) else str(sample.image)


def prediction_of(
    sample: Sample,
    completion: Completion,
    outcome: Answer | MalformedAnswer,
    found: Segmentation | None,
    image: Image.Image,
) -> Prediction:
    """What came of a sample.

    Args:
        sample: what was asked.
        completion: what the reasoner wrote.
        outcome: what was read in it.
        found: what the segmenter made of the answer; None where there is none.
        image: the sample's.
    """
    if isinstance(outcome, Answer) and found is not None:
        return Prediction(sample.id, completion, outcome, found.masks, scores=found.scores)
    failure = Failure.MALFORMED_ANSWER
    if completion.failure:
        failure = Failure.UNANSWERED
    elif completion.finish_reason is FinishReason.LENGTH:
        failure = Failure.TRUNCATED
    return Prediction(
        sample.id,
        completion,
        answer=None,
        masks=np.zeros((0, image.height, image.width), dtype=bool),
        failure=failure,
        failure_detail=str(outcome),
    )


def load_pipeline(
    model: str | Path = loading.POCKET,
    segmenter: str | Path | Segmenter | None = None,
    config: CheckpointConfig | None = None,
    *,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | None = None,
    store: InstructionStore | None = None,
    engine: Engine | None = None,
) -> Pipeline:
    """Load a pipeline.

    Args:
        model: ``"pocket"``, a checkpoint folder, or a hub id.
        segmenter: as in `load_segmenter`, or a segmenter; None for the one that `config` or the checkpoint names, or
            else the pocket's.
        config: how to ask the model. What it leaves open comes from the checkpoint's `thinkseg.json`, or from what is
            known about it (`resolve_config`).
        device: ``"auto"`` (a GPU if there is one), or a torch device; for both models.
        dtype: of the reasoner, as in `load_reasoner`.
        batch_size: prompts that the reasoner decodes together.
        store: where the sentences of published checkpoints are kept; the user's cache when None.
        engine: where the reasoner's text is written; by transformers, here, when None.

    Raises:
        CheckpointError: a model is missing or incomplete, or nothing says in which format it answers.
        DataError: the sentences that are kept are damaged.
        InputError: an impossible setting, or the pocket is asked for and not installed.
    """
    given = config or CheckpointConfig()
    if segmenter is not None:  # one that is loaded already takes the place of whichever the checkpoint names
        given = given.replaced(segmenter=str(segmenter) if isinstance(segmenter, str | Path) else loading.POCKET)
    engine = engine or Engine()
    config = engine.resolve(model, given)
    wording = _wording(model, config, store, given.sentences is not None)
    pattern = pattern_of(wording.answer_format) if engine.enforce_format else None

    # What is wrong with the call is known by now: only then the seconds are spent that it takes to load PyTorch.
    from thinkseg.models.engines.offline_vllm import load_offline_vllm
    from thinkseg.models.engines.served_reasoner import load_served_reasoner
    from thinkseg.models.reasoner_loading import load_reasoner
    from thinkseg.models.segmenter import load_segmenter

    if config.segmenter is None:
        _log.info("nothing says which segmenter '%s' was trained with, so the pocket's is used", model)
    reasoner: Reasoner
    if engine.address is not None:
        reasoner = load_served_reasoner(model, engine.source(model, given), config, engine, pattern)
    elif engine.name == VLLM:
        reasoner = load_offline_vllm(model, config, engine.options, pattern, device=device, dtype=dtype)
    else:
        filled = engine.transformers_options.tokens_per_pass
        reasoner = load_reasoner(
            model, config, device=device, dtype=dtype, batch_size=batch_size, tokens_per_pass=filled
        )
    if segmenter is None or isinstance(segmenter, str | Path):
        segmenter = load_segmenter(config.segmenter or loading.POCKET, device)
    return Pipeline(reasoner, prompted(segmenter, config), wording.answer_format, wording, config)


def pattern_of(answer_format: AnswerFormat) -> AnswerPattern:
    """What a format lets a model write, where it is to be enforced.

    Raises:
        InputError: it is one of the user's own that does not say so.
    """
    pattern = answer_format.pattern()
    if pattern is None:
        raise InputError(
            f"the answer format '{answer_format.name}' has no regular expression, so it cannot be enforced: give its "
            "class a method pattern() (thinkseg.answers.patterns), or leave out --enforce-format"
        )
    return pattern


def _wording(model: str | Path, config: CheckpointConfig, store: InstructionStore | None, required: bool) -> Wording:
    if config.format is None:
        raise CheckpointError(
            f"nothing says in which format '{model}' answers; name the format (seg-r1, seg-zero, …), or write it into "
            f"a {CONFIG_FILE} in the model's folder"
        )
    return wording_for(str(model), config, store, required=required)
