"""Labels with models that kill this process: ``python killed.py SOURCE OUT MARKER AFTER``."""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import fakes

import thinkseg

if __name__ == "__main__":
    source, out, marker, after = sys.argv[1:]
    deadly = partial(fakes.load_deadly, marker=Path(marker), after=int(after))
    options = {"batch_size": 2, "rows_per_file": 4, "processes": 1, "progress": False, "load": deadly}
    thinkseg.label(source, query="it", out=out, **options)
