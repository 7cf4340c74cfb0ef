"""Features of any skeleton and any number of animals, without hand-work.

Axes: A individuals of one recording, T frames, K keypoints, d coordinates (2, or 3 with height last), O
other animals, F input features, D action features.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bams.features.columns import Features, Group, Nearest
from bams.features.config import FeatureConfig
from bams.features.geometry import (
    angle_difference,
    difference,
    fill_gaps,
    norm,
    observed,
    rotate,
    tracked_presence,
    wrap_angle,
)
from bams.features.plain import keypoint_features

# Up to so many keypoints, distances are between all pairs; of more, from each to the same and the nearest point of
# the other animal, and lengths from each to the centre.
MOST_PAIRED = 6


class Bodies(NamedTuple):
    """Where the animals of a recording are; NaN before the first sight.

    Attributes:
        seen: (A, T, K) bool, True = observed.
        held: (A, T, K, d) float32, keypoints with their last position held over gaps.
        centre: (A, T, d) float32, mean of the held keypoints.
        heading: (A, T) float32, radians, in the plane of the first two coordinates; NaN also where a body has no
            length there.
    """

    seen: np.ndarray
    held: np.ndarray
    centre: np.ndarray
    heading: np.ndarray


def animal_features(
    keypoints: np.ndarray,
    config: FeatureConfig | None = None,
    names: Sequence[str] | None = None,
) -> Features:
    """Features of the animals of one recording, a track each.

    Inputs, per animal: each keypoint relative to the centre, in the animal's own frame; lengths between points of
    the body; each keypoint's speed; the centre's displacement in the own frame; the turn; which keypoints were
    observed. Per other animal, the nearest first: distances from points to points. Actions: `config.predict`.

    Args:
        keypoints: (A, T, K, d) float32, any unit; NaN = not tracked.
        config: which features and actions; of `others` that are not there the features are unknown.
        names: K names of the keypoints; keypoint0, ... unless given.

    Raises:
        ValueError: K names were expected, the heading's keypoints are not among them, or nothing is to predict.
    """
    individuals, _, count, dims = keypoints.shape
    config = config or FeatureConfig(others=min(FeatureConfig.others, individuals - 1))
    if config.features == "raw":
        return keypoint_features(keypoints, names)
    names = list(names or (f"keypoint{i}" for i in range(count)))
    if len(names) != count:
        raise ValueError(f"there are {len(names)} names for {count} keypoints")
    if count == 1 and set(config.predict) <= {"lengths", "distances", "approach"}:
        raise ValueError("predict has lengths, but one keypoint has none; take movement or observed")
    if config.heading and dims < 2:
        raise ValueError(f"heading is {config.heading!r}, but keypoints of one coordinate have none; leave it out")
    bodies = find_bodies(keypoints, heading_keypoints(config.heading, names))
    turned = np.nan_to_num(-bodies.heading)
    coordinates = [f"{name}_{axis}" for name in names for axis in "xyz"[:dims]]
    moved, moved_valid = difference(keypoints, bodies.seen)
    displacement = Group(_flat(moved), np.repeat(moved_valid, dims, -1), [f"{c}_moved" for c in coordinates])
    there = np.repeat(tracked_presence(keypoints)[..., None], count, axis=-1)
    kinds = {
        "movement": displacement,
        "lengths": _lengths(bodies, names),
        "observed": Group(bodies.seen.astype(np.float32), there, [f"{name}_observed" for name in names]),
    }
    posture = rotate_ground(bodies.held - bodies.centre[:, :, None], turned[:, :, None])
    inputs = [
        Group(_flat(posture), np.repeat(bodies.seen, dims, -1), [f"{c}_relative" for c in coordinates]),
        kinds["lengths"],
        Group(norm(moved), moved_valid, [f"{name}_speed" for name in names]),
        *_motion(bodies, turned),
        kinds["observed"],
    ]
    if config.others:
        distance, approach = _nearest(bodies.held, bodies.seen, names, config.others)
        inputs.append(distance)
        kinds |= {"distances": distance, "approach": approach}
    actions = [kinds[kind] for kind in config.predict if kind in kinds]
    return _features(inputs, actions)


def find_bodies(keypoints: np.ndarray, heading: tuple[int, int] | None = None) -> Bodies:
    """Centre and heading of each animal.

    Args:
        keypoints: (A, T, K, d) float32, any unit; NaN = not tracked.
        heading: numbers of two keypoints, from back to front; unless given, the heading is the principal axis of
            the body, towards the keypoints that are listed first.
    """
    seen = observed(keypoints)
    held = fill_gaps(keypoints, seen)
    known = np.isfinite(held)
    centre = np.where(known, held, 0).sum(axis=2, dtype=np.float64) / np.maximum(known.sum(axis=2), 1)
    centre = np.where(known.any(axis=2), centre, np.nan).astype(np.float32)
    if heading is not None:
        x, y = np.moveaxis((held[:, :, heading[1]] - held[:, :, heading[0]])[..., :2], -1, 0)
        axis = np.where((x == 0) & (y == 0), np.nan, np.arctan2(y, x))
        return Bodies(seen, held, centre, wrap_angle(axis))
    ground = np.where(known, held - centre[:, :, None], 0)[..., :2].astype(np.float64)  # squares fit in any unit
    x, y = ground[..., 0], ground[..., -1]
    axis = 0.5 * np.arctan2(2 * (x * y).sum(axis=2), (x**2 - y**2).sum(axis=2))
    listed = np.cumsum(known.any(axis=3), axis=2)  # place of each keypoint among those known
    front = (ground * ((listed[:, :, -1:] + 1) / 2 - listed)[..., None]).sum(axis=2)
    backwards = np.cos(axis) * front[..., 0] + np.sin(axis) * front[..., -1] < 0
    axis = np.where(ground.any(axis=(2, 3)), axis + np.pi * backwards, np.nan)
    return Bodies(seen, held, centre, wrap_angle(axis))


def heading_keypoints(heading: str, names: Sequence[str]) -> tuple[int, int] | None:
    """Numbers of the keypoints of a heading 'back:front'; None for none.

    Raises:
        ValueError: it does not name two different keypoints.
    """
    if not heading:
        return None
    parts = heading.split(":")
    if len(parts) != 2 or parts[0] == parts[1] or not set(parts) <= set(names):
        raise ValueError(
            f"heading is {heading!r}; expected two keypoints as back:front, of {', '.join(map(str, names))}"
        )
    return names.index(parts[0]), names.index(parts[1])


def rotate_ground(vectors: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Vectors (..., d) turned by `angle` (...) radians about the third axis, float32; d below 2: as they are."""
    if vectors.shape[-1] < 2:
        return vectors
    return np.concatenate([rotate(vectors[..., :2], angle), vectors[..., 2:]], axis=-1)


