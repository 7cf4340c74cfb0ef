"""Files of more trackers: their numbers, names and rates, and refusals that name the tool."""

import datetime
import json
import pickle
import sqlite3

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import sleap_io
import xarray as xr
from ndx_pose import MultiCameraPoseEstimation, PoseEstimation, PoseEstimationSeries, Skeleton, Skeletons
from pose_writers import numbers, write_analysis
from pynwb import NWBHDF5IO, NWBFile
from pynwb.file import Subject
from pynwb.image import ImageSeries
from refusals import refused

from bams import load_poses
from bams.app import custom
from custom_dataset import load_data

NODES = list("abcde")


def same(found, expected) -> None:
    np.testing.assert_array_equal(found, np.asarray(expected, np.float32))


def write_h5(path, attributes=(), **datasets):
    with h5py.File(path, "w") as file:
        file.attrs.update(dict(attributes))
        for name, values in datasets.items():
            file[name] = values
    return path


# --- sleap-anipose, and analysis files in other orders ------------------------------------------


@pytest.mark.parametrize("shape", [(1, 40, 5, 3), (2, 40, 3, 3), (3, 40, 2, 3)])
@pytest.mark.parametrize("turned", [False, True])
def test_points_of_sleap_anipose_have_three_coordinates_and_no_names(tmp_path, shape, turned):
    points = numbers(*shape)  # (A, T, K, 3)
    stored = points.swapaxes(0, 1)
    (found,) = load_poses(write_h5(tmp_path / "points3d.h5", tracks=stored.T if turned else stored))
    same(found.keypoints, points)
    assert found.keypoint_names == [f"keypoint{i}" for i in range(shape[2])]
    assert (found.individuals, found.fps) == ([f"individual{i}" for i in range(shape[0])], None)


def test_an_analysis_without_any_names_in_two_dimensions_is_refused(tmp_path):
    path = write_h5(tmp_path / "a.h5", tracks=numbers(2, 2, 5, 40))
    with refused("axes 2 x 2 x 5 x 40, which do not fit 0 node_names", path):
        load_poses(path)


@pytest.mark.parametrize("axes", [(0, 3, 2, 1), (1, 2, 3, 0)], ids=["as SLEAP writes", "by MATLAB"])
@pytest.mark.parametrize("shape", [(2, 30, 5, 2), (2, 30, 2, 2), (5, 30, 5, 2), (2, 30, 5, 3)])
@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("scores", ["numbers", "nan", None])
def test_variants_of_analysis_files(tmp_path, axes, shape, names, scores):
    tracks, sure = numbers(*shape), numbers(*shape[:3]) * (np.nan if scores == "nan" else 1)
    stored = sure.transpose([axis for axis in axes if axis < 3]) if scores else None
    tracked = [f"t{i}" for i in range(shape[0])] if names else []
    path = write_analysis(tmp_path / "a.h5", tracks.transpose(axes), NODES[: shape[2]], tracked, stored)
    if not names:
        with h5py.File(path, "a") as file:
            del file["track_names"]
    (found,) = load_poses(path)
    same(found.keypoints, tracks)
    assert found.individuals == (tracked or [f"individual{i}" for i in range(shape[0])])
    assert (found.confidence is None) == (scores is None)
    if scores:
        same(found.confidence, sure)


# --- views of movement -------------------------------------------------------------------------


def two_views() -> tuple[np.ndarray, xr.Dataset]:
    position = numbers(2, 60, 2, 5, 1)
    axes = ("view", "time", "space", "keypoint", "individual")
    coords = {"view": ["top", "side"], "time": np.arange(60) / 30, "space": ["x", "y"], "keypoint": NODES}
    sure = ((*axes[:2], *axes[3:]), numbers(2, 60, 5, 1))
    return position, xr.Dataset({"position": (axes, position), "confidence": sure}, coords, {"fps": 30.0})


