"""Embeddings of any keypoints: finite, and the same in blocks, frame by frame, from a file and in any order."""

from unittest.mock import patch

import numpy as np
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

from bams import BAMSEmbedder, KeypointsDataset, StreamingEncoder, checkpoint, compute_representations, pool_individuals
from bams.embed import offline


@share_of_examples(0.5)
@given(st.data(), st.integers(1, 3), st.sampled_from((2, 30)), st.sampled_from((1, 3, 7)), st.sampled_from((1, 7, 64)))
def test_blocks_and_single_frames_give_the_embeddings_of_the_whole(data, count, frames, points, block):
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
        for row, present in zip(whole[name], made.present, strict=True):
            there = np.pad(present, (0, len(row) - len(present)))
            assert np.isfinite(row[there]).all() and np.isnan(row[~there]).all()
    with patch.object(offline, "BLOCK", block):
        parts = outcome(lambda: compute_representations(trained.model, made), refused=False)
    encoder = outcome(lambda: StreamingEncoder(trained), refused=False)
    online = [outcome(lambda t=t: encoder.embed(keypoints[:, t]), refused=False) for t in range(int(max(made.lengths)))]
    for name, emb in whole.items():
        np.testing.assert_allclose(parts[name], emb, rtol=0, atol=ROUNDING)
        together, there = np.stack([embs[name] for embs in online], axis=1), np.isfinite(emb)
        np.testing.assert_allclose(together[there], emb[there], rtol=0, atol=ROUNDING)


@given(st.data(), st.integers(1, 4), st.integers(1, 9), st.integers(1, 3), layouts())
def test_pooled_individuals_have_no_order(data, individuals: int, frames: int, channels: int, lay_out):
    embs = np.nan_to_num(data.draw(any_numbers((individuals, frames, channels))))
    share = data.draw(st.sampled_from((0.0, 0.5, 1.0)))
    present = np.random.default_rng(data.draw(seeds())).random((individuals, frames)) < share
    embs[~present] = data.draw(st.sampled_from((0.0, np.nan)))
    found = outcome(lambda: pool_individuals(lay_out(embs), present), refused=False)
    assert found.shape == (frames, 2 * channels) and found.dtype == np.float32
    there, rounding = present.any(axis=0), 1e-6 * np.abs(np.nan_to_num(embs)).max(initial=0)
    assert np.isfinite(found[there]).all() and np.isnan(found[~there]).all()
    order = data.draw(st.permutations(range(individuals)))
    np.testing.assert_allclose(pool_individuals(embs[order], present[order]), found, rtol=0, atol=rounding)
    for t in np.flatnonzero(there):
        some = embs[present[:, t], t].astype(float)
        expected = np.concatenate([some.mean(axis=0), some.max(axis=0) - some.min(axis=0)])
        np.testing.assert_allclose(found[t], expected, rtol=1e-6, atol=rounding)


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
    for name, part in vars(trained.statistics).items():
        same(getattr(loaded.statistics, name), part)
    one, other = (compute_representations(each.model, made) for each in (trained, loaded))
    for name in one:
        same(other[name], one[name])


@share_of_examples(0.05)
@given(st.data(), st.sampled_from((1, 2)), st.sampled_from((5, 40)), st.sampled_from((1e-30, 1.0, 1e30)))
def test_fit_and_transform_do_not_depend_on_the_order_of_recordings(tmp_path, data, individuals, frames, scale):
    kind, gaps = data.draw(st.sampled_from(("walk", "noise", "constant"))), data.draw(st.sampled_from((0.0, 0.3)))
    array = numbers((2, individuals, frames, 3, 2), data.draw(seeds()), kind, scale, gaps)
    settings = {"skip_frames": 1, "hoa_window": 3, "views": 1, "num_workers": 0}
    options = {"features": data.draw(feature_configs(3)), "settings": settings, "device": "cpu"}
    embedder = BAMSEmbedder(epochs=1, sequence_length=20, batch_size=4, **options)
    if isinstance(outcome(lambda: embedder.fit(array)), Refusal):
        return
    tracks = outcome(lambda: embedder.transform(array), refused=False)
    assert len(tracks) == 2 * individuals
    again = BAMSEmbedder.load(embedder.save(tmp_path / "model.pt"), device="cpu").transform(array)
    turned = embedder.transform(array[::-1])
    for i, track in enumerate(tracks):
        other = turned[(1 - i // individuals) * individuals + i % individuals]
        for name, emb in track.embs.items():
            assert np.isfinite(emb).all() and emb.dtype == np.float32
            same(again[i][name], emb)
            same(other[name], emb)
