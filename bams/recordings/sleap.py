"""SLEAP's files: `.slp` through sleap-io, and `.analysis.h5`.

Axes: A individuals, T frames, K keypoints, d coordinates, I sightings: one animal in one frame.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from bams.recordings.fragments import Sightings, join_fragments, place
from bams.recordings.readers import as_float32, as_names, json_names, open_hdf5
from bams.recordings.recording import Recording
from bams.storage.arrays import check_size
from bams.storage.files import optional

# as SLEAP writes it, and as it does untransposed; sleap-io has others, and names them
LAYOUTS = (("track", "xy", "node", "frame"), ("frame", "node", "xy", "track"))


def read_slp(path: Path, individuals: int | None = None) -> list[Recording]:
    """Predictions of a `.slp`, a recording for each of its videos; corrections by hand replace what they correct.

    Args:
        path: the file.
        individuals: join tracks, and animals that are in no track, into at most so many individuals; without it
            each track is an individual.
    """
    with open_hdf5(path):
        pass  # refuses what would take all memory
    labels = optional("sleap_io").load_slp(str(path.absolute()), open_videos=False)
    frames = [frame for frame in labels if frame.instances]
    if not any(frame.predicted_instances for frame in frames):
        by_hand = sum(len(frame.instances) for frame in frames)
        raise ValueError(f"it holds no predictions ({by_hand} labels made by hand); run inference and give its file")
    skeletons = {tuple(skeleton.node_names) for skeleton in labels.skeletons}
    if len(skeletons) != 1:
        raise ValueError(f"it holds {len(skeletons)} skeletons that differ; export each by itself")
    keypoint_names = list(skeletons.pop())
    order = {id(video): i for i, video in enumerate(labels.videos)}
    frames.sort(key=lambda frame: (order[id(frame.video)], frame.frame_idx))
    recordings = []
    for _, group in groupby(frames, key=lambda frame: order[id(frame.video)]):
        of_video = list(group)
        name = path.stem if len(order) == 1 else f"{path.stem}/{_video_name(of_video[0].video)}"
        recordings.append(_of_video(of_video, labels.tracks, keypoint_names, name, path, individuals))
    return recordings


def _of_video(
    frames: Sequence[Any],
    tracks: Sequence[Any],
    keypoint_names: list[str],
    name: str,
    path: Path,
    individuals: int | None,
) -> Recording:
    first = int(frames[0].frame_idx)
    sightings, there = _sightings(frames, tracks, len(keypoint_names))
    loose = int((sightings.fragments >= len(there)).sum())
    if individuals is not None and (loose or len(there) > individuals):
        chosen, names = join_fragments(sightings, individuals, str(path)), None
    elif there:
        chosen, names = np.where(sightings.fragments < len(there), sightings.fragments, -1), there
        if loose:
            print(f"{path}: left out {loose} animals in no track; individuals=N joins them", file=sys.stderr)
    elif len(np.unique(sightings.frames)) == len(sightings.frames):
        chosen, names = np.zeros(len(sightings.frames), int), None
    else:
        raise ValueError("its animals are in no tracks; track them in SLEAP, or give individuals=N to join them")
    count, length = int(chosen.max(initial=0)) + 1, int(frames[-1].frame_idx) - first + 1
    try:
        check_size((count, length, *sightings.points.shape[1:]), path)
    except ValueError as error:
        raise ValueError(f"{error}; if its {count} tracks are fragments, give individuals=N to join them") from error
    keypoints, confidence = place(sightings, chosen, length)
    return Recording(
        name=name,
        keypoints=keypoints,
        confidence=confidence,
        individuals=names or [f"individual{i}" for i in range(count)],
        keypoint_names=keypoint_names,
        fps=frames[0].video.fps,
        path=path,
        first_frame=first,
    )


def _sightings(frames: Sequence[Any], tracks: Sequence[Any], keypoints: int) -> tuple[Sightings, list[str]]:
    """All animals of a video's frames, and its tracks' names; who is in no track is a fragment of its own."""
    order = {id(track): i for i, track in enumerate(tracks)}
    found = []
    for frame in frames:
        # those made by hand come later, and so replace others
        for animal in (*frame.unused_predictions, *frame.user_instances):
            if not np.isnan(points := animal.numpy()).any(axis=1).all():
                found.append((int(frame.frame_idx), order.get(id(_track(animal)), -1), points, _scores(animal)))
    if not found:
        raise ValueError("it holds no predictions: no keypoint of any animal is tracked")
    numbers, fragments, points, scores = map(list, zip(*found, strict=True))
    there = sorted(set(fragments) - {-1})
    names = _unique([tracks[i].name or f"track{i}" for i in there])
    place_of = {track: i for i, track in enumerate(there)}
    loose = iter(range(len(there), len(there) + len(found)))
    fragments = [next(loose) if track < 0 else place_of[track] for track in fragments]
    shape = (len(found), keypoints)
    return Sightings(
        np.array(numbers) - int(frames[0].frame_idx),
        np.array(fragments),
        as_float32(np.array(points).reshape(*shape, -1)),
        as_float32(np.array(scores).reshape(shape)),
    ), names


def _track(animal: Any) -> Any:
    """The track; a correction made by hand is in that of what it corrects."""
    return animal.track or getattr(animal.from_predicted, "track", None)


def _scores(animal: Any) -> np.ndarray:
    points = animal.points
    return points["score"] if "score" in points.dtype.names else np.full(len(points), np.nan)


def _unique(names: list[str]) -> list[str]:
    counts = Counter(names)
    return [name if counts[name] == 1 else f"{name}_{i}" for i, name in enumerate(names)]


def _video_name(video: Any) -> str:
    filename = video.filename
    return Path((filename if isinstance(filename, str) else filename[0]).replace("\\", "/")).stem


def read_analysis(path: Path) -> Recording:
    """Tracks of an `.analysis.h5`, in any of the orders of axes that SLEAP and sleap-io write."""
    with open_hdf5(path) as file:
        if "node_names" not in file:
            raise ValueError("it has no node_names; export it again from SLEAP")
        keypoint_names = as_names(file["node_names"][()])
        tracks = as_names(file["track_names"][()]) if "track_names" in file else []
        axes = _layout(file["tracks"], len(keypoint_names), len(tracks))
        wanted = ("track", "frame", "node", "xy")
        keypoints = as_float32(file["tracks"][()].transpose([axes.index(axis) for axis in wanted]))
        confidence = None
        if "point_scores" in file:
            axes = tuple(axis for axis in axes if axis != "xy")
            scores = file["point_scores"][()].transpose([axes.index(axis) for axis in wanted[:3]])
            confidence = as_float32(scores)
    return Recording(
        name=path.stem.removesuffix(".analysis"),
        keypoints=keypoints,
        confidence=confidence,
        individuals=_unique(tracks) or [f"individual{i}" for i in range(len(keypoints))],
        keypoint_names=keypoint_names,
        path=path,
    )


def _layout(dataset: Any, nodes: int, tracks: int) -> tuple[str, ...]:
    named = json_names(dataset.attrs.get("dims", ""))
    for axes in (named,) if sorted(named) == sorted(LAYOUTS[0]) else LAYOUTS:
        sizes = dict(zip(axes, dataset.shape, strict=True))
        if sizes["xy"] == 2 and sizes["node"] == nodes and sizes["track"] in (tracks or sizes["track"],):
            return axes
    raise ValueError(f"its tracks have axes {dataset.shape}, which do not fit {nodes} nodes and {tracks} tracks")
