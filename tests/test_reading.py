"""Files as people have them: signs of not tracked, confidences, axes, copies of a recording, and what is left out."""

from pathlib import Path

import numpy as np
import pytest
from pose_writers import columns, numbers, write_analysis, write_csv, write_fixed, write_slp

from bams import as_recordings, load_poses
from bams.quality.reading import reading_warnings

NODES = ["nose", "ear", "tail"]
NAN = np.nan


def walk(individuals: int = 1, frames: int = 300, seed: int = 0, dims: int = 2) -> np.ndarray:
    """Animals (A, T, 3, d) of 20 pixels that walk, 300 pixels apart, far from 0."""
    rng = np.random.default_rng(seed)
    place = 500 + 300 * np.arange(individuals)[:, None, None, None]
    path = place + rng.normal(size=(individuals, frames, 1, dims)).cumsum(axis=1)
    body = np.array([[10.0, 0, 0], [0, 4, 0], [-10, 0, 0]])[:, :dims]
    return path + body + 0.1 * rng.normal(size=(individuals, frames, 3, dims))


def tracks_csv(path: Path, seed: int = 0, frames: int = 40, values: np.ndarray | None = None) -> Path:
    path.parent.mkdir(exist_ok=True)
    kp = walk(frames=frames, seed=seed)[0] if values is None else values
    rows = np.concatenate([kp, np.full((*kp.shape[:2], 1), 0.9)], axis=-1).reshape(len(kp), 9)
    return write_csv(path, columns(NODES), range(len(kp)), rows)


def saved(path: Path, **arrays) -> Path:
    np.savez(path, **arrays)
    return path


# --- not tracked -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "analysis", "npz"])
def test_a_negative_confidence_is_not_tracked(tmp_path, kind):
    kp, sure = walk(), np.full((1, 300, 3), 0.5)
    kp[0, 50:90], sure[0, 50:90] = -1, -1
    sure[0, 7, 2] = -0.5  # whatever the position
    if kind == "csv":
        rows = np.concatenate([kp[0], sure[0, ..., None]], axis=-1).reshape(300, -1)
        path = write_csv(tmp_path / "a.csv", columns(NODES), range(300), rows)
    elif kind == "analysis":
        path = write_analysis(tmp_path / "a.analysis.h5", kp.transpose(0, 3, 2, 1), NODES, [], sure.transpose(0, 2, 1))
    else:
        path = saved(tmp_path / "a.npz", keypoints=kp[None], confidence=sure[None], keypoint_names=NODES)
    (found,) = load_poses(path)
    expected = np.where((sure < 0)[..., None], NAN, kp).astype(np.float32)
    np.testing.assert_array_equal(found.keypoints, expected)
    np.testing.assert_array_equal(found.confidence, np.where(sure < 0, NAN, sure).astype(np.float32))


@pytest.mark.parametrize(
    ("number", "dtype"),
    [(-1, np.int16), (0, np.uint16), (65535, np.uint16), (-9999.9, np.float32), (np.inf, float), (-1, np.float16)],
)
def test_a_number_that_stands_for_not_tracked(tmp_path, number, dtype):
    kp, gone = walk(2).round(), np.zeros((2, 300, 3), bool)
    gone[1, 100:150] = gone[0, ::7, 1] = gone[:, 280:] = True
    path = saved(tmp_path / "a.npz", keypoints=np.where(gone[..., None], number, kp).astype(dtype)[None])
    (found,) = load_poses(path, missing_value=number)
    expected = np.where(gone[..., None], NAN, kp.astype(dtype)).astype(np.float32)[:, :280]  # then it is padding
    np.testing.assert_array_equal(found.keypoints, expected)
    assert reading_warnings([found]) == []
    if np.isfinite(number):
        (said,) = reading_warnings(load_poses(path))
        assert f"not tracked: individual0, individual1 in a: --missing_value {number:g} takes" in said
    else:
        with pytest.raises(ValueError, match=r"infinite values; write NaN .* or give missing_value=inf"):
            load_poses(path)


def test_a_number_takes_a_position_only_where_all_coordinates_have_it(tmp_path):
    kp = np.float32([[[-1, -1], [-1, 3]], [[0, 0], [5, 5]]])
    path = write_csv(tmp_path / "a.csv", columns(["p", "q"], coords="x y"), range(2), kp.reshape(2, 4))
    (found,) = load_poses(path, missing_value=-1)
    np.testing.assert_array_equal(found.keypoints[0], np.float32([[[NAN, NAN], [-1, 3]], [[0, 0], [5, 5]]]))
    (series,) = as_recordings(np.float32([[[-1, 2], [3, -1], [0, 0]]]), missing_value=-1)
    np.testing.assert_array_equal(series.keypoints[0], np.float32([[NAN, 2], [3, NAN], [0, 0]]))


