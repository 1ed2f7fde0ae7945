"""Train the pocket segmenter: a real `EdgeTamModel` of the SAM 2 family, about 3 M parameters at 256 px, from scratch.

    python scripts/pocket/write_scenes.py --out scenes
    python scripts/pocket/train_segmenter.py --scenes scenes --out segmenter --minutes 100

Stage 1 (a few minutes): prompt encoder and mask decoder alone, on all-zero image embeddings, learn to fill the box.
Stage 2: everything, first on pictures of half the size (a quarter of the pixels; the convolutions do not mind), then on
the full size. Prompts are a jittered box with points on and off the thing, the box alone, or points alone, where the
best of the three masks is trained as in the papers of the family. The rate falls with the share of the minutes that is
used up; weights are averaged (EMA). A checkpoint is kept every two minutes, and a second run goes on from it.
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
from safetensors.torch import load_file
from transformers import (
    EdgeTamConfig,
    EdgeTamModel,
    EdgeTamVisionConfig,
    Sam2ImageProcessor,
    Sam2Processor,
    TimmWrapperConfig,
)

from thinkseg.models.loading import spare_edgetam_the_hub

SIZE = 256
CHANNELS = [32, 64, 128, 256]
HIDDEN = 128
PAD_LABEL = -10


def create_model(size: int = SIZE) -> EdgeTamModel:
    spare_edgetam_the_hub()
    backbone = TimmWrapperConfig(
        architecture="resnet18",
        num_labels=2,
        do_pooling=False,
        model_args={"in_chans": 3, "features_only": True, "out_indices": [1, 2, 3, 4], "channels": CHANNELS},
    )
    vision = EdgeTamVisionConfig(
        backbone_config=backbone,
        backbone_channel_list=CHANNELS[::-1],
        backbone_feature_sizes=[[size // 4] * 2, [size // 8] * 2, [size // 16] * 2],
        fpn_hidden_size=HIDDEN,
        fpn_top_down_levels=[0, 1, 2, 3],
    )
    decoder = {
        "hidden_size": HIDDEN,
        "mlp_dim": 256,
        "num_attention_heads": 4,
        "iou_head_hidden_dim": HIDDEN,
        # The single-mask token is trained on every kind of prompt, so that nothing need fall back on the other three.
        "dynamic_multimask_via_stability": False,
    }
    prompts = {"hidden_size": HIDDEN, "image_size": size, "patch_size": 16}
    model = EdgeTamModel(
        EdgeTamConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder)
    )
    # The class draws two random codes for positions, one for prompts and one for the image; they must be the same.
    model.prompt_encoder.shared_embedding.positional_embedding.data.copy_(
        model.shared_image_embedding.positional_embedding
    )
    return model


def set_size(model: EdgeTamModel, size: int) -> None:
    """Let the model work on pictures of another size; no weight depends on it."""
    model.backbone_feature_sizes = [[size // 4] * 2, [size // 8] * 2, [size // 16] * 2]
    model.prompt_encoder.image_embedding_size = (size // 16, size // 16)
    model.prompt_encoder.input_image_size = size


def image_embeddings(model: EdgeTamModel, pixels: torch.Tensor) -> list[torch.Tensor]:
    """`EdgeTamModel.get_image_embeddings` with gradients."""
    maps = model.get_image_features(pixels, return_dict=True).fpn_hidden_states
    maps[-1] = maps[-1] + model.no_memory_embedding
    sizes = model.backbone_feature_sizes
    return [m.permute(1, 2, 0).reshape(len(pixels), -1, *size) for m, size in zip(maps, sizes, strict=True)]


def decode(model, embeddings, points, labels, boxes, multimask):
    sparse, dense = model.prompt_encoder(points, labels, boxes, None)
    positions = model.get_image_wide_positional_embeddings().repeat(len(embeddings[-1]), 1, 1, 1)
    masks, scores, _, _ = model.mask_decoder(embeddings[-1], positions, sparse, dense, multimask, embeddings[:-1])
    return masks, scores


class SceneBatches:
    """Batches of pictures with prompts and masks, cut at random from the composed scenes."""

    def __init__(self, folder: Path, held_back: int, rng: np.random.Generator) -> None:
        self.lines = [json.loads(line) for line in (folder / "things.jsonl").read_text().splitlines()]
        count = (folder / "index.u8").stat().st_size // SIZE**2
        self.images = np.memmap(folder / "images.u8", np.uint8, "r", shape=(count, SIZE, SIZE, 3))
        self.index_maps = np.memmap(folder / "index.u8", np.uint8, "r", shape=(count, SIZE, SIZE))
        self.indices = [line["index"] for line in self.lines if line["things"]][held_back:]
        self.rng = rng

    def batch(self, images: int, prompts: int, size: int):
        pixels = np.empty((images, size, size, 3), np.uint8)
        masks = np.zeros((images, prompts, size, size), bool)
        filled = 0
        while filled < images:
            index = self.indices[self.rng.integers(len(self.indices))]
            picture, index_map = self._augmented(self.images[index], self.index_maps[index], size)
            numbers, areas = np.unique(index_map[index_map > 0], return_counts=True)
            numbers = numbers[areas > 0.0015 * size * size]
            if len(numbers) == 0:
                continue
            chosen = self.rng.permutation(np.tile(numbers, -(-prompts // len(numbers))))[:prompts]
            pixels[filled] = picture
            masks[filled] = index_map[None] == chosen[:, None, None]
            filled += 1
        return pixels, masks

    def _augmented(self, picture, index_map, size):
        """A random square window (now and then larger than life), a mirror, and a mix of the colour channels."""
        rng = self.rng
        if rng.random() < 0.45:
            side = int(SIZE * rng.uniform(0.5, 1.0))
            x, y = rng.integers(0, SIZE - side + 1, 2)
            picture, index_map = picture[y : y + side, x : x + side], index_map[y : y + side, x : x + side]
        if len(picture) != size:
            method = cv2.INTER_AREA if len(picture) > size else cv2.INTER_LINEAR
            picture = cv2.resize(picture, (size, size), interpolation=method)
            index_map = cv2.resize(index_map, (size, size), interpolation=cv2.INTER_NEAREST)
        if rng.random() < 0.5:
            picture, index_map = picture[:, ::-1], index_map[:, ::-1]
        if rng.random() < 0.3:
            picture = picture[..., rng.permutation(3)]
        if rng.random() < 0.4:
            gains = rng.uniform(0.7, 1.3, 3).astype(np.float32)
            picture = np.clip(picture * gains, 0, 255).astype(np.uint8)
        return picture, index_map


def prompts_of(masks: np.ndarray, rng: np.random.Generator, slots: int = 4):
    """Boxes (images, prompts, 4) and points (images, prompts, slots, 2) with labels, drawn for masks (i, p, s, s)."""
    images, prompts, size, _ = masks.shape
    boxes = np.zeros((images, prompts, 4), np.float32)
    points = np.zeros((images, prompts, slots, 2), np.float32)
    labels = np.full((images, prompts, slots), PAD_LABEL, np.int64)
    for i in range(images):
        for j in range(prompts):
            mask = masks[i, j]
            columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
            box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
            boxes[i, j] = jittered(box, size, rng)
            kind = rng.random()
            count_on = 0 if kind < 0.3 else 1 if kind < 0.75 else int(rng.integers(1, 4))
            count_off = int(rng.integers(0, slots - count_on + 1)) if kind > 0.8 else 0
            for slot in range(count_on + count_off):
                on = slot < count_on
                point = inner_point(mask, rng) if on else outer_point(mask, box, rng)
                if point is not None:
                    points[i, j, slot], labels[i, j, slot] = point, int(on)
    return boxes, points, labels


def jittered(box: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Sides moved by a normal share of the box's own: 4 % mostly, sometimes none or as much as a weak reasoner's."""
    spread = rng.choice([0.0, 0.04, 0.04, 0.1])
    sides = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    moved = np.clip(box + rng.normal(0, 1, 4) * spread * sides, 0, size)
    return moved.astype(np.float32) if (moved[2:] - moved[:2] > 2).all() else box