def _motion(bodies: Bodies, turned: np.ndarray) -> list[Group]:
    """The centre's displacement and the turn of each animal."""
    step, step_valid = difference(bodies.centre, np.isfinite(bodies.centre).all(axis=-1))
    step = rotate_ground(step, turned)
    turn, turn_valid = angle_difference(bodies.heading, np.isfinite(bodies.heading))
    dims = step.shape[-1]
    return [
        Group(step, np.repeat(step_valid[..., None], dims, -1), [f"centre_{axis}_moved" for axis in "xyz"[:dims]]),
        Group(turn[..., None], turn_valid[..., None], ["turn"]),
    ]


def _nearest(held: np.ndarray, seen: np.ndarray, names: Sequence[str], others: int) -> tuple[Group, Group]:
    """Distances to the nearest other animals, the nearest first, and their changes."""
    individuals, frames, _, _ = held.shape
    labels = _distance_names(names)
    shape = (individuals, frames, others, len(labels))
    distance, change = np.full(shape, np.nan, np.float32), np.zeros(shape, np.float32)
    known, both = np.zeros(shape, bool), np.zeros(shape, bool)
    for i in range(individuals):
        rest = [j for j in range(individuals) if j != i]
        if not rest:
            continue
        far, far_known = _distances(held, seen, i, rest)
        step, step_valid = difference(far, far_known)
        closest = np.where(np.isfinite(far), far, np.inf).min(axis=-1)
        order = np.argsort(closest, axis=0, kind="stable")[:others].T  # (T, others)
        for target, source in ((distance, far), (change, step), (known, far_known), (both, step_valid)):
            target[i, :, : len(order[0])] = source[order, np.arange(frames)[:, None]]
    flat = (individuals, frames, others * len(labels))
    each = [f"other{n}_{label}" for n in range(others) for label in labels]
    return (
        Group(distance.reshape(flat), known.reshape(flat), [f"{name}_distance" for name in each]),
        Group(change.reshape(flat), both.reshape(flat), [f"{name}_approach" for name in each]),
    )


