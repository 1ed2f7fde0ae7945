"""What the results in a folder are results of: `label.json`. Another input or model is refused, with the difference."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from thinkseg.errors import DataError
from thinkseg.serving.labelling.rows import Stamp
from thinkseg.writing import json_text, write_at_once

HEADER = "label.json"


@dataclass(frozen=True, slots=True)
class LabelHeader:
    """What the rows of a folder are results of."""

    model: dict[str, Any]
    """By which the models are told apart; empty for a pipeline in memory."""
    data_revision: str
    """A digest of all rows that were asked for."""
    rows: int
    rows_per_file: int
    engine: str

    @property
    def stamp(self) -> Stamp:
        """What each row says of it."""
        revision = hashlib.sha256(json_text(self.model).encode()).hexdigest()[:12] if self.model else ""
        return Stamp(str(self.model.get("name", "")), revision, self.data_revision)

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return -(-self.rows // self.rows_per_file)

    def rows_of(self, block: int) -> range:
        """The numbers of the rows of a block."""
        return range(block * self.rows_per_file, min((block + 1) * self.rows_per_file, self.rows))

    def length_of(self, block: int) -> int:
        """How many rows a block has."""
        return len(self.rows_of(block))


def write_header(out: Path, header: LabelHeader) -> None:
    """Write it, with the revision that rows have of the model."""
    told = {**asdict(header), "model_revision": header.stamp.model_revision}
    write_at_once(out / HEADER, json_text(told, indent=2) + "\n")


def read_header(out: Path) -> LabelHeader | None:
    """The header of a folder; None where there is none.

    Raises:
        DataError: the file of this name is none.
    """
    path = out / HEADER
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        header = LabelHeader(**{field.name: told[field.name] for field in fields(LabelHeader)})
        kinds = (dict, str, int, int, str)
        if not all(
            type(getattr(header, field.name)) is kind for field, kind in zip(fields(header), kinds, strict=True)
        ):
            raise TypeError("a value is of another kind")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"'{path}' is not what 'thinkseg label' writes ({type(error).__name__}: {error}); choose another folder"
        ) from error
    return header


def refuse_another(out: Path, found: LabelHeader, wanted: LabelHeader) -> None:
    """See that a folder may be gone on with.

    Raises:
        DataError: it holds results of something else; the sentence says what differs.
    """
    if not wanted.model:
        raise DataError(
            f"'{out}' holds results, and a pipeline that was handed over cannot be told from the one that made them; "
            "choose another folder, or give the model by its name"
        )
    different = [field.name for field in fields(found) if getattr(found, field.name) != getattr(wanted, field.name)]
    if different:
        told = "; ".join(
            f"{name.replace('_', ' ')} was {getattr(found, name)!r:.300} and is {getattr(wanted, name)!r:.300}"
            for name in different
        )
        raise DataError(
            f"'{out}' holds results of another labelling: {told}; choose another folder, or ask for the same again"
        )
