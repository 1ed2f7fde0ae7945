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

import argparse
import json
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
from measuring import kept_for_backward, seconds_of

from thinkseg.models.sharing.images import images_encoded_once
from thinkseg.testing import tiny_qwen2_5_vl
from thinkseg.training.runs import quiet_libraries
from thinkseg.training.shared_prefix.trainer import sharing

PLAIN, IMAGES, SHARED = "plain", "images once", "shared prefix"
WINDOW, MERGE, PATCH = 8, 2, 14
"""Patches a side of a window, patches a side of a token, pixels a side of a patch."""


@dataclass(frozen=True)
class Proportions:
    """Of a Qwen2.5-VL."""

    hidden: int
    inner: int
    layers: int
    heads: int
    kv: int
    vocab: int
    vision_hidden: int
    vision_inner: int
    vision_layers: int
    full_layers: int
    """Layers of the vision tower that attend to the whole image; the others attend within windows."""


NINE_MILLION = Proportions(256, 1376, 6, 2, 1, 2850, 160, 428, 4, 1)
THREE_BILLION = Proportions(2048, 11008, 36, 16, 2, 151936, 1280, 3420, 32, 4)
TINY = Proportions(32, 64, 2, 4, 2, 300, 32, 64, 2, 1)


@dataclass(frozen=True)
class Case:
    """A group of completions of one prompt."""

    group: int
    side: int
    """Tokens a side of the image."""
    prompt: int
    """Tokens of the prompt, the image's among them."""
    completion: int
    """Tokens of each completion."""

    def __str__(self) -> str:
        return f"G {self.group}, prompt {self.prompt}, completion {self.completion}"


CASES = (Case(8, 22, 587, 100), Case(8, 32, 1127, 60), Case(16, 22, 587, 100), Case(16, 32, 1127, 60))
SMALL = (Case(4, 4, 28, 6),)


def main(words: list[str] | None = None) -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description="What it saves to compute a prompt once for all of its completions.")
    parser.add_argument("--small", action="store_true", help="a tiny model and one short case")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each way, of which the fastest counts")
    parser.add_argument("--cases", type=int, help="only the first so many")
    options = parser.parse_args(words)
    proportions, cases = (TINY, SMALL) if options.small else (NINE_MILLION, CASES)
    with quiet_libraries(), tempfile.TemporaryDirectory() as folder:
        trainer = create_trainer(proportions, folder)
        results = [measure(trainer, proportions, case, options.repeats) for case in cases[: options.cases]]
    weights = sum(weight.numel() for weight in trainer.model.parameters())
    if options.json:
        sys.stdout.write(json.dumps({"weights": weights, "threads": torch.get_num_threads(), "cases": results}) + "\n")
        return
    print(f"{weights / 1e6:.1f} million weights, {torch.get_num_threads()} threads, {trainer.args.device}")
    for result in results:
        print(table(result))


