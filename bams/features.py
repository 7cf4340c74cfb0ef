"""Geometry of keypoints: gaps, differences, angles, and from them what the network sees and predicts.

Axes: N tracks, T frames, K keypoints, d coordinates (2 or 3), F input features, D action features.
Angles are radians in (-pi, pi]. No constant here depends on the unit of the coordinates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Features(NamedTuple):
    """What `Dataset` takes, with names.

    Attributes:
        inputs: (N, T, F) float32, the caller's units; NaN = not known yet (before the first sight).
        actions: (N, T, D) float32, change up to t per frame; 0 where not valid.
        valid: (N, T, D) bool, True = observed at every frame the action uses.
        input_names, action_names: F and D names.
    """

    inputs: np.ndarray
    actions: np.ndarray
    valid: np.ndarray
    input_names: tuple[str, ...]
    action_names: tuple[str, ...]


BODY_INPUTS = ("x", "y", "cos", "sin", "forward", "sideways", "turn")
BODY_ACTIONS = ("speed", "heading", "heading_turn", "turn")
SEGMENT_INPUTS = ("length", "cos", "sin", "longer", "swing")
SEGMENT_ACTIONS = ("longer", "swing")
HALF_TURN = 1e-3  # radians; so close to half a turn, rounding alone would decide on its sign


@dataclass(frozen=True)
class Body:
    """A part of an animal with a position (`origin`) and an orientation (from `origin` to `front`)."""

    name: str
    origin: str
    front: str


@dataclass(frozen=True)
class Segment:
    """A vector between two keypoints, in polar form relative to the orientation of a body."""

    name: str
    start: str
    end: str
    body: str


@dataclass(frozen=True)
class PoseTable:
    """Which bodies and segments of a skeleton become features (see `pose_features`).

    Attributes:
        keypoints: K names in the order of the arrays.
        bodies: give position, orientation, motion and turning.
        segments: give length, angle and their changes.
        moving_segments: names of the segments whose changes are also actions.
    """

    keypoints: tuple[str, ...]
    bodies: tuple[Body, ...]
    segments: tuple[Segment, ...]
    moving_segments: tuple[str, ...]


def wrap_angle(angle: np.ndarray) -> np.ndarray:
    """Any angles in radians -> the same angles in (-pi, pi], float32."""
    angle = np.asarray(angle, dtype=np.float32)
    wrapped = angle - 2 * np.pi * np.ceil((angle - np.pi) / (2 * np.pi))
    # rounding to float32 can land a hair outside the interval on either side
    wrapped = np.where(wrapped <= -np.float32(np.pi), np.float32(np.pi), wrapped)
    return np.minimum(wrapped, np.float32(np.pi)).astype(np.float32)


def polar(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (..., 2) -> length (...) in the same unit and angle (...) in radians, float32."""
    vectors = np.asarray(vectors, dtype=np.float32)
    x, y = vectors[..., 0], vectors[..., 1]
    return np.hypot(x, y), wrap_angle(np.arctan2(y, x))


def norm(vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., d) -> length (...) in the same unit, float32; squared in float64, so that any unit will do."""
    return np.sqrt(np.einsum("...i,...i->...", vectors, vectors, dtype=np.float64)).astype(np.float32)


def rotate(vectors: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Vectors (..., 2) turned by `angle` (...) radians, counter-clockwise where y points up, float32."""
    vectors = np.asarray(vectors, dtype=np.float32)
    x, y = vectors[..., 0], vectors[..., 1]
    cos, sin = np.cos(angle, dtype=np.float32), np.sin(angle, dtype=np.float32)
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def egocentric(points: np.ndarray, origin: np.ndarray, orientation: np.ndarray) -> np.ndarray:
    """Points in an animal's own frame: `origin` at 0 and `orientation` along x.

    Args:
        points: (N, T, K, 2) float32, any unit.
        origin: (N, T, 2) float32, same unit.
        orientation: (N, T) float32, radians.

    Returns:
        (N, T, K, 2) float32, same unit.
    """
    return rotate(points - origin[:, :, None], -orientation[:, :, None])


def observed(keypoints: np.ndarray) -> np.ndarray:
    """Keypoints (N, T, K, d), NaN = not tracked -> (N, T, K) bool, True = all coordinates are there."""
    return np.isfinite(keypoints).all(axis=-1)


