"""The simulated mice do what their causes say, and show each cause only at its own timescale."""

from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bams.simulate.mice import ACTIONS, BACK, FPS, KEYPOINTS, MODES, SimulatedMice, simulate_mice

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


def heading(keypoints: np.ndarray) -> np.ndarray:
    """From the tail base to the neck, in radians."""
    x, y = np.moveaxis(keypoints[..., AT["neck"], :] - keypoints[..., AT["tail_base"], :], -1, 0)
    return np.arctan2(y, x)


def egocentric(keypoints: np.ndarray) -> np.ndarray:
    """(..., K, 2), tail base to neck along x, the animal's left at negative y."""
    angle = heading(keypoints)[..., None]
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = np.moveaxis(keypoints - keypoints[..., [BACK], :], -1, 0)
    return np.stack([cos * x + sin * y, cos * y - sin * x], -1)


def speeds(keypoints: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.diff(keypoints[..., BACK, :], axis=2), axis=-1)


def held_out_accuracy(features: np.ndarray, labels: np.ndarray) -> float:
    """Of a ridge classifier on held-out clips; features (S, ..., F), labels (S, ...)."""
    clip = np.indices(labels.shape)[0]
    features = features.reshape(labels.size, -1)
    whole = np.isfinite(features).all(1)
    labels, clip = labels.ravel()[whole], clip.ravel()[whole]
    model = make_pipeline(StandardScaler(), RidgeClassifier())
    return cross_val_score(model, features[whole], labels, groups=clip, cv=GroupKFold(5)).mean()


def by_track(per_clip: np.ndarray, like: np.ndarray) -> np.ndarray:
    return np.broadcast_to(per_clip.reshape(-1, *[1] * (like.ndim - 1)), like.shape)


def runs(track: np.ndarray) -> list[tuple[int, int, int]]:
    """(value, begin, end) of each run of equal values."""
    edges = [0, *(np.flatnonzero(np.diff(track)) + 1), len(track)]
    return [(int(track[a]), a, b) for a, b in pairwise(edges)]


def test_shapes_and_types(mice):
    tracks = (CLIPS, MICE, FRAMES)
    expected = {"keypoints": ((*tracks, 12, 2), np.float32)} | dict.fromkeys(("actions", "modes"), (tracks, np.int8))
    expected |= dict.fromkeys(("strain", "lights"), ((CLIPS,), np.int8))
    expected |= dict.fromkeys(("close", "contact", "chase", "approach"), ((CLIPS, FRAMES), np.bool_))
    assert {f.name: (getattr(mice, f.name).shape, getattr(mice, f.name).dtype) for f in fields(mice)} == expected
    assert set(np.unique(mice.actions)) == set(range(6)) and set(np.unique(mice.modes)) == set(range(3))
    # all four combinations of the causes, equally often
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
    error = np.abs(error[np.isfinite(error)])
    assert 0.9 < np.median(error) / 0.6745 < 1.1
    assert 1e-5 < (error > 10).mean() < 1e-3  # jumps


def test_modes_last_10_to_60_seconds(mice):
    lengths = [(b - a) / FPS for track in mice.modes.reshape(-1, FRAMES) for _, a, b in runs(track) if a and b < FRAMES]
    assert len(lengths) > 50 and 10 <= min(lengths) < max(lengths) / 2 <= 30


def test_actions_last_a_fifth_to_3_seconds_and_longer_in_strain_1(mice):
    lengths = [], []
    for c, a in np.ndindex(CLIPS, MICE):
        modes = mice.modes[c, a]
        for _, begin, end in runs(mice.actions[c, a]):
            assert (end - begin) / FPS <= 3
            if begin > 0 and end < FRAMES and modes[end] == modes[end - 1]:
                lengths[mice.strain[c]].append((end - begin) / FPS)
    assert min(lengths[0] + lengths[1]) >= 0.2
    assert np.mean(lengths[1]) / np.mean(lengths[0]) == pytest.approx(1.6, rel=0.05)


def test_each_mode_has_its_own_actions(mice):
    counts = {mode: np.bincount(mice.actions[mice.modes == i], minlength=6) for i, mode in enumerate(MODES)}
    share = {mode: count / count.sum() for mode, count in counts.items()}
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
    back = true.keypoints[..., BACK, :]
    near = (np.linalg.norm(back[:, :, None] - back[:, None], axis=-1) < 90).sum(1) > 1  # each is near itself
    assert lost[near].mean() > 1.5 * lost[~near].mean()
    # one gap is 3 to 60 frames; only gaps that meet are longer
    tracks = animal.reshape(-1, FRAMES)
    lengths = [b - a for track in tracks for v, a, b in runs(track) if v and a > 0 and b < FRAMES]
    assert min(lengths) >= 3 and 40 < np.quantile(lengths, 0.95) < 75
    more = simulate_mice(4, frames=900, seed=5, gaps=4)
    assert np.isnan(more.keypoints).mean() > 2 * lost.mean()


