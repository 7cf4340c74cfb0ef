"""A training run between two steps: how it begins or goes on, its batches, and its checkpoint."""

import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from bams import losses
from bams.checkpoint import Checkpoint, check_same_run
from bams.data.dataset import Dataset
from bams.losses import HoALoss
from bams.models.bams import BAMS
from bams.training.batches import batch_order, load_batches
from bams.training.config import TrainConfig

MARGINAL_BATCHES, MARGINAL_FRAMES = 8, 25_000  # the marginal loss is measured on so many batches, frames of each
ENOUGH_STEPS = 1500  # of a run with `epochs` 0; see benchmarks/readout.py
WARM_UP = 30  # steps in which the learning rates of lr_schedule cosine rise
LAST_RATE = 0.02  # what is left of them at the end


@dataclass
class State:
    """Everything that a step changes, and what it needs.

    Attributes:
        model, optimizer, scheduler: as in PyTorch; the scheduler counts steps.
        hoa: the loss of the action predictor.
        per_epoch: steps in an epoch.
        epochs: those of the whole run.
        step: steps done.
    """

    model: BAMS
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    hoa: HoALoss
    per_epoch: int
    epochs: int
    step: int = 0


def new_model(dataset: Dataset, sizes: Mapping[str, Any], seed: int) -> BAMS:
    """A model for the features of a data set, with random weights.

    Args:
        dataset: whose features it is for.
        sizes: encoders by name, and `hidden_layers` of the action predictor without its last size.
        seed: the weights follow from it.
    """
    torch.manual_seed(seed)
    encoders = {name: options for name, options in sizes.items() if name != "hidden_layers"}
    outputs = dataset.target_size * dataset.statistics.bins
    return BAMS(dataset.input_size, predictor={"hidden_layers": (-1, *sizes["hidden_layers"], outputs)}, **encoders)


def begin(
    model: BAMS,
    dataset: torch.utils.data.Dataset,
    config: TrainConfig,
    device: torch.device,
    resume: Checkpoint | None,
) -> State:
    """A new run, or the one of `resume`, with the model on `device`.

    Raises:
        ValueError: the run to resume had other data.
    """
    per_epoch, epochs = steps_and_epochs(config, len(dataset))
    new = resume is None
    marginal = _start_model(model, dataset, config) if new else torch.from_numpy(resume.marginal_loss)
    model.to(device)
    main = [p for name, p in model.named_parameters() if not name.startswith("bootstrap.")]
    groups: list[dict[str, Any]] = [{"params": main}]
    if len(model.bootstrap):
        groups.append({"params": list(model.bootstrap.parameters()), "lr": config.bootstrap_lr})
    fused = device.type == "cuda"
    optimizer = torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay, fused=fused)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(learning_rate_factor, config, per_epoch, epochs))
    hoa = HoALoss(
        bins=dataset.statistics.bins,
        window=config.hoa_window,
        skip_frames=config.skip_frames,
        marginal=marginal.to(device),
        normalised=config.loss == "normalised",
    )
    state = State(model, optimizer, scheduler, hoa, per_epoch, epochs)
    if not new:
        if resume.progress["windows"] != len(dataset):
            raise ValueError(
                f"the run to resume had {resume.progress['windows']} training windows, these data give "
                f"{len(dataset)}: resume with the same data and settings"
            )
        check_same_run(resume, config)
        optimizer.load_state_dict(resume.progress["optimizer"])
        scheduler.load_state_dict(resume.progress["scheduler"])
        state.step = resume.progress["step"]
    return state


def steps_and_epochs(config: TrainConfig, windows: int) -> tuple[int, int]:
    """Steps in an epoch over so many windows, and epochs of the whole run."""
    per_epoch = -(-windows // config.batch_size)
    return per_epoch, config.epochs or -(-ENOUGH_STEPS // per_epoch)


def learning_rate_factor(config: TrainConfig, per_epoch: int, epochs: int, step: int) -> float:
    """What the learning rates are multiplied by at a step, with `per_epoch` steps in each of the epochs."""
    if config.lr_schedule == "steps":
        return 0.1 ** sum(step >= epoch * per_epoch for epoch in config.lr_milestones)
    share = min(step / (epochs * per_epoch), 1)
    cosine = LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * share)) / 2
    return min((step + 1) / WARM_UP, 1) * cosine


def snapshot(state: State, data: torch.utils.data.Dataset, settings: Mapping[str, Any], **about: Any) -> Checkpoint:
    """The run as a checkpoint; `about` are its `dataset` (a name) and `features`."""
    return Checkpoint(
        model=state.model,
        statistics=data.statistics,
        marginal_loss=state.hoa.marginal.cpu().numpy(),
        settings=dict(settings),
        progress={
            "epoch": state.step // state.per_epoch,
            "step": state.step,
            "windows": len(data),
            "optimizer": state.optimizer.state_dict(),
            "scheduler": state.scheduler.state_dict(),
        },
        versions={
            "python": platform.python_version(),
            **{name: version(name) for name in ("bams", "torch", "numpy")},
        },
        **about,
    )


def measure_marginal(
    trained_on: torch.utils.data.Dataset,
    dataset: torch.utils.data.Dataset,
    config: TrainConfig,
    most_batches: int | None = None,
    most_frames: int | None = None,
) -> Tensor:
    """The marginal loss (D,) on batches of `dataset`, of the data-wide histogram of `trained_on`."""
    sample = batch_order(dataset, config, 0)[:most_batches]
    return losses.marginal_loss(
        torch.from_numpy(trained_on.statistics.counts),
        ((batch["actions"].cpu(), batch["valid"].cpu()) for batch in load_batches(dataset, config, sample)),
        window=config.hoa_window,
        skip_frames=config.skip_frames,
        most_frames=most_frames,
    )


def held_out_loss(
    state: State, dataset: torch.utils.data.Dataset, val_dataset: torch.utils.data.Dataset, config: TrainConfig
) -> HoALoss:
    """The loss by which skill on held-out recordings is against the data-wide histogram on these same ones."""
    marginal = measure_marginal(dataset, val_dataset, config).to(state.hoa.marginal.device)
    return replace(state.hoa, marginal=marginal)


def _start_model(model: BAMS, dataset: torch.utils.data.Dataset, config: TrainConfig) -> Tensor:
    """Scale the inputs and set where the predictor starts; the marginal loss (D,) of the data."""
    statistics = dataset.statistics
    counts = torch.from_numpy(statistics.counts)
    model.scale.set(torch.from_numpy(statistics.centre), torch.from_numpy(statistics.scale))
    if config.loss == "normalised":
        model.start_at(torch.log((counts + 1) / (counts + 1).sum(-1, keepdim=True)).flatten())
    return measure_marginal(dataset, dataset, config, MARGINAL_BATCHES, MARGINAL_FRAMES)
