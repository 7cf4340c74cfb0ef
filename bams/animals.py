"""Features of any skeleton and any number of animals, without hand-work.

Axes: A individuals of one recording, T frames, K keypoints, d coordinates (2, or 3 with height last), P points
of a body between which distances are taken, F input features, D action features.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from bams.config import FeatureConfig
from bams.features import (
    Features,
    angle_difference,
    difference,
    fill_gaps,
    keypoint_features,
    observed,
    rotate,
    wrap_angle,
)
from bams.recordings import tracked_presence

MOST_POINTS = 6  # P: distances are between so many points of a body at most, spread over the list of keypoints


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


class Group(NamedTuple):
    """Features of a kind: values (A, T, n) float32, where valid (A, T, n) bool, and n names."""

    values: np.ndarray
    valid: np.ndarray
    names: list[str]


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
        ValueError: K names were expected, or the heading's keypoints are not among them.
    """
    individuals, _, count, dims = keypoints.shape
    config = config or FeatureConfig(others=min(FeatureConfig.others, individuals - 1))
    if config.features == "raw":
        return keypoint_features(keypoints, names)
    names = list(names or (f"keypoint{i}" for i in range(count)))
    if len(names) != count:
        raise ValueError(f"there are {len(names)} names for {count} keypoints")
    bodies = find_bodies(keypoints, heading_keypoints(config.heading, names))
    own = config.features == "own"
    turned = np.nan_to_num(-bodies.heading) if own else np.zeros_like(bodies.heading)
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
        Group(np.linalg.norm(moved, axis=-1), moved_valid, [f"{name}_speed" for name in names]),
        *_motion(bodies, turned),
        kinds["observed"],
    ]
    if config.others:
        distance, approach = _nearest(bodies, names, config.others)
        inputs.append(distance)
        kinds |= {"distances": distance, "approach": approach}
    actions = [kinds[kind] for kind in config.predict if kind in kinds]
    return _features(inputs, actions)


def find_bodies(keypoints: np.ndarray, heading: tuple[int, int] | None = None) -> Bodies:
    """Centre and heading of each animal.

    Args:
        keypoints: (A, T, K, d) float32, any unit; NaN = not tracked.
        heading: numbers of two keypoints, from back to front; unless given, the heading is the principal axis of
            the body, towards the half of the keypoints that is listed first.
    """
    _, _, count, _ = keypoints.shape
    seen = observed(keypoints)
    held = fill_gaps(keypoints, seen)
    known = np.isfinite(held)
    centre = np.where(known, held, 0).sum(axis=2) / np.maximum(known.sum(axis=2), 1)
    centre = np.where(known.any(axis=2), centre, np.nan).astype(np.float32)
    if heading is not None:
        x, y = np.moveaxis((held[:, :, heading[1]] - held[:, :, heading[0]])[..., :2], -1, 0)
        return Bodies(seen, held, centre, wrap_angle(np.arctan2(y, x)))
    ground = np.where(known, held - centre[:, :, None], 0)[..., :2]
    x, y = ground[..., 0], ground[..., -1]
    axis = 0.5 * np.arctan2(2 * (x * y).sum(axis=2), (x**2 - y**2).sum(axis=2))
    half = max(count // 2, 1)
    front = ground[:, :, :half].mean(axis=2) - ground[:, :, count - half :].mean(axis=2)
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


def _nearest(bodies: Bodies, names: Sequence[str], others: int) -> tuple[Group, Group]:
    """Distances from points of each animal to points of the nearest others, and their changes."""
    individuals, frames, count, _ = bodies.held.shape
    points = _points(count)
    pairs = len(points) ** 2
    shape = (individuals, frames, others, pairs)
    distance, change = np.full(shape, np.nan, np.float32), np.zeros(shape, np.float32)
    seen, both = np.zeros(shape, bool), np.zeros(shape, bool)
    at, there = bodies.held[:, :, points], bodies.seen[:, :, points]
    for i in range(individuals):
        rest = [j for j in range(individuals) if j != i]
        if not rest:
            continue
        far = np.linalg.norm(at[i][None, :, :, None] - at[rest][:, :, None], axis=-1).reshape(-1, frames, pairs)
        known = (there[i][None, :, :, None] & there[rest][:, :, None]).reshape(-1, frames, pairs)
        step, step_valid = difference(far, known)
        closest = np.where(np.isfinite(far), far, np.inf).min(axis=-1)
        order = np.argsort(closest, axis=0, kind="stable")[:others, :, None]
        for target, source in ((distance, far), (change, step), (seen, known), (both, step_valid)):
            target[i, :, : len(order)] = np.moveaxis(np.take_along_axis(source, order, axis=0), 0, 1)
    labels = [f"other{n}_{names[p]}-{names[q]}" for n in range(others) for p in points for q in points]
    flat = (individuals, frames, others * pairs)
    return (
        Group(distance.reshape(flat), seen.reshape(flat), [f"{label}_distance" for label in labels]),
        Group(change.reshape(flat), both.reshape(flat), [f"{label}_approach" for label in labels]),
    )


def _lengths(bodies: Bodies, names: Sequence[str]) -> Group:
    """Lengths between points of each body, valid where both were observed."""
    pairs = list(combinations(_points(len(names)), 2))
    starts, ends = np.array(pairs, int).reshape(-1, 2).T
    return Group(
        np.linalg.norm(bodies.held[:, :, starts] - bodies.held[:, :, ends], axis=-1),
        bodies.seen[:, :, starts] & bodies.seen[:, :, ends],
        [f"{names[p]}-{names[q]}_length" for p, q in pairs],
    )


def _points(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(int))


def _flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(*values.shape[:2], -1)


def join_animals(features: Features) -> Features:
    """Features of A tracks -> of one track that has those of all animals, one after the other."""
    inputs, actions, valid, *names = features
    individuals, frames, _ = inputs.shape
    flat = [np.moveaxis(part, 0, 1).reshape(1, frames, -1) for part in (inputs, actions, valid)]
    joined = [tuple(f"individual{i}_{name}" for i in range(individuals) for name in some) for some in names]
    return Features(*flat, *joined)


def _features(inputs: Sequence[Group], actions: Sequence[Group]) -> Features:
    valid = np.concatenate([group.valid for group in actions], axis=-1)
    return Features(
        np.concatenate([group.values for group in inputs], axis=-1, dtype=np.float32),
        np.where(valid, np.concatenate([group.values for group in actions], axis=-1), 0).astype(np.float32),
        valid,
        tuple(name for group in inputs for name in group.names),
        tuple(name for group in actions for name in group.names),
    )
