"""Losses and the network on any batch: finite, as their slow plain versions, and independent of what is around."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import ROUNDING, any_numbers, layouts, make_model, outcome, seeds

from bams import HoALoss, bootstrap_loss, earth_mover_distance, histogram_of_actions
from bams.losses import marginal_loss, sample_kept_parts, sample_views, total_weight

BINS = st.sampled_from((2, 7, 8, 9, 256))
SHARES = st.sampled_from((0.0, 0.5, 1.0))


def random_actions(seed: int, axes: tuple[int, int, int], bins: int, share: float) -> tuple[torch.Tensor, ...]:
    """Actions in bins, and the share of them that is valid."""
    rng = np.random.default_rng(seed)
    actions = torch.from_numpy(rng.integers(0, bins, axes).astype(np.uint8))
    return actions, torch.from_numpy(rng.random(axes) < share)


@given(
    *(seeds(), st.integers(1, 3), st.sampled_from((1, 2, 40)), st.integers(1, 3), BINS),
    *(st.sampled_from((1, 5, 300)), SHARES, st.booleans()),
)
def test_histograms_equal_a_slow_plain_version(seed, batch, total, size, bins, window, share, some):
    actions, valid = random_actions(seed, (batch, total, size), bins, share)
    frames = torch.arange(0, total, 2) if some else None
    histogram, weight = outcome(
        lambda: histogram_of_actions(actions, valid, bins=bins, window=window, frames=frames), refused=False
    )
    chosen = torch.arange(total) if frames is None else frames
    assert histogram.shape == (batch, len(chosen), size, bins)
    for m, t in enumerate(chosen.tolist()):
        ahead = slice(t + 1, t + 1 + window)
        one_hot = torch.nn.functional.one_hot(actions[:, ahead].long(), bins) * valid[:, ahead, :, None]
        counts = one_hot.sum(1)
        expected = counts / counts.sum(-1, keepdim=True).clamp(min=1)
        torch.testing.assert_close(histogram[:, m], expected, rtol=1e-6, atol=0)
        torch.testing.assert_close(weight[:, m], counts.sum(-1) / window, rtol=1e-6, atol=0)
    moved = earth_mover_distance(histogram, histogram.roll(1, -1))
    assert ((moved >= 0) & (moved < 1)).all() and not earth_mover_distance(histogram, histogram).any()


@given(
    *(seeds(), st.integers(1, 3), st.sampled_from((1, 2, 30)), st.integers(1, 3), st.sampled_from((0, 5, 100))),
    *(SHARES, st.booleans(), st.sampled_from((1.0, 1e30)), st.sampled_from((0.01, 1.0))),
)
def test_loss_of_the_action_predictor_is_finite(seed, batch, total, size, skip, share, normalised, scale, part):
    bins, window = 4, 3
    actions, valid = random_actions(seed, (batch, total, size), bins, share)
    rng = np.random.default_rng(seed)
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


@given(seeds(), st.integers(0, 6), st.integers(1, 5), st.sampled_from((1e-30, 1e-3, 1.0, 1e3, 1e30)), st.booleans())
def test_bootstrap_loss_depends_on_directions_alone(seed: int, pairs: int, channels: int, scale: float, some: bool):
    rng = np.random.default_rng(seed)
    one = torch.from_numpy(rng.normal(size=(pairs, channels)) * scale).float().requires_grad_()
    other = torch.from_numpy(rng.normal(size=(pairs, channels))).float()
    usable = torch.from_numpy(rng.random(pairs) < 0.5) & some
    found = outcome(lambda: bootstrap_loss(one, other, usable), refused=False)
    assert 0 <= found <= 2 + 1e-6 and (usable.any() or found == 0)
    found.backward()
    assert torch.isfinite(one.grad).all()
    if 1e-3 <= scale <= 1e3:
        torch.testing.assert_close(bootstrap_loss(one * 4, other, usable), found, rtol=1e-5, atol=1e-5)
    assert abs(bootstrap_loss(other, other, torch.ones(pairs, dtype=bool))) < 1e-6


@given(seeds(), st.integers(1, 4), st.integers(1, 20), st.integers(0, 25), st.sampled_from((0.0, 0.3, 1.0)))
def test_views_are_admissible_and_near(seed: int, batch: int, total: int, near: int, share: float):
    generator = torch.Generator().manual_seed(seed)
    admissible = torch.rand(batch, total, generator=generator) < share
    draws = torch.rand(2, batch, 3, generator=generator)
    track, *views, usable = outcome(lambda: sample_views(admissible, near, near, draws), refused=False)
    assert (usable.view(batch, 3).all(1) == admissible.any(1)).all()
    for frames in views:
        assert admissible[track[usable], frames[usable]].all()
    assert ((views[0] - views[1]).abs()[usable] <= near).all()
    kept = outcome(lambda: sample_kept_parts(batch, 2, min(share, 0.99), generator), refused=False)
    assert kept.shape == (batch, 3) and (kept[:, :2].sum(1) >= 1).all()


@given(st.data(), st.integers(1, 3), st.sampled_from((1, 2, 30)), layouts())
def test_the_network_is_causal_and_tracks_are_independent(data, batch: int, frames: int, lay_out):
    x = torch.from_numpy(lay_out(data.draw(any_numbers((batch, frames, 3), gaps=(0.0,)))).astype(np.float32))
    model = make_model(3)
    model.scale.set(torch.zeros(3), torch.full((3,), 2.0))
    found = outcome(lambda: model(x), refused=False)
    for name, size in model.sizes.items():
        assert found.embs[name].shape == found.byol_preds[name].shape == (batch, frames, size)
    every = (*found.embs.values(), found.hoa_pred, *found.byol_preds.values())
    assert all(torch.isfinite(part).all() and part.dtype == torch.float32 for part in every)
    alone = [model(row[None]).embs["long_term"] for row in x]
    torch.testing.assert_close(torch.cat(alone), found.embs["long_term"], rtol=0, atol=ROUNDING)
    early = model(x[:, : (frames + 1) // 2]).embs["long_term"]
    torch.testing.assert_close(early, found.embs["long_term"][:, : early.shape[1]], rtol=0, atol=ROUNDING)
