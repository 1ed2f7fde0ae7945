"""``thinkseg train`` with completions that do not depend on how many processes share the work.

What a row of the global batch writes is drawn from the model's own distribution, with random numbers that belong to the
row and not to the process: the largest of logits plus Gumbel noise is a fair draw. Run by `test_processes.py`.

Where Accelerate is asked for FSDP 2 it spreads weights over processes on CPUs, too, which it does on GPUs alone.
"""

import os
import sys
from typing import Any

import torch
from accelerate.state import AcceleratorState, DistributedType, PartialState
from transformers import GenerationMixin, LogitsProcessor, LogitsProcessorList

from thinkseg import cli


class DrawnByRow(LogitsProcessor):
    """Adds noise to the logits of each row, the same one in whichever process the row is.

    Args:
        call: how many times completions have been sampled before.
        first: the place of this process's first row in the global batch.
        temperature: of the sampling.
    """

    def __init__(self, call: int, first: int, temperature: float) -> None:
        self._call, self._first, self._temperature = call, first, temperature
        self._step = 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self._step += 1
        noise = []
        for row in range(len(scores)):
            numbers = torch.Generator().manual_seed(((self._call * 1000 + self._step) * 1000) + self._first + row)
            noise.append(-torch.log(-torch.log(torch.rand(scores.shape[1], generator=numbers))))
        return scores / self._temperature + torch.stack(noise)


def draw_by_row() -> None:
    """Let every call of `generate` sample this way."""
    plain, calls = GenerationMixin.generate, [0]

    def generate(self: Any, *args: Any, generation_config: Any, **inputs: Any) -> Any:
        calls[0] += 1
        first = int(os.environ.get("RANK", "0")) * len(inputs["input_ids"])
        drawn = DrawnByRow(calls[0], first, generation_config.temperature)
        return plain(
            self,
            *args,
            generation_config=generation_config,
            logits_processor=LogitsProcessorList([drawn]),
            do_sample=False,
            **inputs,
        )

    GenerationMixin.generate = generate


def spread_on_cpus() -> None:
    """Let Accelerate take processes on CPUs for what FSDP is for."""
    begin = AcceleratorState.__init__

    def begin_spread(self: Any, *args: Any, fsdp_plugin: Any = None, **options: Any) -> None:
        begin(self, *args, fsdp_plugin=fsdp_plugin, **options)
        if fsdp_plugin is not None and self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = PartialState._shared_state["distributed_type"] = DistributedType.FSDP
            self.fsdp_plugin = fsdp_plugin

    AcceleratorState.__init__ = begin_spread


if __name__ == "__main__":
    draw_by_row()
    spread_on_cpus()
    sys.exit(cli.main(["train", *sys.argv[1:]]))
