"""How the numbers of Seg-Zero, and of VisionReasoner, which goes on from its code, were made."""

from thinkseg.evaluation.protocols import REASONING, REFERRING
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
    FIRST_QUERY,
    GO_ON,
    NUMBERS,
    SPLIT,
    WEIGHTS,
    reader_rows,
    square,
)


def _seg_zero(
    words: str, rounding: str, how_rounded: str, evaluated: int, trained: int, reader: tuple[Choice, ...]
) -> tuple[Choice, ...]:
    return (
        *square(840, 840, "bilinear", jpeg=False),
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
        WEIGHTS,
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
        FAILURE_ZERO,
    )


_JSON = "the answer tag behind the thinking"
_NEGATIVE = Choice(
    "negative coordinates and reversed boxes",
    GO_ON,
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
        reader_rows(
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
    reader_rows("the first answer tag; without a point of one object no mask", _JSON, "vision-reasoner-published")
)
_BOXES_OF_REASONER = _vision_reasoner(
    reader_rows("the first answer tag; boxes need no points", _JSON, "vision-reasoner-boxes-published")
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

SEG_ZERO = ("Ricky06662/Seg-Zero-7B",)
VISION_REASONER = ("Ricky06662/VisionReasoner-7B",)

TABLES: tuple[Table, ...] = (
    Table(
        "Seg-Zero, referring: RefCOCO, +, g",
        SEG_ZERO,
        "seg-zero",
        (REFERRING,),
        (*_ZERO, _ONE_OBJECT, _PER_OBJECT, _DROPPED, NUMBERS),
    ),
    Table(
        "Seg-Zero, reasoning: ReasonSeg",
        SEG_ZERO,
        "seg-zero",
        (REASONING,),
        (*_ZERO, _ONE_OBJECT, FIRST_QUERY, _OBJECT, DATA, SPLIT, _DROPPED, NUMBERS),
    ),
    Table(
        "VisionReasoner, referring: RefCOCO, +, g",
        VISION_REASONER,
        "vision-reasoner",
        (REFERRING,),
        (*_MASKS_OF_REASONER, _EACH_POINT, _NO_POINT, _PER_OBJECT, EMPTY_ZERO, _BOXES, NUMBERS),
    ),
    Table(
        "VisionReasoner, reasoning: ReasonSeg",
        VISION_REASONER,
        "vision-reasoner",
        (REASONING,),
        (*_MASKS_OF_REASONER, _EACH_POINT, FIRST_QUERY, _OBJECT, DATA, SPLIT, EMPTY_ZERO, NUMBERS),
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
