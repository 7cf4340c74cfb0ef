"""The files of MABe 2022 are read and written in their public form, real and simulated ones."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from bams.mabe import files as mabe_files
from bams.mabe.simulated import clip_ids, simulate_mouse_files
from bams.simulate.mice import simulate_mice
from bams.storage import files

NAN, HUGE = np.nan, (np.inf, 1e300, -1e300)
MABE = Path(__file__).parents[2] / "shared" / "data" / "mabe"


def random_clips(seed: int = 0, lengths=(7, 5), individuals: int = 3, keypoints: int = 4) -> dict[str, np.ndarray]:
    """By id (A, T, K, 2) float32 of whole px, some keypoints missing."""
    rng = np.random.default_rng(seed)
    clips = {}
    for i, length in enumerate(lengths):
        clip = rng.integers(1, 850, (individuals, length, keypoints, 2)).astype(np.float32)
        clip[rng.random(clip.shape[:-1]) < 0.3] = NAN
        clips[f"CLIP{i}"] = clip
    return clips


def content_of(path: Path) -> dict:
    return np.load(path, allow_pickle=True).item()


def load(path: Path, keypoints: int = 4, individuals: int = 3):
    return mabe_files.load_sequences(path, keypoints=keypoints, individuals=individuals)


def assert_sentence(error: pytest.ExceptionInfo, path: Path) -> None:
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


# --- sequences ---------------------------------------------------------------------------------


def test_sequences_have_the_public_form_and_come_back_as_they_were_written(tmp_path):
    clips = random_clips()
    tasks = {name: np.zeros((2, clip.shape[1]), np.float32) for name, clip in clips.items()}
    kept = {name: clip.copy() for name, clip in clips.items()}
    path = mabe_files.write_sequences(tmp_path / "a.npy", clips, tasks, ("lights", "chases"))
    content = content_of(path)
    assert list(content) == ["sequences", "vocabulary"]
    assert content["vocabulary"] == ["lights", "chases"]
    ids, found = load(path)
    assert ids == list(clips)
    for name, array in zip(ids, found, strict=True):
        np.testing.assert_array_equal(clips[name], kept[name])
        sequence = content["sequences"][name]
        assert list(sequence) == ["keypoints", "annotations"]
        assert sequence["keypoints"].dtype.kind == "i"
        np.testing.assert_array_equal(sequence["keypoints"], np.nan_to_num(kept[name]).swapaxes(0, 1))
        np.testing.assert_array_equal(sequence["annotations"], tasks[name])
        assert (array.dtype, array.flags.writeable) == (np.float32, True)
        np.testing.assert_array_equal(array, kept[name])
    assert os.listdir(tmp_path) == ["a.npy"]
    content = content_of(mabe_files.write_sequences(path, clips))
    assert list(content) == ["sequences"]
    assert [list(sequence) for sequence in content["sequences"].values()] == [["keypoints"], ["keypoints"]]


def test_coordinates_are_rounded_and_a_keypoint_with_one_missing_coordinate_is_missing(tmp_path):
    clip = np.float32([[[[1.4, 2.6], [3.5, 849.9], [NAN, 8], [9, NAN], [NAN, NAN]]]])
    path = mabe_files.write_sequences(tmp_path / "a.npy", {"A": clip})
    _, (found,) = load(path, keypoints=5, individuals=1)
    np.testing.assert_array_equal(found, [[[[1, 3], [4, 850], *[[NAN, NAN]] * 3]]])


def somebody_elses_file(path: Path, dtype: type, lengths=(4, 11, 1)) -> dict[str, np.ndarray]:
    """Keypoints by id (T, 3, 12, 2) as plain numpy writes them, 0 = missing; more keys than are needed."""
    rng = np.random.default_rng(0)
    sequences = {}
    for i, length in enumerate(lengths):
        keypoints = rng.integers(1, 850, (length, 3, 12, 2)).astype(dtype)
        if np.issubdtype(dtype, np.floating):
            keypoints += rng.random(keypoints.shape).astype(dtype)
        keypoints[rng.random(keypoints.shape[:-1]) < 0.3] = 0
        sequences[f"X{i}"] = {"keypoints": keypoints, "annotations": np.zeros((2, length))}
    np.save(path, {"sequences": sequences, "vocabulary": ("a", "b"), "fps": np.float64(30), "note": None})
    return {name: sequence["keypoints"] for name, sequence in sequences.items()}


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.float64, np.float32])
def test_files_of_other_generators_are_read(tmp_path, dtype):
    written = somebody_elses_file(tmp_path / "a.npy", dtype)
    ids, clips = load(tmp_path / "a.npy", keypoints=12)
    assert ids == ["X0", "X1", "X2"]
    for clip, keypoints in zip(clips, written.values(), strict=True):
        assert clip.dtype == np.float32 and clip.flags.c_contiguous
        expected = np.where(keypoints.any(axis=-1, keepdims=True), keypoints.astype(np.float32), NAN)
        np.testing.assert_array_equal(clip, expected.swapaxes(0, 1))


def test_only_both_coordinates_0_mean_missing(tmp_path):
    keypoints = np.float32([[[[0, 0], [0, 5], [5, 0], [NAN, NAN]]]])
    np.save(tmp_path / "a.npy", {"sequences": {"A": {"keypoints": keypoints}}})
    _, (clip,) = load(tmp_path / "a.npy", individuals=1)
    np.testing.assert_array_equal(clip, [[[[NAN, NAN], [0, 5], [5, 0], [NAN, NAN]]]])


@pytest.mark.parametrize("individuals", [1, 2])
@pytest.mark.parametrize("frames", [1, 5])
def test_single_animals_and_single_frames_of_read_only_arrays_are_read(tmp_path, individuals, frames):
    keypoints = np.ones((frames, individuals, 4, 2), np.float32)
    keypoints[:, :, 2] = 0
    keypoints.flags.writeable = False
    files.write_pickled_dict(tmp_path / "a.npy", {"sequences": {7: {"keypoints": keypoints}}})
    ids, (clip,) = load(tmp_path / "a.npy", individuals=individuals)
    assert ids == ["7"]
    np.testing.assert_array_equal(clip, np.where(keypoints == 0, NAN, keypoints).swapaxes(0, 1))


def clip_of(value: object) -> dict:
    return {"sequences": {"A": {"keypoints": np.ones((5, 3, 4, 2))}, "B": value}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "no 'sequences'"),
        ({"sequences": {}}, "no 'sequences'"),
        ({"sequences": [1, 2]}, "no 'sequences'"),
        (clip_of(np.ones((5, 3, 4, 2))), "clip B has no keypoints"),
        (clip_of({}), "clip B has no keypoints"),
        (clip_of({"keypoints": [[1, 2]]}), "clip B has no keypoints"),
        (clip_of({"keypoints": np.ones((5, 3, 4))}), "clip B has no keypoints"),
        (clip_of({"keypoints": np.ones((0, 3, 4, 2))}), "clip B has no keypoints"),
        (clip_of({"keypoints": np.full((5, 3, 4, 2), "1")}), "clip B has no keypoints"),
        (clip_of({"keypoints": np.full((5, 3, 4, 2), None)}), "clip B has no keypoints"),
        (clip_of({"keypoints": np.ones((5, 2, 4, 2))}), "2 individuals with 4 keypoints.*expected 3 with 4"),
        (clip_of({"keypoints": np.ones((5, 3, 5, 2))}), "3 individuals with 5 keypoints.*expected 3 with 4"),
        (clip_of({"keypoints": np.ones((5, 3, 4, 3))}), "3 coordinates.*expected 3 with 4 of 2"),
        (clip_of({"keypoints": np.ones((3, 5, 4, 2))}), "5 individuals"),
        *((clip_of({"keypoints": np.full((5, 3, 4, 2), value)}), "clip B holds infinite") for value in HUGE),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_is_no_file_of_these_animals_is_refused(tmp_path, content, message):
    np.save(tmp_path / "a.npy", content)
    with pytest.raises(ValueError, match=message) as error:
        load(tmp_path / "a.npy")
    assert_sentence(error, tmp_path / "a.npy")


def test_missing_empty_plain_and_truncated_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        load(tmp_path / "none.npy")
    assert_sentence(error, tmp_path / "none.npy")
    whole = mabe_files.write_sequences(tmp_path / "whole.npy", random_clips()).read_bytes()
    np.save(tmp_path / "plain.npy", np.ones((5, 3, 4, 2)))
    plain = (tmp_path / "plain.npy").read_bytes()
    for content in (b"", b"text,text\n", plain, whole[:100], whole[:-1], whole[: len(whole) // 2]):
        path = tmp_path / "a.npy"
        path.write_bytes(content)
        with pytest.raises(ValueError) as error:
            load(path)
        assert_sentence(error, path)


# --- frame maps --------------------------------------------------------------------------------


def test_clips_lie_one_after_the_other():
    rows = mabe_files.frame_map(["b", "a", "c"], np.array([3, 5, 1]))
    assert list(rows.items()) == [("b", (0, 3)), ("a", (3, 8)), ("c", (8, 9))]
    assert all(type(number) is int for span in rows.values() for number in span)
    with pytest.raises(ValueError):
        mabe_files.frame_map(["a", "b"], [3])


@pytest.mark.parametrize("kind", [tuple, list, np.array])
def test_a_frame_map_is_read_as_text_and_tuples(tmp_path, kind):
    np.save(tmp_path / "map.npy", {"a": kind((0, 3)), "b": kind((3, 8))})
    rows = mabe_files.read_frame_map(tmp_path / "map.npy")
    assert rows == {"a": (0, 3), "b": (3, 8)}
    assert all(type(span) is tuple and type(span[0]) is int for span in rows.values())


SPANS = (3, None, (0,), (1, 2, 3), ("x", "y"), (0, float("inf")), (0, float("nan")), (0, [1]))


@pytest.mark.parametrize("content", [{"sequences": {"a": 1}}, *({"a": span} for span in SPANS)], ids=str)
def test_what_is_no_frame_map_is_refused(tmp_path, content):
    np.save(tmp_path / "map.npy", content)
    with pytest.raises(ValueError, match="not a map of clip ids") as error:
        mabe_files.read_frame_map(tmp_path / "map.npy")
    assert_sentence(error, tmp_path / "map.npy")


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
    with pytest.raises(ValueError, match=place) as error:
        mabe_files.read_frame_map(tmp_path / "map.npy")
    assert_sentence(error, tmp_path / "map.npy")


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
    with pytest.raises(ValueError, match=message) as error:
        mabe_files.check_frame_map(rows, ["a", "b"], [3, 5], "map.npy")
    assert_sentence(error, Path("map.npy"))
    for good in ({"a": (0, 3), "b": (3, 8)}, {"b": (0, 5), "a": (5, 8)}):  # in any order of rows
        mabe_files.check_frame_map(good, ["a", "b"], [3, 5], "map.npy")


def test_the_real_frame_map_fits_clips_of_1800_frames():
    path = MABE / "mouse_frame_number_map.npy"
    if not path.exists():
        pytest.skip("the shared frame map of the real mice is not here")
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


def with_value(value: float) -> np.ndarray:
    array = embeddings()
    array[7, 5] = value
    return array


def test_a_submission_is_written_in_the_public_form(tmp_path):
    path = mabe_files.write_submission(tmp_path / "out" / "s.npy", dict(EXPECTED), embeddings(), EXPECTED, 6)
    content = np.load(path, allow_pickle=True).item()
    assert list(content) == ["frame_number_map", "embeddings"]
    assert content["frame_number_map"] == EXPECTED
    assert content["embeddings"].dtype == np.float32
    np.testing.assert_array_equal(content["embeddings"], embeddings())
    assert os.listdir(tmp_path / "out") == ["s.npy"]


@pytest.mark.parametrize(
    ("rows", "array", "message"),
    [
        ({"a": (0, 3)}, embeddings(), "1 clips, not the 2"),
        ({"a": (0, 3), "x": (3, 8)}, embeddings(), "clips"),
        ({**EXPECTED, "c": (8, 9)}, embeddings(), "3 clips, not the 2"),
        ({"a": [0, 3], "b": [3, 8]}, embeddings(), r"clip a at \[0, 3\]; expected \(0, 3\)"),
        ({"a": np.array([0, 3]), "b": (3, 8)}, embeddings(), "clip a at"),
        ({"a": (0, 3), "b": (3, 9)}, embeddings(), r"clip b at \(3, 9\); expected \(3, 8\)"),
        ({"a": (5, 8), "b": (0, 5)}, embeddings(), "clip a at"),
        (EXPECTED, embeddings(columns=7), "1 to 6 columns"),
        (EXPECTED, embeddings(frames=7), "expected 8 frames"),
        (EXPECTED, embeddings(frames=9), "expected 8 frames"),
        (EXPECTED, embeddings()[:, 0], "axes"),
        (EXPECTED, embeddings().astype(np.float64), "float64; expected float32"),
        *((EXPECTED, with_value(value), "NaN or infinite") for value in (NAN, np.inf, -np.inf)),
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
    array = content.pop("label_array")
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, np.float32([[0, 1, 1], [NAN, 2.5, 3]]))
    kinds = {"vocabulary": ["lights", "age"], "task_type": ["Discrete", "Continious"]}
    assert content == {"frame_number_map": {"a": (0, 3)}, **kinds}


def test_clip_ids_look_like_real_ones():
    ids = clip_ids(50, seed=0)
    assert len(set(ids)) == 50
    assert all(re.fullmatch(r"[A-Z0-9]{20}", name) for name in ids)
    assert ids == clip_ids(50, seed=0)
    assert not set(ids) & set(clip_ids(50, seed=1))


CLIPS, FRAMES = 2, 300


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("simulated") / "new"
    simulate_mouse_files(root, CLIPS, FRAMES)
    return root


def test_simulated_files_have_the_names_of_the_real_ones_and_are_always_the_same(simulated, tmp_path):
    simulate_mouse_files(tmp_path, CLIPS, FRAMES)
    names = ["mouse_triplet_test.npy", "mouse_triplet_train.npy", "mouse_triplets_test_labels.npy"]
    protocol = ["jax_split.json", "jax_tasks.json"]
    assert sorted(os.listdir(simulated)) == sorted([*protocol, *names, "mouse_triplet_test_causes.npz"])
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
        assert array.dtype == np.int8
        np.testing.assert_array_equal(array, getattr(mice, name))
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
    assert set(scored) == set(test)
    assert scored != test
    vocabulary = content_of(tmp_path / "mouse_triplets_test_labels.npy")["vocabulary"]
    whole = ["strain", "lights"]
    assert tasks == {"seeds": [42, 43, 44], "task_id_list": vocabulary, "sequence_level_tasks": whole}


def test_simulated_training_tasks_are_those_of_other_clips(simulated):
    mice = simulate_mice(CLIPS, frames=FRAMES, seed=0)
    sequences, test = (content_of(simulated / f"mouse_triplet_{kind}.npy")["sequences"] for kind in ("train", "test"))
    assert not set(sequences) & set(test)
    for i, (sequence, other) in enumerate(zip(sequences.values(), test.values(), strict=True)):
        np.testing.assert_array_equal(sequence["annotations"][0], np.full(FRAMES, mice.lights[i]))
        np.testing.assert_array_equal(sequence["annotations"][1], mice.chase[i])
        assert (sequence["keypoints"] != other["keypoints"]).mean() > 0.5
