"""Files of DeepLabCut, and of other tools in its layout (LightningPose): a table of frames by keypoints."""

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bams.recordings.columns import KINDS, recording_of
from bams.recordings.frames import as_float32, as_names, as_text
from bams.recordings.recording import Recording, listed
from bams.recordings.text import Row, as_numbers, layout_of, read_body
from bams.storage.files import optional, unpickle_data

TITLES = ("scorer", "individuals", "bodyparts", "coords")  # of the header rows, where they have titles
LABELS = "it holds labels made by hand, of single images; analyse the videos and give the tracks that this writes"
INDEX = ("index", "frame", "frames", "level_0")  # names of an index that pandas has made a column
IMAGE = re.compile(r".*\.(png|jpe?g|bmp|tiff?)", re.IGNORECASE)
Column = tuple[str, ...]  # the names of a column from the top: [scorer,] [individual,] keypoint, coordinate
NAMELESS = "its columns have no names of [scorer,] [individual,] bodypart and coordinate"


def header_rows(rows: Sequence[Row]) -> int:
    """The number of header rows above the values, of which the last names the coordinates; 0 if there are none."""
    last = 0
    for i, (_, cells) in enumerate(rows[:5]):
        found = {"x", "y"} & {cell.lower() for cell in cells}
        if len(found) == 2 or (found and cells[0].lower() in TITLES):
            last = i
    return last + 1 if last else 0


def read_csv(path: Path) -> Recording:
    """Tracks of a `.csv`: header rows (scorer, individuals, bodyparts, coords; the first two may be missing), frames.

    Columns without names and values are passed over. Rows are frames by the number in the first column; if that is a
    column of coordinates, by their order.
    """
    layout = layout_of(path)
    count = header_rows(layout.rows)
    header = [cells for _, cells in layout.rows[:count] if any(cells[1:])]  # without a line above the header
    body = layout.rows[count:]
    if any(IMAGE.fullmatch(cell) for _, cells in body for cell in cells[:3]):
        raise ValueError(LABELS)
    if body and not any(body[0][1][1:]) and not re.match(r"[\d.,+-]", body[0][1][0]):  # the name of the index
        count += 1
    table = read_body(path, layout, count)
    columns, titles = _named_columns(header, table.shape[1])
    known = {*TITLES, *(cell for cells in header for cell in cells)}
    index = None
    if any(titles) or (titles and table[0].notna().any()):  # the first column is the index
        table = table.dropna(how="all")
        index, columns[0] = as_numbers(table[0], known), ()
    return _as_recording(
        columns, titles, index, lambda i: as_numbers(table[i], known), len(table), path, table.index.to_numpy()
    )


def _named_columns(header: list[list[str]], width: int) -> tuple[list[Column], list[str]]:
    """The names of each column, and the titles of the header rows; () for columns without names."""
    *upper, coordinates = header
    named = max(i for i, cell in enumerate(coordinates) if cell) + 1
    for cells in upper:
        if len(cells) < named or any(cells[len(coordinates) :]):
            said = " and ".join(str(len(row)) for row in header)
            raise ValueError(f"its header rows have {said} cells; put names with separators in quotes")
    rows = [cells + [""] * (width - len(cells)) for cells in header]
    titles = [] if rows[-1][0].lower() in KINDS else [cells[0].lower() for cells in rows]
    for cells in rows[:-1]:
        for i in range(2 if titles else 1, named):
            if rows[-1][i] and not cells[i]:  # merged cells have their name in the first one
                cells[i] = cells[i - 1]
    return [names if any(names) else () for names in zip(*rows, strict=True)], titles


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
        columns, titles, index, values = _fixed_table(found[0]) if fixed else _appended_table(found[0])
    if not all(isinstance(names, tuple) for names in columns) or len(columns) != values.shape[1]:
        raise ValueError(NAMELESS)
    names = [tuple(str(name).strip() for name in column) for column in columns]
    return _as_recording(names, titles, index, lambda i: values[:, i], len(values), path)


def _check_index(kind: Any, texts: Iterable[np.ndarray]) -> None:
    if any(IMAGE.fullmatch(name) for names in texts for name in as_names(names)):
        raise ValueError(LABELS)
    if as_text(kind) not in ("integer", "float"):
        raise ValueError(f"the index of its rows is of type {as_text(kind)}; expected frame numbers")


