"""Labels made by hand, and videos, in a `.slp`: what is an animal's track, and what is left out and said."""

import json

import h5py
import numpy as np
import pytest
import sleap_io
from pose_writers import write_slp

from bams import load_poses

NODES = ["nose", "tail"]


def animal(frame: int, place: float, track: int = -1, **about) -> dict:
    """An animal of 10 pixels with its nose at (place, 0); `hand=True` labels it by hand."""
    by_hand = about.pop("hand", False)
    return {"frame": frame, "points": [[place, 0], [place + 10, 0]], "track": track, "by_hand": by_hand, **about}


def by_hand(frames, place: float, track: int = -1, **about) -> list[dict]:
    return [animal(frame, place, track, hand=True, **about) for frame in frames]


def predicted(frames, place: float, track: int = -1, **about) -> list[dict]:
    return [animal(frame, place, track, **about) for frame in frames]


def noses(path, **options) -> list[list[float]]:
    """Where the nose of each individual of the only recording is in each frame; -1 = not tracked."""
    (found,) = load_poses(path, **options)
    return np.nan_to_num(found.keypoints[:, :, 0, 0], nan=-1).tolist()


@pytest.mark.parametrize(
    "labels, expected",
    [
        (by_hand(range(4), 10, 0) + by_hand(range(4), 90, 1), [[10] * 4, [90] * 4]),
        (by_hand([3, 4, 5, 9, 10, 11, 12], 10, 0), [[10] * 3 + [-1] * 3 + [10] * 4]),
        (by_hand(range(20), 10, 0) + by_hand([21], 10), [[10] * 20 + [-1, 10]]),
        (by_hand([*range(30), 700, 9000], 10, 0), [[10] * 30]),
        (by_hand([0, *range(500, 530), 9000], 10, 0), [[10] * 30]),
        (by_hand(range(100), 10), [[10] * 100]),
    ],
    ids=["two animals", "a gap", "one in no track", "strays after", "strays around", "one animal in no track"],
)
def test_a_video_that_is_labelled_by_hand_frame_by_frame_is_tracks(tmp_path, labels, expected, capsys):
    path = write_slp(tmp_path / "a.slp", labels, NODES, ["a", "b"])
    assert noses(path) == expected
    dropped = len(labels) - np.sum(np.array(expected) >= 0)
    assert (f"dropped {dropped} of {len(labels)} detections" in capsys.readouterr().err) == (dropped > 0)
    assert load_poses(path)[0].confidence is None


@pytest.mark.parametrize(
    "labels",
    [
        by_hand(range(50, 3000, 250), 10) + by_hand(range(50, 3000, 250), 90),
        by_hand(range(50, 3000, 250), 10, 0),
        by_hand(range(0, 40, 2), 10, 0),
        by_hand(range(12), 10),
        by_hand([7], 10, 0),
        predicted([7], 10, 0),
        predicted(range(5), 10) + predicted(range(5), 90),
        [],
    ],
    ids=["scattered", "in a track", "every other frame", "a few", "one", "one prediction", "in no tracks", "nothing"],
)
def test_a_video_without_tracks_is_left_out_and_named(tmp_path, labels, capsys):
    labels = [{**one, "video": 1} for one in labels]
    with pytest.raises(ValueError, match=r"predictions|1 frame|in no tracks"):
        load_poses(write_slp(tmp_path / "a.slp", labels, NODES, ["a"], ["tracked.mp4", "labelled.mp4"]))
    labels += predicted(range(5), 10, 0)
    (found,) = load_poses(write_slp(tmp_path / "b.slp", labels, NODES, ["a"], ["tracked.mp4", "labelled.mp4"]))
    assert (found.name, found.keypoints.shape[1]) == ("b/tracked", 5)
    assert "b.slp: left out the video labelled: it" in capsys.readouterr().err


TWO = predicted(range(6), 10, 0) + predicted(range(6), 90, 1)
ONE = [one for one in TWO if one["track"] == 0]
LOOSE = predicted(range(6), 10)
MISSED = [one for one in ONE if one["frame"] != 3]