@pytest.mark.parametrize("saved", [True, False])
def test_one_view_of_movement_is_chosen_by_name(tmp_path, saved):
    position, made = two_views()
    source = made
    if saved:
        source = tmp_path / "cameras.nc"
        made.to_netcdf(source, engine="h5netcdf")
    for i, view in enumerate(["top", "side"]):
        (found,) = load_poses(source, view=view)
        same(found.keypoints, position[i].transpose(3, 0, 2, 1))
        same(found.confidence, made.confidence.values[i].transpose(2, 0, 1))
    for view in (None, "left"):
        with refused("it has the views top, side; choose one with view \\(--view top\\)"):
            load_poses(source, view=view)
    same(load_poses(made.isel(view=[1]))[0].keypoints, position[1].transpose(3, 0, 2, 1))
    with refused("it has no views, and view='top' is given; leave view out"):
        load_poses(made.isel(view=0), view="top")


def test_the_flag_view(tmp_path, capsys):
    _, made = two_views()
    made.to_netcdf(tmp_path / "cameras.nc", engine="h5netcdf")
    flags = ["--job", "report", "--data_root", str(tmp_path / "cameras.nc"), "--output_dir", str(tmp_path)]
    custom.main([*flags, "--view", "side"], load_data)
    assert "cameras" in capsys.readouterr().out
    with refused("it has the views top, side"):
        custom.main(flags, load_data)


def test_a_view_of_a_file_without_views_is_refused(tmp_path):
    path = write_h5(tmp_path / "points3d.h5", tracks=numbers(40, 1, 5, 3))
    with refused("has no views; leave view out", path):
        load_poses(path, view="top")


def test_a_bounding_box_dataset_is_refused_by_name():
    axes = ("time", "space", "individual")
    boxes = xr.Dataset({"position": (axes, numbers(9, 2, 1)), "shape": (axes, numbers(9, 2, 1))})
    with refused("it is a bounding-box dataset, which has no keypoints"):
        load_poses(boxes)


# --- NWB ---------------------------------------------------------------------------------------


def series(points, skeleton, confidence=None, conversion=1.0, **clock) -> list[PoseEstimationSeries]:
    """Points (T, K, d) of one individual."""
    sure = [{}] * 3 if confidence is None else [{"confidence": c, "confidence_definition": "p"} for c in confidence.T]
    common = {"unit": "pixels", "reference_frame": "top left", "conversion": conversion, **clock}
    named = zip(skeleton.nodes, points.swapaxes(0, 1), sure, strict=True)
    return [PoseEstimationSeries(name=node, data=data, **common, **more) for node, data, more in named]


def pose(name, points, skeleton, video=None, device=None, **settings) -> PoseEstimation:
    seen = {"skeleton": skeleton, "source_video": video, "device": device}
    made = series(points, skeleton, **settings)
    return PoseEstimation(name=name, pose_estimation_series=made, description="d", **seen)


def empty_nwb() -> NWBFile:
    return NWBFile("session", "id", datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC))


def write_nwb(path, poses, skeletons, file=None):
    file = file or empty_nwb()
    module = file.create_processing_module("behavior", "x")
    module.add(Skeletons(skeletons=skeletons))
    module.add(poses)
    with NWBHDF5IO(path, "w") as io:
        io.write(file)
    return path


def skeleton(name="mouse", nodes=("nose", "ear", "a tail")) -> Skeleton:
    return Skeleton(name=name, nodes=list(nodes), edges=np.array([[0, 1]], np.uint8))


@pytest.mark.parametrize("coordinates", [2, 3])
@pytest.mark.parametrize("sure", [True, False])
def test_nwb_of_one_animal(tmp_path, coordinates, sure):
    points, confidence, bones = numbers(30, 3, coordinates), numbers(30, 3), skeleton()
    points[4, 1] = np.nan
    one = pose("PoseEstimation", points, bones, confidence=confidence if sure else None, rate=25.0, starting_time=7.3)
    file = empty_nwb()
    file.subject = Subject(subject_id="m1", species="Mus musculus")
    (found,) = load_poses(write_nwb(tmp_path / "session.nwb", [one], [bones], file))
    same(found.keypoints[0], points)
    if sure:
        same(found.confidence[0], confidence)
    else:
        assert found.confidence is None
    assert (found.name, found.individuals, found.fps, found.first_frame) == ("session", ["m1"], 25.0, 0)
    assert found.keypoint_names == ["nose", "ear", "a tail"]  # of the skeleton; in the file they are sorted


