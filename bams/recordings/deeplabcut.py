"""DeepLabCut's files, and those of others in its layout (LightningPose): columns by scorer, individual, keypoint.

Axes: A individuals, T frames, K keypoints, d coordinates; R rows and C columns of the table.
"""

import csv
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bams.recordings.readers import as_float32, as_names, as_text, by_frame, open_hdf5
from bams.recordings.recording import Recording
from bams.storage.arrays import check_size
from bams.storage.files import optional, unpickle_data

if TYPE_CHECKING:
    import h5py

ONE_ANIMAL = ("scorer", "bodyparts", "coords")
ANIMALS = ("scorer", "individuals", "bodyparts", "coords")
COORDINATES = ("x", "y", "z")
LABELS = "it holds labels made by hand, of single images; analyse the videos and give the tracks that this writes"


class Table(NamedTuple):
    """columns: C tuples, each (scorer, [individual,] keypoint, coordinate); frames: (R,); values: (R, C)."""

    columns: list[tuple[str, ...]]
    frames: np.ndarray
    values: np.ndarray


def read_csv(path: Path) -> Recording:
    """Tracks of a `.csv`: three rows of header for one animal or four for several, then a row per frame."""
    table = _csv_table(path)
    return _as_recording(table, path)


def read_hdf5(path: Path) -> Recording:
    """Tracks of a `.h5` as pandas stores a table, in its formats `fixed` and `table`; no pickle in it is run."""
    with open_hdf5(path) as file:
        groups = [item for item in file.values() if is_table(item)]
        if len(groups) != 1:
            raise ValueError(f"it holds {len(groups)} tables; give a file with one")
        kind = as_text(groups[0].attrs["pandas_type"])
        readers = {"frame": _fixed_table, "frame_table": _appended_table}
        if kind not in readers:
            raise ValueError(f"its table is of pandas' kind {kind}, not frames by keypoints")
        table = readers[kind](groups[0])
    return _as_recording(table, path)


def is_table(item: Any) -> bool:
    """Whether an item of an HDF5 file is a table of pandas."""
    return hasattr(item, "keys") and "pandas_type" in item.attrs


def _csv_table(path: Path) -> Table:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row, _ in zip(csv.reader(file), range(len(ANIMALS)), strict=False)]
    first = tuple(row[0].strip() for row in rows if row)
    header = next((names for names in (ONE_ANIMAL, ANIMALS) if first[: len(names)] == names), None)
    if header is None:
        raise ValueError(
            f"its first rows begin with {', '.join(repr(cell[:30]) for cell in first)}, where the header rows "
            "scorer, [individuals,] bodyparts, coords should; export it again with all of them"
        )
    rows = rows[: len(header)]
    if len({len(row) for row in rows}) > 1:
        raise ValueError(f"its header rows have {' and '.join(str(len(row)) for row in rows)} cells")
    if not all(rows[-1][1:]) or not all(row[1] for row in rows[1:]):
        raise ValueError(LABELS)  # their first three columns are folder, video and image
    _check_last_row(path, len(rows[0]))
    pandas = optional("pandas")
    columns = range(len(rows[0]))
    read = pandas.read_csv(
        path, skiprows=len(header), header=None, names=columns, dtype={0: str}, skipinitialspace=True
    )
    if read.empty:
        raise ValueError("it holds no frame, only the header")
    numbers = pandas.to_numeric(read.pop(0), errors="coerce").to_numpy(float)
    if not np.isfinite(numbers).any():
        raise ValueError(LABELS)
    return Table(list(zip(*(row[1:] for row in rows), strict=True)), numbers, as_float32(read.to_numpy(float)))


def _check_last_row(path: Path, cells: int) -> None:
    """pandas fills a row that is cut off with NaN, and takes cells too many for names of the rows."""
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, 100 * cells), 2)
        last = file.read().rstrip(b"\r\n").rpartition(b"\n")[2]
    if last.count(b",") != cells - 1:
        raise ValueError(f"its last row has {last.count(b',') + 1} cells, not {cells}; it is damaged or cut off")


