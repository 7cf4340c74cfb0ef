"""Features from a table of bodies and segments of a known skeleton."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bams.features.columns import Features, Nearest
from bams.features.geometry import angle_difference, difference, fill_gaps, observed, polar, rotate, wrap_angle

BODY_INPUTS = ("x", "y", "cos", "sin", "forward", "sideways", "turn")
BODY_ACTIONS = ("speed", "heading", "heading_turn", "turn")
SEGMENT_INPUTS = ("length", "cos", "sin", "longer", "swing")
SEGMENT_ACTIONS = ("longer", "swing")


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
        nearest: distances to the nearest other animal, if these are features too.
    """

    keypoints: tuple[str, ...]
    bodies: tuple[Body, ...]
    segments: tuple[Segment, ...]
    moving_segments: tuple[str, ...]
    nearest: Nearest | None = None


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