def test_who_has_placeholders_is_named_and_others_are_not_suspected():
    kp = walk(3)
    kp[2] = -1  # three were asked for, and there are two
    kp[0, 40:60, 1] = -1
    (said,) = reading_warnings(as_recordings(kp[None], {"keypoint_names": NODES, "recording_ids": ["day1"]}))
    assert said.startswith("keypoints at -1 in all coordinates")
    assert "ear of individual0, individual2 in day1" in said
    centred = walk(1) - walk(1)[:, :, 1:2]  # the ear is the origin by definition
    assert reading_warnings(as_recordings(centred[None])) == []
    rest = np.repeat(walk(1, 10), 30, axis=1).round()  # lies still, in whole pixels
    assert reading_warnings(as_recordings(rest[None])) == []


@pytest.mark.parametrize("stretch", [slice(50, 120), slice(0, 300, 9)], ids=["a stretch", "single frames"])
def test_other_places_that_stand_for_not_tracked_are_named(stretch):
    kp = walk(2)
    kp[0, stretch, 2] = 0, 1080  # a 0, 0 in an image turned upside down
    (said,) = reading_warnings(as_recordings(kp[None], {"keypoint_names": NODES}))
    assert "exactly one place" in said and "tail of individual0 in recording0" in said
    kp = walk(1)
    kp[0, 100:150], kp[0, 150:] = kp[0, 100], kp[0, 150:] + 200  # held while lost
    (said,) = reading_warnings(as_recordings(kp[None]))
    assert "all keypoints in recording0" in said


# --- confidences, groups and axes of arrays ----------------------------------------------------


@pytest.mark.parametrize("grouped", [False, True])
def test_confidences_and_groups_of_an_npz(tmp_path, grouped):
    kp = walk(4)
    sure = np.random.default_rng(1).random((4, 300, 3))
    shape = (2, 2) if grouped else (4,)
    arrays = {"keypoints": kp.reshape(*shape, 300, 3, 2), "confidence": sure.reshape(*shape, 300, 3)}
    groups = ["litter a", "litter b", "litter a", "litter c"][: shape[0]]
    found = load_poses(saved(tmp_path / "a.npz", **arrays, groups=groups))
    assert [one.group for one in found] == groups
    np.testing.assert_array_equal(np.concatenate([one.confidence for one in found]), sure.astype(np.float32))
    with pytest.raises(ValueError, match=r"confidence has axes \(4, 300\); the keypoints need \(4, 300, 3\)"):
        load_poses(saved(tmp_path / "b.npz", keypoints=kp, confidence=sure[..., 0]))
    with pytest.raises(ValueError, match="there are 1 groups for 4 in the keypoints"):
        load_poses(saved(tmp_path / "b.npz", keypoints=kp, groups=["a"]))


def test_a_third_coordinate_that_is_a_confidence(tmp_path):
    kp, sure = walk(2), np.random.default_rng(1).beta(20, 1, (2, 300, 3))
    sure[0, 10:20, 2], kp[0, 10:20, 2] = 0, 0
    joined = np.concatenate([kp, sure[..., None]], axis=-1)[None]
    path = saved(tmp_path / "a.npz", keypoints=joined)
    (said,) = [one for one in reading_warnings(load_poses(path)) if "third" in one]
    assert said.endswith("confidence, and no height: a: --third confidence takes it as confidence")
    (found,) = load_poses(path, third="confidence")
    expected = np.where((sure == 0)[..., None], NAN, kp)
    np.testing.assert_array_equal(found.keypoints, expected.astype(np.float32))
    np.testing.assert_array_equal(found.confidence, sure.astype(np.float32))
    assert reading_warnings([found]) == []
    path = write_csv(tmp_path / "a.csv", columns(NODES, coords="x y z"), range(300), joined[0, 0].reshape(300, -1))
    np.testing.assert_array_equal(load_poses(path, third="confidence")[0].keypoints[0], expected[0].astype(np.float32))
    with pytest.raises(ValueError, match="2 coordinates, not 3, so third cannot be confidence"):
        load_poses(saved(tmp_path / "b.npz", keypoints=kp[None]), third="confidence")


