"""Features without knowledge of the skeleton: any time series, raw keypoints."""

import numpy as np

from bams.features.columns import Features
from bams.features.geometry import difference, fill_gaps, observed


def series_features(series: np.ndarray) -> Features:
    """Features of any time series (N, T, F), NaN = missing: held value, change, observed; actions = change."""
    _, _, size = series.shape
    seen = np.isfinite(series)
    change, valid = difference(series.astype(np.float32, copy=False), seen)
    inputs = np.concatenate([fill_gaps(series, seen), change, seen], axis=-1, dtype=np.float32)
    names = tuple(f"feature{i}" for i in range(size))
    changes = tuple(f"{name}_change" for name in names)
    return Features(inputs, change, valid, (*names, *changes, *(f"{n}_observed" for n in names)), changes)


def keypoint_features(keypoints: np.ndarray, names: tuple[str, ...] | None = None) -> Features:
    """Features of any skeleton, without hand-work.

    Inputs: the body's centre, each keypoint relative to it, each keypoint's displacement, and whether each
    was observed. Actions: each keypoint's displacement, coordinate by coordinate.

    Args:
        keypoints: (N, T, K, d) float32, any unit; NaN = not tracked.
        names: K names of the keypoints; keypoint0, ... unless given.
    """
    tracks, frames, count, dims = keypoints.shape
    seen = observed(keypoints)
    held = fill_gaps(keypoints, seen)
    known = np.isfinite(held)
    centre = np.where(known, held, 0).sum(axis=2) / np.maximum(known.sum(axis=2), 1)
    centre = np.where(known.any(axis=2), centre, np.nan).astype(np.float32)
    moved, valid = difference(keypoints, seen)
    flat = (tracks, frames, count * dims)
    relative = (held - centre[:, :, None]).reshape(flat)
    inputs = np.concatenate([centre, relative, moved.reshape(flat), seen], axis=-1, dtype=np.float32)

    names = tuple(names or (f"keypoint{i}" for i in range(count)))
    if len(names) != count:
        raise ValueError(f"there are {len(names)} names for {count} keypoints")
    coordinates = tuple(f"{name}_{axis}" for name in names for axis in "xyz"[:dims])
    actions = tuple(f"{name}_moved" for name in coordinates)
    input_names = (
        *(f"centre_{axis}" for axis in "xyz"[:dims]),
        *(f"{name}_relative" for name in coordinates),
        *actions,
        *(f"{name}_observed" for name in names),
    )
    return Features(inputs, moved.reshape(flat), np.repeat(valid, dims, axis=-1), input_names, actions)
