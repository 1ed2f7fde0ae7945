"""From what training leaves behind to one folder that anything loads: adapters merged, shards put together.

>>> merge("runs/rl/checkpoint-100", "merged")                                 # doctest: +SKIP
>>> merge("easyr1/global_step_30/actor", "merged", format="vision-reasoner")  # doctest: +SKIP
>>> merge("runs/rl/final", "mixed", base="pocket", start_share=0.5)           # doctest: +SKIP

Any of them, and a whole model, can be mixed with the model that its training started from.

Whole tensors come from `thinkseg.models.shards`, a module for each layout. They go into the model's class by the names
that it has, that its files have, or that files of older releases had; every tensor finds its place, every place gets
its tensor, and every shape is the class's own, or nothing is written.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from thinkseg.errors import CheckpointError, InputError
from thinkseg.models import loading
from thinkseg.models.checkpoint_config import CONFIG_FILE, CheckpointConfig, read_config, resolve_config, write_config
from thinkseg.models.shards import adapters, distributed, ranks, zero
from thinkseg.results.files import prepare_folder

Tensors = dict[str, torch.Tensor]
Reader = Callable[[Path], tuple[Tensors, int]]

_WRAPPERS = ("_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_orig_mod.")
"""What wrappers put into the middle of names."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What was merged."""

    folder: Path
    """Where the model is."""
    layout: str
    """What it was merged from, in words."""
    pieces: int
    """How many processes' shards there were; 1 for an adapter."""
    tensors: int
    """How many tensors were written."""
    parameters: int
    """How many numbers they hold."""
    dtype: str
    """dtype of the weights."""
    format: str | None
    """The answer format in its `thinkseg.json`; None where nobody knows it."""


@dataclass(frozen=True, slots=True)
class ShardLayout:
    """A kind of pieces, and where they were found."""

    name: str
    folder: Path
    read: Reader


def merge(
    source: Path | str,
    out: Path | str,
    *,
    base: str | None = None,
    format: str | None = None,
    dtype: str = "auto",
    max_shard_size: str = "5GB",
    start_share: float = 0.0,
) -> Merged:
    """Make one checkpoint folder of an adapter or of shards, or of a trained model and its start.

    Args:
        source: the folder of the adapter or of the shards, or the ``checkpoint-N`` or ``global_step_N`` around it; with
            `start_share` a whole model, too.
        out: the folder to write; must not hold anything yet.
        base: a folder or hub id: of an adapter the model that it adapts, of shards one that has config and
            processor, with `start_share` the model that training started from. None for the one that the adapter
            names, or for what lies beside the shards.
        format: the answer format for `thinkseg.json`; None for the one that the source's or the base's names.
        dtype: of the written weights: ``auto`` keeps the shards' own, and an adapter's base's.
        max_shard_size: the largest file of weights, such as ``"5GB"``.
        start_share: share of the base's weights in each written one, 0 or more and below 1; the rest is the trained
            model's. The mean of the weights forgets less of what the start knew than the trained model does
            (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022).

    Raises:
        CheckpointError: a piece is missing, doubled or damaged, or what comes out is not the model of the config, or
            the base is not the model that training started from.
        InputError: the call cannot work: the folder to write is not empty, the dtype or the share is none.
    """
    source, out = Path(source).expanduser(), Path(out).expanduser()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"'{out}' exists already: name a folder that does not, for the merged model")
    if not 0 <= start_share < 1:
        raise InputError(f"the start's share should be 0 or more and below 1, found {start_share}")
    prepare_folder(out.parent)
    target = None if dtype == "auto" else loading.torch_dtype(dtype, torch.device("cpu"))
    read_in = torch.float32 if start_share else target  # what is mixed is rounded afterwards
    called = base
    adapter = adapters.adapter_folder(source)
    if start_share and adapter is None and base is None:
        raise InputError("say with --base which model training started from: its weights are to be mixed in")
    if adapter is not None:
        called = base = base or adapters.base_of(adapter)
        described = loading.locate(base, "reasoner")
        model = adapters.read_adapted(adapter, described, read_in)
        layout, pieces, usual = "a LoRA adapter", 1, _dtype_of(described)
    elif start_share and any(source.glob("*.safetensors")):
        described = str(source)
        called = described if (source / CONFIG_FILE).is_file() else called
        model, layout, pieces, usual = _read_whole(described, read_in), "a whole model", 1, _dtype_of(described)
    else:
        found = find_layout(source)
        described = _described(source, found.folder, base)
        tensors, pieces = found.read(found.folder)
        model = model_from_tensors(tensors, described, read_in)
        layout, usual = found.name, _widest_dtype(tensors)
    if start_share:
        mix(model, loading.locate(str(base), "reasoner"), start_share)
        model.to(target or usual)
        layout += f", with {start_share:g} of the weights of its start"
    own = _own_config(source, called or described, described, format)
    written = _write(model, described, own, out, max_shard_size)
    parameters = sum(weight.numel() for weight in model.parameters())
    return Merged(out, layout, pieces, written, parameters, str(model.dtype).removeprefix("torch."), own.format)


