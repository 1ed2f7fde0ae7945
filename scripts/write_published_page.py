"""Write the page of how published numbers were made from the table of the evaluation, so that the two cannot differ.

Run it with::

    python scripts/write_published_page.py docs/published.md
"""

import argparse
from pathlib import Path

from thinkseg.evaluation.published_choices.choice import Table
from thinkseg.evaluation.published_choices.tables import TABLES

TITLE = """\
# How published numbers were made

For each checkpoint and kind of benchmark, every choice that its authors' evaluation makes, read in their repositories
(Seg-R1 at `ca1256f`, Seg-Zero at `d327eb7`, VisionReasoner at `a455092`), beside ours for the same checkpoint without
a protocol. None of the published numbers was made again here: neither weights nor GPUs were at hand.

| what gives theirs | means |
|---|---|
| the protocol | `--protocol` with the name above the table |
| the checkpoint's name | known by its name on the hub; a copy in a folder needs it in its `thinkseg.json` |
| the default | nothing is needed |
| a command, a flag | run it once, or say it |
| nothing | it is not reproduced, for the reason given |

```sh
thinkseg evaluate reasonseg-test --model geshang/Seg-R1-7B --protocol seg-r1 --explain
```

prints the rows of a run, with its own values, and runs nothing. `report.html` and `report.json` have those of a run
that was made. This page is written by `scripts/write_published_page.py`; tests hold the table against the protocols.
"""

MARKED = {
    "docs/answers.md": "[answers](answers.md)",
    "defect ": "[defect](defects.md) ",
    "--seed": "`--seed`",
    '."?!': '`."?!`',
    "without . at": "without `.` at",
    "generation_config.json": "`generation_config.json`",
    "thinkseg instruction": "`thinkseg instruction`",
    "thinkseg metrics": "`thinkseg metrics`",
}
"""Words of the table that the page marks up."""


def page() -> str:
    """The page as Markdown."""
    return "\n".join([TITLE, *(_section(table) for table in TABLES)])


def _section(table: Table) -> str:
    heads = f"{', '.join(f'`{name}`' for name in table.checkpoints)} · `--protocol {table.protocol}`"
    rows = [
        f"| {choice.name} | {_cell(choice.theirs)} | {_cell(choice.ours)} | {_cell(choice.by)} |"
        for choice in table.choices
    ]
    return "\n".join(
        [
            f"## {table.title}",
            "",
            heads,
            "",
            "| choice | authors | ours | what gives theirs |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _cell(text: str) -> str:
    if text.startswith("--"):
        return f"`{text}`"
    for plain, marked in MARKED.items():
        text = text.replace(plain, marked)
    return text


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="where the page is written")
    path = parser.parse_args().path
    path.write_text(page(), encoding="utf-8")
