"""Labels of recordings and tracks: their forms, and what can be read out of a model with them."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from refusals import refused

from bams.app.labelled import ALL, evaluate_model, readout_rows, to_log
from bams.data.keypoints import KeypointsDataset
from bams.data.labels import TAGS, annotations_of, as_annotations, as_classes, text_classes
from bams.embed.offline import compute_representations
from bams.embed.pooled import pool_individuals
from bams.features.config import FeatureConfig
from bams.features.gaps import tracked_presence
from bams.models.bams import BAMS
from bams.plots import plot_confusion
from bams.readout.baselines import random_weights
from bams.readout.linear_eval import evaluate_labels

LENGTHS = [9, 9, 7, 7, 8, 8]  # three recordings of two individuals
UTILS = {
    "classification_tags": ["act", "strain"],
    "regression_tags": ["speed"],
    "sequence_level_dict": {"act": False, "strain": True},
    "padded_frames": 10,
}


def annotations() -> dict:
    rng = np.random.default_rng(0)
    return {
        "video_name": ["x", "y", "x"],
        "act": rng.integers(-1, 3, (3, 10)),
        "strain": np.array([0, 1, 1, 0, -1, 0]),
        "speed": rng.normal(size=(6, 10)),
    }


def checked(changes: dict | None = None, utils: dict | None = None):
    return as_annotations({**annotations(), **(changes or {})}, {**UTILS, **(utils or {})}, LENGTHS, individuals=2)


# --- forms ---


def test_labels_of_recordings_and_tracks_are_told_apart_and_cut():
    given, notes = annotations(), checked()
    found = {label.name: label for label in notes.labels}
    assert {name: label.per_recording for name, label in found.items()} == {
        "act": True,
        "strain": False,
        "speed": False,
    }
    assert [len(row) for row in found["act"].values] == [9, 7, 8]
    assert found["act"].values[0].dtype == np.int64 and found["speed"].values[0].dtype == np.float64
    assert found["strain"].sequence_level and not found["speed"].sequence_level
    assert found["act"].class_names == [] and found["speed"].class_names is None
    tracks = notes.of_tracks(LENGTHS)
    for i, length in enumerate(LENGTHS):
        np.testing.assert_array_equal(tracks["act"][i], given["act"][i // 2, :length])
        np.testing.assert_array_equal(tracks["speed"][i], given["speed"][i, :length])
        assert tracks["strain"][i] == given["strain"][i]


def test_axes_of_recordings_and_individuals_are_those_of_tracks():
    given = annotations()
    both = {"strain": given["strain"].reshape(3, 2), "speed": given["speed"].reshape(3, 2, 10)}
    for one, other in zip(checked(both).labels, checked().labels, strict=True):
        assert one.per_recording == other.per_recording
        np.testing.assert_equal(list(one.values), list(other.values))


def test_names_of_tracks_are_names_of_their_recordings():
    assert checked().groups == ["x", "y", "x"]
    assert checked({"video_name": list("aabbaa")}).groups == ["a", "b", "a"]
    without = annotations()
    del without["video_name"]
    assert len(set(as_annotations(without, UTILS, LENGTHS, individuals=2).groups)) == 3


def test_missing_labels_have_one_form():
    assert as_classes(np.array([2.0, np.nan, -1.0, -7.0, 0.0])).tolist() == [2, -1, -1, -1, 0]
    assert as_classes(np.array([True, False])).tolist() == [1, 0]


def test_ignored_classes_become_unlabelled():
    utils = {"class_names": {"act": ["base", "run", "rest"]}, "ignore_classes": "act:base, strain:1"}
    found = {label.name: label for label in checked(utils=utils).labels}
    given = annotations()
    for i, row in enumerate(found["act"].values):
        expected = given["act"][i, : len(row)]
        np.testing.assert_array_equal(row, np.where(expected == 0, -1, expected))
    assert np.ravel(found["strain"].values).tolist() == [0, -1, -1, 0, -1, 0]


@pytest.mark.parametrize(
    ("changes", "utils", "message"),
    [
        ({"new": np.zeros(3)}, {}, "annotations names the label new"),
        ({}, {"classification_tags": ["act", "strain", "gone"]}, "names the label gone"),
        ({}, {"regression_tags": ["speed", "act"]}, "act stands twice"),
        ({}, {"sequence_level_dict": {"gone": True}}, "sequence_level_dict names the label gone"),
        ({}, {"class_names": {"gone": ["a"]}}, "class_names names the label gone"),
        ({}, {"tags": []}, "eval_utils has tags"),
        ({"act": np.zeros((4, 10))}, {}, "act has 4 entries for 3 recordings or 6 tracks"),
        ({"act": np.zeros((3, 11))}, {}, r"act has 11 frames where the recording has 9 \(or 10 with padding\)"),
        ({"act": np.zeros((3, 2))}, {}, "act has 2 frames where the recording has 9 .*, 0.222 labels for each frame"),
        ({"strain": np.zeros((6, 10))}, {}, "strain has entries with axes"),
        ({"act": np.full((3, 10), 0.5)}, {}, "act holds numbers that are not whole"),
        ({"act": np.full((3, 10), "run")}, {}, "act is of type"),
        ({"speed": np.full((6, 10), np.inf)}, {}, "speed holds infinite"),
        ({"video_name": ["a"]}, {}, "video_name has 1 entries"),
        ({}, {"ignore_classes": "act:flying"}, "the classes of act are 0, 1, 2"),
        ({}, {"ignore_classes": "speed:0"}, "of the labels act, strain"),
        ({}, {"ignore_classes": "act"}, "expected label:class"),
    ],
)
def test_labels_that_do_not_fit_are_one_sentence(changes, utils, message):
    with refused(message):
        checked(changes, utils)


def test_labels_of_a_file_are_found_by_their_names():
    arrays = {
        "keypoints": np.zeros(3),
        "recording_ids": np.array([7, 8]),
        "labels_act": np.zeros((2, 5), np.int8),
        "labels_act_names": np.array(["a", "b"]),
        "labels_speed": np.full((2, 5), 0.5),
        "labels_state": np.array([["run", "", "rest", "run ", "nan"]] * 2),
        "seq_labels_mood": np.array([0.0, np.nan]),
        "seq_labels_mood_names": np.array(["good", "bad"]),
        "seq_labels_weight": np.array([21.0, 23.0]),
    }
    found, utils = annotations_of(arrays)
    assert list(found) == ["act", "speed", "state", "mood", "weight", "video_name"]
    assert utils["classification_tags"] == ["act", "state", "mood"]
    assert utils["regression_tags"] == ["speed", "weight"]
    assert [name for name, whole in utils["sequence_level_dict"].items() if whole] == ["mood", "weight"]
    assert utils["class_names"] == {"act": ["a", "b"], "state": ["rest", "run"], "mood": ["good", "bad"]}
    assert found["state"].tolist() == [[1, -1, 0, 1, -1]] * 2
    as_annotations(found, utils, [5, 5])


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (np.array([[0.0, 1.0, np.nan, 19.0]]), True),
        (np.array([[-1.0, 2.0]], np.float32), True),
        (np.array([[True, False]]), True),
        (np.array([[300, 7]]), True),
        (np.arange(21.0)[None], False),
        (np.array([[0.0, 0.5]]), False),
        (np.array([[-3.0, 2.0]]), False),
        (np.array([[1.0, np.inf]]), False),
        (np.full((1, 3), np.nan), False),
    ],
)
def test_whole_numbers_are_classes_with_nan_too(values, classes):
    assert annotations_of({"labels_x": values})[1][TAGS[not classes]] == ["x"]


def test_text_is_classes_sorted_or_as_named():
    rows = [np.array(["rest", "", "Gähn"]), np.array(["walk", "rest"], object), np.array(["Gähn".encode(), b"nan"])]
    classes, names = text_classes(rows)
    assert names == ["Gähn", "rest", "walk"] and [row.tolist() for row in classes] == [[1, -1, 0], [2, 1], [0, -1]]
    assert text_classes(rows, ["walk", "rest", "Gähn"])[0][0].tolist() == [1, -1, 2]
    with refused("act has the class walk; its names are rest, Gähn"):
        text_classes(rows, ["rest", "Gähn"], "act")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"keypoints": np.zeros(3)}, "no labels in it: the arrays are keypoints"),
        ({"labels_a_names": np.array(["x"])}, "none named labels_a"),
        ({"labels_a": np.zeros(2), "seq_labels_a": np.zeros(2)}, "both labels_a and seq_labels_a"),
    ],
)
def test_files_without_clear_labels_are_refused(arrays, message):
    with pytest.raises(ValueError, match=message):
        annotations_of(arrays)


# --- the data set ---


def keypoints(recordings: int = 6, individuals: int = 2, frames: int = 60, seed: int = 0) -> list[np.ndarray]:
    """(A, T_i, 3, 2) of each recording, with gaps, and an individual that comes late."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(recordings):
        walk = rng.normal(0, 1, (individuals, frames - i, 3, 2)).cumsum(1) + rng.normal(0, 20, (individuals, 1, 3, 2))
        walk[rng.random(walk.shape[:3]) < 0.1] = np.nan
        walk[0, : 2 * i] = np.nan
        made.append(walk.astype(np.float32))
    return made


