"""What the training recordings look like, in so few numbers that a model can keep them.

Axes: A individuals, T frames, K keypoints, d coordinates, C channels of an encoder. Lengths are in body lengths.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bams.quality.shapes import align, mean_shape
from bams.recordings.body_length import body_length, median, sample
from bams.recordings.recording import Recording, check_skeleton

PARTS = 8  # fewer recordings are cut into about this number of pieces, to see how much parts differ
FRAMES_OF_SHAPE = 4000  # of all parts together
SPEED_QUANTILE = 0.95


@dataclass(frozen=True)
class TrainingSummary:
    """What recordings look like, in numbers, names and arrays that a checkpoint can keep.

    A deviation is a robust standard deviation over parts: the recordings, or pieces of them where there are few.
    """

    keypoint_names: tuple[str, ...]
    recordings: int
    parts: int
    fps: float | None  # None = not known, or recordings differ
    body_length: float  # median, in the tracker's unit; NaN = not known
    body_length_deviation: float  # of the logarithm
    shape: np.ndarray  # (K, d) float64, in no particular direction; NaN = never tracked
    spread: np.ndarray  # (K,) float64, median distance of a keypoint to its place in the shape
    shape_deviation: np.ndarray  # (K,) float64, of the keypoint's place
    speed: float  # 95th percentile of the steps of keypoints, per frame
    speed_deviation: float  # of the logarithm
    confidence: np.ndarray  # (K,) float64, median; NaN = not given
    confidence_deviation: np.ndarray
    missing: np.ndarray  # (K,) float64, share of the frames of all individuals that are ever tracked
    missing_deviation: np.ndarray
    embeddings: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)  # see `describe_embeddings`


def describe(recordings: Sequence[Recording]) -> TrainingSummary:
    """What recordings look like; raises ValueError if there is none, or their keypoints differ."""
    if not recordings:
        raise ValueError("there is no recording to describe")
    names = tuple(recordings[0].keypoint_names)
    check_skeleton(names, recordings)
    parts, given = zip(*_parts(recordings), strict=True)
    lengths = np.array([body_length(part) for part in parts])
    speeds = np.array([_speed(part) for part in parts]) / lengths
    speeds = np.where(speeds > 0, speeds, np.nan)
    logs = [_over_parts(np.log(values)) for values in (lengths, speeds)]
    length, speed = ((float(np.exp(middle)), float(deviation)) for middle, deviation in logs)
    unknown = np.full((1, len(names)), np.nan)
    confidences = [unknown if one is None else one.reshape(-1, len(names)).astype(float) for one in given]
    confidence = _over_parts(np.stack([median(one) for one in confidences]))
    missing = _over_parts(np.stack([_missing(part) for part in parts]))
    rates, shape = {recording.fps for recording in recordings}, _shape(parts, lengths)
    fps = rates.pop() if len(rates) == 1 else None
    return TrainingSummary(names, len(recordings), len(parts), fps, *length, *shape, *speed, *confidence, *missing)


def describe_embeddings(embeddings: Mapping[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Mean and standard deviation (C,) float64 over the frames of (..., C), by encoder; NaN = no frame."""
    found = {}
    for name, embedding in embeddings.items():
        frames = np.asarray(embedding, float).reshape(-1, embedding.shape[-1])
        frames = frames[np.isfinite(frames).all(axis=1)]
        empty = np.full(embedding.shape[-1], np.nan)
        found[name] = (frames.mean(axis=0), frames.std(axis=0)) if len(frames) else (empty, empty)
    return found


def _parts(recordings: Sequence[Recording]) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Keypoints and confidences of recordings, or of pieces in time if there are fewer recordings than `PARTS`."""
    cuts, found = math.ceil(PARTS / len(recordings)), []
    for one in recordings:
        edges = np.unique(np.linspace(0, one.keypoints.shape[1], cuts + 1).round().astype(int))
        for span in map(slice, edges, edges[1:]):
            found.append((one.keypoints[:, span], None if one.confidence is None else one.confidence[:, span]))
    return found


def _shape(parts: Sequence[np.ndarray], lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean shape (K, d) in body lengths, the keypoints' spread around it (K,), and the parts' deviation (K,)."""
    ever = np.any([np.isfinite(part).all(axis=-1).any(axis=(0, 1)) for part in parts], axis=0)
    least, most = max(2, math.ceil(ever.sum() / 2)), math.ceil(FRAMES_OF_SHAPE / len(parts))
    frames = [sample(p, least, most) / length for p, length in zip(parts, lengths, strict=True) if np.isfinite(length)]
    if not frames:
        unknown = np.full(parts[0].shape[-2:], np.nan)
        return unknown, unknown[:, 0], unknown[:, 0]
    shape = mean_shape(np.concatenate(frames))
    aligned = [align(some, shape) for some in frames]
    spread = median(np.linalg.norm(np.concatenate(aligned) - shape, axis=-1))
    places = align(np.stack([median(some) for some in aligned]), shape)
    return shape, spread, median(np.linalg.norm(places - shape, axis=-1))


def _speed(keypoints: np.ndarray) -> float:
    steps = np.linalg.norm(np.diff(keypoints.astype(float), axis=1), axis=-1)
    steps = steps[np.isfinite(steps)]
    return float(np.quantile(steps, SPEED_QUANTILE)) if steps.size else float("nan")


def _missing(keypoints: np.ndarray) -> np.ndarray:
    seen = np.isfinite(keypoints).all(axis=-1)
    there = seen[seen.any(axis=(1, 2))]
    return 1 - there.mean(axis=(0, 1)) if len(there) else np.ones(seen.shape[2])


def _over_parts(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and robust standard deviation over parts (for a normal distribution 1.4826 median distances)."""
    middle = median(values)
    return middle, 1.4826 * median(np.abs(values - middle))