def _fixed_table(group: "h5py.Group") -> Table:
    if as_text(group.attrs.get("axis1_variety", "")) != "regular" or group["axis1"].dtype.kind not in "iu":
        raise ValueError(LABELS)
    columns, blocks = [], []
    for i in range(int(group.attrs["nblocks"])):
        levels = int(group.attrs.get(f"block{i}_items_nlevels", 1))
        parts = []
        for level in range(levels):
            names = as_names(group[f"block{i}_items_level{level}"][()])
            codes = group[f"block{i}_items_label{level}"][()]
            if codes.size and not (codes.min() >= 0 and codes.max() < len(names)):
                raise ValueError("some of its columns have no name")
            parts.append([names[code] for code in codes])
        values = group[f"block{i}_values"]
        columns += zip(*parts, strict=True)
        blocks.append(as_float32(values[()] if values.attrs.get("transposed") else values[()].T))
    return Table(columns, group["axis1"][()], np.concatenate(blocks, axis=1))


def _appended_table(group: "h5py.Group") -> Table:
    table = group["table"]
    several_indices = "multi" in as_text(group.attrs.get("table_type", ""))  # folder, video and image
    if several_indices or as_text(table.attrs.get("index_kind", "")) != "integer":
        raise ValueError(LABELS)
    rows = table[()]
    columns, blocks = [], []
    for field in rows.dtype.names:
        if field == "index":
            continue
        pickled = table.attrs[f"{field}_kind"]
        columns += _column_names(unpickle_data(pickled) if isinstance(pickled, bytes) else None)
        blocks.append(as_float32(rows[field].reshape(len(rows), -1)))
    return Table(columns, rows["index"], np.concatenate(blocks, axis=1))


def _column_names(names: Any) -> list[tuple[str, ...]]:
    if isinstance(names, list) and all(isinstance(name, tuple) for name in names):
        parts = [part for name in names for part in name]
        if all(isinstance(part, str) for part in parts):
            return names
    raise ValueError("its columns have no names of scorer, [individual,] bodypart and coordinate")


def _as_recording(table: Table, path: Path) -> Recording:
    columns = [tuple(part.strip() for part in column) for column in table.columns]
    if len(columns) != table.values.shape[1] or len({len(column) for column in columns}) != 1:
        raise ValueError(f"it names {len(columns)} columns and holds {table.values.shape[1]}")
    if len(columns[0]) not in (len(ONE_ANIMAL), len(ANIMALS)):
        raise ValueError(
            f"its columns have {len(columns[0])} names each, not scorer, [individual,] bodypart and coordinate"
        )
    # the scorer is the network, and is the same throughout
    keys = [(*column[1:-2], *column[-2:]) if len(column) == len(ANIMALS) else ("", *column[1:]) for column in columns]
    if len(set(keys)) < len(keys):
        twice = next(key for key, later in pairwise(sorted(keys)) if key == later)
        raise ValueError(f"the column {' '.join(twice).strip()} stands in it twice; keep one scorer in a file")
    individuals = _animals(list(dict.fromkeys(individual for individual, _, _ in keys)), path)
    kept = [key for key in keys if key[0] in individuals]
    keypoints = list(dict.fromkeys(keypoint for _, keypoint, _ in kept))
    present = {coordinate for _, _, coordinate in kept}
    coordinates = [name for name in COORDINATES if name in present]
    if coordinates[:2] != ["x", "y"]:
        raise ValueError(f"its columns are {', '.join(sorted(present))}, not x, y and likelihood")
    check_size((len(table.values), len(individuals), len(keypoints), len(coordinates)), path)
    # what is not there is looked up in a last column of NaN
    at = {key: i for i, key in enumerate(keys)}
    values = np.column_stack([table.values, np.full(len(table.values), np.nan, np.float32)])
    first, values = by_frame(table.frames, values, path)

    def look_up(names: list[str]) -> np.ndarray:
        indices = [[[at.get((i, k, name), -1) for name in names] for k in keypoints] for i in individuals]
        return np.moveaxis(values[:, np.array(indices)], 0, 1)

    return Recording(
        name=path.stem,
        keypoints=look_up(coordinates),
        confidence=look_up(["likelihood"])[..., 0] if "likelihood" in present else None,
        individuals=[name or "individual0" for name in individuals],
        keypoint_names=keypoints,
        path=path,
        first_frame=first,
    )


def _animals(individuals: list[str], path: Path) -> list[str]:
    """All individuals but `single`, which holds DeepLabCut's unique body parts, such as corners of the arena."""
    if "single" not in individuals or len(individuals) == 1:
        return individuals
    print(f"{path}: left out 'single', which holds points that belong to no animal", file=sys.stderr)
    return [name for name in individuals if name != "single"]
