"""Puts hostile texts through every reader of text: only the errors that it documents may come out, and in time.

::

    python scripts/robustness/fuzz_texts.py --texts 100000 --out runs/fuzzed

The texts are well-formed ones of each kind that were cut, spliced, nested, filled with half surrogates, NUL and numbers
that no one has room for. What is checked: an error is of the kind that the reader documents, in one line that a file
can hold; no reading takes longer than `MOST_SECONDS` of processor time, nor so much memory that the process grows by
`MOST_BYTES`; what a format renders it reads, and refuses to render what it would refuse to read. A table of counts is
printed; where something breaks, the text is saved and the exit code is 1.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from hostile_texts import mutated, mutated_value, random_answer
from PIL import Image
from wellformed_texts import KINDS, SIDE

import thinkseg
from thinkseg.answers import FORMATS, AnswerFormat, get_format
from thinkseg.answers.codec import answer_from_json
from thinkseg.data.readers.class_maps import read_class_map
from thinkseg.data.readers.coco import list_coco
from thinkseg.data.readers.cvat import list_cvat
from thinkseg.data.readers.label_studio import list_label_studio
from thinkseg.data.readers.labelme import list_labelme
from thinkseg.data.readers.segmentations import mask_from_run_lengths, mask_from_segmentation
from thinkseg.data.readers.tables import list_table
from thinkseg.data.readers.yolo import list_yolo
from thinkseg.errors import DataError, ImageError, InputError, MalformedAnswer, ThinkSegError
from thinkseg.evaluation.record_file import read_header, read_records
from thinkseg.evaluation.report_file import read_report
from thinkseg.models.checkpoint_config import CONFIG_FILE, read_config
from thinkseg.training.config import load_fragment, load_recipe
from thinkseg.types import Size

MOST_SECONDS = 2.0
"""Processor time of one reading. The slowest that is right draws a mask of `MAX_PIXELS`, which takes half of it."""
MOST_BYTES = 2 << 30
FRAME = Size(640, 480)

Read = Callable[[str, Path], object]
"""Reads a text; files that it writes for that lie in the folder."""


class BrokenLawError(Exception):
    """A reader has read, and something that it promises does not hold."""


class TooSlowError(BaseException):
    """A reading takes too long."""


@dataclass(frozen=True)
class Reader:
    """One way in for text."""

    kind: str
    """Of the texts that it is made for, a key of `KINDS`."""
    read: Read
    errors: tuple[type[Exception], ...] = (InputError,)
    """What it documents."""


@dataclass
class Counts:
    """What came of the texts of a reader."""

    texts: int = 0
    read: int = 0
    refused: int = 0
    broken: int = 0
    slowest: float = 0.0
    """Seconds of processor time."""
    kinds: set[str] = field(default_factory=set)
    """Of what is broken, so that one fault is told once."""


def _parsed(answer_format: AnswerFormat) -> Read:
    def read(text: str, folder: Path) -> None:
        tried = answer_format.try_parse(text, FRAME)
        answer = None if isinstance(tried, MalformedAnswer) else tried
        score = answer_format.form_score(text, FRAME, answer)
        if not 0 <= score <= 3:
            raise BrokenLawError(f"the form scores {score}")
        try:
            parsed = answer_format.parse(text, FRAME)
        except ThinkSegError:
            if answer is not None:
                raise BrokenLawError("try_parse reads what parse refuses") from None
            tried.reason.encode()
            raise
        if parsed != answer:
            raise BrokenLawError("try_parse and parse read different answers")
        _rendered(answer_format, parsed)

    return read


def _rendered(answer_format: AnswerFormat, answer: Any) -> bool:
    try:
        expressed, text = answer_format.canonical(answer), answer_format.render(answer)
    except ValueError:
        return False
    try:
        found = answer_format.parse(text, answer.frame)
    except ThinkSegError as error:
        raise BrokenLawError(f"parse refuses what render writes: {error}; {text[:2000]}") from error
    if found != expressed or answer_format.canonical(expressed) != expressed:
        raise BrokenLawError(f"parse reads another answer than render has written: {text[:2000]}")
    return True


def _file(name: str, read: Callable[[Path], object]) -> Read:
    def through_file(text: str, folder: Path) -> None:
        (folder / name).write_bytes(text.encode("utf-8", "surrogatepass"))
        read(folder / name)

    return through_file


def _value(read: Callable[[Any], object]) -> Read:
    """Of what the text holds as JSON; the text itself where it holds none."""

    def through_json(text: str, folder: Path) -> None:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = text
        read(value)

    return through_json


def _all_of(listing: Any) -> None:
    for index in range(len(listing)):
        try:
            listing.read(index)
        except (DataError, ImageError) as error:
            check_sentence(error)


def _each(splits: Mapping[str, Any]) -> None:
    for listing in splits.values():
        _all_of(listing)


def _yolo_labels(file: Path) -> None:
    names = file.with_name("classes.txt")
    names.write_text("cup\nlid\n", encoding="utf-8")
    _each(list_yolo(names))


def _answer(value: Any) -> None:
    if isinstance(value, Mapping):
        answer_from_json(value)


def _scored(file: Path) -> None:
    for found in thinkseg.score(file, format="vision-reasoner"):
        json.dumps(found.as_json(), allow_nan=False).encode()


READERS: Mapping[str, Reader] = {
    **{name: Reader(name, _parsed(get_format(name)), (MalformedAnswer,)) for name in FORMATS},
    **{
        f"{name}, tolerant": Reader(name, _parsed(get_format(name, tolerant=True)), (MalformedAnswer,))
        for name, kind in FORMATS.items()
        if kind.can_be_tolerant
    },
    "score file": Reader("score", _file("texts.jsonl", _scored)),
    "table.csv": Reader("csv", _file("table.csv", lambda file: _all_of(list_table(file)))),
    "table.tsv": Reader("tsv", _file("table.tsv", lambda file: _all_of(list_table(file)))),
    "table.jsonl": Reader("rows", _file("table.jsonl", lambda file: _all_of(list_table(file)))),
    "COCO file": Reader("coco", _file("coco.json", lambda file: _all_of(list_coco(file, file.parent)))),
    "labelme": Reader("labelme", _file("a.json", lambda file: _all_of(list_labelme(file)))),
    "Label Studio": Reader("label studio", _file("tasks.json", lambda file: _all_of(list_label_studio(file)))),
    "CVAT": Reader("cvat", _file("annotations.xml", lambda file: _each(list_cvat(file)))),
    "YOLO": Reader("yolo", _file("data.yaml", lambda file: _each(list_yolo(file)))),
    "YOLO labels": Reader("yolo labels", _file("a.txt", _yolo_labels)),
    "class map": Reader("class map", _file("classes.json", read_class_map)),
    "class map in lines": Reader("class map lines", _file("labelmap.txt", read_class_map)),
    "class map in rows": Reader("class map rows", _file("classes.csv", read_class_map)),
    "run lengths": Reader("runs", _value(mask_from_run_lengths)),
    "segmentation": Reader("polygons", _value(lambda value: mask_from_segmentation(value, Size(SIDE, SIDE)))),
    "answer as JSON": Reader("answer", _value(_answer)),
    "recipe": Reader("recipe", _file("recipe.yaml", load_recipe)),
    "recipe in part": Reader("recipe", _file("recipe.yaml", load_fragment)),
    CONFIG_FILE: Reader("config", _file(CONFIG_FILE, lambda file: read_config(file.parent))),
    "predictions.jsonl": Reader("records", _file("predictions.jsonl", read_records)),
    "run.json": Reader("header", _file("run.json", read_header)),
    "report.json": Reader("report", _file("report.json", lambda file: read_report(file.parent).runs())),
}


def check_sentence(error: BaseException) -> None:
    """An error is one line that a file can hold."""
    sentence = str(error)
    try:
        sentence.encode()
    except UnicodeEncodeError as half:
        raise BrokenLawError(f"the sentence of an error cannot be written: {sentence!r:.300}") from half
    if not sentence.strip() or "\n" in sentence or len(sentence) > 8000:
        raise BrokenLawError(f"an error is no sentence: {sentence!r:.300} ({len(sentence)} characters)")


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Stop what takes more processor time."""

    def stop(*_: object) -> None:
        raise TooSlowError(f"it took more than {seconds:g} seconds")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def put_through(reader: Reader, text: str, folder: Path, counts: Counts) -> str | None:
    """Let a reader read a text; what is broken about it, or None."""
    counts.texts += 1
    grown = _largest()
    began = time.thread_time()
    broken = None
    try:
        with bounded(MOST_SECONDS):
            reader.read(text, folder)
        counts.read += 1
    except reader.errors as error:
        counts.refused += 1
        try:
            check_sentence(error)
        except BrokenLawError as law:
            broken = str(law)
    except (Exception, TooSlowError):  # noqa: BLE001 - whatever it is, it is what is looked for
        broken = traceback.format_exc()
    counts.slowest = max(counts.slowest, time.thread_time() - began)
    if _largest() - grown > MOST_BYTES:
        broken = broken or f"the process grew by {_largest() - grown:,} bytes"
    if broken:
        counts.broken += 1
    return broken


