"""What is asked about a training scene, and the answers to imitate.

A query is one of the scenes' own (`thinkseg.data.synthetic.queries`), now and then in other words: a kind by one of
its names, a request around it. A word that nobody knows means the thing that stands out; only kinds, colours and uses
that are known and absent are refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import vocabulary

from thinkseg.data.synthetic.assets import Assets
from thinkseg.data.synthetic.queries import NOTHING, Query, Thing, create_query, thought

LETTERS = list("abcdefghijklmnopqrstuvwxyz")
OTHERS = (0.48, 0.16, 0.33)
"""Shares of what the scenes ask of several things, of names, and of uses."""
ABSENT = 0.03
"""Share of refusals among what is asked beside the main thing: so few that an image of something new is not refused."""
RARE = 7
"""Members up to which a kind is hardly ever refused: what is learnt of so few cut-outs does not tell the next one."""
UNSEEN = 0.12
"""Share of the scenes' own names of things among the words that are asked as if unknown."""


class Teacher:
    """Asks about scenes.

    Args:
        assets: which kinds may be named, and the questions about uses.
        words: any English words; those that are no names of the vocabulary stand for words that nobody knows.
        rng: decides on everything.
    """

    def __init__(self, assets: Assets, words: Sequence[str], rng: np.random.Generator) -> None:
        self.assets, self.rng = assets, rng
        self.kind_of = vocabulary.names()
        self.names: dict[str, list[str]] = {}
        for name, kind in self.kind_of.items():
            self.names.setdefault(kind, []).append(name)
        members = Counter(kind for cutout in assets.cutouts for kind in cutout.kinds)
        self.refused = {kind: count**1.5 * (1 if count > RARE else 0.15) for kind, count in members.items()}
        known = {word for kind in assets.asked_kinds for word in kind.split()} | set(self.kind_of)
        self.unknown = [word for word in words if word not in known]

    def queries(self, arranged: str, things: Sequence[Thing], count: int) -> list[Query]:
        """At most so many different queries about the things of a scene that was arranged for one of the tasks."""
        found: dict[str, Query] = {}
        for _ in range(count):
            query = self._query(arranged, things)
            if query is not None:
                found.setdefault(query.text, query)
        return list(found.values())

    def _query(self, arranged: str, things: Sequence[Thing]) -> Query | None:
        rng = self.rng
        roll = rng.random()
        alone = self._main(things)
        if alone is not None and arranged == "salient" and roll < 0.6:
            query = self._main_one(things, alone)
        elif arranged == "camouflaged" and roll < 0.6:
            query = create_query("camouflaged", things, self.assets, rng)
        elif arranged == "camouflaged" and len(things) == 1 and roll < 0.75:
            query = self._main_one(things, 0)
        else:
            task = str(rng.choice(["referring", "name", "reasoning", "nothing"], p=[*OTHERS, ABSENT]))
            if task == "name":
                query = self._by_name(things)
            elif task == "nothing" and rng.random() < 0.8:
                query = self._absent(things)
            else:
                query = create_query(task, things, self.assets, rng)
        return None if query is None else self._reworded(query)

    def _main(self, things: Sequence[Thing]) -> int | None:
        """The thing that stands out, by the rule of the scenes; None where none does."""
        order = sorted(range(len(things)), key=lambda i: -things[i].area)
        if things[order[0]].area < 0.02 or (len(order) > 1 and things[order[0]].area < 2.5 * things[order[1]].area):
            return None
        return order[0]

    def _main_one(self, things: Sequence[Thing], target: int) -> Query:
        """What stands out, by general words, by its kind, by a name, or by a word that nobody knows."""
        rng, thing = self.rng, things[target]
        roll = rng.random()
        if roll < 0.28:
            query = create_query("salient", things, self.assets, rng)
            if query is not None:
                return query
        if roll < 0.38:
            text = vocabulary.THE_MAIN_ONE[int(rng.integers(len(vocabulary.THE_MAIN_ONE)))]
        elif roll < 0.62 and (kinds := [kind for kind in thing.kinds if kind in self.assets.asked_kinds]):
            kind = kinds[int(rng.integers(len(kinds)))]
            return Query("salient", f"the {kind}", target, thought(thing, kind))
        elif roll < 0.84 and (named := self._name(thing)):
            return Query("salient", f"the {named}", target, thought(thing, named))
        else:
            text = f"the {self._unknown_words()}"
        return Query("salient", text, target, thought(thing))

    def _absent(self, things: Sequence[Thing]) -> Query | None:
        """A kind or a use that nothing here has; rare kinds are refused less often than they are asked for.

        Else their word alone would come to mean that there is nothing: a thing of a rare kind is hardly recognized.
        """
        rng = self.rng
        present = {kind for thing in things for kind in thing.kinds}
        if rng.random() < 0.6:
            kinds = sorted(self.assets.asked_kinds - present)
            asked, weights = [f"the {kind}" for kind in kinds], [self.refused[kind] for kind in kinds]
        else:
            questions = [q for q in self.assets.reasoning if not (q.fits | q.unfair) & present]
            asked = [question.query for question in questions]
            weights = [sum(self.refused.get(kind, 0) for kind in question.fits) for question in questions]
        if not sum(weights):
            return None
        shares = np.array(weights, dtype=float) / sum(weights)
        return Query("nothing", asked[int(rng.choice(len(asked), p=shares))], None, NOTHING)

    def _by_name(self, things: Sequence[Thing]) -> Query | None:
        """The only thing of its kind by one of the kind's names."""
        for i in self.rng.permutation(len(things)):
            named = self._name(things[i], among=things)
            if named:
                return Query("referring", f"the {named}", int(i), thought(things[i], named))
        return None

    def _name(self, thing: Thing, among: Sequence[Thing] = ()) -> str:
        """A known name for a thing, its own or another of its kind; "" where another thing could be meant, too."""
        rng = self.rng
        own = thing.name.lower().split()[-1]
        if own in self.kind_of and rng.random() < 0.5 and sum(own in other.name.lower() for other in among) <= 1:
            return own
        kinds = [kind for kind in thing.kinds if kind in self.names]
        kinds = [kind for kind in kinds if sum(kind in other.kinds for other in among) <= 1]
        if not kinds:
            return ""
        # The narrowest kind: a bird is no "frog", though both are animals.
        options = self.names[kinds[0]]
        return options[int(rng.integers(len(options)))]

    def _unknown_words(self) -> str:
        rng = self.rng
        words = []
        for _ in range(2 if rng.random() < 0.2 else 1):
            if rng.random() < 0.5:
                words.append(self.unknown[int(rng.integers(len(self.unknown)))])
            else:
                words.append("".join(rng.choice(LETTERS, size=int(rng.integers(3, 11)))))
        return " ".join(words)

    def _reworded(self, query: Query) -> Query:
        rng, text, think = self.rng, query.text, query.think
        if query.target is not None and rng.random() < 0.12:
            # A landmark or a kind by one of its names: "the object to the left of the eagle".
            for kind in sorted(self.names, key=len, reverse=True):
                if kind in self.assets.asked_kinds and re.search(rf"\b{kind}\b", text) and query.task == "referring":
                    name = self.names[kind][int(rng.integers(len(self.names[kind])))]
                    text, think = (re.sub(rf"\b{kind}\b", name, t) for t in (text, think))
                    break
        if rng.random() < 0.25:
            if rng.random() < 0.3:
                text = text.removeprefix("the ")
            text = vocabulary.REQUESTS[int(rng.integers(len(vocabulary.REQUESTS)))].format(text)
        return Query(query.task, text, query.target, think)


__all__ = ["NOTHING", "Teacher"]
