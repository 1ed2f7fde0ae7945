"""``thinkseg completion SHELL``: a script with which a shell completes verbs, actions, flags, choices and files."""

import argparse
from importlib import import_module
from typing import Any

EXAMPLE = """\
Load the script once in a shell, or put it where the shell looks for such: bash and zsh complete the rest of a word with
the Tab key from then on. Nothing of ThinkSeg runs while they do.

examples:
  thinkseg completion bash > ~/.local/share/bash-completion/completions/thinkseg
  thinkseg completion zsh > ~/.zfunc/_thinkseg     # a folder of $fpath
  thinkseg completion tcsh > ~/.thinkseg.csh"""

SHELLS = ("bash", "zsh", "tcsh")
PATHS = {"DIR": "directory", "FOLDER": "directory", "PRED_DIR": "directory", "TARGET_DIR": "directory"}
"""What stands for a folder in the help; other values that are paths are completed as files, folders included."""
FILES = frozenset({"FILE", "PATH", "ROOT", "INPUT", "RECIPE", "RUN", "SOURCE", "COMPLETIONS.jsonl", "MODEL"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("shell", choices=SHELLS, help="the shell to write for")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    print(shtab.complete(whole_parser(), args.shell))
    return 0


def whole_parser() -> argparse.ArgumentParser:
    """One parser of all verbs, with what is said of values that are files."""
    from thinkseg import cli

    parser = cli.create_parser()
    verbs = parser.add_subparsers()
    for name, told in cli.VERBS.items():
        verb = verbs.add_parser(name, help=told)
        import_module(f"thinkseg.cli.{name}").add_arguments(verb)
        cli.add_common(verb)
        _complete_files(verb)
    return parser


def _complete_files(parser: argparse.ArgumentParser) -> None:
    """Say of each action whether it takes files or folders."""
    import shtab

    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                _complete_files(one)
        elif not action.choices:
            named: Any = action.metavar or action.dest.upper()
            if named in PATHS:
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
            elif named in FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
