"""Recordings as they come: of any length, with names, checked once at the border.

Axes: S recordings, A individuals, N tracks, T frames, K keypoints, d coordinates, F features.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Recording:
    """One recording, of any length.

    Attributes:
        name: of the file, without folder and suffix, or the name in the file where that holds several.
        keypoints: (A, T, K, d) float32, the tracker's unit; NaN in all coordinates = not tracked. Or (A, T, F),
            any series; NaN = not known.
        confidence: (A, T, K) float32 as the tracker gives it, NaN = not given; None where it gives none.
        individuals: A names.
        keypoint_names: K names; none of series.
        fps: frames per second, None = not known.
        path: the file, None = there is none.
        first_frame: number, in the file, of the frame at index 0.
    """

    name: str
    keypoints: np.ndarray
    confidence: np.ndarray | None
    individuals: list[str]
    keypoint_names: list[str]
    fps: float | None = None
    path: Path | None = None
    first_frame: int = 0


def as_recordings(
    keypoints: np.ndarray,
    names: Mapping[str, Sequence[str]] | None = None,
    lengths: Sequence[int] | None = None,
    fps: float | None = None,
    path: Path | None = None,
) -> list[Recording]:
    """Recordings from one padded array.

    Args:
        keypoints: (N, T, F), (N, T, K, d) or (S, A, T, K, d), any unit; NaN = missing or padding.
        names: `keypoint_names`, `recording_ids`, `individual_names`, as far as known.
        lengths: frames of each recording; without them, frames at the end in which everything is missing
            are taken for padding.
        fps: frames per second, if known.
        path: the file, if there is one.

    Raises:
        ValueError: other axes, not numbers, infinite values, names or lengths of another number, or no such rate.
    """
    keypoints = np.asarray(keypoints)
    if keypoints.ndim not in (3, 4, 5) or 0 in keypoints.shape:
        raise ValueError(
            f"keypoints have axes {keypoints.shape}; expected (tracks, frames, features), (tracks, frames, "
            "keypoints, coordinates) or (recordings, individuals, frames, keypoints, coordinates), none of them 0"
        )
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps is {fps}; frames per second must be above 0; leave it out where it is not known")
    grouped = keypoints.ndim == 5
    found = [[check_keypoints(track) for track in (recording if grouped else [recording])] for recording in keypoints]
    arrays = [np.stack(tracks) for tracks in found]
    count, individuals = len(arrays), len(arrays[0])
    if lengths is None:
        lengths = [max(frames_present(track) for track in array) for array in arrays]
    lengths = _checked_lengths(lengths, count, arrays[0].shape[1])
    expected = {"recording_ids": count, "individual_names": individuals, "keypoint_names": keypoints.shape[-2]}
    names = names or {}
    for kind, values in names.items():
        if kind not in expected:
            raise ValueError(f"there are no names of kind {kind!r}; choose from {', '.join(expected)}")
        if (kind != "keypoint_names" or keypoints.ndim > 3) and len(values) != expected[kind]:
            raise ValueError(f"there are {len(values)} {kind} for {expected[kind]} in the keypoints")
    points = [f"keypoint{i}" for i in range(keypoints.shape[-2])] if keypoints.ndim > 3 else []
    return [
        Recording(
            name=name,
            keypoints=array[:, : int(length)],
            confidence=None,
            individuals=list(names.get("individual_names", [f"individual{i}" for i in range(individuals)])),
            keypoint_names=list(names.get("keypoint_names", points)) if points else [],
            fps=fps,
            path=path,
        )
        for name, array, length in zip(
            names.get("recording_ids", [f"recording{i}" for i in range(count)]), arrays, lengths, strict=True
        )
    ]


def _checked_lengths(lengths: Sequence[int], count: int, most: int) -> np.ndarray:
    found = np.asarray(lengths)
    fit = found.shape == (count,) and found.dtype.kind in "fiu"
    if not fit or not ((found >= 1) & (found <= most) & (found == np.round(found))).all():
        raise ValueError(f"lengths must be {count} whole numbers from 1 to {most}, the frames of the array")
    return found


def track_names(recordings: Sequence[Recording]) -> list[str]:
    """N names, recording by recording; the recordings' own if each has one individual."""
    if all(len(recording.individuals) == 1 for recording in recordings):
        return [recording.name for recording in recordings]
    return [f"{recording.name}/{individual}" for recording in recordings for individual in recording.individuals]


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


