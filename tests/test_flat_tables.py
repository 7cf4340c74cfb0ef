"""Tables with a column for each coordinate: Anipose, SimBA, SLEAP, ultralytics, idtracker.ai and their kin."""

import re

import numpy as np
import pytest
from pose_writers import numbers
from refusals import refused

from bams import load_poses

T, NAMES = 8, ["nose", "ear_left", "tail tip"]
POINTS = np.round(numbers(2, T, 3, 4), 3)  # (A, T, K, x y z confidence)
POINTS[0, 2, 1] = np.nan


def write(path, header, rows, separator=",", mark="."):
    text = [separator.join(header)]
    for row in rows:
        values = ("" if isinstance(v, float) and np.isnan(v) else str(v) for v in row)
        text.append(separator.join(values if mark == "." else (v.replace(".", mark) for v in values)))
    path.write_text("\n".join(text) + "\n", encoding="utf-16" if separator == "\t" else "utf-8")
    return path


def load(path, **options):
    (found,) = load_poses(path, **options)
    return found


def assert_read(found, points=POINTS, dims=2, names=NAMES, individuals=("individual0",)):
    """The individuals have these points, (A, T, K, 4)."""
    assert (found.individuals, found.keypoint_names) == (list(individuals), list(names))
    np.testing.assert_array_equal(found.keypoints, points[..., :dims].astype(np.float32))
    np.testing.assert_array_equal(found.confidence, points[..., 3].astype(np.float32))


def wide(kinds, names=NAMES, animal=0, join="_"):
    """Names of columns, and rows, of one animal."""
    places = ["xyzp".index(kind[0] if kind in "xyz" else "p") for kind in kinds]
    header = [f"{name}{join}{kind}" for name in names for kind in kinds]
    return header, POINTS[animal][:, : len(names), places].reshape(T, -1).tolist()


# --- a row per frame ---------------------------------------------------------------------------


@pytest.mark.parametrize(("separator", "mark"), [(",", "."), (";", ","), ("\t", ".")])
@pytest.mark.parametrize("frames", ["fnum", "frame", "", "Unnamed: 0", None])
def test_anipose(tmp_path, frames, separator, mark, capsys):
    header, rows = [], [[] for _ in range(T)]
    for k, name in enumerate(NAMES):
        header += [f"{name}_{kind}" for kind in ("x", "y", "z", "error", "ncams", "score")]
        for row, point in zip(rows, POINTS[0, :, k], strict=True):
            row += [*point[:3].tolist(), 0.4, 3, float(point[3])]
    header += [f"M_{i}{j}" for i in range(3) for j in range(3)] + ["center_0", "center_1", "center_2"]
    rows = [row + [1.0] * 12 for row in rows]
    if frames in ("fnum", "frame"):
        header, rows = [*header, frames], [[*row, t + 10] for t, row in enumerate(rows)]
    elif frames is not None:
        header, rows = [frames, *header], [[t + 10, *row] for t, row in enumerate(rows)]
    found = load(write(tmp_path / "a.csv", header, rows, separator, mark))
    assert_read(found, POINTS[:1], dims=3)
    assert (found.name, found.first_frame, found.fps) == ("a", 0 if frames is None else 10, None)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("kind", ["p", "likelihood", "score", "conf", "confidence"])
@pytest.mark.parametrize("join", ["_", ".", " "])
@pytest.mark.parametrize("change", ["", "upper case", "other order", "rows missing"])
def test_other_names_and_orders_of_columns(tmp_path, kind, join, change):
    header, rows = wide(["x", "y", kind], join=join)
    header, rows = ["", *header], [[t, *row] for t, row in enumerate(rows)]
    points = POINTS[:1].copy()
    if change == "upper case":
        header = [name.upper() for name in header]
    elif change == "other order":
        order = np.r_[0, np.argsort([name.rpartition(join)[2] for name in header[1:]], kind="stable") + 1]
        header, rows = [header[i] for i in order], [[row[i] for i in order] for row in rows]
    elif change == "rows missing":
        rows = [row for t, row in enumerate(rows) if t not in (3, 4)]
        points[:, 3:5] = np.nan
    names = [name.upper() if change == "upper case" else name for name in NAMES]
    assert_read(load(write(tmp_path / "a.csv", header, rows)), points, names=names)


def test_animals_before_the_keypoints(tmp_path):
    header, rows = ["frame"], [[t] for t in range(T)]
    for animal in (0, 1):
        names, values = wide("xyp", [f"mouse{animal + 1}_{name}" for name in NAMES], animal)
        header, rows = header + names, [a + b for a, b in zip(rows, values, strict=True)]
    assert_read(load(write(tmp_path / "a.csv", header, rows)), individuals=["mouse1", "mouse2"])


