"""Data of the user's own code, by its reference: ``FILE.py:NAME`` or ``PACKAGE.MODULE:NAME``.

::

    data: {source: my_data.py:load, options: {folder: photos}}            in a recipe
    thinkseg data check my_data.py:load --option folder=photos            so do show and prepare

`DataSource` has the contract, with a whole example.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from thinkseg.data.listing import Entry, Listing
from thinkseg.errors import DataError, InputError, reason_of
from thinkseg.extension import Reference, described, digest_of, import_reference
from thinkseg.types import Sample


class DataSource(Protocol):
    """A function that gives samples.

    A whole one, in a file of its own::

        import json
        from collections.abc import Sequence
        from pathlib import Path

        from thinkseg.imaging import load_mask
        from thinkseg.types import Sample


        class Photos(Sequence):
            '''Reads a mask when its sample is asked for; the image stays a path until it is needed.'''

            def __init__(self, folder, lines):
                self.folder = folder
                self.lines = lines

            def __len__(self):
                return len(self.lines)

            def __getitem__(self, index):
                line = self.lines[index]
                return Sample(
                    id=line["image"],
                    image=self.folder / line["image"],
                    query=line["query"],
                    target=load_mask(self.folder / line["mask"]),
                )


        def load(folder, split="train"):
            folder = Path(folder)
            lines = (folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
            return Photos(folder, [json.loads(line) for line in lines])

    It is called with keyword arguments: the options that the user gives, and ``split`` if it has a parameter of that
    name. It returns samples with a length that can be asked for by their index, from 0 on and in any order, the same
    ones whenever it is called with the same options: a list, a `Sequence` as above, or a `Listing`. Each is a `Sample`
    with an id of its own. Its masks have the size of its image, and its image is a path or an RGB image of PIL.
    """

    def __call__(self, **options: Any) -> Sequence[Sample]:
        """The samples."""
        ...


def load_source(
    name: str, options: Mapping[str, Any] | None = None, split: str = "", error: type[InputError] = DataError
) -> Listing:
    """The samples that code of the user's own gives.

    Args:
        name: a reference to a `DataSource`.
        options: its keyword arguments.
        split: handed over, too, where it has such a parameter and the options do not say it; empty for its own default.
        error: what is raised.

    Raises:
        InputError: there is no such code, it does not take the options, or it breaks the contract.
    """
    source = import_reference(name, error)
    if not callable(source):
        raise error(f"expected a function that gives samples at '{name}', found {described(source)}; {_CONTRACT}")
    try:
        samples = _call(source, name, dict(options or {}), split, error)
    except InputError:
        raise
    except Exception as cause:
        raise error(f"'{name}' fails where it is called: {reason_of(cause)}") from cause
    if isinstance(samples, Listing):
        return samples
    if not (hasattr(samples, "__len__") and hasattr(samples, "__getitem__")) or isinstance(samples, Mapping | str):
        raise error(f"expected a sequence of samples from '{name}', found {described(samples)}; {_CONTRACT}")
    listing = SampleListing(name, samples)
    try:
        if len(listing):
            listing.read(0)
    except DataError as cause:
        raise error(str(cause)) from cause
    return listing


class SampleListing(Listing):
    """The samples of a `DataSource`; use `load_source` to make one. Their images may lie in memory."""

    embedded = True

    def __init__(self, name: str, samples: Sequence[Any]) -> None:
        super().__init__(name, Path(name))
        self._samples = samples
        self._entries: dict[int, Entry] = {}

    def __len__(self) -> int:
        return len(self._samples)

    def entry(self, index: int) -> Entry:
        """What a sample says of itself, which is read for it once; an image in memory is called by its number."""
        if index not in self._entries:
            where = f"{self.name}: sample {index}"
            try:
                sample = self.read(index)
            except InputError:
                return Entry(f"sample {index}", "", self.folder / str(index), where)
            image = Path(sample.image) if isinstance(sample.image, Path | str) else self.folder / str(index)
            self._entries[index] = Entry(sample.id, sample.query, image, where, may_be_empty=True)
        return self._entries[index]

    def read(self, index: int) -> Sample:
        """Ask the user's code for a sample.

        Raises:
            DataError: it fails, or gives something else.
        """
        try:
            sample = self._samples[index]
        except InputError:
            raise
        except Exception as cause:
            raise DataError(f"sample {index} of '{self.name}' cannot be read: {reason_of(cause)}") from cause
        if not isinstance(sample, Sample):
            raise DataError(
                f"expected sample {index} of '{self.name}' as a Sample, found {described(sample)}; {_CONTRACT}"
            )
        return sample

    def revision(self) -> str:
        """See `Listing.revision`; the user's code counts in."""
        return self._revision(digest_of(self.name) if Reference.parse(self.name) else "")


_CONTRACT = "thinkseg.data.source.DataSource has the contract"


def _call(source: Any, name: str, options: dict[str, Any], split: str, error: type[InputError]) -> Any:
    signature = inspect.signature(source)
    if split and "split" in signature.parameters:
        options.setdefault("split", split)
    try:
        signature.bind(**options)
    except TypeError as cause:
        takes = ", ".join(signature.parameters) or "no options"
        raise error(f"'{name}' cannot be called with these options: {cause}; it takes {takes}") from cause
    return source(**options)
