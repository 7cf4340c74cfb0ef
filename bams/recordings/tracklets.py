"""Tracklets, the short tracks into which trackers break an animal's track, joined into individuals.

Axes: A individuals, T frames, K keypoints, d coordinates, I detections: one animal in one frame.
"""

import sys
from collections import deque
from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from bams.features.gaps import observed
from bams.recordings.recording import Recording


def join_individuals(recording: Recording, individuals: int) -> Recording:
    """A recording whose individuals are tracklets, joined into at most `individuals`; unchanged if it has no more."""
    if len(recording.individuals) <= individuals:
        return recording
    frames, tracklets = np.nonzero(observed(recording.keypoints).any(axis=-1).T)
    chosen = join_tracklets(frames, tracklets, recording.keypoints[tracklets, frames], individuals, recording.source)
    length = recording.keypoints.shape[1]
    joined = recording.changed(lambda values: place(values[tracklets, frames], frames, chosen, length))
    return replace(joined, individuals=[f"individual{i}" for i in range(len(joined.keypoints))])


def place(values: np.ndarray, frames: np.ndarray, chosen: np.ndarray, length: int) -> np.ndarray:
    """Values of detections (I, ...) as (A, T, ...) float32, NaN = none; frames and individuals: (I,), -1 = none."""
    placed = np.full((int(chosen.max(initial=0)) + 1, length, *values.shape[1:]), np.nan, np.float32)
    kept = chosen >= 0
    placed[chosen[kept], frames[kept]] = values[kept]
    return placed


def join_tracklets(
    frames: np.ndarray, tracklets: np.ndarray, points: np.ndarray, individuals: int, source: str
) -> np.ndarray:
    """The individual of each detection, (I,) int from 0 in the order in which they are seen first; -1 = dropped.

    Tracklets are assigned in the order in which they begin. An individual is free when its last tracklet has ended. A
    tracklet goes to the free individual that was last seen nearest; one that was never seen is taken only if there is
    no other. If more tracklets begin than individuals are free, the longest are assigned first; the others wait for
    an individual to become free, and lose their frames before that.

    Args:
        frames, tracklets: (I,) int, from 0, of each detection.
        points: (I, K, d), any unit; NaN = not tracked, but at least one keypoint is.
        source: the file, for the message on stderr that says how many detections are dropped.
    """
    chosen = np.full(len(frames), -1)
    if not len(frames):
        return chosen
    centres = np.nanmean(points, axis=1)
    order = np.lexsort((frames, tracklets))
    # a tracklet is an array of the indices of its detections
    found = np.split(order, np.flatnonzero(np.diff(tracklets[order])) + 1)
    coming = deque(sorted(found, key=lambda tracklet: frames[tracklet[0]]))
    last_frames, last_centres = np.full(individuals, -1), np.full((individuals, centres.shape[1]), np.nan)
    waiting: list[np.ndarray] = []
    # something can be assigned only when a tracklet begins, or in the frame after one has ended
    for frame in sorted({int(f) for each in found for f in (frames[each[0]], frames[each[-1]] + 1)}):
        while coming and frames[coming[0][0]] <= frame:
            waiting.append(coming.popleft())
        left = (each[frames[each] >= frame] for each in waiting)
        waiting = sorted((each for each in left if len(each)), key=len, reverse=True)
        free = np.flatnonzero(last_frames < frame)
        beginning, waiting = waiting[: len(free)], waiting[len(free) :]
        starts = centres[[tracklet[0] for tracklet in beginning]]
        costs = np.linalg.norm(starts[:, None] - last_centres[free], axis=-1)
        costs = np.where(np.isnan(costs), np.nansum(costs) + 1, costs)  # never seen: dearer than all others
        for i, j in zip(*linear_sum_assignment(costs), strict=True):
            last = beginning[i][-1]
            chosen[beginning[i]] = free[j]
            last_frames[free[j]], last_centres[free[j]] = frames[last], centres[last]
    if dropped := int((chosen < 0).sum()):
        said = f"dropped {dropped} of {len(chosen)} detections: all animals were taken in these frames"
        print(f"{source}: {said}", file=sys.stderr)
    by_time = chosen[np.lexsort((tracklets, frames))]
    seen = list(dict.fromkeys(by_time[by_time >= 0]))
    number = np.full(individuals + 1, -1)  # the last entry is for -1
    number[seen] = np.arange(len(seen))
    return number[chosen]
