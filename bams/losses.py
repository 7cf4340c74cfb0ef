"""The losses: the histogram of the actions to come, and the bootstrap between two views of a track.

`docs/method.md` has the equations, in the same order. Axes: M predicted frames, P pairs of views.
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
    """The target h: how often each action is in each bin in the `window` frames after a frame, t+1 ... t+W.

    `actions` are (B, T, D) uint8 bins, `valid` is (B, T, D) bool, and `frames` are the t, (M,) int64; all T unless
    given. Returns h (B, M, D, Q) float32, which sums to 1, or is 0 where nothing was observed; and its weight w
    (B, M, D) float32, the share of the W frames that exist and are valid.
    """
    batch, total, size = actions.shape
    frames = torch.arange(total, device=actions.device) if frames is None else frames
    last = torch.clamp(frames + window, max=total - 1)
    # With running counts over time, the counts in a window are one subtraction, whatever its length. The counts of
    # several bins are digits of one number: they may overflow into each other, and their difference is still right.
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
    """The distance l of two histograms (..., Q): the squared difference of their cumulative sums, mean over bins."""
    return torch.cumsum(predicted - target, dim=-1).square().mean(-1)


class HoASums(NamedTuple):
    """Per action feature (D,): the sum of w * l over tracks and frames, and the sum of w."""

    distance: Tensor
    weight: Tensor


class HoAScores(NamedTuple):
    """Scalars: the loss to minimise, the weighted mean of l, and the skill."""

    loss: Tensor
    distance: Tensor
    skill: Tensor


@dataclass(frozen=True)
class HoALoss:
    """Loss of the action predictor."""

    bins: int
    window: int
    skip_frames: int  #: the first frames of a track, where the encoders lack context, have no weight
    marginal: Tensor  #: (D,) float32, the marginal loss m of each action feature, see `marginal_loss`
    normalised: bool = True  #: minimise the weighted mean of l / m; else of l, as the paper does

    def predicted_frames(self, total: int, share: float, generator: torch.Generator | None = None) -> Tensor:
        """A random `share` of the frames that have a weight: (M,) int64, sorted, on the CPU."""
        count = max(total - 1 - self.skip_frames, 0)
        chosen = torch.randperm(count, generator=generator)[: max(round(share * count), min(count, 1))]
        return self.skip_frames + chosen.sort().values

    def sums(self, logits: Tensor, actions: Tensor, valid: Tensor, frames: Tensor) -> HoASums:
        """The sums over one batch, from logits (B, M, D*Q) at `frames`, which `predicted_frames` drew."""
        batch, total, size = actions.shape
        target, weight = histogram_of_actions(actions, valid, bins=self.bins, window=self.window, frames=frames)
        predicted = F.softmax(logits.float().view(batch, len(frames), size, self.bins), dim=-1)
        share = len(frames) / max(total - 1 - self.skip_frames, 1)
        # the division makes the sum over a share of the frames an unbiased estimate of the sum over all
        distance = (weight * earth_mover_distance(predicted, target)).sum((0, 1)) / max(share, 1e-9)
        return HoASums(distance, total_weight(valid, self.window, self.skip_frames))

    def scores(self, sums: HoASums) -> HoAScores:
        """The ratios of sums over one or more batches; 0 where nothing was observed."""
        learnable = self.marginal > LEAST_MARGINAL_LOSS
        known = torch.where(learnable, sums.weight, 0).sum()
        relative = torch.where(learnable, sums.distance / self.marginal.clamp(min=LEAST_MARGINAL_LOSS), 0)
        relative = relative.sum() / known.clamp(min=1e-9)
        distance = sums.distance.sum() / sums.weight.sum().clamp(min=1e-9)
        skill = torch.where(known > 0, 1 - relative, 0)  # where nothing can be learnt, the skill is 0, not 1
        return HoAScores(relative if self.normalised else distance, distance, skill)


def total_weight(valid: Tensor, window: int, skip_frames: int) -> Tensor:
    """The sum of the weights w over all tracks, and all frames from `skip_frames` on: (D,) float32."""
    frame = torch.arange(valid.shape[1], device=valid.device)  # in the windows of the W frames before it
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
    """The marginal loss m: the weighted mean of l if the histogram of all recordings is predicted everywhere.

    `counts` (D, Q) are valid frames in each bin over the whole data set; `batches` are `actions` and `valid` of some
    tracks, of which at most `most_frames` frames are taken, evenly spaced. Returns (D,) float32; 0 for a feature that
    is always in one bin or never observed.
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


def sample_kept_parts(tracks: int, encoders: int, share: float, generator: torch.Generator | None = None) -> Tensor:
    """Which parts of its input the action predictor sees, so that each encoder learns to predict by itself.

    Returns (tracks, encoders + 1) float32, 1 = seen; the last part is the input features. Each part is hidden with
    probability `share`, but at least one embedding stays.
    """
    keep = (torch.rand(tracks, encoders + 1, generator=generator) >= share).float()
    spared = torch.randint(encoders, (tracks,), generator=generator)
    none_left = keep[:, :encoders].sum(1) == 0
    keep[none_left, spared[none_left]] = 1
    return keep


def sample_views(admissible: Tensor, back: int, ahead: int, draws: Tensor) -> tuple[Tensor, ...]:
    """Draw pairs of admissible frames of a track: track, first and second (P,) int64, and whether usable (P,) bool.

    `admissible` is (B, T) bool; pairs of a track without an admissible frame are not usable. The second frame is at
    most `back` before or `ahead` after the first. `draws` (2, B, pairs) are uniform from 0 to below 1.
    """
    batch, total = admissible.shape
    rank = F.pad(torch.cumsum(admissible, dim=1), (1, 0))  # admissible frames before each frame, and in all
    first = _nth_admissible(rank, rank[:, :1], rank[:, -1:], draws[0])
    low = torch.gather(rank, 1, (first - back).clamp(0, total))
    high = torch.gather(rank, 1, (first + ahead + 1).clamp(0, total))
    second = _nth_admissible(rank, low, high, draws[1])
    track = torch.arange(batch, device=admissible.device).unsqueeze(1)
    return tuple(part.expand_as(first).flatten() for part in (track, first, second, rank[:, -1:] > 0))


def _nth_admissible(rank: Tensor, low: Tensor, high: Tensor, draw: Tensor) -> Tensor:
    """The n-th admissible frame of each track, with n drawn from low to below high."""
    chosen = low + torch.minimum((draw * (high - low)).long(), (high - low - 1).clamp(min=0))
    found = torch.searchsorted(rank[:, 1:].contiguous(), (chosen + 1).contiguous())
    return found.clamp(max=rank.shape[1] - 2)


def bootstrap_loss(predicted: Tensor, target: Tensor, usable: Tensor, pairs: Tensor | None = None) -> Tensor:
    """1 - cosine of the predictor's outputs g(z) (P, C) and the targets z' (P, C), which get no gradient.

    Summed over the pairs that are `usable`, (P,) bool, and divided by `pairs`, their number unless given.
    """
    distance = 1 - F.cosine_similarity(predicted.float(), target.detach().float(), dim=-1)
    pairs = usable.sum() if pairs is None else pairs
    return torch.where(usable, distance, 0).sum() / pairs.clamp(min=1)
