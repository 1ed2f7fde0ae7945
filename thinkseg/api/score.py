"""`thinkseg.score`: the rewards of completions, part by part, without a reasoner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from thinkseg.arguments import ITERABLE, MAPPING, PATH, TEXT, Kind, having, optional, takes
from thinkseg.errors import DataError, RecipeError
from thinkseg.extension import is_reference

if TYPE_CHECKING:
    from thinkseg.models.base import Segmenter
    from thinkseg.rewards import Rubric
    from thinkseg.rewards.completions import ScoredText
    from thinkseg.training.config import Fragment

BATCH = 256
"""Completions of a file or a list that are scored together; those of an iterator are answered one by one."""


@dataclass(frozen=True, slots=True)
class Score:
    """The rewards of one completion."""

    id: object
    """As the completion is called; its place, counted from 1, where it has no name."""
    parts: Mapping[str, float | None]
    """By name; None where its truth, or the segmenter that it needs, is not given, which is not 0."""
    total: float
    """The weighted sum of the parts that were scored."""
    malformed: str | None
    """Why the answer could not be read; None where it could."""

    def as_json(self) -> dict[str, Any]:
        """As a line of JSON holds it."""
        return {"id": self.id, "parts": dict(self.parts), "total": self.total, "malformed": self.malformed}


def _is_recipe(value: object) -> bool:
    from thinkseg.training.config import Fragment

    return isinstance(value, Fragment)


def _is_published(value: object) -> bool:
    return isinstance(value, str) and value == "published"


@takes(
    completions=PATH | ITERABLE,
    format=optional(TEXT),
    recipe=optional(PATH | Kind("a recipe", _is_recipe)),
    rewards=optional(MAPPING | Kind("'published'", _is_published)),
    segmenter=optional(PATH | having("a segmenter", "segment")),
    folder=PATH,
    encoding=TEXT,
)
def score(
    completions: str | Path | Iterable[str | Mapping[str, Any]],
    *,
    format: str | None = None,
    recipe: str | Path | Fragment | None = None,
    rewards: Mapping[str, float] | Literal["published"] | None = None,
    segmenter: str | Path | Segmenter | None = None,
    folder: str | Path = ".",
    encoding: str = "",
) -> Iterator[Score]:
    """Score completions part by part, one by one in their order.

    Args:
        completions: a file of lines of JSON, or the lines, or mappings of the same keys: ``completion`` and, for parts
            that need the truth, ``frame`` ([width, height] of the pixels that coordinates count) with ``box`` and
            ``points``, or ``objects``, or ``mask`` or ``masks`` and ``image``; and ``ignore``, a mask of the pixels
            that count neither way.
        format: the answer format, by name or reference; None for the recipe's.
        recipe: the name of published rewards (``"seg-zero"``), a recipe file, the name of a recipe that comes with
            ThinkSeg (``"pocket/rl"``), or a recipe; None for the published rewards of the format. It may be more exact
            about the format than `format` (seg-r1-points for seg-r1), but not contradict it.
        rewards: weight of each part, in place of the recipe's; ``"published"`` for those of the format's authors, with
            exactly the values of their functions.
        segmenter: for parts that look at masks: as in `thinkseg.load`, or None to leave them unscored.
        folder: from which paths in the completions are taken; those in a file are taken from the file's folder.
        encoding: of the file, such as "gbk"; when empty, UTF-8 or what its byte order mark says.

    Raises:
        InputError: a name or a file is not there, format and recipe contradict each other, or a completion or its truth
            is not as it should be.

    >>> import thinkseg
    >>> text = "<think>a</think><bbox>[10,5,19,14]</bbox><points></points><labels></labels>"
    >>> (found,) = thinkseg.score([{"completion": text}], format="seg-r1")
    >>> found.parts["format"], found.total
    (1.0, 1.0)
    """
    rubric = create_rubric(format, recipe, rewards, segmenter)
    return _scores(rubric, completions, Path(folder), encoding)


def create_rubric(
    format: str | None,
    recipe: str | Path | Fragment | None,
    rewards: Mapping[str, float] | Literal["published"] | None = None,
    segmenter: str | Path | Segmenter | None = None,
) -> Rubric:
    """The rubric of a format and a recipe; the arguments are those of `score`.

    Raises:
        InputError: a name or file is not there, or format and recipe contradict each other.
    """
    from thinkseg.answers import get_format
    from thinkseg.rewards import Rubric

    if format is None and recipe is None:
        raise RecipeError("name the answer format with --format, or a recipe that has one with --recipe")
    if format is not None:
        get_format(format)
    weights, own_format, tolerant = _weighed(format, recipe, rewards)
    if own_format is not None and format is not None and not own_format.startswith(format):
        raise RecipeError(f"--format says '{format}' and the recipe '{recipe}' says '{own_format}': leave one out")
    name = own_format or format
    if name is None:
        raise RecipeError(f"the recipe '{recipe}' does not name the answer format: add --format")
    rubric_format = get_format(name, tolerant=tolerant)
    if isinstance(segmenter, str | Path):
        from thinkseg.models.segmenter import load_segmenter

        segmenter = load_segmenter(segmenter)
    return Rubric(rubric_format, weights, segmenter)


def _weighed(
    format: str | None, recipe: str | Path | Fragment | None, rewards: Mapping[str, float] | Literal["published"] | None
) -> tuple[Mapping[str, float] | Literal["published"], str | None, bool]:
    """Weights, format and tolerance, as the recipe has them."""
    from thinkseg.rewards import PUBLISHED, published_rewards

    if recipe is None:
        if rewards is None and is_reference(format):
            raise RecipeError(
                f"nothing says what completions in the format '{format}' are rewarded for: a format of one's own has "
                "no published rewards, so name a recipe with --recipe, or give 'rewards', a weight by the name of each "
                "part"
            )
        return (published_rewards(str(format)).weights if rewards is None else rewards), format, False
    if isinstance(recipe, str) and recipe in PUBLISHED:
        published = PUBLISHED[recipe]
        return (published.weights if rewards is None else rewards), published.format, False
    fragment = _read(recipe) if isinstance(recipe, str | Path) else recipe
    weights = fragment.rubric_weights if rewards is None else rewards
    if not weights:
        raise RecipeError(f"the recipe '{recipe}' needs 'rewards', a weight by the name of each part")
    return weights, fragment.format, bool(fragment.tolerant)


def _read(recipe: str | Path) -> Fragment:
    from thinkseg.rewards import PUBLISHED
    from thinkseg.training.config import load_fragment

    try:
        return load_fragment(recipe)
    except RecipeError as error:
        if Path(recipe).is_file():
            raise
        raise RecipeError(f"{error}; published rewards have the names {', '.join(PUBLISHED)}") from error


def _scores(
    rubric: Rubric, completions: str | Path | Iterable[str | Mapping[str, Any]], folder: Path, encoding: str
) -> Iterator[Score]:
    from thinkseg.rewards.completions import read_completions

    if not isinstance(completions, str | Path):
        size = 1 if isinstance(completions, Iterator) else BATCH
        yield from _in_batches(rubric, read_completions(completions, "the completions", folder), size)
        return
    from thinkseg.data.text import lines_of, read_text

    path = Path(completions)
    try:
        lines = lines_of(read_text(path, encoding))
    except OSError as error:
        raise DataError(f"expected a file of completions at '{path}', found none that can be read") from error
    yield from _in_batches(rubric, read_completions(lines, f"'{path}'", path.parent))


def _in_batches(rubric: Rubric, texts: Iterator[ScoredText], size: int = BATCH) -> Iterator[Score]:
    while batch := list(islice(texts, size)):
        yield from score_texts(rubric, batch)


def score_texts(rubric: Rubric, batch: Sequence[ScoredText]) -> list[Score]:
    """The rewards of completions that were read, together, in their order."""
    inputs = rubric.read(
        [text.completion for text in batch], [text.truth for text in batch], [text.frame for text in batch]
    )
    rewards = rubric.score_inputs(inputs)
    return [
        Score(text.id, reward.parts, reward.total, item.reason or None)
        for text, item, reward in zip(batch, inputs, rewards, strict=True)
    ]
