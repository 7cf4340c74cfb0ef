"""Embeddings of whole tracks against the model itself, and pooling against loops."""

from functools import partial

import numpy as np
import pytest
import torch
from test_stream import gappy, gappy_flies

import fruit_flies
import mouse_triplets
from bams.data.dataset import Dataset
from bams.data.keypoints import KeypointsDataset
from bams.embed import offline
from bams.embed.offline import compute_representations, embed_recording, embed_tracks
from bams.embed.pooled import embed_recordings, pool_individuals, standardise
from bams.features.animals import animal_features
from bams.features.config import FeatureConfig
from bams.features.gaps import tracked_presence
from bams.features.raw import series_features
from bams.models.bams import BAMS
from bams.readout.baselines import InputAlone
from bams.statistics import Statistics, known_inputs


def tiny_model(input_size: int = 3) -> BAMS:
    torch.manual_seed(0)
    encoders = {"short_term": {"num_channels": (4, 2)}, "long_term": {"num_channels": (4, 3), "dilation": 4}}
    model = BAMS(input_size, **encoders, predictor={"hidden_layers": (-1, 5)})
    model.scale.set(torch.full((input_size,), 0.2), torch.full((input_size,), 1.5))
    return model


def random_tracks(lengths, size: int = 3, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((length, size)).astype(np.float32) for length in lengths]


def one_at_a_time(model: BAMS, track: np.ndarray) -> dict[str, np.ndarray]:
    model.eval()
    with torch.no_grad():
        return {name: emb[0].numpy() for name, emb in model(torch.from_numpy(track)[None]).embs.items()}


def keypoint_recordings(seed: int = 0, lengths=(30, 30, 22), individuals=(2, 2, 3)) -> list[np.ndarray]:
    """(A, T, K, d) with gaps; the last individual of each comes late, and its keypoints end early."""
    rng = np.random.default_rng(seed)
    recordings = []
    for length, count in zip(lengths, individuals, strict=True):
        keypoints = np.cumsum(rng.standard_normal((count, length, 4, 2)), axis=1).astype(np.float32)
        keypoints[rng.random((count, length, 4)) < 0.2] = np.nan
        keypoints[-1, :5] = keypoints[-1, -4:] = np.nan
        recordings.append(keypoints)
    return recordings


# --- tracks ---


def test_representations_are_the_models_embeddings_track_by_track():
    model, tracks = tiny_model(), random_tracks((40, 40, 25, 40, 1))
    result = compute_representations(model, Dataset(tracks, tracks, None, sequence_length=10))
    assert set(result) == {"short_term", "long_term"}
    assert result["short_term"].shape == (5, 40, 2) and result["long_term"].shape == (5, 40, 3)
    for i, track in enumerate(tracks):
        for name, expected in one_at_a_time(model, track).items():
            assert result[name].dtype == np.float32
            np.testing.assert_allclose(result[name][i, : len(track)], expected, atol=1e-6)
            assert np.isnan(result[name][i, len(track) :]).all()


def test_representations_are_nan_where_a_track_of_keypoints_is_not_there():
    recordings = keypoint_recordings()
    recordings[1][0] = np.nan  # never there
    dataset = KeypointsDataset.of_recordings(recordings, hoa_bins=4)
    model = tiny_model(dataset.input_size)
    result, present = compute_representations(model, dataset), [row for r in recordings for row in tracked_presence(r)]
    assert 0 < present[1].sum() < len(present[1]) and not present[2].any()
    for i, there in enumerate(present):
        for name, expected in one_at_a_time(model, dataset.track_input(i)).items():
            expected = np.where(there[:, None], expected, np.nan)
            np.testing.assert_allclose(result[name][i, : len(there)], expected, atol=1e-5)
            assert np.isnan(result[name][i, len(there) :]).all()


@pytest.mark.parametrize("block", [1, 7, 2**14])
def test_tracks_of_any_length_are_embedded_as_if_whole(monkeypatch, block):
    monkeypatch.setattr(offline, "BLOCK", block)
    lengths = (7, 7, 300, 1) if block < 2**14 else (7, 40_000, 1)
    model, tracks = tiny_model(), random_tracks(lengths)
    assert 1 < model.context < 300
    for track, embs in zip(tracks, embed_tracks(model, tracks), strict=True):
        for name, expected in one_at_a_time(model, track).items():
            np.testing.assert_allclose(embs[name], expected, atol=1e-5)


ALL = ("movement", "lengths", "observed", "distances", "approach")
MAKERS = {
    "own": (gappy(3, 40, 4), partial(animal_features, config=FeatureConfig(predict=ALL, others=2))),
    "heading": (gappy(2, 40, 3), partial(animal_features, config=FeatureConfig(heading="keypoint0:keypoint2"))),
    "raw": (gappy(2, 40, 4), partial(animal_features, config=FeatureConfig(features="raw", others=0))),
    "series": (gappy(2, 40, 4)[..., 0], series_features),
    "mice": (gappy(3, 40, 12), mouse_triplets.features),
    "flies": (gappy_flies(), fruit_flies.features),
}


