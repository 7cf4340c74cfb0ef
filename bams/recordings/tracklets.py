"""Tracklets, the short tracks into which trackers break an animal's track, joined into individuals.

Axes: A individuals, T frames, K keypoints, d coordinates, I detections: one animal in one frame.
"""

import sys
from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from bams.features.gaps import observed
from bams.recordings.recording import Recording

SHARED = 0.1  # of a tracklet's frames, those that it may share with the other tracklets of its individual


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

    Frame by frame, tracklets that begin go to the individuals that were last seen nearest and are free: nobody is there
    in this frame, nor in more than a tenth of the frames in which the tracklet goes on. So an individual is free in the
    gaps of its tracklet too, and tracklets that take turns are joined. An individual that was never seen is taken if
    there is no other, except those in a gap that were last seen more than a body length away: they are taken last. If
    more tracklets begin than individuals are free, the longest are assigned first; the others wait for an individual to
    become free, and lose their frames before that.

    Args:
        frames, tracklets: (I,) int, from 0, of each detection; a tracklet has one detection in a frame.
        points: (I, K, d), any unit; NaN = not tracked, but at least one keypoint is.
        source: the file, for the message on stderr that says how many detections are dropped.
    """
    chosen = np.full(len(frames), -1)
    if not len(frames):
        return chosen
    centres = np.nanmean(points, axis=1)
    body_length = np.median(np.linalg.norm(np.nanmax(points, axis=1) - np.nanmin(points, axis=1), axis=-1))
    _, times = np.unique(frames, return_inverse=True)
    # a tracklet is an array of the indices of its detections, and so is a frame
    by_tracklet, by_time = np.lexsort((times, tracklets)), np.lexsort((tracklets, times))
    rest_of = {}  # the detections of the tracklet from this one on
    for each in np.split(by_tracklet, np.flatnonzero(np.diff(tracklets[by_tracklet])) + 1):
        rest_of |= {first: each[i:] for i, first in enumerate(each)}
    taken = np.zeros((individuals, times.max() + 1), bool)
    last, ends = np.full((2, individuals), -1)  # the detection in which each was last seen; the last time it is taken
    for time, here in enumerate(np.split(by_time, np.flatnonzero(np.diff(times[by_time])) + 1)):
        new, free = here[chosen[here] < 0], np.flatnonzero(~taken[:, time])
        if len(new) and len(free):
            rests = [rest_of[first] for first in new]
            distances = np.linalg.norm(centres[new][:, None] - centres[last[free]], axis=-1)
            distances[:, last[free] < 0] = np.nan
            far = (ends[free] > time) & (distances > body_length)
            fits = np.array([taken[np.ix_(free, times[rest])].mean(axis=1) <= SHARED for rest in rests])
            for i, j in _pairs(distances, far, fits, [len(rest) for rest in rests]):
                who, rest = free[j], rests[i][~taken[free[j], times[rests[i]]]]
                chosen[rest], taken[who, times[rest]] = who, True
                ends[who] = max(ends[who], times[rest[-1]])
        seen = here[chosen[here] >= 0]
        last[chosen[seen]] = seen
    if dropped := int((chosen < 0).sum()):
        said = f"dropped {dropped} of {len(chosen)} detections: their tracklets overlap with those of all animals"
        print(f"{source}: {said}", file=sys.stderr)
    seen = list(dict.fromkeys(chosen[by_time][chosen[by_time] >= 0]))
    number = np.full(individuals + 1, -1)  # the last entry is for -1
    number[seen] = np.arange(len(seen))
    return number[chosen]


def _pairs(distances: np.ndarray, far: np.ndarray, fits: np.ndarray, lengths: list[int]) -> list[tuple[int, int]]:
    """Which tracklet (R) goes to which individual (C): as many as fit, of these the longest, of these the nearest.

    All arrays are (R, C). Individuals that were never seen, with NaN as distance, and then `far` ones are the dearest.
    """
    dear = np.nansum(distances) + 1
    costs = np.where(np.isnan(distances), dear, distances) + 2 * dear * far
    shorter = np.unique(-np.array(lengths), return_inverse=True)[1]
    dearest = 4 * dear * min(costs.shape)
    costs += dearest * shorter[:, None]
    costs[~fits] = dearest * (shorter.max() + 1) * min(costs.shape)
    return [(i, j) for i, j in zip(*linear_sum_assignment(costs), strict=True) if fits[i, j]]
