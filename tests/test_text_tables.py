"""Tables in DeepLabCut's layout as people have them: after a spreadsheet, after pandas, joined, cleared."""

import csv
import io

import numpy as np
import pandas
import pytest
from pose_writers import columns, numbers, write_fixed, write_table
from refusals import refused

from bams import load_poses

NAMES = ["nose", "ear l", "tail: tip, end"]
VALUES = np.round(numbers(6, 9), 3)
VALUES[2, 3:6] = np.nan
EXPECTED = VALUES.reshape(6, 3, 3).astype(np.float32)


def cells(names=None, values=VALUES, frames=range(6)) -> list[list[str]]:
    """The rows of a table of DeepLabCut."""
    names = names or columns(NAMES)
    titles = (
        ["scorer", "individuals", "bodyparts", "coords"] if len(names[0]) == 4 else ["scorer", "bodyparts", "coords"]
    )
    rows = [[title, *map(str, row)] for title, row in zip(titles, zip(*names, strict=True), strict=True)]
    body = [["" if np.isnan(value) else repr(float(value)) for value in row] for row in values]
    return rows + [[str(frame), *row] for frame, row in zip(frames, body, strict=True)]


def write(path, rows, separator=",", end="\n", encoding="utf-8"):
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator=end).writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def load(path):
    (found,) = load_poses(path)
    return found


def assert_read(found, expected=EXPECTED, names=NAMES):
    """One animal with these keypoints, (T, K, 3): x, y, likelihood."""
    assert (found.individuals, found.keypoint_names) == (["individual0"], names)
    np.testing.assert_array_equal(found.keypoints[0], expected[..., :2])
    np.testing.assert_array_equal(found.confidence[0], expected[..., 2])


# --- encodings, separators, decimal marks ------------------------------------------------------

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [".", ","])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_ways_to_write_the_same_table(tmp_path, encoding, separator, mark, end):
    names = ["Nase", "Öhr, rechts", "Schwanz"]
    rows = cells(columns(names, coords="x y likelihood"))
    rows = rows[:3] + [[cell.replace(".", mark) for cell in row] for row in rows[3:]]
    path = write(tmp_path / "Maus ü.csv", rows, separator, end, encoding)
    assert_read(load(path), names=names)
    write(path, [*rows[:-1], rows[-1][:6]], separator, end, encoding)
    path.write_bytes(
        path.read_bytes()[: -len(end.encode(encoding.removesuffix("-sig") + "-le" * (encoding == "utf-16")))]
    )
    with refused("last row has 6 cells, not 10; it is damaged or cut off", path):
        load_poses(path)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_names_with_the_marks_of_other_tables_do_not_decide_the_separator(tmp_path, separator):
    rows = cells(columns(["a, b; c", "d,e"], ["Tier, A", "Tier; B\t"]), np.round(numbers(4, 12), 2), range(4))[1:]
    found = load(write(tmp_path / "a.csv", rows, separator))
    assert (found.individuals, found.keypoint_names) == (["Tier, A", "Tier; B"], ["a, b; c", "d,e"])
    assert found.keypoints.shape == (2, 4, 2, 2) and np.isfinite(found.keypoints).all()


def test_decimal_commas_that_come_late_or_beside_points(tmp_path):
    values = np.round(numbers(120, 9), 3)
    values[:, 0] = 7
    rows = cells(values=values, frames=range(120))
    for i in (100, 119):
        rows[i][1], rows[i][2] = "7,5", rows[i][2].replace(".", ",")
    values[[97, 116], 0] = 7.5
    assert_read(load(write(tmp_path / "a.csv", rows, ";")), values.reshape(120, 3, 3).astype(np.float32))


# --- headers and indices -----------------------------------------------------------------------


def index_name(rows):
    return [*rows[:3], ["frame", *[""] * 9], *rows[3:]]


def merged(rows):
    return [[c if i < 2 or c != row[i - 1] else "" for i, c in enumerate(row)] for row in rows[:2]] + rows[2:]


def column_of_frames(rows):
    added = ["frame", "", "", *(row[0] for row in rows[3:])]
    numbered = rows[:3] + [[str(i), *row[1:]] for i, row in enumerate(rows[3:])]
    return [[row[0], cell, *row[1:]] for row, cell in zip(numbered, added, strict=True)]


