"""What a number depends on besides the model: versions, commit, machine. A report carries all of it."""

from __future__ import annotations

import hashlib
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import thinkseg
from thinkseg.extension import digest_of, is_reference
from thinkseg.machine import usable_cpus
from thinkseg.models import loading

if TYPE_CHECKING:
    from thinkseg.models.checkpoint_config import CheckpointConfig
    from thinkseg.models.engines.engine import Engine

PACKAGES = (
    "thinkseg-pocket",
    "torch",
    "transformers",
    "trl",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "pysodmetrics",
)
"""The packages whose versions can move a number."""

READ_SUFFIXES = frozenset({".safetensors", ".bin", ".json", ".jinja", ".txt"})
SAMPLED_BYTES = 1 << 16
SAMPLED_PLACES = 32


def package_versions() -> dict[str, str]:
    """The installed versions of what can move a number; a package that is not there is left out."""
    versions = {"python": platform.python_version(), "thinkseg": thinkseg.__version__}
    return versions | _installed()


@cache  # a process goes on with what it has imported, and reading them costs a hundredth of a second each
def _installed() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


@cache  # the sources that run are those that the process began with
def commit() -> str:
    """The commit of the sources that run, with ``+changes`` when they differ from it; empty outside a clone."""
    root = Path(thinkseg.__file__).resolve().parent.parent
    if not (root / ".git").exists():  # an installed copy may lie inside somebody else's repository
        return ""
    revision = _git(root, "rev-parse", "--short=12", "HEAD")
    return revision + ("+changes" if revision and _git(root, "status", "--porcelain", "--untracked-files=no") else "")


def _git(root: Path, *words: str) -> str:
    try:
        result = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return result.stdout.strip()


def machine(device: str = "cpu") -> dict[str, str | int]:
    """The machine: system, processor architecture, CPUs that this process may use, and the device of the models."""
    return {"system": platform.system(), "architecture": platform.machine(), "cpus": usable_cpus(), "device": device}


def device_of(pipeline: Any) -> str:
    """Where the reasoner of a pipeline runs; one that does not say runs on the CPU."""
    return str(getattr(getattr(pipeline, "reasoner", None), "device", "cpu"))


def device_kind(pipeline: Any) -> str:
    """The kind of device that a pipeline runs on, such as ``cuda`` for ``cuda:1``; empty where it does not say."""
    device = getattr(getattr(pipeline, "reasoner", None), "device", None)
    return "" if device is None else str(device).partition(":")[0]


def dtype_of(pipeline: Any) -> str:
    """The dtype of a reasoner's weights, such as ``bfloat16``; empty where it does not say."""
    dtype = getattr(getattr(getattr(pipeline, "reasoner", None), "model", None), "dtype", None)
    return "" if dtype is None else str(dtype).removeprefix("torch.")


def instruction_of(pipeline: Any) -> str:
    """The published instruction of a pipeline and a digest of its sentences; empty where it asks in others."""
    return str(getattr(getattr(pipeline, "wording", None), "identity", ""))


def segmenter_revision(segmenter: str | None) -> str:
    """The digest of the segmenter that a name stands for; empty for a hub id and for one without weights."""
    name = segmenter or loading.POCKET
    pocket = loading.pocket_folder("segmenter") if name == loading.POCKET else None
    return checkpoint_revision(pocket or Path(name).expanduser())


def code_digests(names: Iterable[str | None]) -> dict[str, str]:
    """By reference, the digest of the user's own code among these names."""
    return {name: digest_of(name) for name in names if name is not None and is_reference(name)}


def command_line(words: Sequence[str] | None = None) -> str:
    """The command that runs, as it could be typed again."""
    program, *arguments = sys.argv if words is None else words
    name = Path(program).name
    return shlex.join([*(["python", "-m", "thinkseg"] if name == "__main__.py" else [name]), *arguments])


def reasoner_revision(model: str | Path) -> str:
    """The digest of the checkpoint that a model's name stands for; empty for a hub id.

    Raises:
        CheckpointError: the model is neither ``pocket``, a checkpoint folder nor a hub id.
    """
    return checkpoint_revision(loading.locate(model, "reasoner"))


def checkpoint_revision(source: str | Path) -> str:
    """A short digest of a checkpoint folder, by which a changed one is noticed; empty for anything else.

    Settings are read whole; of each weight file its size and 64 KiB at 32 places, which is quick on many gigabytes.
    """
    folder = Path(source)
    found = (path for path in folder.iterdir() if path.suffix in READ_SUFFIXES) if folder.is_dir() else ()
    files = sorted(found, key=lambda path: path.name)  # paths themselves sort by other letters on Windows
    if not files:
        return ""
    digest = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        digest.update(f"{path.name}:{size};".encode())
        places = SAMPLED_PLACES if size > SAMPLED_PLACES * SAMPLED_BYTES else 1
        with path.open("rb") as file:
            for place in range(places):
                file.seek(size * place // places)
                digest.update(file.read(SAMPLED_BYTES if places > 1 else size))
    return digest.hexdigest()[:12]


def model_identity(model: str | Path, given: CheckpointConfig, engine: Engine | None = None) -> dict[str, Any]:
    """What a caller asks for, with digests of checkpoints and code, so that a result by another model is told apart.

    Args:
        model: the reasoner, as the caller names it.
        given: what the caller says about how it is asked, its segmenter among it.
        engine: where its text is written; by transformers, here, when None.

    Raises:
        CheckpointError: the model is not there.
    """
    from thinkseg.models.engines.engine import Engine
    from thinkseg.models.published.wording import identity_of

    engine = engine or Engine()
    config = engine.resolve(model, given)
    instruction = identity_of(config)
    return {
        "name": str(model),
        "revision": checkpoint_revision(engine.source(str(model), given) or "a server's own"),
        "segmenter": config.segmenter or loading.POCKET,
        "segmenter_revision": segmenter_revision(config.segmenter),
        **given.replaced(segmenter=None).as_json(),
        **engine.identity(),
        **({"published_instruction": instruction} if instruction else {}),
        **({"code": code} if (code := code_digests(config.references().values())) else {}),
    }
