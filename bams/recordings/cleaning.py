"""Recordings made fit to learn from: rate, names, doubtful positions, jumps, short gaps. All is off by default.

Axes: A individuals, T frames, K keypoints, d coordinates.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from bams.recordings.body_length import body_length
from bams.recordings.recording import Recording

FIXED = {"fixed": True}  # may not change when a run goes on


@dataclass(frozen=True)
class CleaningConfig:
    """What is done to the keypoints of files before anything else, in this order; by default nothing."""

    resample: float = field(default=0, metadata=FIXED)
    """frames per second to bring all recordings to, positions between frames on a straight line; 0: as they are"""
    rename: str = field(default="", metadata=FIXED)
    """keypoints to give other names, as old:new,old:new; where a recording lacks one it stays as it is"""
    keypoints: str = field(default="", metadata=FIXED)
    """keypoints to keep, in this order, as name,name; all of them unless given"""
    min_confidence: float = field(default=0, metadata=FIXED)
    """positions of a lower confidence count as not tracked"""
    max_jump: float = field(default=0, metadata=FIXED)
    """most body lengths that a keypoint moves in a frame; what it reaches faster counts as not tracked; 0: any"""
    interpolate: int = field(default=0, metadata=FIXED)
    """gaps of at most so many frames are filled on a straight line; 0: none"""
    unit: Literal["file", "body"] = field(default="file", metadata=FIXED)
    """of positions: that of the files, or body lengths, so that cameras and sizes of animals do not matter"""

    def __post_init__(self):
        for name in ("resample", "min_confidence", "max_jump", "interpolate"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}; it must be finite and at least 0")
        if self.unit not in ("file", "body"):
            raise ValueError(f"unit is {self.unit!r}; it must be file or body")
        if self.keypoints and ("" in self.kept or len(set(self.kept)) < len(self.kept)):
            raise ValueError(f"keypoints is {self.keypoints!r}; expected different names, as name,name")
        pairs = [part.split(":") for part in self.rename.split(",")] if self.rename else []
        if any(len(pair) != 2 or not all(map(str.strip, pair)) for pair in pairs) or len(self.renames) < len(pairs):
            raise ValueError(f"rename is {self.rename!r}; expected old:new,old:new with different old names")

    @property
    def kept(self) -> list[str]:
        """Names of the keypoints to keep; none = all."""
        return [name.strip() for name in self.keypoints.split(",")] if self.keypoints else []

    @property
    def renames(self) -> dict[str, str]:
        """New names by old ones."""
        pairs = [part.partition(":") for part in self.rename.split(",")] if self.rename else []
        return {old.strip(): new.strip() for old, _, new in pairs}


def clean(recordings: Sequence[Recording], config: CleaningConfig) -> list[Recording]:
    """Recordings at one rate; keypoints renamed, chosen and ordered; without doubtful ones and jumps; gaps filled.

    In this order. Confidences stay as the tracker gave them, also where a position is taken out or filled in.
    All but the rate and the filling is causal, save that jumps are measured by the whole recording's body length.

    Raises:
        ValueError: no recording has a keypoint to rename, one has not all keypoints to keep, has no confidences
            while `min_confidence` is above 0, or one keypoint while `max_jump` is.
    """
    unknown = sorted(set(config.renames) - {name for one in recordings for name in one.keypoint_names})
    if unknown:
        raise ValueError(f"rename has {unknown[0]!r}, a keypoint that no recording has")
    return [_clean_one(recording, config) for recording in recordings]


def _clean_one(recording: Recording, config: CleaningConfig) -> Recording:
    if config.resample > 0:
        recording = resample(recording, config.resample)
    if recording.keypoints.ndim == 3:
        if replace(config, resample=0) != CleaningConfig():
            raise ValueError(f"{recording.name} is a series, of which nothing but the rate can be changed")
        return recording
    recording = rename_keypoints(recording, config.renames)
    if config.keypoints:
        recording = keep_keypoints(recording, config.kept)
    keypoints = recording.keypoints
    if config.min_confidence > 0:
        if recording.confidence is None:
            raise ValueError(f"{recording.name} has no confidences, so min_confidence has no use; leave it out")
        keypoints = without_doubtful(keypoints, recording.confidence, config.min_confidence)
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
    """A recording at another rate; frames are counted at that rate.

    A position between two frames lies on the straight line between them, and is missing if one of them is; so with
    the confidence. The first frame stays the first.

    Raises:
        ValueError: its rate is not known, or the other is none.
    """
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"{fps} frames per second are no rate to resample to; give a number above 0")
    if recording.fps is None:
        raise ValueError(f"the frames per second of {recording.name} are not known, so resample needs fps too")
    if recording.fps == fps:
        return recording
    _, total = recording.keypoints.shape[:2]
    at = (np.arange(int((total - 1) * fps / recording.fps + 1e-6) + 1) * recording.fps / fps).round(9)
    before = np.minimum(at.astype(int), total - 1)
    after = np.minimum(before + 1, total - 1)
    share = at - before

    def between(values: np.ndarray) -> np.ndarray:
        part = share.reshape(-1, *[1] * (values.ndim - 2))
        mixed = (1 - part) * values[:, before] + part * values[:, after]
        # on a frame the next one does not matter
        return np.where(part > 0, mixed, values[:, before]).astype(np.float32)

    return replace(
        recording,
        keypoints=between(recording.keypoints),
        confidence=None if recording.confidence is None else between(recording.confidence),
        fps=fps,
        first_frame=round(recording.first_frame * fps / recording.fps),
    )


def rename_keypoints(recording: Recording, renames: Mapping[str, str]) -> Recording:
    """A recording whose keypoints have new names, as far as it has the old ones.

    Raises:
        ValueError: two keypoints would have one name.
    """
    names = [renames.get(name, name) for name in recording.keypoint_names]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"with rename, {recording.name} has more than one keypoint {twice[0]!r}")
    return replace(recording, keypoint_names=names)


def keep_keypoints(recording: Recording, names: Sequence[str]) -> Recording:
    """A recording of some of its keypoints, in the order of `names`.

    Raises:
        ValueError: it lacks one.
    """
    known = recording.keypoint_names
    missing = [name for name in names if name not in known]
    if missing:
        raise ValueError(f"{recording.name} has no keypoint {missing[0]!r} to keep; it has {', '.join(known)}")
    at = [known.index(name) for name in names]
    confidence = None if recording.confidence is None else recording.confidence[:, :, at]
    return replace(
        recording, keypoints=recording.keypoints[:, :, at], confidence=confidence, keypoint_names=list(names)
    )


def without_doubtful(keypoints: np.ndarray, confidence: np.ndarray, least: float) -> np.ndarray:
    """Keypoints (A, T, K, d), NaN where the confidence (A, T, K) is below `least`; NaN is not."""
    return np.where((confidence < least)[..., None], np.float32(np.nan), keypoints)


def without_jumps(keypoints: np.ndarray, limit: float) -> np.ndarray:
    """Keypoints without positions that they cannot have reached.

    A position stays if it lies within `limit` times the frames gone by since the last position that stayed. So a
    track that has jumped away is gone until it comes back, or until the animal could have got there; the first
    position of a keypoint stays. Causal: what comes later changes nothing.

    Args:
        keypoints: (A, T, K, d), any unit; NaN = not tracked.
        limit: same unit per frame; NaN takes nothing out.

    Returns:
        (A, T, K, d), a copy with NaN in all coordinates of what is taken out.
    """
    cleaned = keypoints.copy()
    for a, k in np.ndindex(keypoints.shape[0], keypoints.shape[2]):
        track = keypoints[a, :, k].astype(float)
        frames = np.flatnonzero(np.isfinite(track).all(axis=-1))
        places = track[frames]
        steps = np.linalg.norm(np.diff(places, axis=0), axis=-1)
        last = -1  # of those that stayed, once the first jump was met
        for jump in np.flatnonzero(steps > limit * np.diff(frames)):
            if jump < last:
                continue  # among those already taken out
            last = jump + 1
            while last < len(frames) and _apart(places, jump, last) > limit * (frames[last] - frames[jump]):
                cleaned[a, frames[last], k] = np.nan
                last += 1
    return cleaned


def _apart(places: np.ndarray, i: int, j: int) -> float:
    return float(np.linalg.norm(places[j] - places[i]))


def fill_short_gaps(keypoints: np.ndarray, most: int) -> np.ndarray:
    """Keypoints with gaps of at most `most` frames filled on a straight line; longer ones stay whole.

    Gaps before the first and after the last tracked frame stay. Not causal: a gap's end decides what is in it.

    Args:
        keypoints: (A, T, K, d), any unit; NaN = not tracked.
    """
    filled = keypoints.copy()
    for a, k in np.ndindex(keypoints.shape[0], keypoints.shape[2]):
        track = filled[a, :, k]
        frames = np.flatnonzero(np.isfinite(track).all(axis=-1))
        if len(frames) < 2:
            continue
        gap = np.diff(frames) - 1
        missing = np.setdiff1d(np.arange(frames[0], frames[-1]), frames)
        missing = missing[gap[np.searchsorted(frames, missing) - 1] <= most]
        for coordinate in np.moveaxis(track, -1, 0):
            coordinate[missing] = np.interp(missing, frames, coordinate[frames])
    return filled
