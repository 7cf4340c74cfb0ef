"""Recordings as they come: of any length, with names, checked once at the border.

Axes: S recordings, A individuals, N tracks, T frames, K keypoints, d coordinates, F features.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bams.features.gaps import check_keypoints, frames_present


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


def check_skeleton(reference_names: Sequence[str], recordings: Sequence[Recording]) -> None:
    """Check that recordings have the keypoints, in the order, that a model was trained on.

    Raises:
        ValueError: one has not; which keypoints differ.
    """
    names = list(reference_names)
    for recording in recordings:
        if recording.keypoints.ndim == 3:
            raise ValueError(
                f"{recording.name} is a series of features, and the model was trained on the keypoints "
                f"{', '.join(names)}: give recordings of these"
            )
        found = list(recording.keypoint_names)
        missing = [name for name in names if name not in found]
        added = [name for name in found if name not in names]
        said = [f"it lacks {', '.join(missing)}"] * bool(missing) + [f"it also has {', '.join(added)}"] * bool(added)
        if not said and found != names:
            said = [f"they stand in the order {', '.join(found)}"]
        if said:
            raise ValueError(
                f"{recording.name} has other keypoints than the model, {', '.join(names)}: {'; '.join(said)}; "
                "rename and order them with --rename and --keypoints"
            )


def check_same_skeleton(recordings: Sequence[Recording]) -> None:
    """Check that all recordings have the same keypoints in the same order, and as many coordinates.

    Raises:
        ValueError: they differ; which keypoints, and in which files.
    """
    for recording in recordings[1:]:
        first = recordings[0]
        here, there = set(recording.keypoint_names), set(first.keypoint_names)
        sides = [(recording, here - there), (first, there - here)]
        found = [f"only {_source(one)} has {', '.join(sorted(names))}" for one, names in sides if names]
        if not found and recording.keypoint_names != first.keypoint_names:
            found = ["the same ones stand in another order"]
        if not found and recording.keypoints.shape[-1] != first.keypoints.shape[-1]:
            found = [f"they have {recording.keypoints.shape[-1]} and {first.keypoints.shape[-1]} coordinates"]
        if found:
            raise ValueError(
                f"the keypoints of {_source(recording)} and {_source(first)} differ ({'; '.join(found)}); "
                "give files of one skeleton"
            )


def check_same_rate(recordings: Sequence[Recording]) -> float | None:
    """The frames per second of all recordings, None = of none it is known.

    Raises:
        ValueError: they differ, or of some it is not known.
    """
    for recording in recordings[1:]:
        if recording.fps != recordings[0].fps:
            rates = [f"{one.fps:g}" if one.fps else "an unknown number of" for one in (recording, recordings[0])]
            raise ValueError(
                f"{_source(recording)} has {rates[0]} frames per second and {_source(recordings[0])} {rates[1]}; "
                "give files of one rate, or fps where none is known"
            )
    return recordings[0].fps if recordings else None


def _source(recording: Recording) -> str:
    return str(recording.path or recording.name)
