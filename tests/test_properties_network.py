"""From features to losses and embeddings: finite and of the documented axes, or refused.

The invariances: size of batches and blocks, order of recordings and individuals, frame by frame or whole, in a
file and back.
"""

from dataclasses import asdict
from unittest.mock import patch

import numpy as np
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from strategies import (
    Refusal,
    any_numbers,
    feature_configs,
    layouts,
    names,
    numbers,
    outcome,
    same,
    seeds,
    share_of_examples,
)

from bams import (
    BAMS,
    MLP,
    BAMSEmbedder,
    FeatureConfig,
    HoALoss,
    KeypointsDataset,
    StreamingEncoder,
    TemporalConvNet,
    bootstrap_loss,
    checkpoint,
    compute_representations,
    earth_mover_distance,
    histogram_of_actions,
    pool_individuals,
    represent,
)
from bams.checkpoint import CUSTOM, Checkpoint
from bams.losses import marginal_loss, sample_kept_parts, sample_views, total_weight

ENCODERS = {
    "short_term": {"num_channels": (4, 3)},
    "long_term": {"num_channels": (4, 2), "dilation": 4},
}
ROUNDING = 2e-6  # of float32 sums of embeddings, which are of the order of 1


def make_model(size: int, actions: int = 2, seed: int = 0) -> BAMS:
    torch.manual_seed(seed)
    return BAMS(size, predictor={"hidden_layers": (-1, 4, actions)}, **ENCODERS).eval()


def make_checkpoint(dataset: KeypointsDataset, seed: int = 0) -> Checkpoint:
    """A network with random weights for the features of a data set."""
    model, statistics = make_model(dataset.input_size, seed=seed), dataset.statistics
    model.scale.set(torch.from_numpy(statistics.centre), torch.from_numpy(statistics.scale))
    marginal = np.ones(dataset.target_size, np.float32)
    return Checkpoint(model, CUSTOM, statistics, marginal, dataset.feature_names, asdict(dataset.config))


# --- losses ---


