"""What a model that is trained is shown and asked about a sample, and the frame of its answer; without weights."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image

from thinkseg.errors import CheckpointError, DataError
from thinkseg.models.published.wording import Wording
from thinkseg.models.reasoner import ANSWER_TAGS, TransformersReasoner
from thinkseg.models.resizing import ImageResizer
from thinkseg.types import Request, Sample, Size

_OPENED_THINKING = re.compile(r"<think>\s*$")


class Asker:
    """From a sample to what the model is shown and asked.

    Args:
        reasoner: the model, or the same without weights, for its frames and its processor.
        wording: how queries are put into words.
    """

    def __init__(self, reasoner: TransformersReasoner, wording: Wording) -> None:
        self._reasoner = reasoner
        self._wording = wording
        self._eye = ImageResizer(reasoner)
        tokenizer = reasoner.processor.tokenizer
        self._control = [entry.content for entry in tokenizer.added_tokens_decoder.values() if entry.special]

    def __call__(self, sample: Sample, image: Image.Image) -> tuple[Request, Size]:
        """The image at the size that the processor makes of it with the sentences, and the frame of the answer.

        Args:
            sample: what is asked about.
            image: its image, as it is.

        Raises:
            DataError: the query is empty, or holds a control token of the model.
            ImageError: the image has a shape that the processor refuses.
        """
        if not sample.query.strip():
            raise DataError(f"the query of sample '{sample.id}' is empty: say in words what to look for")
        for token in self._control:
            if token in sample.query:
                raise DataError(f"the query of sample '{sample.id}' contains {token!r}, a control token of this model")
        frame = self._reasoner.frame_of(image)
        return Request(self._eye.resize(image), self._wording.instruction(sample)), frame


def check_text(reasoner: TransformersReasoner, wording: Wording) -> None:
    """Refuse models whose text a trainer would not hand to the rewards as it is.

    Raises:
        CheckpointError: what their completions would lack.
    """
    processor = reasoner.processor
    tags = {form.format(tag) for tag in ANSWER_TAGS for form in ("<{}>", "</{}>")}
    lost = sorted(tags.intersection(processor.tokenizer.all_special_tokens))
    if lost:
        raise CheckpointError(
            f"the model's tokenizer has {lost[0]} as a special token, which is removed from completions before they "
            "are scored; make it an ordinary token"
        )
    prompt = reasoner.prompt(wording.instruction(Sample("x", Path("x"), "x")))
    if _OPENED_THINKING.search(prompt):
        raise CheckpointError(
            "the model's chat template opens <think> itself, so that its completions would lack it; use the variant of "
            "the model that does not, or another chat template"
        )
