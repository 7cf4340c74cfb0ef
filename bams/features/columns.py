"""Named columns of features, and the distances between animals that may be among them."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Features(NamedTuple):
    """What `Dataset` takes, with names.

    Attributes:
        inputs: (N, T, F) float32, the caller's units; NaN = not known yet (before the first sight).
        actions: (N, T, D) float32, change up to t per frame; 0 where not valid.
        valid: (N, T, D) bool, True = observed at every frame the action uses.
        input_names, action_names: F and D names.
    """

    inputs: np.ndarray
    actions: np.ndarray
    valid: np.ndarray
    input_names: tuple[str, ...]
    action_names: tuple[str, ...]


class Group(NamedTuple):
    """Features of a kind: values (A, T, n) float32, where valid (A, T, n) bool, and n names."""

    values: np.ndarray
    valid: np.ndarray
    names: list[str]


@dataclass(frozen=True)
class Nearest:
    """Distances between points of an animal and points of the nearest other animal, as features.

    Attributes:
        points: names of the keypoints between which all distances are inputs.
        predict: which of these are actions, P a point of the animal and Q one of the other: P-Q_distance;
            P-Q_closeness, the logarithm of the distance, in which small distances differ as much as large ones;
            P-Q_approach, the change of the distance.
    """

    points: tuple[str, ...]
    predict: tuple[str, ...]
