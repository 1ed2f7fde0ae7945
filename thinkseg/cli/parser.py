"""The parser of every verb: a help that fits a screen, and wrong calls told in two lines with what may be meant.

``--help`` shows the flags that most calls need and one example; ``--help-all`` shows every flag, and whatever else the
verb says. Flags that few need are put into a `detail_group`, of which ``--help`` tells the names alone.
"""

import argparse
import difflib
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn, overload

from thinkseg.cli.colours import RED, painted, painted_help

WRONG_CALL = 2
_CHOICE = re.compile(r"invalid choice: '([^']*)' \(choose from (.*)\)")


def detail_group(parser: argparse.ArgumentParser, title: str, told: str | None = None) -> argparse._ArgumentGroup:
    """A group for flags that few need: ``--help`` names them, ``--help-all`` explains them."""
    group = parser.add_argument_group(title, told)
    group.is_detail = True  # type: ignore[attr-defined]
    return group


class _Help(argparse.Action):
    """Prints the help, the short one or all of it, and ends."""

    def __init__(self, option_strings: Sequence[str], dest: str, const: bool, help: str) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, const=const, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print it."""
        assert isinstance(parser, Parser)
        text = parser.format_help() if self.const or parser.is_short else parser.short_help()
        sys.stdout.write(painted_help(text, sys.stdout))
        parser.exit()


class Parser(argparse.ArgumentParser):
    """A parser of a verb, or of one of its actions.

    Args:
        args: as of `argparse.ArgumentParser`.
        is_short: whether its help is short as it is, so that ``--help`` shows all of it.
        options: as of `argparse.ArgumentParser`.
    """

    def __init__(self, *args: Any, is_short: bool = False, **options: Any) -> None:
        super().__init__(*args, **options | {"add_help": False})
        self.color = False  # argparse of Python 3.14 paints by itself; here one rule holds for all versions
        self.is_short = is_short
        told = "show this" if is_short else "show what most calls need, with an example"
        self.add_argument("-h", "--help", action=_Help, const=False, help=f"{told}, and exit")
        if not is_short:
            self.add_argument("--help-all", action=_Help, const=True, help="show all there is, and exit")

    def short_help(self) -> str:
        """The flags that most calls need, the names of the others, and one example."""
        hidden = [group for group in self._action_groups if getattr(group, "is_detail", False)]
        formatter = self._get_formatter()
        formatter.add_text(self.description)
        for group in self._action_groups:
            if group not in hidden:
                formatter.start_section(group.title)
                formatter.add_text(group.description)
                formatter.add_arguments(group._group_actions)
                formatter.end_section()
        parts = [self._short_usage(), formatter.format_help(), *self._told_of(hidden), self._short_example()]
        return "\n".join(part.strip("\n") + "\n" for part in parts if part)

    @overload  # type: ignore[override]
    def parse_args(self, args: Sequence[str] | None = None, namespace: None = None) -> argparse.Namespace: ...
    @overload
    def parse_args(self, args: Sequence[str] | None, namespace: argparse.Namespace) -> argparse.Namespace: ...
    def parse_args(
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """As argparse has it; of a flag that does not exist it says which one may be meant."""
        known, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{self._meant(unknown)}")
        return known

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and where to read on, and exit with 2."""
        choice = _CHOICE.search(message)
        meant = _nearest(choice[1], re.findall(r"[\w-]+", choice[2])) if choice else ""
        start = painted(f"{self.prog}: error:", RED, sys.stderr)
        self.exit(WRONG_CALL, f"{start} {message}{meant}\n'{self.prog} --help' says more\n")

    def flags(self) -> Iterator[str]:
        """All flags that it knows, those of its actions among them."""
        for action in self._actions:
            yield from action.option_strings
            if isinstance(action, argparse._SubParsersAction):
                for parser in action.choices.values():
                    yield from parser.flags()

    def _meant(self, words: Sequence[str]) -> str:
        flag = next((word.partition("=")[0] for word in words if word.startswith("--")), None)
        return _nearest(flag, self.flags()) if flag else ""

    def _short_usage(self) -> str:
        """The words that a call needs; all that may be left out is one word."""
        if self.usage:
            return self.format_usage()
        needed = [action for action in self._actions if action.required and action.option_strings]
        words = [action for action in self._actions if not action.option_strings]
        usage = self._get_formatter()
        usage.add_usage(None, needed + words, [])
        return usage.format_help().replace(self.prog, f"{self.prog} [options]", 1)

    def _told_of(self, hidden: Sequence[argparse._ArgumentGroup]) -> list[str]:
        """The names of the flags that are not explained."""
        if not hidden:
            return []
        lines = ["more options, which --help-all explains:"]
        for group in hidden:
            words = [f"{group.title}:", *(action.option_strings[0] for action in group._group_actions)]
            lines += _wrapped(words)
        return ["\n".join(lines)]

    def _short_example(self) -> str:
        """The first command of the examples, and where there are more."""
        _, found, examples = (self.epilog or "").rpartition("example")
        commands = re.sub(r"\\\n\s*", "", examples.partition(":")[2]).strip().splitlines() if found else []
        more = " (--help-all has more)" if len(commands) > 1 else ""
        return f"example{more}:\n  {commands[0].strip()}" if commands else ""


def _nearest(word: str, known: Sequence[str] | Iterator[str]) -> str:
    """Which of the known words may be meant, as the end of a sentence; empty where none is near."""
    nearest = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{nearest[0]}'?" if nearest else ""


def _wrapped(words: Sequence[str], width: int = 78) -> list[str]:
    """Lines of words that are not broken."""
    lines = [""]
    for word in words:
        if len(lines[-1]) + len(word) + 1 > width:
            lines.append("   ")
        lines[-1] += f" {word}"
    return [f" {line}" for line in lines]