def test_nwb_of_two_animals_with_timestamps_that_differ(tmp_path):
    bones, times = skeleton(), 3 + np.arange(20) / 30 + np.random.default_rng(1).uniform(-1e-3, 1e-3, 20)
    early, late = numbers(15, 3, 2), numbers(8, 3, 2)
    kept = np.r_[10:15, 17:20]  # frames 15 and 16 are lost for the second
    poses = [
        pose("PoseEstimation_a", early, bones, timestamps=times[:15], conversion=0.5),
        pose("PoseEstimation_b", late, bones, timestamps=times[kept]),
    ]
    (found,) = load_poses(write_nwb(tmp_path / "s.nwb", poses, [bones]))
    expected = np.full((2, 20, 3, 2), np.nan)
    expected[0, :15], expected[1, kept] = np.float32(early) * 0.5, late
    same(found.keypoints, expected)
    assert found.individuals == ["PoseEstimation_a", "PoseEstimation_b"]
    assert found.fps == pytest.approx(30, rel=5e-3)


def test_nwb_of_two_videos_is_two_recordings(tmp_path):
    bones, points, file = skeleton(), numbers(2, 30, 3, 2), empty_nwb()
    poses = []
    for i in (0, 1):
        at = {"external_file": [f"C:\\videos\\day{i}.mp4"], "format": "external", "rate": 30.0, "num_samples": 30}
        video = ImageSeries(name=f"v{i}", **at)
        file.add_acquisition(video)
        poses.append(pose(f"P{i}", points[i], bones, video=video, rate=30.0))
    found = load_poses(write_nwb(tmp_path / "s.nwb", poses, [bones], file))
    assert [one.name for one in found] == ["s/day0", "s/day1"]
    for one, expected in zip(found, points, strict=True):
        same(one.keypoints[0], expected)


def test_one_camera_of_nwb_is_chosen_by_name(tmp_path):
    bones, points, file = skeleton(), numbers(4, 30, 3, 2), empty_nwb()
    cameras = [file.create_device(name="top"), file.create_device(name="side")]
    poses = [pose(f"P{i}", points[i], bones, device=cameras[i % 2], rate=30.0) for i in range(4)]
    path = write_nwb(tmp_path / "s.nwb", poses, [bones], file)
    for i, view in enumerate(["top", "side"]):
        (found,) = load_poses(path, view=view)
        same(found.keypoints, points[i::2])
    with refused("it has the views side, top; choose one with view", path):
        load_poses(path)


def test_nwb_of_several_cameras_gives_the_points_in_3d(tmp_path):
    bones, flat, high, file = skeleton(), numbers(30, 3, 2), numbers(30, 3, 3), empty_nwb()
    of_cameras = [pose(name, flat, bones, device=file.create_device(name=name), rate=30.0) for name in ("top", "side")]
    triangulated = {"pose_estimation_series": series(high, bones, rate=30.0), "skeleton": bones}
    multi = MultiCameraPoseEstimation(name="mouse", pose_estimations=of_cameras, **triangulated)
    (found,) = load_poses(write_nwb(tmp_path / "s.nwb", [multi], [bones], file))
    same(found.keypoints[0], high)
    assert found.individuals == ["mouse"]


def test_nwb_that_sleap_io_writes(tmp_path):
    points = numbers(2, 12, 3, 2)
    nodes, tracks = sleap_io.Skeleton(["x", "b", "c"], name="mouse"), [sleap_io.Track("t0"), sleap_io.Track("t1")]
    video = sleap_io.Video(filename="v.mp4", open_backend=False)
    animals = lambda t: [  # noqa: E731
        sleap_io.PredictedInstance.from_numpy(points[a, t], skeleton=nodes, track=tracks[a], score=1) for a in (0, 1)
    ]
    frames = [sleap_io.LabeledFrame(video=video, frame_idx=t, instances=animals(t)) for t in range(12)]
    sleap_io.save_nwb(sleap_io.Labels(frames), str(tmp_path / "s.nwb"))
    (found,) = load_poses(tmp_path / "s.nwb")
    same(found.keypoints, points)
    assert found.keypoint_names == ["x", "b", "c"]