CHANGES = {
    "no scorer": lambda rows: rows[1:],
    "index name": index_name,
    "a line above": lambda rows: [["exported", *[""] * 9], *rows],
    "a short line above": lambda rows: [["exported by me"], *rows],
    "a scorer without name": lambda rows: [["scorer", *[""] * 9], *rows[1:]],
    "no titles": lambda rows: [["", *row[1:]] for row in rows[:3]] + rows[3:],
    "no titles, no scorer": lambda rows: [["", *row[1:]] for row in rows[1:3]] + rows[3:],
    "index reset": lambda rows: [["index", *rows[0][1:]], *([["", *row[1:]] for row in rows[1:3]]), *rows[3:]],
    "frames in a column": column_of_frames,
    "no index": lambda rows: [row[1:] for row in rows],
    "float index": lambda rows: rows[:3] + [[row[0] + ".0", *row[1:]] for row in rows[3:]],
    "merged cells": merged,
    "spaces": lambda rows: rows[:3] + [[f" {cell or 'NaN'} " for cell in row] for row in rows[3:]],
    "upper case": lambda rows: [[cell.upper() for cell in row] if i in (0, 2) else row for i, row in enumerate(rows)],
    "confidence": lambda rows: [[cell.replace("likelihood", "Confidence") for cell in row] for row in rows],
    "numbered scorers": lambda rows: [[rows[0][0], *(f"{c}.{i}" for i, c in enumerate(rows[0][1:]))], *rows[1:]],
    "out of order": lambda rows: rows[:3] + rows[5:] + rows[3:5],
    "rows missing": lambda rows: rows[:5] + rows[6:],  # the row that lacks a keypoint
    "empty rows": lambda rows: [*rows[:3], [""] * 10, [], *rows[3:], [""] * 10, [], ["", ""]],
    "sep": lambda rows: [["sep=", ""], *rows],
    "empty cells at the ends of rows": lambda rows: rows[:3] + [row + [""] * 3 for row in rows[3:]],
}


@pytest.mark.parametrize("change", CHANGES)
def test_headers_and_indices(tmp_path, change):
    found = load(write(tmp_path / "a.csv", CHANGES[change](cells())))
    if change == "rows missing":
        expected = EXPECTED.copy()
        expected[2] = np.nan
        assert_read(found, expected)
    else:
        assert_read(found)


@pytest.mark.parametrize("change", ["no scorer", "no titles", "no titles, no scorer", "index name", "no index"])
def test_headers_of_several_animals(tmp_path, change):
    rows = cells(columns(NAMES[:2], ["7", "8"]), np.round(numbers(6, 12), 2))
    header = rows[:4] if change != "index name" else [*rows[:4], ["frame", *[""] * 12]]
    header = header[1:] if "no scorer" in change else header
    header = [["", *row[1:]] for row in header] if "no titles" in change else header
    table = header + rows[4:]
    found = load(write(tmp_path / "a.csv", [row[1:] for row in table] if change == "no index" else table))
    assert (found.individuals, found.keypoint_names) == (["7", "8"], NAMES[:2])
    expected = np.round(numbers(6, 12), 2).reshape(6, 2, 2, 3).swapaxes(0, 1).astype(np.float32)
    np.testing.assert_array_equal(found.keypoints, expected[..., :2])


def test_keypoints_named_by_numbers_or_as_coordinates(tmp_path):
    for names in (["1", "2", "3"], ["x", "y", "likelihood"]):
        for first in (0, 1):
            found = load(write(tmp_path / "a.csv", cells(columns(names))[first:]))
            assert_read(found, names=names)


@pytest.mark.parametrize("change", ["named", "float", "unnamed levels", "reset", "no scorer"])
def test_what_pandas_writes_again(tmp_path, change):
    frame = pandas.DataFrame(VALUES, columns=pandas.MultiIndex.from_tuples(columns(NAMES)))
    if change != "unnamed levels":
        frame.columns = frame.columns.set_names(["scorer", "bodyparts", "coords"])
    frame.index.name = "frame" if change in ("named", "reset") else None
    frame.index = frame.index.astype(float) if change == "float" else frame.index
    frame = frame.reset_index() if change == "reset" else frame
    frame = frame[frame.columns[0][0]] if change == "no scorer" else frame
    frame.to_csv(tmp_path / "a.csv")
    assert_read(load(tmp_path / "a.csv"))


@pytest.mark.parametrize("writer", [write_fixed, write_table])
def test_h5_with_other_headers_and_indices(tmp_path, writer):
    for number, (names, frames) in enumerate(
        [
            ([name[1:] for name in columns(NAMES)], range(6)),
            (columns(NAMES), np.arange(6.0)),
            (columns(NAMES), [3, 4, 5, 0, 1, 2]),
        ]
    ):
        values = np.roll(VALUES, 3, axis=0) if number == 2 else VALUES
        assert_read(load(writer(tmp_path / "a.h5", names, frames, values)))
    assert_read(
        load(writer(tmp_path / "b.h5", [("net", k, c) for k in (1, 2, 3) for c in "xyp"], range(6), VALUES)),
        names=list("123"),
    )
    animals = [name[1:] for name in columns(NAMES[:2], ["left", "right"])]
    found = load(writer(tmp_path / "c.h5", animals, range(6), np.hstack([VALUES, VALUES[:, :3]])))
    assert (found.individuals, found.keypoint_names) == (["left", "right"], NAMES[:2])
    reset = [("frame", "", ""), *columns(NAMES)]
    late = load(writer(tmp_path / "d.h5", reset, range(6), np.column_stack([np.arange(50, 56), VALUES])))
    assert late.first_frame == 50
    assert_read(late)
    with refused("rows 0 and 3 both hold frame 0; recordings follow one another"):
        load_poses(writer(tmp_path / "e.h5", columns(NAMES), [0, 1, 2, 0, 1, 2], VALUES))
    with refused("is of type timedelta64"):
        load_poses(writer(tmp_path / "f.h5", columns(NAMES), np.arange(6, dtype="m8[ns]"), VALUES))


