"""Demonstrations to imitate: rows of an image, a query, the thinking and the answer in Seg-R1's tags (FCoT).

A row has the published columns ``problem`` (the request), ``image``, ``thinking`` and ``solution`` (boxes, points and
labels in tags), or ``image`` and a talk, ``messages`` or ``conversations``, of one request of a user and the whole
answer of the assistant. A system message is left behind: what the model is told is the recipe's to say. Rows lie in
Parquet or JSONL files; an image is embedded (``{"bytes": …}``) or a file's name from the folder of the rows on.

Every answer is read when the rows are listed, so that one that was cut off is refused before training begins, and once
more when its row is asked for, with the size of its image: numbers that do not lie in the image were measured in
another frame.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinkseg.answers.tags import SegR1
from thinkseg.data.embedded import image_source
from thinkseg.data.fields import Fields, shown
from thinkseg.data.names import file_below, in_order, path_in
from thinkseg.data.readers.tables import jsonl_rows
from thinkseg.data.samples import LazySamples
from thinkseg.data.text import IMAGE_WORD, is_whole, plain_query
from thinkseg.errors import DataError, MalformedAnswer
from thinkseg.imaging import Source, load_image
from thinkseg.types import Answer, Sample, Size

SUFFIXES = (".parquet", ".jsonl")

ANY_FRAME = Size(1_000_000, 1_000_000)
"""In which an answer is read before its image's size is known: large enough that nothing is clipped."""

OVERSHOOT = 1.0
"""Pixels by which a number may lie beyond its frame: some count the border, some do not."""


@dataclass(frozen=True, slots=True)
class Worked:
    """One row, its image aside."""

    where: str
    """File and row, for messages."""
    query: str
    answer: Answer
    """In `ANY_FRAME`: the numbers as they are written."""
    image: Path | tuple[Path, int]
    """The image's file, or the Parquet file that holds it and the row in there."""


