"""What to type to get what is not installed, as it is right where ThinkSeg came from: a clone, git, an index."""

import json
import shlex
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

PACKAGE = Path(__file__).parent
POCKET = "thinkseg-pocket"
"""The distribution of the pocket images and models."""


def recorded_origin() -> str | None:
    """What pip wrote down about where ThinkSeg came from (``direct_url.json``, PEP 610); None for an index."""
    try:
        files = metadata.distribution("thinkseg").files or ()
    except metadata.PackageNotFoundError:
        return None
    found = next((file for file in files if file.name == "direct_url.json"), None)
    return None if found is None else found.read_text(encoding="utf-8")


def extra_command(extra: str) -> str:
    """What installs an extra.

    pip takes the ThinkSeg that is installed, wherever it came from, and fetches what it lacks.

    >>> extra_command("demo")
    "pip install 'thinkseg[demo]'"
    """
    return f"pip install 'thinkseg[{extra}]'"


def own_command(package: Path = PACKAGE) -> str:
    """What installs ThinkSeg itself, where only its sources are there.

    Args:
        package: the folder of the package ``thinkseg``.
    """
    return f"pip install -e {shlex.quote(str(package.parent))}"


def pocket_command(package: Path = PACKAGE, origin: str | None = None) -> str:
    """What installs the pocket images and models.

    Args:
        package: the folder of the package ``thinkseg``.
        origin: what pip wrote down about its origin, as JSON; None for `recorded_origin`, empty for an index.

    Returns:
        From a clone the command names its folder, so that it works from any other; from a repository its address;
        otherwise the name of the distribution.
    """
    origin = recorded_origin() if origin is None else origin
    about = json.loads(origin) if origin else {}
    url = str(about.get("url", ""))
    clones = [package.parent]
    if url.startswith("file:"):
        clones.append(Path(url2pathname(urlsplit(url).path)))
    for clone in clones:
        if (clone / "pocket" / "pyproject.toml").is_file():
            return f"pip install {shlex.quote(str(clone / 'pocket'))}"
    if "vcs_info" in about:
        revision = about["vcs_info"].get("commit_id", "")
        at = f"{about['vcs_info']['vcs']}+{url}{'@' if revision else ''}{revision}"
        return f"pip install {shlex.quote(f'{POCKET} @ {at}#subdirectory=pocket')}"
    return f"pip install {POCKET}"
