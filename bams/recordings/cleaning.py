"""Recordings cleaned before learning: rate, names, doubtful positions, jumps, short gaps. All is off by default."""

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from bams.recordings.body_length import body_length
from bams.recordings.recording import Recording, check_rate, keypoint_numbers

# It may not change when a run is resumed, but new recordings may need another value.
CLEANING = {"fixed": True, "jobs": {"report": {}, "train": {}, "compute_representations": {}}}
UNIT = {"fixed": True, "jobs": {"report": {}, "train": {}}}


@dataclass(frozen=True)
class CleaningConfig:
    """What is done to the keypoints of files before anything else, in this order; by default nothing."""

    resample: float = field(default=0, metadata=CLEANING)
    """frames per second to which all recordings are resampled, linearly between frames; 0: they keep their rate"""
    rename: str = field(default="", metadata=CLEANING)
    """keypoints to rename, as old:new,old:new; in a recording without the old name nothing is renamed"""
    keypoints: str = field(default="", metadata=CLEANING)
    """keypoints to keep, in this order, as name,name; empty: all"""
    min_confidence: float = field(default=0, metadata=CLEANING)
    """positions of a lower confidence count as not tracked"""
    max_jump: float = field(default=0, metadata=CLEANING)
    """body lengths that a keypoint may move per frame; positions that it reaches faster count as not tracked; 0: any"""
    interpolate: int = field(default=0, metadata=CLEANING)
    """gaps of at most this number of frames are filled linearly; 0: none"""
    unit: Literal["file", "body"] = field(default="file", metadata=UNIT)
    """of positions: as in the files, or in body lengths, so that cameras and sizes of animals do not matter"""

    def __post_init__(self):
        for name in ("resample", "min_confidence", "max_jump", "interpolate"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}; it must be finite and at least 0")
        if self.unit not in ("file", "body"):
            raise ValueError(f"unit is {self.unit!r}; it must be file or body")
        if "" in self.kept or len(set(self.kept)) < len(self.kept):
            raise ValueError(f"keypoints is {self.keypoints!r}; expected different names, as name,name")
        different = not self.rename or len(self.renames) == len(self.rename.split(","))
        if not different or any(not name or ":" in name for pair in self.renames.items() for name in pair):
            raise ValueError(f"rename is {self.rename!r}; expected old:new,old:new with different old names")

    @property
    def kept(self) -> list[str]:
        """Names of the keypoints to keep; empty = all."""
        return [name.strip() for name in self.keypoints.split(",")] if self.keypoints else []

    @property
    def renames(self) -> dict[str, str]:
        """New names by old ones."""
        pairs = [part.partition(":") for part in self.rename.split(",")] if self.rename else []
        return {old.strip(): new.strip() for old, _, new in pairs}


def clean(recordings: Sequence[Recording], config: CleaningConfig, needed: Sequence[str] = ()) -> list[Recording]:
    """Recordings after the steps of the config, in its order; ValueError if they lack what a step needs.

    After renaming, the keypoints `needed`, such as those of a trained model, are taken in their order, and no others.
    Confidences stay those of the tracker, also where a position is removed or filled. Resampling and filling look
    ahead, and the body length is that of the whole recording; everything else is causal.
    """
    if not needed:
        check_renames(recordings, config)
    return [_clean_one(recording, config, needed) for recording in recordings]


def check_renames(recordings: Sequence[Recording], config: CleaningConfig) -> None:
    """Raise ValueError if no recording has a keypoint to rename, unless all have its new name already."""
    for old, new in config.renames.items():
        names = [one.keypoint_names for one in recordings]
        if not any(old in some for some in names) and not all(new in some for some in names):
            close = closest([old], names[0]).values()
            hint = f"; did you mean {', '.join(close)}?" if close else f"; the first has {', '.join(names[0])}"
            raise ValueError(f"rename has {old!r}, a keypoint that no recording has{hint}")


def _clean_one(recording: Recording, config: CleaningConfig, needed: Sequence[str]) -> Recording:
    if config.resample > 0:
        recording = resample(recording, config.resample)
    if recording.keypoints.ndim == 3:
        if replace(config, resample=0) != CleaningConfig():
            raise ValueError(f"{recording.name} is a series of features; only its rate can be changed")
        return recording
    recording = _choose_keypoints(recording, config, needed)
    keypoints = recording.keypoints
    if config.min_confidence > 0:
        if recording.confidence is None:
            raise ValueError(f"{recording.name} has no confidences, so min_confidence has no use; it must be 0")
        doubtful = recording.confidence < config.min_confidence  # a confidence of NaN counts as high enough
        keypoints = np.where(doubtful[..., None], np.float32(np.nan), keypoints)
    if config.max_jump > 0:
        if keypoints.shape[2] < 2:
            raise ValueError(f"{recording.name} has one keypoint, so no body length for max_jump; leave it out")
        keypoints = without_jumps(keypoints, config.max_jump * body_length(keypoints))
    if config.interpolate > 0:
        keypoints = fill_short_gaps(keypoints, config.interpolate)
    if config.unit == "body" and np.isfinite(length := body_length(keypoints)):
        keypoints = (keypoints / length).astype(np.float32)
    return replace(recording, keypoints=keypoints)


