"""How long the animals of recordings are, robust to gaps and to jumps of the tracker."""

import numpy as np

MOST_FRAMES = 2000  # this many frames, evenly spaced, give medians as good as all
LEAST_TOGETHER = 0.1  # pairs that are seen together in fewer frames than this share of the best pair's tell little


def body_length(keypoints: np.ndarray) -> float:
    """Distance between the two keypoints that are usually farthest apart, in the unit of keypoints (..., K, d).

    This is the largest, over pairs of keypoints, of the median distance over all animals and frames in which both are
    tracked; NaN where no two keypoints are ever tracked at once, or all lie in one place.
    """
    frames = sample(keypoints, 2, MOST_FRAMES)
    first, second = np.triu_indices(frames.shape[1], 1)
    if not len(frames) or not len(first):
        return float("nan")
    apart = np.linalg.norm(frames[:, first] - frames[:, second], axis=-1)
    together = np.isfinite(apart).sum(axis=0)
    kept = together >= max(1.0, LEAST_TOGETHER * together.max())
    length = float(np.nanmedian(apart[:, kept], axis=0).max())
    return length if length > 0 else float("nan")


def sample(keypoints: np.ndarray, least: int, most: int) -> np.ndarray:
    """At most `most` frames (n, K, d), evenly spaced among those of (..., K, d) with `least` keypoints tracked."""
    frames = keypoints.reshape(-1, *keypoints.shape[-2:])
    seen = np.isfinite(frames).all(axis=-1)
    enough = np.flatnonzero(seen.sum(axis=1) >= least)
    chosen = enough[np.linspace(0, len(enough) - 1, min(most, len(enough))).round().astype(int)]
    return np.where(seen[chosen, :, None], frames[chosen].astype(float), np.nan)


def median(values: np.ndarray) -> np.ndarray:
    """Median of the finite values over the first axis; NaN where there is none, without numpy's warning."""
    known = np.isfinite(values).any(axis=0)
    found = np.nanmedian(np.where(known, values, 0), axis=0) if len(values) else np.nan
    return np.where(known, found, np.nan)
