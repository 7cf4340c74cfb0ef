"""What to compute on, in which numbers, and what feeds it."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

MMAP_MAX, TRIM_THRESHOLD = -4, -1  # of glibc's mallopt


def pick_device(name: str) -> torch.device:
    """'auto' is the first of cuda, mps and cpu that is there.

    Raises:
        ValueError: the device is not on this machine, or is not one.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device).tolist()  # some kinds of devices hold no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"device {name!r} is not usable here; choose auto or cpu") from error
    return device


def pick_precision(name: str, device: torch.device) -> str:
    """'auto' is bfloat16 where the device has instructions for it, else float32."""
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    found = torch.cpu.get_capabilities() if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities") else {}
    return "bfloat16" if found.get("avx512_bf16") or found.get("amx_bf16") else "float32"


def pick_workers(count: int, processes: int = 1) -> int:
    """-1 is none beside a CPU that trains; for a GPU up to 4, of the cores that `processes` share."""
    if count >= 0:
        return count
    return min(4, ((os.cpu_count() or 1) - 1) // processes) if torch.cuda.is_available() else 0


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory, of a GPU or of the machine, did not suffice."""
    said = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)  # torch on a CPU
    return said or isinstance(error, MemoryError | torch.OutOfMemoryError)


@contextmanager
def keeping_freed_memory(device: torch.device) -> Iterator[None]:
    """Reuse memory that tensors on a CPU have let go, rather than giving it back and asking for it anew.

    The system clears what it hands out, which takes a quarter of a training step. It is glibc's allocator that is
    told; elsewhere nothing is done.
    """
    allocator = ctypes.CDLL(None) if device.type == "cpu" and sys.platform == "linux" else None
    if not hasattr(allocator, "mallopt"):
        yield
        return
    allocator.mallopt(MMAP_MAX, 0)
    allocator.mallopt(TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        allocator.mallopt(MMAP_MAX, 2**16)
        allocator.mallopt(TRIM_THRESHOLD, 2**17)
        allocator.malloc_trim(0)
