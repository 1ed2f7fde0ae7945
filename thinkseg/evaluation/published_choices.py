"""How published numbers were made: one row for each choice of an evaluation, with its authors' value and ours.

Read in the authors' repositories: Seg-R1 at ca1256f (July 2025), Seg-Zero at d327eb7 (March 2025), VisionReasoner at
a455092 (May 2025). ``scripts/write_published_page.py`` writes docs/published.md from this table, and ``thinkseg
evaluate --explain`` prints it for a run. A row that names a `key` is held against the code by a test: where the
protocol or the checkpoint's name gives the authors' value, they have it.
"""

from dataclasses import dataclass
from typing import Any

from thinkseg.evaluation.protocols import FOREGROUND, REASONING, REFERRING

PROTOCOL = "the protocol"
SAME = "the default"
CHECKPOINT = "the checkpoint's name"
SENTENCES = "thinkseg instruction"

READER = "reader of an answer"
"""The name of a row."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of an evaluation."""

    name: str
    theirs: str
    """The authors' value."""
    ours: str
    """What holds without a protocol, for a checkpoint that is known."""
    by: str
    """What gives the authors' value, or "nothing: " and why."""
    key: str = ""
    """The field of `Protocol` or of `CheckpointConfig` that holds it; empty for what has none."""
    value: Any = None
    """The authors' value of that field."""

    @property
    def reproduced(self) -> bool:
        """Whether something gives the authors' value."""
        return not self.by.startswith("nothing")


@dataclass(frozen=True, slots=True)
class Table:
    """The choices behind one kind of published table."""

    title: str
    checkpoints: tuple[str, ...]
    protocol: str
    tasks: tuple[str, ...]
    """Of the benchmarks that it is about."""
    choices: tuple[Choice, ...]


def _square(side: int, ours: int, filter_name: str, jpeg: bool) -> tuple[Choice, ...]:
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


_FIRST_QUERY = Choice("query of an image", "the first of its queries", "the same", SAME)
_DATA = Choice("true mask", "polygons, the largest first, with their outlines", "the same", SAME)
_SPLIT = Choice("short and long queries", "not told apart", "the same", SAME)
_NUMBERS = Choice("numbers", "gIoU: mean IoU; cIoU: sum over sum", "the same, and more", SAME)

_GO_ON = "go to the segmenter"


def _reader(theirs: str, ours: str, answer_format: str) -> tuple[Choice, ...]:
    return (
        Choice(READER, theirs, ours, PROTOCOL, "format", answer_format),
        Choice("coordinates beyond the canvas", _GO_ON, "are clipped", PROTOCOL, "format", answer_format),
    )


_WEIGHTS = Choice("weights", "bfloat16", "as they are stored", "--dtype bfloat16")

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
_EMPTY_ZERO = Choice("empty mask, empty target", "IoU 0", "IoU 1", PROTOCOL, "empty", 0.0)
_GRID = Choice(
    "from 1,024 to the model's 1,036",
    "PIL's bicubic filter",
    "torchvision's",
    "nothing: the processor of transformers does it",
)
_FAILURE_ZERO = Choice("parse failure", "empty mask, counted", "the same", SAME)


_LABELS = Choice(
    "labels above 1 and reversed boxes",
    _GO_ON,
    "are no answer; by the protocol 1, and put in order",
    "nothing: an answer has none of them",
)
_FIRST_TAGS = "the first points and labels, every closed box"


def _seg_r1(side: int, tokens: int, reads: str = _FIRST_TAGS) -> tuple[Choice, ...]:
    return (
        *_square(side, 768, "bicubic", jpeg=True),
        _SEG_R1_SENTENCES,
        _SEG_R1_DECODING,
        Choice("length limit", f"{tokens:,} tokens", "400, as in training", PROTOCOL, "max_new_tokens", tokens),
        _WEIGHTS,
        *_reader(reads, "tags alone, each in full", "seg-r1-published"),
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
    _FAILURE_ZERO,
    _EMPTY_ZERO,
    _NUMBERS,
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
    _DATA,
    _SPLIT,
    _CUT,
    _FAILURE_ZERO,
    _EMPTY_ZERO,
    _NUMBERS,
)


