"""A finished checkpoint to the hub: looked through first, private unless asked otherwise, safetensors only."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinkseg.errors import CheckpointError, InputError
from thinkseg.models.checkpoint_config import CONFIG_FILE, read_config
from thinkseg.models.families import FAMILIES

_PICKLES = (".bin", ".ckpt", ".distcp", ".pkl", ".pickle", ".pt", ".pth")
_PUBLISHED = frozenset(
    (
        "thinkseg.json",
        "README.md",
        "LICENSE",
        "LICENSE.md",
        "LICENSE.txt",
        "NOTICE",
        "model.safetensors",
        "model.safetensors.index.json",
        "config.json",
        "generation_config.json",
        "processor_config.json",
        "preprocessor_config.json",
        "image_processor_config.json",
        "video_preprocessor_config.json",
        "chat_template.jinja",
        "chat_template.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "vocab.txt",
        "merges.txt",
        "tokenizer.model",
        "spiece.model",
        "sentencepiece.bpe.model",
    )
)
"""What a checkpoint consists of, by name: whatever else lies in a folder may be private."""
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_REPO_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
_LONGEST_ID = 96
_INDEX = "model.safetensors.index.json"
_SETS = (
    ("a tokenizer", ("tokenizer.json", "vocab.json", "tokenizer.model")),
    ("the processor's settings", ("processor_config.json", "preprocessor_config.json")),
)


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file that is to be published."""

    name: str
    """Its name in the folder."""
    bytes: int
    """Its size."""


def files_to_publish(folder: Path) -> list[PublishedFile]:
    """The files of a checkpoint, by name, after a look at whether it is whole.

    Weights that are listed and not there, files that run code when they are read, and a model that does not say how it
    is asked are refused. Only files of the names that checkpoints have are taken; links are not followed.
    (`left_out` names the others.)

    Raises:
        CheckpointError: the folder is no whole checkpoint, or not in safetensors only.
    """
    if not folder.is_dir():
        raise CheckpointError(f"there is no folder '{folder}'")
    pickled = sorted(path.name for path in folder.iterdir() if path.name.endswith(_PICKLES))
    if pickled:
        raise CheckpointError(
            f"'{folder}' holds {pickled[0]}, which can run code when it is read; push the folder 'final' of a run, or "
            "what 'thinkseg merge' writes"
        )
    linked = sorted(path.name for path in folder.iterdir() if path.is_symlink() and _is_published(path.name))
    if linked:
        raise CheckpointError(
            f"'{folder / linked[0]}' is a link, which is not followed: copy the folder with its files (cp -rL) and "
            "push the copy"
        )
    names = {path.name: path for path in sorted(folder.iterdir()) if path.is_file() and not path.is_symlink()}
    kind = _model_type(folder, names)
    _check_weights(folder, names)
    wanted = _SETS if kind in FAMILIES else _SETS[1:]
    for what, any_of in wanted:
        if not names.keys() & set(any_of):
            raise CheckpointError(f"'{folder}' lacks {what} ({' or '.join(any_of)}), so nobody could use it")
    if kind in FAMILIES:
        _check_asked(folder, names)
    return [PublishedFile(name, path.stat().st_size) for name, path in names.items() if _is_published(name)]


def left_out(folder: Path) -> list[str]:
    """What lies in the folder and is not published: other files, links and folders, by name, hidden ones aside."""
    taken = {file.name for file in files_to_publish(folder)}
    others = [path for path in folder.iterdir() if path.name not in taken and not path.name.startswith(".")]
    return sorted(path.name + "/" * path.is_dir() for path in others)


def _is_published(name: str) -> bool:
    return name in _PUBLISHED or _SHARD.fullmatch(name) is not None


