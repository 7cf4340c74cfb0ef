"""NWB files with the poses of ndx-pose, read by pynwb."""

import warnings
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from bams.recordings.frames import as_float32, by_frame, by_number, by_time, chosen_view
from bams.recordings.recording import Recording
from bams.storage.files import optional

# of ndx-pose: the tracks of one individual in 3-D, from several cameras, or in one video
POSES = ("MultiCameraPoseEstimation", "PoseEstimation")


def read_nwb(path: Path, view: str | None = None) -> list[Recording]:
    """One recording per video and skeleton, with an individual for each `PoseEstimation`; of one camera, the `view`.

    Times may be given as a rate or as timestamps; the first is frame 0. An individual has the name of its subject where
    the file gives one to each, else that of its `PoseEstimation`.
    """
    optional("ndx_pose")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the file holds other versions of its extensions than are installed
        with optional("pynwb").NWBHDF5IO(str(path), "r", load_namespaces=True) as opened:
            content = opened.read()
            every = {kind: [one for one in content.objects.values() if one.neurodata_type == kind] for kind in POSES}
            tracked = ([pose for pose in poses if pose.pose_estimation_series] for poses in every.values())
            poses = next(filter(None, tracked), [])
            if not poses:
                raise ValueError("it is an NWB file without a PoseEstimation (of ndx-pose), so it holds no tracks")
            poses.sort(key=lambda pose: by_number(pose.name))
            camera = chosen_view(sorted({_camera(pose) for pose in poses} - {""}), view)
            groups: dict[object, list[Any]] = {}
            for pose in poses:
                if camera is None or _camera(pose) in (camera, ""):
                    groups.setdefault((_video(pose), tuple(_keypoints(pose))), []).append(pose)
            names = [video or same[0].name for (video, _), same in groups.items()]
            if len(set(names)) < len(names):  # several skeletons in a video
                names = [f"{name}/{same[0].name}" for name, same in zip(names, groups.values(), strict=True)]
            names = [path.stem] if len(names) == 1 else [f"{path.stem}/{name}" for name in names]
            parts = zip(groups.values(), names, strict=True)
            return [_recording(same, name, path, content.subject) for same, name in parts]


def _camera(pose: Any) -> str:
    device = getattr(pose, "device", None)
    return "" if device is None else device.name


def _video(pose: Any) -> str:
    """The name of the video, without folder and suffix; empty = not known."""
    videos = getattr(pose, "original_videos", None)
    if videos is None:
        videos = getattr(getattr(pose, "source_video", None), "external_file", None)
    return "" if videos is None or not len(videos) else PureWindowsPath(str(videos[0])).stem


def _keypoints(pose: Any) -> list[str]:
    """Names of the keypoints, in the order of the skeleton where that has the same ones."""
    series, skeleton = list(pose.pose_estimation_series), getattr(pose, "skeleton", None)
    nodes = [] if skeleton is None else [str(node) for node in skeleton.nodes[:]]
    return nodes if sorted(nodes) == sorted(series) else series


def _recording(poses: list[Any], name: str, path: Path, subject: Any) -> Recording:
    keypoints = _keypoints(poses[0])
    rates = {series.rate for pose in poses for series in pose.pose_estimation_series.values()}
    times = {(i, k): _times(pose.pose_estimation_series[k]) for i, pose in enumerate(poses) for k in keypoints}
    every = np.unique(np.concatenate(list(times.values())))
    numbers, fps = by_time(every, rates.pop() if len(rates) == 1 else None)
    values = np.full((len(every), len(poses), len(keypoints), 4), np.nan, np.float32)  # x, y, z, confidence
    for (i, k), at in times.items():
        series, cells = poses[i].pose_estimation_series[k], values[np.searchsorted(every, at), i, keypoints.index(k)]
        data = as_float32(series.data[:]) * series.conversion + series.offset
        cells[:, : data.shape[1]] = data
        if getattr(series, "confidence", None) is not None:
            cells[:, 3] = series.confidence[:]
        values[np.searchsorted(every, at), i, keypoints.index(k)] = cells
    _, values = by_frame(numbers, values, path)
    values = values.swapaxes(0, 1)
    places, sure = values[..., : data.shape[1]], values[..., 3]
    skeletons = [getattr(pose, "skeleton", None) for pose in poses]
    subjects = [getattr(skeleton, "subject", None) or (subject if len(poses) == 1 else None) for skeleton in skeletons]
    individuals = [str(one.subject_id) for one in subjects if one is not None and one.subject_id]
    if len(set(individuals)) < len(poses):
        individuals = [pose.name for pose in poses]
    return Recording(name, places, None if np.isnan(sure).all() else sure, individuals, keypoints, fps, path)


def _times(series: Any) -> np.ndarray:
    """The time of each frame in seconds, to the microsecond."""
    if series.rate is None:
        times = np.asarray(series.timestamps[:], float)
    else:
        times = series.starting_time + np.arange(len(series.data)) / series.rate
    if (np.diff(times) <= 0).any():
        raise ValueError(f"the times of {series.name} do not increase")
    return times.round(6)