@pytest.mark.parametrize("scale", [1, 0.001], ids=["pixels", "metres"])
def test_a_height_is_no_confidence(scale):
    assert reading_warnings(as_recordings(scale * walk(2, dims=3)[None] / 2)) == []


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (walk(1)[0], "300 tracks of 3 frames"),
        (walk(2)[:, :, 0].swapaxes(0, 1), "300 tracks of 2 frames"),
        (np.random.default_rng(0).normal(size=(300, 68, 2)).cumsum(axis=0), "300 tracks of 68 frames"),
        (np.random.default_rng(0).normal(size=(300, 468, 3)).cumsum(axis=0), "300 tracks of 468 frames"),
        (walk(2).swapaxes(0, 1), "300 tracks of 2 frames"),
        (walk(2).swapaxes(0, 1)[None], "300 individuals of 2 frames"),
        (np.random.default_rng(0).normal(size=(300, 4, 9)).cumsum(axis=0), "300 tracks of 4 frames"),
    ],
)
def test_frames_that_come_first_are_refused_unless_the_tracks_are_named(tmp_path, array, said):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=said + ", but the frames seem to come first: save keypoints"):
        load_poses(tmp_path / "a.npy")
    axis, kind = (1, "individual_names") if array.ndim == 5 else (0, "recording_ids")
    names = [str(i) for i in range(array.shape[axis])]
    assert as_recordings(array, {kind: names})[0].keypoints.shape[0] == (len(names) if axis else 1)


def test_short_tracks_and_series_of_one_recording():
    many = np.concatenate([walk(1, 20, seed) + 50 * seed for seed in range(40)])
    assert len(as_recordings(many)) == 40
    assert len(as_recordings(np.random.default_rng(0).normal(size=(40, 20, 9)))) == 40
    with pytest.raises(ValueError, match=r"axes \(300, 6\); if .* give keypoints.reshape\(1, 300, -1, 2\)"):
        as_recordings(walk(1)[0].reshape(300, 6))


# --- folders -----------------------------------------------------------------------------------


