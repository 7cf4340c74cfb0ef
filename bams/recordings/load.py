"""Recordings from the files of any tracker."""

import glob
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Union

import numpy as np

from bams.recordings import movement
from bams.recordings.arrays import INFINITE, Third, untracked_as_nan
from bams.recordings.centroids import join_files
from bams.recordings.copies import check_keypoints_differ, check_names_differ
from bams.recordings.recognise import ARRAYS, SUFFIXES, Kind, recognise
from bams.recordings.recording import Recording, check_rate, read_padded
from bams.recordings.tracklets import join_individuals
from bams.storage.files import listed, short

if TYPE_CHECKING:
    import xarray

Source = Union[str, Path, "xarray.Dataset"]
DATASET = Kind("one of movement", lambda dataset, individuals, view: [movement.read_dataset(dataset, view)], views=True)
NO_TRACKS = ", which hold no tracks"
# what is said of files that nobody takes for tracks, unless their suffix is one of tracks
OTHERS = ("is empty", "is a video", "is a Python pickle", "is of an unknown kind", "is a pickle of DeepLabCut")


class Problem(NamedTuple):
    """Why a file, or a recording in it, cannot be used."""

    path: str
    name: str
    said: str  # without its subject, the path


def load_poses(
    path: Source | Sequence[Source],
    *,
    fps: float | None = None,
    individuals: int | None = None,
    view: str | None = None,
    missing_value: float | None = None,
    third: Third = "height",
) -> list[Recording]:
    """Recordings from the files of trackers (DeepLabCut, SLEAP, movement and others), or from plain arrays.

    The content of a file decides how it is read, not its suffix: `.csv` or `.h5` of DeepLabCut (and the same layout of
    other tools), `.csv` with a column for each coordinate (Anipose, SimBA, SLEAP, ultralytics, idtracker.ai; see
    `bams.recordings.flat_tables`), `.slp` or `.analysis.h5` of SLEAP, `.h5` of sleap-anipose and JABS, netCDF of
    movement, NWB with ndx-pose, JSON of CalMS21 (its annotations become labels) and MARS, `.npy`, `.h5` or `.npz` of
    idtracker.ai, `.npz` of TRex (the files of one video become one recording), `.npy` or `.npz` as described in
    `bams.recordings.recording.read_padded`. A keypoint is not tracked, NaN, where a coordinate is missing, where the
    confidence is below 0, and where all coordinates and the confidence are 0. Frames that a file leaves out are NaN.

    Files without tracks, and recordings that cannot be used (damaged, of one frame, of nobody), are left out with a
    message on stderr if there are others. No recording of an array is left out, so that labels still fit.

    Args:
        path: a file, a pattern such as `tracks/*.h5`, a folder (without the folders in it), a dataset of movement, or
            a list of these.
        fps: frames per second; needed where the files do not state it, and compared where they do.
        individuals: number of animals; if given, tracklets, into which trackers break tracks, are joined.
        view: camera to take from a dataset of movement with several views; needed there, and nowhere else.
        missing_value: keypoints whose coordinates all have this value, such as -1 or inf, are not tracked either.
        third: whether a third coordinate is a height, or the confidence of the other two.

    Returns:
        one per file, per video of a `.slp`, or per recording of an array; sorted by name in patterns and folders. All
        names differ: where needed, folders are put before them.

    Raises:
        FileNotFoundError: there is no such file, or none with tracks.
        ValueError: no recording can be used, two files hold the same one, or one states another rate than `fps`.
    """
    check_rate(fps)
    if individuals is not None and individuals < 1:
        raise ValueError(f"individuals is {individuals}; it must be at least 1")
    recordings: list[Recording] = []
    problems: list[Problem] = []
    for source in [path] if isinstance(path, str | Path) or hasattr(path, "data_vars") else path:
        files = [source] if hasattr(source, "data_vars") else _expand(Path(source).expanduser())
        found = [one for file in files for one in _read(file, individuals, view, (missing_value, third), problems)]
        if len(files) > 1:
            check_names_differ(one.path for one in found)
        recordings += found
    if not recordings:
        raise _refusal(path, problems)
    for said in _left_out(problems):
        print("left out" if said.endswith(NO_TRACKS) else "warning: left out", said, file=sys.stderr)
    recordings = join_files(recordings, individuals)
    check_keypoints_differ(recordings)
    return _with_different_names([_with_rate(one, fps) for one in recordings])


def _expand(path: Path) -> list[Path]:
    """The files of a folder or a pattern, or the one file."""
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    if not path.exists() and glob.has_magic(str(path)):
        return sorted(Path(name) for name in glob.glob(str(path), recursive=True) if Path(name).is_file())
    return [path]


