"""Images with requests to begin with: held-out scenes of the pocket distribution, one for each kind of request, or
what a table of the user's own names.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from thinkseg.data.synthetic.assets import load_assets
from thinkseg.data.synthetic.queries import Task
from thinkseg.data.synthetic.scenes import create_scene
from thinkseg.data.writers.names import Names
from thinkseg.errors import DataError
from thinkseg.imaging import read_header
from thinkseg.serving.jobs import list_jobs

_SEED = 11

_SCENES: tuple[tuple[Task, int], ...] = (
    ("reasoning", 76),
    ("salient", 55),
    ("reasoning", 42),
    ("referring", 58),
    ("camouflaged", 48),
    ("nothing", 76),
)
"""Chosen among 500 by looking at them: clear images, of whose answers by the pocket models every one is right, the
abstention at the end, too."""


@dataclass(frozen=True, slots=True)
class Example:
    """An image's file with a request."""

    image: Path
    query: str


def write_examples(folder: Path) -> list[Example]:
    """Compose the examples into a folder; none where the pocket images are not installed."""
    try:
        images = load_assets("test")
    except DataError:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    examples = []
    for task, index in _SCENES:
        scene = create_scene(images, _SEED, index, task)
        path = folder / f"{task}-{index}.png"
        Image.fromarray(scene.image).save(path)
        examples.append(Example(path, scene.query.text))
    return examples


def read_examples(table: str | Path) -> Callable[[Path], list[Example]]:
    """The examples that a table, or whatever else names images with queries (`thinkseg.serving.jobs`), brings.

    Raises:
        InputError: it names nothing, an image is not there, or one has no query.
    """
    jobs = list_jobs([table])
    for job in jobs:
        read_header(job.image)

    def copy(folder: Path) -> list[Example]:
        folder.mkdir(parents=True, exist_ok=True)
        names, examples = Names(), []
        for job in jobs:
            path = folder / f"{names.of(job.image.stem)}{job.image.suffix}"
            shutil.copyfile(job.image, path)
            examples.append(Example(path, job.query))
        return examples

    return copy
