"""Training of the built-in encoder's head on cached tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from satchel.adapt.clip_head import Head
from satchel.adapt.objective import MarginSoftmax
from satchel.adapt.settings import HeadSettings
from satchel.arrays import Halves, Ints
from satchel.progress import SILENT, Progress


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a head is trained on: tokens in several arrays, shape (n, 2, d) each; and classes."""

    tokens: tuple[Halves, ...]
    classes: Ints

    def __len__(self) -> int:
        return len(self.classes)

    def batch(self, rows: Ints) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens, float32, and classes of rows, counted through all arrays."""
        tokens = np.empty((len(rows), *self.tokens[0].shape[1:]), np.float32)
        first = 0
        for part in self.tokens:
            here = (rows >= first) & (rows < first + len(part))
            tokens[here] = part[rows[here] - first]
            first += len(part)
        return torch.from_numpy(tokens), torch.from_numpy(self.classes[rows])


def train_head(
    head: Head,
    objective: MarginSoftmax,
    tokens: Tokens,
    settings: HeadSettings,
    *,
    seed: int = 0,
    progress: Progress = SILENT,
) -> None:
    """Train a head: AdamW, the learning rate with warm-up and cosine decay."""
    count = len(tokens.classes)
    size = min(settings.batch, count)
    steps = settings.epochs * (count // size)
    progress.begin("train", steps * size)
    groups = ((head, settings.learning_rate), (objective, settings.prototype_rate))
    optimizer = torch.optim.AdamW(
        [{"params": list(part.parameters()), "lr": rate} for part, rate in groups],
        weight_decay=settings.weight_decay,
    )
    warm = max(1, round(settings.warmup * steps))
    rates = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * step / steps)),
    )
    head.train()
    for rows in _shuffled(count, size, settings.epochs, seed):
        inputs, classes = tokens.batch(rows)
        loss = objective(head(inputs), classes, classes, 1.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rates.step()
        progress.advance(len(rows))
    head.eval()


def _shuffled(count: int, size: int, epochs: int, seed: int) -> Iterator[Ints]:
    """Rows of each batch, all epochs; an epoch's last, incomplete batch is left out."""
    for epoch in range(epochs):
        order = np.random.default_rng([seed, epoch]).permutation(count)
        yield from order[: count // size * size].reshape(-1, size)
