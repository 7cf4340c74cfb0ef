"""Geometry and features of any keypoints.

What must not matter: the unit, the order of individuals, keypoints that are never tracked, and later frames.
"""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import SCALES, any_numbers, feature_configs, layouts, numbers, outcome, same, seeds

from bams import FeatureConfig, KeypointsDataset
from bams.features.animals import animal_features
from bams.features.columns import Features
from bams.features.gaps import difference, fill_gaps
from bams.features.geometry import polar, rotate, wrap_angle
from bams.features.recording import recording_features

shapes = st.tuples(
    st.integers(1, 3), st.sampled_from((1, 2, 3, 12)), st.sampled_from((1, 2, 3, 6, 7)), st.integers(1, 3)
)
PI = np.float32(np.pi)


def check_features(found: Features, tracks: int, frames: int) -> None:
    """Axes, dtypes and names are as documented; own inputs are NaN only before the first observation."""
    assert found.inputs.shape == (tracks, frames, len(found.input_names)) and found.inputs.dtype == np.float32
    assert found.actions.shape == found.valid.shape == (tracks, frames, len(found.action_names))
    assert found.actions.dtype == np.float32 and found.valid.dtype == bool
    assert len(set(found.input_names)) == len(found.input_names)
    assert np.isfinite(found.actions).all() and not found.actions[~found.valid].any()
    assert not np.isinf(found.inputs).any()
    own = found.inputs[..., [i for i, name in enumerate(found.input_names) if "other" not in name]]
    assert np.isfinite(own[np.logical_or.accumulate(np.isfinite(own), axis=1)]).all()


@given(shapes.flatmap(any_numbers), st.sampled_from(SCALES))
def test_angles_lie_in_one_turn_and_turning_keeps_lengths(vectors: np.ndarray, turn: float):
    vectors = np.nan_to_num(vectors[..., :2] if vectors.shape[-1] > 1 else np.concatenate([vectors] * 2, -1))
    length, angle = outcome(lambda: polar(vectors), refused=False)
    assert ((angle > -PI) & (angle <= PI)).all()
    np.testing.assert_allclose(length, np.linalg.norm(vectors.astype(float), axis=-1), rtol=1e-6)
    wrapped = outcome(lambda: wrap_angle(np.full(vectors.shape[:-1], turn, np.float32)), refused=False)
    assert ((wrapped > -PI) & (wrapped <= PI)).all()
    turned = outcome(lambda: rotate(vectors, wrapped), refused=False)
    np.testing.assert_allclose(polar(turned)[0], length, rtol=1e-5)


@given(shapes.flatmap(any_numbers), layouts())
def test_gaps_hold_the_last_observation_and_are_no_movement(values: np.ndarray, lay_out):
    seen = np.isfinite(values).all(axis=-1)
    held = outcome(lambda: fill_gaps(lay_out(values), seen), refused=False)
    for track, was, row in zip(held, seen, values, strict=True):
        last = np.full(row.shape[1:], np.nan, np.float32)
        for t in range(len(row)):
            last = np.where(was[t][:, None], row[t], last)
            same(track[t], last)
    change, both = outcome(lambda: difference(lay_out(values), seen), refused=False)
    assert np.isfinite(change).all() and not change[~both].any() and not both[:, 0].any()
    assert (both[:, 1:] == (seen[:, 1:] & seen[:, :-1])).all()


@given(st.data(), shapes, layouts())
def test_features_of_any_skeleton_are_causal(data, shape, lay_out):
    keypoints = data.draw(any_numbers(shape))
    config = data.draw(feature_configs(shape[2], shape[3]))
    given_ = lay_out(keypoints).astype(np.float32, copy=False)
    found = outcome(lambda: recording_features(given_, config), refused=False)
    check_features(found, *shape[:2])
    same(np.asarray(given_), keypoints)
    early = recording_features(keypoints[:, : (shape[1] + 1) // 2], config)
    same(early.inputs, found.inputs[:, : early.inputs.shape[1]])


@given(st.data(), seeds(), st.integers(-80, 80))
@example(data=None, seed=0, power=-80)
@example(data=None, seed=0, power=80)
def test_the_unit_does_not_matter(data, seed: int, power: int):
    """Floats times a power of two are not rounded: the same bins and scaled inputs to the last bit."""
    config = data.draw(feature_configs(4)) if data else FeatureConfig(predict=("lengths", "distances"))
    keypoints = numbers((2, 30, 4, 2), seed, "walk", gaps=0.2)
    one, other = (
        outcome(lambda k=k: KeypointsDataset(k, individuals=2, config=config, hoa_bins=8), refused=False)
        for k in (keypoints, keypoints * np.float32(2.0**power))
    )
    same(other.actions, one.actions)
    same(other.valid, one.valid)
    scaled = [(made.inputs - made.statistics.centre) / made.statistics.scale for made in (one, other)]
    same(scaled[1], scaled[0])


@given(st.data(), seeds(), st.permutations(range(3)), st.sampled_from((2, 7)))
def test_the_order_of_individuals_does_not_matter(data, seed: int, order: list[int], count: int):
    config = data.draw(feature_configs(count))
    keypoints = numbers((3, 15, count, 2), seed, "walk", gaps=0.2)
    found, permuted = (
        outcome(lambda k=k: animal_features(k, config), refused=False) for k in (keypoints, keypoints[order])
    )
    for part, expected in zip(permuted[:3], found[:3], strict=True):
        same(part, expected[order])


@given(st.data(), seeds(), st.sampled_from((1, 2, 5, 7)), st.sampled_from((0, 1, -1)))
def test_a_keypoint_never_tracked_changes_no_other(data, seed: int, count: int, place: int):
    config = data.draw(feature_configs(count))
    keypoints = numbers((2, 20, count, 2), seed, "walk", gaps=0.2)
    names = [f"keypoint{i}" for i in range(count)]
    place %= count + 1
    added = np.insert(keypoints, place, np.nan, axis=2)
    options = {"individuals": 2, "config": config, "hoa_bins": 8}
    one, other = (
        outcome(lambda k=k, n=n: KeypointsDataset(k, keypoint_names=n, **options), refused=False)
        for k, n in ((keypoints, names), (added, [*names[:place], "never", *names[place:]]))
    )
    rounding = 0 if count < 7 else 1e-4  # numpy adds more than 7 numbers in another order
    for kind, parts in (("inputs", ("inputs",)), ("actions", ("actions", "valid"))):
        at = [other.feature_names[kind].index(name) for name in one.feature_names[kind]]
        for part in parts:
            found, expected = (getattr(made, part).astype(float) for made in (other, one))
            np.testing.assert_allclose(found[:, at], expected, rtol=rounding, atol=rounding)