def choose_parts(
    recordings: Sequence[np.ndarray], least: int, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which recordings (A, T, ...) are for training and which held out; those too short, or empty, are neither.

    Args:
        recordings: any.
        least: frames that a recording must have.
        share, seed: see `choose_held_out`.

    Returns:
        two int arrays of indices.

    Raises:
        ValueError: every recording is too short, or nobody is in any.
    """
    there = np.array(with_somebody(recordings))
    kept = there[long_enough([recordings[i].shape[1] for i in there], least)]
    training, held_out = choose_held_out(len(kept), share, seed)
    return kept[training], kept[held_out]


def choose_held_out(count: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Whole recordings for training and held out: `count` recordings, `share` of them held out, by seed.

    At least one is held out if `share` is above 0 and there are two; a single recording is for training.

    Returns:
        two sorted int arrays of indices, training and held out.
    """
    if not 0 <= share < 1:
        raise ValueError(f"the held-out share is {share}; it must be from 0 to below 1")
    held_out = min(max(round(count * share), 1), count - 1) if share > 0 else 0
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def assign_folds(groups: np.ndarray, classes: np.ndarray, most: int, name: str = "the label") -> np.ndarray:
    """Folds with whole groups in them, and each class spread over them as evenly as a greedy choice can.

    (scikit-learn's StratifiedGroupKFold may put both recordings that have a rare class into one fold.)

    Args:
        groups: (rows,) int, at least two different ones.
        classes: (rows,) int from 0.
        most: folds; as many as there are groups if those are fewer.
        name: of the label, for the error's sentence.

    Returns:
        (rows,) int, the fold in which each is held out.
    """
    found, group = np.unique(groups, return_inverse=True)
    if len(found) < 2 or most < 2:
        raise ValueError(f"{name} is known in {len(found)} recordings, for {most} folds; at least 2 of both are needed")
    count = int(classes.max()) + 1
    shares = np.bincount(group * count + classes, minlength=len(found) * count).reshape(-1, count).astype(float)
    shares /= np.maximum(shares.sum(axis=0), 1)
    folds = np.zeros((min(most, len(found)), count))
    members, chosen = np.zeros(len(folds), int), np.zeros(len(found), int)
    for i in np.argsort(-shares.max(axis=1), kind="stable"):  # first those that hold much of a class
        overlap = (folds @ shares[i]).round(9)
        chosen[i] = np.lexsort((members, overlap))[0]
        folds[chosen[i]] += shares[i]
        members[chosen[i]] += 1
    return chosen[group]


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


def without_absent(recording: np.ndarray) -> np.ndarray:
    """A recording (A, T, ...) without the individuals that are never tracked: no track to learn from."""
    there = ever_tracked(recording)
    return recording if there.all() else recording[there]


def with_somebody(recordings: Sequence[np.ndarray]) -> list[int]:
    """Indices of the recordings (A, T, ...) in which anybody is tracked in any frame.

    Raises:
        ValueError: there is none.
    """
    kept = [i for i, recording in enumerate(recordings) if ever_tracked(recording).any()]
    if not kept:
        raise ValueError(
            "no individual is tracked in any frame of any recording: there is nothing to learn from (lower "
            "min_confidence if it was given)"
        )
    return kept


def ever_tracked(recording: np.ndarray) -> np.ndarray:
    """Which individuals of a recording (A, T, ...) are tracked in any frame: (A,) bool."""
    return np.isfinite(recording).reshape(len(recording), -1).any(axis=1)


def long_enough(lengths: Sequence[int], least: int) -> np.ndarray:
    """Indices of the recordings of at least `least` frames; says on stderr which are skipped.

    Raises:
        ValueError: there is none.
    """
    kept = np.flatnonzero(np.asarray(lengths) >= least)
    if len(kept) == 0:
        raise ValueError(
            f"every recording is too short to learn from: the longest has {max(lengths)} frames, and skip_frames "
            f"and hoa_window need {least}: lower these, or add longer recordings"
        )
    if len(kept) < len(lengths):
        print(f"skipped {len(lengths) - len(kept)} recordings shorter than {least} frames", file=sys.stderr)
    return kept