def fill_gaps(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Hold the last valid value over gaps; causal, so that online use gives the same numbers.

    Args:
        values: (N, T, ...) float32.
        valid: (N, T) and as many of the other axes as wanted, bool, True = observed.

    Returns:
        values' axes, float32; NaN before the first valid frame. The argument is left as it is.
    """
    _, frames = values.shape[:2]
    frame = np.arange(frames).reshape(1, -1, *[1] * (valid.ndim - 2))
    last = np.maximum.accumulate(np.where(valid, frame, -1), axis=1)
    trailing = values.ndim - valid.ndim
    last = last.reshape(*last.shape, *[1] * trailing)
    held = np.take_along_axis(values, np.maximum(last, 0), axis=1)
    return np.where(last < 0, np.float32(np.nan), held).astype(np.float32)


def difference(values: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Change from the frame before.

    Args:
        values: (N, T, ...) float32, any unit.
        valid: (N, T, ...) bool with values' axes, or without the last ones.

    Returns:
        change (values' axes, float32, same unit per frame; 0 where not valid) and its validity (valid's
        axes): both frames were. The first frame has no change.
    """
    both = np.zeros_like(valid)
    both[:, 1:] = valid[:, 1:] & valid[:, :-1]
    change = np.zeros(values.shape, np.float32)
    np.subtract(values[:, 1:], values[:, :-1], out=change[:, 1:], casting="same_kind")
    known = both.reshape(*both.shape, *[1] * (values.ndim - both.ndim))
    return np.where(known, change, np.float32(0)), both


def angle_difference(angle: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`difference` of angles (N, T, ...), wrapped to (-pi, pi]; half a turn is +pi in spite of rounding."""
    change, both = difference(angle, valid)
    change = wrap_angle(change)
    return np.where(change < HALF_TURN - np.pi, np.float32(np.pi), change).astype(np.float32), both


def series_features(series: np.ndarray) -> Features:
    """Features of any time series (N, T, F), NaN = missing: held value, change, observed; actions = change."""
    _, _, size = series.shape
    seen = np.isfinite(series)
    change, valid = difference(series.astype(np.float32, copy=False), seen)
    inputs = np.concatenate([fill_gaps(series, seen), change, seen], axis=-1, dtype=np.float32)
    names = tuple(f"feature{i}" for i in range(size))
    changes = tuple(f"{name}_change" for name in names)
    return Features(inputs, change, valid, (*names, *changes, *(f"{n}_observed" for n in names)), changes)


def keypoint_features(keypoints: np.ndarray, names: tuple[str, ...] | None = None) -> Features:
    """Features of any skeleton, without hand-work.

    Inputs: the body's centre, each keypoint relative to it, each keypoint's displacement, and whether each
    was observed. Actions: each keypoint's displacement, coordinate by coordinate.

    Args:
        keypoints: (N, T, K, d) float32, any unit; NaN = not tracked.
        names: K names of the keypoints; keypoint0, ... unless given.
    """
    tracks, frames, count, dims = keypoints.shape
    seen = observed(keypoints)
    held = fill_gaps(keypoints, seen)
    known = np.isfinite(held)
    centre = np.where(known, held, 0).sum(axis=2) / np.maximum(known.sum(axis=2), 1)
    centre = np.where(known.any(axis=2), centre, np.nan).astype(np.float32)
    moved, valid = difference(keypoints, seen)
    flat = (tracks, frames, count * dims)
    relative = (held - centre[:, :, None]).reshape(flat)
    inputs = np.concatenate([centre, relative, moved.reshape(flat), seen], axis=-1, dtype=np.float32)

    names = tuple(names or (f"keypoint{i}" for i in range(count)))
    if len(names) != count:
        raise ValueError(f"there are {len(names)} names for {count} keypoints")
    coordinates = tuple(f"{name}_{axis}" for name in names for axis in "xyz"[:dims])
    actions = tuple(f"{name}_moved" for name in coordinates)
    input_names = (
        *(f"centre_{axis}" for axis in "xyz"[:dims]),
        *(f"{name}_relative" for name in coordinates),
        *actions,
        *(f"{name}_observed" for name in names),
    )
    return Features(inputs, moved.reshape(flat), np.repeat(valid, dims, axis=-1), input_names, actions)


def pose_features(keypoints: np.ndarray, table: PoseTable) -> Features:
    """Features of a known skeleton, in polar form and in the animal's own frame.

    Inputs, per body: position, orientation (cosine and sine), displacement forward and to the side, turn;
    per segment: length, angle to its body (cosine and sine), change of both; per keypoint: observed.
    Actions, per body: speed, heading, turn of the heading, turn of the orientation; per moving segment:
    change of length and of angle. A heading without displacement is not valid.

    Args:
        keypoints: (N, T, K, 2) float32, any unit; NaN = not tracked.
        table: the bodies and segments.

    Raises:
        ValueError: the table has another number of keypoints than the array.
    """
    _, _, count, _ = keypoints.shape
    if count != len(table.keypoints):
        raise ValueError(f"the keypoints array has {count} keypoints; the table names {len(table.keypoints)}")
    seen = observed(keypoints)
    held = fill_gaps(keypoints, seen)
    body_names = [body.name for body in table.bodies]
    segment_names = [segment.name for segment in table.segments]
    at = _numbers(table.keypoints, [body.origin for body in table.bodies])
    front = _numbers(table.keypoints, [body.front for body in table.bodies])
    length, orientation = polar(held[:, :, front] - held[:, :, at])
    oriented = seen[:, :, at] & seen[:, :, front] & (length > 0)
    bodies = _body_features(held[:, :, at], seen[:, :, at], orientation, oriented)
    start = _numbers(table.keypoints, [segment.start for segment in table.segments])
    end = _numbers(table.keypoints, [segment.end for segment in table.segments])
    body = _numbers(body_names, [segment.body for segment in table.segments])
    segments = _segment_features(
        held[:, :, end] - held[:, :, start],
        seen[:, :, start] & seen[:, :, end],
        orientation[:, :, body],
        oriented[:, :, body],
    )
    moving = [i for i, name in enumerate(segment_names) if name in table.moving_segments]
    return Features(
        _flat(bodies[0], segments[0], seen.astype(np.float32)),
        _flat(bodies[1], segments[1][:, :, moving]),
        _flat(bodies[2], segments[2][:, :, moving]),
        (
            *(f"{name}.{what}" for name in body_names for what in BODY_INPUTS),
            *(f"{name}.{what}" for name in segment_names for what in SEGMENT_INPUTS),
            *(f"{name}_observed" for name in table.keypoints),
        ),
        (
            *(f"{name}.{what}" for name in body_names for what in BODY_ACTIONS),
            *(f"{segment_names[i]}.{what}" for i in moving for what in SEGMENT_ACTIONS),
        ),
    )


def _numbers(names: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    return np.array([names.index(name) for name in wanted], dtype=int)


def _flat(*parts: np.ndarray) -> np.ndarray:
    """Arrays (N, T, ...) -> (N, T, all that they have per frame, one after the other)."""
    return np.concatenate([part.reshape(*part.shape[:2], -1) for part in parts], axis=-1)


def _body_features(
    position: np.ndarray, seen: np.ndarray, orientation: np.ndarray, oriented: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, actions and their validity, (N, T, bodies, BODY_INPUTS or BODY_ACTIONS); all bodies at once."""
    moved, moved_valid = difference(position, seen)
    speed, heading = polar(moved)
    headed = moved_valid & (speed > 0)
    turn, turn_valid = angle_difference(orientation, oriented)
    heading_turn, heading_turn_valid = angle_difference(heading, headed)
    own = rotate(moved, -np.nan_to_num(orientation))
    x, y, forward, sideways = position[..., 0], position[..., 1], own[..., 0], own[..., 1]
    return (
        np.stack([x, y, np.cos(orientation), np.sin(orientation), forward, sideways, turn], axis=-1),
        np.stack([speed, heading, heading_turn, turn], axis=-1),
        np.stack([moved_valid, headed, heading_turn_valid, turn_valid], axis=-1),
    )


def _segment_features(
    vector: np.ndarray, seen: np.ndarray, orientation: np.ndarray, oriented: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of segments, (N, T, segments, ...), each with the orientation of its body."""
    length, angle = polar(vector)
    angle = wrap_angle(angle - orientation)
    longer, longer_valid = difference(length, seen)
    swing, swing_valid = angle_difference(angle, seen & oriented & (length > 0))
    return (
        np.stack([length, np.cos(angle), np.sin(angle), longer, swing], axis=-1),
        np.stack([longer, swing], axis=-1),
        np.stack([longer_valid, swing_valid], axis=-1),
    )
