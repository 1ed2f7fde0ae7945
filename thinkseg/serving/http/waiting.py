"""The models of a service as a `Pipeline`, for those who wait in a thread, such as the page that it has at ``/``.

What it is asked goes into the batches of the service, between all other requests.

>>> batched_pipeline(service).segment("photo.jpg", "the red thing")       # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from thinkseg.models.listening import Listener
from thinkseg.models.pipeline import Pipeline
from thinkseg.serving.http.service import Service, ToComplete
from thinkseg.types import Answer, Completion, Request, Segmentation, Size


def batched_pipeline(service: Service) -> Pipeline:
    """The pipeline of a service, whose two models are asked through the batches of the service."""
    return replace(service.pipeline, reasoner=BatchedReasoner(service), segmenter=BatchedSegmenter(service))


@dataclass(frozen=True)
class BatchedReasoner:
    """The reasoner of a service; whoever listens is called in the service's thread.

    What the model raises is raised, and `batching.StalledError` where it hangs or the service has stopped.
    """

    service: Service

    def frame_of(self, image: Image.Image) -> Size:
        """That of the service's reasoner."""
        return self.service.pipeline.reasoner.frame_of(image)

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """One completion per request, in order."""
        return self.stream(requests, lambda number, text: True)

    def stream(self, requests: Sequence[Request], listen: Listener) -> list[Completion]:
        """The same, told while it is written."""
        asked = [
            self.service.submit(ToComplete(request, _Telling(number, listen)))
            for number, request in enumerate(requests)
        ]
        return [one.result()[0] for one in asked]


@dataclass(frozen=True)
class BatchedSegmenter:
    """The segmenter of a service; raises as `BatchedReasoner` does."""

    service: Service

    def segment(self, image: Image.Image, answers: Sequence[Answer]) -> list[Segmentation]:
        """The masks of answers about an image, one `Segmentation` an answer."""
        return self.service.submit_masks(image, answers).result()


@dataclass(frozen=True)
class _Telling:
    """Tells a listener of a batch about one of its requests."""

    number: int
    listen: Listener

    def wrote(self, text: str) -> bool | None:
        return self.listen(self.number, text)

    def read(self, answer: Answer) -> None:
        pass
