"""One training step: from a batch to the losses."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bams import losses
from bams.compute import distributed
from bams.losses import HoALoss, HoASums
from bams.models.bams import BAMS
from bams.training.batches import derived_seed
from bams.training.config import TrainConfig

LEAST_PAIRS = 32  # BatchNorm of the bootstrap predictors sees at least this many pairs of views
DROPOUT, DRAWS = 1, 2  # purposes of derived seeds


class Draws(NamedTuple):
    """What a step draws at random, apart from dropout."""

    frames: Tensor  # (M,) int64, the frames at which actions are predicted
    keep: Tensor  # (B, encoders + 1) float32, 1 = a part of its input that the action predictor sees
    views: dict[str, Tensor]  # by encoder, (2, B, pairs) float32 from 0 to 1, for `losses.sample_views`


def training_step(
    model: BAMS,
    batch: Mapping[str, Tensor],
    hoa: HoALoss,
    config: TrainConfig,
    draws: Draws,
    summed: Callable[[Tensor], Tensor] = lambda sums: sums,
) -> dict[str, Tensor]:
    """The losses of one batch, scalars by their names in TensorBoard; `total_loss` is to be minimised.

    The batch has `input` (B, T, F), `actions` (B, T, D) and `valid` (B, T, D), on the model's device. `summed` adds the
    sums of other tracks of the batch, which other processes compute.
    """
    device, total = batch["input"].device, batch["input"].shape[1]
    frames = _to(device, draws.frames)
    with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
        embs = model.encode(batch["input"])
        seen = {name: emb[:, frames] for name, emb in embs.items()}
        logits = model.predict_actions(seen, batch["input"][:, frames], _to(device, draws.keep))
    sums = hoa.sums(logits, batch["actions"], batch["valid"], frames)
    scores = hoa.scores(HoASums(*map(summed, sums)))
    values = {"hoa_loss": scores.distance.detach(), "hoa_skill": scores.skill.detach()}
    total_loss = (5.0 if hoa.normalised else 500.0) * scores.loss

    admissible = batch["valid"].any(-1)
    admissible[:, : config.skip_frames] = False
    near, far = (0, config.near_frames), (config.far_frames or total, config.far_frames or total)
    for name, predictor in model.bootstrap.items():
        reach = near if model.bootstrap_kinds[name] == "near" else far
        track, *views, usable = losses.sample_views(admissible, *reach, _to(device, draws.views[name]))
        first, second = (embs[name][track, view].float() for view in views)
        loss = summed(losses.bootstrap_loss(predictor(first), second, usable, summed(usable.sum())))
        values[f"byol_loss_{name}"] = loss.detach()
        total_loss = total_loss + config.bootstrap_weight * loss
    return values | {"total_loss": total_loss}


class TrainingStep(nn.Module):
    """`training_step` as a module, which all processes can train together (see `distributed.over_processes`)."""

    def __init__(self, model: BAMS, hoa: HoALoss, config: TrainConfig):
        super().__init__()
        self.model, self.hoa, self.config = model, hoa, config

    def forward(self, batch: Mapping[str, Tensor], step: int, tracks: int) -> dict[str, Tensor]:
        """The losses of the whole batch of that many tracks, of which `batch` has the share of this process.

        All random draws follow from the seed and the number of the step.
        """
        model, config, rank = self.model, self.config, distributed.rank()
        torch.manual_seed(derived_seed(config.seed, DRAWS + rank if rank else DROPOUT, step))  # of dropout
        drawn = torch.Generator().manual_seed(derived_seed(config.seed, DRAWS, step))
        frames = self.hoa.predicted_frames(batch["input"].shape[1], config.hoa_frames, drawn)
        keep = losses.sample_kept_parts(tracks, len(model.encoders), config.hide_parts, drawn)
        pairs = max(config.views, -(-LEAST_PAIRS // tracks))
        views = {name: torch.rand(2, tracks, pairs, generator=drawn) for name in model.bootstrap}
        own = slice(rank, None, distributed.count())  # every process draws for all tracks
        draws = Draws(frames, keep[own], {name: pair[:, own] for name, pair in views.items()})
        return training_step(model, batch, self.hoa, config, draws, distributed.summed)


def _to(device: torch.device, drawn: Tensor) -> Tensor:
    """A small tensor from the CPU, copied without waiting for the device."""
    return (drawn.pin_memory() if device.type == "cuda" else drawn).to(device, non_blocking=True)
