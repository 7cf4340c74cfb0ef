"""How many threads to compute with, on a machine that other programs may use too.

Threads that wait for a core hold up all others: with a load of 5 on 2 cores, two threads take several times as long as
one.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import joblib
import torch


@contextmanager
def using_threads(asked: int = 0) -> Iterator[int]:
    """Let torch compute with this number of threads, 0 = choose it; gives the number, and goes back to the usual one.

    If it is chosen, and smaller than usual, stderr says so.
    """
    usual = torch.get_num_threads()
    torch.set_num_threads(asked or _chosen(usual))
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(usual)


def set_threads(asked: int = 0) -> int:
    """As `using_threads`, to the end of the process."""
    torch.set_num_threads(asked or _chosen(torch.get_num_threads()))
    return torch.get_num_threads()


def _chosen(usual: int) -> int:
    cores, allowed, load = os.cpu_count() or 1, joblib.cpu_count(), cores_in_use()
    threads = choose_threads(usual, cores, allowed, load, os.environ)
    if threads < usual:
        found = f"of {cores} cores, this process may use {allowed}, and other programs use {load:.1f}"
        print(f"computing with {threads} of {usual} threads: {found}; --threads sets another number", file=sys.stderr)
    return threads


def choose_threads(usual: int, cores: int, allowed: int, load: float, environment: Mapping[str, str]) -> int:
    """Threads to compute with, at most the usual number, and at least 1.

    Args:
        usual: what torch takes; it holds if OMP_NUM_THREADS is set.
        cores: of the machine, of which other programs use `load`.
        allowed: cores that this process may use, by its affinity and quota.
        environment: SLURM_CPUS_PER_TASK are reserved, whatever others do; LOCAL_WORLD_SIZE processes share the cores.
    """
    if environment.get("OMP_NUM_THREADS"):
        return usual
    reserved = environment.get("SLURM_CPUS_PER_TASK", "")
    free = int(reserved) if reserved.isdecimal() else round(cores - load)
    processes = int(environment.get("LOCAL_WORLD_SIZE", "1"))
    return max(min(usual, min(free, allowed) // processes), 1)


def cores_in_use() -> float:
    """Cores that other programs want: the mean of the last minute, or fewer if some have ended since."""
    try:
        mean, _, _, running, _ = Path("/proc/loadavg").read_text().split()
        return min(float(mean), int(running.split("/")[0]) - 1)  # this program is running too
    except (OSError, ValueError):
        return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
