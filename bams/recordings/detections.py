"""Detections of animals by a tracker and labels made by hand, of which one stands for each animal in each frame."""

import sys
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

# frames of one animal labelled by hand, from which on the labels are tracks although they are in no track
PROOFREAD = 100


@dataclass
class Detection:
    """One animal in one frame: its keypoints (K, d) with scores (K,), NaN = not tracked, or labelled by hand."""

    frame: int
    track: int  # number of its track in the project; -1 = in no track
    points: np.ndarray
    scores: np.ndarray
    by_hand: bool
    linked: bool  # to the prediction that it corrects, which is left out
    score: float

    @property
    def centre(self) -> np.ndarray:
        return np.nanmean(self.points, axis=0)


def within_tracked_frames(found: list[Detection], source: str) -> list[Detection]:
    """Without labels made by hand that are scattered outside the tracked frames; ValueError if nothing is tracked."""
    by_hand = np.unique([one.frame for one in found if one.by_hand])
    predicted = [one.frame for one in found if not one.by_hand or one.linked]
    proofread = all(one.by_hand for one in found)
    if proofread:
        frames = _dense(by_hand)
        first, last = frames[[0, -1]] if len(frames) else (0, 0)
    else:
        first, last = -_reach(-by_hand[::-1], -min(predicted)), _reach(by_hand, max(predicted))
    kept = [one for one in found if first <= one.frame <= last]
    if proofread:
        in_tracks = sum(one.track >= 0 for one in kept) > len(kept) / 2
        if len(frames) < max(2, len(by_hand) / 2) or not (in_tracks or len(frames) >= PROOFREAD):
            said = f"it holds no predictions ({len(found)} labels made by hand)"
            raise ValueError(f"{said}; run inference and give its file, or label all frames and put them in tracks")
    why = f"they are labelled by hand outside the tracked frames, {first} to {last}"
    say_dropped(source, len(found) - len(kept), len(found), why)
    return kept


def _dense(frames: np.ndarray) -> np.ndarray:
    """The part of these ascending frames in which most follow the one before, after cuts at the longest gaps."""
    while len(frames) > 1 and 2 * np.sum(np.diff(frames) == 1) < frames[-1] - frames[0]:
        cut = np.argmax(np.diff(frames)) + 1
        frames = max(frames[:cut], frames[cut:], key=len)
    return frames


def _reach(frames: np.ndarray, start: int) -> int:
    """The last of the frames, ascending, up to which most of those from `start` on follow the one before."""
    frames = np.append(start, frames[frames > start])
    follow = np.append(0, np.cumsum(np.diff(frames) == 1))
    return int(frames[2 * follow > frames - start].max(initial=start))


def one_for_each_animal(found: list[Detection], individuals: int | None, source: str) -> list[Detection]:
    """Without predictions of animals that are labelled by hand in the same frame; one detection of a track in a frame.

    The order is that of the frames, and in a frame labels made by hand come first.
    """
    by_frame = defaultdict(list)
    for one in found:
        by_frame[one.frame].append(one)
    present = {one.track for one in found} - {-1}
    most = max(sum(not one.by_hand for one in each) for each in by_frame.values())
    animals = individuals or len(present) or most
    kept, worse = [], 0
    for each in by_frame.values():
        if any(one.by_hand for one in each):
            each = _labelled(each, animals)
            if len(each) == len(present) == 1 and individuals in (None, 1):  # nobody else can be there
                each[0].track = min(present)
        each = sorted(each, key=lambda one: (one.by_hand, one.score, np.nansum(one.scores)), reverse=True)
        best = {one.track: one for one in reversed(each) if one.track >= 0}
        best = [one for one in each if one.track < 0 or best[one.track] is one]
        kept += best
        worse += len(each) - len(best)
    say_dropped(source, worse, len(found), "the same track has a better one in the same frame")
    return kept


def _labelled(animals: list[Detection], count: int) -> list[Detection]:
    """The detections of a frame without the predictions that labels made by hand correct.

    A label in no track corrects the prediction on which it lies, within half a body length. If there would be more than
    `count` animals in the frame, labels correct the nearest predictions.
    """
    by_hand = [one for one in animals if one.by_hand]
    labelled, tracked = {one.track for one in by_hand} - {-1}, {one.track for one in animals if not one.by_hand} - {-1}
    predicted = [one for one in animals if not one.by_hand and one.track not in labelled]
    left = [one for one in by_hand if not one.linked and one.track not in tracked]
    if not (left and predicted):
        return by_hand + predicted
    distances = np.array([[np.linalg.norm(one.centre - other.centre) for other in predicted] for one in left])
    lengths = [np.linalg.norm(np.nanmax(one.points, axis=0) - np.nanmin(one.points, axis=0)) for one in left]
    pairs = sorted(zip(*linear_sum_assignment(distances), strict=True), key=lambda pair: distances[pair])
    too_many, corrected = len(by_hand) + len(predicted) - count, set()
    for i, j in pairs:
        loose = left[i].track < 0
        if (loose and distances[i, j] <= lengths[i] / 2) or len(corrected) < too_many:
            left[i].track = predicted[j].track if loose else left[i].track
            corrected.add(j)
    return by_hand + [one for j, one in enumerate(predicted) if j not in corrected]


def say_dropped(source: str, dropped: int, of: int, why: str) -> None:
    """Say on stderr how many detections of a file are dropped, if any."""
    if dropped:
        print(f"{source}: dropped {dropped} of {of} detections: {why}", file=sys.stderr)
