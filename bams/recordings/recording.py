"""One recording, as a tracker gives it, and checks of recordings that are used together."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bams.features.gaps import check_keypoints, frames_present
from bams.recordings.arrays import INFINITE, Third, check_order_of_axes, untracked_as_nan
from bams.storage.files import listed, read_arrays

NAMES = ("keypoint_names", "recording_ids", "individual_names", "groups")  # arrays of names in an `.npz`


@dataclass(frozen=True)
class Recording:
    """One recording, named after its file or as in its file.

    `keypoints` are (A, T, K, d) float32 in the tracker's unit, NaN in all coordinates = not tracked; or a series of any
    features, (A, T, F) float32, NaN = not known, without keypoint names. `confidence` is (A, T, K) float32 as the
    tracker gives it, NaN = not given. `fps` are frames per second, None = not known. `first_frame` is the number that
    the file gives to the frame at index 0, and `frame_step` the frames of the file from one frame to the next.
    `labels` hold by name a value for each frame, (T,) of the recording or (A, T) of its individuals; `about` holds by
    name one value, () of the recording or (A,) of its individuals. Recordings of the same `group`, such as an animal or
    a litter, are held out together; None = by its name.
    """

    name: str
    keypoints: np.ndarray
    confidence: np.ndarray | None
    individuals: list[str]
    keypoint_names: list[str]
    fps: float | None = None
    path: Path | None = None
    first_frame: int = 0
    frame_step: float = 1.0
    labels: Mapping[str, np.ndarray] = field(default_factory=dict)
    about: Mapping[str, np.ndarray] = field(default_factory=dict)
    group: str | None = None

    @property
    def source(self) -> str:
        """The file, or the name where there is no file: what messages call the recording."""
        return str(self.path or self.name)

    @property
    def frames(self) -> range:
        """The numbers that the file gives to the frames, before any resampling."""
        return range(self.first_frame, self.first_frame + self.keypoints.shape[1])

    def changed(self, change: Callable[[np.ndarray], np.ndarray], **fields: Any) -> "Recording":
        """A recording with `change` applied to keypoints and confidence, and other fields replaced."""
        confidence = None if self.confidence is None else change(self.confidence)
        return replace(self, keypoints=change(self.keypoints), confidence=confidence, **fields)

    def at_frames(self, frames: slice | np.ndarray, **fields: Any) -> "Recording":
        """The frames at these indices, and other fields replaced."""
        labels = {name: values[..., frames] for name, values in self.labels.items()}
        return self.changed(lambda values: values[:, frames], labels=labels, **fields)

    def of_individuals(self, which: np.ndarray) -> "Recording":
        """The individuals for which `which` (A,) bool is true."""
        names = [name for name, one in zip(self.individuals, which, strict=True) if one]
        labels = {name: values[which] if values.ndim > 1 else values for name, values in self.labels.items()}
        about = {name: values[which] if values.ndim else values for name, values in self.about.items()}
        return self.changed(lambda values: values[which], individuals=names, labels=labels, about=about)


def as_recordings(
    keypoints: np.ndarray,
    names: Mapping[str, Sequence[str]] | None = None,
    lengths: Sequence[int] | None = None,
    fps: float | None = None,
    path: Path | None = None,
    *,
    confidence: np.ndarray | None = None,
    groups: Sequence[str] | None = None,
    missing_value: float | None = None,
    third: Third = "height",
) -> list[Recording]:
    """Recordings from one padded array; ValueError if the arguments do not fit together.

    Args:
        keypoints: series (N, T, F), tracks (N, T, K, d) or animals together (S, A, T, K, d); NaN = missing or padding.
        names: `recording_ids` (S or N), `individual_names` (A), `keypoint_names` (K), as far as known.
        lengths: frames of each recording; without them, each recording ends with the last frame that holds anything.
        confidence, groups: with the axes of the keypoints but the last, below 0 = not tracked; and S or N names.
        missing_value: keypoints whose coordinates all have this value, or values of series that have it, are NaN.
        third: whether the third coordinate is a height or a confidence.
    """
    keypoints, names = np.asarray(keypoints), names or {}
    _check_axes(keypoints)
    check_rate(fps)
    if confidence is not None and np.shape(confidence) != keypoints.shape[:-1]:
        raise ValueError(f"confidence has axes {np.shape(confidence)}; the keypoints need {keypoints.shape[:-1]}")
    if keypoints.dtype.kind in "fiub":
        if ("individual_names" if keypoints.ndim == 5 else "recording_ids") not in names:
            check_order_of_axes(keypoints)
        if keypoints.ndim > 3:
            keypoints, confidence = untracked_as_nan(keypoints, confidence, missing_value, third)
        elif confidence is not None or third == "confidence":
            raise ValueError(f"keypoints have axes {keypoints.shape}: series of features have no confidences")
        elif missing_value is not None:
            keypoints = np.where(keypoints == missing_value, np.float32(np.nan), keypoints)
        if np.isinf(keypoints).any():
            raise ValueError(f"keypoints hold infinite values; {INFINITE}")
    grouped = keypoints if keypoints.ndim == 5 else keypoints[:, None]
    arrays = [np.stack([check_keypoints(track) for track in recording]) for recording in grouped]
    count, individuals, frames = grouped.shape[:3]
    if lengths is None:
        lengths = [max(map(frames_present, array)) for array in arrays]
    if np.shape(lengths) != (count,) or not np.isin(lengths, np.arange(1, frames + 1)).all():
        raise ValueError(f"lengths must be {count} whole numbers from 1 to {frames}, the frames of the array")
    counts = {"recording_ids": count, "individual_names": individuals, "keypoint_names": keypoints.shape[-2]}
    known = {kind: [f"{kind.split('_')[0]}{i}" for i in range(number)] for kind, number in counts.items()} | dict(names)
    if keypoints.ndim == 3:
        counts["keypoint_names"], known["keypoint_names"] = 0, []
    counts["groups"], known["groups"] = count, [None] * count if groups is None else list(groups)
    for kind, given in known.items():
        if len(given) != counts.get(kind):
            raise ValueError(f"there are {len(given)} {kind} for {counts.get(kind, 'none')} in the keypoints")
    confidences = [None] * count if confidence is None else confidence.reshape(grouped.shape[:-1])
    about = list(known["individual_names"]), list(known["keypoint_names"]), fps, path
    parts = zip(known["recording_ids"], arrays, confidences, map(int, lengths), known["groups"], strict=True)
    return [
        Recording(name, track[:, :length], None if sure is None else sure[:, :length], *about, group=group)
        for name, track, sure, length, group in parts
    ]


def _check_axes(keypoints: np.ndarray) -> None:
    if keypoints.ndim == 2:
        hint = f"keypoints.reshape(1, {len(keypoints)}, -1, 2) of columns x, y, x, y; or keypoints[None] of a series"
        raise ValueError(
            f"keypoints have axes {keypoints.shape}; if these are the frames of one recording, give {hint}"
        )
    if keypoints.ndim not in (3, 4, 5) or 0 in keypoints.shape:
        raise ValueError(
            f"keypoints have axes {keypoints.shape}; expected (tracks, frames, features), (tracks, frames, keypoints, "
            "coordinates) or (recordings, individuals, frames, keypoints, coordinates), none of them 0"
        )


def read_padded(path: Path, missing_value: float | None = None, third: Third = "height") -> list[Recording]:
    """Recordings from a `.npy` array, or from the array `keypoints` of an `.npz`, with axes as in `as_recordings`.

    The `.npz` may also hold `keypoint_names` (K), `recording_ids` and `groups` (S or N), `individual_names` (A),
    `lengths` in frames (S or N), `confidence` with the axes of the keypoints but the last, and `fps`.
    """
    arrays = read_arrays(path)
    if "keypoints" not in arrays:
        raise ValueError(f"{path} has the arrays {listed(list(arrays)) or 'none'}; expected one named keypoints")
    names = {kind: arrays[kind].astype(str).tolist() for kind in NAMES if kind in arrays}
    groups = names.pop("groups", None)
    fps = float(arrays["fps"].item()) if "fps" in arrays else None
    options = {"confidence": arrays.get("confidence"), "groups": groups, "missing_value": missing_value, "third": third}
    found = as_recordings(arrays["keypoints"], names, arrays.get("lengths"), fps, path, **options)
    return [replace(found[0], name=path.stem)] if len(found) == 1 and "recording_ids" not in names else found


def keypoint_numbers(count: int) -> list[str]:
    """The names of keypoints that have none."""
    return [f"keypoint{i}" for i in range(count)]


def check_rate(fps: float | None) -> None:
    """Raise ValueError unless the frames per second are above 0 and finite, or None = not known."""
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps is {fps}; the frames per second must be above 0 and finite")


def track_names(recordings: Sequence[Recording]) -> list[str]:
    """N names, recording by recording; those of the recordings if each has one individual."""
    if all(len(recording.individuals) == 1 for recording in recordings):
        return [recording.name for recording in recordings]
    return [f"{recording.name}/{individual}" for recording in recordings for individual in recording.individuals]


def check_skeleton(names: Sequence[str], recordings: Sequence[Recording]) -> None:
    """Raise ValueError unless all recordings have the keypoints that a model was trained on, in the same order."""
    wanted = ", ".join(names)
    for recording in recordings:
        if recording.keypoints.ndim == 3:
            raise ValueError(f"{recording.name} is a series of features; the model needs the keypoints {wanted}")
        if said := _difference(recording.keypoint_names, names):
            said += "; rename and order them with --rename and --keypoints"
            raise ValueError(f"{recording.name} has other keypoints than the model, {wanted}: {said}")


def check_same_skeleton(recordings: Sequence[Recording]) -> None:
    """Raise ValueError unless all recordings have the same keypoints, in the same order, with as many coordinates."""
    for recording in recordings[1:]:
        first = recordings[0]
        said = _difference(recording.keypoint_names, first.keypoint_names)
        if not said and recording.keypoints.shape[-1] != first.keypoints.shape[-1]:
            said = f"it has {recording.keypoints.shape[-1]} coordinates instead of {first.keypoints.shape[-1]}"
        if said:
            raise ValueError(f"the keypoints of {recording.source} differ from those of {first.source}: {said}")


def _difference(found: Sequence[str], expected: Sequence[str]) -> str:
    """How the keypoints of a recording differ from the expected ones, in words; empty if they do not."""
    missing = [name for name in expected if name not in found]
    added = [name for name in found if name not in expected]
    said = [f"it lacks {', '.join(missing)}"] * bool(missing) + [f"it also has {', '.join(added)}"] * bool(added)
    in_order = said or list(found) == list(expected)
    return "; ".join(said) if in_order else f"its keypoints are in another order, {', '.join(found)}"


def check_same_rate(recordings: Sequence[Recording]) -> float | None:
    """The frames per second of all recordings, None = not known; raises ValueError if recordings differ in it."""
    for recording in recordings[1:]:
        first = recordings[0]
        if recording.fps != first.fps:
            rates = [f"{one.fps:g}" if one.fps else "an unknown number of" for one in (recording, first)]
            said = f"{recording.source} has {rates[0]} frames per second and {first.source} has {rates[1]}"
            raise ValueError(f"{said}; --resample brings them to one rate, --fps gives one that no file states")
    return recordings[0].fps if recordings else None
