"""A training run: how it begins or goes on, its steps and learning rates, and its checkpoint."""

import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from bams import checkpoint, losses
from bams.checkpoint import Checkpoint, check_same_run, kept
from bams.compute import distributed
from bams.compute.devices import own_draws, pick_device, pick_precision
from bams.losses import HoALoss
from bams.models.bams import BAMS
from bams.training.batches import batch_order, load_batches
from bams.training.config import TrainConfig

MARGINAL_BATCHES, MARGINAL_FRAMES = 8, 25_000  # number of batches for the marginal loss, and most frames of each
ENOUGH_STEPS = 1500  # steps of a run with `epochs` 0; see benchmarks/readout.py
WARM_UP = 30  # steps in which the learning rates of lr_schedule cosine rise
LAST_RATE = 0.02  # share of the learning rates that is left at the end


@dataclass
class Run:
    """A training run."""

    model: BAMS
    optimizer: torch.optim.Optimizer
    hoa: HoALoss
    config: TrainConfig  # its precision is not 'auto'
    device: torch.device
    about: dict[str, Any]  # `dataset` (its name), `features` and `settings`, for the checkpoint
    per_epoch: int  # steps in an epoch
    steps: int  # of the whole run
    step: int = 0  # steps done
    held_out: HoALoss | None = None  # the loss for held-out recordings, once it is needed

    def update(self, loss: Tensor) -> float:
        """Take one step of the optimiser; returns the learning rate that it used."""
        factor = learning_rate_factor(self.config, self.per_epoch, self.steps // self.per_epoch, self.step)
        rates = self.config.lr * factor, self.config.bootstrap_lr * factor
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.step += 1
        return rates[0]


def new_model(dataset: Dataset, sizes: Mapping[str, Any], seed: int) -> BAMS:
    """A model for the features of a data set, with random weights that follow from the seed.

    `sizes` has the encoders by name, and `hidden_layers` of the action predictor without its last size.
    """
    encoders = {name: options for name, options in sizes.items() if name != "hidden_layers"}
    outputs = dataset.target_size * dataset.statistics.bins
    predictor = {"hidden_layers": (-1, *sizes["hidden_layers"], outputs)}
    with own_draws(seed=seed):
        return BAMS(dataset.input_size, predictor=predictor, **encoders)


def begin(
    model: BAMS,
    dataset: Dataset,
    config: TrainConfig,
    resume: Checkpoint | None = None,
    about: Mapping[str, Any] | None = None,
) -> Run:
    """A new run, or the one of `resume`, which must be of the same data and settings; moves the model to the device."""
    device = pick_device(distributed.own_device(config.device))
    config = replace(config, precision=pick_precision(config.precision, device))
    per_epoch, epochs = steps_and_epochs(config, len(dataset))
    statistics, normalised = dataset.statistics, config.loss == "normalised"
    if resume is None:
        model.scale.set(torch.from_numpy(statistics.centre), torch.from_numpy(statistics.scale))
        if normalised:  # the action predictor starts at the data-wide histogram
            counts = torch.from_numpy(statistics.counts) + 1
            model.start_at(torch.log(counts / counts.sum(-1, keepdim=True)).flatten())
        marginal = measure_marginal(dataset, dataset, config, MARGINAL_BATCHES, MARGINAL_FRAMES)
    else:
        marginal = torch.from_numpy(resume.marginal_loss)
    model.to(device)
    groups: list[dict[str, Any]] = [
        {"params": [p for name, p in model.named_parameters() if not name.startswith("bootstrap.")]},
        {"params": list(model.bootstrap.parameters()), "lr": config.bootstrap_lr},
    ]
    fused = device.type == "cuda"
    optimizer = torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay, fused=fused)
    hoa = HoALoss(statistics.bins, config.hoa_window, config.skip_frames, marginal.to(device), normalised)
    about = {"dataset": "unnamed", "features": {}, "settings": {}, **(about or {})}
    about["settings"] = {**about["settings"], **kept(config), "epochs": epochs}
    run = Run(model, optimizer, hoa, config, device, about, per_epoch, per_epoch * epochs)
    if resume is not None:
        if (windows := resume.progress["windows"]) != len(dataset):
            given = f"{windows} training windows, these data give {len(dataset)}"
            raise ValueError(f"the run to resume had {given}: resume with the same data and settings")
        check_same_run(resume, config)
        # the moments go on, the settings are those of now
        optimizer.load_state_dict({**optimizer.state_dict(), "state": resume.progress["optimizer"]["state"]})
        run.step = resume.progress["step"]
    return run


def measure_marginal(
    trained_on: Dataset,
    dataset: Dataset,
    config: TrainConfig,
    most_batches: int | None = None,
    most_frames: int | None = None,
) -> Tensor:
    """The loss (D,) on batches of `dataset` of the data-wide histogram of `trained_on`."""
    counts, window, skip = torch.from_numpy(trained_on.statistics.counts), config.hoa_window, config.skip_frames
    loaded = load_batches(dataset, config, batch_order(dataset, config, 0)[:most_batches])
    batches = ((batch["actions"].cpu(), batch["valid"].cpu()) for batch in loaded)
    return losses.marginal_loss(counts, batches, window=window, skip_frames=skip, most_frames=most_frames)


def steps_and_epochs(config: TrainConfig, windows: int) -> tuple[int, int]:
    """Steps in an epoch over this number of windows, and epochs of the whole run."""
    per_epoch = -(-windows // config.batch_size)
    return per_epoch, config.epochs or -(-ENOUGH_STEPS // per_epoch)


def learning_rate_factor(config: TrainConfig, per_epoch: int, epochs: int, step: int) -> float:
    """What the learning rates are multiplied by at a step; an epoch has `per_epoch` steps."""
    if config.lr_schedule == "steps":
        return 0.1 ** sum(step >= epoch * per_epoch for epoch in config.lr_milestones)
    share = min(step / (epochs * per_epoch), 1)
    cosine = LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * share)) / 2
    return min((step + 1) / WARM_UP, 1) * cosine


def save_run(run: Run, dataset: Dataset, path: str | Path | None) -> Checkpoint:
    """The run's checkpoint, which the first process writes if there is a path.

    Raises FloatingPointError if a weight is not finite.
    """
    if not all(torch.isfinite(p).all() for p in run.model.parameters()):
        raise FloatingPointError(f"weights are not finite after step {run.step}; lower --lr")
    progress = {"epoch": run.step // run.per_epoch, "step": run.step, "windows": len(dataset)}
    progress["optimizer"] = run.optimizer.state_dict()
    versions = {"python": platform.python_version()} | {name: version(name) for name in ("bams", "torch", "numpy")}
    fitted = {"statistics": dataset.statistics, "marginal_loss": run.hoa.marginal.cpu().numpy()}
    done = Checkpoint(run.model, progress=progress, versions=versions, **fitted, **run.about)
    if path is not None and distributed.is_first():
        checkpoint.save(path, done)
    return done