def resample(recording: Recording, fps: float) -> Recording:
    """A recording at another rate; ValueError if its own rate is not known.

    A position or confidence between two frames is interpolated linearly, and is missing if either frame lacks it. A
    frame takes the labels of the nearest frame, and keeps its place in the file as its number (see `frame_step`).
    """
    check_rate(fps)
    if recording.fps is None:
        raise ValueError(f"the frames per second of {recording.name} are not known, so resample needs fps too")
    if recording.fps == fps:
        return recording
    last = recording.keypoints.shape[1] - 1
    times = (np.arange(int(last * fps / recording.fps + 1e-6) + 1) * recording.fps / fps).round(9)  # in old frames
    before = np.minimum(times.astype(int), last)
    after = np.minimum(before + 1, last)

    def between(values: np.ndarray) -> np.ndarray:
        share = (times - before).reshape(-1, *[1] * (values.ndim - 2))
        mixed = (1 - share) * values[:, before] + share * values[:, after]
        # exactly on a frame, a gap in the next one does not matter
        return np.where(share > 0, mixed, values[:, before]).astype(np.float32)

    nearest = np.minimum((times + 0.5).astype(int), last)  # whose labels a frame takes
    labels = {name: values[..., nearest] for name, values in recording.labels.items()}
    return recording.changed(between, fps=fps, frame_step=recording.frame_step * recording.fps / fps, labels=labels)


def _choose_keypoints(recording: Recording, config: CleaningConfig, needed: Sequence[str]) -> Recording:
    """A recording with its keypoints renamed, and of these the ones to keep, and of these the `needed`, in their order.

    ValueError if it lacks one, or if its names are made up and it has more keypoints than are needed.
    """
    names = [config.renames.get(name, name) for name in recording.keypoint_names]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"with rename, {recording.name} has more than one keypoint {twice[0]!r}")
    if needed and not config.kept and len(names) > len(needed) and names == keypoint_numbers(len(names)):
        said = f"{recording.name} has {len(names)} keypoints without names, and {len(needed)} are needed"
        raise ValueError(f"{said}: choose them with --keypoints {needed[0]},...")
    applied = [f"{old}:{new}" for old, new in config.renames.items() if old in recording.keypoint_names]
    recording = replace(recording, keypoint_names=names)
    for wanted, why in ((config.kept, "to keep"), (list(needed), "which the model needs")):
        names = recording.keypoint_names
        if missing := [name for name in wanted if name not in names]:
            said = f"{recording.name} has no keypoint {', '.join(map(repr, missing))} {why}; it has {', '.join(names)}"
            close = closest(missing, [name for name in names if name not in wanted])
            pairs = ",".join([*applied, *(f"{found}:{name}" for name, found in close.items())])
            raise ValueError(said + (f"; if the names mean the same, add --rename {pairs}" if close else ""))
        if wanted:
            at = [names.index(name) for name in wanted]
            recording = recording.changed(lambda values, at=at: values[:, :, at], keypoint_names=wanted)
    return recording


def closest(names: Sequence[str], others: Sequence[str]) -> dict[str, str]:
    """By name the most similar of the other names, each taken once; those without one are left out."""
    plain, found = {name.lower(): name for name in others}, {}
    for name in names:
        for close in difflib.get_close_matches(name.lower(), plain, 1):
            found[name] = plain.pop(close)
    return found


def without_jumps(keypoints: np.ndarray, limit: float) -> np.ndarray:
    """Keypoints (A, T, K, d) without the positions that they cannot have reached, which become NaN.

    A position stays if its distance to the last position that stayed is at most `limit` per frame in between. So a
    track that has jumped away is removed until it comes back, or until the animal could have got there. The first
    position of a keypoint stays. Causal. A limit of NaN removes nothing.
    """
    cleaned = keypoints.copy()
    for a, k in np.ndindex(keypoints.shape[0], keypoints.shape[2]):
        track = keypoints[a, :, k].astype(float)
        frames = np.flatnonzero(np.isfinite(track).all(axis=-1))
        places = track[frames]
        steps = np.linalg.norm(np.diff(places, axis=0), axis=-1)
        end = 0  # of the positions that are decided
        for stayed in np.flatnonzero(steps > limit * np.diff(frames)):
            if stayed < end:
                continue  # it was removed itself
            end = stayed + 1
            while end < len(frames) and math.dist(places[end], places[stayed]) > limit * (frames[end] - frames[stayed]):
                cleaned[a, frames[end], k] = np.nan
                end += 1
    return cleaned


def fill_short_gaps(keypoints: np.ndarray, most: int) -> np.ndarray:
    """Keypoints (A, T, K, d) with gaps of at most `most` frames between tracked frames filled linearly; not causal."""
    filled = keypoints.copy()
    for a, k in np.ndindex(keypoints.shape[0], keypoints.shape[2]):
        track = filled[a, :, k]
        frames = np.flatnonzero(np.isfinite(track).all(axis=-1))
        if len(frames) > 1:
            missing = np.setdiff1d(np.arange(frames[0], frames[-1]), frames)
            gaps = np.diff(frames) - 1
            missing = missing[gaps[np.searchsorted(frames, missing) - 1] <= most]
            for coordinate in track.T:
                coordinate[missing] = np.interp(missing, frames, coordinate[frames])
    return filled
