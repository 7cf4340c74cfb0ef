"""One run on several processes, as torchrun starts them: each takes a share of every batch, and computes with the
losses, gradients and batch statistics of the whole batch, up to dropout, of which each process draws its own. Without
torchrun there is one process.
"""

import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

Item = TypeVar("Item")
Made = TypeVar("Made")


def count() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this process is the one that writes files and prints."""
    return rank() == 0


def own_device(name: str) -> str:
    """The device of this process: with several processes, 'auto' and 'cuda' give each its own GPU."""
    if count() == 1 or name not in ("auto", "cuda") or not torch.cuda.is_available():
        return name
    return f"cuda:{int(os.environ.get('LOCAL_RANK', rank())) % torch.cuda.device_count()}"


@contextmanager
def started() -> Iterator[None]:
    """Connect the processes that torchrun has started; only the first prints. ConnectionError: another has ended."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        with open(os.devnull, "w") as nowhere:
            out, err = (sys.stdout, sys.stderr) if is_first() else (nowhere, nowhere)
            with redirect_stdout(out), redirect_stderr(err):
                yield
        wait()  # a process that leaves early would close connections that others still use
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "gloo" in str(error):
            raise ConnectionError("another process of this run has ended; its message says why") from error
        raise
    finally:
        dist.destroy_process_group()


def share(items: Sequence[Item]) -> Sequence[Item]:
    """This process's items: every `count()`-th, starting at its rank."""
    return items[rank() :: count()]


def summed(tensor: Tensor) -> Tensor:
    """The sum of a tensor over all processes; gradients flow back to every process."""
    return tensor if count() == 1 else _Sum.apply(tensor)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Sum.apply(gradient)  # every process computes the loss of the whole batch, and DDP takes the mean


class _BatchNorm(nn.BatchNorm1d):
    """Batch normalisation by the mean and variance over the rows of all processes."""

    def forward(self, rows: Tensor) -> Tensor:
        if not self.training:
            return super().forward(rows)
        number = summed(torch.tensor(float(len(rows)), device=rows.device))
        mean = summed(rows.sum(0)) / number
        variance = summed((rows - mean).square().sum(0)) / number
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * number / (number - 1), self.momentum)
        return (rows - mean) * torch.rsqrt(variance + self.eps) * self.weight + self.bias


def over_processes(module: nn.Module, device: torch.device) -> nn.Module:
    """A module on a device that all processes train together; its loss must be that of the whole batch, by `summed`."""
    if count() == 1:
        return module
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d):
            layer.__class__ = _BatchNorm  # in place, as the optimiser holds its parameters
    return DistributedDataParallel(module, device_ids=[device] if device.type == "cuda" else None)


def agreed(flag: bool) -> bool:
    """Whether the flag is set in any process."""
    return bool(summed(torch.tensor(float(flag))))


def wait() -> None:
    """Wait until all processes are here."""
    if count() > 1:
        dist.barrier()


def told(value: Any) -> Any:
    """The first process's value, on every process."""
    box = [value]
    if count() > 1:
        dist.broadcast_object_list(box)
    return box[0]


def first_alone(make: Callable[[], Made]) -> Made:
    """What `make` returns; the first process runs it before the others, which then find files that it has made."""
    made = make() if is_first() else None
    wait()
    return made if is_first() else make()


@contextmanager
def common_folder(parent: Path) -> Iterator[Path]:
    """A temporary folder in `parent` that all processes share."""
    with TemporaryDirectory(prefix=".embeddings.", dir=parent) if is_first() else nullcontext() as made:
        yield Path(told(made))
        wait()


def common_array(path: Path, shape: tuple[int, ...], fill: float = 0) -> np.ndarray:
    """A float32 array in a file, which all processes write to; OSError if the disk has no room for it."""
    if is_first():
        try:
            array = np.lib.format.open_memmap(path, "w+", np.float32, shape)
            if hasattr(os, "posix_fallocate"):  # a disk that fills up while mapped memory is written kills the process
                with path.open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            mebibytes = math.prod(shape) * 4 / 2**20
            raise OSError(f"cannot write {mebibytes:.0f} MiB in {path.parent}: {error.strerror}") from error
        if fill:
            array[:] = fill
    wait()
    return np.asarray(np.lib.format.open_memmap(path, "r+"))  # a plain array, as files of it should not name memmap
