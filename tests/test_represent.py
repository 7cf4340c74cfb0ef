"""Embeddings of whole tracks against the model itself, and pooling against loops."""

from functools import partial

import numpy as np
import pytest
import torch

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
from bams.simulate.flies import simulate_flies
from bams.statistics import Statistics, known_inputs


def tiny_model(input_size: int = 3) -> BAMS:
    torch.manual_seed(0)
    model = BAMS(
        input_size,
        short_term={"num_channels": (4, 2)},
        long_term={"num_channels": (4, 3), "dilation": 4},
        predictor={"hidden_layers": (-1, 5)},
    )
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


@pytest.mark.parametrize("block", [1, 7, 2**14])
def test_tracks_of_any_length_are_embedded_as_if_whole(monkeypatch, block):
    monkeypatch.setattr(offline, "BLOCK", block)
    lengths = (7, 7, 300, 1) if block < 2**14 else (7, 40_000, 1)
    model, tracks = tiny_model(), random_tracks(lengths)
    assert 1 < model.context < 300
    found = list(embed_tracks(model, tracks))
    assert len(found) == len(tracks)
    for track, embs in zip(tracks, found, strict=True):
        for name, expected in one_at_a_time(model, track).items():
            np.testing.assert_allclose(embs[name], expected, atol=1e-5)


def gappy(individuals: int, frames: int, count: int, seed: int = 0) -> np.ndarray:
    """(A, T, K, 2): walks with gaps of all lengths, one keypoint that is seen once, one that never is."""
    rng = np.random.default_rng(seed)
    keypoints = rng.normal(size=(individuals, frames, count, 2)).cumsum(axis=1) + 20 * rng.normal(size=(count, 2))
    lost = rng.random(keypoints.shape[:3]) < 0.3
    lost[:, frames // 4 : frames // 2] = True
    lost[0, :, 0], lost[0, 2, 0], lost[-1, :, 1] = True, False, True
    keypoints[lost] = np.nan
    return keypoints.astype(np.float32)


def pairs_of_flies() -> np.ndarray:
    flies = simulate_flies(1, frames=40).keypoints[0]
    flies[np.random.default_rng(0).random(flies.shape[:3]) < 0.3] = np.nan
    return flies


ALL = ("movement", "lengths", "observed", "distances", "approach")
MAKERS = {
    "own": (gappy(3, 40, 4), partial(animal_features, config=FeatureConfig(predict=ALL, others=2))),
    "heading": (gappy(2, 40, 3), partial(animal_features, config=FeatureConfig(heading="keypoint0:keypoint2"))),
    "raw": (gappy(2, 40, 4), partial(animal_features, config=FeatureConfig(features="raw", others=0))),
    "series": (gappy(2, 40, 4)[..., 0], series_features),
    "mice": (gappy(3, 40, 12), mouse_triplets.features),
    "flies": (pairs_of_flies(), fruit_flies.features),
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


def test_padded_tracks_of_an_array_are_embedded_up_to_their_end():
    keypoints = np.stack([r[0] for r in keypoint_recordings()[:2]])
    keypoints[1, 20:] = np.nan
    dataset = KeypointsDataset(keypoints, hoa_bins=4)
    torch.manual_seed(0)
    model = tiny_model(dataset.input_size)
    result = compute_representations(model, dataset)["long_term"]
    assert result.shape[:2] == (2, 30)
    assert np.isfinite(result[0]).all() and np.isfinite(result[1, :20]).all() and np.isnan(result[1, 20:]).all()


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_in_the_mode_in_which_it_came(training):
    model, tracks = tiny_model().train(training), random_tracks((9, 8))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = compute_representations(model, Dataset(tracks, tracks, None))
    assert model.training is training and model.encoders["short_term"].training is training
    again = compute_representations(model, Dataset(tracks, tracks, None))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])  # no dropout in it
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_mode_comes_back_when_embedding_fails_or_is_left_early():
    model = tiny_model().train()
    with pytest.raises(RuntimeError):
        list(embed_tracks(model, random_tracks((5,), size=7)))
    assert model.training
    embedding = embed_tracks(model, random_tracks((5, 6, 7)))
    next(embedding)
    embedding.close()
    assert model.training


# --- individuals ---


def slow_pool(embs: np.ndarray, present: np.ndarray) -> np.ndarray:
    individuals, frames, size = embs.shape
    pooled = np.full((frames, 2 * size), np.nan)
    for t in range(frames):
        there = [embs[i, t].astype(np.float64) for i in range(individuals) if present[i, t]]
        if there:
            for c in range(size):
                values = [emb[c] for emb in there]
                pooled[t, c] = sum(values) / len(values)
                pooled[t, size + c] = max(values) - min(values)
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


