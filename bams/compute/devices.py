"""The device to compute on, its precision, and its memory."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import joblib
import torch

MMAP_MAX, TRIM_THRESHOLD = -4, -1  # of glibc's mallopt


def pick_device(name: str) -> torch.device:
    """A device by name; 'auto' is the first of cuda, mps and cpu. ValueError: this machine has no such device."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device).tolist()  # the device 'meta', for one, holds no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"device {name!r} is not usable here; choose auto or cpu") from error
    return device


def pick_precision(name: str, device: torch.device) -> str:
    """The precision to train in; 'auto' is bfloat16 where the device has instructions for it, else float32."""
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    found = torch.cpu.get_capabilities() if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities") else {}
    return "bfloat16" if found.get("avx512_bf16") or found.get("amx_bf16") else "float32"


def pick_workers(count: int, processes: int = 1) -> int:
    """Number of processes that load batches; -1 is up to 4 for a GPU, and 0 for a CPU, which they would slow down."""
    if count >= 0:
        return count
    return min(4, (joblib.cpu_count() - 1) // processes) if torch.cuda.is_available() else 0


@contextmanager
def own_draws(device: torch.device | None = None, seed: int | None = None) -> Iterator[None]:
    """Give torch's global generators back as they were, that of the CPU and with a GPU as `device` those of all GPUs.

    The draws in the block begin at `seed`, if it is given.
    """
    gpus = range(torch.cuda.device_count()) if device is not None and device.type == "cuda" else ()
    with torch.random.fork_rng(gpus):
        if seed is not None:
            seed_draws(device, seed)
        yield


def seed_draws(device: torch.device | None, seed: int) -> None:
    """Seed torch's global generator of the CPU alone, or with another device those of all."""
    (torch.default_generator if device is None or device.type == "cpu" else torch).manual_seed(seed)


def is_out_of_memory(error: Exception) -> bool:
    """Whether a GPU or the machine ran out of memory."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


@contextmanager
def keeping_freed_memory(device: torch.device) -> Iterator[None]:
    """Let glibc keep the memory of freed tensors on a CPU; clearing new memory takes a quarter of a training step."""
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
