"""Features and quantised actions of all tracks, one after the other, in memory or in mapped files.

Axes: N tracks, frames of all tracks, F input features, D action features.
"""

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from bams.compute import distributed
from bams.statistics import Statistics, fit_statistics, quantise
from bams.storage import files
from bams.storage.locks import claimed

ROWS_AT_ONCE = 2**17
Kept = TypeVar("Kept")


class Track(NamedTuple):
    """Features of one track: inputs (T, F) and targets (T, D) float32, valid (T, D) bool; NaN = not known."""

    inputs: np.ndarray
    targets: np.ndarray
    valid: np.ndarray


class Table(NamedTuple):
    """What a data set is cut from."""

    inputs: np.ndarray  # (frames, F) float32, unscaled, finite
    actions: np.ndarray  # (frames, D) uint8, bins
    valid: np.ndarray  # (frames, D) bool
    lengths: np.ndarray  # (N,) int64, frames of each track
    statistics: Statistics  # of the training tracks


def build_table(
    tracks: Iterable[Track], *, bins: int, statistics: Statistics | None = None, folder: Path | None = None
) -> Table:
    """Join tracks that come one by one; with a folder, their features go to `.npy` files and are never all in memory.

    Statistics with this number of bins are fitted unless given. ValueError if nothing is valid, or the statistics are
    of other features.
    """
    columns = [_Column(folder, name) for name in ("inputs", "targets", "valid", "actions")]
    lengths = []
    for track in tracks:
        inputs, actions = track.inputs.shape[1], track.targets.shape[1]
        if statistics is not None and (inputs, actions) != (statistics.centre.size, len(statistics.edges)):
            raise ValueError(
                f"the data give {inputs} input and {actions} action features, the statistics are for "
                f"{statistics.centre.size} and {len(statistics.edges)}: use recordings with the same keypoints as in "
                "training"
            )
        lengths.append(len(track.inputs))
        for column, rows in zip(columns, track, strict=False):
            column.append(rows)
    inputs, targets, valid = (column.finish() for column in columns[:3])
    statistics = statistics or fit_statistics(inputs, targets, valid, bins)
    for first in range(0, len(inputs), ROWS_AT_ONCE):
        part = slice(first, first + ROWS_AT_ONCE)
        columns[3].append(quantise(targets[part], statistics.edges))
        np.copyto(inputs[part], statistics.centre, where=np.isnan(inputs[part]))
    table = Table(inputs, columns[3].finish(), valid, np.array(lengths), statistics)
    if folder is None:
        return table
    del targets
    (folder / "targets.npy").unlink()
    files.write_arrays(folder / "statistics.npz", lengths=table.lengths, **asdict(statistics))
    return read_table(folder)


def keep(folder: Path, build: Callable[[Path], Any], read: Callable[[Path], Kept]) -> Kept:
    """What `read` finds in a folder; `build` fills the folder first if it is missing, or damaged (stderr says so)."""

    def find_or_make() -> Kept:
        with suppress(Exception):  # damaged files may raise anything
            return read(folder)
        with claimed(folder, wait=True):
            try:
                return read(folder)  # another process may have made it in the meantime
            except Exception as error:
                if folder.exists():
                    print(f"{folder} is damaged ({files.short(error)}) and made anew", file=sys.stderr)
            with files.whole_folder(folder) as part:
                build(part)
            return read(folder)

    return distributed.first_alone(find_or_make)


def read_table(folder: Path) -> Table:
    """The table that `build_table` wrote, its arrays mapped from their files; damaged files raise any error."""
    found = files.read_arrays(folder / "statistics.npz")
    lengths, statistics = found.pop("lengths"), Statistics(**found)
    inputs, actions, valid = (read_mapped(folder / f"{name}.npy") for name in ("inputs", "actions", "valid"))
    rows, width = lengths.sum(), len(statistics.edges)
    if (inputs.shape, actions.shape, valid.shape) != ((rows, statistics.centre.size), (rows, width), (rows, width)):
        raise ValueError("its arrays do not have the axes of the tracks and features")
    return Table(inputs, actions, valid, lengths, statistics)


def read_mapped(path: Path) -> np.ndarray:
    """The array of an `.npy` file, mapped copy-on-write, as torch wants writable memory."""
    return np.load(path, mmap_mode="c")


class _Column:
    """An array that grows by rows: in memory, or in FOLDER/NAME.npy."""

    def __init__(self, folder: Path | None, name: str):
        self.path = None if folder is None else folder / f"{name}.npy"
        self.file = None if folder is None else self.path.open("wb")
        self.rows, self.count, self.kept = None, 0, []

    def append(self, rows: np.ndarray) -> None:
        """Add rows, all of the same width and kind."""
        if self.file is None:
            self.kept.append(rows)
            return
        if self.rows is None:
            self.rows = rows[:0]
            self._write_header()
        self.file.write(memoryview(np.ascontiguousarray(rows)).cast("B"))
        self.count += len(rows)

    def finish(self) -> np.ndarray:
        """All rows, writable."""
        if self.file is None:
            joined, self.kept = np.concatenate(self.kept), []
            return joined
        self.file.seek(0)
        self._write_header()
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        return np.load(self.path, mmap_mode="r+")

    def _write_header(self) -> None:
        """numpy leaves room in the header for a larger number of rows."""
        header = {"descr": self.rows.dtype.str, "fortran_order": False, "shape": (self.count, self.rows.shape[1])}
        np.lib.format.write_array_header_1_0(self.file, header)
