"""Train the pocket reasoner by imitation: a real Qwen2.5-VL of 2.3 M parameters that reads a picture at 112×112.

    python scripts/pocket/write_scenes.py --out scenes
    python scripts/pocket/train_reasoner.py --scenes scenes --out reasoner --minutes 85

The model learns to write worked answers (`Sample.reference` in the format seg-r1) to queries of every task. Helps,
all dropped afterwards: the vision tower's tokens are read by linear heads for what covers them, of which kind and
colour it is and where its box ends; the language model's states are read for the coming coordinate; and the targets
of coordinates are softened by a Gaussian that narrows from 8 to 2 pixels, since a near miss is better than a far one.
The rate falls with the share of the minutes that is used up; weights are averaged (EMA). A checkpoint is kept every
few minutes, and a second run goes on from it.
"""

import argparse
import copy
import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from muon import Muon
from reasoner_parts import CANVAS, LARGEST_NUMBER, create_model, create_processor
from safetensors.torch import load_file
from torch import nn

from thinkseg.answers import get_format
from thinkseg.data.pictures import Pictures, load_pictures
from thinkseg.data.queries import COLOURS, NOTHING, Query, Thing, create_query
from thinkseg.geometry import reference_answer
from thinkseg.types import Answer, Size

SIZE = 256
CELL = 28
SHAPES_WH = [(112, 112), (112, 84), (84, 112), (140, 84), (84, 140)]
"""What the processor makes of square, 4:3, 3:4, 16:9 and 9:16 pictures."""
SHAPE_SHARES = [0.8, 0.05, 0.05, 0.05, 0.05]
MIXED_TASKS = (["referring", "reasoning", "nothing"], [0.5, 0.27, 0.23])


