"""The simulated mice do what their causes say, and show each cause only at its own timescale."""

from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bams.simulate.mice import ACTIONS, FPS, KEYPOINTS, MODES, SimulatedMice, simulate_mice

CLIPS, MICE, FRAMES = 40, 3, 1800
AT = {name: i for i, name in enumerate(KEYPOINTS)}
ACTION = {name: i for i, name in enumerate(ACTIONS)}


@pytest.fixture(scope="module")
def mice() -> SimulatedMice:
    return simulate_mice(CLIPS, frames=FRAMES, seed=5)


@pytest.fixture(scope="module")
def true() -> SimulatedMice:
    """The same behaviour seen by a perfect tracker."""
    return simulate_mice(CLIPS, frames=FRAMES, seed=5, jitter=0, gaps=0)


def egocentric(keypoints: np.ndarray) -> np.ndarray:
    """(..., K, 2), tail base to neck along x, the animal's left at negative y."""
    axis = keypoints[..., AT["neck"], :] - keypoints[..., AT["tail_base"], :]
    cos, sin = np.moveaxis(axis / np.linalg.norm(axis, axis=-1, keepdims=True), -1, 0)[..., None]
    x, y = np.moveaxis(keypoints - keypoints[..., [AT["centre_back"]], :], -1, 0)
    return np.stack([cos * x + sin * y, cos * y - sin * x], -1)


def held_out_accuracy(features: np.ndarray, labels: np.ndarray) -> float:
    """Of a ridge classifier on clips it has not seen; features (S, ..., F), labels (S, ...)."""
    clip = np.indices(labels.shape)[0]
    features = features.reshape(labels.size, -1)
    whole = np.isfinite(features).all(1)
    labels, clip = labels.ravel()[whole], clip.ravel()[whole]
    model = make_pipeline(StandardScaler(), RidgeClassifier())
    folds = GroupKFold(5)
    return cross_val_score(model, features[whole], labels, groups=clip, cv=folds).mean()


def by_frame(per_clip: np.ndarray, like: np.ndarray) -> np.ndarray:
    return np.broadcast_to(per_clip[:, None, None], like.shape)


def runs(track: np.ndarray) -> list[tuple[int, int, int]]:
    """(value, begin, end) of each run of equal values."""
    edges = [0, *(np.flatnonzero(np.diff(track)) + 1), len(track)]
    return [(int(track[a]), a, b) for a, b in pairwise(edges)]


def test_shapes_and_types(mice):
    tracks = (CLIPS, MICE, FRAMES)
    expected = {
        "keypoints": ((*tracks, 12, 2), np.float32),
        "actions": (tracks, np.int8),
        "modes": (tracks, np.int8),
        "strain": ((CLIPS,), np.int8),
        "lights": ((CLIPS,), np.int8),
    }
    classes = ("close", "contact", "chase", "approach")
    expected |= dict.fromkeys(classes, ((CLIPS, FRAMES), np.bool_))
    found = {f.name: getattr(mice, f.name) for f in fields(mice)}
    assert {name: (array.shape, array.dtype) for name, array in found.items()} == expected
    assert set(np.unique(mice.actions)) == set(range(6))
    assert set(np.unique(mice.modes)) == set(range(3))
    # All four combinations of the causes, equally often.
    assert np.bincount(2 * mice.strain + mice.lights).tolist() == [10, 10, 10, 10]


def test_the_seed_decides_everything():
    first, same, other = (simulate_mice(2, frames=300, seed=seed) for seed in (1, 1, 2))
    for field in fields(first):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(same, field.name))
    assert not np.array_equal(first.keypoints, other.keypoints, equal_nan=True)
    assert not np.array_equal(first.actions, other.actions)


def test_the_tracker_changes_nothing_but_the_keypoints(mice, true):
    for field in fields(mice)[1:]:
        np.testing.assert_array_equal(getattr(mice, field.name), getattr(true, field.name))
    assert not np.isnan(true.keypoints).any()
    error = mice.keypoints - true.keypoints
    error = error[np.isfinite(error)]
    assert 0.9 < np.median(np.abs(error)) / 0.6745 < 1.1
    assert 1e-5 < (np.abs(error) > 10).mean() < 1e-3  # jumps


def test_modes_last_10_to_60_seconds(mice):
    lengths = [
        (end - begin) / FPS
        for track in mice.modes.reshape(-1, FRAMES)
        for _, begin, end in runs(track)
        if begin > 0 and end < FRAMES
    ]
    assert len(lengths) > 50
    assert min(lengths) >= 10
    assert max(lengths) <= 60
    assert max(lengths) > 2 * min(lengths)


