"""Writes a model with adapters before and after PyTorch's FSDP 2 has spread it over processes. Run by `test_spread.py`.

torchrun --nproc-per-node 2 tests/training/spread_adapters.py FOLDER
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from peft import LoraConfig, get_peft_model
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from thinkseg import testing
from thinkseg.training.saving import save_model
from thinkseg.training.spread import is_spread


def main(folder: Path) -> None:
    """Write the base, the merged model of one process, that of two, and the adapter as a checkpoint has it."""
    torch.distributed.init_process_group("gloo")
    is_main = torch.distributed.get_rank() == 0
    base, processor = testing.tiny_qwen2_5_vl()
    if is_main:
        testing.save(folder / "base", (base, processor))
    torch.manual_seed(3)
    targets = r".*language_model.*(q_proj|v_proj|down_proj)"
    model = get_peft_model(base, LoraConfig(r=3, lora_alpha=6, target_modules=targets, init_lora_weights=False))
    trainer = SimpleNamespace(
        model=model,
        accelerator=SimpleNamespace(unwrap_model=lambda model: model),
        is_world_process_zero=lambda: is_main,
    )
    policy = SimpleNamespace(reasoner=SimpleNamespace(processor=processor), write_config=lambda folder: None)
    save_model(trainer, policy, folder / "whole")
    mesh = init_device_mesh("cpu", (torch.distributed.get_world_size(),))
    for layer in base.model.language_model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    assert is_spread(model)
    before = {name: weight.to_local().clone() for name, weight in model.named_parameters()}
    save_model(trainer, policy, folder / "spread")
    after = {name: weight.to_local() for name, weight in model.named_parameters()}
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    state = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if is_main:
        model.save_pretrained(folder / "adapter", state_dict=state)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
