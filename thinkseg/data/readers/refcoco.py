"""RefCOCO, RefCOCO+, RefCOCOg and gRefCOCO: every expression of a split is a sample.

``refs(unc).p`` (gRefCOCO: ``grefs(unc).json``) says who is meant, ``instances.json`` beside it where that is, and the
images are those of COCO's train2014. The first is a pickle, a format that can run code when it is read; so it is
read by an unpickler that admits plain containers, texts and numbers, and refuses all else.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from thinkseg.data.fields import FieldError, Fields
from thinkseg.data.listing import BrokenFile, Entry, Fault, FaultKind, Listing
from thinkseg.data.readers.coco import Instances, boxes_of, find_images, load_instances, mask_of
from thinkseg.data.readers.segmentations import stacked
from thinkseg.data.text import decoded, is_whole, read_text
from thinkseg.errors import DataError
from thinkseg.types import Mask, Sample

_CONTAINERS: Mapping[tuple[str, str], type] = {
    (module, kind.__name__): kind for module in ("builtins", "__builtin__") for kind in (set, frozenset, bytearray)
}
"""What a pickle may build besides lists, tuples, dicts, texts and numbers; the second module is Python 2's."""


class RefListing(Listing):
    """One sample per expression; use `list_refs` to make one.

    Args:
        name: of the data set.
        images: folder of the images.
        instances: the objects.
        expressions: (reference, expression, text, numbers of the objects that it names).
        images_of: the image of each reference.
        faults: what was found wrong.
    """

    def __init__(
        self,
        name: str,
        images: Path,
        instances: Instances,
        expressions: Sequence[tuple[int, int, str, tuple[int, ...]]],
        images_of: Mapping[int, int],
        faults: Sequence[Fault],
    ) -> None:
        super().__init__(name, images, faults)
        self._instances = instances
        self._expressions = expressions
        self._images_of = images_of

    @property
    def image_count(self) -> int:
        """How many different images there are."""
        return len(set(self._images_of.values()))

    def __len__(self) -> int:
        return len(self._expressions)

    def entry(self, index: int) -> Entry:
        """Where an expression's image lies; the id is made of the numbers of reference and expression."""
        reference, expression, text, numbers = self._expressions[index]
        image = self._instances.images[self._images_of[reference]]
        return Entry(
            f"{reference}-{expression}",
            text,
            self.folder / image.file,
            f"{self._instances.file}: annotation {', '.join(map(str, numbers)) or 'none'}",
            may_be_empty=not numbers,
        )

    def read(self, index: int) -> Sample:
        """Draw the masks of the objects that an expression names."""
        reference, _, _, numbers = self._expressions[index]
        entry = self.entry(index)
        size = self._instances.images[self._images_of[reference]].size
        instances = stacked([mask_of(self._instances, number) for number in numbers], size)
        target: Mask = np.logical_or.reduce(instances, axis=0)
        return Sample(
            id=entry.id,
            image=entry.image,
            query=entry.query,
            target=target,
            instances=instances,
            task="referring",
            boxes=boxes_of(self._instances, numbers),
        )


def list_refs(
    refs: Path | str, split: str, images: Path | str, *, name: str = "RefCOCO", encoding: str = ""
) -> RefListing:
    """List the expressions of a split.

    Args:
        refs: the file of references, a pickle or JSON; ``instances.json`` lies beside it.
        split: "train", "val", "testA", …
        images: the folder of COCO's train2014 images.
        name: of the data set, for messages.
        encoding: of the texts, where it is not UTF-8.

    Raises:
        DataError: a file is missing or not as expected, a pickle holds more than plain containers, or there is no such
            split.
    """
    refs = Path(refs)
    rows = load_refs(refs, encoding)
    splits = sorted({str(row["split"]) for row in rows})
    rows = [row for row in rows if row["split"] == split]
    if not rows:
        raise DataError(f"'{refs}' has no split '{split}'; it has: {', '.join(splits) or 'none'}")
    instances = load_instances(refs.parent / "instances.json", encoding)
    expressions, images_of, faults = _expressions(rows, instances, refs)
    used = {number for *_, numbers in expressions for number in numbers}
    known_images, missing = find_images(
        Path(images), {number: instances.images[number] for number in sorted(set(images_of.values()))}
    )
    instances = Instances(
        instances.file, known_images, {number: instances.objects[number] for number in used}, instances.categories
    )
    faults += missing
    return RefListing(name, Path(images), instances, expressions, images_of, faults)