class Lessons:
    """Augmented scenes with a query and a worked answer each."""

    def __init__(
        self, folder: Path, pictures: Pictures, kinds: list[str], rng: np.random.Generator, queries: int = 2
    ) -> None:
        self.queries = queries
        self.lines = [json.loads(line) for line in (folder / "things.jsonl").read_text().splitlines()]
        count = (folder / "index.u8").stat().st_size // SIZE**2
        self.images = np.memmap(folder / "images.u8", np.uint8, "r", shape=(count, SIZE, SIZE, 3))
        self.index_maps = np.memmap(folder / "index.u8", np.uint8, "r", shape=(count, SIZE, SIZE))
        self.lines = [line for line in self.lines if line["things"]]
        self.pictures, self.rng, self.words = pictures, rng, [*kinds, *COLOURS]
        self.format = get_format("seg-r1")

    def lesson(self, line: dict, wh: tuple[int, int], augment: bool = True, asked: bool = True):
        """Pixels (h, w, 3), index map (h, w), things in it, and queries with worked answers; None without any."""
        rng = self.rng
        picture, index_map = self.images[line["index"]], self.index_maps[line["index"]]
        width, height = wh
        swapped = False
        share = rng.uniform(0.55, 1.0) if augment and rng.random() < 0.7 else 1.0
        crop_w, crop_h = int(SIZE * share * min(1, width / height)), int(SIZE * share * min(1, height / width))
        x, y = int(rng.integers(0, SIZE - crop_w + 1)), int(rng.integers(0, SIZE - crop_h + 1))
        picture = cv2.resize(picture[y : y + crop_h, x : x + crop_w], wh, interpolation=cv2.INTER_AREA)
        index_map = index_map[y : y + crop_h, x : x + crop_w]
        if augment:
            if rng.random() < 0.5:
                picture, index_map = picture[:, ::-1], index_map[:, ::-1]
            if rng.random() < 0.25:
                picture, swapped = picture[..., rng.permutation(3)], True
            if rng.random() < 0.5:
                gains = rng.uniform(0.8, 1.25, 3) * rng.uniform(0.8, 1.2)
                picture = np.clip(picture * gains.astype(np.float32), 0, 255).astype(np.uint8)
        things, numbers = [], []
        for number, thing in enumerate(line["things"], start=1):
            mask = index_map == number
            area = float(mask.mean())
            if area < 0.0012:
                continue
            columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
            box = (columns[0] / crop_w, rows[0] / crop_h, (columns[-1] + 1) / crop_w, (rows[-1] + 1) / crop_h)
            things.append(Thing(thing["name"], tuple(thing["kinds"]), box, area, "" if swapped else thing["colour"]))
            numbers.append(number)
        if not asked:
            return picture, self._shown(index_map, numbers), things, []
        frame = Size(width, height)
        exchanges: dict[str, str] = {}
        for _ in range(self.queries if augment else 1):
            query = self._query(line["task"], things)
            if query is None:
                continue
            if query.target is None:
                answer = Answer(frame, (), NOTHING)
            else:
                mask = index_map == numbers[query.target]
                answer = reference_answer(mask, think=query.think).rescaled(frame)
            exchanges[query.text] = self.format.render(answer)
        if not exchanges:
            return None
        return picture, self._shown(index_map, numbers), things, list(exchanges.items())

    @staticmethod
    def _shown(index_map: np.ndarray, numbers: list[int]) -> np.ndarray:
        """The index map of the things that are still in the picture, renumbered."""
        shown = np.zeros_like(index_map)
        for position, number in enumerate(numbers, start=1):
            shown[index_map == number] = position
        return shown

    def _query(self, task: str, things: list[Thing]) -> Query | None:
        if not things:
            return None
        if task in ("salient", "camouflaged") and self.rng.random() < 0.8:
            return create_query(task, things, self.pictures, self.rng)
        tasks, weights = MIXED_TASKS
        return create_query(str(self.rng.choice(tasks, p=weights)), things, self.pictures, self.rng)

    def batch(self, count: int, asked: int, wh: tuple[int, int]):
        """Lessons about so many pictures; about the first `asked` of them there are questions."""
        lessons = []
        while len(lessons) < count:
            line = self.lines[self.rng.integers(400, len(self.lines))]
            found = self.lesson(line, wh, asked=len(lessons) < asked)
            if found is not None:
                lessons.append(found)
        return lessons

    def dense_targets(self, lessons, wh: tuple[int, int]):
        """Per merged token: coverage of its four patches; words and box of what covers it most; whether so."""
        columns, rows = wh[0] // CELL, wh[1] // CELL
        count = len(lessons)
        coverage = np.zeros((count, rows * 2, columns * 2), np.float32)
        words = np.zeros((count, rows, columns, len(self.words)), np.float32)
        boxes = np.zeros((count, rows, columns, 4), np.float32)
        covered = np.zeros((count, rows, columns), bool)
        for i, (_, index_map, things, _) in enumerate(lessons):
            coverage[i] = cv2.resize(
                (index_map > 0).astype(np.float32), (columns * 2, rows * 2), interpolation=cv2.INTER_AREA
            )
            if not things:
                continue
            shares = np.stack(
                [
                    cv2.resize((index_map == n).astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
                    for n in range(1, len(things) + 1)
                ]
            )
            best = shares.argmax(0)
            covered[i] = shares.max(0) > 0.08
            for n, thing in enumerate(things):
                here = covered[i] & (best == n)
                boxes[i, here] = thing.box
                for word in (*thing.kinds, thing.colour):
                    if word in self.words:
                        words[i, here, self.words.index(word)] = 1
        # merged tokens come in reading order, the four patches of each one likewise
        coverage = (
            coverage.reshape(count, rows, 2, columns, 2).transpose(0, 1, 3, 2, 4).reshape(count, rows, columns, 4)
        )
        return tuple(torch.from_numpy(a) for a in (coverage, words, boxes, covered))


def prompt_of(query: str, image: str) -> str:
    """What the chat template makes of one image and one query; `image` is the run of image tokens."""
    return f"<|im_start|>user\n<|vision_start|>{image}<|vision_end|>{query}<|im_end|>\n<|im_start|>assistant\n"


class Heads(nn.Module):
    """What the model's inner states are read for while it learns."""

    def __init__(self, hidden: int, words: int) -> None:
        super().__init__()
        self.coverage, self.words, self.box = nn.Linear(hidden, 4), nn.Linear(hidden, words), nn.Linear(hidden, 4)
        # Reads the coming coordinate from the language model's state: a miss by far costs more than one by little.
        self.number = nn.Linear(hidden, 1)

    def forward(self, tokens, coverage, words, boxes, covered):
        """Loss of tokens (count, rows * columns, hidden) against the dense targets."""
        tokens = tokens.reshape(*coverage.shape[:3], -1)
        loss = 2 * F.binary_cross_entropy_with_logits(self.coverage(tokens), coverage)
        if covered.any():
            loss = loss + 4 * F.binary_cross_entropy_with_logits(self.words(tokens)[covered], words[covered])
            loss = loss + 10 * F.smooth_l1_loss(self.box(tokens)[covered], boxes[covered], beta=0.02)
        return loss


class Teacher:
    """Turns lessons into tensors; knows which tokens are numbers."""

    def __init__(self, processor, model) -> None:
        self.processor, self.tokenizer, self.model = processor, processor.tokenizer, model
        self.numbers = torch.tensor(self.tokenizer.convert_tokens_to_ids([str(n) for n in range(LARGEST_NUMBER + 1)]))
        self.value_of = torch.full((len(self.tokenizer),), -1)
        self.value_of[self.numbers] = torch.arange(LARGEST_NUMBER + 1)
        self.soften(2.0)
        self.mean, self.std = (
            torch.tensor(processor.image_processor.image_mean),
            torch.tensor(processor.image_processor.image_std),
        )

    def soften(self, sigma: float) -> None:
        """Spread the target of every number over its neighbours: a Gaussian of so many pixels."""
        distances = torch.arange(LARGEST_NUMBER + 1)[:, None] - torch.arange(LARGEST_NUMBER + 1)[None]
        self.soft = torch.softmax(-(distances.float() ** 2) / (2 * sigma**2), dim=-1)

    def patches(self, pictures: np.ndarray):
        """(count, h, w, 3) RGB -> patches as the processor lays them out, and the grid."""
        count, height, width, _ = pictures.shape
        x = ((torch.from_numpy(pictures).float() / 255 - self.mean) / self.std).permute(0, 3, 1, 2)
        rows, columns = height // 14, width // 14
        x = x.reshape(count, 3, rows // 2, 2, 14, columns // 2, 2, 14).permute(0, 2, 5, 3, 6, 1, 4, 7)
        x = x.unsqueeze(6).expand(-1, -1, -1, -1, -1, -1, 2, -1, -1).reshape(count * rows * columns, -1)
        return x, torch.tensor([[1, rows, columns]] * count)

    def texts(self, lessons, wh):
        """Token ids padded on the right and labels, a row for every exchange of every lesson."""
        image = "<|image_pad|>" * (wh[0] // CELL * (wh[1] // CELL))
        exchanges = [exchange for *_, exchanges in lessons for exchange in exchanges]
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

    def losses(self, lessons, wh, heads, dense):
        model = self.model.model
        patches, grid = self.patches(np.stack([lesson[0] for lesson in lessons]))
        seen = model.visual(patches, grid_thw=grid).pooler_output
        per_lesson = seen.reshape(len(lessons), -1, seen.shape[-1])
        asked = [lesson for lesson in lessons if lesson[3]]
        ids, labels = self.texts(asked, wh)
        attention = (ids != self.tokenizer.pad_token_id).long()
        embeds = model.get_input_embeddings()(ids)
        places = ids == self.model.config.image_token_id
        repeats = torch.tensor([len(exchanges) for *_, exchanges in asked])
        tokens = per_lesson[: len(asked)].repeat_interleave(repeats, dim=0)
        embeds = embeds.masked_scatter(places[..., None], tokens)
        positions, _ = model.get_rope_index(
            ids,
            mm_token_type_ids=places.int(),
            image_grid_thw=grid[: len(asked)].repeat_interleave(repeats, dim=0),
            attention_mask=attention,
        )
        hidden = model.language_model(
            inputs_embeds=embeds, position_ids=positions, attention_mask=attention, use_cache=False
        )
        told = labels[:, 1:] != -100
        states = hidden.last_hidden_state[:, :-1][told]
        logits = self.model.lm_head(states)
        targets = labels[:, 1:][told]
        values = self.value_of[targets]
        is_number = values >= 0
        words = F.cross_entropy(logits[~is_number], targets[~is_number], reduction="sum")
        log_probabilities = F.log_softmax(logits[is_number], dim=-1)[:, self.numbers]
        coordinates = -(self.soft[values[is_number]] * log_probabilities).sum()
        answer_loss = (words + coordinates) / len(targets)
        guesses = heads.number(states[is_number])[:, 0]
        answer_loss = answer_loss + 3 * F.smooth_l1_loss(guesses, values[is_number] / CANVAS, beta=0.02)
        return answer_loss, heads(per_lesson, *dense)


def check_layout(teacher: Teacher) -> None:
    """The quick patch layout must be the processor's own."""
    from PIL import Image

    picture = np.random.default_rng(0).integers(0, 255, (1, 84, 140, 3), dtype=np.uint8)
    expected = teacher.processor.image_processor(Image.fromarray(picture[0]), return_tensors="pt", do_resize=False)
    found, grid = teacher.patches(picture)
    assert torch.equal(expected["image_grid_thw"], grid)
    assert torch.allclose(expected["pixel_values"], found, atol=1e-4)


def held_back(model, processor, lessons_source: Lessons, count: int = 256) -> dict[str, float]:
    """Greedy box IoU on scenes of training pictures held back from training, and refusals, by generation."""
    from thinkseg.errors import MalformedAnswer
    from thinkseg.geometry import box_iou

    model.eval()
    lessons_source.rng = np.random.default_rng(7)
    lessons = []
    for line in lessons_source.lines[:400]:
        found = lessons_source.lesson(line, (CANVAS, CANVAS), augment=False)
        if found is not None:
            lessons.append(found)
    lessons = lessons[:count]
    teacher = Teacher(processor, model)
    ious, refused, wrongly, nothing, unreadable = [], 0, 0, 0, 0
    reader = get_format("seg-r1")
    for start in range(0, len(lessons), 64):
        part = lessons[start : start + 64]
        image = "<|image_pad|>" * 16
        prompts = [prompt_of(exchanges[0][0], image) for *_, exchanges in part]
        inputs = processor.tokenizer(prompts, return_tensors="pt", padding=True)
        patches, grid = teacher.patches(np.stack([lesson[0] for lesson in part]))
        types = (inputs["input_ids"] == model.config.image_token_id).int()
        out = model.generate(
            **inputs,
            mm_token_type_ids=types,
            pixel_values=patches,
            image_grid_thw=grid,
            max_new_tokens=48,
            do_sample=False,
        )
        texts = processor.tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        for text, lesson in zip(texts, part, strict=True):
            truth = reader.parse(lesson[3][0][1], Size(CANVAS, CANVAS))
            try:
                answer = reader.parse(text, Size(CANVAS, CANVAS))
            except MalformedAnswer:
                answer = None
                unreadable += 1
            if not truth.objects:
                nothing += 1
                refused += answer is not None and not answer.objects
                continue
            if answer is not None and not answer.objects:
                wrongly += 1
            box = answer.objects[0].box if answer is not None and answer.objects else None
            ious.append(box_iou(box, truth.objects[0].box) if box is not None else 0.0)
    model.train()
    return {
        "box IoU": float(np.mean(ious)),
        "right refusals": refused / max(nothing, 1),
        "wrong refusals": wrongly / max(len(ious), 1),
        "unreadable": unreadable / len(lessons),
    }


def save(model, processor, folder: Path) -> None:
    model = copy.deepcopy(model).half().eval()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    settings = {"format": "seg-r1", "instruction": {"system": None, "user": "{query}"}, "max_new_tokens": 48}
    (folder / "thinkseg.json").write_text(json.dumps(settings, indent=2) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=Path, required=True, help="what write_scenes.py wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint and the log")
    parser.add_argument("--minutes", type=float, default=85, help="the rate falls to 2 %% over them")
    parser.add_argument("--batch", type=int, default=96, help="pictures a step for the vision tower and its heads")
    parser.add_argument("--asked", type=int, default=36, help="pictures a step with up to two queries each")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--start", type=Path, help="a checkpoint folder to begin with, in place of random weights")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(0)
    args.out.mkdir(parents=True, exist_ok=True)

    def log(text: str) -> None:
        with (args.out / "log.txt").open("a") as stream:
            stream.write(text + "\n")
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    pictures = load_pictures("train")
    kinds = sorted({kind for cutout in pictures.cutouts for kind in cutout.kinds})
    processor = create_processor()
    model = create_model(processor)
    if args.start is not None:
        model.load_state_dict(load_file(args.start / "model.safetensors"))
    average = copy.deepcopy(model)
    teacher = Teacher(processor, model)
    check_layout(teacher)
    heads = Heads(128, len(kinds) + len(COLOURS))
    # Muon for the matrices within the blocks; what it gains here over AdamW alone was not measured apart.
    inner = [
        p for n, p in model.named_parameters() if p.ndim == 2 and ("blocks." in n or "layers." in n or "merger." in n)
    ]
    chosen = {id(p) for p in inner}
    outer = [p for p in (*model.parameters(), *heads.parameters()) if id(p) not in chosen]
    muon = Muon(inner, lr=args.lr)
    adam = torch.optim.AdamW(outer, lr=args.lr, betas=(0.9, 0.98), weight_decay=0.01)
    state_file, used, step = args.out / "state.pt", 0.0, 0
    parts = {"model": model, "average": average, "heads": heads, "muon": muon, "adam": adam}
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        used, step = state["used"], state["step"]
    lessons_source = Lessons(args.scenes, pictures, kinds, np.random.default_rng(step + 1))
    log(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters")
    last, saved, running = time.time(), time.time(), []
    model.train()
    while used < args.minutes:
        share = used / args.minutes
        for group in (*muon.param_groups, *adam.param_groups):
            group["lr"] = float(
                args.lr * min(1.0, (step + 1) / 300) * (0.02 + 0.98 * (0.5 + 0.5 * np.cos(np.pi * share)))
            )
        teacher.soften(2.0 + 6.0 * max(0.0, 1 - 2 * share))
        wh = SHAPES_WH[int(lessons_source.rng.choice(len(SHAPES_WH), p=SHAPE_SHARES))]
        lessons = lessons_source.batch(args.batch, args.asked, wh)
        answer_loss, dense_loss = teacher.losses(lessons, wh, heads, lessons_source.dense_targets(lessons, wh))
        muon.zero_grad()
        adam.zero_grad()
        (answer_loss + dense_loss).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        muon.step()
        adam.step()
        step += 1
        with torch.no_grad():
            keep = min(0.995, (step + 1) / (step + 10))
            for mine, theirs in zip(average.parameters(), model.parameters(), strict=True):
                mine.lerp_(theirs, 1 - keep)
        running.append((answer_loss.item(), dense_loss.item()))
        now = time.time()
        used, last = used + (now - last) / 60, now
        if step % 50 == 0:
            answer_mean, dense_mean = np.mean(running[-50:], axis=0)
            log(f"step {step}, {used:.1f} min: answer {answer_mean:.4f}, dense {dense_mean:.4f}")
        if now - saved > 300 or used >= args.minutes:
            rng = lessons_source.rng
            scores = held_back(average, processor, lessons_source)
            lessons_source.rng = rng
            log(f"step {step}, {used:.1f} min: held back " + ", ".join(f"{k} {v:.3f}" for k, v in scores.items()))
            state = {name: part.state_dict() for name, part in parts.items()} | {"used": used, "step": step}
            torch.save(state, state_file.with_suffix(".new"))
            state_file.with_suffix(".new").replace(state_file)
            save(average, processor, args.out / "checkpoint")
            saved = last = time.time()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
