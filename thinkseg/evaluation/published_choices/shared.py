"""Choices that several of the authors have made alike."""

from thinkseg.evaluation.published_choices.choice import CHECKPOINT, PROTOCOL, READER, SAME, Choice


def square(side: int, ours: int, filter_name: str, jpeg: bool) -> tuple[Choice, ...]:
    """How an image reaches a model: stretched to a square, `ours` in training, by a filter of PIL."""
    stretched = f"{side} × {side}"
    return (
        Choice(
            "canvas",
            stretched,
            f"{ours} × {ours}, as in training",
            PROTOCOL if side != ours else CHECKPOINT,
            "canvas",
            side,
        ),
        Choice(
            "filter",
            filter_name,
            "bilinear, as in training",
            PROTOCOL if filter_name != "bilinear" else CHECKPOINT,
            "canvas_filter",
            filter_name,
        ),
        *(
            (Choice("before the model", "through a JPEG of quality 75", "as it is", PROTOCOL, "canvas_jpeg", True),)
            if jpeg
            else ()
        ),
        Choice(
            "frame of coordinates",
            "the square that is handed over",
            "the same",
            CHECKPOINT,
            "frame",
            "canvas",
        ),
    )


FIRST_QUERY = Choice("query of an image", "the first of its queries", "the same", SAME)
DATA = Choice("true mask", "polygons, the largest first, with their outlines", "the same", SAME)
SPLIT = Choice("short and long queries", "not told apart", "the same", SAME)
NUMBERS = Choice("numbers", "gIoU: mean IoU; cIoU: sum over sum", "the same, and more", SAME)

GO_ON = "go to the segmenter"


def reader_rows(theirs: str, ours: str, answer_format: str) -> tuple[Choice, ...]:
    """How a text is read, and what becomes of coordinates outside the image."""
    return (
        Choice(READER, theirs, ours, PROTOCOL, "format", answer_format),
        Choice("coordinates beyond the canvas", GO_ON, "are clipped", PROTOCOL, "format", answer_format),
    )


WEIGHTS = Choice("weights", "bfloat16", "as they are stored", "--dtype bfloat16")

EMPTY_ZERO = Choice("empty mask, empty target", "IoU 0", "IoU 1", PROTOCOL, "empty", 0.0)
FAILURE_ZERO = Choice("parse failure", "empty mask, counted", "the same", SAME)
