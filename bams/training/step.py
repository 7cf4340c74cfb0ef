"""One training step: from a batch to the losses."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from bams import losses
from bams.compute import distributed
from bams.compute.devices import seed_draws
from bams.losses import HoALoss, HoASums
from bams.models.bams import BAMS
from bams.training.batches import derived_seed
from bams.training.config import TrainConfig

LEAST_PAIRS = 32  # BatchNorm of the bootstrap predictors sees at least this many pairs of views
DROPOUT, DRAWS = 1, 2  # purposes of derived seeds


def training_step(
    model: BAMS,
    batch: Mapping[str, Tensor],
    hoa: HoALoss,
    config: TrainConfig,
    step: int,
    *,
    tracks: int | None = None,
    own: slice = slice(None),
    summed: Callable[[Tensor], Tensor] = lambda sums: sums,
) -> dict[str, Tensor]:
    """Scalars of a batch by their names in TensorBoard; minimise `total_loss`.

    Args:
        batch: `input` (B, T, F), `actions` (B, T, D) and `valid` (B, T, D), on the model's device.
        step: its number; all random draws but those of dropout follow from the seed and it.
        tracks, own: how many tracks other processes compute with these, and which are in `batch`; all unless given.
        summed: adds the sums of the other processes.
    """
    device, (count, total) = batch["input"].device, batch["input"].shape[:2]
    tracks = tracks or count
    admissible = batch["valid"].any(-1)
    admissible[:, : config.skip_frames] = False
    have_views = summed(admissible.any(1).sum())  # the number of tracks that do
    usable_tracks = int(have_views)  # waits for a GPU, which has little to do yet
    drawn = torch.Generator().manual_seed(derived_seed(config.seed, DRAWS, step))
    frames = _to(device, hoa.predicted_frames(total, config.hoa_frames, drawn))
    keep = losses.sample_kept_parts(tracks, len(model.encoders), config.hide_parts, drawn)
    with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
        embs = model.encode(batch["input"])
        seen = {name: emb[:, frames] for name, emb in embs.items()}
        logits = model.predict_actions(seen, batch["input"][:, frames], _to(device, keep[own]))
    sums = hoa.sums(logits, batch["actions"], batch["valid"], frames)
    scores = hoa.scores(HoASums(*map(summed, sums)))
    values = {"hoa_loss": scores.distance.detach(), "hoa_skill": scores.skill.detach()}
    total_loss = (5.0 if hoa.normalised else 500.0) * scores.loss

    near, far = (0, config.near_frames), (config.far_frames or total, config.far_frames or total)
    pairs = max(config.views, -(-LEAST_PAIRS // max(usable_tracks, 1)))
    for name, predictor in model.bootstrap.items():
        reach = near if model.bootstrap_kinds[name] == "near" else far
        places = torch.rand(2, tracks, pairs, generator=drawn)[:, own]
        track, *views, usable = losses.sample_views(admissible, *reach, _to(device, places))
        if usable_tracks < tracks:  # BatchNorm sees usable pairs only
            track, *views, usable = (part[usable] for part in (track, *views, usable))
        if usable_tracks:
            first, second = (embs[name][track, view].float() for view in views)
            loss = summed(losses.bootstrap_loss(predictor(first), second, usable, have_views * pairs))
        else:
            loss = sum(0 * weight.sum() for weight in predictor.parameters())
        values[f"byol_loss_{name}"] = loss.detach()
        total_loss = total_loss + config.bootstrap_weight * loss
    return values | {"total_loss": total_loss}


class TrainingStep(nn.Module):
    """`training_step` as a module, which all processes can train together (see `distributed.over_processes`)."""

    def __init__(self, model: BAMS, hoa: HoALoss, config: TrainConfig):
        super().__init__()
        self.model, self.hoa, self.config = model, hoa, config

    def forward(self, batch: Mapping[str, Tensor], step: int, tracks: int) -> dict[str, Tensor]:
        """The scalars of the whole batch of that many tracks, of which `batch` has the share of this process."""
        rank = distributed.rank()
        of_dropout = derived_seed(self.config.seed, DRAWS + rank if rank else DROPOUT, step)
        seed_draws(batch["input"].device, of_dropout)
        own = slice(rank, None, distributed.count())  # every process draws for all tracks
        share = {"tracks": tracks, "own": own, "summed": distributed.summed}
        return training_step(self.model, batch, self.hoa, self.config, step, **share)


def _to(device: torch.device, drawn: Tensor) -> Tensor:
    """A small tensor from the CPU, copied without waiting for the device."""
    return (drawn.pin_memory() if device.type == "cuda" else drawn).to(device, non_blocking=True)
