"""Embeddings of any keypoints: finite where a track has a frame, or refused.

The invariances: size of blocks, order of recordings and individuals, frame by frame or whole, in a file and back.
"""

from unittest.mock import patch

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    ROUNDING,
    Refusal,
    any_numbers,
    feature_configs,
    layouts,
    make_checkpoint,
    names,
    numbers,
    outcome,
    same,
    seeds,
    share_of_examples,
)

from bams import (
    BAMSEmbedder,
    FeatureConfig,
    KeypointsDataset,
    StreamingEncoder,
    checkpoint,
    compute_representations,
    pool_individuals,
)
from bams.embed import offline

# --- embeddings ---


@share_of_examples(0.5)
@given(st.data(), st.integers(1, 3), st.sampled_from((2, 30)), st.sampled_from((1, 3, 7)), st.sampled_from((1, 7, 64)))
def test_embeddings_of_a_data_set(data, count: int, frames: int, points: int, block: int):
    """Finite wherever a track has a frame; the same in blocks and frame by frame."""
    dims = data.draw(st.integers(1, 3))
    keypoints = data.draw(any_numbers((count, frames, points, dims), gaps=(0.0, 0.3, 0.9)))
    config = data.draw(feature_configs(points, dims))
    made = outcome(lambda: KeypointsDataset(keypoints, individuals=count, config=config, hoa_bins=4))
    if isinstance(made, Refusal):
        return
    trained = make_checkpoint(made)
    whole = outcome(lambda: compute_representations(trained.model, made), refused=False)
    for name, size in trained.model.sizes.items():
        assert whole[name].shape == (made.n_tracks, max(made.lengths), size) and whole[name].dtype == np.float32
        for row, length in zip(whole[name], made.lengths, strict=True):
            assert np.isfinite(row[:length]).all() and np.isnan(row[length:]).all()
    with patch.object(offline, "BLOCK", block):
        parts = outcome(lambda: compute_representations(trained.model, made), refused=False)
    assert trained.model.training is False
    encoder = outcome(lambda: StreamingEncoder(trained), refused=False)
    online = [outcome(lambda t=t: encoder.embed(keypoints[:, t]), refused=False) for t in range(int(max(made.lengths)))]
    for name, emb in whole.items():
        np.testing.assert_allclose(parts[name], emb, rtol=0, atol=ROUNDING)
        together = np.stack([embs[name] for embs in online], axis=1)
        there = np.isfinite(emb)
        np.testing.assert_allclose(together[there], emb[there], rtol=0, atol=ROUNDING)


@given(
    st.data(),
    st.sampled_from(((2, 4, 2), (2, 3, 2), (1, 4, 2), (2, 4, 1), (4, 2), (2, 4), (0, 4, 2), (2, 4, 2, 1))),
)
def test_a_frame_that_does_not_fit_leaves_the_stream_as_it_was(data, axes: tuple[int, ...]):
    keypoints = numbers((2, 6, 4, 2), 0)
    made = KeypointsDataset(keypoints, individuals=2)
    encoder, undisturbed = StreamingEncoder(make_checkpoint(made)), StreamingEncoder(make_checkpoint(made))
    begun = data.draw(st.booleans())
    if begun:
        same(encoder.embed(keypoints[:, 0])["short_term"], undisturbed.embed(keypoints[:, 0])["short_term"])
    frame = np.zeros(axes) if data.draw(st.booleans()) else np.full(axes, np.inf)
    # before the first frame, any number of individuals will do
    right = not np.isinf(frame).any() and (axes == (2, 4, 2) or (not begun and axes == (1, 4, 2)))
    if not isinstance(outcome(lambda: encoder.embed(frame), refused=not right), Refusal):
        return
    for t in range(1 if begun else 0, 6):
        found, expected = (one.embed(keypoints[:, t])["long_term"] for one in (encoder, undisturbed))
        same(found, expected)


