"""``thinkseg.export``: masks in a format that other tools read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from thinkseg.arguments import FLAG, PATH, TEXT, Kind, instance, read_one_by_one, takes
from thinkseg.data.writers.written import WriteOptions, Written
from thinkseg.errors import InputError
from thinkseg.evaluation.run import Run
from thinkseg.types import Sample

if TYPE_CHECKING:
    from thinkseg.data.discovery.custom import OwnData
    from thinkseg.data.listing import Listing
    from thinkseg.data.samples import LazySamples

_NUMBER = Kind("a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool))


@takes(
    source=PATH | instance("an evaluation", Run) | read_one_by_one(instance("a sample", Sample), "a list of samples"),
    out=PATH,
    format=TEXT,
    polygons=FLAG,
    tolerance=_NUMBER,
    copy_images=FLAG,
    crop=FLAG,
    query=TEXT,
    split=TEXT,
    dataset=TEXT,
    images=TEXT,
    masks=TEXT,
    annotations=TEXT,
    encoding=TEXT,
)
def export(
    source: str | Path | Run | Sequence[Sample],
    out: str | Path,
    format: str = "coco",
    *,
    polygons: bool = False,
    tolerance: float = 1.0,
    copy_images: bool = True,
    crop: bool = True,
    query: str = "",
    split: str = "",
    dataset: str = "",
    images: str = "",
    masks: str = "",
    annotations: str = "",
    encoding: str = "",
) -> Written:
    """Write masks in a format of other tools: what a model found, what an evaluation predicted, or any data set.

    Args:
        source: a folder that ``thinkseg segment`` or ``thinkseg evaluate`` has written, a `Run`, data of any kind
            (``thinkseg data`` reads them), or samples.
        out: a new or an empty folder.
        format: ``"coco"`` (JSON), ``"yolo"`` (polygons), ``"labelme"``, ``"csv"`` (a table with mask files),
            ``"cutouts"`` (PNG with transparency) or ``"objects"`` (a mask PNG of each object).
        polygons: of COCO and labelme: polygons in place of masks that keep every pixel. YOLO has polygons alone.
        tolerance: of polygons: how far, in pixels, an outline may be from that of the pixels; 0 keeps every pixel in
            COCO and YOLO.
        copy_images: whether the images are copied into the folder.
        crop: whether cut-outs are cut to the box around the mask.
        query: what is asked, where the data have no words.
        split: of data that have several; what YOLO's is called ("train" when empty).
        dataset: the name of a known data set or of a format; when empty, it is looked what is there.
        images: of data, the folder of images, from the source on; of an evaluation or of results, where they are now.
        masks: of data, the folder of masks.
        annotations: of data, a file of annotations.
        encoding: of tables and annotations, where it is not UTF-8.

    Returns:
        What was written, how many samples a format could not say and were left out, and what polygons changed.

    Raises:
        InputError: there is no such format, nothing to write, or a folder that has files in it.
        DataError: the data are not there, not whole, or a sample cannot be read.

    >>> import tempfile, numpy as np
    >>> from PIL import Image
    >>> target = np.zeros((48, 64), dtype=bool)
    >>> target[10:20, 30:50] = True
    >>> sample = Sample("a", Image.new("RGB", (64, 48)), "the crack", target)
    >>> written = export([sample], Path(tempfile.mkdtemp()) / "mine", "yolo", tolerance=0)
    >>> written.main.name, written.objects, written.changed
    ('data.yaml', 1, 0)
    """
    from thinkseg.data.writers.formats import WRITERS

    if format not in WRITERS:
        raise InputError(f"there is no format '{format}' to write; there are: {', '.join(WRITERS)}")
    options = WriteOptions(polygons, float(tolerance), copy_images, crop, split or "train")
    samples: Sequence[Sample]
    if isinstance(source, str | Path):
        from thinkseg.data.discovery.custom import OwnData

        samples = _read(OwnData(source, query, split, images, masks, annotations, encoding, dataset))
    elif isinstance(source, Run):
        from thinkseg.evaluation.predicted import predicted_samples

        samples = predicted_samples(source, images)
    else:
        samples = source
    if not len(samples):
        raise InputError(
            f"found no sample in '{source}' to write" if isinstance(source, str | Path) else "found no sample to write"
        )
    return WRITERS[format](samples, Path(out), options)


def _read(data: OwnData) -> LazySamples:
    """The samples of a folder or file."""
    from thinkseg.data.discovery.load import find_listings
    from thinkseg.data.listing import Broken
    from thinkseg.data.readers.results import find_results
    from thinkseg.evaluation.predicted import is_run, predicted_samples

    source = Path(data.root)
    if not data.dataset and is_run(source):
        return predicted_samples(Run.open(source, measures=()), data.images)  # masks alone, whatever was measured
    if not data.dataset and source.is_dir() and find_results(source) is not None:
        data = replace(data, dataset="results")  # it is named, and so the images of its records are those of the user
    found: dict[str, Listing] = {}
    for data_set, listings in find_listings(data):
        name = f"--dataset {data_set.name} " if data_set else ""
        found |= {f"{name}--split {one}": listing for one, listing in listings.items()}
    if len(found) != 1:
        raise InputError(f"'{source}' has several parts; say which one to write: {' or '.join(found)}")
    (listing,) = found.values()
    if isinstance(listing, Broken):
        raise listing.error
    return listing.require_complete()
