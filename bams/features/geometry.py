"""Geometry of keypoints: gaps, differences, angles, and from them what the network sees and predicts.

Axes: N tracks, T frames, K keypoints, d coordinates (2 or 3), F input features, D action features.
Angles are radians in (-pi, pi]. No constant here depends on the unit of the coordinates.
"""

import numpy as np

MOST_FRAMES = 2000  # so many, evenly spaced, give medians as good as all
# Pairs of keypoints seen at once in a smaller share of the frames of the best pair tell little.
LEAST_TOGETHER = 0.1


def body_length(keypoints: np.ndarray) -> float:
    """Distance between the two keypoints that are usually farthest apart.

    For each pair of keypoints the median over all animals and frames in which both are tracked; of these the
    largest. So gaps do not shorten it, and jumps, as long as a keypoint is right in half of its frames, do not
    lengthen it.

    Args:
        keypoints: (..., K, d), any unit; NaN = not tracked.

    Returns:
        length in the same unit; NaN where no two keypoints are ever tracked at once, or all lie on one another.
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
    """Frames in which at least `least` keypoints are tracked, `most` of them at most, evenly spaced.

    Args:
        keypoints: (..., K, d); NaN = not tracked.

    Returns:
        (n, K, d) float64; NaN in all coordinates = not tracked.
    """
    frames = keypoints.reshape(-1, *keypoints.shape[-2:])
    seen = np.isfinite(frames).all(axis=-1)
    enough = np.flatnonzero(seen.sum(axis=1) >= least)
    chosen = enough[np.linspace(0, len(enough) - 1, min(most, len(enough))).round().astype(int)]
    return np.where(seen[chosen, :, None], frames[chosen].astype(float), np.nan)


def median(values: np.ndarray) -> np.ndarray:
    """Median over the first axis of those that are there, NaN where there is none, without numpy's warning."""
    known = np.isfinite(values).any(axis=0)
    found = np.nanmedian(np.where(known, values, 0), axis=0) if len(values) else np.nan
    return np.where(known, found, np.nan)


def frames_present(track: np.ndarray) -> int:
    """Frames of a track (T, ...) up to the last with anything in it; at least 1."""
    present = np.flatnonzero(np.isfinite(track).reshape(len(track), -1).any(axis=1))
    return int(present[-1]) + 1 if present.size else 1


def check_keypoints(keypoints: np.ndarray) -> np.ndarray:
    """One track (T, K, d) or (T, F), or any array of tracks, as float32.

    Raises:
        ValueError: not numbers, infinite values, no frame, or another number of axes.
    """
    keypoints = np.asarray(keypoints)
    if keypoints.ndim not in (2, 3) or 0 in keypoints.shape:
        raise ValueError(
            f"a track has axes {keypoints.shape}; expected (frames, keypoints, coordinates) or (frames, features)"
        )
    if keypoints.dtype.kind not in "fiub":
        raise ValueError(f"keypoints are of type {keypoints.dtype}, not numbers")
    if keypoints.ndim == 3 and keypoints.shape[-1] not in (1, 2, 3):
        raise ValueError(f"keypoints have {keypoints.shape[-1]} coordinates; expected 1, 2 or 3 (drop confidences)")
    with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold is infinite in it
        keypoints = keypoints.astype(np.float32, copy=False)
    if np.isinf(keypoints).any():
        raise ValueError("keypoints hold infinite values; write NaN where a keypoint is not tracked")
    return keypoints


def tracked_presence(recording: np.ndarray) -> np.ndarray:
    """Who is in a recording when: each individual from its first to its last tracked frame.

    Args:
        recording: (A, T, K, d) or series (A, T, F), NaN = not tracked.

    Returns:
        (A, T) bool.
    """
    there = np.isfinite(recording)
    tracked = (there.all(axis=-1) if recording.ndim == 4 else there).any(axis=-1)
    begun = np.logical_or.accumulate(tracked, axis=-1)
    to_come = np.logical_or.accumulate(tracked[:, ::-1], axis=-1)[:, ::-1]
    return begun & to_come


