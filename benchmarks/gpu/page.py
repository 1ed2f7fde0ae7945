"""From what was measured on a GPU to its part of docs/performance.md."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.gpu.sections import SECTIONS

BEGIN, END = "<!-- what follows is written by: python -m benchmarks.gpu --render -->", "<!-- until here -->"
NOT_MEASURED = "not measured"

Told = Mapping[str, Any]


def render(measured: Path, page: Path) -> int:
    """Write a page's part about the GPU anew.

    Args:
        measured: the JSON; where there is none, the tables say so.
        page: with both marks.

    Returns:
        0; 2 where the page has no marks or small sizes were measured.
    """
    found = json.loads(measured.read_text(encoding="utf-8")) if measured.is_file() else None
    if found is not None and found["small"]:
        print(f"expected what was measured at full size in '{measured}', found tiny models (--small)", file=sys.stderr)
        return 2
    text = page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        print(f"expected the marks '{BEGIN}' and '{END}' in '{page}', each once", file=sys.stderr)
        return 2
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n\n{in_words(found)}\n\n{END}{after}", encoding="utf-8")
    return 0


def in_words(found: Told | None) -> str:
    """All sections as Markdown.

    Args:
        found: what was measured; None if nothing was.
    """
    sections: Told = {} if found is None else found["sections"]
    parts = []
    for name, section in SECTIONS.items():
        told = sections.get(name)
        if told is None:
            parts.append(f"- {section.title}: {NOT_MEASURED}.")
        elif "result" not in told:
            parts.append(f"- {section.title}: {NOT_MEASURED}: {_reason(told)}.")
        else:
            parts.append(f"\n**{section.title}**\n\n{_TABLES[name](told['result'])}\n")
    return "\n".join(parts).strip()


def _reason(told: Told) -> str:
    if "skipped" in told:
        return f"skipped, {told['skipped']}"
    return f"ended {told['ended']}" if "ended" in told else f"failed, {told['failed']}"


def _card(told: Told) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in told["packages"].items())
    memory = "" if told["memory_gb"] is None else f", {told['memory_gb']:.0f} GB"
    driver = "no driver" if told["driver"] is None else f"driver {told['driver']}, CUDA {told['cuda']}"
    promised = "" if told["data_sheet_tflops"] is None else f" of {told['data_sheet_tflops']:.0f} on its data sheet"
    return (
        f"{told['device']}{memory}, {driver}; {packages}. A product of matrices of 8,192 a side in bfloat16 runs at "
        f"{told['product_tflops']:.0f} TFLOP/s{promised}, a copy at {told['copy_gb_per_second']:,.0f} GB/s."
    )


def _step(told: Told) -> str:
    ways: Told = told["ways"]
    one = next(iter(ways.values()))
    sizes = f"{one['group']} completions of {one['completion']} tokens, a prompt of {one['prompt']}; seconds a step:"
    parts = list(one["parts"])
    rows = [
        ("a step", lambda way: f"{way['seconds']:.2f}"),
        *((part, lambda way, part=part: f"{way['parts'].get(part, 0):.2f}") for part in parts),
        ("tokens sampled a second", lambda way: f"{way['sampled_per_second']:,.0f}"),
        ("completions' tokens learnt a second", lambda way: f"{way['learnt_per_second']:,.0f}"),
        ("TFLOP/s while learning", lambda way: f"{way['tflops']:.0f}"),
        ("of the data sheet's (MFU)", lambda way: _share(way["mfu"])),
        ("most memory, GB", lambda way: _number(way["peak_gb"])),
        ("... by the [arithmetic](memory.md)", lambda way: _number(way["expected_gb"])),
    ]
    return f"{sizes}\n\n{_table(list(ways), [(name, [show(way) for way in ways.values()]) for name, show in rows])}"


def _segmenter(told: Told) -> str:
    rates, whole, changed = told["images_per_second"], told["whole"], told["pixels_that_differ_in_bfloat16"]
    return (
        f"At {told['side']} pixels a side, in batches of {told['batch']}: {rates['float32']:.1f} images/s encoded in "
        f"float32, {rates['bfloat16']:.1f} in bfloat16 (which changes {100 * changed:.2f} % of a mask's pixels); "
        f"{told['prompts_per_second']:,.0f} prompts/s decoded, {told['chunk']} at a time. "
        f"{whole['images']} images with {whole['prompts']} prompts, from PIL to masks: {whole['seconds']:.2f} s."
    )


def _tests(told: Told) -> str:
    failed = "".join(f"; failed: {name}" for name in told["failed"])
    return f"{told['summary']}{failed}."


def _rollouts(told: Told) -> str:
    first, rates = told["first_token_seconds"], told["tokens_per_second"]
    rows = [
        ("seconds to the first token", [f"{seconds:.2f}" for seconds in first.values()]),
        ("tokens a second", [f"{rates[way]:,.0f}" for way in first]),
    ]
    asked = f"{told['prompts']} prompts of {told['prompt']} tokens"
    sizes = f"{asked}, {told['group']} completions of {told['completion']} each:"
    return f"{sizes}\n\n{_table(list(first), rows)}"


def _attention(told: Told) -> str:
    rows = [
        (
            way,
            [f"refused: {one['refused']}", "", ""]
            if "refused" in one
            else [f"{one['seconds']:.3f}", f"{one['kept_gb']:.1f}", f"{one['logps_off']['mean']:.1e}"],
        )
        for way, one in told["ways"].items()
    ]
    heads = ["seconds", "kept for the backward pass, GB", "log-probabilities off by, on average"]
    return f"{told['layers']} layers, {told['case']}:\n\n{_table(heads, rows)}"


def _compiled(told: Told) -> str:
    rows = [
        (kind, [f"{rates['plain']:.1f}", f"{rates['compiled']:.1f}", f"{told['compiling_seconds'][kind]:.0f}"])
        for kind, rates in told["images_per_second"].items()
    ]
    return _table(["images/s", "compiled, images/s", "compiling, s"], rows)


_TABLES: Mapping[str, Callable[[Told], str]] = {
    "card": _card,
    "step": _step,
    "segmenter": _segmenter,
    "tests": _tests,
    "adapters": _step,
    "rollouts": _rollouts,
    "attention": _attention,
    "larger": _step,
    "compile": _compiled,
}


def _table(heads: list[str], rows: list[tuple[str, list[str]]]) -> str:
    lines = [["", *heads], ["---"] * (len(heads) + 1), *([name, *cells] for name, cells in rows)]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines)


def _share(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{100 * value:.0f} %"


def _number(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.1f}"
