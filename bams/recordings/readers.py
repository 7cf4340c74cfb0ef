"""What the readers of tracker files share: optional packages, sizes that fit the file, frames by their number.

Errors tell of the file as "it"; `bams.poses` puts the path before them.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bams.storage.arrays import check_size
from bams.storage.files import optional

if TYPE_CHECKING:
    import h5py


@contextmanager
def open_hdf5(path: Path) -> Iterator["h5py.File"]:
    """An HDF5 file, none of whose arrays is larger than its file allows.

    Raises:
        ImportError: h5py is not installed.
        OSError, ValueError: it is damaged, or declares absurd sizes.
    """
    h5py = optional("h5py")

    def check(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape:
            check_size(item.shape, path, item.dtype.itemsize)

    with h5py.File(path, "r") as file:
        file.visititems(check)
        yield file


def as_text(value: Any) -> str:
    """Text of an HDF5 file, stored as bytes or as text."""
    value = value.item() if isinstance(value, np.ndarray | np.generic) and value.ndim == 0 else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def as_names(values: Any) -> list[str]:
    """Names in an HDF5 file, as text."""
    return [as_text(value).strip() for value in np.asarray(values).reshape(-1)]


def json_names(attribute: Any) -> tuple[str, ...]:
    """Names in an attribute that holds them as a JSON list; empty if it does not."""
    try:
        names = json.loads(as_text(attribute))
    except ValueError:
        return ()
    return tuple(map(str, names)) if isinstance(names, list) else ()


def by_frame(numbers: np.ndarray, values: np.ndarray, path: Path | None) -> tuple[int, np.ndarray]:
    """Rows on all frames from the first to the last; NaN where the file has no row.

    Args:
        numbers: (R,) whole numbers of the rows' frames, in any order.
        values: (R, ...) float32.
        path: of the file, whose size limits that of the result.

    Returns:
        the first frame's number, and (T, ...) float32.

    Raises:
        ValueError: there is no row, a number is no frame's or stands twice, or they span too much.
    """
    numbers = np.asarray(numbers)
    if numbers.size == 0:
        raise ValueError("it holds no frame")
    wrong = ~np.isfinite(numbers) | (numbers != np.round(numbers)) | (numbers < 0) | (numbers > 2**53)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(f"row {row} has the frame number {numbers[row]}; these must be whole, from 0 on")
    rows = numbers.astype(np.int64)
    found, counts = np.unique(rows, return_counts=True)
    if len(found) < len(rows):
        raise ValueError(f"frame {found[counts > 1][0]} stands in it {counts.max()} times")
    first, last = int(found[0]), int(found[-1])
    if last - first == len(rows) - 1 and (np.diff(rows) == 1).all():
        return first, values
    check_size((last - first + 1, *values.shape[1:]), path)
    spread = np.full((last - first + 1, *values.shape[1:]), np.nan, np.float32)
    spread[rows - first] = values
    return first, spread


def as_float32(values: np.ndarray) -> np.ndarray:
    """Numbers as float32; what that cannot hold becomes infinite, and is refused later.

    Raises:
        ValueError: these are not numbers.
    """
    values = np.asarray(values)
    if values.dtype.kind not in "fiub":
        raise ValueError(f"its coordinates are of type {values.dtype}, not numbers")
    with np.errstate(over="ignore", invalid="ignore"):  # and NaN that signal become those that do not
        return values.astype(np.float32, copy=False)
