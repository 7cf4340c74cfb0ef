"""Every loss against a slow, plain version, and every draw against its law."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bams.losses import (
    HoALoss,
    bootstrap_loss,
    earth_mover_distance,
    histogram_of_actions,
    marginal_loss,
    sample_kept_parts,
    sample_views,
    total_weight,
)


def random_batch(seed: int, tracks: int = 3, frames: int = 25, size: int = 2, bins: int = 4, missing: float = 0.3):
    rng = np.random.default_rng(seed)
    actions = torch.from_numpy(rng.integers(0, bins, (tracks, frames, size)).astype(np.uint8))
    valid = torch.from_numpy(rng.random((tracks, frames, size)) >= missing)
    return actions, valid


def slow_histogram(actions, valid, bins: int, window: int, frames) -> tuple[np.ndarray, np.ndarray]:
    """The target by its definition: which bins are seen at t+1 ... t+W, counted one by one."""
    tracks, total, size = actions.shape
    histogram = np.zeros((tracks, len(frames), size, bins))
    weight = np.zeros((tracks, len(frames), size))
    for b, m, d in np.ndindex(weight.shape):
        t = frames[m]
        seen = [int(actions[b, s, d]) for s in range(t + 1, min(t + window + 1, total)) if valid[b, s, d]]
        for q in seen:
            histogram[b, m, d, q] += 1 / len(seen)
        weight[b, m, d] = len(seen) / window
    return histogram, weight


def slow_distance(predicted: np.ndarray, target: np.ndarray) -> float:
    """Of two histograms (Q,)."""
    total = 0.0
    for q in range(len(target)):
        total += (predicted[: q + 1].sum() - target[: q + 1].sum()) ** 2
    return total / len(target)


def slow_sums(predicted, actions, valid, window: int, frames) -> tuple[np.ndarray, np.ndarray]:
    """Weighted distances and weights per action feature; predicted: f(b, t, d) gives a histogram (Q,)."""
    bins = len(predicted(0, 0, 0))
    histogram, weight = slow_histogram(actions, valid, bins, window, frames)
    distance = np.zeros(weight.shape[2])
    for b, m, d in np.ndindex(weight.shape):
        distance[d] += weight[b, m, d] * slow_distance(predicted(b, frames[m], d), histogram[b, m, d])
    return distance, weight.sum((0, 1))


# --- histogram of actions and earth mover's distance ---


def test_histogram_by_hand():
    actions = torch.tensor([[[2], [0], [1], [1], [2]]], dtype=torch.uint8)
    valid = torch.tensor([[[True], [True], [False], [True], [True]]])
    histogram, weight = histogram_of_actions(actions, valid, bins=3, window=3)
    assert histogram[0, :, 0].tolist() == [[0.5, 0.5, 0], [0, 0.5, 0.5], [0, 0.5, 0.5], [0, 0, 1], [0, 0, 0]]
    assert weight[0, :, 0].tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 1 / 3, 0])


def test_histogram_holds_nothing_of_the_present_frame():
    actions, valid = random_batch(1)
    before = histogram_of_actions(actions, valid, bins=4, window=5)
    actions[:, 10] = 3 - actions[:, 10]
    valid[:, 10] = ~valid[:, 10]
    after = histogram_of_actions(actions, valid, bins=4, window=5)
    for old, new in zip(before, after, strict=True):
        assert torch.equal(old[:, 10:], new[:, 10:])
        assert not torch.equal(old[:, 9], new[:, 9])


@pytest.mark.parametrize("window", [254, 255, 256, 32767, 32768, 70_000])
def test_counts_of_bins_do_not_run_over_into_each_other(window):
    """Also where one bin has every frame of a window, of as many frames as its digits just hold."""
    actions, valid = random_batch(3, frames=600, tracks=1, bins=5, missing=0.1)
    actions[:, 100:500, 0] = 2
    valid[:, 100:500] = True
    histogram, weight = histogram_of_actions(actions, valid, bins=5, window=window)
    one_hot = (torch.nn.functional.one_hot(actions.long(), 5) * valid[..., None]).double()
    for t in (0, 99, 100, 243, 244, 245, 350, 598, 599):
        counts = one_hot[:, t + 1 : t + 1 + window].sum(1)
        expected = counts / counts.sum(-1, keepdim=True).clamp(min=1)
        torch.testing.assert_close(histogram[:, t].double(), expected, atol=1e-6, rtol=0)
        torch.testing.assert_close(weight[:, t].double(), counts.sum(-1) / window, atol=1e-6, rtol=0)


@pytest.mark.parametrize("total", [2**15 - 1, 2**15, 70_000])
def test_running_counts_are_wide_enough_for_long_tracks(total):
    actions = torch.zeros(2, total, 1, dtype=torch.uint8)
    actions[0, -2:] = 1
    valid = torch.ones(2, total, 1, dtype=bool)
    frames = torch.tensor([0, total - 10, total - 2])
    histogram, weight = histogram_of_actions(actions, valid, bins=2, window=8, frames=frames)
    assert histogram[0, :, 0].tolist() == [[1, 0], [0.875, 0.125], [0, 1]]
    assert histogram[1, :, 0].tolist() == [[1, 0]] * 3
    assert weight[0, :, 0].tolist() == weight[1, :, 0].tolist() == [1, 1, 0.125]
    whole, share = histogram_of_actions(actions, valid, bins=2, window=total, frames=frames[:1])
    assert whole[0, 0, 0].tolist() == pytest.approx([(total - 3) / (total - 1), 2 / (total - 1)])
    assert whole[1, 0, 0].tolist() == [1, 0]
    assert share.flatten().tolist() == pytest.approx([(total - 1) / total] * 2)


def test_distance_by_hand():
    first, last, middle = torch.eye(3)[[0, 2, 1]]
    even = torch.full((3,), 1 / 3)
    assert float(earth_mover_distance(first, last)) == pytest.approx(2 / 3)
    assert float(earth_mover_distance(first, middle)) == pytest.approx(1 / 3)
    assert float(earth_mover_distance(even, middle)) == pytest.approx((1 / 9 + 1 / 9) / 3)
    assert float(earth_mover_distance(even, even)) == 0


# --- the loss ---


def hoa_loss(skip_frames: int = 5, marginal=(0.05, 0.02), normalised: bool = True) -> HoALoss:
    return HoALoss(4, 6, skip_frames, torch.tensor(marginal), normalised)


def random_logits(frames: int = 25, outputs: int = 8) -> torch.Tensor:
    return torch.randn(3, frames, outputs, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("normalised", [True, False])
def test_loss_equals_the_loop(normalised):
    actions, valid = random_batch(3)
    valid[2] = False
    logits = random_logits()
    hoa = hoa_loss(normalised=normalised)
    frames = hoa.predicted_frames(25, 1.0)
    sums = hoa.sums(logits[:, frames], actions, valid, frames)
    weights = np.exp(logits.double().numpy().reshape(3, 25, 2, 4))
    softmax = weights / weights.sum(-1, keepdims=True)
    distance, weight = slow_sums(lambda b, t, d: softmax[b, t, d], actions, valid, 6, range(5, 25))
    np.testing.assert_allclose(sums.distance.numpy(), distance, rtol=1e-5)
    np.testing.assert_allclose(sums.weight.numpy(), weight, rtol=1e-5)
    scores = hoa.scores(sums)
    plain = distance.sum() / weight.sum()
    relative = (distance / hoa.marginal.double().numpy()).sum() / weight.sum()
    assert float(scores.distance) == pytest.approx(plain, rel=1e-5)
    assert float(scores.skill) == pytest.approx(1 - relative, rel=1e-5)
    assert float(scores.loss) == pytest.approx(relative if normalised else plain, rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000), frames=st.integers(1, 20), window=st.integers(1, 25), skip_frames=st.integers(0, 22)
)
def test_total_weight_equals_the_loop(seed, frames, window, skip_frames):
    _, valid = random_batch(seed, frames=frames)
    _, weight = slow_histogram(torch.zeros(3, frames, 2), valid, 1, window, range(frames))
    found = total_weight(valid, window, skip_frames)
    np.testing.assert_allclose(found.numpy(), weight[:, skip_frames:].sum((0, 1)), atol=1e-5)


@pytest.mark.parametrize("share", [0.1, 0.25])
def test_loss_at_a_share_of_the_frames_is_unbiased(share):
    actions, valid = random_batch(5, frames=40)
    logits, hoa, draws = 2 * random_logits(40), hoa_loss(), torch.Generator().manual_seed(1)

    def scores(share: float) -> tuple[float, float]:
        frames = hoa.predicted_frames(40, share, draws)
        found = hoa.scores(hoa.sums(logits[:, frames], actions, valid, frames))
        return float(found.loss), float(found.distance)

    drawn = np.array([scores(share) for _ in range(1500)])
    for found, expected in zip(drawn.T, scores(1.0), strict=True):
        error = np.std(found) / math.sqrt(len(found))
        assert error < 0.02 * expected, "too few draws to tell a bias"
        assert abs(np.mean(found) - expected) < 4 * error


@pytest.mark.parametrize(
    ("total", "share", "count"), [(45, 0.25, 10), (45, 1.0, 39), (45, 0.001, 1), (7, 0.5, 1), (6, 1.0, 0), (1, 1.0, 0)]
)
def test_predicted_frames_are_a_share_of_those_that_have_context_and_a_future(total, share, count):
    frames = hoa_loss().predicted_frames(total, share, torch.Generator().manual_seed(0))
    assert frames.dtype == torch.int64 and len(frames) == count
    assert frames.tolist() == sorted(set(frames.tolist()))
    assert all(5 <= frame <= total - 2 for frame in frames.tolist())


def test_every_frame_is_predicted_equally_often():
    draws, rounds, hoa = torch.Generator().manual_seed(0), 3000, hoa_loss()
    times = np.zeros(26)
    for _ in range(rounds):
        times[hoa.predicted_frames(26, 0.25, draws).numpy()] += 1
    expected = rounds * 5 / 20
    assert not times[:5].any() and times[25] == 0
    assert np.abs(times[5:25] - expected).max() < 4.5 * math.sqrt(expected * 0.75)


def test_features_of_one_bin_and_never_seen_features_are_left_out():
    actions, valid = random_batch(7, size=3)
    actions[..., 1] = 2
    valid[..., 2] = False
    counts = torch.tensor([[7, 7, 7, 7], [0, 0, 28, 0], [0, 0, 0, 0]])
    marginal = marginal_loss(counts, [(actions, valid)], window=6, skip_frames=5)
    assert marginal[0] > 0 and marginal[1:].tolist() == [0, 0]
    logits = random_logits(19, 12).requires_grad_()
    hoa, alone = hoa_loss(marginal=(0.05, 0.0, 0.0)), hoa_loss(marginal=(0.05,))
    frames = hoa.predicted_frames(25, 1.0)
    scores = hoa.scores(hoa.sums(logits, actions, valid, frames))
    expected = alone.scores(alone.sums(logits[..., :4], actions[..., :1], valid[..., :1], frames))
    torch.testing.assert_close(scores.loss, expected.loss)
    torch.testing.assert_close(scores.skill, expected.skill)
    scores.loss.backward()
    assert torch.isfinite(logits.grad).all() and logits.grad[..., :4].any() and not logits.grad[..., 4:].any()


@pytest.mark.parametrize(
    ("missing", "marginal", "normalised"),
    [(1.0, (0.05, 0.02), True), (1.0, (0.05, 0.02), False), (0.3, (0.0, 0.0), True)],
)
def test_where_nothing_was_observed_or_can_be_learnt_loss_and_skill_are_0(missing, marginal, normalised):
    """The skill must not look perfect."""
    hoa = hoa_loss(marginal=marginal, normalised=normalised)
    frames = hoa.predicted_frames(25, 1.0)
    scores = hoa.scores(hoa.sums(random_logits(19), *random_batch(8, missing=missing), frames))
    assert float(scores.loss) == float(scores.skill) == 0
    assert float(scores.distance) == 0 or missing < 1


def test_a_track_shorter_than_the_skipped_frames_gives_a_loss_of_0_with_a_gradient():
    hoa = hoa_loss(skip_frames=30)
    logits = torch.zeros(3, 0, 8, requires_grad=True)
    scores = hoa.scores(hoa.sums(logits, *random_batch(9), hoa.predicted_frames(25, 0.5)))
    scores.loss.backward()
    assert float(scores.loss.detach()) == 0 and logits.grad.shape == logits.shape


# --- marginal loss and skill ---


def dataset_counts(batches, bins: int = 4) -> torch.Tensor:
    """(D, Q): how often each bin is seen."""
    counted = [torch.nn.functional.one_hot(actions.long(), bins) * valid[..., None] for actions, valid in batches]
    return sum(one.sum((0, 1)) for one in counted)


@pytest.mark.parametrize(("most_frames", "every"), [(None, 1), (75, 1), (40, 2), (25, 3), (9, 9)])
def test_marginal_loss_equals_the_loop(most_frames, every):
    """Also at each n-th frame, of a batch of 3 tracks of 25 frames."""
    batches = [random_batch(11)]
    batches += [random_batch(12, tracks=2, frames=14)] if every == 1 else []
    counts = dataset_counts(batches)
    marginal = (counts / counts.sum(1, keepdim=True)).numpy()
    sums = [
        slow_sums(lambda b, t, d: marginal[d], actions, valid, 6, range(5, actions.shape[1], every))
        for actions, valid in batches
    ]
    distance, weight = np.sum(sums, axis=0)
    found = marginal_loss(counts, batches, window=6, skip_frames=5, most_frames=most_frames)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), distance / weight, rtol=1e-5)


def test_skill_is_0_for_the_data_wide_histogram_and_1_for_the_perfect_prediction():
    batch = random_batch(13)
    counts = dataset_counts([batch])
    hoa = HoALoss(4, 6, 5, marginal_loss(counts, [batch], window=6, skip_frames=5))
    frames = hoa.predicted_frames(25, 1.0)

    def skill(probabilities: torch.Tensor) -> float:
        logits = torch.log(probabilities.clamp(min=1e-30)).flatten(2)
        return float(hoa.scores(hoa.sums(logits, *batch, frames)).skill)

    data_wide = (counts / counts.sum(-1, keepdim=True)).expand(3, len(frames), 2, 4)
    assert skill(data_wide) == pytest.approx(0, abs=1e-5)
    target, _ = histogram_of_actions(*batch, bins=4, window=6, frames=frames)
    assert skill(target) == pytest.approx(1, abs=1e-5)
    assert 0.4 < skill((target + data_wide) / 2) < 0.9  # a quarter of the squared distance
    assert skill(torch.eye(4)[torch.zeros(3, len(frames), 2, dtype=torch.int64)]) < -0.5


# --- views ---

ADMISSIBLE = torch.tensor(
    [
        [False, False, True, True, False, True, True, True, False, False, True, True],
        [False] * 12,
        [False] * 11 + [True],
        [True] * 12,
    ]
)


def assert_counts_follow(times: np.ndarray, probabilities: np.ndarray) -> None:
    """Within 4.5 standard errors; cells of probability 0 must be empty."""
    draws = times.sum()
    error = np.sqrt(draws * probabilities * (1 - probabilities))
    assert (np.abs(times - draws * probabilities) <= 4.5 * error).all()


@pytest.mark.parametrize(("back", "ahead"), [(0, 5), (2, 3), (12, 12), (0, 0), (100, 0)])
def test_views_follow_their_law(back, ahead):
    """First: any admissible frame. Second: any admissible frame within reach."""
    draws = torch.rand(2, 4, 60_000, generator=torch.Generator().manual_seed(0))
    track, first, second, usable = sample_views(ADMISSIBLE, back, ahead, draws)
    assert track.dtype == first.dtype == second.dtype == torch.int64
    assert torch.bincount(track[usable], minlength=4).tolist() == [60_000, 0, 60_000, 60_000]
    for row in (0, 3):
        admissible = np.flatnonzero(ADMISSIBLE[row])
        law, times = np.zeros((2, 12, 12))
        for t in admissible:
            partners = [s for s in admissible if -back <= s - t <= ahead]
            law[t, partners] = 1 / len(admissible) / len(partners)
        np.add.at(times, (first[track == row].numpy(), second[track == row].numpy()), 1)
        assert times.sum() == 60_000
        assert_counts_follow(times, law)
        assert_counts_follow(times.sum(1), law.sum(1))


# --- bootstrap and hidden parts ---


def test_bootstrap_loss_is_one_minus_the_cosine():
    rng = np.random.default_rng(0)
    predicted, target = rng.standard_normal((2, 7, 5)).astype(np.float32)
    usable = np.array([True, True, False, True, False, True, True])
    found = bootstrap_loss(*map(torch.from_numpy, (predicted, target, usable)))
    rows = zip(predicted[usable], target[usable], strict=True)
    expected = np.mean([1 - p @ t / math.sqrt((p @ p) * (t @ t)) for p, t in rows])
    assert found.shape == () and float(found) == pytest.approx(expected, rel=1e-5)
    x, one = torch.tensor([[3.0, 4.0]]), torch.tensor([True])
    for other, by_hand in ((9 * x, 0), (-x, 2), (torch.tensor([[4.0, -3.0]]), 1), (torch.zeros(1, 2), 1)):
        assert float(bootstrap_loss(x, other, one)) == pytest.approx(by_hand, abs=1e-6)


def test_no_gradient_flows_into_the_target():
    predicted, target = torch.randn(2, 4, 3).unbind()
    predicted, target = predicted.requires_grad_(), target.requires_grad_()
    bootstrap_loss(predicted, target, torch.ones(4, dtype=bool)).backward()
    assert target.grad is None and predicted.grad.abs().sum() > 0


def test_kept_parts_follow_their_law_and_leave_an_embedding():
    share, encoders = 0.4, 2
    keep, again = (sample_kept_parts(20000, encoders, share, torch.Generator().manual_seed(0)) for _ in range(2))
    assert torch.equal(keep, again)
    assert keep.shape == (20000, 3)
    assert set(keep.unique().tolist()) == {0.0, 1.0}
    assert (keep[:, :encoders].sum(1) >= 1).all()
    # hidden: by the draw, and not the one that is spared where both would be
    hidden = share * (1 - share) + share**2 / 2
    expected = torch.tensor([1 - hidden, 1 - hidden, 1 - share])
    torch.testing.assert_close(keep.mean(0), expected, atol=0.015, rtol=0)
    assert (sample_kept_parts(50, 3, 0.0) == 1).all()