def labelled(recordings: list[np.ndarray], **options) -> KeypointsDataset:
    """Act: per frame of the recording, by the first animal's step; place and size: of tracks."""
    tracks = [track for recording in recordings for track in recording]
    frames = max(map(len, tracks))
    rng = np.random.default_rng(1)
    act = np.full((len(recordings), frames), -1)
    for row, recording in zip(act, recordings, strict=True):
        moved = np.abs(np.diff(np.nan_to_num(recording[0, :, 0, 0]), prepend=0))
        row[: len(moved)] = np.where(rng.random(len(moved)) < 0.1, -1, moved > np.median(moved))
    given = {
        "act": act,
        "place": np.stack([np.pad(t[:, 1, 0], (0, frames - len(t)), constant_values=np.nan) for t in tracks]),
        "kind": np.arange(len(recordings)) % 2,
        "size": rng.normal(size=len(tracks)),
    }
    utils = {
        "classification_tags": ["act", "kind"],
        "regression_tags": ["place", "size"],
        "sequence_level_dict": {"kind": True, "size": True},
        "class_names": {"act": ["rest", "go"]},
        "padded_frames": frames,
    }
    options |= {"individuals": len(recordings[0]), "config": FeatureConfig(features="raw")}  # which know the place
    return KeypointsDataset(tracks, annotations=given, eval_utils=utils, hoa_bins=4, **options)


