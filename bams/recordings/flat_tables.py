"""Tables with a column for each coordinate, such as `nose_x`, below one header row, as many tools write them.

A row is a frame (Anipose, SimBA, idtracker.ai), or one animal in one frame (SLEAP, ultralytics), named by a column such
as `track` or `id`.
"""

import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bams.recordings.columns import KINDS, Key, recording_of
from bams.recordings.frames import as_float32, as_frames, check_rows
from bams.recordings.recording import Recording, listed
from bams.recordings.text import Row, as_numbers, layout_of, read_body
from bams.recordings.tracklets import join_tracklets, place
from bams.storage.arrays import check_size
from bams.storage.files import optional

if TYPE_CHECKING:
    import pandas

ANIMAL_FIRST = re.compile(r"([a-z]+[_ -]?\d+)[_. -](.+)", re.IGNORECASE)  # mouse1_nose
COLUMN = re.compile(rf"(.+)[_. :-]({'|'.join(KINDS)})", re.IGNORECASE)  # a keypoint, and what of it
POINT = re.compile(r"([xy])_?(\d+)", re.IGNORECASE)  # of idtracker.ai, whose animals are one point each
# names of columns in lower case, with _ for spaces, dots and hyphens
NUMBER = "_?(id|idx|index|num|number|no|nr|name)"
FRAMES = re.compile(f"fnum|(video_)?frames?({NUMBER})?")
INDEX = re.compile("index|coords|")  # of the rows, as pandas and SimBA write it
TIMES = re.compile(r"times?(stamps?)?(_?\(?(s|sec|seconds)\)?)?|seconds")
TRACKS = re.compile(f"(track|tracklet|animal|individual|identity|object|subject)s?({NUMBER})?"), re.compile("id")
# by-products of tracking, of which nothing need be said
BY_PRODUCT = re.compile(r"m_\d\d|center_\d|.+_(error|ncams)|(.+_)?(score|conf)|class|cls|[xy]\d")
EXPECTED = (
    "expected the header rows scorer, [individuals,] bodyparts, coords of DeepLabCut, "
    "or columns such as frame, nose_x, nose_y, nose_score"
)


def header_rows(rows: Sequence[Row]) -> int:
    """The number of header rows, of which the last names the coordinates; 0 if there are none."""
    return next((i + 1 for i, (_, cells) in enumerate(rows[:4]) if _columns(cells)), 0)


def read_csv(path: Path, individuals: int | None) -> Recording:
    """Tracks of a table with one row per frame, or per animal and frame.

    Rows are numbered by their column of frames, else of times, else by their order. `individuals` is the number of
    animals, if known: tracklets are joined, and so are detections in no track.
    """
    layout = layout_of(path)
    count = header_rows(layout.rows)
    names = layout.rows[count - 1][1]
    if twice := [name for name, times in Counter(filter(None, names)).items() if times > 1]:
        raise ValueError(f"it holds the column {twice[0]} twice")
    columns, by_animal = _columns(names), _by_animal(names)
    track, time = _role(names, *TRACKS), _role(names, TIMES)
    frame = _role(names, FRAMES) if by_animal else _role(names, FRAMES, INDEX)
    if by_animal and frame is None:
        raise ValueError("it has a row for each animal, and no column of frame numbers such as frame_idx")
    used = {*columns.values(), track, time, frame}
    left = [name for i, name in enumerate(names) if name and i not in used and not BY_PRODUCT.fullmatch(_plain(name))]
    if left:
        print(f"{path}: left out the columns {listed(left)}, which are no coordinates", file=sys.stderr)
    table = read_body(path, layout, count)
    table = table if frame is None else table.dropna(how="all")
    numbers = {i: as_numbers(table[i], set(names)) for i in used - {track, None}}
    values = np.empty((len(table), len(columns)), np.float32)
    for i, column in enumerate(columns.values()):
        values[:, i] = as_float32(numbers[column])
    keys, lines = {key: i for i, key in enumerate(columns)}, table.index.to_numpy()
    if by_animal:
        rows = recording_of(keys, values, np.arange(len(table)), path)
        tracks = np.full(len(table), np.nan) if track is None else table[track]
        return _of_animals(rows, as_frames(numbers[frame], lines), tracks, lines, individuals)
    frames, fps = np.arange(len(table)) if frame is None else numbers[frame], None
    if frame is None and time is not None:
        frames, fps = _frames_of_times(numbers[time], lines)
    recording = recording_of(keys, values, frames, path, lines)
    if not POINT.fullmatch(names[next(iter(columns.values()))]):
        if len(recording.individuals) > 1:
            found = listed(recording.individuals)
            print(f"{path}: its animals are {found}, by the numbers at the ends of its keypoints", file=sys.stderr)
        return recording  # the unit of times is not known
    if time is None and len(recording.individuals) == 2 and not (np.diff(recording.keypoints, axis=0) <= 0).any():
        raise ValueError(
            "its columns look like corners of boxes; if they are two animals, add a column time in seconds"
        )
    return replace(recording, fps=fps)


