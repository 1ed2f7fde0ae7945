"""Muon (Jordan et al., 2024) for matrices that learn on a CPU.

`torch.optim.Muon` orthogonalises in bfloat16, which takes most of a training step on a CPU without instructions for it:
here the type is a choice. Matrices of one shape are orthogonalised together, and the step has the root mean square that
AdamW's would have (0.2 × lr; Liu et al., 2025), so that one rate serves both.
"""

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic Newton-Schulz iteration, from the reference implementation."""


def orthogonalised(matrices: torch.Tensor, steps: int = 5, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """The nearest semi-orthogonal matrix to each of (count, rows, columns), nearly: singular values come close to 1."""
    a, b, c = COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = (x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)).to(dtype)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum whose every step is orthogonalised; for two-dimensional parameters only."""

    def __init__(
        self,
        params,
        lr: float = 1e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.05,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.dtype = dtype
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            by_shape: dict[tuple[int, ...], list[torch.Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault(tuple(parameter.shape), []).append(parameter)
            for shape, parameters in by_shape.items():
                moves = []
                for parameter in parameters:
                    state = self.state[parameter]
                    held = state.setdefault("momentum", torch.zeros_like(parameter))
                    held.lerp_(parameter.grad, 1 - group["momentum"])
                    moves.append(parameter.grad.lerp(held, group["momentum"]))
                updates = orthogonalised(torch.stack(moves), dtype=self.dtype)
                size = 0.2 * max(shape) ** 0.5
                for parameter, update in zip(parameters, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.sub_(update, alpha=group["lr"] * size)