def _fixed_table(group: Any) -> tuple[list[Any], list[str], np.ndarray, np.ndarray]:
    single = "axis1" in group
    parts = [group[name] for name in group if name.startswith("axis1")]
    kind = group["axis1"].attrs.get("kind", "integer") if single else "level"
    _check_index(kind, [part[()] for part in parts if part.dtype.kind in "SO"])
    columns, blocks, titles = [], [], []
    for i in range(int(group.attrs["nblocks"])):
        levels = []
        count = int(group.attrs.get(f"block{i}_items_nlevels", 1))
        places = [group[f"block{i}_items_level{level}"] for level in range(count)]
        titles = [as_text(place.attrs.get("name", "")) for place in places]
        for level, place in enumerate(places):
            names = np.array([*as_names(place[()]), ""])  # the number of an empty name is -1
            levels.append(names[group[f"block{i}_items_label{level}"][()]].tolist())
        columns += zip(*levels, strict=True)
        values = group[f"block{i}_values"]
        blocks.append(as_float32(values[()] if values.attrs.get("transposed") else values[()].T))
    return columns, titles, group["axis1"][()], np.concatenate(blocks, axis=1)


def _appended_table(group: Any) -> tuple[list[Any], list[str], np.ndarray, np.ndarray]:
    table = group["table"]
    rows = table[()]
    several = "multi" in as_text(group.attrs.get("table_type", ""))
    kind = "level" if several else table.attrs.get("index_kind", "")
    _check_index(kind, [rows[field] for field in rows.dtype.names if rows[field].dtype.kind in "SO"])
    columns, blocks = [], []
    for field in rows.dtype.names:
        if field != "index":
            columns += unpickle_data(bytes(table.attrs[f"{field}_kind"]))
            blocks.append(as_float32(rows[field].reshape(len(rows), -1)))
    about = unpickle_data(bytes(group.attrs["info"])) if "info" in group.attrs else {}
    titles = [str(title) for title in about.get(1, {}).get("names", ())]
    return columns, titles, rows["index"], np.concatenate(blocks, axis=1)


def _as_recording(
    columns: Sequence[Column],
    titles: Sequence[str],
    index: np.ndarray | None,
    values_of: Callable[[int], np.ndarray],
    count: int,
    path: Path,
    lines: np.ndarray | None = None,
) -> Recording:
    """A recording from named columns, whose values (R,) `values_of` gives; frames are rows if there is no index."""
    valued = [names for names in columns if names and names[-1].lower() in KINDS]
    levels = {*map(len, valued)}
    if not valued or max(levels) not in (2, 3, 4) or len(levels) > 1:
        raise ValueError(NAMELESS)
    individual, keypoint = _levels(valued, [title.lower() for title in titles])
    keys: dict[tuple[str, str, str], int] = {}
    chosen, left_out = [], []
    for i, names in enumerate(columns):
        if names and names[-1].lower() in KINDS:
            kind = KINDS[names[-1].lower()]
            key = "individual0" if individual is None else names[individual], names[keypoint], kind
            if not all(key):
                raise ValueError(f"column {i + 1} holds {kind} of no bodypart; name it, or delete it")
            if key in keys:
                raise ValueError(f"it holds the column {' '.join(key)} twice; give each its name, and keep one scorer")
            keys[key] = len(chosen)
            chosen.append(i)
        elif names and not names[-1] and names[0].lower() in INDEX:
            index = values_of(i)
        elif names and not names[-1]:
            left_out.append(" ".join(names).strip() or "without a name")
    if left_out:
        print(f"{path}: left out the columns {listed(left_out)}, which are no coordinates", file=sys.stderr)
    values = np.empty((count, len(chosen)), np.float32)
    for i, column in enumerate(chosen):
        values[:, i] = as_float32(values_of(column))
    frames = np.arange(count) if index is None else index
    return recording_of(keys, values, frames, path, lines)


def _levels(columns: Sequence[Column], titles: Sequence[str]) -> tuple[int | None, int]:
    """Which of the names of columns are individuals, if there are any, and which are keypoints."""
    known = {title: level for level, title in enumerate(titles)}
    count = len(columns[0])
    unnamed = 1 if count == 4 and 1 not in (known.get("scorer"), known.get("bodyparts")) else None
    individual = known.get("individuals", unnamed)
    if count == 3 and not {"scorer", "individuals"} & known.keys():
        # a scorer is the same in all columns, or numbered in each; an individual has several keypoints
        times = Counter(names[0] for names in columns).values()
        individual = 0 if len(times) > 1 and min(times) > 1 else None
    return individual, known.get("bodyparts", count - 2)
