"""Everything that ThinkSeg raises on purpose.

::

    ThinkSegError
     ├── InputError          what the caller gave is wrong: the command line exits with 2
     │    ├── ImageError         an image or mask that is missing, unreadable or of the wrong size
     │    ├── DataError          a data set, row, CSV or JSONL that is not as expected
     │    ├── RecipeError        a recipe with an unknown or impossible setting
     │    ├── CheckpointError    a model folder that is missing, incomplete or of an unknown kind
     │    └── MissingExtraError  an optional package that is not installed
     └── MalformedAnswer     the model's text cannot be read: data, not a fault (see `AnswerFormat.try_parse`)

Every message is one sentence, or two, that say what was expected, what was found and what to do.
"""


def reason_of(error: BaseException) -> str:
    r"""What somebody else's error says, for a sentence of ours: its kind and its message, on one line.

    >>> reason_of(ValueError("two\n lines"))
    'ValueError: two lines'
    """
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


class ThinkSegError(Exception):
    """Base class of every error that ThinkSeg raises on purpose."""


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
            f"'{package}' is needed {purpose} and is not installed. Install it with: pip install 'thinkseg[{extra}]'"
        )
        self.package = package
        self.extra = extra


class MalformedAnswer(ThinkSegError):
    """The model's text is not an answer in the format that was asked for.

    This is data, not a fault: `AnswerFormat.parse` raises it, and `AnswerFormat.try_parse` gives it back as a value to
    those who go on with it, such as the pipeline (which records a failure) and the rubric (which scores it). `reason`
    is a sentence for the report.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
