"""Batches of windows: their order, how they are loaded, and the seeds of random draws."""

import signal
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from bams.compute import distributed
from bams.compute.devices import pick_workers
from bams.data.dataset import Dataset as FeatureDataset
from bams.training.config import TrainConfig
from bams.training.interrupts import handled

LARGEST_SHARE = 0.5  # of a GPU's free memory, for the data set
DEATH_SIGNALS = [signal.SIGCHLD] if hasattr(signal, "SIGCHLD") else []  # Windows has none


def derived_seed(seed: int, purpose: int, index: int) -> int:
    """A separate seed for each purpose and index (an epoch, a step)."""
    return int(np.random.SeedSequence([seed, purpose, index]).generate_state(1)[0])


def batch_order(dataset: Dataset, config: TrainConfig, epoch: int) -> list[list[int]]:
    """The numbers of the windows in each batch of an epoch; they follow from seed and epoch."""
    generator = torch.Generator().manual_seed(derived_seed(config.seed, 0, epoch))
    order = torch.randperm(len(dataset), generator=generator)
    return [chosen.tolist() for chosen in order.split(config.batch_size)]


def epoch_batches(
    dataset: Dataset, config: TrainConfig, step: int, device: torch.device
) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
    """The batches from a step to the end of its epoch: numbers of all windows, and this process's share of them."""
    epoch, done = divmod(step, -(-len(dataset) // config.batch_size))
    order = batch_order(dataset, config, epoch)[done:]
    loaded = load_batches(dataset, config, [distributed.share(windows) for windows in order])
    for windows, batch in zip(order, loaded, strict=True):
        yield windows, on_device(batch, device)


def load_batches(dataset: Dataset, config: TrainConfig, order: Sequence[list[int]]) -> Iterator[dict[str, Tensor]]:
    """Load the windows of each batch, in this process or others; ChildProcessError if one of these has died."""
    placed = bool(getattr(dataset, "placed", None))
    workers = 0 if placed else pick_workers(config.num_workers, distributed.count())
    pin = torch.cuda.is_available() and not placed
    loader = DataLoader(_Batches(dataset), sampler=order, batch_size=None, num_workers=workers, pin_memory=pin)
    try:
        # this removes torch's own handler of dead workers, which would raise in the middle of a training step
        with handled(signal.SIG_DFL, *DEATH_SIGNALS):
            batches = iter(loader)
        yield from batches
    except RuntimeError as error:
        if "DataLoader worker (pid" not in str(error):
            raise
        raise ChildProcessError(
            f"the system ended one of {workers} processes that load batches, perhaps for lack of memory: try fewer "
            "--num_workers (0 for none)"
        ) from error


class _Batches(Dataset):
    """A data set whose items are whole batches."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset

    def __getitem__(self, windows: list[int]) -> dict[str, Tensor]:
        if _has_plain_items(self.dataset):
            return self.dataset.batch(windows)
        collated = default_collate([self.dataset[i] for i in windows or [0]])
        return {name: collated[name][: len(windows)] for name in ("input", "actions", "valid")}


def _has_plain_items(dataset: Dataset) -> bool:
    """Whether no subclass changes the items of our `Dataset`, so that they can be taken from its arrays."""
    return getattr(type(dataset), "__getitem__", None) is FeatureDataset.__getitem__


def on_device(batch: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """A batch on the device that trains."""
    return {name: batch[name].to(device, non_blocking=True) for name in ("input", "actions", "valid")}


def place_if_it_fits(device: torch.device, *datasets: Dataset | None) -> None:
    """Hold data sets on a GPU, where that leaves enough room for the network."""
    for dataset in datasets:
        if device.type == "cuda" and _has_plain_items(dataset):
            free, _ = torch.cuda.mem_get_info(device)
            if sum(array.nbytes for array in (dataset.inputs, dataset.actions, dataset.valid)) < LARGEST_SHARE * free:
                dataset.place(device)