def test_one_individual_has_itself_as_mean_and_no_range():
    embs = random_tracks((6,))[0][None]
    pooled = pool_individuals(embs, np.ones((1, 6), bool))
    np.testing.assert_array_equal(pooled, np.concatenate([embs[0], np.zeros((6, 3), np.float32)], axis=1))


def test_an_individual_is_present_from_its_first_to_its_last_tracked_frame():
    recording = np.full((4, 8, 2, 2), np.nan, np.float32)
    recording[0, [2, 5], 0] = 1  # a gap between does not matter, nor that the other keypoint is never seen
    recording[1] = 0
    recording[2, 7, 1] = 1
    recording[2, 3, 1, 0] = 1  # half a keypoint is none
    expected = np.zeros((4, 8), bool)
    expected[0, 2:6] = expected[1] = expected[2, 7] = True
    np.testing.assert_array_equal(tracked_presence(recording), expected)


def test_presence_equals_the_loop():
    recording = keypoint_recordings(seed=3)[2]
    recording[:, ::3] = np.nan
    found = tracked_presence(recording)
    for i, track in enumerate(recording):
        seen = [t for t in range(len(track)) if any(np.isfinite(keypoint).all() for keypoint in track[t])]
        assert found[i].tolist() == [bool(seen) and seen[0] <= t <= seen[-1] for t in range(len(track))]
        assert not found[i].all()


FITTED = KeypointsDataset([t for r in keypoint_recordings() for t in r], hoa_bins=4).statistics


def make_dataset(recordings: list[np.ndarray]) -> KeypointsDataset:
    return KeypointsDataset([t for r in recordings for t in r], statistics=FITTED)


def make_inputs(recording: np.ndarray) -> np.ndarray:
    return known_inputs(animal_features(recording, FeatureConfig(others=0)).inputs, FITTED)


@pytest.mark.parametrize("block", [20, 2**14])
def test_recordings_are_pooled_over_the_individuals_present(monkeypatch, block):
    monkeypatch.setattr(offline, "BLOCK", block)
    recordings = keypoint_recordings()
    dataset = make_dataset(recordings)
    model = tiny_model(dataset.input_size)
    found = list(embed_recordings(model, recordings, make_inputs))
    assert len(found) == len(recordings)
    track = 0
    for recording, pooled in zip(recordings, found, strict=True):
        embs = []
        for _ in recording:
            by_name = one_at_a_time(model, dataset.track_input(track))
            embs.append(np.concatenate([by_name["short_term"], by_name["long_term"]], axis=1))
            track += 1
        present = tracked_presence(recording)
        assert present.any(0).all() and not present.all(), "this recording tests less than it should"
        np.testing.assert_allclose(pooled, slow_pool(np.stack(embs), present), atol=1e-5)
        assert pooled.dtype == np.float32 and pooled.shape == (recording.shape[1], 10)


def test_frames_in_which_nobody_is_present_pool_all_individuals():
    recording = keypoint_recordings()[0]
    recording[:, :6] = recording[:, 27:] = np.nan
    dataset = make_dataset([recording])
    model = tiny_model(dataset.input_size)
    pooled = next(embed_recordings(model, [recording], make_inputs))
    assert np.isfinite(pooled).all()
    present = tracked_presence(recording)
    embs = [one_at_a_time(model, dataset.track_input(i)) for i in range(2)]
    joined = np.stack([np.concatenate([e["short_term"], e["long_term"]], axis=1) for e in embs])
    assert not present[:, 2].any() and not present[:, 28].any()
    expected = slow_pool(joined, present | ~present.any(0))
    np.testing.assert_allclose(pooled, expected, atol=1e-6)


# --- columns ---


def test_standardised_columns_have_mean_0_and_deviation_1():
    rng = np.random.default_rng(0)
    table = (rng.standard_normal((150_000, 3)) * [1, 1e-3, 50] + [0, 5, -3000]).astype(np.float32)
    expected = (table - table.mean(0, dtype=np.float64)) / table.std(0, dtype=np.float64)
    result = standardise(table)
    assert result is table and table.dtype == np.float32
    np.testing.assert_allclose(table, expected, atol=1e-5)
    np.testing.assert_allclose(table.mean(0, dtype=np.float64), 0, atol=1e-6)
    np.testing.assert_allclose(table.std(0, dtype=np.float64), 1, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e6, 1e-30])
def test_a_constant_column_becomes_0(value):
    table = np.column_stack([np.full(70_001, value), np.arange(70_001)]).astype(np.float32)
    standardise(table)
    assert not table[:, 0].any() and table[:, 1].std(dtype=np.float64) == pytest.approx(1)
    one = np.full((1, 2), value, np.float32)
    assert not standardise(one).any()