def tiny_model(dataset: KeypointsDataset) -> BAMS:
    torch.manual_seed(1)
    return BAMS(
        dataset.input_size,
        short_term={"num_channels": (6, 4)},
        long_term={"num_channels": (6, 3), "dilation": 3},
        predictor={"hidden_layers": (-1, 12, dataset.target_size * dataset.statistics.bins)},
    )


def test_items_carry_the_labels_of_their_window():
    recordings = keypoints()
    dataset = labelled(recordings, sequence_length=25)
    act = dataset.annotations.labels[0].values
    for index, (track, first) in enumerate(dataset.windows):
        item = dataset[index]
        np.testing.assert_array_equal(item["act"], act[track // 2][first : first + 25])
        assert item["kind"] == track // 2 % 2
    assert dataset[0]["place"].shape == (25,)


def test_arrays_and_lists_of_keypoints_take_labels_of_their_lengths():
    padded = np.full((3, 20, 2, 2), np.nan, np.float32)
    padded[:, :15] = np.random.default_rng(0).normal(size=(3, 15, 2, 2))
    options = {"eval_utils": {"classification_tags": ["act"]}, "hoa_bins": 4}
    act = np.tile(np.arange(20) % 2, (3, 1))
    assert KeypointsDataset(padded, annotations={"act": act}, **options)[0]["act"].tolist() == [0, 1] * 7 + [0]
    with pytest.raises(ValueError, match="act has 19 frames"):
        KeypointsDataset(padded, annotations={"act": act[:, :19]}, **options)
    recordings = [recording[0] for recording in keypoints(4)]
    act = [np.arange(len(track)) % 3 % 2 for track in recordings]
    dataset = KeypointsDataset(recordings, annotations={"act": act}, **options)
    np.testing.assert_equal(list(dataset.labels["act"]), act)
    with pytest.raises(ValueError, match="act has 59 frames where the recording has 60"):
        KeypointsDataset(recordings, annotations={"act": [act[1], *act[1:]]}, **options)
    with pytest.raises(ValueError, match="no labels"):
        evaluate_model(None, KeypointsDataset(recordings, hoa_bins=4))


# --- reading a model ---


def test_rows_of_recordings_are_pooled_embeddings_and_inputs():
    recordings = keypoints()
    dataset = labelled(recordings)
    model = tiny_model(dataset)
    frames = [np.arange(0, len(recording[0]), 4) for recording in recordings]
    rows = readout_rows(model, dataset, frames, second=5)
    assert {*rows} == {"short_term", "long_term", ALL, "raw input", "raw input and 1 s mean", "random weights"}
    embs, fresh = (compute_representations(net, dataset) for net in (model, random_weights(model)))
    scaled = [model.scale(torch.from_numpy(dataset.track_input(i))).numpy() for i in range(dataset.n_tracks)]
    means = [np.stack([x[max(t - 4, 0) : t + 1].mean(0) for t in range(len(x))]) for x in scaled]
    sources = {"short_term": embs["short_term"], "long_term": embs["long_term"], "raw input": scaled, "mean": means}
    sources["random"] = fresh["short_term"]
    expected = {name: [] for name in sources}
    for i, (recording, kept) in enumerate(zip(recordings, frames, strict=True)):
        for name, source in sources.items():
            pair = np.stack([source[track][: recording.shape[1]] for track in (2 * i, 2 * i + 1)])
            expected[name].append(pool_individuals(pair, tracked_presence(recording))[kept])
    expected = {name: np.concatenate(tables) for name, tables in expected.items()}
    for name in ("short_term", "long_term", "raw input"):
        np.testing.assert_allclose(rows[name], expected[name], atol=1e-5)
    np.testing.assert_array_equal(rows[ALL], np.concatenate([rows["short_term"], rows["long_term"]], axis=1))
    joined = np.concatenate([expected["raw input"], expected["mean"]], axis=1)
    np.testing.assert_allclose(rows["raw input and 1 s mean"], joined, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(rows["random weights"][:, :8], expected["random"], atol=1e-5)
    assert not np.allclose(rows["random weights"][:, :8], rows["short_term"])


def test_the_table_of_a_model_is_that_of_its_rows():
    recordings = keypoints()
    dataset = labelled(recordings)
    model = tiny_model(dataset)
    table = evaluate_model(model, dataset, folds=3)
    assert [scores.label for scores in table.labels] == ["act", "kind", "place", "size"]
    present = [tracked_presence(recording).any(0) for recording in recordings]
    kept = [np.flatnonzero(p) for p in present]
    group = np.repeat(np.arange(6), [len(p) for p in present])
    frames = np.flatnonzero(np.concatenate(present))
    act = np.concatenate(dataset.annotations.labels[0].values)
    options = {"class_names": {"act": ["rest", "go"]}, "frames": frames, "folds": 3}
    by_hand = evaluate_labels(readout_rows(model, dataset, kept), {"act": act}, group, **options)
    assert table["act"].rows == by_hand["act"].rows
    assert table["act"].class_names == ["rest", "go"]
    assert table["place"].level == "frame" and table["place"].groups == 6
    assert (table["size"].read_out, table["size"].groups, table["size"].kind) == (12, 6, "regression")
    assert (table["kind"].read_out, table["kind"].level) == (6, "sequence")
    assert table["place"].rows["raw input"]["R2"].value > table["place"].rows["chance"]["R2"].value


def test_a_subsample_is_every_nth_frame_in_which_somebody_is_present():
    recordings = keypoints()
    dataset = labelled(recordings)
    table = evaluate_model(None, dataset, most_frames=120)
    there = [np.flatnonzero(tracked_presence(recording).any(0))[::3] for recording in recordings]
    act = dataset.annotations.labels[0].values
    labelled_frames = sum((row[frames] >= 0).sum() for row, frames in zip(act, there, strict=True))
    assert table["act"].read_out == labelled_frames < 120
    assert list(table["act"].rows) == ["chance"]


def test_tracks_of_one_recording_may_end_at_different_frames():
    padded = np.random.default_rng(0).normal(size=(8, 30, 2, 2)).astype(np.float32).cumsum(1)
    padded[1::2, 22:] = np.nan
    given = {"act": np.tile(np.arange(30) % 3 % 2, (4, 1))}
    options = {"eval_utils": {"classification_tags": ["act"]}, "individuals": 2, "hoa_bins": 4}
    dataset = KeypointsDataset(padded, annotations=given, **options)
    assert [len(dataset[i]["act"]) for i in range(2)] == [30, 30]
    table = evaluate_model(tiny_model(dataset), dataset)
    assert table["act"].read_out == 4 * 30


def test_reading_out_changes_neither_the_model_nor_the_draws_to_come():
    dataset = labelled(keypoints())
    model = tiny_model(dataset).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    evaluate_model(model, dataset)
    assert torch.equal(torch.rand(3), expected)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_is_logged_is_every_score_and_confusion():
    dataset = labelled(keypoints())
    table = evaluate_model(tiny_model(dataset), dataset, baselines=False)
    scalars, figures = to_log(table)
    assert all(re.fullmatch(r"[\w/.-]+", name) for name in scalars)
    assert scalars["act/macro_F1/all_embeddings"] == table["act"].rows[ALL]["macro F1"].value
    assert {"act/F1_go/short_term", "place/R2/long_term", "size/MSE/all_embeddings"} <= set(scalars)
    assert not any("chance" in name for name in scalars)
    assert set(figures) == {"act/confusion", "kind/confusion"}


def test_the_picture_of_a_confusion_says_its_shares(tmp_path: Path):
    confusion = np.array([[0.8, 0.2, 0], [np.nan] * 3, [0.25, 0, 0.75]])
    figure = plot_confusion(confusion, ["run", "rest", "groom"], title="act")
    (axes,) = figure.axes
    said = {tuple(map(int, text.get_position())): text.get_text() for text in axes.texts}
    assert said[(1, 0)] == "0.20" and said[(0, 2)] == "0.25" and (0, 1) not in said
    assert [label.get_text() for label in axes.get_yticklabels()] == ["run", "rest", "groom"]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("read out", "true", "act")
    figure.savefig(tmp_path / "a.png")
    assert plot_confusion(confusion, ["a", "b", "c"], axes=axes) is figure
