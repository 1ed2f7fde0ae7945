"""ThinkSeg: a large multimodal model that thinks, points and segments.

>>> import thinkseg
>>> pipeline = thinkseg.load("pocket")                       # or a folder, or a hub id    # doctest: +SKIP
>>> result = pipeline.segment("photo.jpg", "the red fruit")  # doctest: +SKIP
>>> result.mask, result.answer.think, result.answer.objects  # doctest: +SKIP

Importing the package is cheap: PyTorch and transformers are loaded by `load`, not by `import`, and NumPy by the first
use of a name from `thinkseg.types`, so that the command line answers `--help` at once.
"""

from typing import TYPE_CHECKING, Any

from thinkseg.errors import ThinkSegError

if TYPE_CHECKING:
    from thinkseg.models.pipeline import Pipeline
    from thinkseg.types import Answer, Box, Completion, ObjectPrompt, Point, Prediction, Sample, Size

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "Box",
    "Completion",
    "ObjectPrompt",
    "Point",
    "Prediction",
    "Sample",
    "Size",
    "ThinkSegError",
    "__version__",
    "load",
]


def load(model: str = "pocket", **options: Any) -> "Pipeline":
    """Build a pipeline from ``"pocket"``, a checkpoint folder or a hub id.

    The options are those of `thinkseg.models.pipeline.load_pipeline`.
    """
    from thinkseg.models.pipeline import load_pipeline

    return load_pipeline(model, **options)


def __getattr__(name: str) -> Any:
    """The value types of `thinkseg.types`, imported at their first use."""
    if name not in __all__:
        raise AttributeError(f"module 'thinkseg' has no attribute {name!r}")
    import thinkseg.types

    return getattr(thinkseg.types, name)
