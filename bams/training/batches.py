"""Batches of windows: their order, and how they are loaded."""

import signal
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from bams.compute import distributed
from bams.compute.devices import pick_workers
from bams.data.dataset import Dataset
from bams.training.config import TrainConfig

LARGEST_SHARE = 0.5  # of a GPU's free memory that a data set may take


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