@given(st.data(), st.integers(1, 4), st.integers(1, 9), st.integers(1, 3), layouts())
def test_pooled_individuals(data, individuals: int, frames: int, channels: int, lay_out):
    embs = np.nan_to_num(data.draw(any_numbers((individuals, frames, channels))))
    present = np.random.default_rng(data.draw(seeds())).random((individuals, frames)) < data.draw(
        st.sampled_from((0.0, 0.5, 1.0))
    )
    embs[~present] = data.draw(st.sampled_from((0.0, np.nan)))
    found = outcome(lambda: pool_individuals(lay_out(embs), present), refused=False)
    assert found.shape == (frames, 2 * channels) and found.dtype == np.float32
    there = present.any(axis=0)
    assert np.isfinite(found[there]).all() and np.isnan(found[~there]).all()
    order = data.draw(st.permutations(range(individuals)))
    permuted = pool_individuals(embs[order], present[order])
    largest = np.abs(np.nan_to_num(embs)).max(initial=0)
    np.testing.assert_allclose(permuted, found, rtol=0, atol=1e-6 * largest)
    for t in np.flatnonzero(there):
        some = embs[present[:, t], t].astype(float)
        expected = np.concatenate([some.mean(axis=0), some.max(axis=0) - some.min(axis=0)])
        np.testing.assert_allclose(found[t], expected, rtol=1e-6, atol=1e-6 * largest)


@share_of_examples(0.3)
@given(seeds(), st.lists(names(), min_size=2, max_size=2, unique=True), st.sampled_from((1, 3)))
def test_a_checkpoint_gives_the_same_from_its_file(tmp_path, seed: int, keypoint_names: list[str], count: int):
    keypoints = numbers((count, 20, 2, 2), seed, gaps=0.2)
    made = KeypointsDataset(keypoints, individuals=count, keypoint_names=keypoint_names)
    trained = make_checkpoint(made, seed)
    path = outcome(lambda: checkpoint.save(tmp_path / "model.pt", trained), refused=False)
    loaded = outcome(lambda: checkpoint.load(path), refused=False)
    assert loaded.features == trained.features and loaded.settings.keys() == trained.settings.keys()
    assert checkpoint.trained_features(loaded) == checkpoint.trained_features(trained)
    for part in ("centre", "scale", "edges", "counts"):
        same(getattr(loaded.statistics, part), getattr(trained.statistics, part))
    one, other = (compute_representations(each.model, made) for each in (trained, loaded))
    for name in one:
        same(other[name], one[name])
    x = torch.from_numpy(made.track_input(0))[None]
    for found, expected in zip(loaded.model(x)[1:], trained.model(x)[1:], strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


@share_of_examples(0.05)
@given(st.data(), st.sampled_from((1, 2)), st.sampled_from((4, 5, 40)), st.sampled_from(("list", "array")))
def test_fit_and_transform(tmp_path, data, individuals: int, frames: int, form: str):
    """Two steps at most; the same from the file, and whatever the order of the recordings."""
    kind, scale = (
        data.draw(st.sampled_from(("walk", "noise", "constant"))),
        data.draw(st.sampled_from((1e-30, 1.0, 1e30))),
    )
    array = numbers(
        (2, individuals, frames, 3, 2), data.draw(seeds()), kind, scale, data.draw(st.sampled_from((0.0, 0.3)))
    )
    given_ = list(array) if form == "list" else array
    features = data.draw(feature_configs(3))
    settings = {"skip_frames": 1, "hoa_window": 3, "views": 1, "num_workers": 0}
    embedder = BAMSEmbedder(
        epochs=1, sequence_length=20, batch_size=4, features=features, settings=settings, device="cpu"
    )
    found = outcome(lambda: embedder.fit(given_), refused=True if frames < 5 else None)
    if isinstance(found, Refusal):
        return
    tracks = outcome(lambda: embedder.transform(given_), refused=False)
    each = individuals
    assert len(tracks) == 2 * each
    for track in tracks:
        assert all(np.isfinite(emb).all() and emb.dtype == np.float32 for emb in track.embs.values())
    again = BAMSEmbedder.load(embedder.save(tmp_path / "model.pt"), device="cpu").transform(given_)
    turned = embedder.transform(given_[::-1])
    for i, track in enumerate(tracks):
        other = turned[(1 - i // each) * each + i % each]
        for name in track.embs:
            same(again[i][name], track[name])
            same(other[name], track[name])


@share_of_examples(0.5)
@given(
    st.sampled_from(
        (
            None,
            [],
            3,
            "text",
            [np.zeros((4,))],
            np.zeros((0, 4, 3, 2)),
            [np.zeros((1, 1, 4, 3, 2))],
            [np.zeros((9, 3, 2)), np.zeros((9, 2, 2))],
        )
    )
)
def test_recordings_that_cannot_be_fitted(given_):
    outcome(lambda: BAMSEmbedder(epochs=1).fit(given_), refused=True)


def test_a_network_can_be_made_with_the_default_features():
    made = KeypointsDataset(numbers((1, 9, 2, 2), 0), config=FeatureConfig())
    assert make_checkpoint(made).model.config["input_size"] == made.input_size
