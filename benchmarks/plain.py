"""The method written down plainly, to compare its speed with: float32, every frame, nothing optimised.

The library uses nothing of this. The network has the sizes of `bams.models.BAMS` and consists of torch's own layers.
The action predictor and the bootstrap predictors run on every frame. The target is a histogram of each item that
numpy builds while loading.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm


def plain_histogram(actions: np.ndarray, bins: int, window: int) -> np.ndarray:
    """Actions (T, D) uint8 -> (T, D, Q) float32, shares of the bins in the next `window` frames."""
    total, size = actions.shape
    one_hot = np.eye(bins, dtype=np.float32)[actions]
    counts = np.zeros((total, size, bins), np.float32)
    for shift in range(1, window + 1):
        counts[:-shift] += one_hot[shift:]
    return counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1)


class PlainBlock(nn.Module):
    """Dilated causal convolutions with PReLU and dropout, and a residual."""

    def __init__(self, size_in: int, size: int, dilation: int):
        super().__init__()
        first, second = (nn.Conv1d(inputs, size, 3, dilation=dilation) for inputs in (size_in, size))
        self.convs = nn.ModuleList([first, weight_norm(second)])
        self.activations = nn.ModuleList(nn.PReLU(init=0.1) for _ in range(3))
        self.dropout, self.pad = nn.Dropout(0.2), 2 * dilation
        self.residual = nn.Conv1d(size_in, size, 1) if size_in != size else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, size_in, T) -> (B, size, T)."""
        y = x
        for conv, activation in zip(self.convs, self.activations[:2], strict=True):
            y = self.dropout(activation(conv(F.pad(y, (self.pad, 0)))))
        return self.activations[2](y + self.residual(x))


class PlainModel(nn.Module):
    """Encoders, action predictor and bootstrap predictors, all on every frame."""

    def __init__(self, input_size: int, outputs: int, encoders: Mapping[str, Mapping[str, Any]], hidden: Sequence[int]):
        super().__init__()
        self.encoders, self.bootstraps = nn.ModuleList(), nn.ModuleList()
        joined = input_size
        for options in encoders.values():
            channels, base = options["num_channels"], options.get("dilation", 2)
            sizes = enumerate(pairwise((input_size, *channels)))
            self.encoders.append(nn.Sequential(*(PlainBlock(a, b, base**i) for i, (a, b) in sizes)))
            size = channels[-1]
            layers = nn.Linear(size, 4 * size, bias=False), nn.BatchNorm1d(4 * size), nn.ReLU()
            self.bootstraps.append(nn.Sequential(*layers, nn.Linear(4 * size, size)))
            joined += size
        layers = [
            part for a, b in pairwise((joined, *hidden, outputs)) for part in (nn.Linear(a, b), nn.PReLU(init=0.1))
        ]
        self.predictor = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor, list[Tensor]]:
        """(B, T, F) -> embeddings (B, T, C), logits (B, T, D*Q), bootstrap predictions (B, T, C)."""
        embs = [encoder(x.transpose(1, 2)).transpose(1, 2) for encoder in self.encoders]
        logits = self.predictor(torch.cat([*embs, x], dim=-1))
        views = [
            predictor(emb.flatten(0, 1)).view_as(emb) for predictor, emb in zip(self.bootstraps, embs, strict=True)
        ]
        return embs, logits, views


def plain_loss(model: PlainModel, x: Tensor, target: Tensor, skip_frames: int) -> Tensor:
    """The paper's loss of a batch: x (B, T, F) float32, target (B, T, D, Q) float32."""
    batch, total, size, bins = target.shape
    embs, logits, views = model(x)
    distance = torch.cumsum(F.softmax(logits.view(batch, total, size, bins), dim=-1) - target, dim=-1)
    loss = 500 * distance.square().mean(-1)[:, skip_frames:].mean()
    first = torch.randint(skip_frames, total, (batch,))
    seconds = (
        (first + torch.randint(0, 6, (batch,))).clamp(max=total - 1),
        torch.randint(skip_frames, total, (batch,)),
    )
    rows = torch.arange(batch)
    for emb, view, second in zip(embs, views, seconds, strict=True):
        loss = loss + 0.5 * (1 - F.cosine_similarity(view[rows, first], emb[rows, second].detach(), dim=-1).mean())
    return loss
