"""Causal temporal convolutional networks."""

from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from bams.models.pointwise import Dropout, PReLU


def check_sizes(sizes: Sequence[int]) -> None:
    """Raise ValueError unless there are sizes, whole numbers of at least 1."""
    if len(sizes) == 0 or not all(isinstance(size, Integral) and size >= 1 for size in sizes):
        raise ValueError(f"sizes of a network must be whole numbers of at least 1, not {tuple(sizes)}")


class TemporalBlock(nn.Module):
    """Dilated causal convolutions, all but the first weight-normalised, with PReLU and dropout; then a residual."""

    def __init__(self, channels_in: int, channels: int, kernel_size: int, dilation: int, layers: int, dropout: float):
        super().__init__()
        self.context = (kernel_size - 1) * dilation
        widths = [channels_in] + [channels] * (layers - 1)
        convs = [nn.Conv1d(width, channels, kernel_size, dilation=dilation) for width in widths]
        self.convs = nn.ModuleList(conv if i == 0 else weight_norm(conv) for i, conv in enumerate(convs))
        self.activations = nn.ModuleList(PReLU(0.1) for _ in convs)
        self.dropout = Dropout(dropout)
        self.residual = nn.Conv1d(channels_in, channels, 1) if channels_in != channels else nn.Identity()
        self.activation = PReLU(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, 1, T) -> (B, channels, 1, T)."""
        y = x
        for conv, activation in zip(self.convs, self.activations, strict=True):
            y = self.dropout(activation(_convolve(conv, F.pad(y, (self.context, 0)))))
        if isinstance(self.residual, nn.Conv1d):
            x = _convolve(self.residual, x)
        return self.activation(y + x)


def _convolve(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """A convolution over time, as one over images of height 1: faster with the channels last in memory."""
    return F.conv2d(x, conv.weight.unsqueeze(2), conv.bias, dilation=(1, *conv.dilation))


class TemporalConvNet(nn.Module):
    """A causal temporal convolutional network: the output at frame t depends on frames up to t only.

    Block i has `num_channels[i]` output channels; the last is the size C of the embedding. Each of its convolutions
    combines `kernel_size` frames that are `dilation` to the power of i apart.
    """

    def __init__(
        self,
        input_size: int,
        num_channels: Sequence[int],
        kernel_size: int = 3,
        dilation: int = 2,
        num_layers_per_block: int = 2,
        dropout: float = 0.2,
    ):
        super().__init__()
        sizes = (input_size, *num_channels, kernel_size, dilation, num_layers_per_block)
        check_sizes(sizes if len(num_channels) else ())
        self.output_size = num_channels[-1]
        dilations = [dilation**i for i in range(len(num_channels))]
        self.receptive_field = 1 + num_layers_per_block * (kernel_size - 1) * sum(dilations)
        self.blocks = nn.ModuleList(
            TemporalBlock(*channels, kernel_size, block_dilation, num_layers_per_block, dropout)
            for channels, block_dilation in zip(pairwise((input_size, *num_channels)), dilations, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, F) float32 -> (B, T, C) float32."""
        y = x.transpose(1, 2).unsqueeze(2)  # the memory stays as it is, channels last
        for block in self.blocks:
            y = block(y)
        return y.squeeze(2).transpose(1, 2)

    def extra_repr(self) -> str:
        """What `print(model)` says of it."""
        return f"receptive_field={self.receptive_field} frames, output_size={self.output_size}"
