"""Files of DeepLabCut, and of other tools in its layout (LightningPose): a table of frames by keypoints."""

import csv
import sys
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from bams.recordings.frames import as_float32, as_names, as_text, by_frame
from bams.recordings.recording import Recording
from bams.storage.files import optional, unpickle_data

HEADER = ("scorer", "individuals", "bodyparts", "coords")  # rows of the header; individuals only for several animals
LABELS = "it holds labels made by hand, of single images; analyse the videos and give the tracks that this writes"
EXPECTED = "expected the header rows scorer, [individuals,] bodyparts, coords of DeepLabCut, with commas between cells"
Columns = Sequence[tuple[str, ...]]  # of each column, (scorer, [individual,] keypoint, coordinate)
Table = tuple[Columns, np.ndarray, np.ndarray]  # columns, frame number of each row, values (rows, columns) float32


def read_csv(path: Path) -> Recording:
    """Tracks of a `.csv`: three header rows for one animal or four for several, then one row per frame."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row, _ in zip(csv.reader(file), HEADER, strict=False)]
    titles = [row[0].strip() for row in rows if row]
    header = [title for title in HEADER if title != "individuals" or title in titles]
    if titles[: len(header)] != header:
        raise ValueError(f"its first rows begin with {', '.join(repr(title[:30]) for title in titles)}; {EXPECTED}")
    rows = rows[: len(header)]
    if len(set(map(len, rows))) > 1:
        raise ValueError(f"its header rows have {' and '.join(str(len(row)) for row in rows)} cells")
    if not all(rows[-1][1:]) or not all(row[1] for row in rows[1:]):  # columns for the folder, video and image
        raise ValueError(LABELS)
    cells = len(rows[0])
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, 100 * cells), 2)
        last = file.read().rstrip(b"\r\n").rpartition(b"\n")[2].count(b",") + 1
    if last != cells:  # pandas would fill the row with NaN
        raise ValueError(f"its last row has {last} cells, not {cells}; it is damaged or cut off")
    pandas = optional("pandas")
    names = range(cells)
    table = pandas.read_csv(path, skiprows=len(header), header=None, names=names, dtype={0: str}, skipinitialspace=True)
    frames = pandas.to_numeric(table.pop(0), errors="coerce").to_numpy(float)
    if len(frames) and not np.isfinite(frames).any():  # paths of images
        raise ValueError(LABELS)
    columns = list(zip(*(row[1:] for row in rows), strict=True))
    return _as_recording(columns, frames, as_float32(table.to_numpy(float)), path)


def tables(file: Mapping[str, Any]) -> list[Any]:
    """The tables of pandas in an HDF5 file."""
    return [item for item in file.values() if hasattr(item, "keys") and "pandas_type" in item.attrs]


def read_hdf5(path: Path) -> Recording:
    """Tracks of a `.h5`, a table in pandas' format `fixed` or `table`; a pickle in it is never run as code."""
    with optional("h5py").File(path) as file:
        found = tables(file)
        if len(found) != 1:
            raise ValueError(f"it holds {len(found)} tables; give a file with one")
        fixed = as_text(found[0].attrs["pandas_type"]) == "frame"
        return _as_recording(*(_fixed_table(found[0]) if fixed else _appended_table(found[0])), path)


def _fixed_table(group: Any) -> Table:
    if as_text(group.attrs.get("axis1_variety", "")) != "regular" or group["axis1"].dtype.kind not in "iu":
        raise ValueError(LABELS)
    columns, blocks = [], []
    for i in range(int(group.attrs["nblocks"])):
        levels = []
        for level in range(int(group.attrs.get(f"block{i}_items_nlevels", 1))):
            names = np.array(as_names(group[f"block{i}_items_level{level}"][()]))
            levels.append(names[group[f"block{i}_items_label{level}"][()]].tolist())
        columns += zip(*levels, strict=True)
        values = group[f"block{i}_values"]
        blocks.append(as_float32(values[()] if values.attrs.get("transposed") else values[()].T))
    return columns, group["axis1"][()], np.concatenate(blocks, axis=1)


def _appended_table(group: Any) -> Table:
    table = group["table"]
    several_indices = "multi" in as_text(group.attrs.get("table_type", ""))  # folder, video and image
    if several_indices or as_text(table.attrs.get("index_kind", "")) != "integer":
        raise ValueError(LABELS)
    rows = table[()]
    columns, blocks = [], []
    for field in rows.dtype.names:
        if field != "index":
            columns += unpickle_data(bytes(table.attrs[f"{field}_kind"]))
            blocks.append(as_float32(rows[field].reshape(len(rows), -1)))
    return columns, rows["index"], np.concatenate(blocks, axis=1)


def _as_recording(columns: Columns, frames: np.ndarray, values: np.ndarray, path: Path) -> Recording:
    named = all(isinstance(column, tuple) and all(isinstance(part, str) for part in column) for column in columns)
    if not named or len(columns) != values.shape[1] or {*map(len, columns)} not in ({3}, {4}):
        raise ValueError("its columns have no names of scorer, [individual,] bodypart and coordinate")
    # without the scorer, which is the network and the same in all columns
    keys = [tuple(part.strip() for part in column[1:]) for column in columns]
    keys = [key if len(key) == 3 else ("individual0", *key) for key in keys]
    column_of = {key: i for i, key in enumerate(keys)}
    for i, key in enumerate(keys):
        if column_of[key] != i:
            raise ValueError(f"it holds the column {' '.join(key)} twice; keep one scorer in a file")
    individuals = list(dict.fromkeys(individual for individual, _, _ in keys))
    if "single" in individuals and len(individuals) > 1:  # DeepLabCut's unique body parts, such as corners of the arena
        print(f"{path}: left out 'single', which holds points that belong to no animal", file=sys.stderr)
        individuals.remove("single")
    keypoints = list(dict.fromkeys(keypoint for individual, keypoint, _ in keys if individual in individuals))
    found = {coordinate for individual, _, coordinate in keys if individual in individuals}
    coordinates = [name for name in "xyz" if name in found]
    if coordinates[:2] != ["x", "y"]:
        raise ValueError(f"its columns are {', '.join(sorted(found))}, not x, y and likelihood")
    # a column of NaN at the end, for keypoints that an individual lacks
    values = np.column_stack([values, np.full(len(values), np.nan, np.float32)])
    first, values = by_frame(frames, values, path)
    wanted = [column_of.get(key, -1) for key in product(individuals, keypoints, (*coordinates, "likelihood"))]
    selected = values[:, wanted].reshape(len(values), len(individuals), len(keypoints), -1).swapaxes(0, 1)
    confidence = selected[..., -1] if "likelihood" in found else None
    return Recording(path.stem, selected[..., :-1], confidence, individuals, keypoints, None, path, first)
