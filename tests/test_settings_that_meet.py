"""Settings that touch frames, animals, labels or names, in pairs, on recordings whose right answer is known.

Each recording tells by its positions which frame of the file a frame is, and each label follows from that frame. The
table `MEET` says what must hold; pairs that other files test stand there by the names of these tests.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bams import CleaningConfig, FeatureConfig, KeypointsDataset, Recording, as_recordings, load_poses
from bams.app import custom, labelled
from bams.app.cli import parse
from bams.app.config import LabelConfig
from bams.data.split import choose_held_out
from bams.embedder.defaults import DEFAULTS, make_dataset
from bams.features.recording import recording_features
from bams.recordings.cleaning import clean

RECORDINGS, ANIMALS, FRAMES, FPS, PHASE = 4, 2, 240, 30, 40
NAMES = ["nose", "spine", "tail"]
MEET = {
    ("resample", "labels"): "test_labels_stay_with_their_frames",
    ("resample", "segments"): "test_labels_stay_with_their_frames",
    ("segments", "labels"): "test_labels_stay_with_their_frames",
    ("segments", "arrays of embeddings"): "test_arrays_tell_parts_of_a_recording_apart",
    ("resample", "arrays of embeddings"): "test_arrays_tell_parts_of_a_recording_apart",
    ("resample", "hoa_window_s"): "test_a_window_in_seconds_is_of_the_new_rate",
    ("resample", "min_confidence"): "test_a_doubtful_position_does_not_get_into_the_frames_beside_it",
    ("segments", "val_share"): "test_parts_of_a_recording_are_on_one_side",
    ("segments", "folds of read-outs"): "test_parts_of_a_recording_are_on_one_side",
    ("groups", "val_share"): "test_recordings_of_a_group_are_on_one_side",
    ("groups", "folds of read-outs"): "test_recordings_of_a_group_are_on_one_side",
    ("numbers of animals", "labels of tracks"): "test_tracks_of_a_recording_are_in_one_group",
    ("numbers of animals", "labels of recordings"): "test_a_recording_with_one_animal_is_read_out_beside_pairs",
    ("numbers of animals", "val_share"): "test_both_sides_have_the_same_inputs",
    ("numbers of animals", "others"): "test_both_sides_have_the_same_inputs",
    ("rename", "heading"): "test_new_names_and_order_give_what_is_done_by_hand",
    ("rename", "keypoints"): "test_new_names_and_order_give_what_is_done_by_hand",
    ("keypoints", "heading"): "test_new_names_and_order_give_what_is_done_by_hand",
    ("cache", "names"): "test_a_cache_knows_names_and_settings",
    ("cache", "heading"): "test_a_cache_knows_names_and_settings",
    ("cache", "numbers of animals"): "test_a_cache_knows_names_and_settings",
    ("ignore_classes", "segments"): "test_ignored_classes_stay_ignored",
    ("ignore_classes", "resample"): "test_ignored_classes_stay_ignored",
    ("unit", "max_jump"): "test_a_limit_of_jumps_is_in_body_lengths_in_any_unit",
    ("unit", "resample"): "test_a_limit_of_jumps_is_in_body_lengths_in_any_unit",
}


def file_of(folder: Path, **changes) -> Path:
    """x of the nose is the number of the frame; labels by frame, by frame and animal, and by recording."""
    frame, animal = np.arange(FRAMES), np.arange(ANIMALS)
    keypoints = np.zeros((RECORDINGS, ANIMALS, FRAMES, 3, 2), np.float32)
    keypoints[..., 0] = frame[:, None] + 10 * np.arange(3)
    keypoints[..., 1] = 100 * animal[:, None, None] + np.random.default_rng(0).normal(size=keypoints.shape[:-1])
    arrays = {
        "keypoints": keypoints,
        "fps": FPS,
        "keypoint_names": NAMES,
        "recording_ids": [f"day{i}" for i in range(RECORDINGS)],
        "labels_phase": np.tile(frame // PHASE % 2, (RECORDINGS, 1)),
        "labels_turn": np.tile((frame // PHASE + animal[:, None]) % 2, (RECORDINGS, 1, 1)),
        "seq_labels_sex": np.arange(RECORDINGS) % 2,
    }
    np.savez(folder / "labelled.npz", **(arrays | changes))
    return folder / "labelled.npz"


def prepared(folder: Path, *flags: str, **changes):
    """The settings, embedder, cleaned recordings and kinds of labels that the script makes of the flags."""
    argv = ["--data_root", str(file_of(folder, **changes)), "--ckpt_path", str(folder / "m.pt"), *flags]
    settings = parse(argv, "", "custom", LabelConfig, DEFAULTS)
    recordings, kinds = custom.read_recordings(settings, load_poses, labelled.read_labels)
    embedder = custom.as_embedder(settings)
    return settings, embedder, embedder.prepare(recordings), kinds


def segments(folder: Path) -> list[str]:
    """Flags for three parts of each recording, two of which are adjacent."""
    parts = [(f"day{i}", *span) for i in range(RECORDINGS) for span in ((0, 79), (80, 150), (171, 239))]
    rows = "".join(f"{name},{start},{end}\n" for name, start, end in parts)
    (folder / "parts.csv").write_text(f"recording,start,end\n{rows}")
    return ["--segments", str(folder / "parts.csv")]


def dataset_of(recordings: list[Recording], kinds: dict, **utils) -> KeypointsDataset:
    annotations, eval_utils = labelled.labels_of(recordings, kinds)
    config = FeatureConfig(others=1)
    return make_dataset(recordings, config, annotations=annotations, eval_utils=eval_utils | utils, hoa_bins=4)


def test_each_pair_of_the_table_has_its_test():
    assert set(MEET.values()) <= set(globals())


@pytest.mark.parametrize("rate", [0, 15, 20, 60])
@pytest.mark.parametrize("cut", [False, True])
def test_labels_stay_with_their_frames(tmp_path, rate, cut):
    flags = [*(segments(tmp_path) if cut else ()), *(["--resample", str(rate)] if rate else ())]
    _, _, recordings, kinds = prepared(tmp_path, *flags)
    notes, first = dataset_of(recordings, kinds).annotations, 0
    label = {one.name: one for one in notes.labels}
    assert len(recordings) == RECORDINGS * (3 if cut else 1)
    for i, recording in enumerate(recordings):
        frame = recording.keypoints[0, :, 0, 0]  # of the file
        assert frame[0] == recording.first_frame
        np.testing.assert_allclose(np.diff(frame), recording.frame_step, rtol=1e-4)
        nearest = (frame + 0.5).astype(int)
        np.testing.assert_array_equal(label["phase"].values[i], nearest // PHASE % 2)
        for animal in range(ANIMALS):
            np.testing.assert_array_equal(label["turn"].values[first + animal], (nearest // PHASE + animal) % 2)
        assert label["sex"].values[i] == int(recording.name[-1]) % 2
        first += ANIMALS


@pytest.mark.parametrize(("rate", "frames"), [(0, 15), (15, 8), (60, 30)])
def test_a_window_in_seconds_is_of_the_new_rate(tmp_path, rate, frames):
    _, embedder, recordings, _ = prepared(tmp_path, "--hoa_window_s", "0.5", "--resample", str(rate))
    assert embedder.train_config(recordings).hoa_window == frames


def test_a_doubtful_position_does_not_get_into_the_frames_beside_it():
    keypoints = np.arange(24, dtype=np.float32).reshape(1, 12, 1, 2)
    keypoints[0, 5] = 1e4
    confidence = np.ones((1, 12, 1), np.float32)
    confidence[0, 5] = 0.55
    one = Recording("r", keypoints, confidence, ["a"], ["nose"], 30.0)
    (found,) = clean([one], CleaningConfig(resample=20, min_confidence=0.6))
    known = found.keypoints[np.isfinite(found.keypoints)]
    assert known.size == 2 * 7 and known.max() < 24  # of 8 frames; the one between frames 4 and 5 is not known


def test_parts_of_a_recording_are_on_one_side(tmp_path):
    flags = [*segments(tmp_path), "--val_share", "0.25", "--skip_frames", "5", "--hoa_window", "5"]
    _, embedder, recordings, kinds = prepared(tmp_path, *flags)
    plan, training = embedder.plan(recordings)
    held_out = {name.rpartition("/")[0] for name in plan.val_dataset.track_names}
    assert len(held_out) == 1 and not held_out & {one.name for one in training}
    notes = dataset_of(recordings, kinds).annotations
    assert notes.groups == [one.name for one in recordings]


def test_recordings_of_a_group_are_on_one_side(tmp_path):
    litters = ["x", "y", "x", "y"]
    for seed in range(5):
        for part in choose_held_out(4, 0.3, seed, litters):
            assert len({litters[i] for i in part}) == 1
    _, _, recordings, kinds = prepared(tmp_path)
    given = [labelled.replace(one, group=litter) for one, litter in zip(recordings, litters, strict=True)]
    assert dataset_of(given, kinds).annotations.groups == litters


def test_tracks_of_a_recording_are_in_one_group():
    individuals, rng = [2, 3, 1, 2, 3, 1], np.random.default_rng(0)
    tracks = [rng.normal(size=(60, 3, 2)).cumsum(0).astype(np.float32) for _ in range(sum(individuals))]
    labels = {"x": [rng.integers(0, 2, 60) for _ in tracks]}
    options = {"individuals": individuals, "eval_utils": {"classification_tags": ["x"]}, "hoa_bins": 4}
    dataset = KeypointsDataset(tracks, annotations=labels, **options)
    notes = dataset.annotations
    groups = np.repeat(notes.groups, notes.individuals)
    assert groups.tolist() == [f"recording{i}" for i, count in enumerate(individuals) for _ in range(count)]
    named = KeypointsDataset(tracks, annotations={**labels, "video_name": list("abcabc")}, **options)
    assert named.annotations.groups == list("abcabc")


def test_a_recording_with_one_animal_is_read_out_beside_pairs():
    rng, individuals = np.random.default_rng(0), [2, 1, 2, 1, 2, 1]
    recordings = as_recordings(rng.normal(size=(6, 2, 60, 3, 2)).cumsum(2).astype(np.float32))
    recordings = [one.of_individuals(np.arange(2) < n) for one, n in zip(recordings, individuals, strict=True)]
    recordings = [labelled.replace(one, labels={"x": np.arange(60) % 2}) for one in recordings]
    dataset = dataset_of(recordings, {"classification_tags": ["x"]})
    table = labelled.evaluate_model(None, dataset, folds=3)
    assert "360 of 360 labelled frames" in str(table)
    frames = [np.arange(60)] * 6
    pooled = labelled._pooled(({"e": track} for track in map(dataset.track_input, range(9))), dataset, frames)["e"]
    inputs = dataset.track_input(2)  # of the recording with one animal: its mean is itself, its range 0
    np.testing.assert_allclose(pooled[60:120], np.concatenate([inputs, np.zeros_like(inputs)], axis=1))


@pytest.mark.parametrize("alone", range(4))
def test_both_sides_have_the_same_inputs(tmp_path, alone):
    keypoints = np.random.default_rng(0).normal(size=(RECORDINGS, ANIMALS, FRAMES, 3, 2)).cumsum(2).astype(np.float32)
    keypoints[alone, 1] = np.nan
    _, embedder, recordings, _ = prepared(tmp_path, "--val_share", "0.25", keypoints=keypoints)
    plan, _ = embedder.plan(recordings)
    assert plan.val_dataset.feature_names == plan.dataset.feature_names


def test_new_names_and_order_give_what_is_done_by_hand():
    keypoints = np.random.default_rng(0).normal(size=(1, 50, 3, 2)).cumsum(1).astype(np.float32)
    one = Recording("r", keypoints, None, ["a"], ["Nose", "spine", "Tail"], 30.0)
    config = CleaningConfig(rename="Nose:nose,Tail:tail", keypoints="tail,nose")
    (found,) = clean([one], config)
    assert found.keypoint_names == ["tail", "nose"]
    features = FeatureConfig(others=0, heading="tail:nose")
    here = recording_features(found.keypoints, features, found.keypoint_names)
    by_hand = recording_features(keypoints[:, :, [2, 0]], features, ["tail", "nose"])
    np.testing.assert_array_equal(here.inputs, by_hand.inputs)
    with pytest.raises(ValueError, match="Tail:nose"):
        recording_features(found.keypoints, FeatureConfig(others=0, heading="Tail:nose"), found.keypoint_names)


def test_a_cache_knows_names_and_settings(tmp_path):
    keypoints = np.random.default_rng(0).normal(size=(2, 300, 3, 2)).cumsum(1).astype(np.float32)
    keypoints[:, :8] = np.nan  # nothing of the first frames tells which features these are
    inputs = []
    for heading in ("tail:nose", "nose:tail"):
        for names in (("nose", "tail", "ear"), ("ear", "tail", "nose")):
            for individuals in (1, 2):
                options = {"keypoint_names": names, "individuals": individuals, "hoa_bins": 4}
                options["config"] = FeatureConfig(others=1, heading=heading)
                cached = KeypointsDataset(keypoints, cache=True, cache_path=tmp_path, **options).inputs
                np.testing.assert_array_equal(cached, KeypointsDataset(keypoints, **options).inputs)
                inputs.append(cached)
    assert not any(np.array_equal(a, b) for a, b in pairwise(inputs))


@pytest.mark.parametrize("rate", [0, 15])
def test_ignored_classes_stay_ignored(tmp_path, rate):
    _, _, recordings, kinds = prepared(tmp_path, *segments(tmp_path), "--resample", str(rate))
    dataset = dataset_of(recordings, kinds, ignore_classes="phase:1")
    (phase,) = [label for label in dataset.annotations.labels if label.name == "phase"]
    for recording, values in zip(recordings, phase.values, strict=True):
        frame = (recording.keypoints[0, :, 0, 0] + 0.5).astype(int)
        np.testing.assert_array_equal(values, np.where(frame // PHASE % 2 == 1, -1, 0))


@pytest.mark.parametrize("factor", [1, 0.125])
def test_a_limit_of_jumps_is_in_body_lengths_in_any_unit(tmp_path, factor):
    frame = np.arange(FRAMES, dtype=np.float32)
    keypoints = np.zeros((RECORDINGS, ANIMALS, FRAMES, 3, 2), np.float32)
    keypoints[..., 0] = frame[:, None] / 10 + 10 * np.arange(3)  # a body of 20
    keypoints[:, 0, 100, 1] += 500
    flags = ["--unit", "body", "--max_jump", "1", "--resample", "15"]
    _, _, recordings, _ = prepared(tmp_path, *flags, keypoints=keypoints * np.float32(factor))
    for recording in recordings:
        assert np.argwhere(np.isnan(recording.keypoints).any(axis=-1)).tolist() == [[0, 50, 1]]
        np.testing.assert_allclose(recording.keypoints[1, :, 2, 0], (frame[::2] / 10 + 20) / 20, rtol=1e-5)


@pytest.mark.slow
def test_arrays_tell_parts_of_a_recording_apart(tmp_path):
    flags = ["--data_root", str(file_of(tmp_path)), "--ckpt_path", str(tmp_path / "m.pt"), "--resample", "15"]
    few = ["--epochs", "1", "--skip_frames", "5", "--hoa_window", "5", "--sequence_length", "30", "--val_share", "0"]
    argv = [*flags, *segments(tmp_path)]
    custom.main([*argv, *few, "--log_dir", str(tmp_path / "runs")], load_poses)
    custom.main([*argv, "--job", "compute_representations"], load_poses)
    with np.load(tmp_path / "m_representations.npz") as arrays:
        assert arrays["first_frame"].tolist() == np.tile(np.repeat([0, 80, 171], ANIMALS), RECORDINGS).tolist()
        assert set(arrays["frame_step"]) == {2} and arrays["fps"] == 15
        assert arrays["short_term"].shape[:2] == (3 * ANIMALS * RECORDINGS, 40)
