"""Lengths within an animal, and distances between animals."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bams.features.columns import Columns, Features, join
from bams.features.gaps import difference, fill_gaps, observed
from bams.features.geometry import norm

# With at most this many keypoints, lengths and distances are between all pairs. With more, lengths are from each
# keypoint to the centre, and distances from each keypoint to the same and to the nearest one of the other animal.
MOST_PAIRED = 6


@dataclass(frozen=True)
class Nearest:
    """Distances between keypoints of an animal and keypoints of the nearest other animal, as features.

    Attributes:
        points: names of the keypoints; the distances between all pairs of them are inputs.
        predict: which of these are actions, with P a keypoint of the animal and Q one of the other: P-Q_distance;
            P-Q_closeness, the logarithm of the distance, which tells small distances apart as well as large ones;
            P-Q_approach, the change of the distance.
    """

    points: tuple[str, ...]
    predict: tuple[str, ...]


def body_lengths(held: np.ndarray, seen: np.ndarray, centre: np.ndarray, names: Sequence[str]) -> Columns:
    """Lengths between points of each body, valid where both ends were observed (see `MOST_PAIRED`).

    A length to the centre is valid where all keypoints were observed that the centre is the mean of.
    """
    if len(names) > MOST_PAIRED:
        whole = (seen | ~observed(held)).all(axis=2, keepdims=True)
        return Columns([f"{name}-centre_length" for name in names], norm(held - centre[:, :, None]), seen & whole)
    start, end = np.triu_indices(len(names), 1)
    return Columns(
        [f"{names[p]}-{names[q]}_length" for p, q in zip(start, end, strict=True)],
        norm(held[:, :, start] - held[:, :, end]),
        seen[:, :, start] & seen[:, :, end],
    )


def distances_to_others(
    held: np.ndarray, seen: np.ndarray, names: Sequence[str], others: int
) -> tuple[Columns, Columns]:
    """Distances to the nearest `others` animals, nearest first (NaN where fewer are there), and their changes.

    An animal is there in the frames in which at least one of its keypoints is observed. `held` is (A, T, K, d) float32,
    NaN = not known; `seen` is (A, T, K) bool, True = observed.
    """
    individuals, frames = held.shape[:2]
    if len(names) <= MOST_PAIRED:
        pairs = [f"{p}-{q}" for p in names for q in names]
    else:
        pairs = [*(f"{p}-{p}" for p in names), *(f"{p}-nearest" for p in names), *(f"nearest-{p}" for p in names)]
    shape = individuals, frames, others, len(pairs)
    distance, change = np.full(shape, np.nan, np.float32), np.zeros(shape, np.float32)
    distance_valid, change_valid = np.zeros(shape, bool), np.zeros(shape, bool)
    for i in range(individuals if individuals > 1 else 0):
        rest = [j for j in range(individuals) if j != i]
        found, found_valid, step, step_valid, closest = _distances(held, seen, i, rest)
        order = np.argsort(closest, axis=0, kind="stable")[:others].T  # (T, others), nearest first
        nearest = order, np.arange(frames)[:, None]
        kept = i, slice(None), slice(order.shape[1])
        distance[kept], distance_valid[kept] = found[nearest], found_valid[nearest]
        change[kept], change_valid[kept] = step[nearest], step_valid[nearest]
    each = [f"other{n}_{pair}" for n in range(others) for pair in pairs]
    return (
        Columns([f"{name}_distance" for name in each], distance, distance_valid),
        Columns([f"{name}_approach" for name in each], change, change_valid),
    )


def _distances(held: np.ndarray, seen: np.ndarray, one: int, rest: Sequence[int]) -> tuple[np.ndarray, ...]:
    """From one animal to the rest: distances (rest, T, pairs), NaN where the other is not there, and where they are
    valid; their changes, and where these are valid; how close each other is (rest, T), infinitely far if not there."""
    theirs = seen[rest]
    mine = seen[one] | ~seen[one].any(axis=1, keepdims=True)  # held points choose the nearest of one that is not seen
    both = seen[one][None, :, :, None] & theirs[:, :, None]
    far = norm(held[one][None, :, :, None] - held[rest][:, :, None])
    near = np.where(np.isfinite(far), far, np.float32(np.inf))
    if held.shape[2] <= MOST_PAIRED:
        found, valid = far.reshape(*far.shape[:2], -1), both.reshape(*far.shape[:2], -1)
        change, change_valid = difference(found, valid)
    else:
        joined = np.zeros_like(both)
        joined[:, 1:] = both[:, 1:] & both[:, :-1]
        found = _same_and_nearest(near, mine[None, :, :, None], theirs[:, :, None])
        valid = np.isfinite(_same_and_nearest(np.where(both, near, np.inf), both, both))
        now, before = (np.where(joined, each, np.inf) for each in (near, np.roll(near, 1, axis=1)))
        now, before = (_same_and_nearest(each, joined, joined) for each in (now, before))
        change_valid = np.isfinite(now)
        change = np.subtract(now, before, out=np.zeros_like(now), where=change_valid)
    closest = np.where(mine[None, :, :, None] & theirs[:, :, None], near, np.inf).min(axis=(2, 3))
    known = theirs.any(axis=2)[..., None] & np.isfinite(found)
    return np.where(known, found, np.float32(np.nan)), valid, change, change_valid, closest


def _same_and_nearest(far: np.ndarray, mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """From distances (rest, T, K, K): to the same keypoint, to the nearest of `theirs`, from the nearest of `mine`."""
    to_nearest = np.where(theirs, far, np.inf).min(axis=3)
    from_nearest = np.where(mine, far, np.inf).min(axis=2)
    return np.concatenate([np.diagonal(far, axis1=2, axis2=3), to_nearest, from_nearest], axis=2, dtype=np.float32)


def with_nearest(features: Features, keypoints: np.ndarray, names: Sequence[str], nearest: Nearest) -> Features:
    """Add distances to the nearest other animal to the features of a recording, of keypoints (A, T, K, d) float32."""
    _check_known(nearest.points, names, "keypoint {}; the keypoints are")
    points = keypoints[:, :, [list(names).index(point) for point in nearest.points]]
    seen = observed(points)
    distance, approach = distances_to_others(fill_gaps(points, seen), seen, nearest.points, 1)
    valid = distance.valid & (distance.values > 0)
    logarithm = np.log(distance.values, out=np.zeros_like(distance.values), where=valid)
    closeness = Columns([name.replace("_distance", "_closeness") for name in distance.names], logarithm, valid)
    known = {
        name.removeprefix("other0_"): Columns([name], kind.values[..., i], kind.valid[..., i])
        for kind in (distance, closeness, approach)
        for i, name in enumerate(kind.names)
    }
    _check_known(nearest.predict, known, "{} to predict; there are")
    return join(
        [Columns(features.input_names, features.inputs), distance],
        [Columns(features.action_names, features.actions, features.valid), *(known[name] for name in nearest.predict)],
    )


def _check_known(wanted: Iterable[str], known: Iterable[str], sentence: str) -> None:
    if unknown := sorted(set(wanted) - set(known)):
        raise ValueError(f"there is no {sentence.format(unknown[0])} {', '.join(known)}")