def test_actions_last_a_fifth_to_3_seconds_and_longer_in_strain_1(mice):
    lengths: dict[int, list[float]] = {0: [], 1: []}
    for c in range(CLIPS):
        for actions, modes in zip(mice.actions[c], mice.modes[c], strict=True):
            for _, begin, end in runs(actions):
                assert (end - begin) / FPS <= 3
                if begin > 0 and end < FRAMES and modes[end] == modes[end - 1]:
                    lengths[int(mice.strain[c])].append((end - begin) / FPS)
    assert min(lengths[0] + lengths[1]) >= 0.2
    assert np.mean(lengths[1]) / np.mean(lengths[0]) == pytest.approx(1.6, rel=0.05)


def test_each_mode_has_its_own_actions(mice):
    share = {
        mode: np.bincount(mice.actions[mice.modes == i], minlength=6) / (mice.modes == i).sum()
        for i, mode in enumerate(MODES)
    }
    quiet = [ACTION["still"], ACTION["groom"]]
    assert share["rest"][quiet].sum() > 0.7
    assert share["explore"][quiet].sum() < 0.3
    assert share["explore"][ACTION["rear"]] > 2 * share["social"][ACTION["rear"]]
    assert share["social"][ACTION["run"]] > 1.5 * share["explore"][ACTION["run"]]


def test_gaps_are_as_trackers_make_them(mice, true):
    lost = np.isnan(mice.keypoints[..., 0])
    np.testing.assert_array_equal(lost, np.isnan(mice.keypoints[..., 1]))
    assert 0.01 < lost.mean() < 0.1
    animal = lost.all(-1)
    assert 0.005 < animal.mean() < (lost.any(-1)).mean() < 0.15
    # More often when animals are close.
    back = true.keypoints[..., AT["centre_back"], :]
    apart = np.linalg.norm(back[:, :, None] - back[:, None], axis=-1)
    apart[:, np.arange(MICE), np.arange(MICE)] = np.inf
    near = apart.min(1) < 90
    assert lost[near].mean() > 1.5 * lost[~near].mean()
    # One gap is 3 to 60 frames; only gaps that meet are longer.
    tracks = animal.reshape(-1, FRAMES)
    lengths = [b - a for track in tracks for v, a, b in runs(track) if v and a > 0 and b < FRAMES]
    assert min(lengths) >= 3
    assert 40 < np.quantile(lengths, 0.95) < 75
    more = simulate_mice(4, frames=900, seed=5, gaps=4)
    assert np.isnan(more.keypoints).mean() > 2 * lost.mean()


def test_tracked_points_lie_in_the_arena_and_are_never_the_missing_value(mice):
    # Large jitter and crowded mice push points over the walls, also into the corner (0, 0).
    wild = simulate_mice(2, frames=600, individuals=6, jitter=200, gaps=0)
    for points in (mice.keypoints, wild.keypoints):
        seen = points[np.isfinite(points[..., 0])]
        assert seen.min() >= 0
        assert seen.max() <= 850
        assert not (seen == 0).all(-1).any()
    back = mice.keypoints[..., AT["centre_back"], :]
    wall = np.minimum(back, 850 - back).min(-1)
    assert np.nanmedian(wall) > 100  # they do not all sit at the wall
    assert np.nanquantile(wall, 0.1) < 100  # nor keep away from it


def test_bodies_are_mice_seen_from_above(true):
    pose = egocentric(true.keypoints)
    walking = pose[true.actions == ACTION["walk"]]
    length = walking[:, AT["nose"], 0] - walking[:, AT["tail_base"], 0]
    assert 70 < np.median(length) < 90
    order = ("nose", "left_ear", "neck", "centre_back", "left_hindpaw", "tail_base", "tail_tip")
    assert (np.diff(np.median(walking[:, [AT[n] for n in order], 0], 0)) < 0).all()
    for part in ("ear", "forepaw", "hindpaw"):
        assert np.median(walking[:, AT[f"left_{part}"], 1]) < -5
        assert np.median(walking[:, AT[f"right_{part}"], 1]) > 5
    forepaws = walking[:, [AT["left_forepaw"], AT["right_forepaw"]], 0]
    assert np.corrcoef(forepaws.T)[0, 1] < -0.5  # paws alternate
    for action in ("groom", "rear"):
        short = pose[true.actions == ACTION[action]]
        assert np.median(short[:, 0, 0] - short[:, AT["tail_base"], 0]) < 0.98 * np.median(length)


