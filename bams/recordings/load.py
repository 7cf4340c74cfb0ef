"""Recordings from the files of trackers, whichever tracker it is.

Axes: A individuals, T frames, K keypoints, d coordinates.
"""

import glob
import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from bams.recordings import movement
from bams.recordings.fragments import join_individuals
from bams.recordings.recognise import SUFFIXES, recognise
from bams.recordings.recording import Recording
from bams.storage.files import short

if TYPE_CHECKING:
    import xarray

Source = Union[str, Path, "xarray.Dataset"]


def load_poses(
    path: Source | Sequence[Source], *, fps: float | None = None, individuals: int | None = None
) -> list[Recording]:
    """Recordings from files of DeepLabCut, LightningPose, SLEAP or movement, or plain arrays.

    A file is what its content says, whatever its suffix: `.csv` or `.h5` of DeepLabCut, for one animal or several
    (and what is laid out so), `.slp` or `.analysis.h5` of SLEAP, netCDF of movement, `.npy` or `.npz` as
    `bams.pose_files.read_padded` takes them. A keypoint is not tracked, NaN, where a coordinate is missing, and
    where all are 0 with confidence 0. Frames that a file leaves out are NaN.

    Args:
        path: a file, a pattern such as `tracks/*.h5`, a folder (its files, not those of folders in it), a
            dataset of movement, or a list of these. Of patterns and folders, files that hold no tracks, such as
            videos, are left out, which stderr says.
        fps: frames per second; needed where files do not say, and checked where they do.
        individuals: animals that there are. Trackers break tracks into fragments, and without this each track is
            an individual; with it, tracks of a recording that has more are joined, see
            `bams.fragments.join_fragments`.

    Returns:
        recordings in the order of the list, sorted by name in patterns and folders; one per file, or per video
        of a `.slp`, or per recording of an array. Names differ: folders stand before those that would not.

    Raises:
        FileNotFoundError: there is no such file, or none that fits.
        ImportError: what the file needs is not installed: `pip install "bams[poses]"`.
        ValueError: a file holds no tracks, is damaged, or states another rate than `fps`.
    """
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps is {fps}; it must be above 0")
    if individuals is not None and individuals < 1:
        raise ValueError(f"individuals is {individuals}; it must be at least 1")
    sources = [path] if isinstance(path, str | Path) or hasattr(path, "data_vars") else list(path)
    if not sources:
        raise FileNotFoundError("no file is given")
    recordings = []
    for source in sources:
        if hasattr(source, "data_vars"):
            recordings.append(_checked_dataset(source, fps, individuals))
        else:
            for file in _expand(Path(source).expanduser()):
                recordings += _read_file(file, fps, individuals)
    return _with_own_names(recordings)


