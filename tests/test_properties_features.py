"""Geometry and features of any keypoints: finite and of the documented axes, or refused.

The invariances: unit, lie in memory, order of the individuals, a keypoint that is never tracked, what comes later.
"""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import (
    SCALES,
    Refusal,
    any_numbers,
    feature_configs,
    layouts,
    numbers,
    outcome,
    same,
    seeds,
)

from bams import FeatureConfig, KeypointsDataset
from bams.features.animals import animal_features
from bams.features.columns import Features
from bams.features.distances import Nearest, with_nearest
from bams.features.gaps import difference, fill_gaps
from bams.features.geometry import angle_difference, egocentric, polar, rotate, wrap_angle
from bams.features.raw import keypoint_features, series_features
from bams.features.recording import recording_features
from bams.features.skeletons import Body, OrientedTable, PoseTable, Segment, oriented_features, pose_features

TABLE = PoseTable(
    ("nose", "neck", "tail"),
    (Body("head", "neck", "nose"), Body("trunk", "tail", "neck")),
    (Segment("neck-nose", "neck", "nose", "trunk"), Segment("tail-neck", "tail", "neck", "trunk")),
    ("neck-nose",),
)
ORIENTED = OrientedTable(
    ("wing",), "middle", "direction", {"area": ("px", "share")}, ("wing", "middle", "direction", "area")
)

shapes = st.tuples(
    st.integers(1, 3), st.sampled_from((1, 2, 3, 12)), st.sampled_from((1, 2, 3, 6, 7)), st.integers(1, 3)
)


def check_features(found: Features, tracks: int, frames: int) -> None:
    """Axes, kinds and names as documented; NaN in inputs alone, and only before the first sight.

    (Of the nearest other animal, which is now this one and now that, not all keypoints need have been seen.)
    """
    assert found.inputs.shape == (tracks, frames, len(found.input_names)) and found.inputs.dtype == np.float32
    assert found.actions.shape == found.valid.shape == (tracks, frames, len(found.action_names))
    assert found.actions.dtype == np.float32 and found.valid.dtype == bool
    assert len(set(found.input_names)) == len(found.input_names)
    assert np.isfinite(found.actions).all() and not found.actions[~found.valid].any()
    assert not np.isinf(found.inputs).any()
    own = found.inputs[..., [i for i, name in enumerate(found.input_names) if "other" not in name]]
    known = np.logical_or.accumulate(np.isfinite(own), axis=1)
    assert np.isfinite(own[known]).all(), "an input that was known is not known any more"


# --- geometry ---


@given(shapes.flatmap(any_numbers), st.sampled_from(SCALES))
def test_angles_and_lengths(vectors: np.ndarray, turn: float):
    vectors = np.nan_to_num(vectors[..., :2] if vectors.shape[-1] > 1 else np.concatenate([vectors] * 2, -1))
    length, angle = outcome(lambda: polar(vectors), refused=False)
    assert (np.abs(angle) <= np.float32(np.pi)).all() and (angle > -np.float32(np.pi)).all()
    np.testing.assert_allclose(length, np.linalg.norm(vectors.astype(float), axis=-1), rtol=1e-6)
    angles = np.float32(turn) * np.ones(vectors.shape[:-1], np.float32)
    wrapped = outcome(lambda: wrap_angle(angles), refused=False)
    assert (wrapped > -np.float32(np.pi)).all() and (wrapped <= np.float32(np.pi)).all()
    turned = outcome(lambda: rotate(vectors, wrapped), refused=False)
    np.testing.assert_allclose(polar(turned)[0], length, rtol=1e-5)


@given(shapes.flatmap(any_numbers), layouts())
def test_gaps_and_differences(values: np.ndarray, lay_out):
    seen = np.isfinite(values).all(axis=-1)
    held = outcome(lambda: fill_gaps(lay_out(values), seen), refused=False)
    assert held.dtype == np.float32
    for track, was, row in zip(held, seen, values, strict=True):  # the slow, plain version
        last = np.full(row.shape[1:], np.nan, np.float32)
        for t in range(len(row)):
            last = np.where(was[t][:, None], row[t], last)
            same(track[t], last)
    change, both = outcome(lambda: difference(lay_out(values), seen), refused=False)
    assert np.isfinite(change).all() and not change[~both].any() and not both[:, 0].any()
    turn, turned = outcome(
        lambda: angle_difference(wrap_angle(np.nan_to_num(values)), seen[..., None] | False), refused=False
    )
    assert (np.abs(turn) <= np.float32(np.pi)).all() and (turned[..., 0] == both).all()


# --- features ---


