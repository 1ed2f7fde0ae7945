"""Write a folder as users have them: photographs, a mask for each, all of the same names.

    python scripts/make_own_folder.py OUT --images 40
    python scripts/make_own_folder.py OUT --images 40 --of first

The images are pocket scenes, of cut-outs and backgrounds that no training scene shows: OUT/images/*.jpg,
OUT/masks/*.png. Each has one animal, or, with ``--of first``, several things and a mask of the leftmost. The same
numbers give the same files. To learn them:

    thinkseg quickstart --data OUT --query 'the animal'
    thinkseg quickstart --data OUT --query 'number one'
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

from PIL import Image

from thinkseg.data.synthetic.assets import load_assets
from thinkseg.data.synthetic.composition import Scene
from thinkseg.data.synthetic.queries import Task
from thinkseg.data.synthetic.scenes import create_scene

KIND = "animal"
TASKS: tuple[Task, ...] = ("salient", "camouflaged")
"""In turns: some are easy to see, some are not."""
ANIMAL, FIRST = "animal", "first"


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to write, which must not be there")
    parser.add_argument("--images", type=int, default=40, metavar="N", help="how many (default: 40)")
    parser.add_argument(
        "--of",
        choices=(ANIMAL, FIRST),
        default=ANIMAL,
        help="what the masks are of: the one animal, or the leftmost of several things (default: animal)",
    )
    parser.add_argument("--size", type=int, default=384, metavar="PX", help="side of an image (default: 384)")
    parser.add_argument("--seed", type=int, default=0, help="other numbers give other images (default: 0)")
    args = parser.parse_args(words)
    if args.out.exists():
        sys.exit(f"'{args.out}' is there already: choose a new folder")
    for name in ("images", "masks"):
        (args.out / name).mkdir(parents=True)
    scenes = {ANIMAL: scenes_of_one, FIRST: scenes_of_several}[args.of]
    for number, scene in enumerate(islice(scenes(args.seed, args.size), args.images)):
        Image.fromarray(scene.image).save(args.out / "images" / f"{number:03d}.jpg", quality=92)
        Image.fromarray(scene.target.astype("uint8") * 255).save(args.out / "masks" / f"{number:03d}.png")
    print(f"{args.images} images and masks: {args.out}")


def scenes_of_one(seed: int, size: int) -> Iterator[Scene]:
    """Held-out scenes with a single animal, endlessly."""
    held_out = load_assets("test")
    animals = replace(held_out, cutouts=tuple(one for one in held_out.cutouts if KIND in one.kinds))
    for index in count():
        scene = create_scene(animals, seed, index, TASKS[index % len(TASKS)], size)
        if len(scene.things) == 1:
            yield scene


def scenes_of_several(seed: int, size: int) -> Iterator[Scene]:
    """Held-out scenes with several things, of which the leftmost is the target, endlessly."""
    held_out = load_assets("test")
    return (create_scene(held_out, seed, index, "jargon", size) for index in count())


if __name__ == "__main__":
    main()
