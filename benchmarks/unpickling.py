"""What reading a file of MABe with care costs: bams against numpy's own reader, which would run code.

    python -m benchmarks.unpickling                     about 20 seconds

Simulates a sequences file (random whole numbers of mice), prints the median seconds of both readers, taken by
turns, their ratio, and the memory that each takes at most in a process of its own, relative to the file's size.
"""

import argparse
import multiprocessing
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from bams.storage import files

SHAPE = (1800, 3, 12, 2)  # frames, mice, keypoints, coordinates


def write_sequences(path: Path, clips: int, numpy_itself: bool) -> None:
    """Random clips, by numpy.save as in the public files, or as this library writes them."""
    rng = np.random.default_rng(0)
    content = {"sequences": {f"clip{i}": {"keypoints": rng.integers(0, 850, SHAPE)} for i in range(clips)}}
    if numpy_itself:
        np.save(path, content)
    else:
        files.write_pickled_dict(path, content)


def read_carelessly(path: Path) -> dict[str, Any]:
    """By numpy's own reader."""
    return np.load(path, allow_pickle=True).item()


def seconds(read: Callable[[Path], Any], path: Path) -> float:
    """Of the processor, to read once; letting go of the arrays does not count."""
    begun = time.process_time()
    content = read(path)
    spent = time.process_time() - begun
    del content
    return spent


def _peak() -> int:
    """Bytes; Linux alone tells of this process without the one that started it."""
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def _measure_peak(read: Callable[[Path], Any], path: Path, connection: Connection) -> None:
    before = _peak()
    content = read(path)
    connection.send(_peak() - before)
    del content


def peak_memory(read: Callable[[Path], Any], path: Path) -> int:
    """Bytes that a new process takes at most while it reads, beyond those that it had."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_measure_peak, args=(read, path, there))
    process.start()
    found = here.recv()
    process.join()
    return found


def main() -> None:
    """Print both, of files by either writer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--runs", type=int, default=5, help="of each reader; the median counts")
    options = parser.parse_args()
    for writer in ("numpy.save", "bams"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sequences.npy"
            write_sequences(path, options.clips, writer == "numpy.save")
            size = path.stat().st_size
            readers = (files.read_pickled_dict, read_carelessly)
            found = [[seconds(read, path) for read in readers] for _ in range(options.runs)]
            ours, numpys = (statistics.median(column) for column in zip(*found, strict=True))
            peaks = [peak_memory(read, path) / size for read in readers]
        print(f"{options.clips} clips, {size / 2**20:.0f} MiB, written by {writer}:")
        print(f"    seconds: bams {ours:.3f}, numpy {numpys:.3f}, ratio {ours / numpys:.2f}")
        print(f"    peak memory, of the file's size: bams {peaks[0]:.2f}, numpy {peaks[1]:.2f}")


if __name__ == "__main__":
    main()
