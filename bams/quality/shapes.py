"""The shape of bodies, of any skeleton, and how one shape differs from another.

Axes: A individuals, T frames, K keypoints, d coordinates, n frames of any animals.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np

from bams.recordings.body_length import median

FAR = 2.0  # times the median distance
STARTS, FEW_FRAMES, ROUNDS = 8, 400, 6  # of the search for the mean shape, which settles in 5 rounds
MUCH_LESS, LESS = 0.25, 0.6  # shares of the squared distances that a mirror image or an exchange may leave
# A body has a left and a right if its mirror image moves at least 2 keypoints by 3 times their spread; else it bends.
SIDED, SPREADS = 2, 3


def align(frames: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Frames (n, K, d) moved, and turned in the plane of the first two coordinates, onto a shape by least squares.

    The result is float64; NaN = not tracked, also in frames without any keypoint of the shape (K, d).
    """
    both = (np.isfinite(frames) & np.isfinite(shape)).all(axis=-1, keepdims=True)
    count = both.sum(axis=1, keepdims=True)
    weight = np.where(count > 0, 1 / np.maximum(count, 1), np.nan)
    here = frames - np.where(both, frames, 0).sum(axis=1, keepdims=True) * weight
    centre = np.where(both, shape, 0).sum(axis=1, keepdims=True) * weight
    if frames.shape[-1] > 1:
        x, y = np.moveaxis(np.where(both, here, 0)[..., :2], -1, 0)
        to_x, to_y = np.moveaxis(np.where(both, shape - centre, 0)[..., :2], -1, 0)
        angle = np.arctan2((x * to_y - y * to_x).sum(axis=1), (x * to_x + y * to_y).sum(axis=1))[:, None]
        cos, sin = np.cos(angle), np.sin(angle)
        x, y = here[..., 0], here[..., 1]
        here[..., :2] = np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
    return here + centre