@pytest.mark.parametrize(
    "animals, individuals, expected",
    [
        (ONE + by_hand([3], 50, 0, corrects=3), None, [[50]]),
        (ONE + by_hand([3], 50, corrects=3), None, [[50]]),
        (ONE + by_hand([3], 50, 0), None, [[50]]),
        (ONE + by_hand([3], 50), None, [[50]]),
        (MISSED + by_hand([3], 50), None, [[50]]),
        (MISSED + predicted([3], 60) + by_hand([3], 50), None, [[50]]),
        (LOOSE + by_hand([3], 50), None, [[50]]),
        (LOOSE + by_hand([3], 50, corrects=3), None, [[50]]),
        (LOOSE + by_hand([3], 50), 1, [[50]]),
        (TWO + by_hand([3], 95), None, [[10], [95]]),
        (TWO + by_hand([3], 25), None, [[25], [90]]),
        (TWO + by_hand([3], 93) + by_hand([3], 12), None, [[12], [93]]),
        (TWO + by_hand([3], 91, 0) + by_hand([3], 11, 1), None, [[91], [11]]),
        (TWO + by_hand([3], 85, 0, corrects=9), None, [[85], [-1]]),
        (MISSED + by_hand([3], 50), 1, [[50]]),
        (MISSED[:3] + predicted([4, 5], 12, 1) + by_hand([3], 50), 1, [[50]]),
        (ONE + predicted([9], 12, 1) + by_hand([3], 50), 1, [[50]]),
        (ONE + predicted([9], 12, 1) + by_hand([3], 50, 1), 1, [[50]]),
    ],
)
def test_a_label_made_by_hand_replaces_the_prediction_of_the_same_animal(tmp_path, animals, individuals, expected):
    path = write_slp(tmp_path / "a.slp", animals, NODES, ["a", "b"])
    found = noses(path, individuals=individuals)
    assert [[places[3]] for places in found] == expected
    assert [places[0] for places in found] == [10, 90][: len(found)]


def test_a_label_that_corrects_a_prediction_of_another_track_leaves_nothing_there(tmp_path):
    missed = [one for one in TWO if (one["frame"], one["track"]) != (3, 0)]
    assert noses(write_slp(tmp_path / "a.slp", [*missed, *by_hand([3], 85, 0, corrects=8)], NODES, ["a", "b"])) == [
        [10] * 3 + [85] + [10] * 2,
        [90] * 3 + [-1] + [90] * 2,
    ]


@pytest.mark.parametrize(
    "animals, said",
    [
        (
            [one for one in TWO if one["frame"] != 3] + by_hand([3], 50),
            "dropped 1 of 11 detections: they are in no track",
        ),
        (MISSED + by_hand([3], 50) + by_hand([3], 80), "dropped 2 of 7 detections: they are in no track"),
        (ONE + by_hand([3], 50, 0) + by_hand([3], 80, 0), "dropped 1 of 8 detections: the same track has a better one"),
    ],
)
def test_labels_that_could_be_any_animal_are_dropped_and_said(tmp_path, animals, said, capsys):
    load_poses(write_slp(tmp_path / "a.slp", animals, NODES, ["a", "b"]))
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "frames, kept",
    [([5000, 20000], []), ([10, 11, 900], [10, 11]), ([0, 900], []), ([3, 4], [3, 4]), ([0, 2, 4, 15], [4])],
)
@pytest.mark.parametrize("track", [0, -1])
def test_labels_far_from_the_tracked_frames_do_not_lengthen_a_recording(tmp_path, frames, kept, track, capsys):
    animals = predicted(range(5, 10), 10, 0) + by_hand(frames, 50, track)
    (found,) = load_poses(write_slp(tmp_path / "a.slp", animals, NODES, ["a"]))
    seen = [*kept, *range(5, 10)]
    assert found.frames == range(min(seen), max(seen) + 1)
    assert np.flatnonzero(found.keypoints[0, :, 0, 0] == 50).tolist() == [one - min(seen) for one in kept]
    dropped = len(frames) - len(kept)
    said = f"dropped {dropped} of {len(animals)} detections: they are labelled by hand outside the tracked frames"
    assert (said in capsys.readouterr().err) == (dropped > 0)


@pytest.mark.parametrize("scores", [(0.9, 0.2), (0.2, 0.9), (0.9, np.nan), (np.nan, 0.9)])
def test_of_two_predictions_of_a_track_the_one_with_the_better_score_is_taken(tmp_path, scores, capsys):
    animals = predicted(range(3), 10, 0, score=scores[0]) + predicted(range(3), 50, 0, score=scores[1])
    path = write_slp(tmp_path / "a.slp", animals, NODES, ["a"])
    assert noses(path) == noses(path, individuals=1) == [[10 if np.nanmax(scores) == scores[0] else 50] * 3]
    assert "dropped 3 of 6 detections: the same track has a better one" in capsys.readouterr().err


