"""A stand-in of a published system's repository, with sentences of our own, and the records of what is in it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from thinkseg.models.published.extraction import QUERY, Place
from thinkseg.models.published.instructions import Commit, PublishedInstruction, digest
from thinkseg.models.published.store import InstructionStore, instruction_from

COMMIT = Commit("someone/Pointer", "0123456789abcdef0123456789abcdef01234567")

TRAIN = """\
raise SystemExit("this file must not be run")


class Rows:
    def __init__(self):
        self.words = "<image>Where is '{Thing}'? " \\
            "Answer like {Shape}"

    def row(self, thing):
        return self.words.format(Thing=thing.lower(), Shape="{'box': [1, 2]}")
"""

ASK = """\
RULES = ["not this one"]


def ask(expressions):
    RULES = ("Look well. "
        "Café in, box out.")
    return [
        {"role": "system", "content": [{"type": "text", "text": RULES}]},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Point at " + expressions[0] + "!"}]},
    ]


def ask_for_all():
    rules = f"Look well, {1 + 1} times."
    return [{"type": "text", "text": rules}, {"type": "text", "text": '''
All that stands out.
'''}]
"""

FILES: Mapping[str, str] = {"src/train.py": TRAIN, "ask.py": ASK}

_SHAPE = Place("src/train.py", "Rows.row", "argument", "Shape")


def _known() -> dict[str, PublishedInstruction]:
    def record(name: str, user: Place, system: Place | None, **rest: object) -> PublishedInstruction:
        paths = {place.path for place in (user, system) if place is not None}
        files = {path: hashlib.sha256(FILES[path].encode()).hexdigest() for path in sorted(paths)}
        one = PublishedInstruction(name, "a stand-in", COMMIT, user, system, files, "", **rest)  # type: ignore[arg-type]
        return replace(one, sha256=digest(instruction_from(one, lambda path: FILES[path].encode())))

    records = (
        record(
            "pointer/training",
            Place("src/train.py", "Rows.__init__", "variable", "self.words"),
            None,
            marks={"<image>": "", "{Thing}": QUERY, "{Shape}": _SHAPE},
            stripped=".",
        ),
        record("pointer/one", Place("ask.py", "ask", "text", index=1), Place("ask.py", "ask", "variable", "RULES")),
        record(
            "pointer/all",
            Place("ask.py", "ask_for_all", "text", index=1),
            Place("ask.py", "ask_for_all", "variable", "rules"),
        ),
    )
    return {one.name: one for one in records}


KNOWN: Mapping[str, PublishedInstruction] = _known()
"""By name: what a run of the stand-in would ask, without running it."""

ASKED: Mapping[str, Mapping[str, str]] = {"pointer": {"foreground": "pointer/all", "": "pointer/one"}}


def write_repository(folder: Path) -> Path:
    """A clone of the stand-in."""
    for path, text in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text.encode())
    return folder


def stand_in_store(cache: Path, address: str = "http://127.0.0.1:9") -> InstructionStore:
    """A store that knows the stand-in alone; nothing answers at its address unless another one is given."""
    return InstructionStore(cache, KNOWN, ASKED, address)
