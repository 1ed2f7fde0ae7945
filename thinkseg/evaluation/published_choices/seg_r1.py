"""How Seg-R1's numbers were made."""

from thinkseg.evaluation.protocols import FOREGROUND, REASONING, REFERRING
from thinkseg.evaluation.published_choices.choice import (
    CHECKPOINT,
    PROTOCOL,
    SAME,
    SENTENCES,
    Choice,
    Table,
)
from thinkseg.evaluation.published_choices.shared import (
    DATA,
    EMPTY_ZERO,
    FAILURE_ZERO,
    GO_ON,
    NUMBERS,
    SPLIT,
    WEIGHTS,
    reader_rows,
    square,
)

_SEG_R1_SENTENCES = Choice("sentences", "theirs, with a system message", "ours, until theirs are fetched", SENTENCES)
_SEG_R1_DECODING = Choice(
    "decoding",
    "generation_config.json: sampled near temperature 0, penalty 1.05",
    "greedy, no penalty",
    PROTOCOL,
    "decoding",
    "sampled",
)
_SEG_R1_MASKS = (
    Choice("segmenter", "SAM 2.1 large", "the same", CHECKPOINT, "segmenter", "facebook/sam2.1-hiera-large"),
    Choice("masks of an object", "one", "the same", CHECKPOINT, "masks", "single"),
    Choice("colours", "red and blue swapped before SAM 2", "as they are", PROTOCOL, "segmenter_bgr", True),
)
_GRID = Choice(
    "from 1,024 to the model's 1,036",
    "PIL's bicubic filter",
    "torchvision's",
    "nothing: the processor of transformers does it",
)
_LABELS = Choice(
    "labels above 1 and reversed boxes",
    GO_ON,
    "are no answer; by the protocol 1, and put in order",
    "nothing: an answer has none of them",
)
_FIRST_TAGS = "the first points and labels, every closed box"


def _seg_r1(side: int, tokens: int, reads: str = _FIRST_TAGS) -> tuple[Choice, ...]:
    return (
        *square(side, 768, "bicubic", jpeg=True),
        _SEG_R1_SENTENCES,
        _SEG_R1_DECODING,
        Choice("length limit", f"{tokens:,} tokens", "400, as in training", PROTOCOL, "max_new_tokens", tokens),
        WEIGHTS,
        *reader_rows(reads, "tags alone, each in full", "seg-r1-published"),
        _LABELS,
        *_SEG_R1_MASKS,
        Choice(
            "image of the segmenter",
            f"stretched to {side} × {side}",
            "as it is",
            PROTOCOL,
            "segmenter_canvas",
            side,
        ),
    )


_CUT = Choice("mask", "stretched back bilinearly, above 128 of 255", "at the image's size", PROTOCOL)
_ALL_BOXES = Choice("objects of an answer", "all boxes, each with the points inside", "the same", SAME)

_SEG_R1_FOREGROUND = (
    *_seg_r1(768, 1024),
    _ALL_BOXES,
    Choice("query", "one request for all primary objects", "the same request in our words", SENTENCES),
    Choice(
        "mask",
        "stretched back bilinearly and kept as grey",
        "two values, at the image's size",
        "nothing: masks have two values; thinkseg metrics measures grey ones",
    ),
    Choice("grey maps", "stretched to the whole range for S, F, E, MAE", "the same", SAME),
    Choice("parse failure", "the previous image's mask", "empty mask, counted", "nothing: defect 4"),
    Choice("true mask", "above 128, at its own size", "above half of its range", SAME),
    Choice("numbers", "S, weighted F, F, E, MAE, MBA, boundary IoU, HCE", "the same", SAME),
)
_SEG_R1_REFERRING = (
    *_seg_r1(1024, 512),
    _GRID,
    _ALL_BOXES,
    Choice("query", "as annotated", "the same", SAME),
    Choice(
        "unit",
        "one expression of each image, drawn without a seed",
        "every expression",
        PROTOCOL + ", drawn by --seed",
        "referring",
        "one per image",
    ),
    _CUT,
    FAILURE_ZERO,
    EMPTY_ZERO,
    NUMBERS,
)
_SEG_R1_REASONING = (
    *_seg_r1(1024, 512, "the first points and labels, the first box, closed or not"),
    _GRID,
    Choice(
        "objects of an answer",
        "the first box, with all points",
        "all boxes, each with the points inside",
        PROTOCOL,
        "objects",
        "first with all points",
    ),
    Choice(
        "query words",
        "two templates: sentences as they are, phrases in lower case",
        "as they are",
        PROTOCOL + "; the templates: " + SENTENCES,
        "phrases_in_lower_case",
        True,
    ),
    Choice(
        "samples",
        "as many as there are, drawn with replacement, without a seed",
        "each once",
        PROTOCOL + ", drawn by --seed",
        "redraws",
        True,
    ),
    Choice("query of an image", "one of its queries, drawn", "the first", "nothing: a file of val and test has one"),
    Choice("pixels to ignore", "background", "count neither way", PROTOCOL, "ignored", "background"),
    DATA,
    SPLIT,
    _CUT,
    FAILURE_ZERO,
    EMPTY_ZERO,
    NUMBERS,
)

SEG_R1 = ("geshang/Seg-R1-3B", "geshang/Seg-R1-7B")

TABLES: tuple[Table, ...] = (
    Table(
        "Seg-R1, foreground: COD10K, CAMO, DIS5K, DUTS and their like", SEG_R1, "seg-r1", FOREGROUND, _SEG_R1_FOREGROUND
    ),
    Table("Seg-R1, referring: RefCOCO, +, g", SEG_R1, "seg-r1", (REFERRING,), _SEG_R1_REFERRING),
    Table("Seg-R1, reasoning: ReasonSeg", SEG_R1, "seg-r1", (REASONING,), _SEG_R1_REASONING),
)
