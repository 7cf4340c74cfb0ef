"""What one recording looks like, in numbers.

Axes: A individuals, T frames, K keypoints, d coordinates.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from bams.recordings.body_length import body_length, median
from bams.recordings.recording import Recording

JUMP = 1.0  # body lengths in one frame
QUANTILES = (0.05, 0.5, 0.95)
TRAVEL_QUANTILE = 0.9  # not the median, as an animal may rest for most of a recording
SWAP_NEARER = 0.5  # of the distance to where the animal was itself
SWAP_LEAST = 0.25  # body lengths from where it was


@dataclass(frozen=True)
class RecordingReport:
    """What one recording looks like."""

    name: str
    individuals: list[str]
    keypoint_names: list[str]
    fps: float | None
    frames: int  # T
    dims: int  # d
    tracked: np.ndarray  # (A, K) float, share of the frames
    longest_gap: np.ndarray  # (A, K) int, most frames in a row that are not tracked
    steps: np.ndarray  # (K,) int, pairs of consecutive frames with the keypoint tracked in both, over all individuals
    jumps: np.ndarray  # (K,) int, steps longer than a body
    travel: np.ndarray  # (K,) float, body lengths, see `_travel`; NaN = never tracked
    body_length: float  # in the tracker's unit, see `bams.recordings.body_length`; NaN = not known
    confidence: np.ndarray  # (3, K) float, 5th, 50th and 95th percentiles; NaN = not given
    swaps: int  # frames at which two individuals seem to have changed places


def measure(recording: Recording) -> RecordingReport:
    """Measure one recording of keypoints."""
    keypoints, count = recording.keypoints, len(recording.keypoint_names)
    seen = np.isfinite(keypoints).all(axis=-1)
    length = body_length(keypoints)
    far = np.linalg.norm(np.diff(keypoints.astype(float), axis=1), axis=-1) / length
    confidence = np.full((1, count), np.nan) if recording.confidence is None else recording.confidence
    return RecordingReport(
        name=recording.name,
        individuals=list(recording.individuals),
        keypoint_names=list(recording.keypoint_names),
        fps=recording.fps,
        frames=keypoints.shape[1],
        dims=keypoints.shape[-1],
        tracked=seen.mean(axis=1),
        longest_gap=longest_gaps(seen),
        steps=(seen[:, 1:] & seen[:, :-1]).sum(axis=(0, 1)),
        jumps=(far > JUMP).sum(axis=(0, 1)),
        travel=_travel(keypoints) / length,
        body_length=length,
        confidence=_quantiles(confidence.reshape(-1, count)),
        swaps=len(suspected_swaps(keypoints, length)),
    )


def longest_gaps(seen: np.ndarray) -> np.ndarray:
    """Most frames in a row that are not tracked: seen (A, T, K) bool, True = tracked -> (A, K) int."""
    frame = np.arange(1, seen.shape[1] + 1)[None, :, None]
    last = np.maximum.accumulate(np.where(seen, frame, 0), axis=1)
    return (frame - last).max(axis=1)


def suspected_swaps(keypoints: np.ndarray, length: float) -> np.ndarray:
    """Frames, sorted, at which two individuals seem to have changed places since the frame before.

    Each is less than half as far from where the other was as from where it was itself, and that is at least a quarter
    of a body `length` (NaN: no frame is found). Distances are means over the keypoints that both have in both frames.
    """
    there = np.isfinite(keypoints).all(axis=-1).any(axis=-1)
    found = np.zeros(keypoints.shape[1], bool)
    for i, j in combinations(range(len(keypoints)), 2):
        if (there[i] & there[j]).any():  # there may be many tracklets, but few at the same time
            pair = keypoints[[i, j]].astype(float)
            stayed, crossed = _mean_moves(pair, pair), _mean_moves(pair, pair[::-1])
            swapped = (crossed < SWAP_NEARER * stayed) & (stayed > SWAP_LEAST * length)
            found[1:] |= swapped.all(axis=0)
    return np.flatnonzero(found)


def _mean_moves(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Mean distances (2, T - 1) of two animals to places in the frame before, over keypoints known in all four."""
    far = np.linalg.norm(now[:, 1:] - before[:, :-1], axis=-1)
    known = np.isfinite(far).all(axis=0)
    mean = np.where(known, far, 0).sum(axis=-1) / np.maximum(known.sum(axis=-1), 1)
    return np.where(known.any(axis=-1), mean, np.nan)


def _travel(keypoints: np.ndarray) -> np.ndarray:
    """90th percentile of the distance of each keypoint from its median place, (K,), for whichever animal moves most."""
    distances = [np.linalg.norm(track - median(track), axis=-1) for track in keypoints.astype(float)]
    return np.fmax.reduce([_quantiles(far, TRAVEL_QUANTILE) for far in distances])


def _quantiles(values: np.ndarray, quantiles: float | tuple[float, ...] = QUANTILES) -> np.ndarray:
    """Quantiles over the known rows of (n, K); NaN where no row is known."""
    known = np.isfinite(values).any(axis=0)
    found = np.nanquantile(np.where(known, values, 0), quantiles, axis=0)
    return np.where(known, found, np.nan)