def inner_point(mask: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """The centre of the largest inscribed circle half of the time, else any pixel of the mask."""
    if rng.random() < 0.5:
        padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
        y, x = divmod(int(cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1].argmax()), mask.shape[1])
    else:
        spots = np.flatnonzero(mask)
        y, x = divmod(int(spots[rng.integers(len(spots))]), mask.shape[1])
    return float(x), float(y)


def outer_point(mask: np.ndarray, box: np.ndarray, rng: np.random.Generator) -> tuple[float, float] | None:
    """A pixel off the mask, within the box or a little beyond it."""
    size = mask.shape[0]
    margin = 0.1 * (box[2:] - box[:2])
    for _ in range(8):
        x, y = rng.uniform(np.maximum(box[:2] - margin, 0), np.minimum(box[2:] + margin, size - 1))
        if not mask[int(y), int(x)]:
            return float(int(x)), float(int(y))
    return None


def mask_losses(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Focal-like cross-entropy plus dice, per mask: logits and soft targets (..., h, w) -> (...)."""
    crossed = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    probability = logits.sigmoid()
    focus = (probability - targets).abs().detach() ** 0.5
    # Each thing counts the same, whatever its size: cross-entropy is weighed by the area of its surroundings.
    area = targets.sum((-2, -1)).clamp(min=4.0)
    crossed = (crossed * focus).sum((-2, -1)) / (3 * area).clamp(max=targets.shape[-1] ** 2)
    overlap = (probability * targets).sum((-2, -1))
    dice = 1 - (2 * overlap + 1) / (probability.sum((-2, -1)) + targets.sum((-2, -1)) + 1)
    return crossed + dice


def soft_iou(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    on, true = logits > 0, targets > 0.5
    return (on & true).sum((-2, -1)) / (on | true).sum((-2, -1)).clamp(min=1)


def normalised(pixels: np.ndarray) -> torch.Tensor:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (
        ((torch.from_numpy(pixels).float() / 255 - mean) / std)
        .permute(0, 3, 1, 2)
        .contiguous(memory_format=torch.channels_last)
    )


def fill_boxes(model: EdgeTamModel, seconds: float, log) -> None:
    """Stage 1: without seeing anything, the decoder learns what a box is."""
    set_size(model, SIZE)
    parameters = [*model.prompt_encoder.parameters(), *model.mask_decoder.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    rng = np.random.default_rng(0)
    zero = [torch.zeros(4, HIDDEN // 8, 64, 64), torch.zeros(4, HIDDEN // 4, 32, 32), torch.zeros(4, HIDDEN, 16, 16)]
    grid = torch.arange(64) * 4 + 2
    start, step = time.time(), 0
    while time.time() - start < seconds:
        sides = np.exp(rng.uniform(np.log(0.08), np.log(0.98), (4, 4, 2))) * SIZE
        corner = rng.uniform(0, 1, (4, 4, 2)) * (SIZE - sides)
        boxes = torch.tensor(np.concatenate([corner, corner + sides], -1), dtype=torch.float32)
        x, y = boxes[..., 0::2], boxes[..., 1::2]
        inside_x = (grid > x[..., :1]) & (grid < x[..., 1:])
        inside_y = (grid > y[..., :1]) & (grid < y[..., 1:])
        targets = (inside_y[..., :, None] & inside_x[..., None, :]).float()
        points = (boxes[..., :2] + boxes[..., 2:])[:, :, None] / 2
        labels = torch.where(torch.rand(4, 4, 1) < 0.5, 1, PAD_LABEL)
        logits, _ = decode(model, zero, points, labels, boxes, False)
        loss = mask_losses(logits[:, :, 0], targets).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if step % 100 == 0:
            log(f"stage 1 step {step}: IoU with the box {soft_iou(logits[:, :, 0], targets).mean():.3f}")


@torch.no_grad()
def held_back_iou(model: EdgeTamModel, batches: SceneBatches, with_point: bool, count: int = 192) -> float:
    """Mean IoU at full size from a box jittered by 4 %, on scenes of training pictures held back from training."""
    model.eval()
    rng = np.random.default_rng(5)
    ious = []
    for index in [line["index"] for line in batches.lines if line["things"]][:count]:
        index_map = batches.index_maps[index]
        mask = index_map == rng.choice(np.unique(index_map[index_map > 0]))
        columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
        box = np.clip(box + rng.normal(0, 0.04, 4) * np.array([box[2] - box[0], box[3] - box[1]] * 2), 0, SIZE)
        points = labels = None
        if with_point:
            padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
            y, x = divmod(int(cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1].argmax()), SIZE)
            points, labels = torch.tensor([[[[x, y]]]]).float(), torch.tensor([[[1]]])
        embeddings = image_embeddings(model, normalised(batches.images[index][None]))
        logits, _ = decode(model, embeddings, points, labels, torch.tensor(box)[None, None].float(), False)
        logits = F.interpolate(logits[0], (SIZE, SIZE), mode="bilinear", align_corners=False)
        ious.append(soft_iou(logits[0, 0], torch.from_numpy(mask).float()).item())
    model.train()
    return float(np.mean(ious))


def save(model: EdgeTamModel, folder: Path) -> None:
    """The averaged weights in Hugging Face form, with the processor, in half precision."""
    model = copy.deepcopy(model).half().eval()
    set_size(model, SIZE)
    model.save_pretrained(folder)
    side = {"height": SIZE, "width": SIZE}
    mask_side = {"height": SIZE // 4, "width": SIZE // 4}
    Sam2Processor(Sam2ImageProcessor(size=side, mask_size=mask_side), target_size=SIZE).save_pretrained(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=Path, required=True, help="what write_scenes.py wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint and the log")
    parser.add_argument("--minutes", type=float, default=100, help="of stage 2; the rate falls to 2 %% over them")
    parser.add_argument("--small-share", type=float, default=0.4, help="share of the minutes on half-size pictures")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--lr", type=float, default=1.5e-3)
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

    model = create_model().to(memory_format=torch.channels_last)
    if args.start is not None:
        model.load_state_dict(load_file(args.start / "model.safetensors"))
    average = copy.deepcopy(model)
    state_file, used, step = args.out / "state.pt", 0.0, 0
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.02, betas=(0.9, 0.98))
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        used, step = state["used"], state["step"]
    else:
        log(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters")
        if args.start is None:
            fill_boxes(model, 150, log)
    batches = SceneBatches(args.scenes, held_back=400, rng=np.random.default_rng(step + 1))
    rng = np.random.default_rng(step + 2)
    last, saved, seen = time.time(), time.time(), []
    model.train()
    while used < args.minutes:
        share = used / args.minutes
        small = share < args.small_share
        size, images = (SIZE // 2, args.images * 2) if small else (SIZE, args.images)
        set_size(model, size)
        warm = min(1.0, (step + 1) / 200)
        for group in optimizer.param_groups:
            group["lr"] = float(args.lr * warm * (0.02 + 0.98 * (0.5 + 0.5 * np.cos(np.pi * share))))
        pixels, masks = batches.batch(images, args.prompts, size)
        boxes, points, labels = prompts_of(masks, rng)
        targets = F.avg_pool2d(torch.from_numpy(masks).float(), 4)
        embeddings = image_embeddings(model, normalised(pixels))
        points_alone = rng.random() < 0.15
        if points_alone:
            for i in range(images):
                for j in range(args.prompts):
                    if not (labels[i, j] == 1).any():
                        points[i, j, 0], labels[i, j, 0] = inner_point(masks[i, j], rng), 1
        multimask = points_alone and rng.random() < 0.5
        logits, scores = decode(
            model,
            embeddings,
            torch.from_numpy(points),
            torch.from_numpy(labels),
            None if points_alone else torch.from_numpy(boxes),
            multimask,
        )
        losses = mask_losses(logits, targets[:, :, None].expand_as(logits))
        ious = soft_iou(logits.detach(), targets[:, :, None].expand_as(logits))
        loss = losses.min(-1).values.mean() + 0.3 * F.mse_loss(scores, ious)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        with torch.no_grad():
            keep = min(0.998, (step + 1) / (step + 10))
            for mine, theirs in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
                if mine.dtype.is_floating_point:
                    mine.lerp_(theirs, 1 - keep)
                else:
                    mine.copy_(theirs)
        now = time.time()
        used, last = used + (now - last) / 60, now
        if not points_alone:
            seen.append(ious.mean().item())
        if step % 100 == 0:
            log(f"step {step}, {used:.1f} min, {size} px: IoU {np.mean(seen[-100:]):.3f}, loss {loss.item():.3f}")
        if now - saved > 240 or used >= args.minutes:
            set_size(average, SIZE)
            both = held_back_iou(average, batches, True), held_back_iou(average, batches, False)
            log(f"step {step}, {used:.1f} min: held back, box and point {both[0]:.3f}, box alone {both[1]:.3f}")
            parts = {"model": model, "average": average, "optimizer": optimizer}
            state = {name: part.state_dict() for name, part in parts.items()} | {"used": used, "step": step}
            torch.save(state, state_file.with_suffix(".new"))
            state_file.with_suffix(".new").replace(state_file)
            save(average, args.out / "checkpoint")
            saved = last = time.time()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
