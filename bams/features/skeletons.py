"""Features of known skeletons, from a table that says what the keypoints are."""

from dataclasses import dataclass

import numpy as np

from bams.features.columns import Columns, Features, join
from bams.features.distances import Nearest
from bams.features.gaps import difference, fill_gaps, observed
from bams.features.geometry import angle_difference, egocentric, polar, rotate, wrap_angle


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
        moving_segments: names of the segments whose changes are also actions.
        nearest: distances to the nearest other animal; None = no such features.
    """

    keypoints: tuple[str, ...]
    bodies: tuple[Body, ...]
    segments: tuple[Segment, ...]
    moving_segments: tuple[str, ...]
    nearest: Nearest | None = None


def pose_features(keypoints: np.ndarray, table: PoseTable) -> Features:
    """Features of a known skeleton, in polar form and in the animal's own frame.

    Inputs, per body: position, orientation (cosine and sine), displacement forward and sideways (0 where the
    orientation is not observed), turn; per segment: length, angle to its body (cosine and sine), change of both; per
    keypoint: observed. Actions, per body: speed, heading, turn of the heading, turn of the orientation; per moving
    segment: change of length and of angle. A heading without displacement is not valid. `keypoints` are (N, T, K, 2)
    float32, any unit; NaN = not tracked.
    """
    if keypoints.shape[2] != len(table.keypoints):
        raise ValueError(f"the array has {keypoints.shape[2]} keypoints; the table names {len(table.keypoints)}")
    seen = observed(keypoints)
    held = fill_gaps(keypoints, seen)
    at = {name: i for i, name in enumerate(table.keypoints)}
    inputs, actions, oriented = [], [], {}
    for body in table.bodies:
        origin, front = at[body.origin], at[body.front]
        length, orientation = polar(held[:, :, front] - held[:, :, origin])
        oriented[body.name] = orientation, seen[:, :, origin] & seen[:, :, front] & (length > 0)
        moved, moved_valid = difference(held[:, :, origin], seen[:, :, origin])
        speed, heading = polar(moved)
        headed = moved_valid & (speed > 0)
        turn = _columns(body.name, "turn", *angle_difference(*oriented[body.name]))
        own = np.where(oriented[body.name][1][..., None], rotate(moved, -orientation), 0)
        inputs += [
            *_with_direction(body.name, "x y", held[:, :, origin], orientation),
            _columns(body.name, "forward sideways", own),
            turn,
        ]
        actions += [
            _columns(body.name, "speed", speed, moved_valid),
            _columns(body.name, "heading", heading, headed),
            _columns(body.name, "heading_turn", *angle_difference(heading, headed)),
            turn,
        ]
    for segment in table.segments:
        start, end = at[segment.start], at[segment.end]
        length, angle = polar(held[:, :, end] - held[:, :, start])
        both = seen[:, :, start] & seen[:, :, end]
        orientation, orientation_valid = oriented[segment.body]
        angle = wrap_angle(angle - orientation)
        changes = [
            _columns(segment.name, "longer", *difference(length, both)),
            _columns(segment.name, "swing", *angle_difference(angle, both & orientation_valid & (length > 0))),
        ]
        inputs += [*_with_direction(segment.name, "length", length, angle), *changes]
        actions += changes if segment.name in table.moving_segments else []
    inputs.append(Columns([f"{name}_observed" for name in table.keypoints], seen))
    return join(inputs, actions)


@dataclass(frozen=True)
class OrientedTable:
    """What the K pairs of numbers are, of an animal whose tracker gives its orientation (see `oriented_features`).

    Attributes:
        points: names of the pairs that are positions of keypoints.
        centre, orientation: names of the pairs for its position, and for the cosine and sine of its orientation.
        measures: names of all other pairs, each with the names of both numbers; these are inputs, never actions.
        order: all K names in the order of the arrays.
        nearest: distances to the nearest other animal; None = no such features.
    """

    points: tuple[str, ...]
    centre: str
    orientation: str
    measures: dict[str, tuple[str, str]]
    order: tuple[str, ...]
    nearest: Nearest | None = None


def oriented_features(pairs: np.ndarray, table: OrientedTable) -> Features:
    """Features in the own frame of an animal whose tracker gives its orientation.

    Inputs: position, orientation (cosine and sine), displacement forward and sideways, turn; per keypoint: its change
    and its place in the own frame; both numbers of each measure; per pair: observed. Actions: displacement forward and
    sideways, turn, and the change of each keypoint in the own frame. `pairs` are (N, T, K, 2) float32, NaN = not
    tracked.
    """
    if pairs.shape[2] != len(table.order):
        raise ValueError(f"the array has {pairs.shape[2]} pairs; the table names {len(table.order)}")
    at = {name: i for i, name in enumerate(table.order)}
    points, centre, cos_sin = [at[name] for name in table.points], at[table.centre], at[table.orientation]
    seen = observed(pairs)
    held = fill_gaps(pairs, seen)
    length, orientation = polar(held[:, :, cos_sin])
    oriented = seen[:, :, cos_sin] & (length > 0)
    moved, moved_valid = difference(held[:, :, centre], seen[:, :, centre])
    moved_valid &= oriented
    moved = np.where(moved_valid[..., None], rotate(moved, -orientation), 0)
    own = egocentric(held[:, :, points], held[:, :, centre], orientation)
    own_valid = seen[:, :, points] & (seen[:, :, centre] & oriented)[..., None]
    places = [f"{name}.{axis}" for name in table.points for axis in "xy"]
    actions = [
        _columns(table.centre, "forward sideways", moved, moved_valid),
        _columns(table.centre, "turn", *angle_difference(orientation, oriented)),
        Columns([f"{place}_change" for place in places], *difference(own, own_valid)),
    ]
    inputs = [
        *_with_direction(table.centre, "x y", held[:, :, centre], orientation),
        *actions,
        Columns(places, own),
        *(Columns([f"{name}.{part}" for part in both], held[:, :, at[name]]) for name, both in table.measures.items()),
        Columns([f"{name}_observed" for name in table.order], seen),
    ]
    return join(inputs, actions)


def _columns(name: str, kinds: str, values: np.ndarray, valid: np.ndarray | None = None) -> Columns:
    """Features of one body or segment, named NAME.KIND."""
    return Columns([f"{name}.{kind}" for kind in kinds.split()], values, valid)


def _with_direction(name: str, kinds: str, values: np.ndarray, angle: np.ndarray) -> list[Columns]:
    """Features of one body or segment, then cosine and sine of its angle."""
    return [_columns(name, kinds, values), _columns(name, "cos", np.cos(angle)), _columns(name, "sin", np.sin(angle))]
