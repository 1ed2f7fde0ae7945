"""What it saves to compute a prompt once for all of its completions.

    python benchmarks/shared_prefix.py            # all sizes, minutes on two cores
    python benchmarks/shared_prefix.py --small    # whether it runs at all
    python benchmarks/shared_prefix.py --json     # for a program

The work is what a step of GRPO does with a group: log-probabilities and entropies of G completions of one prompt with
one image, and the backward pass. The model is a Qwen2.5-VL of about 9 million random weights with the proportions of
Qwen2.5-VL-3B: a vision tower of a fifth of the language model's weights, with attention in windows but in its last
layer. Three ways of the same work take turns:

- `plain`: TRL's own method, on transformers' own model;
- `images once`: the same, with the vision tower run once for all rows that show the same image;
- `shared prefix`: ThinkSeg's, with the prompt run once, too.

Beside each ratio stands the one of multiplications, the floor of what the model has to do: for this model, and for
Qwen2.5-VL-3B itself. Memory is what the forward pass keeps for the backward pass.
"""

import json
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

import torch
from measuring import kept_for_backward, parser_of, seconds_of
from reasoners import (
    IMAGES,
    MERGE,
    NINE_MILLION,
    PATCH,
    PLAIN,
    SHARED,
    THREE_BILLION,
    TINY,
    Case,
    Proportions,
    counted,
    create_reasoner,
)

from thinkseg.models.sharing.images import images_encoded_once
from thinkseg.training.runs import quiet_libraries
from thinkseg.training.shared_prefix.trainer import sharing

CASES = (Case(8, 22, 587, 100), Case(8, 32, 1127, 60), Case(16, 22, 587, 100), Case(16, 32, 1127, 60))
SMALL = (Case(4, 4, 28, 6),)


def main(words: list[str] | None = None) -> None:
    """Measure, and print a table or JSON."""
    parser = parser_of(
        "What it saves to compute a prompt once for all of its completions.",
        small="a tiny model and one short case",
        repeats=3,
    )
    numbers = range(1, len(CASES) + 1)
    parser.add_argument("--cases", type=int, nargs="+", choices=numbers, help="only these of the cases")
    options = parser.parse_args(words)
    proportions, cases = (TINY, SMALL) if options.small else (NINE_MILLION, CASES)
    chosen = cases if options.small or not options.cases else [cases[number - 1] for number in options.cases]
    with quiet_libraries(), tempfile.TemporaryDirectory() as folder:
        trainer = create_trainer(proportions, folder)
        results = [measure(trainer, proportions, case, options.repeats) for case in chosen]
    weights = sum(weight.numel() for weight in trainer.model.parameters())
    if options.json:
        sys.stdout.write(json.dumps({"weights": weights, "threads": torch.get_num_threads(), "cases": results}) + "\n")
        return
    print(f"{weights / 1e6:.1f} million weights, {torch.get_num_threads()} threads, {trainer.args.device}")
    for result in results:
        print(table(result))


def measure(
    trainer: Any, proportions: Proportions, case: Case, repeats: int, *, with_plain: bool = True
) -> dict[str, Any]:
    """The ratios of a case, with all that they are made of; `memory` is to the first way's.

    Without plain TRL's way, which takes half of the memory, the first is `images once`.
    """
    from trl import GRPOTrainer

    model = trainer.model.train()
    call, options = rows(case, trainer.processing_class.tokenizer, trainer.args.device)
    ways = {
        PLAIN: (GRPOTrainer._get_per_token_logps_and_entropies, False),
        IMAGES: (GRPOTrainer._get_per_token_logps_and_entropies, True),
        SHARED: (type(trainer)._get_per_token_logps_and_entropies, True),
    }
    if not with_plain:
        del ways[PLAIN]
    compared = [way for way in ways if way != SHARED]

    def forward(way: str) -> torch.Tensor:
        compute, once = ways[way]
        with images_encoded_once(model) if once else nullcontext():
            logps, entropies, _ = compute(trainer, model, *call, compute_entropy=True, **options)
        return (logps * weigh).sum() + 0.01 * entropies.sum()

    def step(way: str) -> None:
        model.zero_grad()
        forward(way).backward()

    weigh = torch.linspace(-1, 1, case.completion, device=trainer.args.device)
    gradients = {}
    for way in ways:
        step(way)
        gradients[way] = torch.cat([weight.grad.flatten().clone() for weight in model.parameters()])
    expected = gradients[compared[0]]
    seconds = seconds_of({way: lambda way=way: step(way) for way in ways}, repeats)
    kept = {way: kept_for_backward(model, lambda way=way: forward(way)) for way in ways}
    return {
        "case": asdict(case),
        "seconds": seconds,
        "kept_bytes": kept,
        "gradient_error": {
            way: float((gradients[way] - expected).norm() / expected.norm()) for way in ways if way != compared[0]
        },
        "speedup": {way: seconds[way] / seconds[SHARED] for way in compared},
        "memory": kept[SHARED] / kept[compared[0]],
        "allowed": {
            name: {way: counted(each, case)[way] / counted(each, case)[SHARED] for way in compared}
            for name, each in {"this model": proportions, "Qwen2.5-VL-3B": THREE_BILLION}.items()
        },
    }


