"""Writes a zoo of image files into a folder, and leads ThinkSeg through it: one bad file may never stop the rest.

::

    python scripts/robustness/image_zoo.py --out runs/zoo

The animals (`strange_images.py`, `strange_masks.py`) lie in a folder of images and one of masks. Each file is read by
itself; then `thinkseg data check`, `segment`, `evaluate` and `metrics` are each run once over all of them. Every file
has to be accounted for by every run: it was read, or refused in one sentence that names it. What is broken: a
traceback, a file of which nothing is said, a reading that takes longer than 20 seconds or a run that takes more memory
than `MOST_BYTES`, a sound image that is refused, a damaged one that is read as another, a file that a run refuses and
`data check` has not found. A table of counts is printed; where something is broken the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from animals import Animal
from strange_images import strange_images
from zoo_verdicts import Verdicts, Zoo, is_of_other_size, read_each, shown, write_zoo

from thinkseg.data.text import printable

MOST_BYTES = 4 << 30
"""A run with its models. The largest image that is read takes 268 MB as RGB, and is held several times."""
RUN_SECONDS = 1200.0
"""What a run may take besides a second for each animal."""
FAULTS_OF_THE_FILE = frozenset(
    {"missing-mask", "missing-image", "bad-record", "unreadable", "truncated", "too-large", "wrong-size", "not-a-mask"}
)
"""Kinds of faults that `data check` finds in what cannot be used; the others are remarks."""
QUERY = "the bright square"


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    code: int
    out: str
    err: str


def run(words: Sequence[str], log: Path, seconds: float, found: Verdicts) -> Ended:
    """Let a command run, and say in the verdicts what is broken about it as a whole."""
    began = time.monotonic()
    with open(f"{log}.out", "wb") as out, open(f"{log}.err", "wb") as err:
        process = subprocess.Popen(words, stdout=out, stderr=err, start_new_session=True)
        timer = threading.Timer(seconds, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
    found.seconds = time.monotonic() - began
    found.bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    texts = [Path(f"{log}.{end}").read_text(encoding="utf-8", errors="replace") for end in ("out", "err")]
    ended = Ended(process.returncode, *texts)
    whole = f"the whole run ({log.name})"
    if ended.code < 0:
        found.broken[whole] = f"it was killed after {found.seconds:.0f} seconds (limit {seconds:.0f})"
    elif "Traceback (most recent call last)" in ended.err or "defect of ThinkSeg" in ended.err:
        found.broken[whole] = ended.err[-2000:]
    elif ended.code not in (0, 1):
        found.broken[whole] = f"it ended with {ended.code}: {ended.err[-2000:]}"
    elif found.bytes > MOST_BYTES:
        found.broken[whole] = f"it took {found.bytes:,} bytes"
    return ended


def data_check(zoo: Zoo, start: Sequence[str], found: Verdicts, seconds: float) -> None:
    """`thinkseg data check`: a fault of what cannot be used, remarks about the rest."""
    flags = ("--images", "images", "--masks", "masks", "--json")
    ended = run([*start, "data", "check", str(zoo.folder), *flags], zoo.folder / "check", seconds, found)
    faults = _json_of(ended.out)["sets"][0]["faults"] if ended.out.startswith("{") else []
    by_file = {fault["where"]: fault for fault in faults if fault["kind"] in FAULTS_OF_THE_FILE}
    over = {fault["where"] for fault in faults if fault["kind"] == "passed-over"}
    for animal in (*zoo.taken, *zoo.passed_over):
        fault = by_file.get(f"images/{animal.name}") or by_file.get(f"masks/{animal.mask_name}")
        if fault:
            found.refused[animal.name] = shown(f"{fault['where']} {fault['kind']} {fault['detail']}")
        elif f"images/{animal.name}" in over:
            found.passed.add(animal.name)
        else:
            found.read.add(animal.name)


def segment(zoo: Zoo, start: Sequence[str], found: Verdicts, seconds: float) -> None:
    """`thinkseg segment` of the folder, then of what it passes over by name; masks make no difference to it."""
    out = str(zoo.folder / "segmented")
    others = [str(zoo.images / animal.name) for animal in zoo.passed_over]
    for log, inputs in (("segment", [str(zoo.images)]), ("segment-named", others)):
        if inputs:
            words = [*start, "segment", *inputs, "--query", QUERY, "--json", "--instances", "--out", out]
            ended = run(words, zoo.folder / log, seconds, found)
            found.read |= {Path(_json_of(line)["image"]).name for line in _json_lines(ended.out)}
            _take_sentences(zoo, ended.err, "not done: ", found)


def evaluate(zoo: Zoo, start: Sequence[str], found: Verdicts, seconds: float) -> None:
    """`thinkseg evaluate folder`: a record for each sample."""
    out = zoo.folder / "evaluated"
    words = [*start, "evaluate", "folder", "--data", str(zoo.folder), "--out", str(out), "--save-overlays"]
    run(words, zoo.folder / "evaluate", seconds, found)
    file = out / "predictions.jsonl"
    records = (
        {line["id"]: line for line in map(_json_of, _json_lines(file.read_text(encoding="utf-8")))}
        if file.exists()
        else {}
    )
    for animal in zoo.taken:
        record = records.get(printable(os.path.splitext(animal.name)[0]))
        if record and record["failure"] in ("unreadable_image", "refused_image", "unreadable_truth"):
            found.refused[animal.name] = record["failure_detail"]
        elif record:
            found.read.add(animal.name)
    if found.read and not (out / "report.html").exists():
        found.broken["the whole run (evaluate)"] = "there is no report"


def metrics(zoo: Zoo, start: Sequence[str], found: Verdicts, seconds: float) -> None:
    """`thinkseg metrics`: the masks as targets, against sound predictions."""
    file = zoo.folder / "metrics.json"
    words = [*start, "metrics", str(zoo.folder / "predictions"), str(zoo.masks), "--resize", "--json", str(file)]
    ended = run([*words, "--processes", "1", "--measures", "giou,mae"], zoo.folder / "metrics", seconds, found)
    if not file.exists():
        found.broken.setdefault("the whole run (metrics)", f"it wrote nothing: {ended.err[-500:]}")
        return
    scores = _json_of(file.read_text(encoding="utf-8"))
    for animal in zoo.taken:
        name = shown(animal.mask_name)
        sentence = next((line for line in scores.get("left_out", ()) if f"/{name}'" in line), None)
        if sentence is None:
            found.read.add(animal.name)
        else:
            found.refused[animal.name] = sentence
    if len(found.read) != scores["count"]:
        found.broken["the whole run (metrics)"] = f"{scores['count']} were measured, {len(found.read)} are not left out"


RUNS: Mapping[str, Callable[[Zoo, Sequence[str], Verdicts, float], None]] = {
    "data check": data_check,
    "segment": segment,
    "evaluate": evaluate,
    "metrics": metrics,
}


def _expected_of(name: str, animal: Animal) -> Animal:
    """What a run has to make of an animal: a model may refuse rare shapes, and not every run asks for masks."""
    if name == "segment" and animal.about_mask:
        return replace(animal, expected="read")
    if name == "metrics":
        return animal if animal.about_mask and not is_of_other_size(animal) else replace(animal, expected="read")
    if name in ("segment", "evaluate") and _is_narrow(animal):
        return replace(animal, expected="either")
    return animal


def _is_narrow(animal: Animal) -> bool:
    """Whether a model may refuse it: Qwen's processors do above 200 times as long as wide."""
    return animal.name[0].isdigit() and "x" in animal.name


