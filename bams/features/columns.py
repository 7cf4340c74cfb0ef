"""Features as arrays whose columns have names."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from bams.features.gaps import with_axes_of


class Features(NamedTuple):
    """Inputs and actions of N tracks.

    Attributes:
        inputs: (N, T, F) float32, the caller's units; NaN = not known (before the first observation).
        actions: (N, T, D) float32, the action from frame t-1 to frame t; 0 where not valid.
        valid: (N, T, D) bool, True = observed at every frame that the action uses.
        input_names, action_names: F and D names.
    """

    inputs: np.ndarray
    actions: np.ndarray
    valid: np.ndarray
    input_names: tuple[str, ...]
    action_names: tuple[str, ...]


class Columns(NamedTuple):
    """Some features: n names; values (N, T, ...) with n numbers per frame; for actions, `valid` as in `difference`."""

    names: Sequence[str]
    values: np.ndarray
    valid: np.ndarray | None = None


def join(inputs: Sequence[Columns], actions: Sequence[Columns]) -> Features:
    """Put all inputs side by side, and all actions; actions that are not valid become 0."""
    values = _side_by_side([part.values for part in actions], np.float32)
    valids = [np.broadcast_to(with_axes_of(part.values, part.valid), part.values.shape) for part in actions]
    valid = _side_by_side(valids, bool)
    return Features(
        _side_by_side([part.values for part in inputs], np.float32),
        np.where(valid, values, np.float32(0)),
        valid,
        tuple(name for part in inputs for name in part.names),
        tuple(name for part in actions for name in part.names),
    )


def names_of(keypoints: np.ndarray, names: Sequence[str] | None) -> list[str]:
    """The names of K keypoints (..., K, d): keypoint0, ... unless given; ValueError unless there are K."""
    count = keypoints.shape[-2]
    names = list(names or (f"keypoint{i}" for i in range(count)))
    if len(names) != count:
        raise ValueError(f"there are {len(names)} names for {count} keypoints")
    return names


def by_axis(names: Iterable[str], dims: int, ending: str) -> list[str]:
    """The names of the coordinates of keypoints: NAME_x_ENDING, NAME_y_ENDING, ..."""
    return [f"{name}_{axis}_{ending}" for name in names for axis in "xyz"[:dims]]


def _side_by_side(parts: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([part.reshape(*part.shape[:2], -1) for part in parts], axis=-1, dtype=dtype)