def short_windows(mice: SimulatedMice) -> tuple[np.ndarray, np.ndarray]:
    """Pose, speed, rotation and limb motion of 9 frames (S, A, windows, F); action in the middle.

    The distance of each from its median comes along, so that a linear model can tell the middle
    of a range (walking pace) from its ends.
    """
    pose = egocentric(mice.keypoints)
    middle = np.arange(10, FRAMES - 10, 30)
    window = middle[:, None] + np.arange(-4, 5)
    back = mice.keypoints[..., AT["centre_back"], :]
    speed = np.linalg.norm(back[:, :, middle + 4] - back[:, :, middle - 4], axis=-1)
    axis = mice.keypoints[..., AT["neck"], :] - mice.keypoints[..., AT["tail_base"], :]
    angle = np.arctan2(axis[..., 1], axis[..., 0])
    rotation = np.abs(np.exp(1j * angle[:, :, middle + 4]) - np.exp(1j * angle[:, :, middle - 4]))
    paws = pose[..., [AT["left_forepaw"], AT["right_forepaw"]], 0][:, :, window].std(3)
    points = pose[:, :, window].mean(3).reshape(*speed.shape, -1)
    features = np.concatenate([points, speed[..., None], rotation[..., None], paws], -1)
    centre = np.nanmedian(features, (0, 1, 2))
    features = np.concatenate([features, np.abs(features - centre)], -1)
    return features, mice.actions[:, :, middle]


def test_actions_are_seen_in_short_windows(mice):
    features, actions = short_windows(mice)
    assert np.bincount(actions.ravel()).max() / actions.size < 0.4
    assert held_out_accuracy(features, actions) > 0.8


def test_actions_move_as_they_are_called(true):
    back = true.keypoints[..., AT["centre_back"], :]
    speed = np.linalg.norm(np.diff(back, axis=2), axis=-1)
    typical = {a: np.median(speed[true.actions[:, :, 1:] == i]) for a, i in ACTION.items()}
    assert typical["run"] > 1.2 * typical["walk"] > 4
    assert max(typical[a] for a in ("still", "turn", "groom", "rear")) < 1
    axis = true.keypoints[..., AT["neck"], :] - true.keypoints[..., AT["tail_base"], :]
    turned = np.abs(np.diff(np.unwrap(np.arctan2(axis[..., 1], axis[..., 0])), axis=2))
    turned = {a: np.median(turned[true.actions[:, :, 1:] == i]) for a, i in ACTION.items()}
    assert turned["turn"] > 3 * max(turned[a] for a in ("still", "groom", "rear"))


def test_strain_is_not_in_a_single_frame(mice):
    # Bodies differ, so that many short clips say more than a few long ones.
    many = simulate_mice(300, frames=61, seed=5)
    frame, actions = egocentric(many.keypoints)[:, :, ::15], many.actions[:, :, ::15]
    assert 0.44 < held_out_accuracy(frame, by_frame(many.strain, actions)) < 0.56
    # The same frames do show something of the action, so the read-out works.
    assert held_out_accuracy(frame, actions) > 1.3 * (actions == ACTION["walk"]).mean()
    # Neither do shares of actions nor speeds tell strains apart.
    zero, one = (mice.strain == s for s in (0, 1))
    share = [np.bincount(mice.actions[of].ravel()) / mice.actions[of].size for of in (zero, one)]
    np.testing.assert_allclose(*share, atol=0.04)
    back = mice.keypoints[..., AT["centre_back"], :]
    speed = np.linalg.norm(np.diff(back, axis=2), axis=-1)
    fast = [np.nanquantile(speed[of], [0.5, 0.75, 0.9]) for of in (zero, one)]
    np.testing.assert_allclose(*fast, rtol=0.1)


def test_strain_is_in_the_gait_of_one_mouse(true):
    pose = egocentric(true.keypoints)[..., 0]
    swing = pose[..., AT["left_forepaw"]] - pose[..., AT["right_forepaw"]]
    swing = swing.reshape(CLIPS, MICE, 3, -1)  # 20 s
    power = np.abs(np.fft.rfft(swing - swing.mean(-1, keepdims=True))) ** 2
    hertz = np.fft.rfftfreq(swing.shape[-1], 1 / FPS)
    slow, fast = (power[..., np.abs(hertz - f) < 0.8].sum(-1) for f in (3, 5))
    assert ((fast > slow) == by_frame(true.strain, slow)).mean() > 0.95


