"""Write the page of known checkpoints, data sets and published numbers from the tables of the code.

Run it with::

    python scripts/write_known_page.py docs/known.md
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from thinkseg.answers import FORMATS
from thinkseg.data.discovery.catalog import DATA_SETS, DataSet
from thinkseg.evaluation.published_numbers import PUBLISHED
from thinkseg.models.checkpoint_config import KNOWN
from thinkseg.models.families import FAMILIES

PAGE = """\
# Known checkpoints, data sets and numbers

What ThinkSeg knows by name, written by `scripts/write_known_page.py` from the tables that the code goes by.
Anything else works, too, when you say what is not known of it.

## Checkpoints

A checkpoint of this table is asked, read and segmented as its authors did, with nothing to say but its name:
`--model geshang/Seg-R1-3B`. [Models](models.md#published-checkpoints) has the reasons; any other checkpoint needs
`--format`, or a `thinkseg.json` in its folder. None of them was run here, for want of the weights.

{checkpoints}

Formats: {formats}. [Answers](answers.md) shows what each looks like.

Families of models that can be trained and asked, by the `model_type` of their `config.json`: {families}.
[Coordinates](coordinates.md#in-which-frame-a-model-writes) has their frames.

## Data sets

`thinkseg data list NAME` prints the folders that are expected, `thinkseg data download NAME` fetches a data set
where its terms let a program do so (**yes** below) and says where to go otherwise. [Data](data/index.md) tells how
a copy is found and checked.

{data_sets}

## Published numbers

`thinkseg reproduce NAME` makes one again and puts both values side by side ([page](reproduce.md)). Values are in
per cent, as published.

{numbers}

"""


def page() -> str:
    """The page as Markdown."""
    return PAGE.format(
        checkpoints=_checkpoints(),
        formats=", ".join(f"`{name}`" for name in FORMATS),
        families=", ".join(f"`{name}`" for name in FAMILIES),
        data_sets=_data_sets(),
        numbers=_numbers(),
    )


def _checkpoints() -> str:
    rows = [
        (
            f"`{name}`",
            f"`{one.format}`",
            f"`{one.segmenter}`",
            one.masks or "single",
            str(one.canvas),
            f"{one.max_new_tokens:,}",
        )
        for name, one in KNOWN.items()
    ]
    return _table(("hub id", "format", "segmenter", "masks", "canvas, px", "tokens at most"), rows)


def _data_sets() -> str:
    rows = [
        (f"`{one.name}`", one.task, _splits(one), _benchmarks(one), "**yes**" if one.archives else "", one.licence)
        for one in DATA_SETS.values()
    ]
    return _table(("name", "task", "splits", "benchmarks", "download", "licence"), rows)


def _splits(one: DataSet) -> str:
    return ", ".join(f"{name} {split.count:,}" if split.count else name for name, split in one.splits.items())


def _benchmarks(one: DataSet) -> str:
    return ", ".join(f"`{split.benchmark}`" for split in one.splits.values() if split.benchmark)


def _numbers() -> str:
    rows = [
        (
            f"`{one.name}`",
            one.system,
            ", ".join(f"{measure} {100 * value:.1f}" for measure, value in one.values.items()),
            f"`{one.protocol}`",
            one.source.partition(",")[2].split(",")[0].strip(),
        )
        for one in PUBLISHED.values()
    ]
    return _table(("name", "system", "values", "protocol", "paper"), rows)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, *rows)]
    return "\n".join([lines[0], "|---" * len(heads) + "|", *lines[1:]])


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="Write the page of what is known.")
    arguments.add_argument("page", type=Path, help="the Markdown file to write")
    arguments.parse_args().page.write_text(page(), encoding="utf-8")
