"""The rows, numbers and names in trackers' files."""

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from bams.storage.arrays import check_size


def by_frame(
    numbers: np.ndarray, values: np.ndarray, path: Path | None, lines: np.ndarray | None = None
) -> tuple[int, np.ndarray]:
    """The number of the first frame, and rows (R, ...) as frames (T, ...) float32; NaN in frames without a row.

    `numbers` (R,) are the frame numbers of the rows, in any order, and `lines` (R,) what messages call the rows: their
    place in the file, without which it is their index. The size of the file limits that of the result.
    """
    frames = as_frames(numbers, lines)
    check_rows(frames, np.zeros_like(frames), lines)
    if (np.diff(frames) < 0).any():
        print(
            f"{path or 'dataset'}: its rows are not in the order of their frame numbers; they are sorted by them",
            file=sys.stderr,
        )
    first = int(frames.min())
    shape = (int(frames.max()) - first + 1, *values.shape[1:])
    check_size(shape, path)
    spread = np.full(shape, np.nan, np.float32)
    spread[frames - first] = values
    return first, spread


def as_frames(numbers: np.ndarray, lines: np.ndarray | None = None) -> np.ndarray:
    """Frame numbers as int64; ValueError if there is none, or one is not a whole number from 0 on."""
    if len(numbers) == 0:
        raise ValueError("it holds no frame")
    wrong = np.flatnonzero(~((numbers >= 0) & (numbers <= 2**53) & (numbers == np.round(numbers))))
    if len(wrong):
        number, line = numbers[wrong[0]], wrong[0] if lines is None else lines[wrong[0]]
        found = "no frame number" if np.isnan(number) else f"the frame number {number:.15g}"
        raise ValueError(f"row {line} has {found}; expected a whole number from 0 on")
    return numbers.astype(np.int64)


def check_rows(frames: np.ndarray, tracks: np.ndarray, lines: np.ndarray | None = None) -> None:
    """Raise ValueError if rows (R,) hold the same frame of the same track, and say whether recordings are joined."""
    lines = np.arange(len(frames)) if lines is None else lines
    order = np.lexsort((frames, tracks))
    again = (np.diff(frames[order]) == 0) & (np.diff(tracks[order]) == 0)
    if again.any():
        later = int(order[1:][again].min())
        first = int(np.flatnonzero((frames == frames[later]) & (tracks == tracks[later]))[0])
        said = f"rows {lines[first]} and {lines[later]} both hold frame {frames[later]}"
        joined = again.sum() > 1 and frames[later] < frames[later - 1]
        advice = "recordings follow one another in this file: split it" if joined else "delete one of them"
        raise ValueError(f"{said}; {advice}")


def by_time(times: np.ndarray, fps: float | None = None) -> tuple[np.ndarray, float]:
    """Frames (T,) from 0 on for times in seconds, and the rate, which follows from the times unless given."""
    steps = np.diff(times)
    if steps.min() <= 0:
        raise ValueError("its times do not increase")
    step = steps[steps < 1.5 * steps.min()].mean()  # of one frame; longer steps go over frames that are left out
    passed = np.rint(steps / step)
    if (np.abs(steps / step - passed) > 0.25).any():
        raise ValueError("its times are not evenly spaced; interpolate them to a constant rate")
    rate = float(passed.sum() / (times[-1] - times[0]))
    if fps is not None and not np.isclose(rate, fps, rtol=0.01):
        raise ValueError(f"its fps says {fps:g} and its times {rate:g}; correct one of them")
    return np.concatenate([[0], np.cumsum(passed)]), fps or float(f"{rate:.6g}")


def as_float32(values: np.ndarray) -> np.ndarray:
    """Numbers as float32; those that float32 cannot hold become infinite. Raises ValueError for other types."""
    if values.dtype.kind not in "fiub":
        raise ValueError(f"its coordinates are of type {values.dtype}, not numbers")
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(np.float32, copy=False)


def as_text(value: Any) -> str:
    """A text, which HDF5 files hold as bytes or as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def as_names(values: np.ndarray) -> list[str]:
    """The names in an array of texts."""
    return [as_text(value).strip() for value in values.reshape(-1)]


def by_number(name: str) -> list[str | int]:
    """What to sort names by so that fish2 comes before fish10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def chosen_view(names: list[str], view: str | None) -> str | None:
    """The view to take of those that a file has; None = it has none. ValueError if it does not follow."""
    if view is None and len(names) < 2:
        return names[0] if names else None
    if view in names:
        return view
    if not names:
        raise ValueError(f"it has no views, and view={view!r} is given; leave view out")
    raise ValueError(f"it has the views {', '.join(names)}; choose one with view (--view {names[0]})")
