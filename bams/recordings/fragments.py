"""Fragments of tracks, as trackers leave them, joined into individuals.

Axes: A individuals, T frames, K keypoints, d coordinates, I sightings: one animal in one frame.
"""

import sys
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from bams.recordings.recording import Recording


class Sightings(NamedTuple):
    """Animals, each in one frame.

    frames: (I,) int; fragments: (I,) int from 0, sightings of one fragment; points: (I, K, d) float32, NaN = not
    tracked, but not in all keypoints; confidence: (I, K) float32, NaN = not given.
    """

    frames: np.ndarray
    fragments: np.ndarray
    points: np.ndarray
    confidence: np.ndarray


def join_individuals(recording: Recording, individuals: int) -> Recording:
    """A recording whose individuals are fragments, joined into at most so many; as it is if they are no more.

    Args:
        recording: A individuals, each in some of the frames.
        individuals: animals that there are, at least 1.
    """
    if len(recording.individuals) <= individuals:
        return recording
    tracked = np.isfinite(recording.keypoints).all(axis=-1).any(axis=-1)
    frames, fragments = np.nonzero(tracked.T)
    confidence = recording.confidence
    if confidence is None:
        confidence = np.full(recording.keypoints.shape[:3], np.nan, np.float32)
    sightings = Sightings(frames, fragments, recording.keypoints[fragments, frames], confidence[fragments, frames])
    chosen = join_fragments(sightings, individuals, str(recording.path or recording.name))
    keypoints, confidence = place(sightings, chosen, recording.keypoints.shape[1])
    return replace(
        recording,
        keypoints=keypoints,
        confidence=None if recording.confidence is None else confidence,
        individuals=[f"individual{i}" for i in range(len(keypoints))],
    )


def place(sightings: Sightings, chosen: np.ndarray, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Sightings as arrays.

    Args:
        sightings: I, with frames from 0.
        chosen: (I,) int, the individual of each, -1 = none.
        frames: T.

    Returns:
        keypoints (A, T, K, d) and confidence (A, T, K), float32; NaN = not tracked, not given.
    """
    shape = (int(chosen.max(initial=0)) + 1, frames, *sightings.points.shape[1:])
    keypoints, confidence = np.full(shape, np.nan, np.float32), np.full(shape[:3], np.nan, np.float32)
    kept = chosen >= 0
    at = chosen[kept], sightings.frames[kept]
    keypoints[at], confidence[at] = sightings.points[kept], sightings.confidence[kept]
    return keypoints, confidence


def join_fragments(sightings: Sightings, individuals: int, source: str) -> np.ndarray:
    """Which individual each sighting is of.

    Fragments are taken as they begin. An individual is free when its last fragment has ended; a fragment goes to
    the free one that was last seen nearest, and to one not seen yet only where there is no other. Of more
    fragments than are free the longest go first; the others wait, and lose what is before somebody is free.

    Args:
        sightings: I.
        individuals: at most so many.
        source: file, for the notice on stderr of how many are left out.

    Returns:
        (I,) int from 0, -1 = left out.
    """
    chosen = np.full(len(sightings.frames), -1)
    if not len(chosen):
        return chosen
    centres = np.nanmean(sightings.points, axis=1)
    order = np.lexsort((sightings.frames, sightings.fragments))
    rows = np.split(order, np.flatnonzero(np.diff(sightings.fragments[order])) + 1)
    rows.sort(key=lambda each: sightings.frames[each[0]])
    last_frames, last_centres = np.full(individuals, -1), np.full((individuals, centres.shape[1]), np.nan)
    waiting: list[np.ndarray] = []
    moments = sorted({int(sightings.frames[each[i]]) + late for each in rows for i, late in ((0, 0), (-1, 1))})
    arrived = 0
    for moment in moments:
        while arrived < len(rows) and sightings.frames[rows[arrived][0]] <= moment:
            waiting.append(rows[arrived])
            arrived += 1
        waiting = [left for each in waiting if len(left := each[sightings.frames[each] >= moment])]
        free = np.flatnonzero(last_frames < moment)
        waiting.sort(key=len, reverse=True)
        for fragment, who in _nearest(waiting[: len(free)], free, centres, last_centres):
            chosen[fragment] = who
            last_frames[who], last_centres[who] = sightings.frames[fragment[-1]], centres[fragment[-1]]
        waiting = waiting[len(free) :]
    if (out := int((chosen < 0).sum())) > 0:
        print(f"{source}: left out {out} of {len(chosen)} sightings, beside {individuals} others", file=sys.stderr)
    by_time = chosen[np.lexsort((sightings.fragments, sightings.frames))]
    used = list(dict.fromkeys(by_time[by_time >= 0].tolist()))  # numbered as they are seen first
    renumbered = np.full(individuals + 1, -1)  # the last, at -1, stays
    renumbered[used] = np.arange(len(used))
    return renumbered[chosen]


def _nearest(
    fragments: list[np.ndarray], free: np.ndarray, centres: np.ndarray, last_centres: np.ndarray
) -> list[tuple[np.ndarray, int]]:
    """Fragments, each with the free individual it goes to: all distances together are the least."""
    if not fragments:
        return []
    starts = np.stack([centres[fragment[0]] for fragment in fragments])
    costs = np.linalg.norm(starts[:, None] - last_centres[free][None], axis=-1)
    costs = np.where(np.isnan(costs), np.nansum(costs) + 1, costs)  # not seen yet: dearer than all others
    return [(fragments[i], int(free[j])) for i, j in zip(*linear_sum_assignment(costs), strict=True)]
