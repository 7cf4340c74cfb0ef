"""Files of SLEAP: `.slp` through sleap-io, and `.analysis.h5`.

Axes: A individuals, T frames, K keypoints, d coordinates, I detections: one animal in one frame.
"""

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from bams.recordings.frames import as_float32, as_names, as_text
from bams.recordings.recording import Recording, listed
from bams.recordings.tracklets import join_tracklets, place
from bams.storage.arrays import check_size
from bams.storage.files import optional

AXES = ("track", "frame", "node", "xy")
# the orders of axes that SLEAP and sleap-anipose write, each also the other way round, as MATLAB shows and writes them
ANIPOSE = (("frame", "track", "node", "xy"), ("xy", "node", "track", "frame"))
LAYOUTS = (("track", "xy", "node", "frame"), ("frame", "node", "xy", "track"), *ANIPOSE)
PROOFREAD = 100  # frames labelled by hand in a row, from which on labels in no track are more than training labels


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


def read_slp(path: Path, individuals: int | None = None) -> list[Recording]:
    """Tracks of a `.slp`, one recording per video; a label made by hand replaces the prediction of the same animal.

    Labels made by hand are also read outside the predicted frames, and in videos without predictions, where they are in
    most frames, as in proofread files. Without `individuals` each track is an individual; with it, tracks and
    detections in no track are joined. stderr says which videos and detections are left out.
    """
    labels = optional("sleap_io").load_slp(str(path.absolute()), open_videos=False)
    by_video = defaultdict(list)
    for frame in labels:
        by_video[id(frame.video)] += [(int(frame.frame_idx), instance) for instance in frame.instances]
    skeletons = {id(instance.skeleton): instance.skeleton for found in by_video.values() for _, instance in found}
    nodes = next((skeleton.node_names for skeleton in skeletons.values()), [])
    if any(sorted(skeleton.node_names) != sorted(nodes) for skeleton in skeletons.values()):
        raise ValueError(f"it holds {len(skeletons)} different skeletons; export each by itself")
    orders = {key: [skeleton.index(node) for node in nodes] for key, skeleton in skeletons.items()}
    recordings, unread = [], defaultdict(list)
    for video, name in zip(labels.videos, _video_names(labels.videos), strict=True):
        whole_name = path.stem if len(labels.videos) == 1 else f"{path.stem}/{name}"
        source = str(path) if len(labels.videos) == 1 else f"{path}, video {name}"
        try:
            found = _detections(by_video[id(video)], labels.tracks, orders)
            keypoints, confidence, names, first = _tracks(found, labels.tracks, individuals, source, path)
        except ValueError as error:
            unread[str(error)].append(name)
        else:
            recordings.append(Recording(whole_name, keypoints, confidence, names, nodes, video.fps, path, first))
    if not recordings:
        raise ValueError(listed(list(unread), "; and ") or "it holds no video")
    for reason, names in unread.items():
        print(f"{path}: left out the video {listed(names)}: {reason}", file=sys.stderr)
    return recordings


def _video_names(videos: Sequence[Any]) -> list[str]:
    """Names of the videos' files, with as many of the folders before them as are needed to tell them apart."""
    paths = []
    for video in videos:
        while video.source_video is not None:  # of images in a .pkg.slp
            video = video.source_video
        file = PureWindowsPath(video.filename if isinstance(video.filename, str) else video.filename[0])
        paths.append((*file.parent.parts, file.stem))
    ends = [["/".join(path[-depth:]) for depth in range(1, len(path) + 1)] for path in paths]
    counts = Counter(end for each in ends for end in each)
    return _different([next((end for end in each if counts[end] == 1), each[0]) for each in ends])


def _detections(
    instances: Sequence[tuple[int, Any]], tracks: Sequence[Any], orders: Mapping[int, list[int]]
) -> list[Detection]:
    """Instances of sleap-io and their frames as detections, without the predictions that a linked label corrects.

    `orders` hold the order of the keypoints by the id of each skeleton.
    """
    track_of = {id(track): i for i, track in enumerate(tracks)}
    corrected = {id(instance.from_predicted) for _, instance in instances}
    found = []
    for frame, instance in instances:
        order = orders[id(instance.skeleton)]
        points, given = instance.numpy()[order], instance.points[order]
        if id(instance) not in corrected and np.isfinite(points).all(axis=1).any():
            by_hand = not hasattr(instance, "score")
            # a correction without a track belongs to the track of what it corrects
            track = instance.track or getattr(instance.from_predicted, "track", None)
            linked = instance.from_predicted is not None
            scores = np.full(len(points), np.nan) if by_hand else given["score"]
            score = -1.0 if by_hand else max(-1.0, float(instance.score))  # the first, if the score is NaN
            found.append(Detection(frame, track_of.get(id(track), -1), points, scores, by_hand, linked, score))
    if instances and not found:
        raise ValueError("no keypoint of any animal is tracked")
    return sorted(found, key=lambda one: one.frame)


