"""Kills evaluations, `thinkseg segment` and trainings at random moments, goes on, and compares with a whole run.

::

    python scripts/robustness/kill_and_compare.py --work evaluate segment sft --rounds 10 --out runs/killed

Each round starts the command in a new folder, kills it and all that it has started with SIGKILL after a random share of
the processor time that the whole run took, and does so again until the command has ended by itself; the last start is
not killed. Every second start of a training is killed at a moment at which a checkpoint is being written. The files
that the work promises have to be those of a run that nobody killed, byte by byte; of a training these are the trained
model, the best one and the log, but for the times in it. The counts are printed, and the exit code is 1 where a folder
differs. The work is done by the pocket models on a few images that are drawn here, or on scenes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

IMAGES = 12
KILLS = 5
"""So often a round may be killed before it is let end."""
SIDE = 64
QUERIES = ("the red square", "what is red", "the square")


def has_checkpoint(out: Path) -> bool:
    """Whether a training has written a checkpoint to its end, so that it is to be resumed."""
    return any(out.glob("checkpoint-*/manifest.json"))


def is_saving(out: Path, since: float = 0.0) -> bool:
    """Whether a training has begun to write a checkpoint since a moment, and not written it to its end."""
    newest = max(out.glob("checkpoint-*"), key=lambda folder: int(folder.name.rpartition("-")[2]), default=None)
    # Older ones go while the newest is whole; that one stays.
    return newest is not None and not (newest / "manifest.json").exists() and newest.stat().st_mtime >= since


@dataclass(frozen=True)
class Work:
    """A command that can be gone on with, and which of its files have to be the same."""

    words: Sequence[str]
    """After ``thinkseg``; OUT stands for the folder, DATA for that of the images."""
    compared: Sequence[str]
    """Patterns of the files that are compared, from the folder on."""
    processes: int = 1
    """How many a launcher starts; the command starts those of its own itself."""
    is_training: bool = False
    """Whether it writes checkpoints, from which it goes on only with ``--resume``."""


def _training(stage: str, *words: str, processes: int = 1) -> Work:
    """A few steps of a pocket recipe, with a checkpoint and a validation after each."""
    recipe = str(Path(__file__).parents[2] / "recipes" / "pocket" / f"{stage}.yaml")
    small = ("--steps", "4", "--save_every", "1", "--log_every", "1", "--data.size", "64", "--trl.warmup_steps", "0")
    watched = ("--validation.every", "1", "--validation.samples", "2", "--validation.batch_size", "2")
    given = ("train", stage, recipe, *small, *watched, *words, "--device", "cpu", "--output", "OUT")
    return Work(given, ("final/*", "best/*", "log.jsonl"), processes, is_training=True)


EVALUATE = ("evaluate", "folder", "--data", "DATA", "--batch-size", "1", "--out", "OUT")
SEGMENT = ("segment", "DATA/images", "--query", "the red square", "--batch-size", "1", "--instances", "--out", "OUT")
SFT = ("sft", "--trl.per_device_train_batch_size", "2")
RL = ("rl", "--generation.max_new_tokens", "24", "--segmenter", "grabcut", "--trl.num_generations", "2")
RL = (*RL, "--trl.per_device_train_batch_size", "4")
TOGETHER = ("--data.source", "dataset", "--data.name", "own", "--data.root", "DATA.csv")
TOGETHER = (*TOGETHER, "--data.shuffle", "images", "--shared_prefix", "on", "--validation.share", "0.2")
LORA = ("--model.lora.r", "4")
WORKS: Mapping[str, Work] = {
    "evaluate": Work(EVALUATE, ("predictions.jsonl",)),
    "processes": Work((*EVALUATE, "--processes", "2"), ("predictions.jsonl",)),
    "segment": Work(SEGMENT, ("[!.]*",)),
    "sft": _training(*SFT),
    "rl": _training(*RL),
    "sft-lora": _training(*SFT, *LORA),
    "rl-lora": _training(*RL, *LORA),
    "rl-own-prompts": _training(*RL, "--shared_prefix", "off"),
    "rl-passes": _training(*RL, "--trl.gradient_accumulation_steps", "4", "--tokens_per_pass", "900"),
    "sft-images": _training("sft", "--trl.per_device_train_batch_size", "4", *TOGETHER),
    "sft-processes": _training(*SFT, processes=2),
    "rl-processes": _training(*RL, processes=2),
}
"""By the name that it is asked for by."""

TIMES = ("seconds", "elapsed", "step_time", "eval_seconds")
"""What a log says that is another in every run."""


@dataclass
class Counts:
    """What came of the rounds of a work."""

    rounds: int = 0
    killed: int = 0
    saving: int = 0
    """Kills that left a checkpoint behind which was not written to its end."""
    same: int = 0
    differing: list[str] = field(default_factory=list)

    def in_words(self, name: str) -> str:
        """A line for people."""
        torn = f" ({self.saving} while a checkpoint was written)" if self.saving else ""
        told = f"{name}: {self.rounds} rounds, {self.killed} kills{torn}, {self.same} ended the same"
        return told + "".join(f"\n  differs: {where}" for where in self.differing)


def write_images(folder: Path, count: int = IMAGES) -> None:
    """Draw images with a red square each, their masks, and beside their folder a table of what is asked."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    rng, rows = np.random.default_rng(0), ["image,query,mask"]
    for index in range(count):
        x, y = rng.integers(4, SIDE - 28, size=2)
        mask = np.zeros((SIDE, SIDE), dtype=bool)
        mask[y : y + 24, x : x + 24] = True
        pixels = np.where(mask[..., None], (200, 40, 30), rng.integers(60, 120, size=3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{index:02}.png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / "masks" / f"{index:02}.png")
        name = f"{index:02}.png"
        rows += [f"{folder.name}/images/{name},{query},{folder.name}/masks/{name}" for query in QUERIES]
    folder.with_suffix(".csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def command_of(work: Work, data: Path, out: Path) -> list[str]:
    """The words that start a work, or go on with it."""
    words = [word.replace("DATA", str(data)).replace("OUT", str(out)) for word in work.words]
    resume = ["--resume"] if work.is_training and has_checkpoint(out) else []
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(work.processes), "-m"]
    return [sys.executable, "-m", *(launcher if work.processes > 1 else []), "thinkseg", *words, *resume]


IsOver = Callable[[psutil.Popen], bool]
"""Says of a command whether it is to be killed."""


def run(words: Sequence[str], is_over: IsOver, log: Path) -> bool:
    """Let a command run, and kill it with all that it has started when it is time; tell whether it was killed.

    Args:
        words: the command.
        is_over: whether it is time.
        log: where all goes that it prints.

    Raises:
        RuntimeError: it ended by itself, and with an error.
    """
    # With one thread a sum is always taken in the same order, and several runs do not wait for each other.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with log.open("ab") as file:
        process = psutil.Popen(words, stdout=file, stderr=file, env=environment)
        while process.poll() is None:
            if is_over(process):
                kill_all(process)
                return True
            time.sleep(0.005)
    if process.returncode != 0:
        raise RuntimeError(f"'{' '.join(words)}' ended with {process.returncode}; see {log}")
    return False


def kill_all(process: psutil.Popen) -> None:
    """Kill a process, and all that it has started, wherever a launcher has put them."""
    every = [process, *process.children(recursive=True)]
    for one in every:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(every)


def contents(folder: Path, patterns: Sequence[str]) -> dict[str, bytes]:
    """What the files that are compared hold, but for the name of the folder and the times in a log."""
    files = sorted(path for pattern in patterns for path in folder.glob(pattern) if path.is_file())
    return {str(path.relative_to(folder)): _timeless(path).replace(str(folder).encode(), b"OUT") for path in files}


def _timeless(path: Path) -> bytes:
    content = path.read_bytes()
    if path.name != "log.jsonl":
        return content
    records = [json.loads(line) for line in content.splitlines()]
    return "".join(
        json.dumps({name: value for name, value in record.items() if name not in TIMES}) + "\n" for record in records
    ).encode()


def processor_seconds(process: psutil.Popen) -> float:
    """What a command and all that it has started have used up to now, however busy the machine is."""
    try:
        times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    except psutil.NoSuchProcess:
        return 0.0  # one has just ended
    return sum(used.user + used.system for used in times)


def moment(work: Work, out: Path, start: int, seconds: float, rng: random.Random) -> IsOver:
    """When a start is killed.

    Args:
        work: what is started.
        out: its folder.
        start: its number in the round, from 0 on.
        seconds: of processor time that the whole work takes.
        rng: draws the moment.
    """
    limit = rng.uniform(0.1, 0.5) * seconds  # on a busy machine the same work takes more, or less
    if not work.is_training or start % 2 == 0:
        return lambda process: processor_seconds(process) > limit
    began, wait, first = time.time(), rng.uniform(0, 0.1), []  # within the writing, not always at its beginning

    def is_within_saving(_: psutil.Popen) -> bool:
        if is_saving(out, since=began):
            first.append(time.time())
        return bool(first) and time.time() - first[0] > wait

    return is_within_saving


def kill_and_compare(name: str, rounds: int, folder: Path, rng: random.Random, kills: int = KILLS) -> Counts:
    """Do the rounds of one work, each with so many kills at most before it is let end."""
    work, data, counts = WORKS[name], folder / "data", Counts()
    write_images(data)
    whole = folder / name / "whole"
    whole.parent.mkdir(parents=True, exist_ok=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(command_of(work, data, whole), lambda _: False, folder / name / "whole.log")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    expected = contents(whole, work.compared)
    assert expected, f"'{name}' has written no {' or '.join(work.compared)}"
    for number in range(1, rounds + 1):
        out, log = folder / name / f"round-{number}", folder / name / f"round-{number}.log"
        for start in range(kills + 1):
            is_over: IsOver = moment(work, out, start, seconds, rng) if start < kills else lambda _: False
            if not run(command_of(work, data, out), is_over, log):
                break
            counts.killed += 1
            counts.saving += work.is_training and is_saving(out)
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
    parser.add_argument("--kills", type=int, default=KILLS, metavar="N", help=f"of a round at most (default: {KILLS})")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder for all that is written")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True)
    rng, failed = random.Random(args.seed), 0
    for name in args.work:
        counts = kill_and_compare(name, args.rounds, args.out.resolve(), rng, args.kills)
        failed += len(counts.differing)
        print(counts.in_words(name), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
