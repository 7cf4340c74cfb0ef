"""The readers of trackers' files, on small files made here and on real ones."""

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from pose_writers import columns, numbers, write_analysis, write_csv, write_fixed, write_slp, write_table

from bams import Recording, load_poses

NATIVE = Path(__file__).parents[2] / "shared" / "data" / "native"
needs_native = pytest.mark.skipif(not NATIVE.exists(), reason="the files of trackers in ../shared are not here")
NODES = ["nose", "tail base"]


def load_one(path, **options) -> Recording:
    (recording,) = load_poses(path, **options)
    assert recording.keypoints.dtype == np.float32 and recording.keypoints.flags.c_contiguous
    shape = recording.keypoints.shape
    assert (shape[0], shape[2]) == (len(recording.individuals), len(recording.keypoint_names))
    if recording.confidence is not None:
        assert recording.confidence.dtype == np.float32 and recording.confidence.shape == shape[:3]
    lost = np.isnan(recording.keypoints)
    assert (lost.any(axis=-1) == lost.all(axis=-1)).all()
    return recording


# --- DeepLabCut --------------------------------------------------------------------------------

WRITERS = {"csv": write_csv, "fixed.h5": write_fixed, "table.h5": write_table}


@pytest.mark.parametrize("kind", WRITERS)
def test_one_animal_of_deeplabcut(tmp_path, kind):
    values = numbers(4, 6)
    path = WRITERS[kind](tmp_path / f"tracks.{kind}", columns(NODES), range(4), values)
    found = load_one(path)
    expected = values.reshape(1, 4, 2, 3).astype(np.float32)
    np.testing.assert_array_equal(found.keypoints, expected[..., :2])
    np.testing.assert_array_equal(found.confidence, expected[..., 2])
    assert (found.name, found.individuals, found.keypoint_names) == (path.stem, ["individual0"], NODES)
    assert (found.fps, found.path, found.first_frame) == (None, path, 0)


@pytest.mark.parametrize("kind", WRITERS)
def test_several_animals_that_start_late_with_rows_missing(tmp_path, kind):
    values = numbers(3, 12)
    values[1, 6:] = np.nan
    names = columns(NODES, ["left", "right"])
    found = load_one(WRITERS[kind](tmp_path / f"tracks.{kind}", names, [7, 8, 11], values))
    expected = np.full((5, 2, 2, 3), np.nan, np.float32)
    expected[[0, 1, 4]] = values.reshape(3, 2, 2, 3)
    np.testing.assert_array_equal(found.keypoints, expected[..., :2].swapaxes(0, 1))
    np.testing.assert_array_equal(found.confidence, expected[..., 2].swapaxes(0, 1))
    assert (found.individuals, found.first_frame) == (["left", "right"], 7)


@pytest.mark.parametrize("kind", WRITERS)
def test_individuals_that_differ_in_keypoints_and_points_of_no_animal(tmp_path, kind, capsys):
    names = columns(["a", "b"], ["left"]) + columns(["b", "c"], ["right"]) + columns(["corner"], ["single"])
    values = numbers(3, len(names))
    found = load_one(WRITERS[kind](tmp_path / f"tracks.{kind}", names, range(3), values))
    assert (found.individuals, found.keypoint_names) == (["left", "right"], ["a", "b", "c"])
    expected = np.full((2, 3, 3, 2), np.nan, np.float32)
    expected[0, :, 0], expected[0, :, 1] = values[:, 0:2], values[:, 3:5]
    expected[1, :, 1], expected[1, :, 2] = values[:, 6:8], values[:, 9:11]
    np.testing.assert_array_equal(found.keypoints, expected)
    assert "left out 'single'" in capsys.readouterr().err


def test_zeros_are_not_tracked_only_where_the_likelihood_is_zero(tmp_path):
    values = np.array([[0, 0, 0, 0, 0, 0.9], [0, 5, 0, 1, np.nan, 0.9]])
    found = load_one(write_csv(tmp_path / "a.csv", columns(NODES), range(2), values))
    lost = [np.nan, np.nan]
    np.testing.assert_array_equal(found.keypoints[0], [[lost, [0, 0]], [[0, 5], lost]])
    np.testing.assert_array_equal(found.confidence[0], np.float32([[0, 0.9], [0, 0.9]]))


