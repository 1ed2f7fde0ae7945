"""What the page's address says, so that whoever opens it sees the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from thinkseg.serving.examples import Example
from thinkseg.serving.page.choices import ITS_OWN, Chosen
from thinkseg.serving.page.desk import Desk

SECOND = "-b"
"""Behind the names of what belongs to the second answer."""

_MOST_LETTERS = 2000
"""Of a query in an address."""


@dataclass(frozen=True)
class SharedState:
    """Writes requests into addresses and reads them; an upload is never part of one.

    Args:
        desk: whose models can be chosen.
        examples: images that an address can name.
    """

    desk: Desk
    examples: Sequence[Example]

    def of(self, source: str | None, query: str, choice: Chosen, both: bool = False, *second: str) -> str:
        """What stands behind the question mark for a request."""
        first = self.desk.choices.first
        told = {"q": query, "example": self._example(source)}
        for suffix, own in (("", choice), (SECOND, Chosen(*second) if both and second else None)):
            if own is not None:
                told[f"model{suffix}"] = own.model if suffix or own.model != first.model else ""
                told[f"segmenter{suffix}"] = own.segmenter if own.segmenter != ITS_OWN else ""
                told[f"format{suffix}"] = own.format if own.format != ITS_OWN else ""
        return urlencode({name: value for name, value in told.items() if value})

    def restored(self, search: str) -> list[str | bool | None]:
        """Image, query, the three choices, whether there are two answers, the three of the second one.

        What the address does not say, or cannot, is as at the beginning.
        """
        told = dict(parse_qsl((search or "").removeprefix("?")))
        example = next((str(one.image) for one in self.examples if one.image.stem == told.get("example")), None)
        query = told.get("q", "")[:_MOST_LETTERS]
        return [example, query, *self._chosen(told, ""), f"model{SECOND}" in told, *self._chosen(told, SECOND)]

    def _chosen(self, told: Mapping[str, str], suffix: str) -> list[str]:
        choices = self.desk.choices
        known = {
            "model": (choices.models, choices.first.model),
            "segmenter": (choices.segmenter_names, ITS_OWN),
            "format": (choices.format_names, ITS_OWN),
        }
        return [
            told[name + suffix] if told.get(name + suffix) in names else default
            for name, (names, default) in known.items()
        ]

    def _example(self, source: str | None) -> str:
        """The name of the example that lies at a path; empty for an upload."""
        if source is None or not self.desk.store.is_permanent(source):
            return ""
        name = Path(source).stem
        return name if name in {one.image.stem for one in self.examples} else ""