@pytest.mark.parametrize("block", [1, 3, 50])
@pytest.mark.parametrize("kind", MAKERS)
def test_what_was_last_seen_carries_over_from_block_to_block(kind, block, monkeypatch):
    recording, make = MAKERS[kind]
    whole = make(recording).inputs
    centre = np.random.default_rng(0).normal(size=whole.shape[-1]).astype(np.float32)
    statistics = Statistics(centre, np.ones_like(centre), None, None)

    def make_inputs(part: np.ndarray) -> np.ndarray:
        return known_inputs(make(part).inputs, statistics)

    model = InputAlone(tiny_model(len(centre)))
    model.scale.set(torch.zeros(len(centre)), torch.ones(len(centre)), np.inf)
    monkeypatch.setattr(offline, "BLOCK", block * len(recording))
    parts = list(embed_recording(model, recording, make_inputs))
    assert [span.stop - span.start for span, _ in parts][:-1] == [block] * (len(parts) - 1)
    found = np.concatenate([embs["input"] for _, embs in parts], axis=1)
    np.testing.assert_allclose(found, known_inputs(whole, statistics), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_came_also_when_embedding_fails_or_is_left_early(training):
    model, tracks = tiny_model().train(training), random_tracks((9, 8))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, again = (compute_representations(model, Dataset(tracks, tracks, None)) for _ in range(2))
    np.testing.assert_equal(first, again)  # no dropout in it
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with pytest.raises(RuntimeError):
        list(embed_tracks(model, random_tracks((5,), size=7)))
    assert model.training is training
    embedding = embed_tracks(model, tracks)
    next(embedding)
    embedding.close()
    assert model.training is training and model.encoders["short_term"].training is training


# --- individuals ---


def slow_pool(embs: np.ndarray, present: np.ndarray) -> np.ndarray:
    individuals, frames, size = embs.shape
    pooled = np.full((frames, 2 * size), np.nan)
    for t, c in np.ndindex(frames, size):
        if values := [float(embs[i, t, c]) for i in range(individuals) if present[i, t]]:
            pooled[t, c], pooled[t, size + c] = sum(values) / len(values), max(values) - min(values)
    return pooled


@pytest.mark.parametrize("individuals", [1, 2, 5])
def test_pooling_equals_the_loop_in_any_order(individuals):
    rng = np.random.default_rng(individuals)
    embs = rng.standard_normal((individuals, 40, 3)).astype(np.float32)
    present = rng.random((individuals, 40)) < 0.5
    present[:, 3] = False
    embs[~present] = np.nan  # what is not there does not matter
    pooled = pool_individuals(embs, present)
    assert pooled.shape == (40, 6) and pooled.dtype == np.float32
    np.testing.assert_allclose(pooled, slow_pool(embs, present), atol=1e-6)
    assert np.isnan(pooled[3]).all() and np.isfinite(pooled[present.any(0)]).all()
    order = rng.permutation(individuals)
    np.testing.assert_allclose(pool_individuals(embs[order], present[order]), pooled, atol=1e-6)


def test_an_individual_is_present_from_its_first_to_its_last_tracked_frame():
    recording = np.full((4, 8, 2, 2), np.nan, np.float32)
    recording[0, [2, 5], 0] = 1  # a gap between does not matter, nor that the other keypoint is never seen
    recording[1] = 0
    recording[2, 7, 1] = 1
    recording[2, 3, 1, 0] = 1  # half a keypoint is none
    expected = np.zeros((4, 8), bool)
    expected[0, 2:6] = expected[1] = expected[2, 7] = True
    np.testing.assert_array_equal(tracked_presence(recording), expected)


FITTED = KeypointsDataset([t for r in keypoint_recordings() for t in r], hoa_bins=4).statistics


def make_inputs(recording: np.ndarray) -> np.ndarray:
    return known_inputs(animal_features(recording, FeatureConfig(others=0)).inputs, FITTED)


@pytest.mark.parametrize("block", [20, 2**14])
def test_recordings_are_pooled_over_the_individuals_present_or_all_where_nobody_is(monkeypatch, block):
    monkeypatch.setattr(offline, "BLOCK", block)
    recordings = keypoint_recordings()
    recordings[0][:, :6] = recordings[0][:, 27:] = np.nan
    dataset = KeypointsDataset([t for r in recordings for t in r], statistics=FITTED)
    model = tiny_model(dataset.input_size)
    found = list(embed_recordings(model, recordings, make_inputs))
    embs = (one_at_a_time(model, dataset.track_input(track)) for track in range(len(dataset)))
    for recording, pooled in zip(recordings, found, strict=True):
        each = [np.concatenate([*next(embs).values()], axis=1) for _ in recording]
        present = tracked_presence(recording)
        assert not present.all(), "this recording tests less than it should"
        np.testing.assert_allclose(pooled, slow_pool(np.stack(each), present | ~present.any(0)), atol=1e-5)
        assert pooled.dtype == np.float32 and pooled.shape == (recording.shape[1], 10)


# --- columns ---


def test_standardised_columns_have_mean_0_and_deviation_1():
    rng = np.random.default_rng(0)
    table = (rng.standard_normal((150_000, 3)) * [1, 1e-3, 50] + [0, 5, -3000]).astype(np.float32)
    expected = (table - table.mean(0, dtype=np.float64)) / table.std(0, dtype=np.float64)
    assert standardise(table) is table and table.dtype == np.float32
    np.testing.assert_allclose(table, expected, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e6, 1e-30])
def test_a_constant_column_becomes_0(value):
    table = np.column_stack([np.full(70_001, value), np.arange(70_001)]).astype(np.float32)
    standardise(table)
    assert not table[:, 0].any() and table[:, 1].std(dtype=np.float64) == pytest.approx(1)
    one = np.full((1, 2), value, np.float32)
    assert not standardise(one).any()