def push(folder: Path, repo_id: str, *, public: bool = False, message: str | None = None, api: Any = None) -> str:
    """Publish a checkpoint on the hub.

    Args:
        folder: of the checkpoint.
        repo_id: ``owner/name``; made if it does not exist.
        public: let everybody see it. A repository that is public already is refused without this.
        message: of the commit.
        api: a `huggingface_hub.HfApi`; None for the one of whoever is logged in.

    Returns:
        The address of the commit.

    Raises:
        CheckpointError: as `files_to_publish`.
        InputError: the hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError

    check_repo_id(repo_id)
    files = files_to_publish(folder)
    if api is None:
        if constants.HF_HUB_OFFLINE:
            raise InputError("HF_HUB_OFFLINE is set, so nothing can be pushed: unset it, or look first with --dry-run")
        api = HfApi()
    # The error of whichever HTTP client the hub's package is built on.
    kinds = (kind for kind in HfHubHTTPError.__bases__ if issubclass(kind, Exception))
    unreachable: tuple[type[Exception], ...] = (OSError, *kinds)
    try:
        api.create_repo(repo_id, repo_type="model", private=not public, exist_ok=True)
        if not public and not api.repo_info(repo_id, repo_type="model").private:
            raise InputError(f"'{repo_id}' is there already and everybody sees it: say --public if that is wanted")
        commit = api.upload_folder(
            repo_id=repo_id,
            folder_path=str(folder),
            repo_type="model",
            allow_patterns=[file.name for file in files],
            commit_message=message or "Upload a ThinkSeg checkpoint",
        )
    except unreachable as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"the hub did not take '{repo_id}'; is 'hf auth login' done, is the name right? ({reason})"
        ) from (error)
    return str(getattr(commit, "commit_url", commit))


def check_repo_id(repo_id: str) -> None:
    """Refuse what is not ``owner/name``."""
    if not _REPO_ID.fullmatch(repo_id) or len(repo_id) > _LONGEST_ID:
        raise InputError(f"a name on the hub is owner/name, of letters, digits, '-', '_' and '.', found '{repo_id}'")


def _model_type(folder: Path, names: dict[str, Path]) -> str:
    """The kind of model that its config names."""
    content = _json(names["config.json"]) if "config.json" in names else None
    kind = content.get("model_type") if isinstance(content, dict) else None
    if not isinstance(kind, str):
        raise CheckpointError(f"'{folder}' has no config.json that names a model_type, so it is no checkpoint")
    return kind


def _check_weights(folder: Path, names: dict[str, Path]) -> None:
    """Every file of weights is there, can be read, and holds what the index says, no more and no less."""
    from safetensors import SafetensorError, safe_open

    present = {name for name in names if name.endswith(".safetensors")}
    listed: dict[str, str] = {}
    if _INDEX in names:
        listed = _json(names[_INDEX]).get("weight_map", {})
    wanted = set(listed.values()) or {"model.safetensors"}
    missing, surplus = sorted(wanted - present), sorted(present - wanted)
    if missing:
        raise CheckpointError(f"'{folder}' lacks {missing[0]}, so it is not whole")
    if surplus:
        raise CheckpointError(f"'{folder}' holds {surplus[0]}, which its index does not name: of another model?")
    held: dict[str, str] = {}
    for name in sorted(present):
        try:
            with safe_open(names[name], framework="np") as file:
                held |= dict.fromkeys(file.keys(), name)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"'{names[name]}' cannot be read, so it is not whole: {error}") from error
    if listed and held != listed:
        odd = min(held.items() ^ listed.items())[0]
        raise CheckpointError(f"the index of '{folder}' and its files differ about '{odd}'")


def _check_asked(folder: Path, names: dict[str, Path]) -> None:
    """A reasoner has a chat template and says in which format it answers."""
    within = _json(names["tokenizer_config.json"]) if "tokenizer_config.json" in names else {}
    if not names.keys() & {"chat_template.jinja", "chat_template.json"} and not within.get("chat_template"):
        raise CheckpointError(f"'{folder}' has no chat template (chat_template.jinja), so it cannot be asked")
    if read_config(folder).format is None:
        raise CheckpointError(
            f'\'{folder}\' does not say in which format it answers: write {{"format": "seg-r1"}} or the like into '
            f"{folder / CONFIG_FILE}"
        )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"'{path}' is not JSON: {error}") from error
