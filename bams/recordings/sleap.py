"""Files of SLEAP: `.slp` through sleap-io, and `.analysis.h5`.

Axes: A individuals, T frames, K keypoints, d coordinates, I detections: one animal in one frame.
"""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from bams.recordings.frames import as_float32, as_names, as_text
from bams.recordings.recording import Recording
from bams.recordings.tracklets import join_tracklets, place
from bams.storage.arrays import check_size
from bams.storage.files import optional

AXES = ("track", "frame", "node", "xy")
# the orders of axes that SLEAP and sleap-anipose write, each also the other way round, as MATLAB shows and writes them
ANIPOSE = (("frame", "track", "node", "xy"), ("xy", "node", "track", "frame"))
LAYOUTS = (("track", "xy", "node", "frame"), ("frame", "node", "xy", "track"), *ANIPOSE)


def read_slp(path: Path, individuals: int | None = None) -> list[Recording]:
    """Predictions of a `.slp`, one recording per video; labels made by hand replace what they correct.

    Without `individuals` each track is an individual; with it, tracks and detections in no track are joined.
    """
    labels = optional("sleap_io").load_slp(str(path.absolute()), open_videos=False)
    frames = [frame for frame in labels if frame.instances]
    if not any(frame.predicted_instances for frame in frames):
        by_hand = sum(len(frame.instances) for frame in frames)
        raise ValueError(f"it holds no predictions ({by_hand} labels made by hand); run inference and give its file")
    skeletons = {tuple(skeleton.node_names) for skeleton in labels.skeletons}
    if len(skeletons) > 1:
        raise ValueError(f"it holds {len(skeletons)} different skeletons; export each by itself")
    recordings = []
    for video in labels.videos:
        of_video = sorted((frame for frame in frames if frame.video is video), key=lambda frame: frame.frame_idx)
        if of_video:
            file = video.filename if isinstance(video.filename, str) else video.filename[0]
            name = path.stem if len(labels.videos) == 1 else f"{path.stem}/{PureWindowsPath(file).stem}"
            recordings.append(_read_video(of_video, labels, name, path, individuals))
    return recordings


def _read_video(video: Sequence[Any], labels: Any, name: str, path: Path, individuals: int | None) -> Recording:
    frames, tracklets, points, scores, present = _detections(video, labels.tracks)
    names = _different([labels.tracks[i].name or f"track{i}" for i in present])
    first = int(video[0].frame_idx)
    frames, length = frames - first, int(video[-1].frame_idx) - first + 1
    tracked = tracklets < len(names)
    loose = int((~tracked).sum())
    if individuals is not None and (loose or len(names) > individuals):
        chosen, names = join_tracklets(frames, tracklets, points, individuals, str(path)), []
    elif names:
        chosen = np.where(tracked, tracklets, -1)
        if loose:
            said = f"dropped {loose} of {len(tracked)} detections: they are in no track; individuals=N joins them"
            print(f"{path}: {said}", file=sys.stderr)
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
    return Recording(
        name, keypoints, confidence, names, labels.skeletons[0].node_names, video[0].video.fps, path, first
    )


def _detections(video: Sequence[Any], tracks: Sequence[Any]) -> tuple[np.ndarray, ...]:
    """Detections of a video: frames (I,), tracklets (I,), points (I, K, d), scores (I, K); and which tracks it has.

    These tracks are the first tracklets; each detection in no track is a tracklet of its own.
    """
    order = {id(track): i for i, track in enumerate(tracks)}
    found = []
    for frame in video:
        # labels made by hand come last, so that they replace predictions
        for animal in (*frame.unused_predictions, *frame.user_instances):
            points, given = animal.numpy(), animal.points
            if np.isfinite(points).all(axis=1).any():
                # a correction without a track belongs to the track of what it corrects
                track = animal.track or getattr(animal.from_predicted, "track", None)
                scores = given["score"] if "score" in given.dtype.names else np.full(len(points), np.nan)
                found.append((int(frame.frame_idx), order.get(id(track), -1), points, scores))
    if not found:
        raise ValueError("it holds no predictions: no keypoint of any animal is tracked")
    frames, track_of, points, scores = map(np.array, zip(*found, strict=True))
    loose = track_of < 0
    present = np.unique(track_of[~loose])
    tracklets = np.searchsorted(present, track_of)
    tracklets[loose] = len(present) + np.arange(loose.sum())
    return frames, tracklets, as_float32(points), as_float32(scores), present


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