def test_tracked_points_lie_in_the_arena_and_are_never_the_missing_value(mice):
    # large jitter and crowded mice push points over the walls, also into the corner (0, 0)
    wild = simulate_mice(2, frames=600, individuals=6, jitter=200, gaps=0)
    for points in (mice.keypoints, wild.keypoints):
        seen = points[np.isfinite(points[..., 0])]
        assert 0 < seen.min() < seen.max() < 850
    back = mice.keypoints[..., BACK, :]
    wall = np.minimum(back, 850 - back).min(-1)
    assert np.nanquantile(wall, 0.1) < 100 < np.nanmedian(wall)  # neither all at the wall nor all away from it


def test_bodies_are_mice_seen_from_above(true):
    walking = egocentric(true.keypoints)[true.actions == ACTION["walk"]]
    assert 70 < np.median(walking[:, AT["nose"], 0] - walking[:, AT["tail_base"], 0]) < 90
    order = ("nose", "left_ear", "neck", "centre_back", "left_hindpaw", "tail_base", "tail_tip")
    assert (np.diff(np.median(walking[:, [AT[n] for n in order], 0], 0)) < 0).all()
    for part in ("ear", "forepaw", "hindpaw"):
        assert np.median(walking[:, AT[f"left_{part}"], 1]) < -5
        assert np.median(walking[:, AT[f"right_{part}"], 1]) > 5
    forepaws = walking[:, [AT["left_forepaw"], AT["right_forepaw"]], 0]
    assert np.corrcoef(forepaws.T)[0, 1] < -0.5  # paws alternate


def test_actions_are_seen_in_short_windows(mice):
    """Pose, speed, rotation and limb motion of 9 frames give the action in their middle."""
    pose, points = egocentric(mice.keypoints), mice.keypoints[..., BACK, :]
    middle = np.arange(10, FRAMES - 10, 30)
    window = middle[:, None] + np.arange(-4, 5)
    speed = np.linalg.norm(points[:, :, middle + 4] - points[:, :, middle - 4], axis=-1)
    turned = np.exp(1j * heading(mice.keypoints))
    rotation = np.abs(turned[:, :, middle + 4] - turned[:, :, middle - 4])
    paws = pose[..., [AT["left_forepaw"], AT["right_forepaw"]], 0][:, :, window].std(3)
    means = pose[:, :, window].mean(3).reshape(*speed.shape, -1)
    features = np.concatenate([means, speed[..., None], rotation[..., None], paws], -1)
    # distances from the median, so that a linear model can tell the middle of a range (walking pace) from its ends
    features = np.concatenate([features, np.abs(features - np.nanmedian(features, (0, 1, 2)))], -1)
    actions = mice.actions[:, :, middle]
    assert np.bincount(actions.ravel()).max() / actions.size < 0.4
    assert held_out_accuracy(features, actions) > 0.8


def test_actions_move_as_they_are_called(true):
    turns = np.abs(np.diff(np.unwrap(heading(true.keypoints)), axis=2))
    speed, turned = (
        {a: np.median(values[true.actions[:, :, 1:] == i]) for a, i in ACTION.items()}
        for values in (speeds(true.keypoints), turns)
    )
    assert speed["run"] > 1.2 * speed["walk"] > 4
    assert max(speed[a] for a in ("still", "turn", "groom", "rear")) < 1
    assert turned["turn"] > 3 * max(turned[a] for a in ("still", "groom", "rear"))


def test_strain_is_not_in_a_single_frame(mice):
    # bodies differ, so that many short clips say more than a few long ones
    many = simulate_mice(300, frames=61, seed=5)
    frame, actions = egocentric(many.keypoints)[:, :, ::15], many.actions[:, :, ::15]
    assert 0.44 < held_out_accuracy(frame, by_track(many.strain, actions)) < 0.56
    # the same frames do show something of the action, so the read-out works
    assert held_out_accuracy(frame, actions) > 1.3 * (actions == ACTION["walk"]).mean()
    # neither do shares of actions nor speeds tell strains apart
    of_strain = [mice.strain == 0, mice.strain == 1]
    share = [np.bincount(mice.actions[of].ravel()) / mice.actions[of].size for of in of_strain]
    np.testing.assert_allclose(*share, atol=0.04)
    speed = speeds(mice.keypoints)
    fast = [np.nanquantile(speed[of], [0.5, 0.75, 0.9]) for of in of_strain]
    np.testing.assert_allclose(*fast, rtol=0.1)