def visit(folder: Path, animals: Sequence[Animal], start: Sequence[str]) -> dict[str, Verdicts]:
    """Write the zoo into a new folder, and lead all runs through it.

    Args:
        folder: a new one.
        animals: what is in it.
        start: the words that start ThinkSeg.

    Returns:
        What became of the animals, by the name of the run.
    """
    zoo = write_zoo(folder, animals)
    found = {"each file": read_each(zoo)}
    for name, lead in RUNS.items():
        verdicts = found[name] = Verdicts()
        lead(zoo, start, verdicts, RUN_SECONDS + len(animals))
        among = [*zoo.taken, *zoo.passed_over] if name in ("data check", "segment") else zoo.taken
        verdicts.account_for(_expected_of(name, animal) for animal in among)
    checked = found["data check"].refused
    for name in ("segment", "evaluate"):
        for missed in found[name].refused.keys() - checked.keys():
            if not _is_narrow(next(animal for animal in animals if animal.name == missed)):
                found["data check"].broken.setdefault(missed, f"'{name}' refuses it, and no fault was found")
    return found


def _take_sentences(zoo: Zoo, err: str, start: str, found: Verdicts) -> None:
    """What a run says of files that it could not use, in lines that begin so."""
    lines = [line.removeprefix(start) for line in err.split("\n") if line.startswith(start)]
    for animal in zoo.animals:
        ends = f"/{shown(animal.name)}'"
        sentence = next((line for line in lines if ends in line), None)
        if sentence is not None:
            found.refused[animal.name] = sentence


def _json_of(text: str) -> dict:
    value = json.loads(text)
    assert isinstance(value, dict)
    return value


def _json_lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.startswith("{")]


def in_words(found: Mapping[str, Verdicts]) -> str:
    """A table for people, and what is broken."""
    lines = [f"{'run':14}{'read':>7}{'refused':>9}{'passed over':>13}{'broken':>8}{'seconds':>9}{'memory':>9}"]
    for name, verdicts in found.items():
        numbers = (
            f"{len(verdicts.read):>7}{len(verdicts.refused):>9}{len(verdicts.passed):>13}{len(verdicts.broken):>8}"
        )
        memory = f"{verdicts.bytes / 2**20:>6.0f} MB" if verdicts.bytes else ""
        lines.append(f"{name:14}{numbers}{verdicts.seconds:>9.1f}{memory:>9}")
    for name, verdicts in found.items():
        lines += [
            f"\nbroken in {name}: {shown(animal)}: {shown(why)[:1500]}" for animal, why in verdicts.broken.items()
        ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Do what is asked for, print the counts, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", choices=("pocket", "fake"), default="pocket", help="which answer (default: pocket)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth, and none that takes seconds")
    parser.add_argument("--seed", type=int, default=0, help="of what is random in the files (default: 0)")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="a new folder for the zoo and the results"
    )
    args = parser.parse_args(argv)
    everyone = list(strange_images(args.seed, heavy=args.every == 1))
    models = {"plain.png", *(animal.same_as for animal in everyone[:: args.every])}
    wanted = [one for number, one in enumerate(everyone) if number % args.every == 0 or one.name in models]
    script = Path(__file__).with_name("with_fake_models.py")
    start = [sys.executable, *(["-m", "thinkseg"] if args.models == "pocket" else [str(script)])]
    found = visit(args.out.resolve(), wanted, start)
    print(in_words(found))
    broken = sum(len(verdicts.broken) for verdicts in found.values())
    kinds = Counter(type(animal.image).__name__ for animal in wanted)
    print(f"{len(wanted)} animals ({kinds['Special']} are no plain files), {len(found)} runs, {broken} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
