"""The command line: ``thinkseg VERB …``.

Each verb is the module of its name in this package, imported only when it is asked for, so that ``thinkseg --help``
answers at once. A verb's module has

* ``EXAMPLE``: the example at the end of its ``--help``,
* ``add_arguments(parser)`` and ``run(args) -> int``, the exit code; `run` may take more,
  each with a default, which a test gives in by `main`,
* ``LONG = True`` if it may take minutes: when it is done, a line on stderr says how long it took, how much was done a
  second, and how much memory it needed,
* ``PARSE_KNOWN = True`` if flags that it does not declare are to reach it as ``args.overrides``, a list of words.

Results go to stdout, progress and errors to stderr. Exit codes: 0 done; 1 the work failed; 2 the input or the call is
wrong; 130 interrupted; 141 the reader of the output went away; 143 a training that SIGTERM
stopped, and that saved itself.
"""

import argparse
import difflib
import errno
import io
import os
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from importlib import import_module
from typing import Any

from thinkseg import __version__
from thinkseg.cli.colours import RED, painted
from thinkseg.cli.parser import Parser
from thinkseg.errors import InputError, MalformedAnswer, ThinkSegError
from thinkseg.machine import peak_card_memory, peak_memory
from thinkseg.meter import quiet, tell
from thinkseg.stopwatch import Stopwatch

VERBS = {
    "quickstart": "evaluate, train, evaluate again, report: on images of your own (--data) or on scenes",
    "segment": "find in images what you ask for in words; write its mask and the thinking",
    "label": "many (image, query) rows into Parquet, one row of results each; resumable, for machines and clusters",
    "demo": "try a model in the browser",
    "serve": "answer requests over HTTP, many at once",
    "train": "run a training stage from a recipe: sft or rl",
    "evaluate": "run a model on a benchmark",
    "reproduce": "make a published number again, and put both side by side",
    "compare": "put two or more evaluations side by side, with how sure the differences are",
    "metrics": "compare a folder of masks, made by any system, with the true ones",
    "instruction": "fetch the sentences that published checkpoints were trained with, from their authors",
    "score": "score completions part by part, without a model",
    "data": "data sets: list, download and check them, show samples, split your own, prepare rows",
    "export": "write masks for other tools: COCO, YOLO, labelme, a table, cut-outs",
    "merge": "make one checkpoint of an adapter, of the shards of a training run, or of a model and its start",
    "push": "publish a finished checkpoint on the hub",
    "doctor": "say what is installed, which devices there are and what is missing",
    "completion": "let a shell complete verbs, flags and files",
}

GROUPS = {
    "use a model": ("segment", "label", "demo", "serve", "export"),
    "train one": ("quickstart", "train", "merge", "push"),
    "measure": ("evaluate", "compare", "metrics", "score", "reproduce"),
    "what it needs": ("data", "instruction", "doctor", "completion"),
}
"""The verbs as the help shows them, by what they are for."""

BEGIN = """\
begin with:
  thinkseg segment photo.jpg --query 'the main object'
  thinkseg quickstart --data FOLDER --query 'the crack'   # images and masks of yours: minutes on a CPU
  thinkseg quickstart                                     # without images of your own

'thinkseg VERB --help' says more about a verb, with examples."""

DONE, FAILED, WRONG_INPUT, INTERRUPTED, READER_GONE = 0, 1, 2, 130, 141