@given(st.data(), shapes, layouts())
def test_features_of_any_skeleton(data, shape, lay_out):
    keypoints = data.draw(any_numbers(shape))
    config = data.draw(feature_configs(shape[2], shape[3]))
    given_ = lay_out(keypoints)
    before = given_.copy()
    found = outcome(lambda: recording_features(given_.astype(np.float32, copy=False), config), refused=False)
    check_features(found, shape[0], shape[1])
    same(given_, before)
    plain = recording_features(keypoints, config)
    for part, expected in zip(found[:3], plain[:3], strict=True):
        np.testing.assert_array_equal(part, expected)
    # what comes later changes no input
    early = recording_features(keypoints[:, : (shape[1] + 1) // 2], config)
    same(early.inputs, plain.inputs[:, : early.inputs.shape[1]])


@given(st.data(), seeds(), st.integers(-80, 80))
@example(data=None, seed=0, power=-80)
@example(data=None, seed=0, power=80)
def test_the_unit_does_not_matter(data, seed: int, power: int):
    """Times a power of two, which floats do without rounding: the same bins and scaled inputs to the last bit."""
    shape = (2, 30, 4, 2)
    config = data.draw(feature_configs(4)) if data else FeatureConfig(predict=("lengths", "distances"))
    keypoints = numbers(shape, seed, "walk", gaps=0.2)
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
    for kind, parts in (("inputs", ("inputs",)), ("actions", ("actions", "valid"))):
        at = [other.feature_names[kind].index(name) for name in one.feature_names[kind]]
        for part in parts:
            # over more than 7 keypoints numpy adds in another order
            np.testing.assert_allclose(
                getattr(other, part)[:, at].astype(float),
                getattr(one, part).astype(float),
                rtol=0 if count < 7 else 1e-4,
                atol=0 if count < 7 else 1e-4,
            )


@given(shapes.flatmap(any_numbers), layouts())
def test_plain_features(keypoints: np.ndarray, lay_out):
    tracks, frames, _, dims = keypoints.shape
    check_features(outcome(lambda: keypoint_features(lay_out(keypoints)), refused=False), tracks, frames)
    series = keypoints[..., 0]
    check_features(outcome(lambda: series_features(lay_out(series)), refused=False), tracks, frames)
    wrong = ["a"] * (keypoints.shape[2] + 1)
    outcome(lambda: keypoint_features(keypoints, wrong), refused=True)
    outcome(lambda: animal_features(keypoints, names=wrong), refused=True)
    if dims == 2:
        origin, orientation = np.nan_to_num(keypoints[:, :, 0]), np.zeros((tracks, frames), np.float32)
        own = outcome(lambda: egocentric(np.nan_to_num(keypoints), origin, orientation), refused=False)
        same(own, np.nan_to_num(keypoints) - origin[:, :, None])


@given(st.data(), st.integers(1, 2), st.sampled_from((1, 2, 12)), st.integers(2, 5), layouts())
def test_features_of_tables(data, tracks: int, frames: int, count: int, lay_out):
    keypoints = data.draw(any_numbers((tracks, frames, count, 2)))
    for make, expected in (
        (lambda: pose_features(lay_out(keypoints), TABLE), 3),
        (lambda: oriented_features(lay_out(keypoints), ORIENTED), 4),
    ):
        found = outcome(make, refused=count != expected)
        if not isinstance(found, Refusal):
            check_features(found, tracks, frames)


@given(st.data(), st.integers(1, 3), st.sampled_from((1, 12)))
def test_distances_to_points(data, individuals: int, frames: int):
    keypoints = data.draw(any_numbers((individuals, frames, 3, 2)))
    points = data.draw(st.lists(st.sampled_from(("nose", "neck", "tail", "ear")), min_size=1, unique=True))
    predict = data.draw(
        st.lists(st.sampled_from(("nose-nose_distance", "neck-tail_closeness", "tail-ear_approach")), unique=True)
    )
    known = {f"{p}-{q}_{kind}" for p in points for q in points for kind in ("distance", "closeness", "approach")}
    base = pose_features(keypoints, TABLE)
    found = outcome(
        lambda: with_nearest(base, keypoints, TABLE.keypoints, Nearest(tuple(points), tuple(predict))),
        refused="ear" in points or not set(predict) <= known,
    )
    if not isinstance(found, Refusal):
        check_features(found, individuals, frames)


@given(st.data())
def test_settings_of_features_that_make_no_sense(data):
    options = data.draw(
        st.fixed_dictionaries(
            {},
            optional={
                "features": st.sampled_from(("own", "raw", "RAW")),
                "heading": st.sampled_from(("", "keypoint1:keypoint0", "a", ":", "keypoint0:keypoint0", "ü:\0")),
                "others": st.integers(-2, 5),
                "predict": st.lists(st.sampled_from(("movement", "distances", "approach", "x")), max_size=3).map(tuple),
            },
        )
    )
    config = outcome(lambda: FeatureConfig(**options))
    if isinstance(config, Refusal):
        return
    found = outcome(lambda: recording_features(numbers((2, 5, 2, 2), 0), config))
    if not isinstance(found, Refusal):
        check_features(found, 2, 5)
        assert config.heading in ("", "keypoint1:keypoint0")


def test_lengths_of_one_keypoint_are_nothing_to_predict():
    config = FeatureConfig(predict=("lengths", "distances"))
    found = outcome(lambda: animal_features(numbers((2, 5, 1, 2), 0), config), refused=True)
    assert "one keypoint" in found.sentence
