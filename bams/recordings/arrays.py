"""Arrays of keypoints as people have them: what stands for "not tracked", and which axis is which."""

from typing import Literal

import numpy as np

Third = Literal["height", "confidence"]
INFINITE = "write NaN where a keypoint is not tracked, or give missing_value=inf (--missing_value inf) for that"
SOME = 300  # tracks and frames of an array that are compared


def untracked_as_nan(
    keypoints: np.ndarray,
    confidence: np.ndarray | None = None,
    missing_value: float | None = None,
    third: Third = "height",
) -> tuple[np.ndarray, np.ndarray | None]:
    """Keypoints (..., K, d) with NaN where they are not tracked, and their confidences (..., K).

    A keypoint is not tracked where a coordinate is missing, where its confidence is below 0 (which becomes NaN), where
    all coordinates and the confidence are 0, and where all coordinates equal `missing_value`. `third` says what a third
    coordinate is; as a confidence it is taken from the coordinates. Raises ValueError if there is none to take.
    """
    if third not in ("height", "confidence"):
        raise ValueError(f"third is {third!r}; it must be height or confidence")
    if third == "confidence":
        if keypoints.shape[-1] != 3 or confidence is not None:
            has = "confidences of its own" if confidence is not None else f"{keypoints.shape[-1]} coordinates, not 3"
            raise ValueError(f"it has {has}, so third cannot be confidence; leave third out")
        keypoints, confidence = keypoints[..., :2], keypoints[..., 2]
    lost = np.isnan(keypoints).any(axis=-1)
    if missing_value is not None:
        lost |= (keypoints == missing_value).all(axis=-1)
    if confidence is not None:
        lost |= (confidence < 0) | ((confidence == 0) & (keypoints == 0).all(axis=-1))
        confidence = np.where(confidence < 0, np.float32(np.nan), confidence).astype(np.float32)
    return (np.where(lost[..., None], np.float32(np.nan), keypoints) if lost.any() else keypoints), confidence


def check_order_of_axes(keypoints: np.ndarray) -> None:
    """Raise ValueError if series (N, T, F), tracks (N, T, K, d) or recordings (S, A, T, K, d) seem to begin with T.

    That is so if neighbours along the axis of tracks differ by less than half of what neighbours along the axis of
    frames do, as one frame differs least from the next. Two or three features of more tracks than frames, which are
    more likely (T, K, d), are always doubted.
    """
    one = keypoints[0] if keypoints.ndim == 5 else keypoints
    tracks, frames = one.shape[:2]
    some = one[:SOME, :SOME].astype(float)
    some[np.isinf(some)] = np.nan
    steps = [np.abs(np.diff(some, axis=axis)) for axis in (0, 1)]
    first, second = (np.median(step[np.isfinite(step)]) if np.isfinite(step).any() else np.inf for step in steps)
    smooth, flat = first < 0.5 * second < np.inf, one.ndim == 3 and one.shape[-1] in (2, 3)
    if (smooth and (flat or tracks > frames)) or (flat and tracks > frames):
        right = {3: "keypoints.swapaxes(0, 1)", 4: "keypoints.swapaxes(0, 1)[None]", 5: "keypoints.swapaxes(1, 2)"}
        if flat:
            right[3] = (
                "keypoints[None] (of one animal) or keypoints.swapaxes(0, 1)[None, :, :, None] (one point of each)"
            )
        kind, names = ("individuals", "individual_names") if keypoints.ndim == 5 else ("tracks", "recording_ids")
        raise ValueError(
            f"axes {keypoints.shape} are {tracks} {kind} of {frames} frames, but the frames seem to come first: "
            f"save {right[keypoints.ndim]}; or, if they do not, name the {kind} in {names}"
        )
