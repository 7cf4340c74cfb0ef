"""The network: causal encoders, the action predictor, and the bootstrap predictors (see `docs/method.md`)."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bams.models.pointwise import PReLU
from bams.models.tcn import TemporalConvNet, check_sizes

DEFAULT_BOOTSTRAP = {"short_term": "near", "long_term": "far"}
BOOTSTRAPS = ("near", "far", "none")


class BAMSOutput(NamedTuple):
    """Embeddings, logits of the histogram of actions, and bootstrap predictions, float32 at every frame."""

    embs: dict[str, Tensor]  # (B, T, C) by encoder name
    hoa_pred: Tensor  # (B, T, D*Q), D-major
    byol_preds: dict[str, Tensor]  # (B, T, C) by encoder name


class InputScale(nn.Module):
    """(x - centre) / scale, clipped at `limit`, beyond which the tracker jumped; the identity until `set` is called."""

    def __init__(self, input_size: int):
        super().__init__()
        self.register_buffer("centre", torch.zeros(input_size))
        self.register_buffer("scale", torch.ones(input_size))
        self.register_buffer("limit", torch.tensor(float("inf")))

    def set(self, centre: Tensor, scale: Tensor, limit: float = 3.0) -> None:
        """Take centre and scale, each (F,) in the units of the features."""
        self.centre.copy_(centre)
        self.scale.copy_(scale)
        self.limit.fill_(limit)

    def forward(self, x: Tensor) -> Tensor:
        """(..., F) float32 in the units of the features -> (..., F) without unit."""
        return torch.clamp((x - self.centre) / self.scale, -self.limit, self.limit)


class MLP(nn.Module):
    """Linear layers with a PReLU between them, one slope per layer; `hidden_layers` are sizes from input to output."""

    def __init__(self, hidden_layers: Sequence[int]):
        super().__init__()
        check_sizes(hidden_layers)
        if len(hidden_layers) < 2:
            raise ValueError(f"hidden_layers must be two or more sizes, not {tuple(hidden_layers)}")
        layers = [layer for sizes in pairwise(hidden_layers) for layer in (nn.Linear(*sizes), PReLU(0.1))]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """(..., first size) float32 -> (..., last size) float32."""
        return self.layers(x)


class BAMS(nn.Module):
    """Embeddings of every frame at several timescales, trained by predicting the actions that come next.

    Args:
        predictor: `hidden_layers`, the sizes of the action predictor from its input (-1: as large as all embeddings
            and the input together) to its output D*Q.
        encoders: by name, the arguments of `TemporalConvNet`, and `bootstrap`: 'near', 'far' or 'none' (unless given,
            short_term is near, long_term is far, and others have none).

    Raises ValueError if there is no encoder, or a size makes no sense.

    Example:
        >>> encoders = dict(short_term=dict(num_channels=(64, 32)), long_term=dict(num_channels=(64, 32), dilation=4))
        >>> model = BAMS(67, **encoders, predictor=dict(hidden_layers=(-1, 256, 17 * 32)))
        >>> embs, hoa_pred, byol_preds = model(torch.zeros(2, 100, 67))
        >>> embs["long_term"].shape
        torch.Size([2, 100, 32])
    """

    def __init__(self, input_size: int, *, predictor: Mapping[str, Any], **encoders: Mapping[str, Any]):
        super().__init__()
        check_sizes([input_size])
        if not encoders:
            raise ValueError("BAMS needs at least one encoder, for example short_term=dict(num_channels=(64, 64))")
        self.config: dict[str, Any] = {"input_size": input_size}
        self.bootstrap_kinds: dict[str, str] = {}
        self.scale = InputScale(input_size)
        self.encoders = nn.ModuleDict()
        for name, options in encoders.items():
            sizes = dict(options)
            kind = sizes.pop("bootstrap", DEFAULT_BOOTSTRAP.get(name, "none"))
            if kind not in BOOTSTRAPS:
                raise ValueError(f"{name}: bootstrap is {kind!r}; it must be one of {', '.join(BOOTSTRAPS)}")
            try:
                self.encoders[name] = TemporalConvNet(input_size, **sizes)
            except (TypeError, KeyError) as error:
                raise ValueError(f"{name}: {error}") from error
            self.bootstrap_kinds[name] = kind
            self.config[name] = {**sizes, "num_channels": list(sizes["num_channels"]), "bootstrap": kind}
        if set(predictor) != {"hidden_layers"} or len(predictor["hidden_layers"]) < 2:
            raise ValueError(f"predictor takes hidden_layers, at least two sizes, not {dict(predictor)}")
        first, *hidden_layers = predictor["hidden_layers"]
        joined = input_size + sum(self.sizes.values())
        if first not in (-1, joined):
            raise ValueError(f"the action predictor's input has {joined} numbers, not {first}; take -1")
        self.config["predictor"] = {"hidden_layers": [joined, *hidden_layers]}
        self.predictor = MLP([joined, *hidden_layers])
        trained = [name for name, kind in self.bootstrap_kinds.items() if kind != "none"]
        self.bootstrap = nn.ModuleDict({name: _bootstrap_predictor(self.sizes[name]) for name in trained})

    @property
    def sizes(self) -> dict[str, int]:
        """C of each encoder's embedding."""
        return {name: encoder.output_size for name, encoder in self.encoders.items()}

    @property
    def context(self) -> int:
        """Number of earlier frames that the embeddings of a frame depend on."""
        return max(encoder.receptive_field for encoder in self.encoders.values()) - 1

    def encode(self, input: Tensor) -> dict[str, Tensor]:
        """Embeddings by encoder name, (B, T, C), of an input (B, T, F) float32, unscaled and finite."""
        scaled = self.scale(input)
        return {name: encoder(scaled) for name, encoder in self.encoders.items()}

    def predict_actions(self, embs: Mapping[str, Tensor], input: Tensor, keep: Tensor | None = None) -> Tensor:
        """Logits of the histogram of actions (B, M, D*Q), from embeddings and unscaled input of the same M frames.

        `keep` is (B, encoders + 1), 0 = hide this embedding or, last, the input; all are seen unless given.
        """
        parts = [*embs.values(), self.scale(input)]
        if keep is not None:
            parts = [part * keep[:, i, None, None] for i, part in enumerate(parts)]
        return self.predictor(torch.cat(parts, dim=-1))

    def forward(self, input: Tensor) -> BAMSOutput:
        """All outputs for all frames of an input (B, T, F) float32, unscaled and finite."""
        size, dtype = self.config["input_size"], self.scale.centre.dtype
        if input.ndim != 3 or input.shape[-1] != size or 0 in input.shape or input.dtype != dtype:
            found = f"{tuple(input.shape)} of {input.dtype}"
            raise ValueError(f"input has axes {found}; expected (tracks, frames, {size}) of {dtype}, none of them 0")
        if not torch.isfinite(input).all():
            raise ValueError("input holds NaN or infinite values; fill gaps first with bams.features.fill_gaps")
        embs = self.encode(input)
        preds = {n: predict(embs[n].flatten(0, 1)).view_as(embs[n]) for n, predict in self.bootstrap.items()}
        return BAMSOutput(embs, self.predict_actions(embs, input), preds)

    @torch.no_grad()
    def start_at(self, log_histogram: Tensor, weight_factor: float = 0.01) -> None:
        """Let the action predictor start at the histogram (D*Q,) over all recordings, nearly whatever its input is."""
        last = self.predictor.layers[-1]
        last.bias.copy_(log_histogram)
        last.weight.mul_(weight_factor)


def _bootstrap_predictor(size: int) -> nn.Sequential:
    wide = 4 * size
    return nn.Sequential(nn.Linear(size, wide, bias=False), nn.BatchNorm1d(wide), nn.ReLU(), nn.Linear(wide, size))
