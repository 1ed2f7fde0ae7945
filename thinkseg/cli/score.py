"""``thinkseg score``: the rewards of completions in a file, part by part, without a reasoner."""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkseg.errors import DataError, RecipeError

if TYPE_CHECKING:
    from thinkseg.rewards import Rubric, Truth
    from thinkseg.types import Masks, Size

EXAMPLE = """\
Each line of the file is a JSON object with 'completion' and, for the parts that need the truth, 'frame' ([width,
height] of the pixels that coordinates count) with 'box' and 'points', or 'objects', or 'mask' or 'masks' (one per
object) and 'image'. Masks and images are paths from the file's folder; one of 'masks' may be run lengths, too. Where
nothing is there, 'objects' or 'masks' is []. One line of JSON comes out for each: 'id', 'parts', 'total', and
'malformed' with the reason why an answer could not be read, or null. A part is null where its truth, or the segmenter
that it needs, is not given.

example: thinkseg score completions.jsonl --format vision-reasoner
         thinkseg score completions.jsonl --recipe seg-r1 --segmenter pocket"""

BATCH = 256
"""Lines that are scored together."""

NO_FRAME = 1_000_000
"""Side of the frame of a line that names none: large enough that nothing is clipped."""


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """One line of the file, read."""

    id: object
    completion: str
    frame: "Size"
    truth: "Truth"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of ``thinkseg score``."""
    parser.add_argument("completions", metavar="COMPLETIONS.jsonl", help="file of completions, or - for standard input")
    parser.add_argument(
        "--format",
        help="answer format: seg-r1, seg-r1-points, seg-zero, seg-zero-soft, vision-reasoner, or FILE.py:NAME of yours",
    )
    parser.add_argument(
        "--recipe",
        help="rewards: seg-r1, seg-r1-prerl, seg-zero, seg-zero-soft, vision-reasoner, or a recipe file with "
        "'rewards: {name: weight}' (default: the published ones of the format)",
    )
    parser.add_argument(
        "--segmenter", help="for parts that need masks: pocket, grabcut, a folder, a hub id or FILE.py:NAME"
    )


def run(args: argparse.Namespace) -> int:
    """Score the lines and print them."""
    rubric = create_rubric(args.format, args.recipe, args.segmenter)
    if args.completions == "-":
        _print_scores(rubric, read_lines(sys.stdin, "standard input", Path()))
        return 0
    path = Path(args.completions)
    try:
        file = path.open(encoding="utf-8")
    except OSError as error:
        raise DataError(f"expected a file of completions at '{path}', found none that can be read") from error
    with file:
        _print_scores(rubric, read_lines(file, f"'{path}'", path.parent))
    return 0


def create_rubric(format_name: str | None, recipe: str | None, segmenter: str | None = None) -> "Rubric":
    """The rubric of a format and a recipe.

    Args:
        format_name: an answer format; None for the recipe's.
        recipe: the name of published rewards or the path of a YAML file; None for the published ones of the format. It
            may be more exact about the format than `format_name` (seg-r1-points for seg-r1), but not contradict it.
        segmenter: what `load_segmenter` takes, or None.

    Raises:
        InputError: a name or file is not there, or format and recipe contradict each other.
    """
    from thinkseg.answers import get_format
    from thinkseg.rewards import PUBLISHED, Rubric, published_rewards

    if format_name is None and recipe is None:
        raise RecipeError("name the answer format with --format, or a recipe that has one with --recipe")
    if format_name is not None:
        get_format(format_name)
    if recipe is None:
        recipe_format, weights = format_name, published_rewards(str(format_name)).weights
        tolerant = False
    elif recipe in PUBLISHED:
        recipe_format, weights, tolerant = PUBLISHED[recipe].format, PUBLISHED[recipe].weights, False
    else:
        recipe_format, weights, tolerant = _read_recipe(Path(recipe))
    if recipe_format is not None and format_name is not None and not recipe_format.startswith(format_name):
        raise RecipeError(
            f"--format says '{format_name}' and the recipe '{recipe}' says '{recipe_format}': leave one out"
        )
    name = recipe_format or format_name
    if name is None:
        raise RecipeError(f"the recipe '{recipe}' does not name the answer format: add --format")
    if segmenter is None:
        return Rubric(get_format(name, tolerant=tolerant), weights)
    from thinkseg.models.segmenter import load_segmenter

    return Rubric(get_format(name, tolerant=tolerant), weights, load_segmenter(segmenter))


def read_lines(lines: Iterator[str], name: str, folder: Path) -> Iterator[ScoreLine]:
    """The completions in a file, one a line; blank lines are passed over.

    Args:
        lines: of JSON.
        name: of the file, for messages.
        folder: from which paths in it are taken.

    Raises:
        DataError: a line is not a JSON object with a completion, or its truth is not as it should be.
    """
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        where = f"line {number} of {name}"
        try:
            record = json.loads(text)
        except ValueError as error:
            raise DataError(f"{where} is not JSON: {error}") from error
        if not isinstance(record, dict) or not isinstance(record.get("completion"), str):
            raise DataError(f"{where} should be a JSON object with the text 'completion'")
        try:
            yield _line_of(record, number, folder)
        except DataError as error:
            raise DataError(f"{where}: {error}") from error


def _line_of(record: Mapping[str, Any], number: int, folder: Path) -> ScoreLine:
    from thinkseg.imaging import load_image, load_mask
    from thinkseg.rewards import Truth, objects_from_record
    from thinkseg.types import Size

    mask, masks, image, frame = (record.get(name) for name in ("mask", "masks", "image", "frame"))
    has_masks = mask is not None or masks is not None
    if has_masks and frame is None:
        raise DataError("a 'mask' needs 'frame', the [width, height] of the pixels that coordinates count")
    try:
        size = Size(*frame) if frame is not None else Size(NO_FRAME, NO_FRAME)
    except (TypeError, ValueError) as error:
        raise DataError(f"'frame' should be [width, height], found {frame}") from error
    pixels = load_image(folder / image) if has_masks and image is not None else None
    truth = Truth(
        mask=load_mask(folder / mask) if mask is not None else None,
        instances=None if masks is None else _load_masks(masks, folder, Size(*pixels.size) if pixels else size),
        objects=objects_from_record(record),
        image=pixels,
    )
    return ScoreLine(record.get("id", number), record["completion"], size, truth)


def _load_masks(sources: Any, folder: Path, size: "Size") -> "Masks":
    """The masks of several objects, files or run lengths; `size` is what no masks at all are of."""
    import numpy as np

    from thinkseg.imaging import load_mask, mask_from_rle

    if not isinstance(sources, list) or not all(isinstance(source, str | dict) for source in sources):
        raise DataError(f"'masks' should be a list of files or of run lengths, found {sources!r}")
    try:
        masks = [load_mask(folder / source) if isinstance(source, str) else mask_from_rle(source) for source in sources]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"one of 'masks' is neither a file nor run lengths with 'size' and 'counts' ({error})"
        ) from error
    if any(mask.shape != masks[0].shape for mask in masks):
        raise DataError("the 'masks' of a line should all have the size of its image, found different sizes")
    return np.stack(masks) if masks else np.zeros((0, *size.hw), dtype=bool)


def _read_recipe(path: Path) -> tuple[str | None, dict[str, float], bool]:
    """Format, weights and tolerance of a recipe file; its other keys belong to training."""
    import yaml

    from thinkseg.rewards import PUBLISHED

    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(PUBLISHED)
        raise RecipeError(f"there is no recipe file '{path}', and the recipes with a name are {known}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"the recipe '{path}' is not YAML: {' '.join(str(error).split())}") from error
    rewards = recipe.get("rewards") if isinstance(recipe, dict) else None
    if not isinstance(rewards, dict) or not all(isinstance(weight, int | float) for weight in rewards.values()):
        raise RecipeError(f"the recipe '{path}' needs 'rewards', a weight by the name of each part")
    weights = {str(name): float(weight) for name, weight in rewards.items()}
    return recipe.get("format"), weights, bool(recipe.get("tolerant", False))


def _print_scores(rubric: "Rubric", lines: Iterator[ScoreLine]) -> None:
    batch: list[ScoreLine] = []
    for line in lines:
        batch.append(line)
        if len(batch) == BATCH:
            _print_batch(rubric, batch)
            batch = []
    _print_batch(rubric, batch)


def _print_batch(rubric: "Rubric", batch: list[ScoreLine]) -> None:
    cases = rubric.read(
        [line.completion for line in batch], [line.truth for line in batch], [line.frame for line in batch]
    )
    for line, case, reward in zip(batch, cases, rubric.score_inputs(cases), strict=True):
        scored = {
            "id": line.id,
            "parts": dict(reward.parts),
            "total": reward.total,
            "malformed": case.reason or None,
        }
        print(json.dumps(scored, ensure_ascii=False))