@pytest.mark.parametrize("coords", ["x y z", "x y likelihood x_ens_median y_ens_var"])
def test_three_coordinates_and_columns_of_an_ensemble(tmp_path, coords):
    count = len(coords.split())
    values = numbers(3, 2 * count)
    found = load_one(write_csv(tmp_path / "a.csv", columns(NODES, coords=coords), range(3), values))
    dims = 3 if "z" in coords else 2
    np.testing.assert_array_equal(found.keypoints[0], values.reshape(3, 2, count)[..., :dims].astype(np.float32))
    assert (found.confidence is None) == ("likelihood" not in coords)


@needs_native
@pytest.mark.parametrize("path", sorted(NATIVE.glob("dlc*.csv")), ids=lambda path: path.name)
def test_real_csv_of_deeplabcut(path):
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    levels = 4 if rows[1][0] == "individuals" else 3
    names = list(zip(*(row[1:] for row in rows[1:levels]), strict=True))
    cells = np.array([[float(cell or "nan") for cell in row] for row in rows[levels:]])
    found = load_one(path)
    assert found.first_frame == cells[0, 0]
    np.testing.assert_array_equal(np.diff(cells[:, 0]), 1)
    for i, individual in enumerate(found.individuals):
        for k, keypoint in enumerate(found.keypoint_names):
            begin = (individual, keypoint) if levels == 4 else (keypoint,)
            x, y, p = (cells[:, 1 + names.index((*begin, name))] for name in ("x", "y", "likelihood"))
            lost = np.isnan(x) | np.isnan(y) | ((x == 0) & (y == 0) & (p == 0))
            expected = np.where(lost[:, None], np.nan, np.column_stack([x, y])).astype(np.float32)
            np.testing.assert_array_equal(found.keypoints[i, :, k], expected)
            np.testing.assert_array_equal(found.confidence[i, :, k], p.astype(np.float32))
    assert found.keypoints[..., 0].size * 3 == len(names) * len(cells)


@needs_native
@pytest.mark.parametrize(
    ("name", "place", "shape"),
    [
        ("dlc_single_deepof.h5", "df/block0_values", (100, 1, 14, 3)),
        ("dlc_multianimal_deepof.h5", "tracks/block0_values", (100, 2, 14, 3)),
        ("dlc_square_arena_deepof.h5", "df_with_missing/table", (451, 1, 14, 3)),
    ],
)
def test_real_h5_of_deeplabcut(name, place, shape):
    with h5py.File(NATIVE / name) as file:
        values = file[place][()]
    values = (values if values.dtype.names is None else values["values_block_0"]).reshape(shape)
    lost = (values == 0).all(axis=-1)
    expected = np.where(lost[..., None], np.nan, values[..., :2]).astype(np.float32)
    found = load_one(NATIVE / name)
    np.testing.assert_array_equal(found.keypoints, expected.swapaxes(0, 1))
    np.testing.assert_array_equal(found.confidence, values[..., 2].swapaxes(0, 1).astype(np.float32))
    assert found.keypoint_names[0] == "Nose" and found.individuals[0] in ("individual0", "mouse_black_tail")


# --- SLEAP -------------------------------------------------------------------------------------


def test_tracks_of_a_slp_are_individuals(tmp_path):
    points = numbers(4, 2, 2)
    points[2, 1] = np.nan
    places = [(5, 0), (5, 1), (6, 0), (8, 1)]
    detections = [{"frame": f, "track": t, "points": p} for (f, t), p in zip(places, points, strict=True)]
    found = load_one(write_slp(tmp_path / "flies.slp", detections, NODES, ["female", "male", "nobody"]))
    expected = np.full((2, 4, 2, 2), np.nan, np.float32)
    for (frame, track), each in zip(places, points, strict=True):
        expected[track, frame - 5] = each
    np.testing.assert_array_equal(found.keypoints, expected)
    np.testing.assert_array_equal(found.confidence[0, :, 0], np.float32([0.5, 0.5, np.nan, np.nan]))
    assert (found.individuals, found.keypoint_names) == (["female", "male"], NODES)
    assert (found.first_frame, found.name, found.fps) == (5, "flies", None)