def table(result: dict[str, Any]) -> str:
    """A case in lines."""
    lines = [
        f"\n{Case(**result['case'])}\n",
        "| | seconds | kept, MB | gradient, relative error |",
        "|---|---|---|---|",
    ]
    for way, seconds in result["seconds"].items():
        error = result["gradient_error"].get(way)
        told, kept = "" if error is None else f"{error:.1e}", result["kept_bytes"][way] / 1e6
        lines.append(f"| {way} | {seconds:.3f} | {kept:.0f} | {told} |")
    lines += ["\n| shared prefix over | measured | multiplications allow | in Qwen2.5-VL-3B |", "|---|---|---|---|"]
    for way, ratio in result["speedup"].items():
        allowed = [result["allowed"][name][way] for name in ("this model", "Qwen2.5-VL-3B")]
        lines.append(f"| {way} | {ratio:.1f} | {allowed[0]:.1f} | {allowed[1]:.1f} |")
    return "\n".join([*lines, f"\nkept for the backward pass: {result['memory']:.2f} of plain"])


def create_trainer(proportions: Proportions, folder: str, dtype: str = "float32", attention: str = "sdpa") -> Any:
    """TRL's trainer with prefixes shared; its processor is a stand-in that gives the tokens of an image."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    on_gpu = torch.cuda.is_available()
    device = "cuda" if on_gpu else "cpu"
    model, processor = create_reasoner(proportions, dtype=dtype, device=device, attention=attention)
    args = GRPOConfig(
        output_dir=folder,
        use_cpu=not on_gpu,
        bf16=False,
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
        report_to="none",
        per_device_train_batch_size=2,
        num_generations=2,
    )
    return sharing(GRPOTrainer, "on")(
        model=model,
        processing_class=processor,
        reward_funcs=[lambda completions, **_: [0.0] * len(completions)],
        args=args,
        train_dataset=Dataset.from_list([{"prompt": [{"role": "user", "content": "it"}]}] * 2),
    )


def rows(case: Case, tokenizer: Any, device: torch.device) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A call of log-probabilities as TRL makes it: random text, and images of noise."""
    numbers = torch.Generator().manual_seed(0)
    start, pad, end = tokenizer.convert_tokens_to_ids(["<|vision_start|>", "<|image_pad|>", "<|vision_end|>"])
    image = torch.tensor([start, *[pad] * case.side**2, end])
    patches, prompts, pixels = case.side * MERGE, [], []
    for _ in range(case.images):
        text = torch.randint(0, 200, (case.prompt - len(image),), generator=numbers)
        prompts.append(torch.cat([image, text]).repeat(case.group, 1))
        pixels.append(torch.randn(patches**2, 3 * 2 * PATCH**2, generator=numbers).repeat(case.group, 1))
    rows = case.group * case.images
    completions = torch.randint(0, 200, (rows, case.completion), generator=numbers)
    ids = torch.cat([torch.cat(prompts), completions], dim=1)
    options = {
        "pixel_values": torch.cat(pixels),
        "image_grid_thw": torch.tensor([[1, patches, patches]]).repeat(rows, 1),
        "mm_token_type_ids": (ids == pad).long(),
    }
    moved: dict[str, Any] = {name: value.to(device) for name, value in options.items()}
    ids = ids.to(device)
    return (ids, torch.ones_like(ids), case.completion), {**moved, "num_images": [1] * rows}


if __name__ == "__main__":
    main()
