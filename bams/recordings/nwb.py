"""NWB files with the poses of ndx-pose, read by pynwb."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from bams.recordings.frames import as_float32, by_frame, by_time
from bams.recordings.recording import Recording
from bams.storage.files import optional

POSE = "PoseEstimation"  # ndx-pose: the tracks of one individual in one video


def read_nwb(path: Path) -> list[Recording]:
    """One recording per video and skeleton, with an individual for each `PoseEstimation`.

    Times may be given as a rate or as timestamps; the first is frame 0. An individual has the name of its subject where
    the file gives one to each, else that of its `PoseEstimation`.
    """
    optional("ndx_pose")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the file holds other versions of its extensions than are installed
        with optional("pynwb").NWBHDF5IO(str(path), "r", load_namespaces=True) as opened:
            content = opened.read()
            groups: dict[object, list[Any]] = {}
            for one in content.objects.values():
                if one.neurodata_type == POSE:
                    groups.setdefault((_videos(one), tuple(_keypoints(one))), []).append(one)
            if not groups:
                raise ValueError("it is an NWB file without a PoseEstimation (of ndx-pose), so it holds no tracks")
            found = []
            for (videos, _), poses in groups.items():
                label = Path(videos[0].replace("\\", "/")).stem if videos and len(poses) > 1 else poses[0].name
                name = path.stem if len(groups) == 1 else f"{path.stem}/{label}"
                found.append(_recording(poses, name, path, content.subject))
            return found


def _videos(pose: Any) -> tuple[str, ...]:
    given = getattr(pose, "original_videos", None)
    return () if given is None else tuple(map(str, given[:]))


def _keypoints(pose: Any) -> list[str]:
    """Names of the keypoints, in the order of the skeleton where that has the same ones."""
    series, skeleton = list(pose.pose_estimation_series), getattr(pose, "skeleton", None)
    nodes = [] if skeleton is None else [str(node) for node in skeleton.nodes[:]]
    return nodes if sorted(nodes) == sorted(series) else series


def _recording(poses: list[Any], name: str, path: Path, subject: Any) -> Recording:
    keypoints = _keypoints(poses[0])
    rates = {series.rate for pose in poses for series in pose.pose_estimation_series.values()}
    times = {(i, k): _times(pose[k]) for i, pose in enumerate(poses) for k in keypoints}
    every = np.unique(np.concatenate(list(times.values())))
    numbers, fps = by_time(every, rates.pop() if len(rates) == 1 else None)
    values = np.full((len(every), len(poses), len(keypoints), 4), np.nan, np.float32)  # x, y, z, confidence
    for (i, k), at in times.items():
        series, cells = poses[i][k], values[np.searchsorted(every, at), i, keypoints.index(k)]
        data = as_float32(series.data[:]) * series.conversion + series.offset
        cells[:, : data.shape[1]] = data
        if getattr(series, "confidence", None) is not None:
            cells[:, 3] = series.confidence[:]
        values[np.searchsorted(every, at), i, keypoints.index(k)] = cells
    _, values = by_frame(numbers, values, path)
    values = values.swapaxes(0, 1)
    axes, sure = data.shape[1], values[..., 3]
    subjects = [getattr(getattr(pose, "skeleton", None), "subject", None) for pose in poses]
    if len(poses) == 1:
        subjects = [subjects[0] or subject]
    individuals = [str(one.subject_id) for one in subjects if one is not None and one.subject_id]
    if len(set(individuals)) < len(poses):
        individuals = [pose.name for pose in poses]
    return Recording(
        name, values[..., :axes], None if np.isnan(sure).all() else sure, individuals, keypoints, fps, path
    )


def _times(series: Any) -> np.ndarray:
    """The time of each frame in seconds, to the microsecond."""
    if series.rate is None:
        times = np.asarray(series.timestamps[:], float)
    else:
        times = series.starting_time + np.arange(len(series.data)) / series.rate
    if (np.diff(times) <= 0).any():
        raise ValueError(f"the times of {series.name} do not increase")
    return times.round(6)