# --- cleared and other columns -----------------------------------------------------------------


@pytest.mark.parametrize("unnamed", ["", "Unnamed: 5_level_1"])
@pytest.mark.parametrize("gone", [0, 1, 2])
def test_cleared_columns_are_as_if_deleted(tmp_path, gone, unnamed):
    places = range(1 + 3 * gone, 4 + 3 * gone)
    rows = cells()
    rows = [[(unnamed if j < 3 else "") if i in places else c for i, c in enumerate(r)] for j, r in enumerate(rows)]
    kept = [k for k in range(3) if k != gone]
    assert_read(load(write(tmp_path / "a.csv", rows)), EXPECTED[:, kept], [NAMES[k] for k in kept])


def test_cleared_values_are_not_tracked_and_other_columns_are_left_out_and_said(tmp_path, capsys):
    rows = [row[:7] + [""] * 3 if i > 2 else row for i, row in enumerate(cells())]
    expected = EXPECTED.copy()
    expected[:, 2] = np.nan
    assert_read(load(write(tmp_path / "a.csv", rows)), expected)
    assert capsys.readouterr().err == ""
    added = ["behaviour", "", "", *["rest, then run"] * 6]
    assert_read(load(write(tmp_path / "a.csv", [[*row, cell] for row, cell in zip(cells(), added, strict=True)])))
    assert "left out the columns behaviour, which are no coordinates" in capsys.readouterr().err


def test_rows_may_lack_empty_cells_at_their_ends_but_never_have_too_many(tmp_path):
    """Excel leaves out separators where the last cells of several rows are empty."""
    rows = [row[:7] if i > 5 else row for i, row in enumerate(cells())]
    expected = EXPECTED.copy()
    expected[3:, 2] = np.nan
    assert_read(load(write(tmp_path / "a.csv", rows)), expected)
    rows = cells(values=numbers(120, 9), frames=range(120))
    rows[100] += ["1", "2"]
    with refused("row 101 has 12 cells instead of 10"):
        load_poses(write(tmp_path / "b.csv", rows))


def test_a_table_about_animals_is_not_taken_for_tracks(tmp_path):
    path = write(tmp_path / "a.csv", [["mouse", "group"], ["a", "x"], ["b", "y"]], ";")
    with refused("is a CSV with the columns mouse, group: expected the header rows", path):
        load_poses(path)


# --- refusals ----------------------------------------------------------------------------------


def with_cell(row, column, text):
    return lambda rows: [[text if (i, j) == (row, column) else c for j, c in enumerate(r)] for i, r in enumerate(rows)]


REFUSED = {
    "rows 4 and 10 both hold frame 0; recordings follow one another in this file": lambda rows: rows + rows[3:],
    "row 10 is a header again; recordings follow one another in this file": lambda rows: rows + rows,
    "row 9 is a header again; recordings follow": lambda rows: [["", *r[1:]] for r in rows[1:3]] + rows[3:] + rows[1:],
    "row 7 is a header again": lambda rows: [row[1:] for row in rows[:6] + rows],
    "rows 6 and 7 both hold frame 2; delete one": lambda rows: rows[:6] + rows[5:],
    "rows 4 and 10 both hold frame 0; delete one": lambda rows: rows + rows[3:4],
    "row 5 has no frame number": with_cell(4, 0, ""),
    "row 5 has the frame number 1.5": with_cell(4, 0, "1.5"),
    "row 5 has 'left' where a number is expected": with_cell(4, 2, "left"),
    "row 5 has '1,234.5' where a number": with_cell(4, 2, "1,234.5"),
    "column 11 has a value in row 6 and no name": lambda rows: [
        [*r, "7" if i == 5 else ""] for i, r in enumerate(rows)
    ],
    "column 11 has a value in row 9 and no name": lambda rows: [*rows[:8], rows[8] + ["1", "2"]],
    "its header rows have 10 and 11 and 10 cells": lambda rows: [rows[0], rows[1] + ["tip"], *rows[2:]],
    "keypoint 'nose' of 'individual0' lacks a column y": lambda rows: [row[:2] + row[3:] for row in rows],
    "column 2 holds x of no bodypart": with_cell(1, 1, ""),
    "labels made by hand": lambda rows: rows[:3] + [["labeled-data/v/img1.PNG", *row[1:]] for row in rows[3:]],
    "row 4 has 'mouse.1' where a number": lambda rows: rows[:3] + [["mouse.1", *row[1:]] for row in rows[3:]],
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_refused_and_why(tmp_path, message):
    path = write(tmp_path / "a.csv", REFUSED[message](cells()))
    with refused(message, path):
        load_poses(path)
