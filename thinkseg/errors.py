"""Everything that ThinkSeg raises on purpose.

::

    ThinkSegError
     ├── InputError          what the caller gave is wrong: the command line exits with 2
     │    ├── ImageError         an image or mask that is missing, unreadable or of the wrong size
     │    ├── DataError          a data set, row, CSV or JSONL that is not as expected
     │    ├── RecipeError        a recipe with an unknown or impossible setting
     │    ├── CheckpointError    a model folder that is missing, incomplete or of an unknown kind
     │    └── MissingExtraError  an optional package that is not installed
     ├── DownloadError       what was asked for does not come, or not as it should
     └── MalformedAnswer     the model's text cannot be read: data, not a fault (see `AnswerFormat.try_parse`)

Every message is one sentence, or two, that say what was expected, what was found and what to do.
"""

import re

from thinkseg.installing import extra_command


def reason_of(error: BaseException) -> str:
    r"""What somebody else's error says, for a sentence of ours: its kind and its message, on one line.

    >>> reason_of(ValueError("two\n lines"))
    'ValueError: two lines'
    """
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def one_line(text: str) -> str:
    r"""Text that any file and one line takes, whatever names of files and values of others stand in it.

    What ends a line or turns the order of letters is written as an escape, as is half a surrogate pair, which has no
    UTF-8; a byte of a name that is not UTF-8 becomes ``\xe9``.

    >>> print(one_line("caf\udce9\n.png"))
    caf\xe9\n.png
    """
    return _UNPRINTABLE.sub(_escaped, text)


_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls, ends of lines, turns of the direction of writing, half surrogate pairs."""


_LONGEST = 4000
"""Letters of a message; what is longer quotes something endless, and loses its middle."""


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # so Python keeps a byte of a file's name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return found[0].encode("unicode_escape").decode()


class ThinkSegError(Exception):
    """Base class of every error that ThinkSeg raises on purpose; its message is one line, of a length to be read."""

    def __init__(self, message: str = "") -> None:
        if len(message) > _LONGEST:
            message = f"{message[: _LONGEST // 2]} … {message[-_LONGEST // 2 :]}"
        super().__init__(one_line(message))


class InputError(ThinkSegError):
    """What the caller gave is wrong; the command line prints the sentence and exits with code 2."""


class ImageError(InputError):
    """An image or a mask is missing, unreadable or of the wrong size."""


class DataError(InputError):
    """A data set, a row, a CSV or a JSONL file is not as expected."""


class RecipeError(InputError):
    """A recipe has an unknown setting, or one whose value cannot work."""


class CheckpointError(InputError):
    """A model folder is missing, incomplete or of a kind that is not known."""


class MissingExtraError(InputError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"'{package}' is needed {purpose} and is not installed. Install it with: {extra_command(extra)}"
        )
        self.package = package
        self.extra = extra


class DownloadError(ThinkSegError):
    """A file does not come, is not the one that was expected, or cannot be unpacked."""


class MalformedAnswer(ThinkSegError):
    """The model's text is not an answer in the format that was asked for.

    This is data, not a fault: `AnswerFormat.parse` raises it, and `AnswerFormat.try_parse` gives it back as a value to
    those who go on with it, such as the pipeline (which records a failure) and the rubric (which scores it). `reason`
    is a sentence for the report.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = str(self)
