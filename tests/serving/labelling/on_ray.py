"""Labels on Ray with models that take their time: ``python on_ray.py SOURCE OUT LOG MARKER AFTER SECONDS``."""

import sys
from functools import partial
from pathlib import Path

import fakes

import thinkseg

if __name__ == "__main__":
    source, out, log, marker, after, seconds = sys.argv[1:]
    load = partial(fakes.load_slow, log=Path(log), marker=Path(marker), after=int(after), seconds=float(seconds))
    options = {"batch_size": 2, "rows_per_file": 4, "processes": 2, "engine": "ray", "device": "cpu", "load": load}
    thinkseg.label(source, query="it", out=out, **options)