def test_nwb_without_poses_is_refused(tmp_path):
    path = write_nwb(tmp_path / "s.nwb", [], [skeleton()])
    with refused("an NWB file without a PoseEstimation", path):
        load_poses(path)


# --- JABS --------------------------------------------------------------------------------------


def write_jabs(path, points, confidence, version, **more):
    """Points (T, [A,] 12, 2) in pixels as x, y."""
    with h5py.File(path, "w") as file:
        group = file.create_group("poseest")
        group.attrs["version"] = np.array([version, 0], np.uint16)
        for name, values in {"points": points[..., ::-1], "confidence": confidence, **more}.items():
            group[name] = values
    return path


def test_jabs_of_one_mouse_with_an_empty_frame(tmp_path):
    points, sure = numbers(9, 12, 2).round(), np.full((9, 12), 0.9, np.float32)
    sure[3], sure[5, 2] = 0, 0
    (found,) = load_poses(write_jabs(tmp_path / "v_pose_est_v2.h5", points, sure, 2))
    same(found.keypoints[0], np.where(sure[..., None] > 0, points, np.nan))
    assert (found.keypoint_names[0], found.keypoint_names[-1]) == ("NOSE", "TIP_TAIL")


@pytest.mark.parametrize("version", [3, 4])
def test_identities_of_jabs(tmp_path, capsys, version):
    points, sure = numbers(6, 3, 12, 2).round(), np.full((6, 3, 12), 0.5, np.float32)
    ids = np.array([[2, 1, 0], [1, 2, 0], [1, 2, 7], [2, 0, 0], [1, 2, 0], [2, 1, 0]], np.uint32)
    if version == 3:  # as many as are counted; the ids of tracklets begin at 0
        more = {"instance_track_id": ids - 1, "instance_count": (ids > 0).sum(axis=1).astype(np.uint8)}
        names = {1: "0", 2: "1", 7: "6"}
    else:
        more = {"instance_embed_id": ids, "id_mask": (ids == 0) | (ids > 2)}
        names = {1: "1", 2: "2"}
    path = write_jabs(tmp_path / "v_pose_est.h5", points, sure, version, **more)
    (found,) = load_poses(path)
    assert found.individuals == list(names.values())
    for name, place in zip(names, found.keypoints, strict=True):
        expected = np.full((6, 12, 2), np.nan)
        for frame, slot in np.argwhere(ids == name):
            expected[frame] = points[frame, slot]
        same(place, expected)
    if version == 4:  # slots of id 0 have a confidence here
        assert "left out 7 of 18 detections, which have no identity" in capsys.readouterr().err
    tracks = {track.name: track for track in sleap_io.load_jabs(str(path)).tracks}
    assert set(found.individuals) <= set(tracks)


def test_jabs_without_a_mouse_is_refused(tmp_path):
    paths = [write_jabs(tmp_path / "v_pose_est_v2.h5", np.zeros((9, 12, 2)), np.zeros((9, 12)), 2)]
    nobody = {"instance_embed_id": np.ones((9, 2), int), "id_mask": np.ones((9, 2), bool)}
    paths += [write_jabs(tmp_path / "w_pose_est_v4.h5", numbers(9, 2, 12, 2), np.ones((9, 2, 12)), 4, **nobody)]
    for path in paths:
        with refused("no animal is tracked", path):
            load_poses(path)


# --- CalMS21 and MARS --------------------------------------------------------------------------


def sequence(points, scores, behaviours=None, **vocab) -> dict:
    made = {"keypoints": points.transpose(1, 0, 3, 2).tolist(), "scores": scores.transpose(1, 0, 2).tolist()}
    return made | ({"annotations": behaviours, "metadata": {"vocab": vocab}} if behaviours else {})


