"""How the time to learn from a group grows with completions, prompt, completion and images, the prompt computed once.

    python benchmarks/scaling.py            # minutes on two cores
    python benchmarks/scaling.py --small    # whether it runs at all
    python benchmarks/scaling.py --json     # for a program

The work and the model are those of `shared_prefix.py`. One size at a time is changed, the others stay at 8 completions
of 100 tokens, a prompt of 587 and one image.
"""

import json
import sys
import tempfile
from dataclasses import replace
from typing import Any

import torch
from measuring import parser_of
from reasoners import IMAGES, NINE_MILLION, SHARED, TINY, Case
from shared_prefix import SMALL, create_trainer, measure

from thinkseg.training.runs import quiet_libraries

BASE = Case(8, 22, 587, 100)


def curves(base: Case, *, small: bool) -> dict[str, list[tuple[int, Case]]]:
    """Of each size its values, with the case that it makes."""
    sides = (4, 5) if small else (10, 16, 22, 28)
    counts = (2, 4) if small else (2, 4, 8, 16)
    lengths = (4, 6) if small else (25, 50, 100, 200)
    text = base.prompt - base.side**2
    return {
        "completions": [(count, replace(base, group=count)) for count in counts],
        "tokens of the prompt": [(side**2 + text, replace(base, side=side, prompt=side**2 + text)) for side in sides],
        "tokens of a completion": [(length, replace(base, completion=length)) for length in lengths],
        "images": [(count, replace(base, images=count)) for count in (1, 2, 3)[: 2 if small else 3]],
    }


def main(words: list[str] | None = None) -> None:
    """Measure, and print tables or JSON."""
    parser = parser_of(
        "How the time to learn from a group grows with its sizes.", small="a tiny model and short cases", repeats=1
    )
    options = parser.parse_args(words)
    proportions, base = (TINY, SMALL[0]) if options.small else (NINE_MILLION, BASE)
    measured: dict[Case, dict[str, Any]] = {}
    found: dict[str, list[dict[str, Any]]] = {}
    with quiet_libraries(), tempfile.TemporaryDirectory() as folder:
        trainer = create_trainer(proportions, folder)
        for size, cases in curves(base, small=options.small).items():
            found[size] = []
            for value, case in cases:
                if case not in measured:
                    measured[case] = measure(trainer, proportions, case, options.repeats, with_plain=False)
                found[size].append({"value": value, **measured[case]})
    if options.json:
        print(json.dumps({"threads": torch.get_num_threads(), "base": str(base), "curves": found}))
        return
    print(f"{base}; {torch.get_num_threads()} threads; seconds to learn from it")
    for size, rows in found.items():
        print(f"\n{table(size, rows)}")


def table(size: str, rows: list[dict[str, Any]]) -> str:
    """One size in lines."""
    lines = [
        f"| {size} | images once, s | the prompt once, s | ratio | multiplications |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        seconds, allowed = row["seconds"], row["allowed"]["this model"][IMAGES]
        cells = (seconds[IMAGES], seconds[SHARED], row["speedup"][IMAGES], allowed)
        lines.append(f"| {row['value']:,} | {cells[0]:.2f} | {cells[1]:.2f} | {cells[2]:.1f} | {cells[3]:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
