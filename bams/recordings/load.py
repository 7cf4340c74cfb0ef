"""Recordings from the files of any tracker."""

import glob
import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from bams.recordings import movement
from bams.recordings.recognise import SUFFIXES, Kind, recognise
from bams.recordings.recording import Recording, check_rate, listed
from bams.recordings.tracklets import join_individuals
from bams.storage.files import short

if TYPE_CHECKING:
    import xarray

Source = Union[str, Path, "xarray.Dataset"]
DATASET = Kind("one of movement", lambda dataset, individuals: [movement.read_dataset(dataset)])


def load_poses(
    path: Source | Sequence[Source], *, fps: float | None = None, individuals: int | None = None
) -> list[Recording]:
    """Recordings from files of DeepLabCut, LightningPose, SLEAP or movement, or from plain arrays.

    The content of a file decides how it is read, not its suffix: `.csv` or `.h5` of DeepLabCut (and the same layout of
    other tools), `.csv` with a column for each coordinate (Anipose, SimBA, SLEAP, ultralytics, idtracker.ai), `.slp` or
    `.analysis.h5` of SLEAP, netCDF of movement, `.npy` or `.npz` as described in
    `bams.recordings.recording.read_padded`. A keypoint is not tracked, NaN, where a coordinate is missing, and where
    all coordinates and the confidence are 0. Frames that a file leaves out are NaN.

    Args:
        path: a file, a pattern such as `tracks/*.h5`, a folder (without the folders in it), a dataset of movement, or
            a list of these. In patterns and folders, other files, such as videos, are left out with a message.
        fps: frames per second; needed where the files do not state it, and compared where they do.
        individuals: number of animals; if given, tracklets, into which trackers break tracks, are joined.

    Returns:
        one per file, per video of a `.slp`, or per recording of an array; sorted by name in patterns and folders. All
        names differ: where needed, folders are put before them.

    Raises:
        FileNotFoundError: there is no such file, or none that fits.
        ValueError: a file holds no tracks, is damaged, or states another rate than `fps`.
    """
    check_rate(fps)
    if individuals is not None and individuals < 1:
        raise ValueError(f"individuals is {individuals}; it must be at least 1")
    recordings = []
    for source in [path] if isinstance(path, str | Path) or hasattr(path, "data_vars") else path:
        for one in [source] if hasattr(source, "data_vars") else _expand(Path(source).expanduser()):
            recordings += _read(one, fps, individuals)
    if not recordings:
        raise FileNotFoundError("no file is given")
    return _with_different_names(recordings)


def _expand(path: Path) -> list[Path]:
    """The files with tracks of a folder or a pattern; or the one file."""
    if path.is_dir():
        found = [file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")]
    elif not path.exists() and glob.has_magic(str(path)):
        found = [Path(name) for name in glob.glob(str(path), recursive=True) if Path(name).is_file()]
    else:
        return [path]
    # a file with the suffix of tracks is never left out: if it holds none, reading it says so
    kept = [f for f in sorted(found) if f.suffix.lower() in SUFFIXES or (f.stat().st_size and recognise(f).read)]
    names = listed([file.name for file in sorted(found) if file not in kept])
    if not kept:
        raise FileNotFoundError(f"there is no file with tracks in {path}" + (f", only {names}" if names else ""))
    # trackers write the same tracks as .csv and as .h5, and filtered tracks beside the others
    by_stem: dict[Path, Path] = {}
    for file in kept:
        other = by_stem.setdefault(file.with_name(file.stem.removesuffix(".analysis").removesuffix("_filtered")), file)
        if other != file:
            raise ValueError(
                f"{other.name} and {file.name} in {file.parent} seem to be the same recording; give a pattern "
                "that matches only one of them, such as '*.h5' or '*_filtered.csv', or a list of files"
            )
    if names:
        print(f"{path}: left out {names}, which hold no tracks", file=sys.stderr)
    return kept


def _read(source: Any, fps: float | None, individuals: int | None) -> list[Recording]:
    kind, label = (recognise(source), str(source)) if isinstance(source, Path) else (DATASET, "the dataset")
    if kind.read is None:
        raise ValueError(f"{label} is {kind.words}: {kind.advice}")
    try:
        return [_finish(recording, fps, individuals) for recording in kind.read(source, individuals)]
    except Exception as error:  # readers raise nearly any error on a damaged file
        if isinstance(error, ImportError | FileNotFoundError) or str(error).startswith(f"{label} "):
            raise
        raise ValueError(f"{label} cannot be read as {kind.words}: {short(error)}") from error


def _finish(recording: Recording, fps: float | None, individuals: int | None) -> Recording:
    """What is the same for all trackers: checks, gaps as NaN, the rate, tracklets joined."""
    keypoints = recording.keypoints
    if keypoints.shape[1] < 2 and np.isfinite(keypoints).any():  # in a padded array, a recording may be empty
        raise ValueError(f"it holds {keypoints.shape[1]} frame, and movement needs several")
    check_rate(recording.fps)
    if None not in (recording.fps, fps) and not math.isclose(recording.fps, fps, rel_tol=1e-4):
        raise ValueError(f"it states {recording.fps:g} frames per second, and fps={fps:g} is given; leave fps out")
    recording = replace(recording, fps=recording.fps if fps is None else float(fps))
    if keypoints.ndim == 3:
        return recording
    if 0 in keypoints.shape:
        raise ValueError(f"it holds {keypoints.shape[0]} individuals with {keypoints.shape[2]} keypoints")
    for names in (recording.keypoint_names, recording.individuals):
        if len(set(names)) < len(names):
            raise ValueError(f"some of its names occur twice: {', '.join(names)}")
    if np.isinf(keypoints).any():
        raise ValueError("it holds infinite coordinates; write NaN where a keypoint is not tracked")
    lost = np.isnan(keypoints).any(axis=-1)
    if recording.confidence is not None:
        lost |= (keypoints == 0).all(axis=-1) & (recording.confidence == 0)
    keypoints = np.where(lost[..., None], np.float32(np.nan), keypoints)
    recording = replace(recording, keypoints=keypoints).changed(np.ascontiguousarray)
    return recording if individuals is None else join_individuals(recording, individuals)


def _with_different_names(recordings: list[Recording]) -> list[Recording]:
    """Recordings whose names differ, with as much of the path before them as that needs."""
    paths = [recording.path or Path() for recording in recordings]
    stems = ["" if r.name.startswith(p.stem) else f"{p.stem}/" for r, p in zip(recordings, paths, strict=True)]
    folders = [f"{path.parent.name}/{stem}" for path, stem in zip(paths, stems, strict=True)]
    for before in ([""] * len(paths), stems, folders, [f"{path}/" for path in paths]):
        found = [replace(r, name=b + r.name) for r, b in zip(recordings, before, strict=True)]
        (name, times), *_ = Counter(recording.name for recording in found).most_common(1)
        if times == 1:
            return found
    raise ValueError(f"{name} is given more than once")