@pytest.mark.parametrize("suffix", [".json", ".npy"])
def test_sequences_of_calms21_with_their_behaviours(tmp_path, suffix):
    points, scores = numbers(2, 4, 7, 2), numbers(2, 4, 7)
    first = sequence(points, scores, [3, 0, 0, 2], attack=0, investigation=1, mount=2, other=3)
    content = {"annotator-id_0": {"task1/train/mouse001": first, "task1/train/mouse002": sequence(-points, scores)}}
    path = tmp_path / f"calms21{suffix}"
    path.write_text(json.dumps(content)) if suffix == ".json" else np.save(path, content)
    found, unlabelled = load_poses(path)
    same(found.keypoints, points)
    same(found.confidence, scores)
    same(unlabelled.keypoints, -points)
    assert (found.name, unlabelled.name) == ("task1/train/mouse001", "task1/train/mouse002")
    assert (found.individuals, found.fps) == (["resident", "intruder"], 30.0)
    assert found.keypoint_names == ["nose", "left_ear", "right_ear", "neck", "left_hip", "right_hip", "tail_base"]
    assert {name: values.tolist() for name, values in found.labels.items()} == {
        "behavior": ["other", "attack", "attack", "mount"]
    }
    assert unlabelled.labels == {}


def test_tasks_of_calms21_with_several_annotators_or_behaviours(tmp_path):
    points, scores = numbers(2, 3, 7, 2), numbers(2, 3, 7)
    one = sequence(points, scores, [0, 1, 1], other=0, approach=1)
    (tmp_path / "a.json").write_text(json.dumps({"annotator-id_1": {"x": one}, "annotator-id_2": {"x": one}}))
    assert [each.name for each in load_poses(tmp_path / "a.json")] == ["annotator-id_1/x", "annotator-id_2/x"]
    (tmp_path / "b.json").write_text(json.dumps({"approach": {"x": one}}))
    (found,) = load_poses(tmp_path / "b.json")
    assert found.labels["approach"].tolist() == ["other", "approach", "approach"]
    one["annotations"].pop()
    (tmp_path / "c.json").write_text(json.dumps({"approach": {"x": one}}))
    with refused("x has 2 annotations for 3 frames", tmp_path / "c.json"):
        load_poses(tmp_path / "c.json")


@pytest.mark.parametrize(("points", "name"), [(7, "right_side"), (11, "right_side"), (5, "keypoint4")])
@pytest.mark.parametrize("scores_first", [True, False])
def test_mars(tmp_path, points, name, scores_first):
    places, scores = numbers(2, 4, points, 2), numbers(2, 4, points)
    content = sequence(places, scores) | {"bbox": [], "bscores": []}
    order = sorted(content, reverse=scores_first)
    (tmp_path / "m.json").write_text(json.dumps({name: content[name] for name in order}))
    (found,) = load_poses(tmp_path / "m.json")
    same(found.keypoints, places)
    same(found.confidence, scores)
    assert (found.keypoint_names[4], found.individuals, found.fps) == (name, ["resident", "intruder"], None)


# --- idtracker.ai and TRex ---------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".npy", ".h5", ".npz"])
@pytest.mark.parametrize("named", [True, False])
def test_trajectories_of_idtracker(tmp_path, suffix, named):
    trajectories, sure = numbers(9, 3, 2), numbers(9, 3, 1)  # frames, animals
    trajectories[4, 1] = np.nan
    arrays = {"trajectories": trajectories, "id_probabilities": sure}
    about = {"frames_per_second": 50, "version": "6.0"} | ({"identities_labels": ["x", "y", "z"]} if named else {})
    path = tmp_path / f"trajectories{suffix}"
    if suffix == ".npy":
        extra = {"areas": {"mean": np.ones(3)}, "setup_points": {}, "length_unit": None, "video_paths": ["/v.mp4"]}
        np.save(path, arrays | about | extra)
    elif suffix == ".npz":
        np.savez(path, **arrays, **about)
    else:
        write_h5(path, about, **arrays)
    (found,) = load_poses(path)
    same(found.keypoints[:, :, 0], trajectories.swapaxes(0, 1))
    same(found.confidence[:, :, 0], sure[..., 0].T)
    assert found.individuals == (["x", "y", "z"] if named else ["individual1", "individual2", "individual3"])
    assert (found.name, found.keypoint_names, found.fps) == ("trajectories", ["centroid"], 50.0)


