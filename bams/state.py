"""A training run between two steps: how it begins or goes on, its batches, and its checkpoint."""

import math
import platform
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from bams import distributed, losses
from bams.checkpoint import Checkpoint
from bams.config import CleaningConfig, TrainConfig
from bams.data import Dataset
from bams.devices import pick_workers
from bams.losses import HoALoss
from bams.models import BAMS

MARGINAL_BATCHES, MARGINAL_FRAMES = 8, 25_000  # the marginal loss is measured on so many batches, frames of each
ENOUGH_STEPS = 1500  # of a run with `epochs` 0; see benchmarks/readout.py
WARM_UP = 30  # steps in which the learning rates of lr_schedule cosine rise
LAST_RATE = 0.02  # what is left of them at the end
LARGEST_SHARE = 0.5  # of a GPU's free memory that a data set may take
# A run that changed one of these half-way would be of other data, or other steps.
FIXED = (
    *("batch_size", "hoa_window", "skip_frames", "seed", "sequence_length", "hoa_bins", "val_share"),
    *("tracks", "features", "heading", "predict", *(field.name for field in fields(CleaningConfig))),
)


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
        check_same_run(resume, vars(config))
        optimizer.load_state_dict(resume.progress["optimizer"])
        scheduler.load_state_dict(resume.progress["scheduler"])
        state.step = resume.progress["step"]
    return state


def check_same_run(resume: Checkpoint, settings: Mapping[str, Any]) -> None:
    """Check that settings which a run cannot change half-way are those of the run to resume.

    Raises:
        ValueError: one is not; which.
    """
    for name in (name for name in FIXED if name in settings and name in resume.settings):
        had, given = resume.settings[name], settings[name]
        if had != (list(given) if isinstance(given, tuple) else given):
            raise ValueError(f"the run to resume had {name} {had}, not {given}: resume with the same data and settings")


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


class _Fetched(torch.utils.data.Dataset):
    """A data set whose items are the batches of the windows that are asked for."""

    def __init__(self, dataset: torch.utils.data.Dataset):
        self.dataset = dataset

    def __getitem__(self, windows: list[int]) -> dict[str, Tensor]:
        if getattr(type(self.dataset), "__getitem__", None) is Dataset.__getitem__:  # its items are not changed
            return self.dataset.batch(windows)
        collated = default_collate([self.dataset[i] for i in windows or [0]])
        return {name: collated[name][: len(windows)] for name in ("input", "actions", "valid")}


def batch_order(dataset: torch.utils.data.Dataset, config: TrainConfig, epoch: int) -> list[list[int]]:
    """The numbers of the windows in each batch of an epoch; they follow from seed and epoch."""
    generator = torch.Generator().manual_seed(derived_seed(config.seed, 0, epoch))
    order = torch.randperm(len(dataset), generator=generator)
    return [chosen.tolist() for chosen in order.split(config.batch_size)]


def load_batches(
    dataset: torch.utils.data.Dataset, config: TrainConfig, windows: Sequence[list[int]]
) -> Iterator[dict[str, Tensor]]:
    """Batches of these windows: from where they were placed, or through `num_workers` processes.

    Raises:
        ChildProcessError: one of these has died.
        OSError: the features are kept in files, and these have changed.
    """
    placed = bool(getattr(dataset, "placed", None))
    workers = 0 if placed else pick_workers(config.num_workers, distributed.count())
    loader = DataLoader(
        _Fetched(dataset),
        sampler=windows,
        batch_size=None,
        num_workers=workers,
        pin_memory=torch.cuda.is_available() and not placed,
    )
    try:
        yield from _begun(loader)
    except RuntimeError as error:
        if "DataLoader worker (pid" not in str(error):
            raise
        raise ChildProcessError(
            f"one of {workers} processes that load batches was ended by the system, perhaps for lack of memory: "
            "try fewer --num_workers (0 for none)"
        ) from error
    except OSError as error:  # of a worker, its traceback comes first
        *_, last = str(error).splitlines() or [type(error).__name__]
        raise OSError(last.removeprefix("OSError: ")) from error


def _begun(loader: DataLoader) -> Iterator[dict[str, Tensor]]:
    """Its iterator, without torch's handler of dead workers, which raises wherever the program is, even in a step.

    That a worker has died the iterator finds out by itself.
    """
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        return iter(loader)
    usual = signal.getsignal(signal.SIGCHLD)
    batches = iter(loader)
    signal.signal(signal.SIGCHLD, usual or signal.SIG_DFL)
    return batches


def derived_seed(seed: int, purpose: int, index: int) -> int:
    """A seed of its own for each purpose and index (an epoch, a step)."""
    return int(np.random.SeedSequence([seed, purpose, index]).generate_state(1)[0])


def place_if_it_fits(device: torch.device, *datasets: torch.utils.data.Dataset | None) -> None:
    """Hold data sets that can be placed on a GPU there, each if that leaves room for the network."""
    for dataset in datasets if device.type == "cuda" else ():
        if getattr(type(dataset), "__getitem__", None) is not Dataset.__getitem__:
            continue
        free, _ = torch.cuda.mem_get_info(device)
        if sum(array.nbytes for array in (dataset.inputs, dataset.actions, dataset.valid)) < LARGEST_SHARE * free:
            dataset.place(device)


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
