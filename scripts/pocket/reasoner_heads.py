"""What the pocket reasoner's inner states are read for while it learns; dropped afterwards."""

import torch.nn.functional as F
from torch import nn


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