def test_a_pickle_of_idtracker_runs_nothing(tmp_path):
    proof = tmp_path / "proof"

    class Attack:
        def __reduce__(self):
            return proof.write_text, ("x",)

    np.save(tmp_path / "trajectories.npy", {"trajectories": np.zeros((3, 1, 2)), "version": Attack()})
    with refused("is not a readable file of a dict of arrays", tmp_path / "trajectories.npy"):
        load_poses(tmp_path / "trajectories.npy")
    assert not proof.exists()


def write_trex(path, frames, centroid, pose=None, **more):
    """Centroids (T, 2) and poses (T, K, 2)."""
    columns = {"X#wcentroid": centroid[:, 0], "Y#wcentroid": centroid[:, 1]}
    for k in range(0 if pose is None else pose.shape[1]):
        columns |= {f"poseX{k}": pose[:, k, 0], f"poseY{k}": pose[:, k, 1]}
    np.savez(path, frame=np.asarray(frames, float), time=np.asarray(frames) / 29.97, **columns, **more)
    return path


def test_the_animals_of_a_video_of_trex_are_one_recording(tmp_path):
    places = numbers(3, 6, 2)
    places[0, 2] = np.inf
    expected = np.full((3, 9, 1, 2), np.nan)
    for row, (animal, start) in enumerate({0: 4, 2: 5, 10: 7}.items()):
        write_trex(
            tmp_path / f"my_video_fish{animal}.npz", np.arange(start, start + 6), places[row], missing=np.eye(6)[5]
        )
        expected[row, start - 4 : start + 1, 0] = places[row, :5]
    expected[0, 2] = np.nan
    write_trex(tmp_path / "other_id0.npz", np.arange(6), places[1])
    found, other = load_poses(tmp_path)
    same(found.keypoints, expected)
    assert (found.name, found.individuals, found.first_frame) == ("my_video", ["fish0", "fish2", "fish10"], 4)
    assert (found.keypoint_names, found.fps) == (["centroid"], 29.97)
    assert (other.name, other.individuals) == ("other", ["id0"])
    same(other.keypoints[0, :, 0], places[1])


def test_fragments_of_animals_of_trex_are_joined(tmp_path):
    for i, start in enumerate([0, 6]):
        write_trex(tmp_path / f"v_fish{i}.npz", np.arange(start, start + 5), np.full((5, 2), 9.0 + i))
    (found,) = load_poses(tmp_path, individuals=1)
    np.testing.assert_array_equal(found.keypoints[0, :, 0, 0], [9] * 5 + [np.nan] + [10] * 5)


def test_poses_of_trex_in_the_order_of_their_numbers(tmp_path):
    poses = numbers(8, 11, 2)
    (found,) = load_poses(write_trex(tmp_path / "v_id3.npz", range(8), numbers(8, 2), poses))
    same(found.keypoints[0], poses)
    assert found.keypoint_names[-2:] == ["pose9", "pose10"]


# --- what is not read --------------------------------------------------------------------------

DLSTREAM = ";Animal1;Animal1;Experiment;Time\n;nose;nose;Status;\n;x;y;;\nFrame;;;;\n0;1;2;False;0.0\n"
VIA = 'filename,file_size,region_count,region_shape_attributes\nf.png,1,1,"{""name"":""rect""}"\n'


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.json", {"images": [{"id": 0}], "annotations": [], "categories": []}, "COCO JSON"),
        ("a.json", {"info": {}, "images": [{"id": 0}]}, "COCO JSON"),
        ("a.json", [{"image_id": "0.jpg", "keypoints": [1, 2, 3], "score": 1.0}], "AlphaPose or COCO"),
        ("a.json", [{"bodyparts": [[[1, 2, 0.9]]], "bboxes": []}], "DeepLabCut with detections before tracking"),
        ("a.json", {"version": 1.3, "people": [{"pose_keypoints_2d": [1.0] * 75}]}, "OpenPose"),
        ("a.json", {"other": 1}, "of an unknown kind"),
        ("000001.txt", "0 0.5 0.5 0.1 0.1 0.5 0.5 2\n", "ultralytics"),
        ("notes.txt", "3 mice, 2 of them shy\n", "of an unknown kind"),
        ("vDLC_skeleton.csv", "scorer,D,D,D\nbodyparts,a_b,a_b,a_b\ncoords,length,orientation,likelihood\n", "bones"),
        ("vDLC_skeleton.csv", ",a_b,a_b,a_b\n,length,orientation,likelihood\n0,1,2,.9\n", "bones"),
        ("a.csv", DLSTREAM, "DeepLabStream"),
        ("a.csv", VIA, "VGG Image Annotator"),
        ("a.csv", "frame,missing,X#wcentroid (cm),Y#wcentroid (cm)\n0,0,1,2\n", "TRex"),
        ("vDLC_meta.pickle", pickle.dumps({"a": 1}), "DeepLabCut with detections before tracking"),
        ("vDLC_el.pickle", pickle.dumps({"a": 1}), "DeepLabCut with detections before tracking"),
    ],
)
def test_files_of_other_tools_are_refused_by_name(tmp_path, name, content, what):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    with refused(f"{name} is .*{what}.*: .*(give|save|collect|link)", path):
        load_poses(path)