def main(argv: Sequence[str] | None = None, **parts: Any) -> int:
    """Run one verb.

    Args:
        argv: the words after ``thinkseg``; those of the process when None.
        parts: what the verb's `run` takes besides its arguments, in place of its own, such as what loads the models.

    Returns:
        The exit code, as in the module's docstring. Nothing but a bug in this function raises.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    verbose = "-v" in words or "--verbose" in words
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name of a file that is not Unicode, as stderr has it
    try:
        code = _dispatch(words, parts)
        sys.stdout.flush()
    except SystemExit as stop:  # argparse ends this way, after --help and after a wrong call
        return _flushed(stop.code if isinstance(stop.code, int) else FAILED)
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED, verbose)
    except BrokenPipeError:
        return _reader_gone()
    except Exception as error:  # noqa: BLE001 - the last place where an error can become a sentence
        wrong = _wrong_input(error)
        return _complain(wrong or _sentence(error), WRONG_INPUT if wrong else FAILED, verbose)
    return code


def create_parser(verb: str | None = None) -> Parser:
    """The parser of a verb, or with None that of ``thinkseg`` itself; building a verb's parser imports its module."""
    if verb is None:
        parser = Parser(
            prog="thinkseg",
            usage="thinkseg [-h] [-V] [-v] [--quiet] VERB ...",
            description="Ask for something in an image in words: a large multimodal model thinks and points, a\n"
            "segmenter makes the mask. Train the model on images and masks of your own, with the mask as the reward.",
            epilog=f"{_verbs()}\n\n{BEGIN}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            is_short=True,
        )
        parser.add_argument("-V", "--version", action="version", version=f"thinkseg {__version__}")
    else:
        module = import_module(f"thinkseg.cli.{verb}")
        parser = Parser(
            prog=f"thinkseg {verb}",
            description=VERBS[verb][0].upper() + VERBS[verb][1:] + ".",
            epilog=module.EXAMPLE,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(parser)
    add_common(parser)
    return parser


def add_common(parser: argparse.ArgumentParser, default: bool | str = False) -> None:
    """The flags that every verb has, and every action of one: what an action is not told, its verb may be."""
    for action in [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]:
        for one in action.choices.values():
            add_common(one, argparse.SUPPRESS)
    told = "no progress and no notes on stderr; warnings and errors stay"
    parser.add_argument("--quiet", action="store_true", default=default, help=told)
    parser.add_argument("-v", "--verbose", action="store_true", default=default, help="show the traceback of an error")


def _verbs() -> str:
    """The verbs in their groups, and below them those that are in none."""
    width = max(map(len, VERBS))
    grouped = {name for names in GROUPS.values() for name in names}
    groups = {**GROUPS, "others": tuple(name for name in VERBS if name not in grouped)}
    lines = ["verbs:"]
    for title, names in groups.items():
        lines += [f" {title}"] * bool(names) + [f"  {name:{width}}  {VERBS[name]}" for name in names]
    return "\n".join(lines)


def _dispatch(words: list[str], parts: Mapping[str, Any]) -> int:
    """Find the verb, parse its arguments and run it."""
    verb_at = next((index for index, word in enumerate(words) if not word.startswith("-")), len(words))
    parser = create_parser()
    silent = parser.parse_args(words[:verb_at]).quiet
    if verb_at == len(words):
        parser.print_help(sys.stderr)
        return WRONG_INPUT
    verb, rest = words[verb_at], words[verb_at + 1 :]
    if verb not in VERBS:
        nearest = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"did you mean '{nearest[0]}'?" if nearest else f"the verbs are {', '.join(VERBS)}."
        raise InputError(f"there is no verb '{verb}'; {hint}")
    verb_parser = create_parser(verb)
    module = import_module(f"thinkseg.cli.{verb}")
    if getattr(module, "PARSE_KNOWN", False):
        args, overrides = verb_parser.parse_known_args(rest)
        args.overrides = overrides
    else:
        args = verb_parser.parse_args(rest)
    with quiet() if silent or args.quiet else nullcontext():
        with Stopwatch(time.monotonic).running() as watch:
            code: int = module.run(args, **parts)
        if getattr(module, "LONG", False) and code == DONE and watch.counts:
            tell(f"{watch.summary()}{_memory()}")
    return code


def _memory() -> str:
    """The memory that was needed, in words; empty where it is not known."""
    told = [f"at most {own / 1e9:.1f} GB of memory"] if (own := peak_memory()) is not None else []
    told += [f"{card / 1e9:.1f} GB of the card's"] if (card := peak_card_memory()) is not None else []
    return f"; {' and '.join(told)}" if told else ""


def _wrong_input(error: Exception) -> str:
    """What is wrong with the input or the call; empty where it is not these."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):  # an extra that is absent is the user's to install
        return f"the package '{error.name}' is not installed; 'thinkseg doctor' says what is missing and how to get it"
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return f"expected a file or a folder, found a name longer than a system takes: '{str(error.filename)[:60]}…'"
    return ""


def _sentence(error: Exception) -> str:
    """An error as one line; of one that nobody foresaw it says what it is and how to report it."""
    if isinstance(error, ThinkSegError) and not isinstance(error, MalformedAnswer):
        return str(error)  # it was foreseen, and has its sentence
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    if isinstance(error, OSError | MemoryError) or type(error).__name__ == "OutOfMemoryError":  # of the machine
        return f"{told} (--verbose shows the traceback)"
    report = "please report it, with the command and the traceback that --verbose shows"
    return f"{told}; this is a defect of ThinkSeg: {report}"


def _complain(sentence: str, code: int, verbose: bool) -> int:
    """Print the sentence, with the traceback before it if that is wanted, and hand the exit code through."""
    if verbose:
        traceback.print_exc()
    sys.stderr.write(f"{painted('thinkseg: error:', RED, sys.stderr)} {sentence}\n")
    return code


def _flushed(code: int) -> int:
    """Flush what argparse has printed and hand the exit code through."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _reader_gone()
    return code


def _reader_gone() -> int:
    """Point stdout at nothing, so that the interpreter's own flush at exit does not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return READER_GONE