def mean_shape(frames: np.ndarray) -> np.ndarray:
    """The mean shape of frames by generalised Procrustes analysis, in which outliers have bounded weight.

    Frames (n, K, d), NaN = not tracked, give (K, d) float64 with the keypoints' mean at 0; NaN = never tracked.
    """
    if not len(frames):
        return np.full(frames.shape[1:], np.nan)
    seen = np.isfinite(frames).all(axis=-1).sum(axis=1)
    best = np.flatnonzero(seen == seen.max())
    starts = best[np.linspace(0, len(best) - 1, min(STARTS, len(best))).round().astype(int)]
    some = frames[:: max(1, len(frames) // FEW_FRAMES)]
    found = [_middle(align(some, frames[start]), frames[start]) for start in starts]
    shape = min(found, key=lambda each: _nanmean(median(np.linalg.norm(align(some, each) - each, axis=-1))))
    for _ in range(ROUNDS):
        shape = _middle(align(frames, shape), shape)
    return shape - _nanmean(shape)


def _middle(aligned: np.ndarray, around: np.ndarray) -> np.ndarray:
    """Mean of frames (n, K, d), in which points far from `around` (K, d) have bounded weight."""
    around = np.where(np.isfinite(around), around, median(aligned))
    far = np.linalg.norm(aligned - around, axis=-1)
    limit = FAR * median(far)
    weight = np.where(np.isfinite(far), np.where(far > limit, limit / np.where(far > 0, far, 1), 1), 0)[..., None]
    total = weight.sum(axis=0)
    # not a median, which would switch between the two sides to which tails curl
    found = (np.where(weight > 0, aligned, 0) * weight).sum(axis=0)
    return np.divide(found, total, out=np.full_like(found, np.nan), where=total > 0)


class ShapeChange(NamedTuple):
    """The difference between two body shapes."""

    mirrored: bool
    exchanged: list[list[tuple[int, int]]]  # for each exchange, the pairs of keypoints that explain it equally well
    order: np.ndarray  # (K,) int, maps each keypoint of the shape to that of the other one
    moved: np.ndarray  # (K,) bool, keypoints that are elsewhere
    distance: np.ndarray  # (K,) float, how far, in the unit of the shape
    scale: float  # size relative to the shape, by the keypoints that did not move; NaN = not known


def find_change(
    shape: np.ndarray, other: np.ndarray, tolerance: np.ndarray, spread: np.ndarray | None = None
) -> ShapeChange:
    """The fewest changes that explain the difference between two shapes (K, d) of any size; NaN = not known.

    A mirror image is tried first, then exchanges of keypoints, the best first, then keypoints that are elsewhere. A
    keypoint within its tolerance (K,) has not moved. With the spread (K,) of frames around the shape, a body that bends
    to the other side is not taken for a mirror image.
    """
    kept = np.isfinite(shape).all(axis=-1) & np.isfinite(other).all(axis=-1)
    order, exchanged, mirrored = np.arange(len(shape)), [], False
    now = _misses(shape, other, kept, tolerance)
    if now.max() > 1 and shape.shape[1] > 1:
        flip = np.where(np.arange(shape.shape[1]) == 0, -1, 1)
        after = _misses(shape, other * flip, kept, tolerance)
        # the spread is 0 for a keypoint that was tracked in one frame only
        bend = tolerance if spread is None else np.where(spread > 0, SPREADS * spread, tolerance)
        sided = spread is None or np.sum(_misses(shape, shape * flip, kept, bend) > 1) >= SIDED
        if sided and _cost(after) < MUCH_LESS * _cost(now):
            other, mirrored, now = other * flip, True, after
    while now.max() > 1:
        pairs = _exchanges(shape, other[order], kept, tolerance)
        if not pairs:
            break
        exchanged.append(pairs)
        order = _swapped(order, *pairs[0])
        now = _misses(shape, other[order], kept, tolerance)
    while now[kept].max(initial=0) > 1 and kept.sum() > 3:
        fewer = [kept & (np.arange(len(kept)) != k) for k in np.flatnonzero(kept)]
        kept = min(fewer, key=lambda some: _cost(_misses(shape, other[order], some, tolerance)[some]))
        now = _misses(shape, other[order], kept, tolerance)
    distance, scale = _fit(shape, other[order], kept)
    return ShapeChange(mirrored, exchanged, order, now > 1, distance, scale)


def _exchanges(shape: np.ndarray, other: np.ndarray, kept: np.ndarray, tolerance: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of keypoints whose exchange explains the other shape, or else the pair that brings it nearest."""
    now = _misses(shape, other, kept, tolerance)
    found = []
    for p, q in combinations(np.flatnonzero(kept).tolist(), 2):
        after = _misses(shape, other[_swapped(np.arange(len(other)), p, q)], kept, tolerance)
        # if a keypoint has only moved, an exchange leaves one of the two far away
        settled = after[[p, q]].max() <= max(1, now[[p, q]].max() / 2)
        if settled and _cost(after) < LESS * _cost(now):
            found.append((_cost(after), after.max() <= 1, (p, q)))
    found.sort()
    best_explains = bool(found) and found[0][1]
    return [pair for _, explains, pair in found if explains] if best_explains else [pair for *_, pair in found[:1]]


def _swapped(order: np.ndarray, p: int, q: int) -> np.ndarray:
    order = order.copy()
    order[[p, q]] = order[[q, p]]
    return order


def _cost(misses: np.ndarray) -> float:
    return float(np.sum(misses**2))


def _misses(shape: np.ndarray, other: np.ndarray, kept: np.ndarray, tolerance: np.ndarray) -> np.ndarray:
    """Distances (K,) relative to the tolerance; 0 where not known."""
    return np.nan_to_num(_fit(shape, other, kept)[0]) / tolerance


def _fit(shape: np.ndarray, other: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, float]:
    """Distances (K,) after the other shape is fitted onto the shape by the keypoints kept, and its relative size."""
    known = np.where(kept[:, None], shape, np.nan)
    centre = _nanmean(known)
    here = align(other[None], known)[0] - centre
    there = shape - centre
    size, larger = np.sum(there[kept] ** 2), np.sum(here[kept] ** 2)
    if not (size > 0 and larger > 0):  # fewer than two keypoints, or all in one place
        return np.full(len(shape), np.nan), float("nan")
    factor = np.sum(here[kept] * there[kept]) / larger
    return np.linalg.norm(factor * here - there, axis=-1), float(np.sqrt(larger / size))


def _nanmean(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    return np.where(known, values, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