IMAGES = [{"backend": {"filename": ".", "dataset": f"video{i}/video"}} for i in range(2)]


@pytest.mark.parametrize(
    "videos, sources, names",
    [
        (["cam0/day.mp4", "cam1/day.mp4"], [], ["cam0/day", "cam1/day"]),
        (["/a/cam0/day.mp4", "C:\\b\\cam0\\day.mp4", "night.mp4"], [], ["a/cam0/day", "b/cam0/day", "night"]),
        (["a/day.mp4", "a/day.mp4"], [], ["day_0", "day_1"]),
        (IMAGES, ["cam0/day.mp4", "cam1/day.mp4"], ["cam0/day", "cam1/day"]),
        (IMAGES, [], ["p.pkg_0", "p.pkg_1"]),
    ],
    ids=["folders", "several folders", "a video twice", "a package", "a package without sources"],
)
def test_names_of_videos_differ(tmp_path, videos, sources, names):
    animals = [one for i in range(len(videos)) for one in predicted(range(3), i, 0, video=i)]
    path = write_slp(tmp_path / "p.pkg.slp", animals, NODES, ["a"], videos)
    with h5py.File(path, "a") as file:
        for i, source in enumerate(sources):
            file.create_group(f"video{i}/source_video").attrs["json"] = json.dumps({"backend": {"filename": source}})
    found = load_poses(path)
    assert [one.name for one in found] == [f"p.pkg/{name}" for name in names]
    assert [one.keypoints[0, 0, 0, 0] for one in found] == list(range(len(videos)))


def test_skeletons_in_another_order_are_read_by_name_and_labels_of_a_frame_may_stand_apart(tmp_path):
    video, track = sleap_io.Video(filename="a.mp4", open_backend=False), sleap_io.Track("a")
    frames = []
    for frame, nodes, place in ((0, "ab", 1.0), (1, "ba", 2.0), (2, "ab", 3.0), (2, "ba", 4.0)):
        kind = sleap_io.Instance if place == 4 else sleap_io.PredictedInstance
        points = np.array([[place + (node == "b") * 10, 0] for node in nodes])
        one = kind.from_numpy(points, skeleton=sleap_io.Skeleton(list(nodes), name=nodes), track=track)
        frames.append(sleap_io.LabeledFrame(video=video, frame_idx=frame, instances=[one]))
    sleap_io.save_slp(sleap_io.Labels(frames, videos=[video]), str(tmp_path / "a.slp"))
    (found,) = load_poses(tmp_path / "a.slp")
    assert found.keypoint_names == ["a", "b"]
    np.testing.assert_array_equal(found.keypoints[0, :, :, 0], [[1, 11], [2, 12], [4, 14]])


def test_tracklets_of_a_project_that_take_turns_are_joined(tmp_path, capsys):
    animals = predicted(range(0, 40, 2), 10, 0) + predicted(range(1, 40, 2), 12, 1) + predicted(range(40), 90, 2)
    assert noses(write_slp(tmp_path / "a.slp", animals, NODES, list("abc")), individuals=2) == [
        [10, 12] * 20,
        [90] * 40,
    ]
    assert not capsys.readouterr().err


@pytest.mark.parametrize("used", [True, False])
def test_only_skeletons_that_are_used_must_be_the_same(tmp_path, used):
    video, skeletons = (
        sleap_io.Video(filename="a.mp4", open_backend=False),
        [sleap_io.Skeleton(["a"]), sleap_io.Skeleton(["b"])],
    )
    frames = []
    for frame in range(3):
        skeleton = skeletons[frame == 2 and used]
        one = sleap_io.PredictedInstance.from_numpy(np.ones((1, 2)), skeleton=skeleton)
        frames.append(sleap_io.LabeledFrame(video=video, frame_idx=frame, instances=[one]))
    sleap_io.save_slp(sleap_io.Labels(frames, videos=[video], skeletons=skeletons), str(tmp_path / "a.slp"))
    if used:
        with pytest.raises(ValueError, match="it holds 2 different skeletons"):
            load_poses(tmp_path / "a.slp")
    else:
        assert load_poses(tmp_path / "a.slp")[0].keypoint_names == ["a"]
