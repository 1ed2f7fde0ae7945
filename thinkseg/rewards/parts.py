"""The parts of the reward by their names."""

from thinkseg.errors import RecipeError
from thinkseg.extension import resolve
from thinkseg.rewards import boxes, form, masks
from thinkseg.rewards.part import RewardPart, check_part

PARTS: dict[str, RewardPart] = {
    part.name: part
    for part in (
        masks.segment,
        masks.matched_masks,
        masks.points_inside,
        masks.presence,
        masks.point_count,
        form.format_kept,
        form.thinking_stands_first,
        form.answer_readable,
        form.non_repetition,
        boxes.box_iou,
        boxes.box_l1,
        boxes.points,
        boxes.point,
        boxes.accuracy,
        boxes.soft_box_iou,
        boxes.soft_box_l1,
        boxes.soft_points,
        boxes.soft_point,
        boxes.soft_accuracy,
    )
}
"""Those of the package, as recipes know them."""


def get_part(name: str) -> RewardPart:
    """The part of that name.

    Args:
        name: a key of `PARTS`, or one of your own: ``FILE.py:NAME`` or ``PACKAGE.MODULE:NAME``.

    Raises:
        RecipeError: there is no part of that name.
        InputError: one of your own breaks the contract.
    """
    return resolve(name, PARTS, "part of the reward", check_part, RecipeError)