@given(
    *(
        seeds(),
        st.integers(1, 3),
        st.sampled_from((1, 2, 40)),
        st.integers(1, 3),
        st.sampled_from((2, 7, 8, 9, 256)),
    ),
    *(st.sampled_from((1, 5, 300)), st.sampled_from((0.0, 0.5, 1.0)), st.booleans()),
)
def test_histograms(seed, batch, total, size, bins, window, share, some):
    rng = np.random.default_rng(seed)
    actions = torch.from_numpy(rng.integers(0, bins, (batch, total, size)).astype(np.uint8))
    valid = torch.from_numpy(rng.random((batch, total, size)) < share)
    frames = torch.from_numpy(np.sort(rng.choice(total, (total + 1) // 2, replace=False))) if some else None
    histogram, weight = outcome(
        lambda: histogram_of_actions(actions, valid, bins=bins, window=window, frames=frames), refused=False
    )
    assert histogram.dtype == weight.dtype == torch.float32
    chosen = torch.arange(total) if frames is None else frames
    assert histogram.shape == (batch, len(chosen), size, bins)
    for m, t in enumerate(chosen.tolist()):  # the slow, plain version
        ahead = slice(t + 1, t + 1 + window)
        one_hot = torch.nn.functional.one_hot(actions[:, ahead].long(), bins) * valid[:, ahead, :, None]
        counts = one_hot.sum(1)
        expected = counts / counts.sum(-1, keepdim=True).clamp(min=1)
        torch.testing.assert_close(histogram[:, m], expected, rtol=1e-6, atol=0)
        torch.testing.assert_close(weight[:, m], counts.sum(-1) / window, rtol=1e-6, atol=0)
    moved = outcome(lambda: earth_mover_distance(histogram, histogram.roll(1, -1)), refused=False)
    assert ((moved >= 0) & (moved < 1)).all()
    assert not earth_mover_distance(histogram, histogram).any()


@given(
    *(seeds(), st.integers(1, 3), st.sampled_from((1, 2, 30)), st.integers(1, 3), st.sampled_from((0, 5, 100))),
    *(st.sampled_from((0.0, 0.5, 1.0)), st.booleans(), st.sampled_from((1.0, 1e30)), st.sampled_from((0.01, 1.0))),
)
def test_loss_of_the_action_predictor(seed, batch, total, size, skip, share, normalised, scale, part):
    rng, bins, window = np.random.default_rng(seed), 4, 3
    actions = torch.from_numpy(rng.integers(0, bins, (batch, total, size)).astype(np.uint8))
    valid = torch.from_numpy(rng.random((batch, total, size)) < share)
    counts = torch.from_numpy(rng.integers(0, 9, (size, bins)))
    marginal = outcome(
        lambda: marginal_loss(counts, [(actions, valid)], window=window, skip_frames=skip), refused=False
    )
    assert torch.isfinite(marginal).all() and (marginal >= 0).all()
    loss = HoALoss(bins, window, skip, marginal, normalised)
    frames = loss.predicted_frames(total, part)
    assert ((frames >= min(skip, total)) & (frames < total)).all()
    logits = torch.from_numpy(rng.normal(size=(batch, len(frames), size * bins)) * scale).float().requires_grad_()
    sums = outcome(lambda: loss.sums(logits, actions, valid, frames), refused=False)
    torch.testing.assert_close(sums.weight, total_weight(valid, window, skip))
    scores = loss.scores(sums)
    assert all(torch.isfinite(score) for score in scores) and scores.loss >= 0 and scores.skill <= 1
    scores.loss.backward()
    assert torch.isfinite(logits.grad).all()


@given(
    seeds(), st.integers(0, 6), st.integers(1, 5), st.sampled_from((1e-30, 1e-3, 1.0, 1e3, 1e30)), st.booleans()
)
def test_bootstrap_loss(seed: int, pairs: int, channels: int, scale: float, any_usable: bool):
    rng = np.random.default_rng(seed)
    one = torch.from_numpy(rng.normal(size=(pairs, channels)) * scale).float().requires_grad_()
    other = torch.from_numpy(rng.normal(size=(pairs, channels))).float()
    usable = torch.from_numpy(rng.random(pairs) < 0.5) & any_usable
    found = outcome(lambda: bootstrap_loss(one, other, usable), refused=False)
    assert 0 <= found <= 2 + 1e-6 and (usable.any() or found == 0)
    found.backward()
    assert torch.isfinite(one.grad).all()
    if 1e-3 <= scale <= 1e3:  # the size of vectors does not matter, only their direction
        torch.testing.assert_close(bootstrap_loss(one * 4, other, usable), found, rtol=1e-5, atol=1e-5)
    alike = bootstrap_loss(other, other, torch.ones(pairs, dtype=bool))
    assert abs(alike) < 1e-6


@given(seeds(), st.integers(1, 4), st.integers(1, 20), st.integers(0, 25), st.sampled_from((0.0, 0.3, 1.0)))
def test_views(seed: int, batch: int, total: int, near: int, share: float):
    generator = torch.Generator().manual_seed(seed)
    admissible = torch.rand(batch, total, generator=generator) < share
    found = outcome(
        lambda: sample_views(admissible, near, near, torch.rand(2, batch, 3, generator=generator)), refused=False
    )
    usable = found.usable
    assert (usable.view(batch, 3).all(1) == admissible.any(1)).all()
    for frames in (found.first, found.second):
        assert admissible[found.track[usable], frames[usable]].all()
    assert ((found.first - found.second).abs()[usable] <= near).all()
    kept = outcome(lambda: sample_kept_parts(batch, 2, min(share, 0.99), generator), refused=False)
    assert kept.shape == (batch, 3) and (kept[:, :2].sum(1) >= 1).all()


# --- the network ---

SIZES = st.sampled_from((1, 2, 3, 0, -1, 2.0, 1.5, np.nan, np.inf, "3", "wide", None, np.int64(2)))


def are_sizes(*sizes: object) -> bool:
    return all(isinstance(size, int | np.integer) and size >= 1 for size in sizes)


@given(SIZES, st.lists(SIZES, max_size=3), SIZES, SIZES, SIZES, st.sampled_from((0.0, 0.5, 1.0, -1.0, np.nan)))
def test_sizes_of_an_encoder(size, channels, kernel_size, dilation, layers, dropout):
    right = are_sizes(size, *channels, kernel_size, dilation, layers) and len(channels) > 0 and 0 <= dropout < 1
    arguments = (size, channels, kernel_size, dilation, layers, dropout)
    found = outcome(lambda: TemporalConvNet(*arguments), refused=not right)
    if not isinstance(found, Refusal):
        assert found(torch.zeros(2, 5, int(size))).shape == (2, 5, channels[-1])


@given(SIZES)
@example(3)
def test_sizes_of_an_encoder_one_by_one(size):
    """(All of them right at once is rare above.)"""
    right = {"input_size": 2, "num_channels": (3, 2), "kernel_size": 3, "dilation": 2, "num_layers_per_block": 1}
    for name in right:
        changed = right | {name: (3, size) if name == "num_channels" else size}
        outcome(lambda changed=changed: TemporalConvNet(**changed), refused=not are_sizes(size))
    outcome(lambda: MLP((2, size)), refused=not are_sizes(size))
    outcome(lambda: MLP((size, 2)), refused=not are_sizes(size))
    for hidden in ((-1, size), (-1, size, 2)):
        outcome(
            lambda hidden=hidden: BAMS(2, predictor={"hidden_layers": hidden}, **ENCODERS),
            refused=not are_sizes(size),
        )
    outcome(lambda: BAMS(size, predictor={"hidden_layers": (-1, 2)}, **ENCODERS), refused=not are_sizes(size))


@given(
    names(),
    st.sampled_from(("near", "far", "none", "", "NEAR", None)),
    st.sampled_from(({}, {"width": 3}, {"num_channels": ()}, {"num_channels": (2,)})),
    st.sampled_from(((-1, 2), (5, 2), (4, 2), (2,), (), None)),
)
def test_encoders_of_any_name(name: str, kind, options: dict, hidden):
    assume(name not in ("input_size", "predictor", "self"))
    predictor = {} if hidden is None else {"hidden_layers": hidden}
    encoder = {"num_channels": (2,), "bootstrap": kind} | options
    found = outcome(lambda: BAMS(3, predictor=predictor, **{name: encoder}))
    if isinstance(found, Refusal):
        plain = name.isidentifier() and name.isascii() and not hasattr(torch.nn.ModuleDict(), name)
        right = (
            kind in ("near", "far", "none")
            and hidden in ((-1, 2), (5, 2))
            and options in ({}, {"num_channels": (2,)})
        )
        assert not (plain and right), found.sentence
        return
    embs, _, byol_preds = found.eval()(torch.zeros(1, 4, 3))
    assert list(embs) == [name] and list(byol_preds) == [name] * (kind != "none")


@given(st.data(), st.integers(1, 3), st.sampled_from((1, 2, 30)), layouts())
def test_the_network_takes_finite_numbers_of_any_size(data, batch: int, frames: int, lay_out):
    array = data.draw(any_numbers((batch, frames, 3)))
    assume(array.dtype == np.float32)
    array = lay_out(array).astype(np.float32)
    model = make_model(3)
    x = (
        torch.from_numpy(array.copy())
        if data.draw(st.booleans())
        else torch.from_numpy(np.ascontiguousarray(array.T)).permute(2, 1, 0)
    )
    model.scale.set(torch.zeros(3), torch.full((3,), 2.0))
    finite = bool(np.isfinite(array).all())
    before = x.clone()
    found = outcome(lambda: model(x), refused=not finite)
    assert torch.equal(x.nan_to_num(), before.nan_to_num())
    if isinstance(found, Refusal):
        return
    for name, size in model.sizes.items():
        assert found.embs[name].shape == found.byol_preds[name].shape == (batch, frames, size)
    assert found.hoa_pred.shape == (batch, frames, 2)
    every = (*found.embs.values(), found.hoa_pred, *found.byol_preds.values())
    assert all(torch.isfinite(part).all() and part.dtype == torch.float32 for part in every)
    alone = [model(row[None]).embs["long_term"] for row in x]  # the size of the batch does not matter
    torch.testing.assert_close(torch.cat(alone), found.embs["long_term"], rtol=0, atol=ROUNDING)
    early = model(x[:, : (frames + 1) // 2]).embs["long_term"]  # nor what comes later
    torch.testing.assert_close(early, found.embs["long_term"][:, : early.shape[1]], rtol=0, atol=ROUNDING)


@given(
    st.sampled_from(((1, 4, 3), (4, 3), (1, 4, 2), (1, 0, 3), (0, 4, 3), (2, 1, 4, 3), ())),
    st.sampled_from((torch.float32, torch.float64, torch.int64, torch.bool, torch.float16)),
)
def test_inputs_of_other_axes_and_types(axes: tuple[int, ...], dtype: torch.dtype):
    right = axes == (1, 4, 3) and dtype == torch.float32
    outcome(lambda: make_model(3)(torch.zeros(axes).to(dtype)), refused=not right)


# --- embeddings ---


@share_of_examples(0.5)
@given(
    st.data(), st.integers(1, 3), st.sampled_from((2, 30)), st.sampled_from((1, 3, 7)), st.sampled_from((1, 7, 64))
)
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
    with patch.object(represent, "BLOCK", block):
        parts = outcome(lambda: compute_representations(trained.model, made), refused=False)
    assert trained.model.training is False
    encoder = outcome(lambda: StreamingEncoder(trained), refused=False)
    online = [
        outcome(lambda t=t: encoder.embed(keypoints[:, t]), refused=False) for t in range(int(max(made.lengths)))
    ]
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
    each = 1 if features.tracks == "joint" else individuals
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
