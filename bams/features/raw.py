"""Raw features: values and their changes, in the axes of the recording."""

from collections.abc import Sequence

import numpy as np

from bams.features.columns import Columns, Features, by_axis, join, names_of
from bams.features.gaps import difference, fill_gaps, observed
from bams.features.geometry import centre_of


def series_features(series: np.ndarray) -> Features:
    """Features of any time series (N, T, F), NaN = missing.

    Inputs: each value, held over gaps; its change; whether it was observed. Actions: the changes.
    """
    names = [f"feature{i}" for i in range(series.shape[-1])]
    seen = np.isfinite(series)
    change = Columns([f"{name}_change" for name in names], *difference(series.astype(np.float32, copy=False), seen))
    observations = Columns([f"{name}_observed" for name in names], seen)
    return join([Columns(names, fill_gaps(series, seen)), change, observations], [change])


def keypoint_features(keypoints: np.ndarray, names: Sequence[str] | None = None) -> Features:
    """Features of any skeleton, each animal on its own, from keypoints (N, T, K, d) float32, NaN = not tracked.

    Inputs: the body's centre; each keypoint relative to it; each keypoint's displacement; whether each keypoint was
    observed. Actions: the displacements, coordinate by coordinate.
    """
    names, dims = names_of(keypoints, names), keypoints.shape[-1]
    seen = observed(keypoints)
    held = fill_gaps(keypoints, seen)
    centre = centre_of(held, np.float32)
    displacement = Columns(by_axis(names, dims, "moved"), *difference(keypoints, seen))
    inputs = [
        Columns([f"centre_{axis}" for axis in "xyz"[:dims]], centre),
        Columns(by_axis(names, dims, "relative"), held - centre[:, :, None]),
        displacement,
        Columns([f"{name}_observed" for name in names], seen),
    ]
    return join(inputs, [displacement])
