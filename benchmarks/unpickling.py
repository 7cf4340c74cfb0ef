"""Cost of reading MABe files safely: bams compared with numpy's own reader, which can run code from the file.

    python -m benchmarks.unpickling                     about 20 seconds

Writes a sequences file of random whole numbers. Prints the median seconds of both readers, which take turns, their
ratio, and the peak memory of each in a process of its own, relative to the size of the file.
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
    """Write random clips, with numpy.save as in the public files, or with this library."""
    rng = np.random.default_rng(0)
    content = {"sequences": {f"clip{i}": {"keypoints": rng.integers(0, 850, SHAPE)} for i in range(clips)}}
    if numpy_itself:
        np.save(path, content)
    else:
        files.write_pickled_dict(path, content)


def read_carelessly(path: Path) -> dict[str, Any]:
    """Read with numpy's own reader."""
    return np.load(path, allow_pickle=True).item()


def seconds(read: Callable[[Path], Any], path: Path) -> float:
    """Processor seconds to read once, without freeing the arrays."""
    begun = time.process_time()
    content = read(path)
    spent = time.process_time() - begun
    del content
    return spent


def _peak() -> int:
    """Peak bytes of this process alone, which only Linux tells."""
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def _measure_peak(read: Callable[[Path], Any], path: Path, connection: Connection) -> None:
    before = _peak()
    content = read(path)
    connection.send(_peak() - before)
    del content


def peak_memory(read: Callable[[Path], Any], path: Path) -> int:
    """Bytes by which the peak memory of a new process grows while it reads."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_measure_peak, args=(read, path, there))
    process.start()
    found = here.recv()
    process.join()
    return found


def main() -> None:
    """Print times and memory for files of both writers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--runs", type=int, default=5, help="runs of each reader; the median is printed")
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