def test_what_was_corrected_by_hand_replaces_the_prediction_and_animals_in_no_track_are_left_out(tmp_path, capsys):
    points = numbers(3, 2, 2)
    detections = [{"frame": f, "track": 0, "points": p} for f, p in enumerate(points)]
    detections.append({"frame": 1, "track": 0, "points": points[1] + 50, "by_hand": True, "corrects": 1})
    detections.append({"frame": 2, "points": points[2] + 70, "by_hand": True, "corrects": 2})  # lost its track
    detections.append({"frame": 1, "points": np.ones((2, 2))})
    found = load_one(write_slp(tmp_path / "a.slp", detections, NODES, ["one"]))
    assert "dropped 1 of 4 detections: they are in no track" in capsys.readouterr().err
    moved = points + np.array([0, 50, 70])[:, None, None]
    np.testing.assert_array_equal(found.keypoints[0], moved.astype(np.float32))
    np.testing.assert_array_equal(found.confidence[0, :, 0], np.float32([0.5, np.nan, np.nan]))


def test_several_animals_in_no_track_need_their_number(tmp_path):
    here, there = np.zeros((2, 2)) + 10, np.zeros((2, 2)) + 500
    detections = [{"frame": f, "points": p + f} for f in range(4) for p in ((here, there), (there, here))[f % 2]]
    path = write_slp(tmp_path / "a.slp", detections, NODES)
    with pytest.raises(ValueError, match="in no tracks; track them in SLEAP, or give individuals=N"):
        load_poses(path)
    found = load_one(path, individuals=2)
    np.testing.assert_array_equal(sorted(found.keypoints[:, 0, 0, 0]), [10, 500])
    np.testing.assert_array_equal(np.diff(found.keypoints, axis=1), 1)


def test_each_video_of_a_slp_is_a_recording_and_tracks_of_one_name_are_told_apart(tmp_path):
    detections = [{"frame": f, "video": v, "points": p} for v in (0, 1) for f, p in enumerate(numbers(3, 2, 2) + v)]
    found = load_poses(write_slp(tmp_path / "a.slp", detections, NODES, videos=["x/one.mp4", "C:\\x\\two.mp4"]))
    assert [recording.name for recording in found] == ["a/one", "a/two"]
    np.testing.assert_allclose(found[1].keypoints - found[0].keypoints, 1, rtol=1e-4)
    detections = [{"frame": f, "track": t, "points": np.ones((2, 2))} for f in range(2) for t in range(3)]
    found = load_one(write_slp(tmp_path / "b.slp", detections, NODES, ["fly", "fly", ""]))
    assert found.individuals == ["fly_0", "fly_1", "track2"]


@pytest.mark.parametrize("count", [0, 3])
def test_a_slp_without_predictions_is_refused(tmp_path, count):
    labels = [{"frame": f, "points": np.ones((2, 2)), "by_hand": True} for f in range(count)]
    with pytest.raises(ValueError, match=f"a.slp .* holds no predictions \\({count} labels made by hand"):
        load_poses(write_slp(tmp_path / "a.slp", labels, NODES))


@pytest.mark.parametrize("axes", [(0, 3, 2, 1), (1, 2, 3, 0), (1, 0, 2, 3)], ids=["SLEAP", "untransposed", "standard"])
@pytest.mark.parametrize("named", [True, False])
def test_analysis_in_any_layout(tmp_path, axes, named):
    tracks = numbers(3, 7, 5, 2)  # (A, T, K, d)
    tracks[1, 2, 3] = np.nan
    scores = numbers(3, 7, 5)
    nodes, names = list("abcde"), ["x", "y", "z"] if named else []
    stored = scores.transpose([axis for axis in axes if axis < 3])
    path = write_analysis(tmp_path / "a.analysis.h5", tracks.transpose(axes), nodes, names, stored)
    if axes[0] == 1 and axes[1] == 0:  # sleap-io says so
        with h5py.File(path, "a") as file:
            file["tracks"].attrs["dims"] = json.dumps(["frame", "track", "node", "xy"])
    found = load_one(path)
    np.testing.assert_array_equal(found.keypoints, tracks.astype(np.float32))
    np.testing.assert_array_equal(found.confidence, scores.astype(np.float32))
    assert found.individuals == (names or ["individual0", "individual1", "individual2"])
    assert (found.name, found.keypoint_names) == ("a", nodes)