def test_a_folder_as_the_tool_leaves_it(tmp_path, capsys):
    stem = "v1DLC_resnet50_aAug20shuffle1_100000"
    tracks_csv(tmp_path / f"{stem}.csv")
    tracks_csv(tmp_path / "Video1.csv", seed=1)
    (tmp_path / f"{stem}_meta.pickle").write_bytes(b"\x80\x04N.")
    (tmp_path / f"{stem}_skeleton.csv").write_text("scorer,D\nbodyparts,a_b\ncoords,length\n0,1\n1,2\n")
    for metric in ("temporal_norm", "pca_singleview_error"):
        (tmp_path / f"Video1_{metric}.csv").write_text(",nose,ear\n0,0.5,0.5\n1,0.5,0.5\n")
    (tmp_path / "v1_labeled.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(64))
    (tmp_path / "tracks.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    for source in (tmp_path, f"{tmp_path}/*.csv"):
        assert [one.name for one in load_poses(source)] == ["Video1", stem]
        said = capsys.readouterr().err
        assert "left out Video1_pca_singleview_error.csv, Video1_temporal_norm.csv: a CSV" in said
        assert f"left out {stem}_skeleton.csv: " in said
        assert (f"left out {stem}_meta.pickle, v1_labeled.mp4, which hold no tracks" in said) == (source == tmp_path)
        assert ("left out tracks.mat: a MATLAB file: save the keypoints" in said) == (source == tmp_path)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("v1.csv", "v1_filtered.csv"),
        ("v1DLC_resnet50_aAug20shuffle1_100000.csv", "v1DLC_resnet50_aAug20shuffle1_200000.csv"),
        ("v1DLC_x_el.csv", "v1DLC_x_sk_filtered.csv"),
        ("v1.csv", "v1.h5"),
        ("v1.slp", "v1.analysis.h5"),
        ("labels.v001.slp", "labels.v002.slp"),
        ("labels.v001.slp", "labels.v001.000_mouse1.analysis.h5"),
        ("mouse1.mp4.predictions.slp", "mouse1.mp4.predictions.000_mouse1.analysis.h5"),
        ("mouse1.mp4.predictions.slp", "mouse1.csv"),
        ("labels.v001.slp", "labels.v001.analysis.h5"),
        ("a_superanimal_topviewmouse_hrnet_w32.csv", "a_superanimal_topviewmouse_resnet_50.csv"),
    ],
)
def test_copies_are_noticed_by_their_names(tmp_path, one, other):
    def write(name: str, seed: int) -> None:
        kp = walk(frames=40, seed=seed)
        if name.endswith(".slp"):
            write_slp(tmp_path / name, [{"frame": f, "points": p} for f, p in enumerate(kp[0])], NODES)
        elif name.endswith("analysis.h5"):
            write_analysis(tmp_path / name, kp.transpose(0, 3, 2, 1), NODES, [])
        elif name.endswith(".h5"):
            write_fixed(tmp_path / name, columns(NODES, coords="x y"), np.arange(40), kp[0].reshape(40, -1))
        else:
            tracks_csv(tmp_path / name, seed)

    write(one, 0)
    write(other, 1)
    with pytest.raises(ValueError, match="seem to be the same recording; give a pattern") as found:
        load_poses(tmp_path)
    assert one in str(found.value) and other in str(found.value)
    assert len(load_poses([tmp_path / one, tmp_path / other])) == 2


def test_copies_are_noticed_by_their_content_and_other_recordings_are_not(tmp_path, capsys):
    for seed, name in enumerate(("v1", "v1 (1)", "v2", "mouse_DLC_day1", "mouse_DLC_day2", "mouse.v001", "mouse.v002")):
        tracks_csv(tmp_path / "a" / f"{name}.csv", seed)
    tracks_csv(tmp_path / "b" / "w.csv", 0)
    assert len(load_poses(tmp_path / "a")) == 7
    assert len(load_poses(f"{tmp_path}/*/*.csv")) == 8
    assert "v1.csv and " in (said := capsys.readouterr().err) and "w.csv hold the same keypoints" in said
    for copy in ("Copy of v1", "v1_backup", "v1"):
        tracks_csv(tmp_path / "b" / f"{copy}.csv", 0)
        with pytest.raises(ValueError, match=rf"{copy}.csv hold the same keypoints"):
            load_poses([tmp_path / "a" / "v1.csv", tmp_path / "b" / f"{copy}.csv"])
    for video in (0, 1):  # of one project
        path = tmp_path / f"labels.v001.00{video}_mouse{video}.analysis.h5"
        write_analysis(path, numbers(1, 2, 3, 9) + video, NODES, [])
    assert len(load_poses(f"{tmp_path}/*.h5")) == 2


BAD = {
    "one.csv": (lambda p: tracks_csv(p, frames=1), "it holds 1 frame"),
    "header.csv": (lambda p: tracks_csv(p, values=walk()[0, :0]), "it holds no frame"),
    "zero.csv": (lambda p: p.write_bytes(b""), "empty"),
    "nobody.csv": (lambda p: tracks_csv(p, values=np.full((40, 3, 2), NAN)), "shows nobody"),
    "cut.csv": (lambda p: p.write_bytes(tracks_csv(p).read_bytes()[:-9]), "its last row has"),
    "cut.npz": (lambda p: p.write_bytes(saved(p, keypoints=walk()).read_bytes()[:-9]), "cannot be read as plain"),
    "cut.h5": (lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(50)), "damaged HDF5 file"),
}


@pytest.mark.parametrize("name", BAD)
def test_one_file_among_good_ones_that_cannot_be_used(tmp_path, capsys, name):
    make, reason = BAD[name]
    for i in (1, 2):
        tracks_csv(tmp_path / f"good{i}.csv", seed=i)
    make(tmp_path / name)
    assert [one.name for one in load_poses(tmp_path)] == ["good1", "good2"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: left out {name}: ") and reason in line
    with pytest.raises(ValueError, match=reason) as found:
        load_poses(tmp_path / name)
    assert str(found.value).startswith(str(tmp_path / name))
    for good in tmp_path.glob("good*"):
        good.unlink()
    with pytest.raises(ValueError, match=f"no file with tracks in .*, only {name}: .*{reason}"):
        load_poses(tmp_path)


def test_many_are_named_up_to_five_and_a_recording_of_an_array_stays(tmp_path, capsys):
    tracks_csv(tmp_path / "z.csv")
    for i in range(8):
        tracks_csv(tmp_path / f"part{i}.csv", seed=i, frames=1)
    assert len(load_poses(tmp_path)) == 1
    assert "part3.csv, part4.csv and 3 more: cannot be read" in capsys.readouterr().err
    kp = walk(3)
    kp[1], kp[2, 1:] = NAN, NAN
    assert [one.keypoints.shape[1] for one in load_poses(saved(tmp_path / "a.npz", keypoints=kp))] == [300, 1, 1]
