"""What is learnt: the histogram of actions to come, and the bootstrap between two views of a track.

Pure functions of tensors, on any device. Axes: B tracks, T frames, M frames that are predicted, D action
features, Q bins, P pairs of views, C channels. `valid` is True where an action was observed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST_MARGINAL_LOSS = 1e-7  # below: the action is always in one bin, and there is nothing to learn


def histogram_of_actions(
    actions: Tensor, valid: Tensor, *, bins: int, window: int, frames: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The distribution over bins of each action in the `window` frames after each frame (Azabou et al. 2023).

    Args:
        actions: (B, T, D) uint8, bins.
        valid: (B, T, D) bool.
        bins: Q.
        window: W, in frames: t+1 ... t+W count, as far as they exist.
        frames: (M,) int64, the frames t that are asked for; all T unless given.

    Returns:
        histogram (B, M, D, Q) float32, sums to 1, or is 0 where nothing was observed; and weight (B, M, D)
        float32, the share of the W frames that exist and are valid.
    """
    batch, total, size = actions.shape
    frames = torch.arange(total, device=actions.device) if frames is None else frames
    last = torch.clamp(frames + window, max=total - 1)
    # A running count over time makes every window one subtraction, whatever its length. The counts of several bins
    # are digits of one number; they may overflow into each other, and the difference is right all the same.
    digit = torch.uint8 if window < 2**8 else torch.int16 if window < 2**15 else torch.int32
    each = 8 // digit.itemsize
    by_time = actions.transpose(1, 2).contiguous()
    one = valid.transpose(1, 2).long() << (by_time % each).long() * (64 // each)
    packed = torch.empty(batch, len(frames), size, -(-bins // each), dtype=torch.int64, device=actions.device)
    for word in range(packed.shape[-1]):
        running = torch.cumsum(one * (by_time // each == word), dim=2)
        packed[..., word] = (running[..., last] - running[..., frames]).transpose(1, 2)
    counts = packed.view(digit)[..., :bins].float()
    total_count = counts.sum(-1)
    return counts / total_count.clamp(min=1).unsqueeze(-1), total_count / window


def earth_mover_distance(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean over bins of the squared difference of two cumulative distributions.

    Args:
        predicted, target: (..., Q) float, histograms over ordered bins.

    Returns:
        (...) float, from 0 (equal) to below 1.
    """
    return torch.cumsum(predicted - target, dim=-1).square().mean(-1)


class HoASums(NamedTuple):
    """Per action feature (D,): the weighted sum of distances over all frames, and the sum of weights."""

    distance: Tensor
    weight: Tensor


class HoAScores(NamedTuple):
    """Scalars: what is minimised, the plain mean distance, and 1 - distance / marginal distance."""

    loss: Tensor
    distance: Tensor
    skill: Tensor


@dataclass(frozen=True)
class HoALoss:
    """Loss of the action predictor.

    Attributes:
        bins: Q.
        window: W, frames.
        skip_frames: the first frames of a track, without context, do not count.
        marginal: (D,) float32, the marginal loss of each action feature (see `marginal_loss`).
        normalised: minimise each feature's distance divided by its marginal loss, instead of the plain mean.
    """

    bins: int
    window: int
    skip_frames: int
    marginal: Tensor
    normalised: bool = True

    def predicted_frames(self, total: int, share: float, generator: torch.Generator | None = None) -> Tensor:
        """A random `share` of the frames that can count, of `total`: (M,) int64, sorted, on the CPU."""
        count = max(total - 1 - self.skip_frames, 0)
        chosen = torch.randperm(count, generator=generator)[: max(round(share * count), min(count, 1))]
        return self.skip_frames + chosen.sort().values

    def sums(self, logits: Tensor, actions: Tensor, valid: Tensor, frames: Tensor) -> HoASums:
        """Distances and weights of one batch, summed; estimated without bias from the predicted frames.

        Args:
            logits: (B, M, D*Q) float32, at `frames`.
            actions: (B, T, D) uint8.
            valid: (B, T, D) bool.
            frames: (M,) int64, drawn by `predicted_frames`.
        """
        batch, total, size = actions.shape
        target, weight = histogram_of_actions(actions, valid, bins=self.bins, window=self.window, frames=frames)
        predicted = F.softmax(logits.float().view(batch, len(frames), size, self.bins), dim=-1)
        share = len(frames) / max(total - 1 - self.skip_frames, 1)
        distance = (weight * earth_mover_distance(predicted, target)).sum((0, 1)) / max(share, 1e-9)
        return HoASums(distance, total_weight(valid, self.window, self.skip_frames))

    def scores(self, sums: HoASums) -> HoAScores:
        """The ratios, from sums over one or more batches; 0 where nothing was observed."""
        learnable = self.marginal > LEAST_MARGINAL_LOSS
        known = torch.where(learnable, sums.weight, 0).sum()
        relative = torch.where(learnable, sums.distance / self.marginal.clamp(min=LEAST_MARGINAL_LOSS), 0)
        relative = relative.sum() / known.clamp(min=1e-9)
        distance = sums.distance.sum() / sums.weight.sum().clamp(min=1e-9)
        skill = torch.where(known > 0, 1 - relative, 0)  # nothing to learn is not perfect
        return HoAScores(relative if self.normalised else distance, distance, skill)


def total_weight(valid: Tensor, window: int, skip_frames: int) -> Tensor:
    """The histograms' weights summed over all tracks and frames from `skip_frames` on: (D,) float32.

    Frame s lies in the windows of s-W ... s-1; those from `skip_frames` on count.
    """
    _, total, _ = valid.shape
    frame = torch.arange(total, device=valid.device)
    windows = torch.clamp(frame - torch.clamp(frame - window, min=skip_frames), min=0)
    return (valid.sum(0) * windows.unsqueeze(-1)).sum(0) / window


def marginal_loss(
    counts: Tensor,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    window: int,
    skip_frames: int,
    most_frames: int | None = None,
) -> Tensor:
    """The distance that the data-wide histogram reaches as a prediction, per action feature.

    Args:
        counts: (D, Q), valid frames in each bin over the whole data set.
        batches: actions (B, T, D) uint8 and valid (B, T, D) bool of some tracks.
        window, skip_frames: those of the loss.
        most_frames: of a batch with more, in all its tracks, each n-th frame is taken, so that no more are.

    Returns:
        (D,) float32; 0 for a feature that is always in one bin or never observed.
    """
    size, bins = counts.shape
    marginal = counts / counts.sum(-1, keepdim=True).clamp(min=1)
    distance, weight = torch.zeros(size), torch.zeros(size)
    for actions, valid in batches:
        tracks, total, _ = actions.shape
        every = max(1, -(-tracks * total // most_frames)) if most_frames else 1
        frames = torch.arange(min(skip_frames, total), total, every)
        target, weights = histogram_of_actions(actions, valid, bins=bins, window=window, frames=frames)
        distance += (weights * earth_mover_distance(marginal.float(), target)).sum((0, 1))
        weight += weights.sum((0, 1))
    return distance / weight.clamp(min=1e-9)


class Views(NamedTuple):
    """Pairs of frames (P,): `track`, `first` and `second` int64, and bool whether the pair is `usable`."""

    track: Tensor
    first: Tensor
    second: Tensor
    usable: Tensor


def sample_views(admissible: Tensor, back: int, ahead: int, draws: Tensor) -> Views:
    """Pairs of frames of the same track.

    Args:
        admissible: (B, T) bool, frames that may be drawn.
        back, ahead: frames that the second frame may lie before or after the first; all in this range that are
            admissible are equally likely.
        draws: (2, B, pairs) float from 0 to below 1, uniform: of the first and the second frames.

    Returns:
        as many pairs for each track; those of a track without an admissible frame are not usable.
    """
    batch, total = admissible.shape
    _, _, pairs = draws.shape
    rank = F.pad(torch.cumsum(admissible, dim=1), (1, 0))  # admissible frames before each, and in all
    first = _nth_admissible(rank, rank[:, :1], rank[:, -1:], draws[0])
    low = torch.gather(rank, 1, (first - back).clamp(0, total))
    high = torch.gather(rank, 1, (first + ahead + 1).clamp(0, total))
    second = _nth_admissible(rank, low, high, draws[1])
    track = torch.arange(batch, device=admissible.device).unsqueeze(1).expand(-1, pairs)
    usable = (rank[:, -1:] > 0).expand(-1, pairs)
    return Views(*(part.flatten() for part in (track, first, second, usable)))


def sample_kept_parts(tracks: int, encoders: int, share: float, generator: torch.Generator | None = None) -> Tensor:
    """Which parts of its input the action predictor sees, so that each encoder learns to do without the others.

    Args:
        tracks: B.
        encoders: number of embeddings.
        share: probability of hiding a part; at least one embedding stays.

    Returns:
        (B, encoders + 1) float32, 1 = seen; the last part is the input of the frame.
    """
    keep = (torch.rand(tracks, encoders + 1, generator=generator) >= share).float()
    spared = torch.randint(encoders, (tracks,), generator=generator)
    none_left = keep[:, :encoders].sum(1) == 0
    keep[none_left, spared[none_left]] = 1
    return keep


def bootstrap_loss(predicted: Tensor, target: Tensor, usable: Tensor, pairs: Tensor | None = None) -> Tensor:
    """1 - cosine of view 1 through its predictor and view 2 with stop-gradient, the mean over usable pairs.

    Args:
        predicted, target: (P, C).
        usable: (P,) bool.
        pairs: scalar int64, what the sum is divided by; the number of usable pairs unless given.

    Returns:
        scalar; 0 without usable pairs.
    """
    distance = 1 - F.cosine_similarity(predicted.float(), target.detach().float(), dim=-1)
    pairs = usable.sum() if pairs is None else pairs
    return torch.where(usable, distance, 0).sum() / pairs.clamp(min=1)


def _nth_admissible(rank: Tensor, low: Tensor, high: Tensor, draw: Tensor) -> Tensor:
    """The admissible frame of number low + a uniform draw below high; `rank` (B, T+1) counts those before."""
    chosen = low + torch.minimum((draw * (high - low)).long(), (high - low - 1).clamp(min=0))
    found = torch.searchsorted(rank[:, 1:].contiguous(), (chosen + 1).contiguous())
    return found.clamp(max=rank.shape[1] - 2)
