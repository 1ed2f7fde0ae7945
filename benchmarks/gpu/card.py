"""Which card, driver and packages, and what the card does at its best."""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib.metadata import version
from typing import Any

import torch
from measuring import seconds_of

from benchmarks.gpu.scale import Scale

PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate")
DATA_SHEETS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
"""Multiplications and additions a second in bfloat16 without sparsity, by a part of the card's name."""


def card(scale: Scale) -> dict[str, Any]:
    """Names and versions, and the rates of a large matrix product and of a copy."""
    return {
        "device": name_of(scale.device),
        "driver": _driver(),
        "cuda": torch.version.cuda,
        "machine": platform.machine(),
        "packages": {name: version(name) for name in PACKAGES},
        "memory_gb": torch.cuda.get_device_properties(0).total_memory / 1e9 if scale.device == "cuda" else None,
        "data_sheet_tflops": _per_second(scale.device),
        "product_tflops": product_rate(scale),
        "copy_gb_per_second": _copy_rate(scale),
    }


def name_of(device: str) -> str:
    """What the device is called."""
    return torch.cuda.get_device_name() if device == "cuda" else "CPU"


def peak_rate(device: str) -> float | None:
    """What the data sheet promises in bfloat16, operations a second; None for a card that is not known here."""
    return next((rate for name, rate in DATA_SHEETS.items() if name in name_of(device)), None)


def product_rate(scale: Scale) -> float:
    """TFLOP/s of a product of square matrices in bfloat16."""
    size = 64 if scale.small else 8192
    one, other = (torch.randn(size, size, device=scale.device, dtype=torch.bfloat16) for _ in range(2))
    times = 10
    seconds = seconds_of({"product": lambda: [one @ other for _ in range(times)]}, scale.repeats)["product"]
    return times * 2 * size**3 / seconds / 1e12


def _copy_rate(scale: Scale) -> float:
    """GB/s, read and written ones added up."""
    count = 2**10 if scale.small else 2**30
    source = torch.zeros(count, dtype=torch.uint8, device=scale.device)
    target = torch.empty_like(source)
    seconds = seconds_of({"copy": lambda: [target.copy_(source) for _ in range(10)]}, scale.repeats)["copy"]
    return 10 * 2 * count / seconds / 1e9


def _per_second(device: str) -> float | None:
    rate = peak_rate(device)
    return None if rate is None else rate / 1e12


def _driver() -> str | None:
    """The driver's version, None where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    call = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    told = subprocess.run(call, capture_output=True, text=True, timeout=20, check=False)
    return told.stdout.strip().splitlines()[0] if told.returncode == 0 and told.stdout.strip() else None