def _seg_zero(
    words: str, rounding: str, how_rounded: str, evaluated: int, trained: int, reader: tuple[Choice, ...]
) -> tuple[Choice, ...]:
    return (
        *_square(840, 840, "bilinear", jpeg=False),
        Choice(
            "whole pixels",
            f"coordinates rounded, {how_rounded}",
            "the same",
            CHECKPOINT,
            "whole_pixels",
            rounding,
        ),
        Choice("sentences", "theirs", "ours, until theirs are fetched", SENTENCES),
        Choice("query words", f"lower case, without {words} at the ends", "the same", CHECKPOINT, "stripped", words),
        Choice(
            "decoding",
            "greedy, penalty 1.05 of generation_config.json",
            "greedy, no penalty",
            PROTOCOL,
            "decoding",
            "penalised",
        ),
        Choice(
            "length limit",
            f"{evaluated:,} tokens",
            f"{trained:,}, as in training",
            PROTOCOL,
            "max_new_tokens",
            evaluated,
        ),
        _WEIGHTS,
        *reader,
        Choice("segmenter", "SAM 2 large", "the same", CHECKPOINT, "segmenter", "facebook/sam2-hiera-large"),
        Choice(
            "masks of an object",
            "the best of three, by SAM 2's score",
            "the same",
            CHECKPOINT,
            "masks",
            "best of three",
        ),
        Choice("image of the segmenter", "as it is", "the same", SAME),
        Choice("mask", "at the image's size, SAM 2's own cut", "the same", SAME),
        _FAILURE_ZERO,
    )


_JSON = "the answer tag behind the thinking"
_NEGATIVE = Choice(
    "negative coordinates and reversed boxes",
    _GO_ON,
    "are no answer; by the protocol 0, and put in order",
    "nothing: an answer has none of them",
)
_MOST = Choice("more than 120 objects", "all", "parse failure", "nothing: a text of a model has its limits")
_OBJECT = Choice("pixels to ignore", "are the object", "count neither way", PROTOCOL, "ignored", "object")
_PER_OBJECT = Choice(
    "unit",
    "one expression of each object, in rows of their own",
    "every expression",
    PROTOCOL + ", the first of each",
    "referring",
    "one per object",
)
_ZERO = (
    *_seg_zero(
        ".",
        "half even",
        "a half to the even number",
        1024,
        1300,
        _reader(
            "the first braces anywhere, numbers cut to whole ones; thinking is needed", _JSON, "seg-zero-published"
        ),
    ),
    _NEGATIVE,
    Choice("precision of the segmenter", "bfloat16 in products", "float32", "nothing: it costs nothing to be exact"),
)
_ONE_OBJECT = Choice("objects of an answer", "one, with two points", "the same", SAME)
_DROPPED = Choice("empty mask, empty target", "left out", "IoU 1", PROTOCOL, "empty", None)


def _vision_reasoner(reader: tuple[Choice, ...]) -> tuple[Choice, ...]:
    return (*_seg_zero('."?!', "half up", "a half upwards", 2048, 2000, reader), _NEGATIVE, _MOST)


_MASKS_OF_REASONER = _vision_reasoner(
    _reader("the first answer tag; without a point of one object no mask", _JSON, "vision-reasoner-published")
)
_BOXES_OF_REASONER = _vision_reasoner(
    _reader("the first answer tag; boxes need no points", _JSON, "vision-reasoner-boxes-published")
)
_NO_POINT = Choice(
    "boxes without a point of one object",
    "no mask, but a right box counts",
    "parse failure",
    "nothing: an answer that gives no mask has not been read",
)
_EACH_POINT = Choice("objects of an answer", "all, each with its point, added up", "the same", SAME)
_BOXES = Choice(
    "right box",
    "any, IoU above 0.5; since August 2025 also their hull",
    "the first, IoU at least 0.5",
    PROTOCOL,
    "measures",
    {"box_accuracy": ("any_box_accuracy", "any_box_or_hull_accuracy")},
)