def _largest() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def fuzz(texts: int, seed: int, out: Path, readers: Mapping[str, Reader] = READERS) -> dict[str, Counts]:
    """Put so many texts through the readers of their kind, one in ten through all; save what breaks one in `out`.

    Every text of a format's kind also tries the law of rendering on an answer of its own.
    """
    counts = {name: Counts() for name in readers}
    law = Counts()
    for recipe in ("pocket/sft", "pocket/rl"):  # the first one of a stage imports TRL
        load_recipe(recipe)
    kinds = sorted({reader.kind for reader in readers.values()})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Image.new("RGB", (SIDE, SIDE), "red").save(folder / "a.png")
        Image.fromarray(np.eye(SIDE, dtype=np.uint8) * 255).save(folder / "m.png")
        for number in range(texts):
            rng = random.Random(f"{seed}:{number}")
            kind = rng.choice(kinds)
            text = hostile(kind, rng, KINDS[rng.choice(kinds)](rng, lambda value: value))
            everywhere = number % 10 == 0
            for title, reader in readers.items():
                if everywhere or reader.kind == kind:
                    broken = put_through(reader, text, folder, counts[title])
                    if broken:
                        _save(out, title, number, text, broken, counts[title])
            if kind in FORMATS:
                broken = put_through(Reader(kind, _law(kind, rng), (ValueError,)), "", folder, law)
                if broken:
                    _save(out, "render", number, broken, broken, law)
    return {**counts, "render, then parse": law}


