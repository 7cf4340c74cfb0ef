"""Dropout that does not cost as much as the convolution before it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Dropout(nn.Module):
    """Independent dropout of each element, like `nn.Dropout`, with fewer random numbers on a CPU.

    There, one random number of 64 bits decides on four elements; the probability is exact to 1/65536, and the
    elements that stay are scaled by what it then is.
    """

    def __init__(self, probability: float):
        super().__init__()
        if not 0 <= probability < 1:
            raise ValueError(f"dropout is {probability}; it must be from 0 to below 1")
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """Any axes, float -> the same."""
        if not self.training or self.probability == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.probability)
        dropped = min(round(self.probability * 2**16), 2**16 - 1)
        draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        kept = draws[: x.numel()].view(x.shape) >= dropped - 2**15
        return x * (kept.to(x.dtype) * (1 / (1 - dropped / 2**16)))

    def extra_repr(self) -> str:
        """Says the probability in `print(model)`."""
        return f"probability={self.probability}"