def _distances(held: np.ndarray, seen: np.ndarray, one: int, rest: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Distances (O, T, n) from one animal to others, and where both ends were observed (O, T, n)."""
    _, frames, count, _ = held.shape
    far = norm(held[one][None, :, :, None] - held[rest][:, :, None])
    known = seen[one][None, :, :, None] & seen[rest][:, :, None]
    if count <= MOST_PAIRED:
        return far.reshape(len(rest), frames, -1), known.reshape(len(rest), frames, -1)
    near = np.where(np.isfinite(far), far, np.inf)
    same = np.diagonal(far, axis1=2, axis2=3)
    far = np.concatenate([same, near.min(axis=3), near.min(axis=2)], axis=2)
    known = np.concatenate([np.diagonal(known, axis1=2, axis2=3), known.any(axis=3), known.any(axis=2)], axis=2)
    return np.where(np.isfinite(far), far, np.float32(np.nan)), known


def _distance_names(names: Sequence[str]) -> list[str]:
    if len(names) <= MOST_PAIRED:
        return [f"{p}-{q}" for p in names for q in names]
    return [*(f"{p}-{p}" for p in names), *(f"{p}-nearest" for p in names), *(f"nearest-{p}" for p in names)]


def _lengths(bodies: Bodies, names: Sequence[str]) -> Group:
    """Lengths of each body, valid where both ends were observed."""
    count = len(names)
    if count > MOST_PAIRED:
        lengths = norm(bodies.held - bodies.centre[:, :, None])
        return Group(lengths, bodies.seen, [f"{name}-centre_length" for name in names])
    starts, ends = np.triu_indices(count, 1)
    return Group(
        norm(bodies.held[:, :, starts] - bodies.held[:, :, ends]),
        bodies.seen[:, :, starts] & bodies.seen[:, :, ends],
        [f"{names[p]}-{names[q]}_length" for p, q in zip(starts, ends, strict=True)],
    )


def _flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(*values.shape[:2], -1)


def with_nearest(features: Features, keypoints: np.ndarray, names: Sequence[str], nearest: Nearest) -> Features:
    """Features of the animals of a recording, joined with distances to the nearest other animal.

    Args:
        features: of A tracks, made of `keypoints`.
        keypoints: (A, T, K, d) float32, any unit; NaN = not tracked.
        names: K names.
        nearest: the points, and the actions.

    Raises:
        ValueError: there is no such point or distance.
    """
    points, predict = nearest.points, nearest.predict
    unknown = sorted(set(points) - set(names))
    if unknown:
        raise ValueError(f"there is no keypoint {unknown[0]}; the keypoints are {', '.join(names)}")
    kept = keypoints[:, :, [list(names).index(point) for point in points]]
    seen = observed(kept)
    distance, approach = _nearest(fill_gaps(kept, seen), seen, points, 1)
    added = _features([distance], [distance, _closeness(distance), approach])
    known = [name.removeprefix("other0_") for name in added.action_names]
    unknown = sorted(set(predict) - set(known))
    if unknown:
        raise ValueError(f"there is no {unknown[0]} to predict; there are {', '.join(known)}")
    kept = [known.index(name) for name in predict]
    return Features(
        np.concatenate([features.inputs, added.inputs], axis=-1),
        np.concatenate([features.actions, added.actions[..., kept]], axis=-1),
        np.concatenate([features.valid, added.valid[..., kept]], axis=-1),
        features.input_names + added.input_names,
        features.action_names + tuple(added.action_names[i] for i in kept),
    )


def _closeness(distance: Group) -> Group:
    """Logarithms of distances, valid where these are above 0."""
    valid = distance.valid & (distance.values > 0)
    values = np.log(distance.values, out=np.zeros_like(distance.values), where=valid)
    return Group(values, valid, [name.replace("_distance", "_closeness") for name in distance.names])


def _features(inputs: Sequence[Group], actions: Sequence[Group]) -> Features:
    valid = np.concatenate([group.valid for group in actions], axis=-1)
    return Features(
        np.concatenate([group.values for group in inputs], axis=-1, dtype=np.float32),
        np.where(valid, np.concatenate([group.values for group in actions], axis=-1), 0).astype(np.float32),
        valid,
        tuple(name for group in inputs for name in group.names),
        tuple(name for group in actions for name in group.names),
    )
