"""Queries about composed scenes: each names exactly one thing in its scene, or, for "nothing", none of them.

A thing that was never seen can only be asked for by its kind, by its looks or by its place; so names are not used.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8

from thinkseg.data.synthetic.assets import Assets, Reasoning

Task = Literal["salient", "camouflaged", "referring", "reasoning", "nothing", "jargon"]
TASKS: tuple[Task, ...] = ("salient", "camouflaged", "referring", "reasoning", "nothing", "jargon")
"""A scene's content follows from a task's position here: new ones come last."""

SALIENT = ("the main object", "the object that stands out", "the most striking object", "the dominant object")
CAMOUFLAGED = (
    "the camouflaged object",
    "the hidden object",
    "the object that blends in with its surroundings",
    "the concealed object",
)
JARGON = "number one"
"""Words that no pocket model was taught, of things that are numbered from the left: only masks tell what they mean."""
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "brown", "black", "white", "grey")
NOTHING = "nothing like that is here"
CLEARLY = 0.12
"""How far apart two centres must be, in sides of the scene, before one is left of or above the other."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One visible thing of a scene."""

    name: str
    kinds: tuple[str, ...]
    box: tuple[float, float, float, float]
    """x_min, y_min, x_max, y_max of the visible pixels, in sides of the scene."""
    area: float
    """Share of the scene."""
    colour: str
    """One of `COLOURS`, or empty when no colour dominates."""

    @property
    def centre(self) -> tuple[float, float]:
        """Of the box, in sides of the scene."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


@dataclass(frozen=True, slots=True)
class Query:
    """A request and its answer."""

    task: Task
    text: str
    target: int | None
    """Position of the thing that the query names, or None when it names none."""
    think: str
    """What a worked answer thinks: it names the target and says where it is."""


def create_query(task: Task, things: Sequence[Thing], assets: Assets, rng: np.random.Generator) -> Query | None:
    """A query of this task about these things, or None when none can be asked fairly."""
    if not things:
        return None
    found = _ASKERS[task](things, assets, rng)
    if found is None:
        return None
    text, target = found
    if target is None:
        return Query(task, text, target, NOTHING)
    return Query(task, text, target, thought(things[target], _said(text, things[target], assets)))


def thought(thing: Thing, word: str = "object") -> str:
    """What a worked answer thinks of a thing: a word for it, and its place on a grid of three by three."""
    x, y = thing.centre
    row = ("upper", "", "lower")[min(int(y * 3), 2)]
    column = ("left", "", "right")[min(int(x * 3), 2)]
    place = " ".join(part for part in (row, column) if part) or "middle"
    article = "an" if word[0] in "aeiou" else "a"
    return f"{article} {word}, {place}"


def _said(text: str, thing: Thing, assets: Assets) -> str:
    """The kind by which a query names its target, also as what fits its use; "object" where it leaves the kind open.

    A kind that only the image shows is not thought of: of things never seen it would be a guess.
    """
    asked = {kind for question in assets.reasoning if question.query == text for kind in question.fits}
    named = [kind for kind in thing.kinds if kind in asked or text.startswith(f"the {kind}")]
    return next((kind for kind in named if kind in assets.asked_kinds), "object")


def colour_of(pixels: UInt8[np.ndarray, "count 3"]) -> str:
    """The colour word for RGB pixels, or an empty string when no word fits more than half of them.

    Brown is dark orange; black, grey and white are told by lightness where there is little saturation.
    """
    rgb = pixels[:: max(1, len(pixels) // 2000)].astype(np.float32) / 255
    high, low = rgb.max(axis=1), rgb.min(axis=1)
    chroma = high - low
    hue = _hue(rgb, high, chroma)
    grey = chroma < 0.18 * np.maximum(high, 0.35)
    names = np.full(len(rgb), "", dtype="<U6")
    for upper, name in ((20, "red"), (42, "orange"), (70, "yellow"), (165, "green"), (255, "blue"), (330, "purple")):
        names[(names == "") & (hue < upper)] = name
    names[names == ""] = "red"
    names[np.isin(names, ("orange", "yellow")) & (high < 0.6)] = "brown"
    names[np.isin(names, ("red",)) & (high < 0.35)] = "brown"
    names[grey] = "grey"
    names[grey & (high > 0.8)] = "white"
    names[high < 0.22] = "black"
    words, counts = np.unique(names, return_counts=True)
    best = int(counts.argmax())
    return str(words[best]) if counts[best] > 0.55 * len(rgb) else ""


def _hue(
    rgb: Float[np.ndarray, "count 3"], high: Float[np.ndarray, " count"], chroma: Float[np.ndarray, " count"]
) -> Float[np.ndarray, " count"]:
    """Hue in degrees, 0…360 (the hexagonal definition)."""
    red, green, blue = rgb.T
    safe = np.where(chroma > 0, chroma, 1)
    hue = np.where(
        high == red,
        ((green - blue) / safe) % 6,
        np.where(high == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    return np.asarray(hue * 60)


# --- askers: (things, assets, rng) -> (text, position of the target or None), or None when nothing fair can be asked


Asked = tuple[str, int | None] | None


def _ask_salient(things: Sequence[Thing], assets: Assets, rng: np.random.Generator) -> Asked:
    order = sorted(range(len(things)), key=lambda i: -things[i].area)
    if things[order[0]].area < 0.02 or (len(order) > 1 and things[order[0]].area < 2.5 * things[order[1]].area):
        return None
    return _pick(SALIENT, rng), order[0]


def _ask_camouflaged(things: Sequence[Thing], assets: Assets, rng: np.random.Generator) -> Asked:
    return _pick(CAMOUFLAGED, rng), int(np.argmax([thing.area for thing in things]))


def _ask_referring(things: Sequence[Thing], assets: Assets, rng: np.random.Generator) -> Asked:
    if len(things) < 2:
        return None
    asked = [query for ask in _WAYS for query in ask(things, assets)]
    if not asked:
        return None
    # Choose a way of asking first, then among its queries: kinds would otherwise outnumber the rest.
    ways = sorted({way for way, _, _ in asked})
    way = ways[int(rng.integers(len(ways)))]
    options = [(text, target) for name, text, target in asked if name == way]
    return options[int(rng.integers(len(options)))]


def _ask_reasoning(things: Sequence[Thing], assets: Assets, rng: np.random.Generator) -> Asked:
    options = []
    for question in assets.reasoning:
        verdicts = [_verdict(question, thing) for thing in things]
        if verdicts.count(True) == 1 and False not in verdicts:
            options.append((question.query, verdicts.index(True)))
    return options[int(rng.integers(len(options)))] if options else None


def _verdict(question: Reasoning, thing: Thing) -> bool | None:
    """True: it answers the question; False: it might, so the question is not fair; None: it does not.

    The narrowest kind that the question knows decides: a hen is a bird, but first of all one that stays on the ground.
    """
    return next((kind in question.fits for kind in thing.kinds if kind in question.fits | question.unfair), None)


def _ask_nothing(things: Sequence[Thing], assets: Assets, rng: np.random.Generator) -> Asked:
    present = {kind for thing in things for kind in thing.kinds}
    absent = sorted(assets.asked_kinds - present)
    colours = {thing.colour for thing in things}
    roll = rng.random()
    if roll < 0.5:
        return f"the {_pick(absent, rng)}", None
    if roll < 0.65 and "" not in colours:
        # A colour that neither a thing nor its neighbour on the wheel has.
        far = [c for c in ("red", "green", "blue", "yellow", "purple") if not colours & _NEAR[c]]
        return (f"the {_pick(far, rng)} object", None) if far else None
    questions = [q for q in assets.reasoning if not (q.fits | q.unfair) & present]
    return (questions[int(rng.integers(len(questions)))].query, None) if questions else None


def _ask_jargon(things: Sequence[Thing], assets: Assets, rng: np.random.Generator) -> Asked:
    order = sorted(range(len(things)), key=lambda i: things[i].centre[0])
    if len(order) < 2 or things[order[1]].centre[0] - things[order[0]].centre[0] <= CLEARLY:
        return None
    return JARGON, order[0]


_NEAR = {
    "red": {"red", "orange", "brown", "purple"},
    "green": {"green", "yellow", "blue"},
    "blue": {"blue", "purple", "green", "grey"},
    "yellow": {"yellow", "orange", "green", "brown"},
    "purple": {"purple", "blue", "red"},
}

Way = tuple[str, str, int]


def _by_kind(things: Sequence[Thing], assets: Assets) -> list[Way]:
    return [("kind", f"the {kind}", members[0]) for kind, members in _members(things, assets) if len(members) == 1]


def _by_place(things: Sequence[Thing], assets: Assets) -> list[Way]:
    """The outermost of all things, and one of two of a kind."""
    found: list[Way] = []
    groups = [("object", list(range(len(things))))] + [g for g in _members(things, assets) if len(g[1]) == 2]
    for word, members in groups:
        for axis, names in ((0, ("left", "right")), (1, ("top", "bottom"))):
            order = sorted(members, key=lambda i: things[i].centre[axis])
            centres = [things[i].centre[axis] for i in order]
            if centres[1] - centres[0] > CLEARLY:
                found.append(("place", f"the {word} on the {names[0]}", order[0]))
            if centres[-1] - centres[-2] > CLEARLY:
                found.append(("place", f"the {word} on the {names[1]}", order[-1]))
    return found


def _by_size(things: Sequence[Thing], assets: Assets) -> list[Way]:
    order = sorted(range(len(things)), key=lambda i: things[i].area)
    found: list[Way] = []
    if things[order[0]].area * 1.6 < things[order[1]].area:
        found.append(("size", "the smallest object", order[0]))
    if things[order[-2]].area * 1.6 < things[order[-1]].area:
        found.append(("size", "the largest object", order[-1]))
    return found


def _by_colour(things: Sequence[Thing], assets: Assets) -> list[Way]:
    """Only when every thing has a clear colour: else another could be called by that colour too."""
    colours = [thing.colour for thing in things]
    if "" in colours:
        return []
    return [("colour", f"the {colour} object", i) for i, colour in enumerate(colours) if colours.count(colour) == 1]


def _by_relation(things: Sequence[Thing], assets: Assets) -> list[Way]:
    """The one thing, of a kind or of any, that lies clearly to one side of a landmark that is one of its kind."""
    found: list[Way] = []
    single = [(kind, members[0]) for kind, members in _members(things, assets) if len(members) == 1]
    for kind, landmark in single:
        x, y = things[landmark].centre
        sides: dict[str, Callable[[Thing], float]] = {
            "to the left of": lambda thing, x=x: x - thing.centre[0],  # type: ignore[misc]
            "to the right of": lambda thing, x=x: thing.centre[0] - x,  # type: ignore[misc]
            "above": lambda thing, y=y: y - thing.centre[1],  # type: ignore[misc]
            "below": lambda thing, y=y: thing.centre[1] - y,  # type: ignore[misc]
        }
        for words, distance in sides.items():
            beside = [i for i, thing in enumerate(things) if i != landmark and distance(thing) > 0]
            if len(beside) == 1 and distance(things[beside[0]]) > CLEARLY:
                found.append(("relation", f"the object {words} the {kind}", beside[0]))
    return found


def _members(things: Sequence[Thing], assets: Assets) -> list[tuple[str, list[int]]]:
    """The kinds that may be named and are in the scene, each with the positions of its members."""
    kinds = sorted({kind for thing in things for kind in thing.kinds} & assets.asked_kinds)
    return [(kind, [i for i, thing in enumerate(things) if kind in thing.kinds]) for kind in kinds]


def _pick(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


_WAYS = (_by_kind, _by_place, _by_size, _by_colour, _by_relation)

_ASKERS: dict[Task, Callable[[Sequence[Thing], Assets, np.random.Generator], Asked]] = {
    "salient": _ask_salient,
    "camouflaged": _ask_camouflaged,
    "referring": _ask_referring,
    "reasoning": _ask_reasoning,
    "nothing": _ask_nothing,
    "jargon": _ask_jargon,
}