def hostile(kind: str, rng: random.Random, other: str = "") -> str:
    """A hostile text of a kind: of a changed structure, a changed text, or both."""
    changed = rng.random()
    try:
        text = KINDS[kind](rng, (lambda value: mutated_value(value, rng)) if changed < 0.6 else (lambda value: value))
    except (ValueError, yaml.YAMLError):  # a structure that cannot be written
        text = KINDS[kind](rng, lambda value: value)
    return text if changed < 0.4 and kind not in FORMATS else mutated(text, rng, other)


def _law(kind: str, rng: random.Random) -> Read:
    def read(text: str, folder: Path) -> None:
        if not _rendered(get_format(kind), random_answer(rng)):
            raise ValueError("the format cannot write it")

    return read


def _save(out: Path, reader: str, number: int, text: str, broken: str, counts: Counts) -> None:
    places = re.findall(r'File ".*/(.*?)", line (\d+)', broken)
    kind = f"{places[-1]} {broken.strip().splitlines()[-1][:20]}" if places else broken[:50]
    if kind not in counts.kinds:
        counts.kinds.add(kind)
        out.mkdir(parents=True, exist_ok=True)
        name = f"{reader.replace(', ', '-').replace(' ', '-')}-{number}"
        (out / f"{name}.txt").write_bytes(text.encode("utf-8", "surrogatepass"))
        (out / f"{name}.why.txt").write_text(broken, encoding="utf-8", errors="backslashreplace")


def in_words(counts: Mapping[str, Counts]) -> str:
    """A table for people."""
    lines = [f"{'reader':26}{'texts':>9}{'read':>9}{'refused':>9}{'broken':>8}{'slowest':>10}"]
    for name, found in counts.items():
        numbers = f"{found.texts:>9,}{found.read:>9,}{found.refused:>9,}{found.broken:>8,}"
        lines.append(f"{name:26}{numbers}{1000 * found.slowest:>7.0f} ms")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Do what is asked for, print the counts, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--texts", type=int, default=10_000, metavar="N", help="how many (default: 10000)")
    parser.add_argument("--seed", type=int, default=0, help="of the texts (default: 0)")
    parser.add_argument("--readers", nargs="+", choices=sorted(READERS), default=list(READERS), metavar="NAME")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where what breaks a reader is saved")
    args = parser.parse_args(argv)
    counts = fuzz(args.texts, args.seed, args.out, {name: READERS[name] for name in args.readers})
    print(in_words(counts))
    broken = sum(found.broken for found in counts.values())
    print(f"{args.texts:,} texts, {sum(found.texts for found in counts.values()):,} readings, {broken:,} broken")
    if broken:
        print(f"the texts that broke a reader lie in '{args.out}'")
    return 1 if broken else 0


if __name__ == "__main__":
    faulthandler.enable()  # a crash of a library in C ends the process, and shows where
    raise SystemExit(main())
