"""Writers of the layouts in which training leaves a model behind, one process playing each of several in turn."""

import math
import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from safetensors.torch import load_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor
from torch.testing._internal.distributed.fake_pg import FakeStore
from transformers import AutoModelForImageTextToText

Tensors = dict[str, torch.Tensor]

OLD_NAMES_IN_PEFT = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


@contextmanager
def playing(rank: int, world: int) -> Iterator[None]:
    """Be one process of several, without the others: nothing is sent."""
    dist.init_process_group("fake", rank=rank, world_size=world, store=FakeStore())
    try:
        yield
    finally:
        dist.destroy_process_group()


def spread(tensors: Tensors, rank: int, world: int, groups: int = 1) -> dict[str, Any]:
    """What a process of FSDP has of a model: matrices by rows, vectors whole; `groups` copies of it all."""
    shape, names = ((world,), ("fsdp",)) if groups == 1 else ((groups, world // groups), ("ddp", "fsdp"))
    mesh = init_device_mesh("cpu", shape, mesh_dim_names=names)
    outer = [Replicate()] * (len(shape) - 1)
    return {
        name: distribute_tensor(
            tensor, mesh, [*outer, Shard(0) if tensor.ndim > 1 else Replicate()], src_data_rank=None
        )
        for name, tensor in tensors.items()
    }


def write_actor(folder: Path, tensors: Tensors, world: int, groups: int = 1, named: str | None = None) -> Path:
    """As EasyR1 and veRL do: a file per process."""
    folder.mkdir(parents=True, exist_ok=True)
    for rank in range(world):
        with playing(rank, world):
            name = named or "model_world_size_{world}_rank_{rank}.pt"
            torch.save(spread(tensors, rank, world, groups), folder / name.format(world=world, rank=rank))
    return folder


def write_distributed(folder: Path, tensors: Tensors, world: int) -> Path:
    """As `torch.distributed.checkpoint` does it, with the parts that every process plays."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = dcp.FileSystemWriter(folder)
    planners, plans = [], []
    for rank in range(world):
        with playing(rank, world):
            planner = dcp.DefaultSavePlanner()
            state = {"model": spread(tensors, rank, world)}
            planner.set_up_planner(state, writer.storage_meta(), is_coordinator=rank == 0)
            writer.set_up_storage_writer(is_coordinator=rank == 0)
            plans.append(writer.prepare_local_plan(planner.create_local_plan()))
            planners.append(planner)
    plans, metadata = planners[0].create_global_plan(plans)
    plans = writer.prepare_global_plan(plans)
    results = []
    for rank, (planner, plan) in enumerate(zip(planners, plans, strict=True)):
        with playing(rank, world):
            results.append(writer.write_data(planner.finish_plan(plan), planner).wait())
    writer.finish(metadata, results)
    return folder


class LossScaler:
    """An object of the trainer's own, such as DeepSpeed's files hold beside the weights."""

    __module__ = "deepspeed.runtime.fp16.loss_scaler"


class ZeroStageEnum(int):
    """As DeepSpeed writes the stage: an object of its own, made of a number."""

    __module__ = "deepspeed.runtime.zero.config"

    def __reduce__(self) -> tuple[Any, ...]:
        return ZeroStageEnum, (int(self),)


@contextmanager
def deepspeed_within_reach() -> Iterator[None]:
    """While files are written the module of that object exists; when they are read, it does not."""
    names = ("deepspeed", "deepspeed.runtime", "deepspeed.runtime.fp16", "deepspeed.runtime.zero")
    modules = {name: ModuleType(name) for name in names}
    for own in (LossScaler, ZeroStageEnum):
        modules[own.__module__] = ModuleType(own.__module__)
        setattr(modules[own.__module__], own.__name__, own)
    with pytest.MonkeyPatch.context() as patch:
        for name, module in modules.items():
            patch.setitem(sys.modules, name, module)
        yield


def write_zero(folder: Path, tensors: Tensors, world: int, stage: int, frozen: tuple[str, ...] = ()) -> Path:
    """As DeepSpeed does: matrices and vectors in a group each; weights whose names contain `frozen` are not trained."""
    step = folder / "global_step7"
    step.mkdir(parents=True, exist_ok=True)
    (folder / "latest").write_text("global_step7")
    still = {name: value for name, value in tensors.items() if any(part in name for part in frozen)}
    moved = {name: value for name, value in tensors.items() if name not in still}
    groups = [{n: t for n, t in moved.items() if t.ndim > 1}, {n: t for n, t in moved.items() if t.ndim <= 1}]
    deal = _dealt_by_weight if stage == 3 else _dealt_by_group
    key = "fp32_flat_groups" if stage == 3 else "single_partition_of_fp32_groups"
    for rank in range(world):
        vectors = [deal(group, rank, world) for group in groups]
        optimizer = {
            "zero_stage": ZeroStageEnum(stage),
            "partition_count": world if stage == 3 else [world, world],
            key: vectors,
        }
        optimizer |= {"loss_scaler": LossScaler(), "optimizer_state_dict": {"state": {}}, "ds_version": "0.19.8"}
        name = f"bf16_zero_pp_rank_{rank}_mp_rank_00_optim_states.pt"
        with deepspeed_within_reach():
            torch.save({"optimizer_state_dict": optimizer}, step / name)
        if stage == 3 or rank == 0:
            of_rank = f"zero_pp_rank_{rank}_" if stage == 3 else ""
            torch.save(_model_state(groups, still, rank, world, stage), step / f"{of_rank}mp_rank_00_model_states.pt")
    return folder


def _model_state(groups: list[Tensors], still: Tensors, rank: int, world: int, stage: int) -> dict[str, Any]:
    part = (lambda tensor: _part(tensor, rank, world)) if stage == 3 else (lambda tensor: tensor.bfloat16())
    return {
        "module": {"rope.inv_freq": torch.ones(3)} if stage == 3 else {n: t for g in groups for n, t in g.items()},
        "buffer_names": [],
        "param_shapes": [OrderedDict((name, tensor.shape) for name, tensor in group.items()) for group in groups],
        "frozen_param_shapes": OrderedDict((name, tensor.shape) for name, tensor in still.items()) or None,
        "frozen_param_fragments": OrderedDict((name, part(tensor)) for name, tensor in still.items()) or None,
        "shared_params": {},
    }


def _dealt_by_group(group: Tensors, rank: int, world: int) -> torch.Tensor:
    """An equal part of all weights of a group, which are filled up to a multiple of twice the processes."""
    vector = torch.cat([tensor.flatten() for tensor in group.values()])
    filled = torch.zeros(math.ceil(len(vector) / (2 * world)) * 2 * world)
    filled[: len(vector)] = vector
    return filled.chunk(world)[rank].clone()


def _dealt_by_weight(group: Tensors, rank: int, world: int) -> torch.Tensor:
    """An equal part of each weight of a group, one after another."""
    return torch.cat([_part(tensor, rank, world) for tensor in group.values()])


def _part(tensor: torch.Tensor, rank: int, world: int) -> torch.Tensor:
    size = math.ceil(tensor.numel() / world)
    filled = torch.zeros(size * world, dtype=tensor.dtype)
    filled[: tensor.numel()] = tensor.flatten()
    return filled[rank * size : (rank + 1) * size].clone()


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


def adapted(base: Path, folder: Path) -> Any:
    """A base with an adapter that changes it, and the adapter as a folder."""
    from peft import LoraConfig, get_peft_model

    model = AutoModelForImageTextToText.from_pretrained(base)
    pattern = r".*(language_model|visual).*\.(q_proj|v_proj|gate_proj|qkv)"
    model = get_peft_model(model, LoraConfig(r=2, lora_alpha=8, target_modules=pattern, init_lora_weights=False))
    torch.manual_seed(3)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    return model.eval()
