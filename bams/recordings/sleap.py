"""Files of SLEAP: `.slp` through sleap-io, and `.analysis.h5`.

Axes: A individuals, T frames, K keypoints, d coordinates, I detections: one animal in one frame.
"""

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from bams.recordings.detections import Detection, one_for_each_animal, say_dropped, within_tracked_frames
from bams.recordings.frames import as_float32, as_names, as_text
from bams.recordings.recording import Recording, listed
from bams.recordings.tracklets import join_tracklets, place
from bams.storage.arrays import check_size
from bams.storage.files import optional

AXES = ("track", "frame", "node", "xy")
# the orders of axes that SLEAP and sleap-anipose write, each also the other way round, as MATLAB shows and writes them
ANIPOSE = (("frame", "track", "node", "xy"), ("xy", "node", "track", "frame"))
LAYOUTS = (("track", "xy", "node", "frame"), ("frame", "node", "xy", "track"), *ANIPOSE)


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
    kinds = {tuple(sorted(skeleton.node_names)) for skeleton in skeletons.values()}
    if len(kinds) > 1:
        raise ValueError(f"it holds {len(kinds)} different skeletons; export each by itself")
    nodes = next((skeleton.node_names for skeleton in skeletons.values()), [])
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
    animals = one_for_each_animal(within_tracked_frames(found, source), individuals, source)
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
        say_dropped(source, int(loose.sum()), len(loose), "they are in no track; individuals=N joins them")
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