def test_animals_of_simba(tmp_path):
    header, rows = [""], [[t] for t in range(T)]
    for animal in (0, 1):
        names, values = wide("xyp", [f"{name}_{animal + 1}" for name in NAMES], animal)
        header, rows = header + names, [a + b for a, b in zip(rows, values, strict=True)]
    found = load(write(tmp_path / "a.csv", header, rows))
    assert_read(found, individuals=["individual1", "individual2"])
    named = [re.sub("(.*_)1(_.)", r"Simon_\g<1>1\2", re.sub("(.*_)2(_.)", r"JJ_\g<1>2\2", name)) for name in header]
    rows = [[t + 3, *row[1:]] for t, row in enumerate(rows)]
    above = [["scorer", *["DLC"] * 18], ["bodyparts", *["DLC"] * 18], ["coords", *named[1:]]]
    found = load(write(tmp_path / "input.csv", above[0], [*above[1:], *rows]))
    assert_read(found, individuals=["Simon", "JJ"])
    assert found.first_frame == 3
    path = tmp_path / "imported.csv"
    path.write_text(",".join(["", *["IMPORTED_POSE"] * 18]) + "\n" + (tmp_path / "a.csv").read_text())
    assert_read(load(path), individuals=["individual1", "individual2"])


@pytest.mark.parametrize(
    "names", [["spine_1", "spine_2", "spine_3"], ["leg_1", "leg_2", "tail_1"], ["a_1", "b_1", "c_1"]]
)
def test_numbered_keypoints_of_one_animal(tmp_path, names):
    assert_read(load(write(tmp_path / "a.csv", *wide("xyp", names))), POINTS[:1], names=names)


# --- a row per animal and frame ----------------------------------------------------------------

LONG = {
    "sleap": (["track", "frame_idx", "instance.score"], ".", ["x", "y", "score"]),
    "ultralytics": (["frame", "id", "conf", "x1", "y1", "x2", "y2"], "_", ["x", "y", "conf"]),
    "other": (["individual", "frame", "class"], "_", ["x", "y", "likelihood"]),
}


def long(kind, tracks, keep=lambda t, a: True):
    """Names of columns, and rows, of two animals."""
    about, join, kinds = LONG[kind]
    header, _ = wide(kinds, join=join)
    _, values = zip(*(wide(kinds, animal=a) for a in (0, 1)), strict=True)
    rows = []
    for t in range(T):
        for a in (0, 1):
            if keep(t, a):
                cells = {
                    "track": tracks[a],
                    "individual": tracks[a],
                    "id": tracks[a],
                    "frame": t + 5,
                    "frame_idx": t + 5,
                }
                rows.append([*(cells.get(name, 0.9) for name in about), *values[a][t]])
    return about + header, rows


@pytest.mark.parametrize("kind", LONG)
def test_rows_of_animals(tmp_path, kind, capsys):
    points = POINTS.copy()
    points[0, 4:], points[1, 0] = np.nan, np.nan
    header, rows = long(kind, ["m 1", "m 2"], lambda t, a: not ((t >= 4 and a == 0) or (t == 0 and a == 1)))
    found = load(write(tmp_path / "a.csv", header, rows))
    assert_read(found, points, individuals=["m 1", "m 2"])
    assert found.first_frame == 5 and capsys.readouterr().err == ""
    by_track = sorted(rows, key=lambda row: str(row))
    assert_read(load(write(tmp_path / "a.csv", header, by_track)), points, individuals=["m 1", "m 2"])
    header, rows = long(kind, [1, 2])
    assert_read(load(write(tmp_path / "a.csv", header, rows)), individuals=["individual1", "individual2"])
    twice = write(tmp_path / "a.csv", header, [*rows, rows[4]])
    with refused("rows 6 and 18 both hold frame 7; delete one", twice):
        load_poses(twice)
    with refused("rows 2 and 18 both hold frame 5; recordings follow one another"):
        load_poses(write(tmp_path / "a.csv", header, rows + rows))


@pytest.mark.parametrize("kind", ["sleap", "ultralytics"])
def test_animals_in_no_track(tmp_path, kind, capsys):
    header, rows = long(kind, [7, ""])
    path = write(tmp_path / "a.csv", header, rows)
    assert_read(load(path), POINTS[:1], individuals=["individual7"])
    assert "dropped 8 of 16 detections: they are in no track; individuals=N joins them" in capsys.readouterr().err
    assert load(path, individuals=2).keypoints.shape[0] == 2
    write(path, *long(kind, ["", ""], lambda t, a: a == 0))
    assert_read(load(path), POINTS[:1])
    write(path, *long(kind, ["", ""]))
    with refused("its animals are in no tracks; track them, or give individuals=N", path):
        load_poses(path)
    joined = load(path, individuals=2)
    assert joined.individuals == ["individual0", "individual1"] and joined.keypoints.shape == (2, T, 3, 2)
    header, rows = long("sleap", ["", ""])
    with refused("its animals are in no tracks"):
        load_poses(write(path, header[1:], [row[1:] for row in rows]))
    both = np.sort(POINTS[:, :, 0, 0].astype(np.float32), axis=0)
    np.testing.assert_array_equal(np.sort(joined.keypoints[:, :, 0, 0], axis=0), both)


