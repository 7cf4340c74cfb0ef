"""One training run on several processes, as torchrun starts them; without it there is one process.

A batch is dealt out to the processes. What each computes is its part of a sum over all, so that the gradients,
summed, are those of the whole batch on one process.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

Item = TypeVar("Item")
Made = TypeVar("Made")


def count() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this is the process that writes and speaks."""
    return rank() == 0


def own_device(name: str) -> str:
    """The device asked for; of several processes on 'auto' or 'cuda', each takes a GPU of its own."""
    if count() == 1 or name not in ("auto", "cuda") or not torch.cuda.is_available():
        return name
    return f"cuda:{int(os.environ.get('LOCAL_RANK', rank())) % torch.cuda.device_count()}"


@contextmanager
def started() -> Iterator[None]:
    """Join the other processes if torchrun has started several, and part from them at the end; the first speaks.

    Raises:
        ConnectionError: another process has ended.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        with ExitStack() as quiet:
            if not is_first():
                nowhere = quiet.enter_context(open(os.devnull, "w"))
                quiet.enter_context(redirect_stdout(nowhere))
                quiet.enter_context(redirect_stderr(nowhere))
            yield
        wait()  # who leaves first would close connections that others still use
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "gloo" in str(error):
            raise ConnectionError("another process of this run has ended; its message says why") from error
        raise
    finally:
        dist.destroy_process_group()


def share(items: Sequence[Item]) -> Sequence[Item]:
    """This process's part of some items, every so manieth."""
    return items[rank() :: count()]


def shares(total: int) -> list[int]:
    """How many of so many items each process has."""
    return [len(range(total)[first :: count()]) for first in range(count())]


def summed(tensor: Tensor) -> Tensor:
    """The sum of a tensor over all processes, without gradient."""
    if count() == 1:
        return tensor.detach()
    tensor = tensor.detach().clone()
    dist.all_reduce(tensor)
    return tensor


def joined(rows: Tensor, counts: Sequence[int]) -> Tensor:
    """The rows (P, C) of all processes, one process after the other, with gradient.

    Args:
        rows: this process's.
        counts: P of each process.
    """
    return rows if count() == 1 else _Joined.apply(rows, list(counts))


class _Joined(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        padded = rows.new_zeros(max(counts), *rows.shape[1:])
        padded[: len(rows)] = rows
        found = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(found, padded)
        return torch.cat([part[:number] for part, number in zip(found, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient.split(ctx.counts)[rank()], None


def agreed(flag: bool) -> bool:
    """Whether any process says so."""
    return bool(summed(torch.tensor(float(flag)))) if count() > 1 else flag


def wait() -> None:
    """Wait until all processes are here."""
    if count() > 1:
        dist.barrier()


def first_alone(make: Callable[[], Made]) -> Made:
    """What the first process makes before the others, which find it made (in a cache, say)."""
    if not is_first():
        wait()
    made = make()
    if is_first():
        wait()
    return made


@contextmanager
def common_folder(parent: Path) -> Iterator[Path]:
    """A folder in a folder that all processes can reach, until they all are done with it."""
    with ExitStack() as kept:
        made = kept.enter_context(TemporaryDirectory(prefix=".embeddings.", dir=parent)) if is_first() else None
        yield Path(told(made))
        wait()


def common_array(path: Path, shape: tuple[int, ...], fill: float | None = None) -> np.ndarray:
    """A float32 array in a file that all processes write in; zeros unless filled.

    Raises:
        OSError: there is no room for it.
    """

    def make() -> np.ndarray:
        if is_first():
            _reserve(path, shape)
        array = np.lib.format.open_memmap(path, "r+")
        if is_first() and fill is not None:
            array[:] = fill
        return np.asarray(array)  # not a memmap: pickle would say so in the files of those who get it

    return first_alone(make)


def _reserve(path: Path, shape: tuple[int, ...]) -> None:
    """A file for an array, its room taken: a disk that is full when mapped memory is written kills a process."""
    try:
        np.lib.format.open_memmap(path, "w+", np.float32, shape)
        if hasattr(os, "posix_fallocate"):
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        size = 4 * math.prod(shape) / 2**20
        raise OSError(f"cannot write {size:.0f} MiB in {path.parent}: {error.strerror}") from error


def told(value: Any) -> Any:
    """The first process's value."""
    if count() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box)
    return box[0]