def load_refs(file: Path, encoding: str = "") -> list[dict[str, Any]]:
    """Read a file of references, ``.p`` or ``.json``.

    Args:
        file: it.
        encoding: of the texts in it, where it is not UTF-8.

    Raises:
        DataError: it is missing, damaged, in another encoding, no list of references with their splits, or a pickle
            that would build more than plain containers.
    """
    try:
        rows = _json(file, encoding) if file.suffix.lower() == ".json" else _pickled(file, encoding)
    except FileNotFoundError as error:
        raise DataError(f"expected a file of references at '{file}', found none") from error
    except _Refused as error:
        raise BrokenFile(
            FaultKind.REFUSED,
            file,
            f"'{file}' is refused: to read it would run '{error}', while references are plain containers; "
            "get the file from a source that you trust",
        ) from error
    except DataError as error:
        raise BrokenFile(FaultKind.UNREADABLE, file, str(error)) from error
    except UnicodeDecodeError as error:
        message = (
            f"the texts in '{file}' should be in {encoding.upper() or 'UTF-8'} and are not: name their encoding with "
            "'--encoding' (such as latin-1)"
        )
        raise BrokenFile(FaultKind.UNREADABLE, file, message) from error
    except (pickle.UnpicklingError, ValueError, EOFError, KeyError, IndexError, AttributeError, TypeError,
            MemoryError, OverflowError, RecursionError) as error:  # fmt: skip
        message = _line_ends(file) or f"'{file}' is damaged or no file of references ({error})"
        raise BrokenFile(FaultKind.UNREADABLE, file, message) from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "split" in row for row in rows):
        message = _line_ends(file) or f"'{file}' should hold a list of references, each with its split, and does not"
        raise BrokenFile(FaultKind.BAD_RECORD, file, message)
    return rows


def _json(file: Path, encoding: str) -> Any:
    return json.loads(read_text(file, encoding))


def _pickled(file: Path, encoding: str) -> Any:
    decoded(b"", f"'{file}'", encoding)  # there is such an encoding
    with file.open("rb") as stream:
        return load_plain_pickle(stream, encoding)


def _line_ends(file: Path) -> str:
    """What is wrong with a pickle whose line ends were changed, as by a download as text; empty when they were not."""
    content = file.read_bytes()
    ends = content.count(b"\n")
    if file.suffix.lower() == ".json" or not ends or ends != content.count(b"\r\n"):
        return ""
    return (
        f"'{file}' was changed on its way: all its line ends are those of Windows (CRLF), as after a download or a "
        "copy as text, which breaks a pickle; get it again as a binary file"
    )


def load_plain_pickle(stream: IO[bytes], encoding: str = "") -> Any:
    """Read a pickle that holds lists, tuples, sets, dicts, texts, bytes, numbers and None; nothing else is built.

    Args:
        stream: it.
        encoding: of the texts that Python 2 wrote; UTF-8 when empty.
    """
    return _PlainUnpickler(stream, encoding=encoding or "utf-8", errors="strict").load()


class _Refused(Exception):
    """A pickle asked for something that is not a plain container; the text names it."""


class _PlainUnpickler(pickle.Unpickler):
    """Refuses every name that a pickle looks up, but those of plain containers."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _CONTAINERS:
            raise _Refused(f"{module}.{name}")
        return _CONTAINERS[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise _Refused(f"persistent object {pid!r}")


def _expressions(
    rows: Sequence[Mapping[str, Any]], instances: Instances, refs: Path
) -> tuple[list[tuple[int, int, str, tuple[int, ...]]], dict[int, int], list[Fault]]:
    """Every expression of the rows, the image of each reference, and the references that cannot be used."""
    expressions: list[tuple[int, int, str, tuple[int, ...]]] = []
    images_of: dict[int, int] = {}
    faults = []
    for position, row in enumerate(rows):
        where = f"{refs}: reference {row.get('ref_id', f'at place {position}')}"
        try:
            told = Fields(row, "it")
            reference, image = told.whole("ref_id"), told.whole("image_id")
            numbers = _numbers(told)
            sentences = [_sentence(said) for said in told.raw("sentences")]
        except (FieldError, TypeError) as error:
            faults.append(Fault(FaultKind.BAD_RECORD, where, str(error)))
            continue
        unknown = [f"annotation {number}" for number in numbers if number not in instances.objects]
        unknown += [] if image in instances.images else [f"image {image}"]
        unknown += [
            f"annotation {number} of image {image}"
            for number in numbers
            if number in instances.objects and instances.objects[number].image != image
        ]
        if unknown:
            faults.append(Fault(FaultKind.BAD_RECORD, where, f"{', '.join(unknown)} not in {instances.file.name}"))
            continue
        images_of[reference] = image
        for expression, text in sentences:
            if text:
                expressions.append((reference, expression, text, numbers))
            else:
                faults.append(Fault(FaultKind.BAD_RECORD, where, f"expression {expression} is empty"))
    return expressions, images_of, faults


def _sentence(said: object) -> tuple[int, str]:
    """The number and the text of an expression; the text may be empty."""
    told = Fields(said, "one of its sentences")
    text = next((told.raw(name) for name in ("sent", "raw") if told.has(name) and told.raw(name) != ""), "")
    if not isinstance(text, str) or not is_whole(text):
        raise told.wrong("sent", "text")
    return told.whole("sent_id"), text.strip()


def _numbers(row: Fields) -> tuple[int, ...]:
    """The annotations that a reference names: one in RefCOCO, any number in gRefCOCO, where -1 means none."""
    numbers = row.wholes("ann_id") if isinstance(row.raw("ann_id"), list | tuple) else [row.whole("ann_id")]
    return tuple(number for number in numbers if number >= 0)
