"""One training step: from a batch to the losses, on one process or several."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from bams import losses
from bams.compute import distributed
from bams.losses import HoALoss, HoASums
from bams.models.bams import BAMS
from bams.training.batches import derived_seed
from bams.training.config import TrainConfig

LEAST_PAIRS = 32  # BatchNorm of the bootstrap predictors sees at least so many pairs of views


class TrainingStep(nn.Module):
    """`training_step` as the forward pass of a module, which is what DistributedDataParallel takes."""

    def __init__(self, model: BAMS, hoa: HoALoss, config: TrainConfig):
        super().__init__()
        self.model = model
        self.options: tuple[Any, ...] = hoa, config

    def forward(self, batch: Mapping[str, Tensor], step: int, tracks: int) -> dict[str, Tensor]:
        """As `training_step`."""
        return training_step(self.model, batch, *self.options, step, tracks)


def over_processes(step: TrainingStep, device: torch.device) -> nn.Module:
    """A training step whose gradients are averaged over all processes."""
    if distributed.count() == 1:
        return step
    return DistributedDataParallel(step, device_ids=[device] if device.type == "cuda" else None)


def training_step(
    model: BAMS,
    batch: Mapping[str, Tensor],
    hoa: HoALoss,
    config: TrainConfig,
    step: int,
    tracks: int | None = None,
) -> dict[str, Tensor]:
    """Forward pass and losses of one batch; all draws follow from the seed, the step and the place in the batch.

    Args:
        batch: `input` (B, T, F), `actions` (B, T, D), `valid` (B, T, D), on the model's device; of several
            processes the share of this one.
        tracks: B of the whole batch; that of `batch` unless given.

    Returns:
        scalars by the names they have in TensorBoard, of several processes the part of this one, all of which
        sum up to the value; `total_loss` is to be minimised.
    """
    own, total, _ = batch["input"].shape
    device, tracks, processes = batch["input"].device, own if tracks is None else tracks, distributed.count()
    rank = distributed.rank()
    torch.manual_seed(derived_seed(config.seed, 2 + rank if rank else 1, step))  # of dropout
    draws = torch.Generator().manual_seed(derived_seed(config.seed, 2, step))
    lower = torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")
    with lower:
        embs = model.encode(batch["input"])

    frames = _to(device, hoa.predicted_frames(total, config.hoa_frames, draws))
    keep = losses.sample_kept_parts(tracks, len(embs), config.hide_parts, draws)
    seen = {name: emb[:, frames] for name, emb in embs.items()}
    with lower:
        keep = _to(device, distributed.share(keep))
        logits = model.predict_actions(seen, batch["input"][:, frames], keep)
    sums = hoa.sums(logits, batch["actions"], batch["valid"], frames)
    scores = hoa.scores(HoASums(sums.distance, distributed.summed(sums.weight)), parts=processes)
    values = {"hoa_loss": scores.distance.detach(), "hoa_skill": scores.skill.detach()}
    total_loss = (5.0 if hoa.normalised else 500.0) * scores.loss

    admissible = batch["valid"].any(-1)
    admissible[:, : config.skip_frames] = False
    pairs = max(config.views, -(-LEAST_PAIRS // tracks))
    counts = [share * pairs for share in distributed.shares(tracks)]
    near, far = (0, config.near_frames), (config.far_frames or total, config.far_frames or total)
    for name, predictor in model.bootstrap.items():
        reach = near if model.bootstrap_kinds[name] == "near" else far
        dealt = torch.rand(2, tracks, pairs, generator=draws)[:, rank::processes]
        views = losses.sample_views(admissible, *reach, _to(device, dealt))
        first = distributed.joined(embs[name][views.track, views.first].float(), counts)
        second = distributed.joined(embs[name][views.track, views.second].float().detach(), counts)
        usable = distributed.joined(views.usable.float(), counts) > 0
        # of all processes' views, on each of them: a part of it is this one's
        loss = losses.bootstrap_loss(predictor(first), second, usable) / processes
        values[f"byol_loss_{name}"] = loss.detach()
        total_loss = total_loss + config.bootstrap_weight * loss
    values["total_loss"] = total_loss
    return values


def _to(device: torch.device, drawn: Tensor) -> Tensor:
    """A small tensor from the CPU, without waiting for the device."""
    return (drawn.pin_memory() if device.type == "cuda" else drawn).to(device, non_blocking=True)