def measure(trainer: Any, proportions: Proportions, case: Case, repeats: int) -> dict[str, Any]:
    """Both ratios of a case, with all that they are made of."""
    from trl import GRPOTrainer

    model = trainer.model.train()
    call, options = rows(case, trainer.processing_class.tokenizer, trainer.args.device)
    ways = {
        PLAIN: (GRPOTrainer._get_per_token_logps_and_entropies, False),
        IMAGES: (GRPOTrainer._get_per_token_logps_and_entropies, True),
        SHARED: (type(trainer)._get_per_token_logps_and_entropies, True),
    }

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
    expected = gradients[PLAIN]
    seconds = seconds_of({way: lambda way=way: step(way) for way in ways}, repeats)
    kept = {way: kept_for_backward(model, lambda way=way: forward(way)) for way in ways}
    return {
        "case": asdict(case),
        "seconds": seconds,
        "kept_bytes": kept,
        "gradient_error": {
            way: float((gradients[way] - expected).norm() / expected.norm()) for way in (IMAGES, SHARED)
        },
        "speedup": {way: seconds[way] / seconds[SHARED] for way in (PLAIN, IMAGES)},
        "memory": kept[SHARED] / kept[PLAIN],
        "allowed": {
            name: {way: counted(each, case)[way] / counted(each, case)[SHARED] for way in (PLAIN, IMAGES)}
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


def counted(model: Proportions, case: Case) -> dict[str, float]:
    """Multiplications of a forward pass each way: linear layers, and attention where something is seen."""
    image = vision(model, case.side)
    together = case.prompt + case.completion
    alone = case.group * language(model, together, triangle(together), case.completion)
    prefix, branch = case.prompt - 1, case.completion
    pairs = triangle(prefix) + case.group * (prefix * branch + triangle(branch))
    packed = language(model, prefix + case.group * branch, pairs, case.group * branch)
    return {PLAIN: case.group * image + alone, IMAGES: image + alone, SHARED: image + packed}


def triangle(length: int) -> float:
    """Pairs of tokens of which one sees the other, itself included."""
    return length * (length + 1) / 2


def language(model: Proportions, tokens: int, pairs: float, scored: int) -> float:
    """Multiplications of the language model."""
    head = model.hidden // model.heads
    projections = 2 * model.hidden * model.hidden + 2 * model.hidden * model.kv * head
    layer = tokens * (projections + 3 * model.hidden * model.inner) + 2 * pairs * model.hidden
    return model.layers * layer + scored * model.hidden * model.vocab


def vision(model: Proportions, side: int) -> float:
    """Multiplications of the vision tower."""
    tokens, wide = side**2, model.vision_hidden
    patches = tokens * MERGE**2
    linear = model.vision_layers * patches * (4 * wide * wide + 3 * wide * model.vision_inner)
    seen = model.full_layers * patches + (model.vision_layers - model.full_layers) * WINDOW**2
    merged = wide * MERGE**2
    ends = patches * wide * 3 * 2 * PATCH**2 + tokens * (merged * merged + merged * model.hidden)
    return linear + 2 * patches * seen * wide + ends


def create_trainer(proportions: Proportions, folder: str) -> Any:
    """TRL's trainer with prefixes shared; its processor is a stand-in that gives the tokens of an image."""
    from datasets import Dataset
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
    from trl import GRPOConfig, GRPOTrainer

    tiny, processor = tiny_qwen2_5_vl()
    text, eye = tiny.config.text_config.to_dict(), tiny.config.vision_config.to_dict()
    head = proportions.hidden // proportions.heads
    text |= {
        "hidden_size": proportions.hidden,
        "intermediate_size": proportions.inner,
        "num_hidden_layers": proportions.layers,
        "num_attention_heads": proportions.heads,
        "num_key_value_heads": proportions.kv,
        "vocab_size": proportions.vocab,
        "layer_types": ["full_attention"] * proportions.layers,
        "initializer_range": 0.02,
        "rope_parameters": text["rope_parameters"]
        | {"mrope_section": [head // 8, head // 8, head // 2 - 2 * (head // 8)]},
    }
    full = range(proportions.vision_layers - proportions.full_layers, proportions.vision_layers)
    eye |= {
        "depth": proportions.vision_layers,
        "hidden_size": proportions.vision_hidden,
        "intermediate_size": proportions.vision_inner,
        "num_heads": 2,
        "out_hidden_size": proportions.hidden,
        "window_size": WINDOW * PATCH,
        "fullatt_block_indexes": list(full),
        "initializer_range": 0.02,
    }
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    tokens = {name: getattr(tiny.config, name) for name in names}
    torch.manual_seed(0)
    config = Qwen2_5_VLConfig(text_config=text, vision_config=eye, tie_word_embeddings=True, **tokens)
    on_gpu = torch.cuda.is_available()
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
        model=Qwen2_5_VLForConditionalGeneration(config),
        processing_class=processor,
        reward_funcs=[lambda completions, **_: [0.0] * len(completions)],
        args=args,
        train_dataset=Dataset.from_list([{"prompt": [{"role": "user", "content": "it"}]}] * 2),
    )


def rows(case: Case, tokenizer: Any, device: torch.device) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A call of log-probabilities as TRL makes it: random text, and one image of noise."""
    numbers = torch.Generator().manual_seed(0)
    start, pad, end = tokenizer.convert_tokens_to_ids(["<|vision_start|>", "<|image_pad|>", "<|vision_end|>"])
    image = [start, *[pad] * case.side**2, end]
    text = torch.randint(0, 200, (case.prompt - len(image),), generator=numbers)
    prompt = torch.cat([torch.tensor(image), text]).repeat(case.group, 1)
    ids = torch.cat([prompt, torch.randint(0, 200, (case.group, case.completion), generator=numbers)], dim=1)
    patches = case.side * MERGE
    pixels = torch.randn(patches**2, 3 * 2 * PATCH**2, generator=numbers)
    options = {
        "pixel_values": pixels.repeat(case.group, 1),
        "image_grid_thw": torch.tensor([[1, patches, patches]]).repeat(case.group, 1),
        "mm_token_type_ids": (ids == pad).long(),
    }
    moved: dict[str, Any] = {name: value.to(device) for name, value in options.items()}
    ids = ids.to(device)
    return (ids, torch.ones_like(ids), case.completion), {**moved, "num_images": [1] * case.group}


if __name__ == "__main__":
    main()