def _expand(path: Path) -> list[Path]:
    """The files of a folder or a pattern; a file alone."""
    if path.is_dir():
        found = [file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")]
    elif not path.exists() and glob.has_magic(str(path)):
        found = [Path(name) for name in glob.glob(str(path), recursive=True) if Path(name).is_file()]
    else:
        return [path]
    kept, left_out = [], []
    for file in sorted(found):
        # what is called as tracks are but is not is an error later, and no silent loss
        likely = file.suffix.lower() in SUFFIXES
        if likely or (file.stat().st_size and recognise(file).read is not None):
            kept.append(file)
        else:
            left_out.append(file.name)
    if not kept:
        files = f", only {_some(left_out)}" if left_out else ""
        raise FileNotFoundError(f"there is no file with tracks in {path}{files}")
    _check_once(kept)
    if left_out:
        print(f"{path}: left out {_some(left_out)}, which hold no tracks", file=sys.stderr)
    return kept


def _check_once(found: Sequence[Path]) -> None:
    """Trackers write the same tracks as .csv and as .h5, and filtered ones beside them."""
    by_stem: dict[Path, Path] = {}
    for file in found:
        stem = file.with_name(file.stem.removesuffix(".analysis").removesuffix("_filtered"))
        other = by_stem.setdefault(stem, file)
        if other != file:
            raise ValueError(
                f"{other.name} and {file.name} in {file.parent} seem to be the same recording; give a pattern "
                "that takes one of them, such as '*.h5' or '*_filtered.csv', or a list of files"
            )


def _read_file(path: Path, fps: float | None, individuals: int | None) -> list[Recording]:
    kind = recognise(path)
    if kind.read is None:
        raise ValueError(f"{path} is {kind.words}: {kind.advice}")
    try:
        return [_checked(recording, fps, individuals) for recording in kind.read(path, individuals)]
    except (ImportError, FileNotFoundError):
        raise
    except Exception as error:  # on damaged files the readers raise nearly anything
        if isinstance(error, ValueError) and str(error).startswith(f"{path} "):  # it says all
            raise
        raise ValueError(f"{path} cannot be read as {kind.words}: {short(error)}") from error


def _checked_dataset(dataset: Any, fps: float | None, individuals: int | None) -> Recording:
    try:
        return _checked(movement.read_dataset(dataset), fps, individuals)
    except ValueError as error:
        raise ValueError(f"the dataset cannot be read as one of movement: {short(error)}") from error


def _checked(recording: Recording, fps: float | None, individuals: int | None) -> Recording:
    """What holds for all files; and gaps made NaN, fragments joined, the rate set."""
    keypoints, confidence = recording.keypoints, recording.confidence
    if keypoints.shape[1] < 2 and np.isfinite(keypoints).any():  # of padded arrays one may be empty
        raise ValueError(f"it holds {keypoints.shape[1]} frame, and movement needs several")
    if 0 in keypoints.shape:
        raise ValueError(f"it holds {keypoints.shape[0]} individuals with {keypoints.shape[2]} keypoints")
    if keypoints.ndim == 3:  # series
        return replace(recording, fps=_rate(recording.fps, fps))
    for names, what in ((recording.keypoint_names, "keypoint"), (recording.individuals, "individual")):
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ValueError(f"it has more than one {what} named {twice[0]!r}")
    if len(recording.keypoint_names) != keypoints.shape[2] or len(recording.individuals) != len(keypoints):
        raise ValueError(f"its names do not fit its axes {keypoints.shape}")
    if confidence is not None and confidence.shape != keypoints.shape[:3]:
        raise ValueError(f"its confidence has axes {confidence.shape}, its keypoints {keypoints.shape}")
    if np.isinf(keypoints).any():
        raise ValueError("it holds infinite coordinates; write NaN where a keypoint is not tracked")
    lost = np.isnan(keypoints).any(axis=-1)
    if confidence is not None:
        lost |= (keypoints == 0).all(axis=-1) & (confidence == 0)
    recording = replace(
        recording,
        keypoints=np.ascontiguousarray(np.where(lost[..., None], np.float32(np.nan), keypoints)),
        confidence=None if confidence is None else np.ascontiguousarray(confidence),
        fps=_rate(recording.fps, fps),
    )
    return recording if individuals is None else join_individuals(recording, individuals)


def _rate(stated: float | None, given: float | None) -> float | None:
    if stated is not None and not (math.isfinite(stated) and stated > 0):
        raise ValueError(f"it states {stated} frames per second")
    if stated is not None and given is not None and not math.isclose(stated, given, rel_tol=1e-4):
        raise ValueError(f"it states {stated:g} frames per second, and fps={given:g} is given; leave fps out")
    return stated if given is None else float(given)


def _with_own_names(recordings: list[Recording]) -> list[Recording]:
    """Recordings whose names differ, by as much of the path as that takes."""
    paths = [recording.path or Path() for recording in recordings]
    stems = [
        "" if one.name.startswith(path.stem) else f"{path.stem}/" for one, path in zip(recordings, paths, strict=True)
    ]
    folders = [f"{path.parent.name}/{stem}" for path, stem in zip(paths, stems, strict=True)]
    for before in ([""] * len(paths), stems, folders, [f"{path}/" for path in paths]):
        names = [begin + recording.name for begin, recording in zip(before, recordings, strict=True)]
        if len(set(names)) == len(names):
            return [replace(recording, name=name) for recording, name in zip(recordings, names, strict=True)]
    twice = Counter(names).most_common(1)[0][0]
    raise ValueError(f"{twice} is given more than once")


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