def _columns(names: Sequence[str]) -> dict[Key, int]:
    """The columns of coordinates and confidences; empty if there are no positions."""
    found: dict[Key, int] = {}
    for i, name in enumerate(names):
        if match := COLUMN.fullmatch(name):
            found.setdefault(("individual0", match[1], KINDS[match[2].lower()]), i)
    placed = {keypoint for _, keypoint, kind in found if kind in "xyz"}
    found = {key: i for key, i in found.items() if key[1] in placed}
    if {"x", "y"} <= {kind for _, _, kind in found}:
        return found if _by_animal(names) else _split(found)
    others = {_role(names, FRAMES), _role(names, TIMES), _role(names, INDEX)}
    points = {i: POINT.fullmatch(name) for i, name in enumerate(names) if i not in others}
    if all(points.values()) and {match[1].lower() for match in points.values()} == {"x", "y"}:
        return {(f"individual{match[2]}", "centroid", match[1].lower()): i for i, match in points.items()}
    return {}


def _split(columns: dict[Key, int]) -> dict[Key, int]:
    """The columns by individuals, if each has the same keypoints: `mouse1_nose`, or with a number at the end (SimBA).

    What is before the keypoints of one number alone names the individual: `JJ_Nose_2` and `JJ_Tail_2`.
    """
    heads = {keypoint: ANIMAL_FIRST.fullmatch(keypoint) for _, keypoint, _ in columns}
    if all(heads.values()):
        of = {head[1]: {other[2] for other in heads.values() if other[1] == head[1]} for head in heads.values()}
        if len(of) > 1 and len({*map(frozenset, of.values())}) == 1:
            return {(heads[keypoint][1], heads[keypoint][2], kind): i for (_, keypoint, kind), i in columns.items()}
    parts = {keypoint: re.fullmatch(r"(.+)_(\d+)", keypoint) for _, keypoint, _ in columns}
    if not all(parts.values()) or any(kind == "z" for _, _, kind in columns):
        return columns
    animals: dict[str, list[str]] = {}
    for part in parts.values():
        animals.setdefault(part[2], []).append(part[1])
    prefixes = dict.fromkeys(animals, "")
    if len({*map(frozenset, animals.values())}) > 1:
        prefixes = {number: _common_words(names) for number, names in animals.items()}
    found = [{name.removeprefix(prefixes[number]) for name in names} for number, names in animals.items()]
    if len(found) == 1 or len(found[0]) == 1 or any(other != found[0] for other in found):
        return columns
    named = {number: prefix.rstrip("_") or f"individual{number}" for number, prefix in prefixes.items()}
    keys = {}
    for (_, keypoint, kind), i in columns.items():
        name, number = parts[keypoint].groups()
        keys[named[number], name.removeprefix(prefixes[number]), kind] = i
    return keys


def _common_words(names: Sequence[str]) -> str:
    """The words that all names begin with, each with the _ behind it."""
    alike = takewhile(lambda words: len({*words}) == 1, zip(*(name.split("_") for name in names), strict=False))
    return "".join(f"{words[0]}_" for words in alike)