def test_binary_files_of_other_tools_are_refused_by_name(tmp_path):
    table = pd.DataFrame({"nose_x": [1.0]})
    table.to_parquet(tmp_path / "a.parquet")
    table.to_feather(tmp_path / "a.feather")
    for name, column in {"mice.sqlite": "DETECTION", "other.sqlite": "PAGES"}.items():
        with sqlite3.connect(tmp_path / name) as connection:
            connection.execute(f"create table {column} (frame int)")
        connection.close()
    scipy.io.savemat(tmp_path / "dannce.mat", {"pred": np.zeros((9, 3, 5)), "sampleID": np.arange(9)})
    write_h5(tmp_path / "kit.h5", annotations=np.zeros(3), annotated=np.zeros(3), images=[0], skeleton=[0])
    write_h5(tmp_path / "face.h5", **{"Facemap/nose/x": np.zeros(3), "Facemap/nose/y": np.zeros(3)})
    write_h5(tmp_path / "results.h5", **{"video1/syllable": np.zeros(3), "video1/heading": np.zeros(3)})
    np.savez(tmp_path / "v_posture_fish0.npz", frames=np.zeros(3), midline_points=np.zeros(3))
    for name, what in {
        "a.parquet": "a Parquet file: save the table as .csv",
        "a.feather": "a Feather file: save the table as .csv",
        "mice.sqlite": "Live Mouse Tracker: read the points in its table DETECTION",
        "other.sqlite": "an SQLite database",
        "dannce.mat": "DANNCE with 3-D points: save pred",
        "kit.h5": "DeepPoseKit",
        "face.h5": "Facemap",
        "results.h5": "keypoint-moseq, which holds syllables",
        "v_posture_fish0.npz": "postures of TRex",
    }.items():
        with refused(f"{name} is .*{what}", tmp_path / name):
            load_poses(tmp_path / name)


def test_damaged_files_are_refused_in_one_sentence(tmp_path):
    bones = skeleton()
    calms21 = {"annotator-id_0": {"x": sequence(numbers(2, 4, 7, 2), numbers(2, 4, 7), [0] * 4, attack=0)}}
    (tmp_path / "c.json").write_text(json.dumps(calms21))
    (tmp_path / "m.json").write_text(json.dumps(sequence(numbers(2, 4, 7, 2), numbers(2, 4, 7))))
    np.save(tmp_path / "i.npy", {"trajectories": numbers(9, 3, 2), "frames_per_second": 50})
    for path in (
        write_nwb(tmp_path / "s.nwb", [pose("P", numbers(9, 3, 2), bones, rate=30.0)], [bones]),
        write_jabs(tmp_path / "v_pose_est_v2.h5", numbers(9, 12, 2), np.ones((9, 12)), 2),
        write_trex(tmp_path / "v_fish0.npz", range(8), numbers(8, 2)),
        *(tmp_path / name for name in ("c.json", "m.json", "i.npy")),
    ):
        assert load_poses(path)
        whole = path.read_bytes()
        for length in {1, 7, 50, *np.random.default_rng(1).integers(1, len(whole) - 40, 9).tolist()}:
            path.write_bytes(whole[:length])
            with refused(path.name, path):
                load_poses(path)