def mix(model: Any, start: str, share: float) -> None:
    """Replace each weight by its mean with the start's.

    Args:
        model: the trained one in float32, on the CPU.
        start: folder or hub id of the model that its training started from.
        share: of the start's weights, above 0 and below 1.

    Raises:
        CheckpointError: the start has other weights, by name or shape.
    """
    theirs = _read_whole(start, "auto").state_dict()
    own = model.state_dict()
    other = sorted(theirs.keys() ^ own.keys()) or [name for name in own if own[name].shape != theirs[name].shape]
    if other:
        raise CheckpointError(
            f"'{start}' cannot be mixed in: '{other[0]}' is not in both models, or has another shape ({len(other)} "
            "such); name the model that training started from; where training added tokens, nothing can be mixed"
        )
    once = {weight.data_ptr(): name for name, weight in own.items() if weight.is_floating_point()}
    with torch.no_grad():
        for name in once.values():  # weights that two names share are mixed once
            own[name].copy_(torch.lerp(own[name].float(), theirs[name].float(), share))


def _dtype_of(source: str) -> Any:
    from transformers import AutoConfig

    with loading.explained(source):
        return AutoConfig.from_pretrained(source).dtype or torch.float32


def _read_whole(source: str, dtype: Any) -> Any:
    from transformers import AutoModelForImageTextToText

    with loading.explained(source), _quiet():
        return loading.load_weights(AutoModelForImageTextToText, source, dtype=dtype)


def find_layout(source: Path) -> ShardLayout:
    """Which layout a folder, or the part of it that holds the model, has.

    Raises:
        CheckpointError: none that is known.
    """
    if not source.is_dir():
        raise CheckpointError(f"there is no folder '{source}'")
    for folder in (source, source / "actor", source / "pytorch_model_fsdp_0"):
        if ranks.rank_files(folder):
            return ShardLayout("a file per process (EasyR1, veRL, FSDP)", folder, ranks.read_rank_files)
        if (folder / distributed.METADATA).is_file():
            return ShardLayout("a distributed checkpoint (FSDP)", folder, distributed.read_distributed)
    sharded = zero.zero_folder(source)
    if sharded is not None:
        return ShardLayout("ZeRO shards (DeepSpeed)", sharded, zero.read_zero)
    whole = any(source.glob("*.safetensors"))
    raise CheckpointError(
        f"'{source}' holds neither an adapter nor shards that are known"
        + (
            "; it is a whole model already, which --start-share mixes with its start"
            if whole
            else ": docs/training.md lists the layouts"
        )
    )