def _read(
    source: Any, individuals: int | None, view: str | None, marks: tuple[float | None, Third], problems: list[Problem]
) -> list[Recording]:
    """The recordings of a file or dataset that can be used; why others cannot is added to the problems."""
    path, name, kind = "the dataset", "the dataset", DATASET
    if isinstance(source, Path):
        path, name, kind = str(source), source.name, None
        with _noted(problems, path, name):
            kind = recognise(source)
    if kind is None:
        return []
    found, usable = [], []
    with _noted(problems, path, name, kind.words):
        if kind.read is None:
            raise ValueError(f"{path} is {kind.words}: {kind.advice}")
        if view is not None and not kind.views:
            raise ValueError(f"{path} is {kind.words}, which has no views; leave view out")
        options = {"view": view} if kind.views else {}
        found = read_padded(source, *marks) if kind is ARRAYS else kind.read(source, individuals, **options)
    for one in found:
        with _noted(problems, path, name if len(found) == 1 else one.name, kind.words):
            if kind is not ARRAYS:
                keypoints, confidence = untracked_as_nan(one.keypoints, one.confidence, *marks)
                one = replace(one, keypoints=keypoints, confidence=confidence)
            one = _finish(one, individuals)
            if kind is not ARRAYS or len(found) == 1:  # the recordings of an array may have labels
                _check_somebody_moves(one, path)
            usable.append(one)
    return usable


@contextmanager
def _noted(problems: list[Problem], path: str, name: str, words: str = "") -> Iterator[None]:
    """Errors of the block become problems; readers raise nearly any error on a damaged file."""
    try:
        yield
    except (ImportError, FileNotFoundError):
        raise
    except Exception as error:
        own = str(error).startswith(f"{path} ")
        said = str(error).removeprefix(f"{path} ") if own else f"cannot be read as {words}: {short(error, 400)}"
        problems.append(Problem(path, name, said))


def _left_out(problems: Sequence[Problem]) -> list[str]:
    """Which files, or recordings in them, have which problem."""
    names = defaultdict(list)
    for one in problems:
        other = Path(one.path).suffix.lower() not in SUFFIXES and one.said.startswith(OTHERS)
        names[NO_TRACKS if other else f": {one.said.removeprefix('is ')}"].append(one.name)
    return [listed(alike) + said for said, alike in names.items()]


def _refusal(path: Any, problems: Sequence[Problem]) -> Exception:
    """The error that says why there is no recording."""
    said = _left_out(problems)
    if len(problems) == 1 and not (isinstance(path, str | Path) and Path(path).expanduser() != Path(problems[0].path)):
        return ValueError(f"{problems[0].path} {problems[0].said}")
    kind = FileNotFoundError if all(one.endswith(NO_TRACKS) for one in said) else ValueError
    where = path if isinstance(path, str | Path) else "the list"
    return kind(f"there is no file with tracks in {where}" + (f", only {'; '.join(said)}" if said else ""))


def _finish(recording: Recording, individuals: int | None) -> Recording:
    """What is the same for all trackers: checks, and tracklets joined."""
    check_rate(recording.fps)
    keypoints = recording.keypoints
    if keypoints.ndim == 3:
        return recording
    if 0 in keypoints.shape:
        raise ValueError(f"it holds {keypoints.shape[0]} individuals with {keypoints.shape[2]} keypoints")
    for names in (recording.keypoint_names, recording.individuals):
        if len(set(names)) < len(names):
            raise ValueError(f"some of its names occur twice: {', '.join(names)}")
    if np.isinf(keypoints).any():
        raise ValueError(f"it holds infinite coordinates; {INFINITE}")
    recording = recording.changed(np.ascontiguousarray)
    return recording if individuals is None else join_individuals(recording, individuals)


def _check_somebody_moves(recording: Recording, path: str) -> None:
    if recording.keypoints.shape[1] < 2:
        raise ValueError(f"it holds {recording.keypoints.shape[1]} frame, and movement needs several")
    if not np.isfinite(recording.keypoints).any():
        raise ValueError(f"{path} shows nobody: no keypoint is tracked in any frame")


def _with_rate(recording: Recording, fps: float | None) -> Recording:
    had = recording.fps
    if None not in (had, fps) and not math.isclose(had, fps, rel_tol=1e-4):
        said = f"it states {had:g} frames per second, and fps={fps:g} is given; leave fps out"
        raise ValueError(f"{recording.source} cannot be used: {said}")
    return replace(recording, fps=had if fps is None else float(fps))


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