def test_strain_is_in_the_gait_and_the_number_of_bouts_of_one_mouse(true, mice):
    pose = egocentric(true.keypoints)[..., 0]
    swing = pose[..., AT["left_forepaw"]] - pose[..., AT["right_forepaw"]]
    swing = swing.reshape(CLIPS, MICE, 3, -1)  # 20 s
    power = np.abs(np.fft.rfft(swing - swing.mean(-1, keepdims=True))) ** 2
    hertz = np.fft.rfftfreq(swing.shape[-1], 1 / FPS)
    slow, fast = (power[..., np.abs(hertz - f) < 0.8].sum(-1) for f in (3, 5))
    assert ((fast > slow) == by_track(true.strain, slow)).mean() > 0.95
    starts, rest = (np.diff(mice.actions) != 0).sum(-1), (mice.modes == 0).mean(-1)
    assert held_out_accuracy(np.stack([np.log(starts), rest], -1), by_track(mice.strain, rest)) > 0.9


def test_lights_are_in_the_modes(mice):
    rest = (mice.modes == 0).mean(-1)
    assert ((rest > 0.4) == by_track(mice.lights, rest)).mean() > 0.9
    # which mode follows which: from explore to rest with lights on, to social without
    leaves = (mice.modes[..., :-1] == 1) & (mice.modes[..., 1:] != 1)
    rests = mice.modes[..., 1:] == 0
    to_rest = [rests[of][leaves[of]].mean() for of in (mice.lights == 0, mice.lights == 1)]
    assert to_rest[0] < 0.4 < 0.7 < to_rest[1]


def test_social_classes_agree_with_the_true_poses(true):
    points, back = true.keypoints, true.keypoints[..., BACK, :]
    close, contact = np.zeros((2, CLIPS, FRAMES), bool)
    for i, j in np.argwhere(~np.eye(MICE, dtype=bool)):
        close |= np.linalg.norm(back[:, i] - back[:, j], axis=-1) < 1.5 * 90
        contact |= np.linalg.norm(points[:, i, :, :1] - points[:, j], axis=-1).min(-1) < 0.2 * 90
    # rounding to float32 may move a frame over the threshold
    assert (close != true.close).mean() < 1e-3
    assert (contact != true.contact).mean() < 1e-3
    for name in ("close", "contact", "chase", "approach"):
        assert 0.02 < getattr(true, name).mean() < 0.6, name
    social = (true.modes == MODES.index("social")).any(1)
    assert social[true.chase | true.approach].all()
    # a chase has two moving mice, and an approach ends nearer
    speed = np.sort(np.linalg.norm(back[:, :, 5:] - back[:, :, :-5], axis=-1) / 5, axis=1)
    assert (speed[:, 1][true.chase[:, 5:]] > 1.9).all()
    pairs = np.stack([np.linalg.norm(back[:, i] - back[:, (i + 1) % 3], axis=-1) for i in range(3)])
    shrinks = (pairs[..., 5:] - pairs[..., :-5]).min(0) / 5
    assert (shrinks[true.approach[:, 5:]] < -0.9).mean() > 0.99


@pytest.mark.parametrize(
    ("clips", "individuals", "frames"), [(2, 1, 900), (2, 2, 900), (2, 5, 900), (1, 3, 1), (3, 3, 2), (1, 3, 7000)]
)
def test_any_number_of_individuals_and_frames(clips, individuals, frames):
    mice = simulate_mice(clips, frames=frames, individuals=individuals, seed=3, gaps=0)
    assert mice.keypoints.shape == (clips, individuals, frames, 12, 2)
    assert np.isfinite(mice.keypoints).all()
    assert frames < 900 or mice.close.any() == (individuals > 1)
    assert frames < 5000 or all(len(np.unique(track)) == 3 for track in mice.modes[0])


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="clips must be a whole number of at least 1, got 0"):
        simulate_mice(0)
    with pytest.raises(ValueError, match="gaps must be finite and not negative"):
        simulate_mice(1, gaps=-1)