class WorkedSamples(LazySamples):
    """Rows of demonstrations; use `load_worked` to make one. An image is opened when its sample is asked for."""

    def __init__(self, rows: Sequence[Worked], frame: Size | None) -> None:
        self._rows = rows
        self._frame = frame
        self._group: tuple[Path, int] | None = None
        self._images: list[Any] = []

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, index: int) -> Sample:
        """Open an image, and read the answer in its frame."""
        row = self._rows[index]
        source = row.image if isinstance(row.image, Path) else self._embedded(*row.image)
        image = load_image(source, f"the image in {row.where}" if isinstance(source, io.BytesIO) else None)
        frame = self._frame or Size(*image.size)
        _refuse_other_frame(row, frame)
        answer = SegR1().parse(SegR1().render(row.answer), frame)  # clips the pixel that may lie beyond
        return Sample(id=row.where, image=image, query=row.query, reference=answer, task="worked")

    def _embedded(self, file: Path, number: int) -> Source:
        """An image inside a Parquet file; the group of rows that was read last is kept."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(file) as opened:
            group, first = 0, 0
            while number >= first + opened.metadata.row_group(group).num_rows:
                first += opened.metadata.row_group(group).num_rows
                group += 1
            if self._group != (file, group):
                self._images = opened.read_row_group(group, columns=["image"]).column("image").to_pylist()
                self._group = (file, group)
        return image_source(self._images[number - first], file.parent, f"row {number} of '{file}'")


def load_worked(root: Path | str, frame: Size | None = None, encoding: str = "") -> WorkedSamples:
    """Rows of worked answers.

    Args:
        root: a file, or a folder with files in it or below it, in the order of their names.
        frame: in which the answers are measured; None for the pixels of each image.
        encoding: of JSONL, where it is not UTF-8.

    Raises:
        DataError: there are no rows, one lacks a column, or an answer is cut off or otherwise not to be read.
    """
    root = Path(root)
    if not root.exists():
        raise DataError(f"expected rows of worked answers at '{root}', found no such file or folder")
    files = [root] if root.is_file() else in_order(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES)
    rows = [
        _worked(fields, file, number, place, confined=not root.is_file())
        for file in files
        for number, (fields, place) in enumerate(_rows_of(file, encoding), start=0)
    ]
    if not rows:
        raise DataError(f"expected rows of worked answers in '{root}', in files {' or '.join(SUFFIXES)}, found none")
    return WorkedSamples(rows, frame)


def _rows_of(file: Path, encoding: str) -> Iterator[tuple[Mapping[str, Any], Path | tuple[Path, int] | None]]:
    """The columns of text of each row, with the place of the image where it is embedded."""
    if file.suffix.lower() == ".jsonl":
        yield from ((fields, None) for _, fields in jsonl_rows(file, encoding))
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as opened:
            columns = [name for name in opened.schema_arrow.names if name != "image"]
            told = opened.read(columns=columns).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"'{file}' is damaged or no file of rows ({error})") from error
    for number, fields in enumerate(told):
        yield fields, (file, number)


def _worked(
    values: Mapping[str, Any], file: Path, number: int, place: Path | tuple[Path, int] | None, *, confined: bool
) -> Worked:
    fields = Fields(dict(values), f"row {number} of '{file}'")
    where = fields.where
    if fields.has("solution"):
        thinking = "" if not fields.says("thinking") else fields.text("thinking")
        if thinking and not thinking.startswith("<think>"):
            thinking = f"<think>{thinking}</think>"
        query, text = fields.get("problem"), f"{thinking or '<think></think>'}{fields.text('solution')}"
    else:
        query, text = _talk(fields)
    if not isinstance(query, str) or not is_whole(query) or not plain_query(query):
        raise DataError(f"{where} has no request: 'problem' or the turn of a user should hold it, found {shown(query)}")
    _refuse_images(query.count(IMAGE_WORD), where)
    answer = SegR1().try_parse(text, ANY_FRAME)
    if isinstance(answer, MalformedAnswer):
        raise DataError(
            f"the answer of {where} is not whole: {answer.reason}. It would teach the model to stop or go on like "
            "that: mend the row or leave it out"
        ) from answer
    if place is None:
        if not fields.says("image"):
            raise DataError(f"{where} has no 'image', the name of an image's file")
        name = fields.text("image")
        place = file_below(file.parent, name, f"'image' of {where}") if confined else path_in(file.parent, name)
    return Worked(where, plain_query(query), answer, place)


def _talk(fields: Fields) -> tuple[str, str]:
    """The request and the answer of a talk, in the words of either custom: role and content, or from and value.

    A talk is one request and its answer: of several, the later ones hang on those before them, and none of them is the
    answer to the first.
    """
    where = fields.where
    talks = [fields.raw(name) for name in ("messages", "conversations") if fields.has(name)]
    if len(talks) == 2 and talks[0] != talks[1]:
        raise DataError(f"{where} has both 'messages' and 'conversations', which differ: leave one out")
    turns = talks[0] if talks else None
    turns = turns if isinstance(turns, list) else []
    told = [Fields(turn, f"turn {place} of {where}") for place, turn in enumerate(turns)]
    roles = [_role(turn) for turn in told]
    while roles[:1] == ["system"]:
        roles, told = roles[1:], told[1:]
    if len(roles) > 2 and roles[:2] == ["user", "assistant"]:
        raise DataError(
            f"{where} has {roles.count('user')} requests in one talk: a row is one request and its answer, so give "
            "each pair a row of its own, in words that need no other"
        )
    if roles != ["user", "assistant"]:
        found = f"its turns are of {', '.join(roles)}" if roles else "it has neither"
        raise DataError(
            f"{where} should have 'problem', 'thinking' and 'solution', or 'messages' that begin with a user's request "
            f"and end with the assistant's answer; {found}"
        )
    return _request(told[0]), _said(told[1])


_ROLES = {"human": "user", "gpt": "assistant"}


def _role(turn: Fields) -> str:
    role = turn.text("role" if turn.has("role") else "from")
    return _ROLES.get(role, role)


def _request(turn: Fields) -> str:
    """What a user asks, about one image; parts of it that stand before and behind the image are two words apart."""
    parts = _parts(turn)
    _refuse_images(len([part for part in parts if part.get("type") in ("image", "image_url")]), turn.where)
    return _said(turn, " ")


def _refuse_images(count: int, where: str) -> None:
    if count > 1:
        raise DataError(
            f"{where} asks about {count} images, while a row is about one: take the row apart, or leave it out"
        )


def _said(turn: Fields, between: str = "") -> str:
    """The words of a turn; its images are passed over."""
    parts = _parts(turn)
    if parts:
        return between.join(part.text("text") for part in parts if part.says("text"))
    return turn.text(_content(turn))


def _parts(turn: Fields) -> list[Fields]:
    """The parts of what is said in a turn; none where it is plain text."""
    content = turn.raw(_content(turn))
    return [Fields(part, f"a part of {turn.where}") for part in content] if isinstance(content, list) else []


def _content(turn: Fields) -> str:
    return "content" if turn.has("content") else "value"


def _refuse_other_frame(row: Worked, frame: Size) -> None:
    """Notice numbers that were measured in another frame than the one that counts."""
    corners = [(prompt.box.x_max, prompt.box.y_max) for prompt in row.answer.objects if prompt.box]
    corners += [(point.x, point.y) for prompt in row.answer.objects for point in prompt.points]
    right, bottom = (max((corner[axis] for corner in corners), default=0.0) for axis in (0, 1))
    if right > frame.width + OVERSHOOT or bottom > frame.height + OVERSHOOT:
        raise DataError(
            f"the answer of {row.where} reaches to ({right:g}, {bottom:g}), beyond {frame.width}×{frame.height}: say "
            "in 'data.frame' how large the image was when it was measured"
        )
