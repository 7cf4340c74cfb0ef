"""Features of an animal whose tracker gives its position, its orientation, and more numbers than body points."""

from dataclasses import dataclass

import numpy as np

from bams.features.columns import Features, Nearest
from bams.features.geometry import angle_difference, difference, egocentric, fill_gaps, observed, polar, rotate


@dataclass(frozen=True)
class OrientedTable:
    """What the pairs of numbers of such an animal are (see `oriented_features`).

    Attributes:
        points: names of the pairs that are positions of body points.
        centre: name of the pair that is the position of the animal.
        orientation: name of the pair that is the cosine and sine of the direction it looks in.
        measures: names of the other pairs, with names of both numbers: these are inputs, never actions.
        order: all K names in the order of the arrays.
        nearest: distances to the nearest other animal, if these are features too.
    """

    points: tuple[str, ...]
    centre: str
    orientation: str
    measures: dict[str, tuple[str, str]]
    order: tuple[str, ...]
    nearest: Nearest | None = None

    def __post_init__(self):
        named = (*self.points, self.centre, self.orientation, *self.measures)
        if sorted(named) != sorted(self.order):
            raise ValueError(f"the table names the pairs {named}, the order those of {self.order}")


def oriented_features(pairs: np.ndarray, table: OrientedTable) -> Features:
    """Features in the animal's own frame.

    Inputs: the animal's position, orientation (cosine and sine), displacement forward and to the side, turn;
    per point: its place in the animal's own frame, and the change of it; both numbers of each measure; per
    pair: observed. Actions: displacement forward and to the side, turn, and the change of each point's place.

    Args:
        pairs: (N, T, K, 2) float32; positions in any unit; NaN = not tracked.
        table: which pair is what.

    Raises:
        ValueError: the table has another number of pairs than the array.
    """
    tracks, frames, count, _ = pairs.shape
    if count != len(table.order):
        raise ValueError(f"the array has {count} pairs; the table names {len(table.order)}")
    at = {name: i for i, name in enumerate(table.order)}
    points = [at[name] for name in table.points]
    centre, measures = at[table.centre], [at[name] for name in table.measures]
    seen = observed(pairs)
    held = fill_gaps(pairs, seen)
    length, orientation = polar(held[:, :, at[table.orientation]])
    oriented = seen[:, :, at[table.orientation]] & (length > 0)

    moved, moved_valid = difference(held[:, :, centre], seen[:, :, centre])
    moved_valid &= oriented
    moved = np.where(moved_valid[..., None], rotate(moved, -orientation), 0)
    turn, turn_valid = angle_difference(orientation, oriented)
    own = egocentric(held[:, :, points], held[:, :, centre], orientation)
    change, change_valid = difference(own, seen[:, :, points] & (seen[:, :, centre] & oriented)[..., None])

    flat = (tracks, frames, -1)
    actions = np.concatenate([moved, turn[..., None], change.reshape(flat)], -1, dtype=np.float32)
    valid = [np.repeat(moved_valid[..., None], 2, -1), turn_valid[..., None], np.repeat(change_valid, 2, -1)]
    facing = np.stack([np.cos(orientation), np.sin(orientation)], -1)
    extra = held[:, :, measures].reshape(flat)
    inputs = [held[:, :, centre], facing, actions, own.reshape(flat), extra, seen]
    places = tuple(f"{name}.{axis}" for name in table.points for axis in "xy")
    names = (
        *(f"{table.centre}.{name}" for name in ("forward", "sideways", "turn")),
        *(f"{name}_change" for name in places),
    )
    return Features(
        np.concatenate(inputs, -1, dtype=np.float32),
        actions,
        np.concatenate(valid, -1),
        (
            *(f"{table.centre}.{name}" for name in ("x", "y", "cos", "sin")),
            *names,
            *places,
            *(f"{pair}.{name}" for pair, both in table.measures.items() for name in both),
            *(f"{name}_observed" for name in table.order),
        ),
        names,
    )
