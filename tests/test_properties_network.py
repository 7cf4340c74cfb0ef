"""Losses and the network: finite and of the documented axes, whatever the size of the batch, or refused."""

import numpy as np
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from strategies import (
    ENCODERS,
    ROUNDING,
    Refusal,
    any_numbers,
    layouts,
    make_model,
    names,
    outcome,
    seeds,
)

from bams import BAMS, MLP, HoALoss, TemporalConvNet, bootstrap_loss, earth_mover_distance, histogram_of_actions
from bams.losses import marginal_loss, sample_kept_parts, sample_views, total_weight

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


@given(seeds(), st.integers(0, 6), st.integers(1, 5), st.sampled_from((1e-30, 1e-3, 1.0, 1e3, 1e30)), st.booleans())
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
            kind in ("near", "far", "none") and hidden in ((-1, 2), (5, 2)) and options in ({}, {"num_channels": (2,)})
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
