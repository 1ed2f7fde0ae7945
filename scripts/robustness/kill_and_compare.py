"""Kills evaluations and calls of `thinkseg segment` at random moments, goes on, and compares with a whole run.

::

    python scripts/robustness/kill_and_compare.py --work evaluate segment --rounds 10 --out runs/killed

Each round starts the command in a new folder, kills it and all that it has started with SIGKILL after a random time,
up to as long as the whole run took, and does so again until the command has ended by itself; the last start is not
killed. The files that the work promises have to be those of a run that nobody killed, letter by letter. The counts are
printed, and the exit code is 1 where a folder differs. The work is done by the pocket models on a few images that are
drawn here.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

IMAGES = 12
STARTS = 5
"""So often a round may be killed before it is let end."""
SIDE = 64


@dataclass(frozen=True)
class Work:
    """A command that can be gone on with, and which of its files have to be the same."""

    words: Sequence[str]
    """After ``thinkseg``; OUT stands for the folder, DATA for that of the images."""
    compared: str
    """Pattern of the files that are compared, from the folder on."""


EVALUATE = ("evaluate", "folder", "--data", "DATA", "--batch-size", "1", "--out", "OUT")
SEGMENT = ("segment", "DATA/images", "--query", "the red square", "--batch-size", "1", "--instances", "--out", "OUT")
WORKS: Mapping[str, Work] = {
    "evaluate": Work(EVALUATE, "predictions.jsonl"),
    "processes": Work((*EVALUATE, "--processes", "2"), "predictions.jsonl"),
    "segment": Work(SEGMENT, "[!.]*"),
}
"""By the name that it is asked for by."""


@dataclass
class Counts:
    """What came of the rounds of a work."""

    rounds: int = 0
    killed: int = 0
    same: int = 0
    differing: list[str] = field(default_factory=list)

    def in_words(self, name: str) -> str:
        """A line for people."""
        told = f"{name}: {self.rounds} rounds, {self.killed} kills, {self.same} ended the same"
        return told + "".join(f"\n  differs: {where}" for where in self.differing)


def write_images(folder: Path, count: int = IMAGES) -> None:
    """Draw images with a red square each, and the masks of the squares."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for index in range(count):
        x, y = rng.integers(4, SIDE - 28, size=2)
        mask = np.zeros((SIDE, SIDE), dtype=bool)
        mask[y : y + 24, x : x + 24] = True
        pixels = np.where(mask[..., None], (200, 40, 30), rng.integers(60, 120, size=3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{index:02}.png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / "masks" / f"{index:02}.png")


def command_of(work: Work, data: Path, out: Path) -> list[str]:
    """The words that start a work, or go on with it."""
    words = [word.replace("DATA", str(data)).replace("OUT", str(out)) for word in work.words]
    return [sys.executable, "-m", "thinkseg", *words]


def run(words: Sequence[str], seconds: float | None, log: Path) -> bool:
    """Let a command run, and kill it with all that it has started when its time is over; tell whether it was killed.

    Raises:
        RuntimeError: it ended by itself, and with an error.
    """
    with log.open("ab") as file:
        process = subprocess.Popen(words, stdout=file, stderr=file, start_new_session=True)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return True
    if code != 0:
        raise RuntimeError(f"'{' '.join(words)}' ended with {code}; see {log}")
    return False


def contents(folder: Path, pattern: str) -> dict[str, bytes]:
    """What the files that are compared hold, but for the name of the folder."""
    files = sorted(path for path in folder.glob(pattern) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes().replace(str(folder).encode(), b"OUT") for path in files}


def kill_and_compare(name: str, rounds: int, folder: Path, rng: random.Random) -> Counts:
    """Do the rounds of one work."""
    work, data, counts = WORKS[name], folder / "data", Counts()
    write_images(data)
    began = time.monotonic()
    whole = folder / name / "whole"
    whole.parent.mkdir(parents=True, exist_ok=True)
    run(command_of(work, data, whole), None, folder / name / "whole.log")
    seconds = time.monotonic() - began
    expected = contents(whole, work.compared)
    assert expected, f"'{name}' has written no {work.compared}"
    for number in range(1, rounds + 1):
        out, log = folder / name / f"round-{number}", folder / name / f"round-{number}.log"
        for start in range(STARTS + 1):
            limit = None if start == STARTS else rng.uniform(0.2, 1.0) * seconds
            if not run(command_of(work, data, out), limit, log):
                break
            counts.killed += 1
        counts.rounds += 1
        found = contents(out, work.compared)
        wrong = sorted(file for file in expected.keys() | found.keys() if expected.get(file) != found.get(file))
        counts.same += not wrong
        counts.differing += [f"{out}: {', '.join(wrong)}"] if wrong else []
    return counts


def main(argv: Sequence[str] | None = None) -> int:
    """Do what is asked for, print the counts, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", nargs="+", choices=sorted(WORKS), default=sorted(WORKS), help="what is killed")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of each work (default: 5)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder for all that is written")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True)
    rng, failed = random.Random(args.seed), 0
    for name in args.work:
        counts = kill_and_compare(name, args.rounds, args.out.resolve(), rng)
        failed += len(counts.differing)
        print(counts.in_words(name), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