def _tracks(
    found: list[Detection], tracks: Sequence[Any], individuals: int | None, source: str, path: Path
) -> tuple[np.ndarray, np.ndarray | None, list[str], int]:
    """Keypoints and confidence of a video, the names of its individuals, and its first frame."""
    animals = _one_for_each_animal(_in_tracked_frames(found, source), individuals, source)
    frames, track_of = np.array([(one.frame, one.track) for one in animals]).T
    points, scores = (as_float32(np.array([getattr(one, kind) for one in animals])) for kind in ("points", "scores"))
    first = int(frames.min())
    frames, length = frames - first, int(np.ptp(frames)) + 1
    if length < 2:
        raise ValueError("it holds 1 frame, and movement needs several")
    loose = track_of < 0
    present, tracklets = np.unique(track_of[~loose]), np.empty_like(track_of)
    names = _different([tracks[i].name or f"track{i}" for i in present])
    tracklets[~loose] = np.searchsorted(present, track_of[~loose])
    tracklets[loose] = len(names) + np.arange(loose.sum())  # each is a tracklet of its own
    if individuals is not None and (loose.any() or len(names) > individuals):
        chosen, names = join_tracklets(frames, tracklets, points, individuals, source), []
    elif names:
        chosen = np.where(loose, -1, tracklets)
        _say_dropped(source, int(loose.sum()), len(loose), "they are in no track; individuals=N joins them")
    elif len(np.unique(frames)) == len(frames):  # one animal
        chosen = np.zeros(len(frames), int)
    else:
        raise ValueError("its animals are in no tracks; track them in SLEAP, or give individuals=N to join them")
    count = int(chosen.max(initial=0)) + 1
    try:
        check_size((count, length, *points.shape[1:]), path)
    except ValueError as error:
        raise ValueError(f"{error}; if its {count} tracks are tracklets, individuals=N joins them") from error
    keypoints, confidence = (place(values, frames, chosen, length) for values in (points, scores))
    names = names or [f"individual{i}" for i in range(count)]
    return keypoints, None if np.isnan(confidence).all() else confidence, names, first


def _say_dropped(source: str, dropped: int, of: int, why: str) -> None:
    if dropped:
        print(f"{source}: dropped {dropped} of {of} detections: {why}", file=sys.stderr)


def _in_tracked_frames(found: list[Detection], source: str) -> list[Detection]:
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
    _say_dropped(source, len(found) - len(kept), len(found), why)
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


def _one_for_each_animal(found: list[Detection], individuals: int | None, source: str) -> list[Detection]:
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
    _say_dropped(source, worse, len(found), "the same track has a better one in the same frame")
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


def _different(names: list[str]) -> list[str]:
    """Names of which those that occur more than once are numbered."""
    counts = Counter(names)
    return [name if counts[name] == 1 else f"{name}_{i}" for i, name in enumerate(names)]


def read_analysis(path: Path) -> Recording:
    """Tracks of an `.analysis.h5`, with its axes in any of the orders that SLEAP, sleap-io and sleap-anipose write.

    sleap-anipose gives three coordinates and no names.
    """
    with optional("h5py").File(path) as file:
        nodes, tracks = (as_names(file[name][()]) if name in file else [] for name in ("node_names", "track_names"))
        axes = _layout(file["tracks"], len(nodes), len(tracks))
        keypoints = as_float32(file["tracks"][()].transpose([axes.index(axis) for axis in AXES]))
        confidence = None
        if "point_scores" in file:
            axes = [axis for axis in axes if axis != "xy"]
            confidence = as_float32(file["point_scores"][()].transpose([axes.index(axis) for axis in AXES[:3]]))
    names = _different(tracks) or [f"individual{i}" for i in range(len(keypoints))]
    nodes = nodes or [f"keypoint{i}" for i in range(keypoints.shape[2])]
    return Recording(path.stem.removesuffix(".analysis"), keypoints, confidence, names, nodes, path=path)


def _layout(dataset: Any, nodes: int, tracks: int) -> Sequence[str]:
    """The order of the axes; of those that fit, the one with most frames. Nodes or tracks are 0 without their names."""
    named = json.loads(as_text(dataset.attrs.get("dims", "[]")))
    fitting = {}
    for axes in [named] if sorted(named) == sorted(AXES) else LAYOUTS if nodes else ANIPOSE:
        sizes = dict(zip(axes, dataset.shape, strict=True))
        as_named = sizes["node"] == (nodes or sizes["node"]) and sizes["track"] == (tracks or sizes["track"])
        if as_named and sizes["xy"] in ((2, 3) if nodes else (3,)):
            fitting.setdefault(sizes["frame"], axes)
    if not fitting:
        found = " x ".join(map(str, dataset.shape))
        raise ValueError(f"its tracks have axes {found}, which do not fit {nodes} node_names and {tracks} track_names")
    return fitting[max(fitting)]