def _by_animal(names: Sequence[str]) -> bool:
    """Whether a row is one animal in one frame; SLEAP writes such rows without tracks, too."""
    return _role(names, *TRACKS) is not None or "instance_score" in map(_plain, names)


def _role(names: Sequence[str], *patterns: re.Pattern) -> int | None:
    """The column whose name fits the first of these patterns that any fits; only the first may have no name."""
    found = (i for one in patterns for i, name in enumerate(names) if one.fullmatch(_plain(name)) and (name or i == 0))
    return next(found, None)


def _plain(name: str) -> str:
    return re.sub(r"[ .-]", "_", name.lower())


def _frames_of_times(times: np.ndarray, lines: np.ndarray) -> tuple[np.ndarray, float | None]:
    """Frame numbers from 0, with gaps where time passes without a row, and the rate if the times tell it exactly."""
    if len(times) < 2:
        return np.arange(len(times)), None
    steps = np.diff(times)
    step = np.median(steps)
    wrong = np.flatnonzero(~(steps > 0))
    if len(wrong):
        row = wrong[0] + 1
        said = f"row {lines[row]} has the time {times[row]:g} and the row before it {times[row - 1]:g}"
        raise ValueError(f"{said}; if recordings follow one another in this file, give each its own")
    frames = np.concatenate([[0], np.cumsum(np.maximum(np.rint(steps / step), 1))]).astype(np.int64)
    duration = times[-1] - times[0]
    rate = frames[-1] / duration
    # times are rounded: the rate is known as exactly as they fit it
    exact = np.abs(times - times[0] - frames / rate).max() < 2e-5 * duration
    return frames, round(float(rate), 4) if exact else None


def _of_animals(
    rows: Recording, numbers: np.ndarray, tracks: "Sequence | pandas.Series", lines: np.ndarray, individuals: int | None
) -> Recording:
    """A recording from one whose frames are rows (R,), with these frame numbers and tracks; NaN, -1 = none."""
    pandas = optional("pandas")
    points, path, tracks = rows.keypoints[0], rows.path, pandas.Series(tracks)
    numeric = pandas.api.types.is_numeric_dtype(tracks)
    tracks = tracks.where(tracks >= 0) if numeric else tracks.astype(str).where(tracks.notna()).str.strip()
    order = np.argsort(numbers, kind="stable")  # individuals are in the order in which they are seen
    codes = np.empty(len(order), int)
    codes[order], found = pandas.factorize(tracks.iloc[order])
    names = [f"individual{name:.15g}" if numeric else str(name) for name in found]
    seen = np.isfinite(points).all(axis=-1).any(axis=-1)
    loose = seen & (codes < 0)
    kept = codes >= 0
    check_rows(numbers[kept], codes[kept], lines[kept])
    first = int(numbers.min())
    frames, length = numbers - first, int(numbers.max()) - first + 1
    if individuals is not None and (loose.any() or len(names) > individuals):
        tracklets = np.where(kept, codes, len(names) + np.arange(len(codes)))
        codes = np.full(len(codes), -1)
        codes[seen] = join_tracklets(frames[seen], tracklets[seen], points[seen], individuals, str(path))
        names = [f"individual{i}" for i in range(codes.max() + 1)]
    elif not names and len(np.unique(frames[seen])) == seen.sum():  # one animal
        codes, names = np.where(seen, 0, -1), ["individual0"]
    elif not names:
        raise ValueError("its animals are in no tracks; track them, or give individuals=N to join them")
    elif loose.any():
        said = f"dropped {loose.sum()} of {seen.sum()} detections: they are in no track; individuals=N joins them"
        print(f"{path}: {said}", file=sys.stderr)
    check_size((len(names), length, *points.shape[1:]), path)
    recording = rows.changed(lambda values: place(values[0], frames, codes, length))
    return replace(recording, individuals=names, first_frame=first)