def test_tracklets_of_an_analysis_are_joined(tmp_path):
    tracks = np.full((3, 6, 2, 2), np.nan)
    tracks[0, :3], tracks[1, :], tracks[2, 3:] = 10, 500, 12
    path = write_analysis(tmp_path / "a.analysis.h5", tracks.transpose(0, 3, 2, 1), NODES, [])
    found = load_one(path, individuals=2)
    assert (found.individuals, found.confidence) == (["individual0", "individual1"], None)
    np.testing.assert_array_equal(found.keypoints[:, :, 0, 0], [[10, 10, 10, 12, 12, 12], [500] * 6])


@needs_native
@pytest.mark.parametrize("name", ["sleap_single_deepof.slp", "sleap_flypair_predictions.slp"])
def test_real_slp(name):
    with h5py.File(NATIVE / name) as file:
        instances, points = file["instances"][()], file["pred_points"][()]
        frames = {row["frame_id"]: int(row["frame_idx"]) for row in file["frames"][()]}
        tracks = [json.loads(row)[1] for row in file["tracks_json"][()]]
        metadata = json.loads(file["metadata"].attrs["json"])
    order = [node["id"] for node in metadata["skeletons"][0]["nodes"]]
    found = load_one(NATIVE / name)
    assert found.individuals == tracks
    assert found.keypoint_names == [metadata["nodes"][i]["name"] for i in order]
    expected = np.full(found.keypoints.shape, np.nan, np.float32)
    scores = np.full(found.keypoints.shape[:3], np.nan, np.float32)
    for row in instances:
        if row["track"] >= 0:
            mine = points[row["point_id_start"] : row["point_id_end"]]
            at = row["track"], frames[row["frame_id"]] - found.first_frame
            expected[at] = np.where(mine["visible"][:, None], np.column_stack([mine["x"], mine["y"]]), np.nan)
            scores[at] = mine["score"]
    np.testing.assert_array_equal(found.keypoints, expected)
    np.testing.assert_array_equal(found.confidence, scores)


@needs_native
def test_27_real_tracklets_of_two_flies_are_joined(capsys):
    found = load_one(NATIVE / "sleap_flypair_predictions.slp", individuals=2)
    assert found.keypoints.shape == (2, 1100, 24, 2)
    assert np.isfinite(found.keypoints).all(axis=-1).any(axis=-1).all()  # both flies in each frame
    centres = np.nanmean(found.keypoints, axis=2)
    steps = np.linalg.norm(np.diff(centres, axis=1), axis=-1)
    apart = np.linalg.norm(centres[0] - centres[1], axis=-1)
    assert steps.max() < 25 < 100 < np.median(apart)  # pixels; a swap would be a step as long as they are apart
    assert "dropped 74 of 2274 detections" in capsys.readouterr().err


@needs_native
def test_real_analysis():
    with h5py.File(NATIVE / "sleap_single_deepof.analysis.h5") as file:
        tracks, scores = file["tracks"][()], file["point_scores"][()]
    found = load_one(NATIVE / "sleap_single_deepof.analysis.h5")
    np.testing.assert_array_equal(found.keypoints, tracks.transpose(0, 3, 2, 1).astype(np.float32))
    np.testing.assert_array_equal(found.confidence, scores.transpose(0, 2, 1).astype(np.float32))
    assert found.individuals == ["track_0"]
    with pytest.raises(ValueError, match=r"sleap_oneframe.* it holds 1 frame"):
        load_poses(NATIVE / "sleap_oneframe.analysis.h5")


# --- movement ----------------------------------------------------------------------------------


def dataset(plural=False, **attributes) -> xr.Dataset:
    many = "s" * plural
    axes = ["time", "space", f"keypoint{many}", f"individual{many}"]
    position = numbers(5, 2, 3, 2)
    position[1, 0, 2, 0] = np.nan
    return xr.Dataset(
        {"position": (axes, position), "confidence": (["time", *axes[2:]], numbers(5, 3, 2))},
        coords={"time": np.arange(5) / 25, "space": ["x", "y"], axes[2]: list("abc"), axes[3]: ["id_0", "id_1"]},
        attrs={"fps": 25.0, "time_unit": "seconds", "source_file": "/x/mice.h5"} | attributes,
    )


