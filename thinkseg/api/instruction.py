"""``thinkseg.instruction``: the sentences that a published checkpoint was trained with, from their authors."""

from __future__ import annotations

from pathlib import Path

from thinkseg.arguments import FLAG, PATH, TEXT, instance, optional, takes
from thinkseg.errors import InputError
from thinkseg.models.published.store import InstructionStore
from thinkseg.types import Instruction


@takes(name=TEXT, fetch=FLAG, source=optional(PATH), store=optional(instance("an InstructionStore", InstructionStore)))
def instruction(
    name: str,
    *,
    fetch: bool = False,
    source: str | Path | None = None,
    store: InstructionStore | None = None,
) -> Instruction | dict[str, Instruction]:
    """The sentences of a published instruction, out of this user's cache.

    They are their authors' and come from their repositories, at a commit and with hashes that are on record in
    `thinkseg.models.published.instructions`. Nothing of what is fetched is run. Once they are there, published
    checkpoints are asked with them.

    Args:
        name: of one, such as ``"seg-r1/referring"``, or of a system, such as ``"seg-r1"``.
        fetch: whether they may be fetched from GitHub where they are not there.
        source: a copy of the authors' repository to take them from, with no network: a clone at the commit on record,
            GitHub's ZIP of it, or the one file that holds them.
        store: where they are kept and what is known about them; the user's cache when None.

    Returns:
        A template with ``{query}``, where the authors' request has one; of a system one by the name of each.

    Raises:
        InputError: there is none of that name, it is not there, cannot be fetched or cannot be kept.
        DataError: what was fetched, given or kept is not what is on record.

    >>> from thinkseg.testing.published_sentences import stand_in_store, write_repository
    >>> clone = write_repository(Path("clone"))  # of a system that does not exist
    >>> instruction("pointer/one", source=clone, store=stand_in_store(Path("cache"))).user
    'Point at {query}!'
    """
    store = store or InstructionStore()
    found = {one: _one(one, store, fetch, source) for one in dict.fromkeys(store.by_kind(name).values())}
    return found.get(name, found)


def _one(name: str, store: InstructionStore, fetch: bool, source: str | Path | None) -> Instruction:
    if source is not None:
        return store.take(name, Path(source).expanduser())
    kept = None if fetch and not store.intact(name) else store.read(name)
    if kept is not None:
        return kept
    if fetch:
        return store.fetch(name)
    raise InputError(
        f"the published instruction '{name}' is not in '{store.folder}'; fetch it with: thinkseg instruction {name}"
    )
