"""Names for the files of many results: none twice, none of a stranger's file, and those of earlier results found again.

A name that is taken gets a number: ``photo``, ``photo-2``, ``photo-3``. Each of them is looked at once, however many
results want it, so that thousands of queries about one image are named in linear time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thinkseg.results.files import RECORD, read_record, stem_of_image, with_ending
from thinkseg.results.record import ResultRecord
from thinkseg.serving.claims import Claims
from thinkseg.serving.jobs import Job


@dataclass(slots=True)
class _Series:
    """The names that are made of one by numbers."""

    seen: int = 0
    """The last number that was looked at."""
    known: dict[Hashable, deque[tuple[int, Path]]] = field(default_factory=dict)
    """Earlier results under these numbers that nobody has asked for yet, by what they are about."""


class ResultNames:
    """Where the results of a call go.

    Args:
        model: what the models are told apart by; None when they cannot be, so that no earlier result is kept.
        overwrite: whether a result takes the place of an earlier one of the same image and query, instead of being
            kept.
        claims: keep other processes from taking the same names.
    """

    def __init__(
        self, model: Mapping[str, Any] | None, *, overwrite: bool = False, claims: Claims | None = None
    ) -> None:
        self._model = None if model is None else dict(model)
        self._overwrite = overwrite
        self._claims = claims
        self._images: set[Path] = set()
        self._taken: set[str] = set()
        self._series: dict[Path, _Series] = {}

    def protect(self, images: Iterable[Path]) -> None:
        """See to it that no result is given a name under which it would write over one of these images."""
        placed = (image.parent.resolve() / image.name for image in images)
        self._images |= {stem for image in placed if (stem := stem_of_image(image)) is not None}

    def place(self, job: Job, digest: str, first: Path) -> tuple[Path, ResultRecord | None]:
        """The name of a job's files, and the earlier result that has it and can be kept.

        Args:
            job: what is asked.
            digest: the fingerprint of its image.
            first: the name that it gets if nobody else has it: a path without suffix.
        """
        series = self._series.setdefault(first, _Series())
        keys = self._keys(digest, str(job.image), job.query)
        stem = self._known(series, keys)
        stem, record = self._next(series, keys, first) if stem is None else (stem, read_record(stem))
        self._taken.add(str(stem).casefold())
        return stem, None if self._overwrite else record

    def _known(self, series: _Series, keys: Iterable[Hashable]) -> Path | None:
        """The first of the earlier results that were passed over, and are about the same."""
        found = []
        for key in keys:
            waiting = series.known.get(key, deque())
            while waiting and self._is_taken(waiting[0][1]):
                waiting.popleft()
            found += [waiting[0]] if waiting else []
        return min(found)[1] if found else None

    def _next(self, series: _Series, keys: tuple[Hashable, ...], first: Path) -> tuple[Path, ResultRecord | None]:
        """The next number that is free, or has an earlier result that is about the same."""
        while True:
            series.seen += 1
            stem = first if series.seen == 1 else with_ending(first, f"-{series.seen}")
            if self._is_taken(stem):
                continue
            if not with_ending(stem, RECORD).exists():
                if stem.parent.resolve() / stem.name in self._images:
                    continue
                if self._claims is None:
                    return stem, None
                if not self._claims.claim(stem):
                    continue
                if not with_ending(stem, RECORD).exists():  # or else another process has written it in the meantime
                    return stem, None
            record = read_record(stem)
            if record is None:  # somebody else's file
                continue
            own = self._keys_of(record)
            if set(own) & set(keys):
                return stem, record
            for key in own:
                series.known.setdefault(key, deque()).append((series.seen, stem))

    def _keys(self, digest: str | None, image: str | None, query: str) -> tuple[Hashable, ...]:
        """What a result is known by: its image and query; the image may have changed where it is written over."""
        if self._overwrite:
            return ("digest", digest, query), ("image", image, query)
        return () if self._model is None else ((digest, query),)

    def _keys_of(self, record: ResultRecord) -> tuple[Hashable, ...]:
        if not self._overwrite and record.get("model") != self._model:
            return ()
        return self._keys(record.get("image_digest"), record.get("image"), record["query"])

    def _is_taken(self, stem: Path) -> bool:
        return str(stem).casefold() in self._taken
