"""Write the page of the command line from every verb's ``--help``, so that the two cannot differ.

Run it with::

    python scripts/write_cli_page.py docs/command_line.md
"""

import argparse
import os
from pathlib import Path

from thinkseg import cli

TITLE = """\
# The command line

Results go to stdout and files, progress and errors to stderr. Exit codes: 0 done; 1 the work failed; 2 the input or the
call is wrong; 130 interrupted; 141 the reader of the output went away.
"""


def page() -> str:
    """The page as Markdown: a section for ``thinkseg`` and one for each verb."""
    os.environ["COLUMNS"] = "100"  # argparse fits its lines to the terminal of whoever runs this
    sections = [TITLE, _section("thinkseg", cli.create_parser())]
    sections += [_section(f"thinkseg {verb}", cli.create_parser(verb)) for verb in cli.VERBS]
    return "\n".join(sections)


def _section(title: str, parser: argparse.ArgumentParser) -> str:
    return f"## {title}\n\n```text\n{parser.format_help().rstrip()}\n```\n"


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="Write the page of the command line.")
    arguments.add_argument("page", type=Path, help="the Markdown file to write")
    arguments.parse_args().page.write_text(page(), encoding="utf-8")