def test_strain_is_in_the_number_of_bouts_of_one_mouse(mice):
    starts = (np.diff(mice.actions) != 0).sum(-1)
    rest = (mice.modes == 0).mean(-1)
    labels = np.broadcast_to(mice.strain[:, None], starts.shape)
    assert held_out_accuracy(np.stack([np.log(starts), rest], -1), labels) > 0.9


def test_lights_are_in_the_modes(mice):
    labels = np.broadcast_to(mice.lights[:, None], mice.modes.shape[:2])
    rest = (mice.modes == 0).mean(-1)
    assert ((rest > 0.4) == labels).mean() > 0.9
    # Which mode follows which: from explore to rest with lights on, to social without.
    explore = mice.modes[..., :-1] == 1
    leaves = explore & (mice.modes[..., 1:] != 1)
    rests = mice.modes[..., 1:] == 0
    to_rest = [rests[of][leaves[of]].mean() for of in (mice.lights == 0, mice.lights == 1)]
    assert to_rest[0] < 0.4
    assert to_rest[1] > 0.7


def test_social_classes_agree_with_the_true_poses(true):
    points = true.keypoints
    back = points[..., AT["centre_back"], :]
    close = np.zeros((CLIPS, FRAMES), bool)
    contact, social = np.zeros_like(close), (true.modes == MODES.index("social")).any(1)
    for i in range(MICE):
        for j in set(range(MICE)) - {i}:
            close |= np.linalg.norm(back[:, i] - back[:, j], axis=-1) < 1.5 * 90
            to_nose = np.linalg.norm(points[:, i, :, :1] - points[:, j], axis=-1)
            contact |= to_nose.min(-1) < 0.2 * 90
    # Rounding to float32 may move a frame over the threshold.
    assert (close != true.close).mean() < 1e-3
    assert (contact != true.contact).mean() < 1e-3
    for name in ("close", "contact", "chase", "approach"):
        assert 0.02 < getattr(true, name).mean() < 0.6, name
    for name in ("chase", "approach"):
        assert social[getattr(true, name)].all(), name


def test_a_chase_has_two_moving_mice_and_an_approach_ends_nearer(true):
    back = true.keypoints[..., AT["centre_back"], :]
    speed = np.sort(np.linalg.norm(back[:, :, 5:] - back[:, :, :-5], axis=-1) / 5, axis=1)
    assert (speed[:, 1][true.chase[:, 5:]] > 1.9).all()
    pairs = np.stack([np.linalg.norm(back[:, i] - back[:, (i + 1) % 3], axis=-1) for i in range(3)])
    shrinks = (pairs[..., 5:] - pairs[..., :-5]).min(0) / 5
    assert (shrinks[true.approach[:, 5:]] < -0.9).mean() > 0.99


@pytest.mark.parametrize("individuals", [1, 2, 5])
def test_any_number_of_individuals(individuals):
    mice = simulate_mice(2, frames=900, individuals=individuals, seed=3)
    assert mice.keypoints.shape == (2, individuals, 900, 12, 2)
    assert np.isfinite(mice.keypoints).mean() > 0.8
    assert mice.close.any() == (individuals > 1)


@pytest.mark.parametrize(("clips", "frames"), [(1, 1), (3, 2), (1, 7000)])
def test_short_and_long_clips(clips, frames):
    mice = simulate_mice(clips, frames=frames, gaps=0)
    assert mice.keypoints.shape == (clips, 3, frames, 12, 2)
    assert np.isfinite(mice.keypoints).all()
    if frames > 5000:
        assert all(len(np.unique(track)) == 3 for track in mice.modes[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clips": 0}, "clips must be a whole number of at least 1, got 0"),
        ({"clips": 2.5}, "clips must be a whole number"),
        ({"clips": 1, "frames": 0}, "frames must be a whole number"),
        ({"clips": 1, "individuals": -1}, "individuals must be a whole number"),
        ({"clips": 1, "seed": -1}, "seed must be a whole number of at least 0"),
        ({"clips": 1, "jitter": -0.5}, "jitter must be finite and not negative"),
        ({"clips": 1, "gaps": float("nan")}, "gaps must be finite and not negative"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate_mice(**arguments)