HALF_TURN = 1e-3  # radians; so close to half a turn, rounding alone would decide on its sign


def wrap_angle(angle: np.ndarray) -> np.ndarray:
    """Any angles in radians -> the same angles in (-pi, pi], float32."""
    angle = np.asarray(angle, dtype=np.float32)
    wrapped = angle - 2 * np.pi * np.ceil((angle - np.pi) / (2 * np.pi))
    # rounding to float32 can land a hair outside the interval on either side
    wrapped = np.where(wrapped <= -np.float32(np.pi), np.float32(np.pi), wrapped)
    return np.minimum(wrapped, np.float32(np.pi)).astype(np.float32)


def polar(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (..., 2) -> length (...) in the same unit and angle (...) in radians, float32."""
    vectors = np.asarray(vectors, dtype=np.float32)
    x, y = vectors[..., 0], vectors[..., 1]
    return np.hypot(x, y), wrap_angle(np.arctan2(y, x))


def norm(vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., d) -> length (...) in the same unit, float32; squared in float64, so that any unit will do."""
    return np.sqrt(np.einsum("...i,...i->...", vectors, vectors, dtype=np.float64)).astype(np.float32)


def rotate(vectors: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Vectors (..., 2) turned by `angle` (...) radians, counter-clockwise where y points up, float32."""
    vectors = np.asarray(vectors, dtype=np.float32)
    x, y = vectors[..., 0], vectors[..., 1]
    cos, sin = np.cos(angle, dtype=np.float32), np.sin(angle, dtype=np.float32)
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def egocentric(points: np.ndarray, origin: np.ndarray, orientation: np.ndarray) -> np.ndarray:
    """Points in an animal's own frame: `origin` at 0 and `orientation` along x.

    Args:
        points: (N, T, K, 2) float32, any unit.
        origin: (N, T, 2) float32, same unit.
        orientation: (N, T) float32, radians.

    Returns:
        (N, T, K, 2) float32, same unit.
    """
    return rotate(points - origin[:, :, None], -orientation[:, :, None])


def observed(keypoints: np.ndarray) -> np.ndarray:
    """Keypoints (N, T, K, d), NaN = not tracked -> (N, T, K) bool, True = all coordinates are there."""
    return np.isfinite(keypoints).all(axis=-1)


def fill_gaps(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Hold the last valid value over gaps; causal, so that online use gives the same numbers.

    Args:
        values: (N, T, ...) float32.
        valid: (N, T) and as many of the other axes as wanted, bool, True = observed.

    Returns:
        values' axes, float32; NaN before the first valid frame. The argument is left as it is.
    """
    _, frames = values.shape[:2]
    frame = np.arange(frames).reshape(1, -1, *[1] * (valid.ndim - 2))
    last = np.maximum.accumulate(np.where(valid, frame, -1), axis=1)
    trailing = values.ndim - valid.ndim
    last = last.reshape(*last.shape, *[1] * trailing)
    held = np.take_along_axis(values, np.maximum(last, 0), axis=1)
    return np.where(last < 0, np.float32(np.nan), held).astype(np.float32)


def difference(values: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Change from the frame before.

    Args:
        values: (N, T, ...) float32, any unit.
        valid: (N, T, ...) bool with values' axes, or without the last ones.

    Returns:
        change (values' axes, float32, same unit per frame; 0 where not valid) and its validity (valid's
        axes): both frames were. The first frame has no change.
    """
    both = np.zeros_like(valid)
    both[:, 1:] = valid[:, 1:] & valid[:, :-1]
    change = np.zeros(values.shape, np.float32)
    np.subtract(values[:, 1:], values[:, :-1], out=change[:, 1:], casting="same_kind")
    known = both.reshape(*both.shape, *[1] * (values.ndim - both.ndim))
    return np.where(known, change, np.float32(0)), both


def angle_difference(angle: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`difference` of angles (N, T, ...), wrapped to (-pi, pi]; half a turn is +pi in spite of rounding."""
    change, both = difference(angle, valid)
    change = wrap_angle(change)
    return np.where(change < HALF_TURN - np.pi, np.float32(np.pi), change).astype(np.float32), both
