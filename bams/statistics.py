"""What is fitted on the training tracks: the scale of the inputs, and the bins of the actions."""

from dataclasses import dataclass

import numpy as np

SAMPLED_FRAMES = 1_000_000  # with more frames the percentiles hardly change
EDGE_PERCENTILES = (0.5, 99.5)
OFF_GRID = 0.0382  # of a bin: edges are shifted down, so that they miss whole pixels, where rounding would decide


@dataclass(frozen=True)
class Statistics:
    """What is fitted on the training tracks, and kept in the checkpoint."""

    centre: np.ndarray  # (F,) float32, median of each input feature, in its unit
    scale: np.ndarray  # (F,) float32, half of its 1-99 percentile range; where that is 0 the standard deviation, else 1
    edges: np.ndarray  # (D, Q-1) float32, bin edges of each action feature, in its unit; q edges are at or below bin q
    counts: np.ndarray  # (D, Q) int64, valid frames in each bin

    @property
    def bins(self) -> int:
        """Q."""
        return self.counts.shape[1]


def known_inputs(inputs: np.ndarray, statistics: Statistics) -> np.ndarray:
    """Inputs (..., F) float32 with the centre in place of NaN; ValueError unless the statistics have F features."""
    if inputs.shape[-1] != len(statistics.centre):
        counts = f"{inputs.shape[-1]} input features, the statistics are for {len(statistics.centre)}"
        raise ValueError(f"the data give {counts}: use recordings with the same keypoints as in training")
    return np.where(np.isnan(inputs), statistics.centre, inputs)


def fit_statistics(inputs: np.ndarray, targets: np.ndarray, valid: np.ndarray, bins: int) -> Statistics:
    """Fit centre, scale and bins on valid frames, robust to tracker jumps.

    `inputs` are (frames, F) float32, NaN = not known; `targets` (frames, D) float32; `valid` (frames, D) bool.
    ValueError if no action is valid anywhere.
    """
    rows = np.flatnonzero(valid.any(axis=1))
    if not rows.size:
        hint = "is everything missing, or one frame long?"
        raise ValueError(f"no action is valid in any frame: nothing to learn from ({hint})")
    if rows.size > SAMPLED_FRAMES:
        rows = np.sort(np.random.default_rng(0).choice(rows, SAMPLED_FRAMES, replace=False))
    centre, scale = zip(*(_robust_scale(column[np.isfinite(column)]) for column in inputs[rows].T), strict=True)
    targets, known = targets[rows], valid[rows].T
    edges = np.stack([_edges(column[some], bins) for column, some in zip(targets.T, known, strict=True)])
    found = zip(quantise(targets, edges).T, known, strict=True)
    counts = np.stack([np.bincount(column[some], minlength=bins) for column, some in found])
    return Statistics(np.float32(centre), np.float32(scale), edges, counts.astype(np.int64))


def quantise(targets: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Bins of action features: (frames, D) float32 and edges (D, Q-1) -> (frames, D) uint8; NaN -> 0."""
    if targets.shape[1] != len(edges):
        raise ValueError(f"there are {targets.shape[1]} action features; the statistics are for {len(edges)}")
    bins = np.empty(targets.shape, np.uint8)
    for column, edge in enumerate(edges):
        bins[:, column] = np.searchsorted(edge, np.nan_to_num(targets[:, column]), side="right")
    return bins


def _robust_scale(values: np.ndarray) -> tuple[float, float]:
    if values.size == 0:
        return 0.0, 1.0
    low, centre, high = np.percentile(values, (1, 50, 99))
    return centre, (high - low) / 2 or values.std(dtype=np.float64) or 1.0


def _edges(values: np.ndarray, bins: int) -> np.ndarray:
    if values.size == 0:
        return np.zeros(bins - 1, np.float32)
    low, high = np.percentile(values, EDGE_PERCENTILES)
    if bins == 2:
        return np.float32([(low + high) / 2])
    shift = OFF_GRID * (high - low) / (bins - 2)
    return (np.linspace(low, high, bins - 1) - shift).astype(np.float32)
