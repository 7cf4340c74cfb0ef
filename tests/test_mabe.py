"""The files of MABe 2022 are read and written in their public form, real and simulated ones."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from refusals import refused

from bams.mabe import files as mabe_files
from bams.mabe.simulated import simulate_mouse_files
from bams.simulate.mice import simulate_mice
from bams.storage import files

NAN = np.nan
MABE = Path(__file__).parents[2] / "shared" / "data" / "mabe"


def content_of(path: Path) -> dict:
    return np.load(path, allow_pickle=True).item()


def load(path: Path, keypoints: int = 4, individuals: int = 3):
    return mabe_files.load_sequences(path, keypoints=keypoints, individuals=individuals)


# --- sequences ---------------------------------------------------------------------------------


def test_sequences_have_the_public_form_and_come_back_as_they_were_written(tmp_path):
    rng = np.random.default_rng(0)
    clips = {name: rng.integers(1, 850, (3, length, 4, 2)).astype(np.float32) for name, length in (("A", 7), ("B", 5))}
    for clip in clips.values():
        clip[rng.random(clip.shape[:-1]) < 0.3] = NAN
    tasks = {name: np.zeros((2, clip.shape[1]), np.float32) for name, clip in clips.items()}
    kept = {name: clip.copy() for name, clip in clips.items()}
    path = mabe_files.write_sequences(tmp_path / "a.npy", clips, tasks, ("lights", "chases"))
    content = content_of(path)
    assert list(content) == ["sequences", "vocabulary"] and content["vocabulary"] == ["lights", "chases"]
    ids, found = load(path)
    assert ids == list(clips)
    for name, array in zip(ids, found, strict=True):
        np.testing.assert_array_equal(clips[name], kept[name])
        sequence = content["sequences"][name]
        assert list(sequence) == ["keypoints", "annotations"] and sequence["keypoints"].dtype.kind == "i"
        np.testing.assert_array_equal(sequence["keypoints"], np.nan_to_num(kept[name]).swapaxes(0, 1))
        np.testing.assert_array_equal(sequence["annotations"], tasks[name])
        assert array.flags.writeable
        np.testing.assert_array_equal(array, kept[name], strict=True)
    assert os.listdir(tmp_path) == ["a.npy"]
    content = content_of(mabe_files.write_sequences(path, clips))
    assert list(content) == ["sequences"]
    assert [list(sequence) for sequence in content["sequences"].values()] == [["keypoints"], ["keypoints"]]


def test_coordinates_are_rounded_and_a_keypoint_with_one_missing_coordinate_is_missing(tmp_path):
    clip = np.float32([[[[1.4, 2.6], [3.5, 849.9], [NAN, 8], [9, NAN], [NAN, NAN]]]])
    path = mabe_files.write_sequences(tmp_path / "a.npy", {"A": clip})
    _, (found,) = load(path, keypoints=5, individuals=1)
    np.testing.assert_array_equal(found, [[[[1, 3], [4, 850], *[[NAN, NAN]] * 3]]])


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.float64, np.float32])
def test_files_of_other_generators_are_read(tmp_path, dtype):
    """As plain numpy writes them, with more keys than are needed."""
    rng = np.random.default_rng(0)
    sequences = {}
    for i, length in enumerate((4, 11, 1)):
        keypoints = rng.integers(1, 850, (length, 3, 12, 2)).astype(dtype)
        if np.issubdtype(dtype, np.floating):
            keypoints += rng.random(keypoints.shape).astype(dtype)
        keypoints[rng.random(keypoints.shape[:-1]) < 0.3] = 0
        sequences[f"X{i}"] = {"keypoints": keypoints, "annotations": np.zeros((2, length))}
    content = {"sequences": sequences, "vocabulary": ("a", "b"), "fps": np.float64(30), "note": None}
    np.save(tmp_path / "a.npy", content)
    ids, clips = load(tmp_path / "a.npy", keypoints=12)
    assert ids == ["X0", "X1", "X2"]
    for clip, sequence in zip(clips, sequences.values(), strict=True):
        assert clip.dtype == np.float32 and clip.flags.c_contiguous
        keypoints = sequence["keypoints"].astype(np.float32)
        expected = np.where(keypoints.any(axis=-1, keepdims=True), keypoints, NAN)
        np.testing.assert_array_equal(clip, expected.swapaxes(0, 1))


def test_only_both_coordinates_0_mean_missing_also_in_a_read_only_array(tmp_path):
    keypoints = np.float32([[[[0, 0], [0, 5], [5, 0], [NAN, NAN]]]])
    keypoints.flags.writeable = False
    files.write_pickled_dict(tmp_path / "a.npy", {"sequences": {7: {"keypoints": keypoints}}})
    ids, (clip,) = load(tmp_path / "a.npy", individuals=1)
    assert ids == ["7"]
    np.testing.assert_array_equal(clip, [[[[NAN, NAN], [0, 5], [5, 0], [NAN, NAN]]]])


def clip_of(value: object) -> dict:
    return {"sequences": {"A": {"keypoints": np.ones((5, 3, 4, 2))}, "B": value}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "no 'sequences'"),
        ({"sequences": {}}, "no 'sequences'"),
        (clip_of(np.ones((5, 3, 4, 2))), "clip B has no keypoints"),
        (clip_of({}), "clip B has no keypoints"),
        (clip_of({"keypoints": np.ones((5, 3, 4))}), "clip B has no keypoints"),
        (clip_of({"keypoints": np.ones((0, 3, 4, 2))}), "clip B has no keypoints"),
        (clip_of({"keypoints": np.full((5, 3, 4, 2), "1")}), "clip B has no keypoints"),
        (clip_of({"keypoints": np.ones((5, 2, 4, 2))}), "2 individuals with 4 keypoints.*expected 3 with 4"),
        (clip_of({"keypoints": np.ones((5, 3, 5, 2))}), "3 individuals with 5 keypoints.*expected 3 with 4"),
        (clip_of({"keypoints": np.ones((5, 3, 4, 3))}), "3 coordinates.*expected 3 with 4 of 2"),
        (clip_of({"keypoints": np.full((5, 3, 4, 2), np.inf)}), "clip B holds infinite"),
        (clip_of({"keypoints": np.full((5, 3, 4, 2), -1e300)}), "clip B holds infinite"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_is_no_file_of_these_animals_is_refused(tmp_path, content, message):
    np.save(tmp_path / "a.npy", content)
    with refused(message, tmp_path / "a.npy"):
        load(tmp_path / "a.npy")


# --- frame maps --------------------------------------------------------------------------------


def test_clips_lie_one_after_the_other():
    rows = mabe_files.frame_map(["b", "a", "c"], np.array([3, 5, 1]))
    assert list(rows.items()) == [("b", (0, 3)), ("a", (3, 8)), ("c", (8, 9))]
    assert all(type(number) is int for span in rows.values() for number in span)


@pytest.mark.parametrize("kind", [tuple, list, np.array])
def test_a_frame_map_is_read_as_text_and_tuples(tmp_path, kind):
    np.save(tmp_path / "map.npy", {"a": kind((0, 3)), "b": kind((3, 8))})
    rows = mabe_files.read_frame_map(tmp_path / "map.npy")
    assert rows == {"a": (0, 3), "b": (3, 8)}
    assert all(type(span) is tuple and type(span[0]) is int for span in rows.values())


@pytest.mark.parametrize("span", [{"a": 1}, 3, (1, 2, 3), ("x", "y"), (0, NAN)], ids=str)
def test_what_is_no_frame_map_is_refused(tmp_path, span):
    np.save(tmp_path / "map.npy", {"sequences": span})
    with refused("not a map of clip ids", tmp_path / "map.npy"):
        mabe_files.read_frame_map(tmp_path / "map.npy")


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        ({"a": (0, 3), "b": (4, 9)}, "at row 3"),
        ({"a": (0, 3), "b": (2, 7)}, "at row 3"),
        ({"a": (1, 4), "b": (4, 9)}, "at row 0"),
    ],
)
def test_a_frame_map_with_a_gap_or_overlap_is_refused(tmp_path, rows, place):
    np.save(tmp_path / "map.npy", rows)
    with refused(place, tmp_path / "map.npy"):
        mabe_files.read_frame_map(tmp_path / "map.npy")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"a": (0, 3)}, "clip b is missing in it"),
        ({"a": (0, 3), "b": (3, 8), "c": (8, 9)}, "clip c is not in the test file"),
        ({}, "clip a is missing in it"),
        ({"a": (0, 3), "b": (3, 7)}, "gives clip b 4 frames; the test file has 5"),
    ],
)
def test_a_frame_map_that_does_not_fit_is_refused(rows, message):
    with refused(message, "map.npy"):
        mabe_files.check_frame_map(rows, ["a", "b"], [3, 5], "map.npy")
    for good in ({"a": (0, 3), "b": (3, 8)}, {"b": (0, 5), "a": (5, 8)}):  # in any order of rows
        mabe_files.check_frame_map(good, ["a", "b"], [3, 5], "map.npy")


@pytest.mark.skipif(not MABE.exists(), reason="needs the real frame map in ../shared")
def test_the_real_frame_map_fits_clips_of_1800_frames():
    path = MABE / "mouse_frame_number_map.npy"
    rows = mabe_files.read_frame_map(path)
    assert len(rows) == 3736
    ids = sorted(rows)  # a test file may come in another order
    mabe_files.check_frame_map(rows, ids, [1800] * 3736, str(path))
    assert max(end for _, end in rows.values()) == 3736 * 1800
    with pytest.raises(ValueError, match=f"clip {ids[5]} 1800 frames"):
        mabe_files.check_frame_map(rows, ids, [1800] * 5 + [1799] + [1800] * 3730, str(path))


# --- submissions -------------------------------------------------------------------------------

EXPECTED = {"a": (0, 3), "b": (3, 8)}


def embeddings(frames: int = 8, columns: int = 6) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(frames, columns)).astype(np.float32)


def test_a_submission_is_written_in_the_public_form(tmp_path):
    path = mabe_files.write_submission(tmp_path / "out" / "s.npy", dict(EXPECTED), embeddings(), EXPECTED, 6)
    content = np.load(path, allow_pickle=True).item()
    assert list(content) == ["frame_number_map", "embeddings"]
    assert content["frame_number_map"] == EXPECTED
    np.testing.assert_array_equal(content["embeddings"], embeddings(), strict=True)
    assert os.listdir(tmp_path / "out") == ["s.npy"]


@pytest.mark.parametrize(
    ("rows", "array", "message"),
    [
        ({"a": (0, 3)}, embeddings(), "1 clips, not the 2"),
        ({"a": (0, 3), "x": (3, 8)}, embeddings(), "clips"),
        ({**EXPECTED, "c": (8, 9)}, embeddings(), "3 clips, not the 2"),
        ({"a": [0, 3], "b": [3, 8]}, embeddings(), r"clip a at \[0, 3\]; expected \(0, 3\)"),
        ({"a": (0, 3), "b": (3, 9)}, embeddings(), r"clip b at \(3, 9\); expected \(3, 8\)"),
        ({"a": (5, 8), "b": (0, 5)}, embeddings(), "clip a at"),
        (EXPECTED, embeddings(columns=7), "1 to 6 columns"),
        (EXPECTED, embeddings(frames=7), "expected 8 frames"),
        (EXPECTED, embeddings(frames=9), "expected 8 frames"),
        (EXPECTED, embeddings()[:, 0], "axes"),
        (EXPECTED, embeddings().astype(np.float64), "float64; expected float32"),
        *((EXPECTED, np.full((8, 6), value, np.float32), "NaN or infinite") for value in (NAN, np.inf, -np.inf)),
    ],
)
def test_a_submission_that_the_evaluator_would_refuse_is_not_written(tmp_path, rows, array, message):
    with pytest.raises(ValueError, match=message):
        mabe_files.write_submission(tmp_path / "s.npy", rows, array, EXPECTED, 6)
    assert os.listdir(tmp_path) == []


def test_every_row_of_a_long_submission_is_looked_at():
    frames = 2**16 + 10
    for row in (0, 2**16 - 1, 2**16, frames - 1):
        array = np.zeros((frames, 1), np.float32)
        array[row] = NAN
        with pytest.raises(ValueError, match="NaN or infinite"):
            mabe_files.check_submission({"a": (0, frames)}, array, {"a": (0, frames)}, 1)


# --- labels and simulated files ----------------------------------------------------------------


def test_labels_are_written_in_the_public_form(tmp_path):
    tasks = {"lights": mabe_files.Task(np.array([0, 1, 1], np.int8), True)}
    tasks["age"] = mabe_files.Task(np.array([NAN, 2.5, 3]), False)
    content = content_of(mabe_files.write_labels(tmp_path / "l.npy", {"a": (0, 3)}, tasks))
    expected = np.float32([[0, 1, 1], [NAN, 2.5, 3]])
    np.testing.assert_array_equal(content.pop("label_array"), expected, strict=True)
    kinds = {"vocabulary": ["lights", "age"], "task_type": ["Discrete", "Continious"]}
    assert content == {"frame_number_map": {"a": (0, 3)}, **kinds}


CLIPS, FRAMES = 2, 300


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("simulated") / "new"
    simulate_mouse_files(root, CLIPS, FRAMES)
    return root


def test_simulated_files_have_the_names_of_the_real_ones_and_are_always_the_same(simulated, tmp_path):
    simulate_mouse_files(tmp_path, CLIPS, FRAMES)
    names = ["mouse_triplet_test.npy", "mouse_triplet_train.npy", "mouse_triplets_test_labels.npy"]
    assert {*os.listdir(simulated)} == {*names, "jax_split.json", "jax_tasks.json", "mouse_triplet_test_causes.npz"}
    for name in names:
        assert (tmp_path / name).read_bytes() == (simulated / name).read_bytes()


@pytest.mark.parametrize("kind", ["train", "test"])
def test_simulated_sequences_have_the_public_form(simulated, kind):
    content = content_of(simulated / f"mouse_triplet_{kind}.npy")
    extra = {"vocabulary"} if kind == "train" else set()
    assert set(content) == {"sequences", *extra} and len(content["sequences"]) == CLIPS
    assert content.get("vocabulary", ["lights", "chases"]) == ["lights", "chases"]
    for clip, sequence in content["sequences"].items():
        assert re.fullmatch(r"[A-Z0-9]{20}", clip)
        assert set(sequence) == {"keypoints", *(["annotations"] if extra else [])}
        keypoints = sequence["keypoints"]
        assert keypoints.shape == (FRAMES, 3, 12, 2) and keypoints.dtype.kind == "i"
        assert keypoints.min() >= 0 and keypoints.max() < 850
        missing = (keypoints == 0).all(axis=-1)
        np.testing.assert_array_equal((keypoints == 0).any(axis=-1), missing)
        assert 0 < missing.mean() < 0.3


def test_simulated_labels_have_the_public_form(simulated):
    labels = content_of(simulated / "mouse_triplets_test_labels.npy")
    assert set(labels) == {"frame_number_map", "label_array", "vocabulary", "task_type"}
    assert labels["label_array"].shape == (len(labels["vocabulary"]), CLIPS * FRAMES)
    assert labels["label_array"].dtype == np.float32
    assert set(labels["task_type"]) == {"Discrete", "Continious"}
    ids = list(content_of(simulated / "mouse_triplet_test.npy")["sequences"])
    assert labels["frame_number_map"] == {name: (i * FRAMES, (i + 1) * FRAMES) for i, name in enumerate(ids)}
    assert all(type(span) is tuple for span in labels["frame_number_map"].values())
    for values, kind in zip(labels["label_array"], labels["task_type"], strict=True):
        seen = values[np.isfinite(values)]
        assert np.isin(seen, (0, 1)).all() if kind == "Discrete" else ((seen >= 0) & (seen <= 1)).all()


def test_simulated_labels_and_causes_are_those_of_the_test_clips(simulated):
    mice = simulate_mice(CLIPS, frames=FRAMES, seed=1)
    causes = files.read_arrays(simulated / "mouse_triplet_test_causes.npz")
    assert set(causes) == {"actions", "modes", "strain", "lights"}
    for name, array in causes.items():
        np.testing.assert_array_equal(array, getattr(mice, name), strict=True)
    _, clips = load(simulated / "mouse_triplet_test.npy", keypoints=12)
    np.testing.assert_array_equal(np.stack(clips), np.rint(mice.keypoints))
    labels = content_of(simulated / "mouse_triplets_test_labels.npy")
    rows = dict(zip(labels["vocabulary"], labels["label_array"].reshape(-1, CLIPS, FRAMES), strict=True))
    for name, cause in (("strain", mice.strain[:, None]), ("lights", mice.lights[:, None]), ("chases", mice.chase)):
        np.testing.assert_array_equal(rows[name], np.broadcast_to(cause, (CLIPS, FRAMES)))


def test_simulated_splits_and_tasks_have_the_public_form(tmp_path):
    simulate_mouse_files(tmp_path, 10, frames=20)
    split, tasks = (files.read_json(tmp_path / f"jax_{name}.json") for name in ("split", "tasks"))
    assert list(split) == ["UserTrain", "SubmissionTrain", "publicTest", "privateTest"]
    assert [len(clips) for clips in split.values()] == [10, 5, 2, 3]
    test = list(content_of(tmp_path / "mouse_triplet_test.npy")["sequences"])
    scored = [name for key in list(split)[1:] for name in split[key]]
    assert set(split["UserTrain"]) == set(content_of(tmp_path / "mouse_triplet_train.npy")["sequences"])
    assert set(scored) == set(test) and scored != test
    vocabulary = content_of(tmp_path / "mouse_triplets_test_labels.npy")["vocabulary"]
    expected = {"task_id_list": vocabulary, "sequence_level_tasks": ["strain", "lights"], "seeds": [42, 43, 44]}
    assert tasks == expected


def test_simulated_training_tasks_are_those_of_other_clips(simulated):
    mice = simulate_mice(CLIPS, frames=FRAMES, seed=0)
    sequences, test = (content_of(simulated / f"mouse_triplet_{kind}.npy")["sequences"] for kind in ("train", "test"))
    assert not set(sequences) & set(test)
    for i, (sequence, other) in enumerate(zip(sequences.values(), test.values(), strict=True)):
        np.testing.assert_array_equal(sequence["annotations"][0], np.full(FRAMES, mice.lights[i]))
        np.testing.assert_array_equal(sequence["annotations"][1], mice.chase[i])
        assert (sequence["keypoints"] != other["keypoints"]).mean() > 0.5