SEG_R1 = ("geshang/Seg-R1-3B", "geshang/Seg-R1-7B")
SEG_ZERO = ("Ricky06662/Seg-Zero-7B",)
VISION_REASONER = ("Ricky06662/VisionReasoner-7B",)

TABLES: tuple[Table, ...] = (
    Table(
        "Seg-R1, foreground: COD10K, CAMO, DIS5K, DUTS and their like", SEG_R1, "seg-r1", FOREGROUND, _SEG_R1_FOREGROUND
    ),
    Table("Seg-R1, referring: RefCOCO, +, g", SEG_R1, "seg-r1", (REFERRING,), _SEG_R1_REFERRING),
    Table("Seg-R1, reasoning: ReasonSeg", SEG_R1, "seg-r1", (REASONING,), _SEG_R1_REASONING),
    Table(
        "Seg-Zero, referring: RefCOCO, +, g",
        SEG_ZERO,
        "seg-zero",
        (REFERRING,),
        (*_ZERO, _ONE_OBJECT, _PER_OBJECT, _DROPPED, _NUMBERS),
    ),
    Table(
        "Seg-Zero, reasoning: ReasonSeg",
        SEG_ZERO,
        "seg-zero",
        (REASONING,),
        (*_ZERO, _ONE_OBJECT, _FIRST_QUERY, _OBJECT, _DATA, _SPLIT, _DROPPED, _NUMBERS),
    ),
    Table(
        "VisionReasoner, referring: RefCOCO, +, g",
        VISION_REASONER,
        "vision-reasoner",
        (REFERRING,),
        (*_MASKS_OF_REASONER, _EACH_POINT, _NO_POINT, _PER_OBJECT, _EMPTY_ZERO, _BOXES, _NUMBERS),
    ),
    Table(
        "VisionReasoner, reasoning: ReasonSeg",
        VISION_REASONER,
        "vision-reasoner",
        (REASONING,),
        (*_MASKS_OF_REASONER, _EACH_POINT, _FIRST_QUERY, _OBJECT, _DATA, _SPLIT, _EMPTY_ZERO, _NUMBERS),
    ),
    Table(
        "VisionReasoner, detection: COCO",
        VISION_REASONER,
        "vision-reasoner",
        ("instances",),
        (
            *_BOXES_OF_REASONER,
            Choice("images", "of each category those that show one", "the same", SAME),
            Choice(
                "rank of a box",
                "its share of the image, in whole pixels",
                "none",
                PROTOCOL,
                "measures",
                {"ap": ("ap_by_area",)},
            ),
            Choice("numbers", "COCO's AP", "AP by another rank; precision and recall", PROTOCOL),
        ),
    ),
    Table(
        "VisionReasoner, counting: PixMo-Count, CountBench",
        VISION_REASONER,
        "vision-reasoner",
        ("counting",),
        (
            *_BOXES_OF_REASONER,
            Choice("count", "the number of boxes", "the number of objects, which is the same", SAME),
            Choice(
                "numbers",
                "share of right counts, MAE, RMSE",
                "the first two",
                "nothing: no measure of ours is the RMSE",
            ),
        ),
    ),
)
"""A table for each kind of benchmark that has published numbers of a checkpoint."""


def find_table(protocol: str, task: str, checkpoint: str = "") -> Table | None:
    """The table behind a run: its protocol's, or else that of its checkpoint; None where nothing was published.

    Args:
        protocol: by which it is scored.
        task: of its benchmark.
        checkpoint: its name, which decides where the protocol is nobody's.
    """
    fits = [table for table in TABLES if task in table.tasks]
    by_protocol = [table for table in fits if table.protocol == protocol]
    return next(iter(by_protocol or [table for table in fits if checkpoint in table.checkpoints]), None)