@pytest.mark.parametrize("saved", ["", "h5netcdf", "scipy"], ids=["memory", "netCDF 4", "netCDF 3"])
@pytest.mark.parametrize("plural", [True, False])
def test_dataset_of_movement(tmp_path, saved, plural):
    source = made = dataset(plural=plural)
    if saved:
        source = tmp_path / "tracks.nc"
        made.to_netcdf(source, engine=saved)
    found = load_one(source)
    expected = made.position.values.transpose(3, 0, 2, 1).astype(np.float32)
    expected[0, 1, 2] = np.nan
    np.testing.assert_array_equal(found.keypoints, expected)
    np.testing.assert_array_equal(found.confidence, made.confidence.values.transpose(2, 0, 1).astype(np.float32))
    assert (found.individuals, found.keypoint_names) == (["id_0", "id_1"], ["a", "b", "c"])
    assert (found.fps, found.first_frame) == (25, 0)
    assert (found.name, found.path) == (("tracks", source) if saved else ("mice", None))


def test_the_rate_follows_from_times_in_seconds_but_not_in_frames():
    made = dataset()
    del made.attrs["fps"]
    found = load_one(made.isel(time=[1, 2, 4]))
    assert (found.fps, found.first_frame, found.keypoints.shape[1]) == (25, 1, 4)
    assert np.isnan(found.keypoints[:, 2]).all()
    made = dataset(time_unit="frames").assign_coords(time=np.arange(5) + 3)
    del made.attrs["fps"]
    found = load_one(made)
    assert (found.fps, found.first_frame) == (None, 3)
    assert load_one(made, fps=30).fps == 30
    assert load_one(made.sel(individual="id_1")).individuals == ["individual0"]


@pytest.mark.parametrize(
    ("made", "what"),
    [
        (dataset().drop_vars("position"), "expected position"),
        (dataset().isel(keypoint=0), "keypoints need"),
        (dataset(fps=30.0), "its fps says 30 and its times 25"),
        (dataset().assign_coords(time=[0, 1, 1.4, 2, 7]), "not evenly spaced"),
        (dataset().assign_coords(space=["y", "x"]), "space is y, x"),
        (dataset().isel(time=[0]), "1 frame"),
    ],
)
def test_datasets_that_are_refused(made, what):
    with pytest.raises(ValueError, match=f"the dataset cannot be read as one of movement: .*{what}"):
        load_poses(made)


# --- arrays ------------------------------------------------------------------------------------


def test_an_npz_of_several_recordings(tmp_path):
    keypoints = numbers(2, 3, 6, 2, 2)
    np.savez(tmp_path / "a.npz", keypoints=keypoints, keypoint_names=NODES, lengths=[6, 4], fps=30)
    first, second = load_poses(tmp_path / "a.npz")
    assert (first.name, second.name) == ("recording0", "recording1")
    np.testing.assert_array_equal(second.keypoints, keypoints[1, :, :4].astype(np.float32))
    assert (first.fps, first.keypoint_names, first.confidence) == (30, NODES, None)
    np.savez(tmp_path / "b.npz", keypoints=keypoints, recording_ids=["x", "y"], individual_names=list("uvw"))
    assert [(one.name, *one.individuals) for one in load_poses(tmp_path / "b.npz")] == [tuple("xuvw"), tuple("yuvw")]


def test_an_npy_of_one_recording(tmp_path):
    np.save(tmp_path / "mouse.npy", numbers(1, 6, 2, 3))
    found = load_one(tmp_path / "mouse.npy")
    names = "mouse", ["individual0"], ["keypoint0", "keypoint1"]
    assert (found.name, found.individuals, found.keypoint_names) == names
    np.save(tmp_path / "series.npy", numbers(1, 6, 2))
    (series,) = load_poses(tmp_path / "series.npy")
    assert series.keypoints.shape == (1, 6, 2) and series.keypoint_names == []
