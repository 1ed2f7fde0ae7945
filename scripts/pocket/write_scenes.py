"""Compose training scenes once and keep them as flat arrays, so that the two pocket trainings need not wait for them.

    python scripts/pocket/write_scenes.py --out scenes --count 36000 --processes 2    (12 ms a scene and core)

Writes images.u8 (count, size, size, 3) RGB, index.u8 (count, size, size) with n on the pixels of thing n, and
things.jsonl with a line per scene: task, and kinds, box, area and colour of every thing. A second run goes on where the
first one stopped.
"""

import argparse
import dataclasses
import json
from multiprocessing import Process
from pathlib import Path

import numpy as np

from thinkseg.data.synthetic.assets import load_assets
from thinkseg.data.synthetic.scenes import Scenes

TASKS = {"salient": 0.25, "camouflaged": 0.2, "referring": 0.35, "reasoning": 0.15, "nothing": 0.05}


def write_part(out: Path, part: int, parts: int, count: int, size: int, seed: int) -> None:
    scenes = Scenes(load_assets("train"), count, seed, TASKS, size)
    images = np.memmap(out / "images.u8", np.uint8, "r+", shape=(count, size, size, 3))
    index_maps = np.memmap(out / "index.u8", np.uint8, "r+", shape=(count, size, size))
    lines = out / f"things.{part}.jsonl"
    done = len(lines.read_text(encoding="utf-8").splitlines()) if lines.exists() else 0
    with lines.open("a", encoding="utf-8") as stream:
        for index in list(range(part, count, parts))[done:]:
            scene = scenes.scene(index)
            images[index], index_maps[index] = scene.image, scene.index_map
            things = [dataclasses.asdict(thing) for thing in scene.things]
            stream.write(json.dumps({"index": index, "task": scenes.task_of(index), "things": things}) + "\n")
            stream.flush()


def create_files(out: Path, count: int, size: int) -> None:
    """Make room for so many scenes; files that are there stay as they are."""
    out.mkdir(parents=True, exist_ok=True)
    for name, channels in (("images.u8", 3), ("index.u8", 1)):
        file = out / name
        if not file.exists():
            with file.open("wb") as stream:
                stream.truncate(count * size * size * channels)


def join_parts(out: Path, parts: int) -> None:
    """One things.jsonl from those of the processes, in the order of the scenes."""
    texts = [(out / f"things.{part}.jsonl").read_text(encoding="utf-8") for part in range(parts)]
    lines = [line for text in texts for line in text.splitlines()]
    lines.sort(key=lambda line: json.loads(line)["index"])
    (out / "things.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=36_000)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    create_files(args.out, args.count, args.size)
    parts = [
        Process(target=write_part, args=(args.out, part, args.processes, args.count, args.size, args.seed))
        for part in range(args.processes)
    ]
    for part in parts:
        part.start()
    for part in parts:
        part.join()
    join_parts(args.out, args.processes)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
