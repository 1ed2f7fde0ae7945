"""What the pocket reasoner's inner states are read for while it learns; dropped afterwards."""

import timm
import torch
import torch.nn.functional as F
from imagenet import ARCHITECTURE, CHANNELS, load_imagenet_weights
from torch import nn
from training_examples import CELL


class Heads(nn.Module):
    """Linear readings of the vision tower's tokens, and one of the language model's states."""

    def __init__(self, hidden: int, words: int) -> None:
        super().__init__()
        self.coverage, self.words, self.box = nn.Linear(hidden, 4), nn.Linear(hidden, words), nn.Linear(hidden, 4)
        # Reads the coming coordinate from the language model's state: a miss by far costs more than one by little.
        self.number = nn.Linear(hidden, 1)

    def forward(self, tokens, coverage, words, boxes, covered):
        """Loss of tokens (count, rows * columns, hidden) against `training_examples.dense_targets`."""
        tokens = tokens.reshape(*coverage.shape[:3], -1)
        loss = 2 * F.binary_cross_entropy_with_logits(self.coverage(tokens), coverage)
        if covered.any():
            loss = loss + 4 * F.binary_cross_entropy_with_logits(self.words(tokens)[covered], words[covered])
            loss = loss + 10 * F.smooth_l1_loss(self.box(tokens)[covered], boxes[covered], beta=0.02)
        return loss


class FeatureDistillation(nn.Module):
    """Predicts the features of a teacher trained on a million photographs from the vision tower's tokens.

    There are only a few hundred cut-outs to learn the kinds from; the features of ImageNet know many more.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.teacher = timm.create_model(ARCHITECTURE, pretrained=False, features_only=True, out_indices=(2, 3, 4))
        load_imagenet_weights(self.teacher)
        self.teacher.requires_grad_(False)
        eighth, *coarse = CHANNELS[2:]
        dims = 4 * eighth + sum(coarse)
        self.scale = nn.BatchNorm1d(dims, affine=False)
        self.predict = nn.Linear(hidden, dims)

    def train(self, mode: bool = True):
        super().train(mode)
        self.teacher.eval()
        return self

    @torch.no_grad()
    def features(self, images):
        """(count, 3, h, w), normalised -> (count, rows * columns, dims): the merged tokens in reading order."""
        rows, columns = images.shape[2] // CELL, images.shape[3] // CELL
        fine, *coarse = self.teacher(images)
        fine = F.adaptive_avg_pool2d(fine, (2 * rows, 2 * columns))
        maps = [F.pixel_unshuffle(fine, 2), *(F.interpolate(c, (rows, columns), mode="area") for c in coarse)]
        return torch.cat(maps, 1).flatten(2).transpose(1, 2)

    def forward(self, tokens, images):
        """Mean squared error of the predicted features, in units of the features' own spread."""
        seen = self.scale(self.features(images).flatten(0, 1))
        return F.mse_loss(self.predict(tokens.reshape(len(seen), -1)), seen)
