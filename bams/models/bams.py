"""The network: causal convolutional encoders, an action predictor, and the bootstrap predictors.

Axes: B tracks in a batch, T frames, F input features, C channels of one encoder, D action features,
Q bins of the histogram of actions.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bams.models.pointwise import PReLU
from bams.models.tcn import TemporalConvNet, _are_sizes

DEFAULT_BOOTSTRAP = {"short_term": "near", "long_term": "far"}
BOOTSTRAPS = ("near", "far", "none")
CLIP = 3.0  # scaled inputs beyond this many scales are tracker jumps


class BAMSOutput(NamedTuple):
    """What `BAMS.forward` gives; unpacks as `embs, hoa_pred, byol_preds`.

    Attributes:
        embs: by encoder name, (B, T, C) float32: the embedding of every frame.
        hoa_pred: (B, T, D*Q) float32 logits of the histogram of actions, D-major.
        byol_preds: by encoder name, (B, T, C) float32: the bootstrap predictor's output.
    """

    embs: dict[str, Tensor]
    hoa_pred: Tensor
    byol_preds: dict[str, Tensor]


class InputScale(nn.Module):
    """(x - centre) / scale, clipped; the identity until `set` is called."""

    def __init__(self, input_size: int):
        super().__init__()
        self.register_buffer("centre", torch.zeros(input_size))
        self.register_buffer("scale", torch.ones(input_size))
        self.register_buffer("limit", torch.tensor(float("inf")))

    def set(self, centre: Tensor, scale: Tensor, limit: float = CLIP) -> None:
        """Take the centre and scale, each (F,) in the unit of the features; clip at `limit` scales."""
        self.centre.copy_(centre)
        self.scale.copy_(scale)
        self.limit.fill_(limit)

    def forward(self, x: Tensor) -> Tensor:
        """(..., F) float32 in the unit of the features -> the same axes, without unit."""
        return torch.clamp((x - self.centre) / self.scale, -self.limit, self.limit)


class MLP(nn.Module):
    """Linear layers with a PReLU between them, one slope per layer.

    Args:
        hidden_layers: sizes from the input to the output, at least these two.

    Raises:
        ValueError: sizes that make no network.
    """

    def __init__(self, hidden_layers: Sequence[int]):
        super().__init__()
        if len(hidden_layers) < 2 or not _are_sizes(hidden_layers):
            raise ValueError(
                f"hidden_layers must be two or more whole numbers of at least 1, not {tuple(hidden_layers)}"
            )
        layers: list[nn.Module] = []
        for size_in, size_out in pairwise(hidden_layers):
            layers += [nn.Linear(size_in, size_out), PReLU(0.1)]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """(..., first size) float32 -> (..., last size) float32."""
        return self.layers(x)


class BAMS(nn.Module):
    """Embeddings of every frame at several timescales, trained by predicting the actions that come next.

    Args:
        input_size: number of input features F.
        predictor: `hidden_layers`, the sizes of the action predictor from its input (-1: all embeddings
            joined with the input) to its output D*Q.
        encoders: one dict per encoder under its name, with the arguments of `TemporalConvNet` and
            `bootstrap`: 'near', 'far' or 'none' (short_term is near and long_term far unless said).

    Example:
        >>> model = BAMS(
        ...     67,
        ...     short_term=dict(num_channels=(64, 64, 32, 32), kernel_size=3),
        ...     long_term=dict(num_channels=(64, 64, 64, 32, 32), kernel_size=3, dilation=4),
        ...     predictor=dict(hidden_layers=(-1, 256, 512, 512, 17 * 32)),
        ... )
        >>> embs, hoa_pred, byol_preds = model(torch.zeros(2, 100, 67))
        >>> embs["long_term"].shape
        torch.Size([2, 100, 32])

    Raises:
        ValueError: an unknown key or kind, a predictor input that does not fit, no encoder.
    """

    def __init__(self, input_size: int, *, predictor: Mapping[str, Any], **encoders: Mapping[str, Any]):
        super().__init__()
        if not encoders:
            raise ValueError("BAMS needs at least one encoder, for example short_term=dict(num_channels=(64, 64))")
        if not _are_sizes((input_size,)):
            raise ValueError(f"input_size must be a whole number of at least 1, not {input_size}")
        self.config: dict[str, Any] = {"input_size": input_size}
        self.bootstrap_kinds: dict[str, str] = {}
        self.scale = InputScale(input_size)
        self.encoders = nn.ModuleDict()
        for name, options in encoders.items():
            kind = options.get("bootstrap", DEFAULT_BOOTSTRAP.get(name, "none"))
            if kind not in BOOTSTRAPS:
                raise ValueError(f"{name}: bootstrap is {kind!r}; it must be one of {', '.join(BOOTSTRAPS)}")
            sizes = {key: value for key, value in options.items() if key != "bootstrap"}
            try:
                self.encoders[name] = TemporalConvNet(input_size, **sizes)
            except (TypeError, KeyError) as error:
                raise ValueError(f"{name}: {error}") from error
            self.bootstrap_kinds[name] = kind
            self.config[name] = {**_plain(sizes), "bootstrap": kind}
        self.predictor = MLP(self._predictor_sizes(predictor))
        self.config["predictor"] = {"hidden_layers": list(self._predictor_sizes(predictor))}
        self.bootstrap = nn.ModuleDict(
            {
                name: _bootstrap_predictor(self.encoders[name].output_size)
                for name, kind in self.bootstrap_kinds.items()
                if kind != "none"
            }
        )

    def _predictor_sizes(self, predictor: Mapping[str, Any]) -> tuple[int, ...]:
        if set(predictor) != {"hidden_layers"} or len(predictor["hidden_layers"]) < 2:
            raise ValueError(f"predictor takes hidden_layers, at least two sizes, not {dict(predictor)}")
        first, *others = predictor["hidden_layers"]
        joined = self.config["input_size"] + sum(e.output_size for e in self.encoders.values())
        if first not in (-1, joined):
            raise ValueError(f"the action predictor's input has {joined} numbers, not {first}; -1 finds it")
        return (joined, *others)

    @property
    def sizes(self) -> dict[str, int]:
        """C of each encoder's embedding."""
        return {name: encoder.output_size for name, encoder in self.encoders.items()}

    @property
    def context(self) -> int:
        """Frames before a frame that its embeddings depend on."""
        return max(encoder.receptive_field for encoder in self.encoders.values()) - 1

    def encode(self, input: Tensor) -> dict[str, Tensor]:
        """Embeddings alone: (B, T, F) float32, unscaled and finite -> by encoder name (B, T, C)."""
        scaled = self.scale(input)
        return {name: encoder(scaled) for name, encoder in self.encoders.items()}

    def predict_actions(self, embs: Mapping[str, Tensor], input: Tensor, keep: Tensor | None = None) -> Tensor:
        """Logits of the histogram of actions.

        Args:
            embs: by encoder name (B, M, C).
            input: (B, M, F), unscaled, at the same frames.
            keep: (B, parts) 0 or 1: which of the embeddings and, last, the input the predictor may see.

        Returns:
            (B, M, D*Q).
        """
        parts = [*embs.values(), self.scale(input)]
        if keep is not None:
            parts = [part * keep[:, i, None, None] for i, part in enumerate(parts)]
        return self.predictor(torch.cat(parts, dim=-1))

    def forward(self, input: Tensor) -> BAMSOutput:
        """All outputs for all frames.

        Args:
            input: (B, T, F) float32, unscaled features (the first layer scales them).

        Raises:
            ValueError: wrong axes or another dtype, or a value that is NaN or infinite.
        """
        if input.ndim != 3 or input.shape[-1] != self.config["input_size"] or 0 in input.shape:
            raise ValueError(
                f"input has axes {tuple(input.shape)}; expected (tracks, frames, {self.config['input_size']}), "
                "none of them 0"
            )
        if input.dtype != (expected := self.scale.centre.dtype):
            raise ValueError(f"input is {input.dtype}; expected {expected}, as input.to({expected}) gives it")
        if not torch.isfinite(input).all():
            raise ValueError(
                "input holds NaN or infinite values; fill gaps first with bams.features.fill_gaps, "
                "or take the input from a Dataset, which does"
            )
        embs = self.encode(input)
        byol_preds = {
            name: predictor(embs[name].flatten(0, 1)).view_as(embs[name]) for name, predictor in self.bootstrap.items()
        }
        return BAMSOutput(embs, self.predict_actions(embs, input), byol_preds)

    @torch.no_grad()
    def start_at(self, log_histogram: Tensor, weight_factor: float = 0.01) -> None:
        """Let the action predictor begin at a data-wide histogram, so that no step is spent learning it.

        Args:
            log_histogram: (D*Q,) float32, log of counts or probabilities; becomes the last bias.
            weight_factor: what the last weights are multiplied with.
        """
        last = self.predictor.layers[-1]
        last.bias.copy_(log_histogram)
        last.weight.mul_(weight_factor)


def _bootstrap_predictor(size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(size, 4 * size, bias=False), nn.BatchNorm1d(4 * size), nn.ReLU(), nn.Linear(4 * size, size)
    )


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
