"""How the queries of samples are put into words for one checkpoint: its authors' sentences where they are at hand."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from thinkseg.answers.base import AnswerFormat
from thinkseg.answers.instructions import bare_query, fill
from thinkseg.errors import InputError
from thinkseg.models.checkpoint_config import CheckpointConfig
from thinkseg.models.published.store import InstructionStore
from thinkseg.types import Instruction, Sample

_log = logging.getLogger(__name__)

FOREGROUND = frozenset({"salient", "camouflaged", "dichotomous"})
"""Tasks that ask for what is in the foreground, whatever it is."""


@dataclass(frozen=True, slots=True)
class Sentences:
    """A template, and what becomes of the query before it is put in."""

    template: Instruction
    stripped: str | None = None


@dataclass(frozen=True, slots=True)
class Wording:
    """From a sample to what the model is asked."""

    answer_format: AnswerFormat
    stripped: str | None = None
    """Of the checkpoint: a query loses these characters at its ends, in lower case; None leaves it alone."""
    published: Mapping[str, Sentences] = field(default_factory=dict)
    """The authors' sentences by the kind of a request (`kind_of`), an empty one for all others; none of them where the
    format's are used."""
    identity: str = ""
    """The name of the published instruction and what tells its sentences apart; empty where the format's are used."""

    def instruction(self, sample: Sample) -> Instruction:
        """What to ask about a sample."""
        chosen = self.published.get(kind_of(sample), self.published.get(""))
        if chosen is None:
            return self.answer_format.instruction_for(sample)
        query = sample.query
        for stripped in (chosen.stripped, self.stripped):
            query = query if stripped is None else bare_query(query, stripped)
        return fill(chosen.template, query, "")


def kind_of(sample: Sample) -> str:
    """What kind of a request a sample is: ``foreground``, ``sentence``, ``phrase``, or empty for any other."""
    if sample.task in FOREGROUND:
        return "foreground"
    if sample.is_sentence:
        return "sentence"
    return "phrase" if sample.task == "reasoning" else ""


def wording_for(
    model: str, config: CheckpointConfig, store: InstructionStore | None = None, *, required: bool = False
) -> Wording:
    """The wording of a checkpoint.

    Says in one line where it was trained with sentences that are not at hand.

    Args:
        model: what it is called, for that line.
        config: all that is known about how it is prompted, its format among it.
        store: where the sentences are kept; the user's cache when None.
        required: whether the sentences were asked for, so that it cannot go on without them.

    Raises:
        InputError: the settings name a published instruction that there is not, or that is required and not at hand.
        DataError: what is kept is damaged.
    """
    answer_format = config.answer_format()
    own = Wording(answer_format, config.stripped)
    if config.sentences is None or config.instruction is not None:
        return own
    store = store or InstructionStore()
    found = published_sentences(config.sentences, store)
    if found is None:
        if required:
            raise InputError(
                f"the published instruction '{config.sentences}' is asked for and is not at hand; fetch it with: "
                f"thinkseg instruction {config.sentences}"
            )
        if os.environ.get("LOCAL_RANK", "0") == "0":  # of several processes one says it
            _log.warning(
                "'%s' was trained with other sentences than it is asked with; fetch its authors' with: thinkseg "
                "instruction %s",
                model,
                config.sentences,
            )
        return own
    published, identity = found
    return Wording(answer_format, config.stripped, published, identity)


def identity_of(config: CheckpointConfig, store: InstructionStore | None = None) -> str:
    """The published instruction that a checkpoint is asked with, as in `Wording.identity`; empty for other sentences.

    Raises:
        InputError: the settings name a published instruction that there is not.
        DataError: what is kept is damaged.
    """
    if config.sentences is None or config.instruction is not None:
        return ""
    found = published_sentences(config.sentences, store or InstructionStore())
    return "" if found is None else found[1]


def published_sentences(name: str, store: InstructionStore) -> tuple[Mapping[str, Sentences], str] | None:
    """The sentences of a system, or of one instruction, by the kind of a request, and what tells them apart.

    None where they were not fetched.

    Raises:
        InputError: there is no published instruction of that name.
        DataError: what is kept is damaged.
    """
    templates = {}
    hashes = {}
    for kind, one in store.by_kind(name).items():
        template = store.read(one)
        if template is None:
            return None
        templates[kind] = Sentences(template, store.known[one].stripped)
        hashes[one] = store.known[one].sha256
    told = ",".join(f"{one}={sha256}" for one, sha256 in sorted(hashes.items()))
    return templates, f"{name} {hashlib.sha256(told.encode()).hexdigest()[:12]}"