# --- one point per animal ----------------------------------------------------------------------


@pytest.mark.parametrize("rate", [30, 29.97, 1000 / 3])
def test_idtracker(tmp_path, rate):
    points = POINTS + np.array([0, 1000])[:, None, None, None]  # the second is always to the right of the first
    rows = [[t / rate, *points[:, t, 0, :2].ravel().tolist()] for t in range(T) if t != 3]
    found = load(write(tmp_path / "a.csv", ["time", "x1", "y1", "x2", "y2"], rows))
    assert (found.individuals, found.keypoint_names) == (["individual1", "individual2"], ["centroid"])
    expected = points[:, :, :1, :2].astype(np.float32)
    expected[:, 3] = np.nan
    np.testing.assert_array_equal(found.keypoints, expected)
    assert found.fps == pytest.approx(rate, rel=1e-5) and found.first_frame == 0
    assert load(write(tmp_path / "a.csv", ["time", "x1", "y1"], [row[:3] for row in rows])).keypoints.shape[0] == 1


def test_times_that_are_rounded_number_the_frames_and_state_no_rate(tmp_path):
    rows = [[f"{t / 30:.3f}", *POINTS[:, t % T, 0, :2].ravel().tolist()] for t in range(200) if t not in (50, 51)]
    path = write(tmp_path / "a.csv", ["time", "x1", "y1", "x2", "y2"], rows)
    found = load(path)
    assert found.keypoints.shape == (2, 200, 1, 2) and found.fps is None
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found.keypoints[0, :, 0, 0])), [50, 51])
    with refused("row 200 has the time 0 and the row before it 6.633; if recordings follow one another", path):
        load_poses(write(path, ["time", "x1", "y1", "x2", "y2"], rows + rows))


# --- refusals ----------------------------------------------------------------------------------

EXPECTED = "expected the header rows scorer, .*, or columns such as frame, nose_x, nose_y, nose_score"


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        (["mouse", "age", "sex"], [[1, 2, "f"]], f"is a CSV with the columns mouse, age, sex: {EXPECTED}"),
        (["", "nose", "tail"], [[0, 0.5, 0.5]] * 2, f"is a CSV with the columns nose, tail: {EXPECTED}"),
        (["frame", "id", "conf", "x1", "y1", "x2", "y2"], [[0, 1, 0.9, 1, 1, 5, 5]], EXPECTED),
        (
            ["frame", "x1", "y1", "x2", "y2"],
            [[t, 1, 1, 5, 5] for t in range(3)],
            "look like corners of boxes; if they are two animals, add a column time",
        ),
        (["frame", "nose_x", "nose_y", "ear_x"], [[0, 1, 2, 3]] * 2, "keypoint 'ear' of .* lacks a column y"),
        (["frame", "nose_x", "nose_y", "nose_x"], [[0, 1, 2, 3]] * 2, "it holds the column nose_x twice"),
        (["frame", "nose_x", "nose_y"], [[0, 1, 2], [1, "left", 2]], "row 3 has 'left' where a number is expected"),
        (["frame", "nose_x", "nose_y"], [[0, 1, 2], [1, 1]], "last row has 2 cells, not 3"),
        (["frame", "nose_x", "nose_y"], [[0, 1, 2], ["", 1, 2]], "row 3 has no frame number"),
        (["frame", "nose_x", "nose_y"], [[0, 1, 2], [1, 1, 2], ["frame", "nose_x", "nose_y"]], "row 4 is a header"),
        (["track", "nose_x", "nose_y"], [["a", 1, 2]] * 2, "a row for each animal, and no column of frame numbers"),
        (["frame", "nose_x", "nose_y"], [[0, 1, 2, 7]] * 2, "column 4 has a value in row 2 and no name"),
    ],
)
def test_what_is_refused_and_why(tmp_path, header, rows, message):
    path = write(tmp_path / "a.csv", header, rows)
    with refused(message, path):
        load_poses(path)


def test_other_columns_are_left_out_and_said(tmp_path, capsys):
    header, rows = wide("xyp")
    path = write(tmp_path / "a.csv", [*header, "attack", "velocity"], [[*row, 0, 1.5] for row in rows])
    assert_read(load(path), POINTS[:1])
    assert "left out the columns attack, velocity, which are no coordinates" in capsys.readouterr().err
