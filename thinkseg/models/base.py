"""The two models, as the rest of ThinkSeg sees them: the contracts for a reasoner and a segmenter of your own.

What differs between families of reasoners that transformers can load is said by a `thinkseg.models.families.Family`.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from PIL import Image

from thinkseg.types import Answer, Completion, Request, Segmentation, Size


@runtime_checkable
class Reasoner(Protocol):
    """A multimodal model that writes an answer about an image.

    One of your own is handed to `Pipeline`. A model that transformers can load needs less: a `Family` at most. A small
    one::

        from thinkseg.types import Completion, Size

        class Middle:
            '''Points at the middle of every image.'''

            def complete(self, requests):
                return [self.point_at(*request.image.size) for request in requests]

            def frame_of(self, image):
                return Size(*image.size)

            def point_at(self, width, height):
                point = f"[[{width // 2},{height // 2}]]"
                return Completion(f"<think>The middle.</think><points>{point}</points><labels>[1]</labels>")

    What it writes is read by the pipeline's answer format, here ``seg-r1-points``.
    """

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """One completion per request, in order."""
        ...

    def frame_of(self, image: Image.Image) -> Size:
        """The frame in which the model's text gives coordinates of this image (not the image's own size in general)."""
        ...


@runtime_checkable
class Segmenter(Protocol):
    """A promptable model that turns boxes and points into masks.

    One of your own is a class, or a function, that is called with the name of the torch device (``"cpu"``, ``"cuda"``)
    and gives an object with the method below. Name it wherever a segmenter is named, as ``my_segmenter.py:Boxes``: with
    ``--segmenter``, in `thinkseg.load` or `load_segmenter`, as ``segmenter`` of a recipe. A small one::

        import numpy as np

        from thinkseg.types import Segmentation, Size

        class Boxes:
            '''Fills the box of each object, or the whole image where there is none.'''

            def __init__(self, device):
                self.device = device

            def segment(self, image, answers):
                size = Size(*image.size)
                return [Segmentation(self.fill(answer.rescaled(size))) for answer in answers]

            def fill(self, answer):
                masks = np.zeros((len(answer.objects), answer.frame.height, answer.frame.width), dtype=bool)
                for mask, prompt in zip(masks, answer.objects):
                    if prompt.box is None:
                        mask[:] = True
                    else:
                        left, top, right, bottom = (round(value) for value in prompt.box.xyxy)
                        mask[top:bottom, left:right] = True
                return masks

    It is tried out on a small image when it is loaded, and refused with a sentence where it breaks the contract.
    """

    def segment(self, image: Image.Image, answers: Sequence[Answer]) -> list[Segmentation]:
        """The masks of several answers about one image, which is encoded once.

        Args:
            image: RGB, any size.
            answers: each in any frame; they are rescaled to the image here. There may be none, and one may have no
                objects. An object has a box, points, or both; each point has a label, 1 on the object or 0 beside it.

        Returns:
            For each answer its masks, a boolean array (objects, height, width) at the image's size, objects in the
            answer's order; with the segmenter's own estimate of each mask's IoU, if it has one.
        """
        ...


@runtime_checkable
class ManyImagesSegmenter(Segmenter, Protocol):
    """A `Segmenter` that works faster on several images together; a step of training hands it all of its own.

    A class that changes the masks of one of the two methods changes those of the other: the trial refuses one whose
    masks differ.
    """

    def segment_images(self, asked: Sequence[tuple[Image.Image, Sequence[Answer]]]) -> list[list[Segmentation]]:
        """For each image what `segment` gives for it and the answers about it."""
        ...


def segment_images(
    segmenter: Segmenter, asked: Sequence[tuple[Image.Image, Sequence[Answer]]]
) -> list[list[Segmentation]]:
    """The masks of answers about several images: together where the segmenter can, or else image by image.

    Args:
        segmenter: any.
        asked: images, RGB of any sizes, each with the answers about it.

    Returns:
        For each image one `Segmentation` an answer, as `Segmenter.segment` gives them.
    """
    if isinstance(segmenter, ManyImagesSegmenter):
        return segmenter.segment_images(asked)
    return [segmenter.segment(image, answers) for image, answers in asked]
