"""Files of trackers of groups, which give few points of each of many animals: idtracker.ai and TRex."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bams.recordings.frames import as_float32, as_text, by_frame, by_number
from bams.recordings.recording import Recording
from bams.recordings.tracklets import join_individuals
from bams.storage.files import optional, read_arrays, read_pickled_dict

CENTROID = "centroid"


def read_idtracker(path: Path) -> Recording:
    """Trajectories of idtracker.ai, `.h5`, `.npy` (a pickled dict; no code in it is run) or `.npz`: one keypoint.

    The confidence is the probability of the identity.
    """
    found = _idtracker_content(path)
    trajectories = as_float32(np.asarray(found["trajectories"]))
    if trajectories.ndim != 3:
        raise ValueError(f"its trajectories have axes {trajectories.shape}; expected frames, animals, coordinates")
    keypoints = trajectories.swapaxes(0, 1)[:, :, None]
    sure = found.get("id_probabilities")  # (T, A), or (T, A, 1) in version 6
    sure = None if sure is None else as_float32(np.asarray(sure)).reshape(trajectories.shape[:2]).T[..., None]
    given = found.get("identities_labels")
    names = [] if given is None else [as_text(name) for name in given]
    names = names if len(names) == len(keypoints) else [f"individual{i + 1}" for i in range(len(keypoints))]
    rate = found.get("frames_per_second")
    return Recording(path.stem, keypoints, sure, names, [CENTROID], None if rate is None else float(rate), path)


def _idtracker_content(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(b"PK"):
        return read_arrays(path)
    if head.startswith(b"\x93NUMPY"):
        return read_pickled_dict(path)
    with optional("h5py").File(path) as file:
        return {**file.attrs, **{name: file[name][()] for name in ("trajectories", "id_probabilities") if name in file}}


def read_trex(path: Path) -> Recording:
    """The one animal in a `NAME_fish0.npz` of TRex: its pose in pixels if it was tracked, else its centroid in cm."""
    arrays = read_arrays(path)
    numbers = sorted(int(name[5:]) for name in arrays if re.fullmatch(r"poseX\d+", name))
    columns = {f"pose{i}": (f"poseX{i}", f"poseY{i}") for i in numbers}
    if not columns:
        position = next(end for end in ("#wcentroid", "#pcentroid", "#centroid", "") if f"X{end}" in arrays)
        columns = {CENTROID if position else "head": (f"X{position}", f"Y{position}")}
    points = np.stack([np.stack([as_float32(arrays[name]) for name in pair], -1) for pair in columns.values()], 1)
    lost = np.zeros(len(points), bool) if "missing" not in arrays else arrays["missing"] > 0
    points = np.where(np.isfinite(points) & ~lost[:, None, None], points, np.nan)
    frames, times = arrays["frame"], arrays.get("time", np.zeros(0))
    first, keypoints = by_frame(frames, points, path)
    passed = times[-1] - times[0] if len(times) == len(frames) else 0
    fps = float(f"{(frames[-1] - frames[0]) / passed:.4g}") if passed > 0 else None
    named = re.fullmatch(r"(.+)_([^_]*\d+)", path.stem)
    name, individual = named.groups() if named else (path.stem, "individual0")
    return Recording(name, keypoints[None], None, [individual], list(columns), fps, path, first)


def join_files(recordings: Sequence[Recording], individuals: int | None) -> list[Recording]:
    """Recordings of which those in files NAME_INDIVIDUAL, as TRex writes them, are joined to one recording, NAME.

    Frames before and after an animal is tracked are NaN; more than `individuals`, if given, are joined as tracklets.
    """
    parts: dict[object, list[Recording]] = {}
    for i, one in enumerate(recordings):
        split = one.path is not None and [f"{one.name}_{name}" for name in one.individuals] == [one.path.stem]
        parts.setdefault((one.path.parent, one.name) if split else i, []).append(one)
    found = [_joined(same) if len(same) > 1 else same[0] for same in parts.values()]
    return found if individuals is None else [join_individuals(one, individuals) for one in found]


def _joined(parts: list[Recording]) -> Recording:
    parts = sorted(parts, key=lambda one: by_number(one.individuals[0]))
    longest = max(parts, key=lambda one: len(one.frames))  # its rate is the most precise
    if len({tuple(one.keypoint_names) for one in parts}) > 1:
        raise ValueError(f"the files of {longest.name} in {longest.path.parent} differ in their keypoints")
    first, end = min(one.frames.start for one in parts), max(one.frames.stop for one in parts)
    keypoints = np.full((len(parts), end - first, *longest.keypoints.shape[2:]), np.nan, np.float32)
    for place, one in zip(keypoints, parts, strict=True):
        place[one.frames.start - first : one.frames.stop - first] = one.keypoints[0]
    individuals = [one.individuals[0] for one in parts]
    return replace(longest, keypoints=keypoints, individuals=individuals, first_frame=first)