def model_from_tensors(tensors: Tensors, described: str, dtype: Any = None) -> Any:
    """The model of a config with these weights, all of them and no others.

    Args:
        tensors: by the names of the model in memory, of its files, or of files of older releases.
        described: the folder or hub id of the config.
        dtype: of the weights; None for one that rounds none of them.

    Raises:
        CheckpointError: a tensor is missing, is one too many, or has another shape than the class gives it.
    """
    from transformers import AutoConfig, AutoModelForImageTextToText

    tensors = _plain_names(tensors)
    adapted = next((name for name in tensors if ".lora_" in name), None)
    if adapted is not None:
        raise CheckpointError(
            f"the shards hold an adapter ('{adapted}') beside its base: save the adapter by itself and merge that"
        )
    with loading.explained(described):
        loading.model_type(described)
        config = AutoConfig.from_pretrained(described)
        model_class: Any = AutoModelForImageTextToText._model_mapping[type(config)]
    _check_tied(tensors, config)
    loading.check_finite(tensors, "one of the shards")
    dtype = dtype or _widest_dtype(tensors)
    with _quiet():
        model, found = model_class.from_pretrained(
            None,
            config=config,
            state_dict=tensors,
            dtype=dtype,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    if found["mismatched_keys"]:
        name, theirs, ours = min(found["mismatched_keys"])
        raise CheckpointError(
            f"'{name}' is {tuple(theirs)} in the shards and {tuple(ours)} in the model of '{described}': "
            "they are not of one model"
        )
    for kind, keys in (("lack", found["missing_keys"]), ("have a tensor besides,", found["unexpected_keys"])):
        if keys:
            raise CheckpointError(
                f"the shards {kind} '{min(keys)}' ({len(keys)} such), as against the model of '{described}'"
            )
    return model.eval()


def _plain_names(tensors: Tensors) -> Tensors:
    """The tensors by the names that they have in the model, without those of wrappers around it."""
    plain: Tensors = {}
    for name, tensor in tensors.items():
        own = name
        for wrapper in _WRAPPERS:
            own = own.replace(wrapper, "")
        own = own.removeprefix("module.")
        if own in plain:
            raise CheckpointError(f"the shards hold two tensors for '{own}', the second as '{name}'")
        plain[own] = tensor
    return plain


def _check_tied(tensors: Tensors, config: Any) -> None:
    """Where the output layer is the embedding, shards that hold both hold the same."""
    if not getattr(config.get_text_config(), "tie_word_embeddings", False):
        return
    heads = [tensor for name, tensor in tensors.items() if name.endswith("lm_head.weight")]
    embeddings = [tensor for name, tensor in tensors.items() if name.endswith("embed_tokens.weight")]
    if heads and embeddings and not torch.equal(heads[0], embeddings[0]):
        raise CheckpointError(
            "the config says that the output layer is the embedding, and the shards hold two different ones: "
            "set tie_word_embeddings to false in config.json"
        )


def _widest_dtype(tensors: Tensors) -> Any:
    """The dtype that holds all of the weights without rounding any."""
    widest: Any = None
    for tensor in tensors.values():
        if tensor.is_floating_point():
            widest = tensor.dtype if widest is None else torch.promote_types(widest, tensor.dtype)
    if widest is None:
        raise CheckpointError("the shards hold no weights")
    return widest


def _described(source: Path, found: Path, base: str | None) -> str:
    """Where config and processor are: in the base, or beside the shards."""
    if base is not None:
        return loading.locate(base, "reasoner")
    near = (found, found / "huggingface", source, source / "huggingface", found.parent, found.parent / "huggingface")
    for folder in near:
        if (folder / "config.json").is_file():
            return str(folder)
    raise CheckpointError(
        f"there is no config.json beside the shards in '{found}': say with --base of which model they are"
    )


def _own_config(source: Path, called: str, described: str, format: str | None) -> CheckpointConfig:
    """How the merged model is prompted: as its own folder says, else as is known of the model of that name."""
    own = read_config(source) if source.is_dir() else CheckpointConfig()
    given = own.replaced(format=format) if format is not None else own
    return resolve_config(called, given, source=described)


def _write(model: Any, described: str, config: CheckpointConfig, out: Path, max_shard_size: str) -> int:
    """Write the folder beside its place, check it, and move it there; how many tensors it holds."""
    from transformers import AutoProcessor, GenerationConfig

    work = out.with_name(out.name + ".partial")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    with loading.explained(described), _quiet():
        if Path(described).is_dir() and (Path(described) / "generation_config.json").is_file():
            model.generation_config = GenerationConfig.from_pretrained(described)
        processor = AutoProcessor.from_pretrained(described)
    try:
        with _quiet():
            model.save_pretrained(work, max_shard_size=max_shard_size)
            processor.save_pretrained(work)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(work, ignore_errors=True)
        raise CheckpointError(f"the merged model cannot be written to '{out}': {error}; make room there") from error
    if config != CheckpointConfig():
        write_config(config, work)
    written = _check_written(model, work)
    if out.exists():
        out.rmdir()
    work.rename(out)
    return written


def _check_written(model: Any, folder: Path) -> int:
    """How many tensors the files hold, which are as many numbers as the model has."""
    sizes: list[int] = []
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            sizes += [torch.Size(file.get_slice(name).get_shape()).numel() for name in file.keys()]  # noqa: SIM118
    expected = sum({tensor.data_ptr(): tensor.numel() for tensor in model.state_dict().values()}.values())
    if sum(sizes) != expected:
        raise CheckpointError(f"'{folder}' should hold {expected} numbers and holds {sum(sizes)}: is the disk full?")
    return len(sizes)


@contextmanager
def _quiet() -> Iterator[None]:
    """Let transformers say and draw nothing: what is wrong is said in our own sentences."""
    from transformers.utils import logging

    level, drawn = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if drawn:
            logging.enable_progress_bar()
