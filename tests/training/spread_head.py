"""Compares gradients of a model that FSDP 2 has spread with those of a whole one. Run by `test_spread.py`.

torchrun --nproc-per-node 2 tests/training/spread_head.py FOLDER
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from trl.trainer.utils import add_fused_lm_head

from tests.training.two_processes import spread_on_cpus
from thinkseg import testing
from thinkseg.training.spread import add_up_head


def main(folder: Path) -> None:
    """Write the largest error of a gradient, by what the model is like."""
    spread_on_cpus()
    accelerator = Accelerator(cpu=True)
    errors = {
        f"{head}, {how}": error_of(accelerator, head == "tied", how == "added up")
        for head in ("tied", "a head of its own")
        for how in ("TRL's", "added up")
    }
    if accelerator.is_main_process:
        (folder / "errors.json").write_text(json.dumps(errors))
    torch.distributed.destroy_process_group()


def create_model(tied: bool) -> Any:
    """A tiny model, each time the same, whose head is the embeddings or not."""
    model, _ = testing.tiny_qwen2_5_vl()
    model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = tied
    if not tied:
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach() * 0.5)
    add_fused_lm_head(model)
    return model


def error_of(accelerator: Accelerator, tied: bool, added_up: bool) -> float:
    """Relative to the largest gradient of all, of two micro-batches that differ from process to process."""
    model, whole = create_model(tied), create_model(tied)
    if added_up:
        add_up_head(model)
    numbers = torch.Generator().manual_seed(accelerator.process_index)
    batches = [torch.randint(0, 200, (2, 9), generator=numbers) for _ in range(2)]
    spread, _ = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.1))
    for number, ids in enumerate(batches):
        spread.set_requires_gradient_sync(number == len(batches) - 1)
        for each in (spread, whole):
            outputs = each(input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids, fused_lm_head=True)
            (outputs.log_probs * torch.linspace(-1, 1, outputs.log_probs.shape[1])).sum().backward()
    expected, errors = {}, []
    for name, weight in whole.named_parameters():
        expected[name] = torch.zeros_like(weight) if weight.grad is None else weight.grad
        torch.distributed.all_reduce(expected[name])
        expected[name] /= accelerator.num_processes
    for name, weight in spread.named_parameters():
        found = torch.zeros(weight.shape) if weight.grad is None else weight.grad.full_tensor()
        errors.append(float((found - expected[name]).abs().max()))
    return max(errors) / max(float(each.abs().max()) for each in expected.values())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
