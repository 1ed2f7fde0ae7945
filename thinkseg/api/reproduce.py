"""``thinkseg.reproduce``: a published number, made again, with what it needs and both values side by side."""

from __future__ import annotations

from pathlib import Path

from thinkseg.arguments import COUNT, FLAG, PATH, TEXT, optional, takes
from thinkseg.errors import InputError
from thinkseg.evaluation.load_options import LoadOptions
from thinkseg.evaluation.provenance import command_line
from thinkseg.evaluation.published_numbers import PUBLISHED
from thinkseg.evaluation.reproduction import Need, Reproduced, Reproduction


@takes(
    name=TEXT,
    model=optional(PATH),
    data=optional(PATH),
    out=optional(PATH),
    limit=optional(COUNT),
    device=TEXT,
    dtype=TEXT,
    batch_size=COUNT,
    processes=COUNT,
    progress=FLAG,
)
def reproduce(
    name: str,
    *,
    model: str | Path | None = None,
    data: str | Path | None = None,
    out: str | Path | None = None,
    limit: int | None = None,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int = 16,
    processes: int = 1,
    progress: bool = True,
) -> Reproduced:
    """Evaluate a published system as its authors did, and put the published number beside the one that is found.

    Args:
        name: such as ``"seg-r1/cod10k"``, a name in `thinkseg.evaluation.published_numbers.PUBLISHED`.
        model: what is run in place of the published checkpoint: ``"pocket"``, a folder or a hub id. A folder without a
            `thinkseg.json` is asked as the published checkpoint is.
        data: folder that the data sets lie below.
        out: folder of the results; it goes on where an earlier run there was interrupted.
        limit: only the first so many samples.
        device: where the models run.
        dtype: of the reasoner's weights.
        batch_size: samples that the model gets at a time.
        processes: how many share the samples.
        progress: draw a bar on stderr.

    Returns:
        Of each measure the published and the found value, the 95 % interval of the latter, and whether the former lies
        in it; the run; and notes on what keeps the two from being of the same thing.

    Raises:
        InputError: there is no such number, or something that it needs is not here.
    """
    return prepared(
        name,
        model=model,
        data=data,
        out=out,
        limit=limit,
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        processes=processes,
    ).run(command=command_line(), progress=progress)


def needs(name: str, *, model: str | Path | None = None, data: str | Path | None = None) -> list[Need]:
    """What a published number needs, and what of that is not here; nothing is run.

    >>> [need.what for need in needs("seg-r1/cod10k", model="pocket")]
    ['model', 'data', 'GPU memory', 'hours']

    Raises:
        InputError: there is no such number.
    """
    return prepared(name, model=model, data=data).needs()


def prepared(
    name: str,
    *,
    model: str | Path | None = None,
    data: str | Path | None = None,
    out: str | Path | None = None,
    limit: int | None = None,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int = 16,
    processes: int = 1,
) -> Reproduction:
    """What `reproduce` would do, from the same arguments.

    Raises:
        InputError: there is no such number.
    """
    if name not in PUBLISHED:
        raise InputError(f"there is no published number '{name}'; 'thinkseg reproduce' lists those that there are")
    return Reproduction(
        PUBLISHED[name],
        model=None if model is None else str(model),
        options=LoadOptions(limit, root=None if data is None else Path(data)),
        out=None if out is None else Path(out),
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        processes=processes,
    )
