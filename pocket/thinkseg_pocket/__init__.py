"""The files that let ThinkSeg run offline. No code but this look-up.

`path("images")` holds cut-outs, backgrounds and their licences (`images.json`); `path("reasoner")`,
`path("reasoner_small")` and `path("segmenter")` are model folders in Hugging Face form.
"""

from pathlib import Path

__version__ = "0.1.0"


def path(name: str) -> Path:
    """The folder `images`, `reasoner`, `reasoner_small` or `segmenter` of this distribution.

    Raises:
        FileNotFoundError: there is no such folder; the message lists those that there are.
    """
    root = Path(__file__).parent
    folder = root / name
    if not folder.is_dir():
        known = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("_"))
        raise FileNotFoundError(f"thinkseg-pocket has no folder '{name}'; it has: {', '.join(known)}")
    return folder
