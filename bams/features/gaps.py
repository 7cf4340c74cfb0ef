"""Tracks with gaps, and the one rule for them.

A difference, a minimum or an action uses only points that were observed at every frame that it joins. Held positions
(the last observation carried forward) serve as absolute inputs only: where a point is, not how it has moved. An animal
of which nothing is observed in a frame is not there: it is nobody's nearest.
"""

import numpy as np


def check_keypoints(keypoints: np.ndarray) -> np.ndarray:
    """One track (T, K, d) or (T, F) as float32; ValueError for infinite values, other axes or no frame."""
    keypoints = np.asarray(keypoints)
    if keypoints.ndim not in (2, 3) or 0 in keypoints.shape:
        wanted = "(frames, keypoints, coordinates) or (frames, features)"
        raise ValueError(f"a track has axes {keypoints.shape}; expected {wanted}")
    if keypoints.dtype.kind not in "fiub":
        raise ValueError(f"keypoints are of type {keypoints.dtype}, not numbers")
    if keypoints.ndim == 3 and keypoints.shape[-1] not in (1, 2, 3):
        raise ValueError(f"keypoints have {keypoints.shape[-1]} coordinates; expected 1, 2 or 3 (drop confidences)")
    with np.errstate(over="ignore", invalid="ignore"):  # numbers too large for float32 become infinite
        keypoints = keypoints.astype(np.float32, copy=False)
    if np.isinf(keypoints).any():
        raise ValueError("keypoints hold infinite values; write NaN where a keypoint is not tracked")
    return keypoints


def frames_present(track: np.ndarray) -> int:
    """Frames of a track (T, ...) up to the last one with anything observed; at least 1."""
    present = np.flatnonzero(np.isfinite(track).reshape(len(track), -1).any(axis=1))
    return int(present[-1]) + 1 if present.size else 1


def tracked_presence(recording: np.ndarray) -> np.ndarray:
    """Keypoints (A, T, K, d) or series (A, T, F) -> (A, T) bool, True from the first to the last tracked frame."""
    tracked = (observed(recording) if recording.ndim == 4 else np.isfinite(recording)).any(axis=-1)
    to_come = np.logical_or.accumulate(tracked[:, ::-1], axis=-1)[:, ::-1]
    return np.logical_or.accumulate(tracked, axis=-1) & to_come


def observed(keypoints: np.ndarray) -> np.ndarray:
    """Keypoints (N, T, K, d), NaN = not tracked -> (N, T, K) bool, True = all coordinates are finite."""
    return np.isfinite(keypoints).all(axis=-1)


def masked(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """`values` (N, T, ...) float32 where `valid`, which has the first axes of `values`; NaN elsewhere."""
    return np.where(with_axes_of(values, valid), values, np.float32(np.nan))


def fill_gaps(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Carry the last observation of (N, T, ...) float32 forward; NaN before the first observation.

    `valid` is bool, with the axes of `values` or only the first of them; True = observed.
    """
    frame = np.arange(values.shape[1]).reshape(1, -1, *[1] * (valid.ndim - 2))
    last = with_axes_of(values, np.maximum.accumulate(np.where(valid, frame, -1), axis=1))
    held = np.take_along_axis(values, np.maximum(last, 0), axis=1)
    return np.where(last < 0, np.float32(np.nan), held).astype(np.float32)


def difference(values: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Change from the frame before, of arrays as `fill_gaps` takes them, and where it is valid.

    Valid where both frames were observed, so never in the first frame; elsewhere the change is 0.
    """
    both = np.zeros_like(valid)
    both[:, 1:] = valid[:, 1:] & valid[:, :-1]
    change = np.zeros(values.shape, np.float32)
    np.subtract(values[:, 1:], values[:, :-1], out=change[:, 1:], casting="same_kind")
    return np.where(with_axes_of(values, both), change, np.float32(0)), both


def with_axes_of(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """`valid`, which has only the first axes of `values`, with as many axes, the last ones of length 1."""
    return valid.reshape(*valid.shape, *[1] * (values.ndim - valid.ndim))
