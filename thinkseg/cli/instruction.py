"""``thinkseg instruction``: the sentences that published checkpoints were trained with, from their authors.

They are fetched from the authors' repositories when asked for, at a commit on record, are checked against hashes on
record, and stay in this user's cache. Published checkpoints are asked with them from then on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkseg.errors import InputError

if TYPE_CHECKING:
    from thinkseg.models.published.store import InstructionStore

EXAMPLE = """\
examples:
  thinkseg instruction                               # which there are, and which are here
  thinkseg instruction seg-r1                        # fetch what Seg-R1 was evaluated with
  thinkseg instruction seg-r1/rl --show
  thinkseg instruction seg-zero --from ~/Seg-Zero    # out of a clone, without a network
  thinkseg segment photo.jpg --query 'the dog' --model geshang/Seg-R1-7B --instruction seg-r1/demo"""

DONE = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "names", metavar="NAME", nargs="*", help="of a system, or of one instruction; none lists all that are known"
    )
    parser.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="PATH",
        help="a copy of the authors' repository to take them from: a clone, GitHub's ZIP, or the file itself",
    )
    parser.add_argument("--show", action="store_true", help="print the sentences")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write them to DIR, too, a JSON file each")
    parser.add_argument("--json", action="store_true", help="print what is known, and what is here, as JSON")


def run(args: argparse.Namespace, store: InstructionStore | None = None) -> int:
    """List the instructions, or fetch those named; `store` has them."""
    from thinkseg.api.instruction import instruction
    from thinkseg.models.published.store import InstructionStore
    from thinkseg.types import Instruction
    from thinkseg.writing import json_text

    store = store or InstructionStore()
    if not args.names:
        _list(store, args.json)
        return DONE

    for name in (names := _named(store, args.names)):
        there = args.source is None and store.intact(name)
        found = instruction(name, fetch=True, source=args.source, store=store)
        assert isinstance(found, Instruction)  # of one name
        print(f"{name} {'was here' if there else 'is here now'}: {store.path(name)}", file=sys.stderr)
        text = json_text({"system": found.system, "user": found.user}, indent=2)
        if args.out is not None:
            _write(args.out / f"{name.replace('/', '_')}.json", text)
        if args.show and not args.json:
            print(f"{name}\n{text}")
    if args.json:
        print(json_text({name: _facts(store, name, args.show) for name in names}, indent=2))
    return DONE


def _named(store: InstructionStore, names: Sequence[str]) -> list[str]:
    """The instructions that are meant, each once."""
    return list(dict.fromkeys(one for name in names for one in store.by_kind(name).values()))


def _write(path: Path, text: str) -> None:
    from thinkseg.writing import write_at_once

    try:
        write_at_once(path, text + "\n")
    except OSError as error:
        raise InputError(f"'{path}' cannot be written: {error.strerror}; name another folder with --out") from error


def _facts(store: InstructionStore, name: str, show: bool = False) -> dict[str, Any]:
    """What is known of an instruction, as JSON."""
    one = store.known[name]
    here = store.intact(name)
    told: dict[str, Any] = {"use": one.use, "repository": one.commit.repository, "commit": one.commit.revision}
    told |= {"files": list(one.files), "system": None if one.system is None else one.system.told()}
    told |= {"user": "the query" if one.user is None else one.user.told(), "query": _query_rule(one.stripped)}
    told |= {"sha256": one.sha256, "here": here}
    sentences = store.read(name) if here and show else None
    return told if sentences is None else told | {"sentences": {"system": sentences.system, "user": sentences.user}}


def _query_rule(stripped: str | None) -> str:
    """What becomes of the query, in words."""
    if stripped is None:
        return "as it is"
    return "lower case" + (f", without {' '.join(stripped)} at the ends" if stripped else "")


def _list(store: InstructionStore, as_json: bool) -> None:
    """Print which there are and which are here."""
    from thinkseg.writing import json_text

    if as_json:
        print(json_text({name: _facts(store, name) for name in store.known}, indent=2))
        return
    width = max(map(len, store.known))
    for name, one in store.known.items():
        here = "here" if store.intact(name) else "-"
        print(f"{name:{width}}  {here:4}  {one.sha256[:12]}  {one.use}")
    print()
    for system, kinds in store.asked.items():
        used = ", ".join(f"{one} ({kind or 'all else'})" for kind, one in kinds.items())
        print(f"{system}: {used}")
    print(f"\nkept in {store.folder}; fetch one, or all of a system, with: thinkseg instruction NAME")
