"""Features of any skeleton and any number of animals: what the network sees (inputs) and predicts (actions)."""

from collections.abc import Sequence

import numpy as np

from bams.features.columns import Columns, Features, by_axis, join, names_of
from bams.features.config import FeatureConfig
from bams.features.distances import body_lengths, distances_to_others
from bams.features.gaps import difference, fill_gaps, masked, observed, tracked_presence
from bams.features.geometry import angle_difference, centre_of, norm, rotate, wrap_angle
from bams.features.raw import keypoint_features


def animal_features(
    keypoints: np.ndarray, config: FeatureConfig | None = None, names: Sequence[str] | None = None
) -> Features:
    """Features of each animal of one recording, in its own frame: centre at 0, heading along x.

    Inputs, per animal: each keypoint in the own frame; lengths between points of the body; each keypoint's speed; the
    displacement of the centre in the own frame; the turn of the heading; which keypoints were observed; per other
    animal, nearest first, the distances to it. Actions: what `config.predict` names.

    The rule of gaps (see `bams.features.gaps`): speed, displacement and turn use the keypoints that were observed in
    both frames, and are 0 where there are none; an action is valid only if each keypoint that it uses was observed.

    `keypoints` are (A, T, K, d) float32, any unit, height last if d is 3; NaN = not tracked. The K `names` are
    keypoint0, ... unless given.
    """
    individuals, _, count, dims = keypoints.shape
    config = config or FeatureConfig(others=min(FeatureConfig.others, individuals - 1))
    names = names_of(keypoints, names)
    if config.features == "raw":
        return keypoint_features(keypoints, names)
    if count == 1 and set(config.predict) <= {"lengths", "distances", "approach"}:
        raise ValueError("predict has lengths, but one keypoint has none; take movement or observed")
    seen = observed(keypoints)
    held = fill_gaps(keypoints, seen)
    centre = centre_of(held)
    ends = _heading_keypoints(config.heading, names, dims)
    heading, held_heading = body_heading(masked(keypoints, seen), ends), body_heading(held, ends)
    oriented = np.isfinite(heading)
    to_own_frame = -np.nan_to_num(np.where(oriented, heading, held_heading))  # radians

    posture = rotate(held - centre[:, :, None], to_own_frame[:, :, None])
    moved, moved_valid = difference(keypoints, seen)
    step = rotate(np.nan_to_num(centre_of(masked(moved, moved_valid))), to_own_frame)
    if dims > 1:  # a displacement forward and sideways also joins the points that give the heading
        step = np.where((oriented | ~np.isfinite(held_heading))[..., None], step, 0)
    lengths = body_lengths(held, seen, centre, names)
    observations = Columns([f"{name}_observed" for name in names], seen, tracked_presence(keypoints))
    inputs = [
        Columns(by_axis(names, dims, "relative"), posture),
        lengths,
        Columns([f"{name}_speed" for name in names], norm(moved)),
        Columns(by_axis(["centre"], dims, "moved"), step),
        Columns(["turn"], body_turn(keypoints, moved_valid, ends)),
        observations,
    ]
    displacement = Columns(by_axis(names, dims, "moved"), moved, moved_valid)
    actions = {"movement": displacement, "lengths": lengths, "observed": observations}
    if config.others:
        distances, approach = distances_to_others(held, seen, names, config.others)
        inputs.append(distances)
        actions |= {"distances": distances, "approach": approach}
    return join(inputs, [actions[kind] for kind in config.predict if kind in actions])


def body_heading(points: np.ndarray, ends: tuple[int, int] | None = None) -> np.ndarray:
    """Where each animal looks (A, T), in radians in the plane of the first two coordinates; NaN = not known.

    It is the direction between `ends`, the indices of two keypoints from back to front. Unless they are given, it is
    the principal axis of the body, towards the keypoints that are listed first. `points` are (A, T, K, d) float32,
    NaN = not known.
    """
    if ends is not None:
        back, front = ends
        x, y = np.moveaxis((points[:, :, front] - points[:, :, back])[..., :2], -1, 0)
        return wrap_angle(np.where((x == 0) & (y == 0), np.nan, np.arctan2(y, x)))
    known = np.isfinite(points)
    relative = points - centre_of(points)[:, :, None]
    ground = np.where(known, relative, 0)[..., :2].astype(np.float64)  # squares fit in any unit
    x, y = ground[..., 0], ground[..., -1]
    axis = 0.5 * np.arctan2(2 * (x * y).sum(axis=2), (x**2 - y**2).sum(axis=2))
    place = np.cumsum(known.any(axis=3), axis=2)  # of each keypoint among the known ones
    front = (ground * ((place[:, :, -1:] + 1) / 2 - place)[..., None]).sum(axis=2)
    backwards = np.cos(axis) * front[..., 0] + np.sin(axis) * front[..., -1] < 0
    return wrap_angle(np.where(ground.any(axis=(2, 3)), axis + np.pi * backwards, np.nan))


def body_turn(keypoints: np.ndarray, both: np.ndarray, ends: tuple[int, int] | None = None) -> np.ndarray:
    """Turn of each animal (A, T) from the frame before, in radians, by the keypoints observed in `both` frames.

    0 where these keypoints give no heading. `keypoints` are (A, T, K, d) float32; `both` is (A, T, K) bool.
    """
    before, now = masked(keypoints[:, :-1], both[:, 1:]), masked(keypoints[:, 1:], both[:, 1:])
    headings = np.stack([body_heading(before, ends), body_heading(now, ends)], axis=1)
    turn, _ = angle_difference(headings, np.isfinite(headings))
    return np.pad(turn[:, 1], ((0, 0), (1, 0)))


def _heading_keypoints(heading: str, names: Sequence[str], dims: int) -> tuple[int, int] | None:
    """The indices of the two keypoints of a heading 'back:front'; None for an empty one."""
    if not heading:
        return None
    if dims < 2:
        raise ValueError(f"heading is {heading!r}, but keypoints of one coordinate have none; leave it out")
    parts = heading.split(":")
    if len(parts) != 2 or parts[0] == parts[1] or not set(parts) <= set(names):
        raise ValueError(f"heading is {heading!r}; expected two keypoints as back:front, of {', '.join(names)}")
    return names.index(parts[0]), names.index(parts[1])
