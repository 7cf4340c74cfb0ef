"""Fly groups: their simulation, features in the fly's own frame, and files in the form of MABe 2022."""

import re
import shutil
from itertools import pairwise

import numpy as np
import pytest

import fruit_flies
from bams.app import cli
from bams.app import mabe as mabe_jobs
from bams.data import KeypointsDataset
from bams.data.split import choose_parts, with_somebody, without_absent
from bams.embed.pooled import embed_table, standardise
from bams.features.skeletons import OrientedTable, oriented_features
from bams.mabe import files as mabe_files
from bams.mabe.simulated import simulate_fly_files
from bams.simulate.flies import ACTIONS, ARENA, FPS, MODES, SimulatedFlies, simulate_flies
from bams.storage import files

NAN = np.nan
CLIPS, FRAMES = 6, 1500
GROOM, WALK, SING = (ACTIONS.index(name) for name in ("groom", "walk", "sing"))


@pytest.fixture(scope="module")
def flies() -> SimulatedFlies:
    return simulate_flies(CLIPS, frames=FRAMES, seed=3)


@pytest.fixture(scope="module")
def true() -> SimulatedFlies:
    """The same behaviour seen by a perfect tracker."""
    return simulate_flies(CLIPS, frames=FRAMES, seed=3, jitter=0, gaps=0)


# --- simulation --------------------------------------------------------------------------------


def test_9_to_11_flies_are_there_and_empty_slots_have_no_causes(flies, true):
    assert (flies.keypoints.shape, flies.keypoints.dtype) == ((CLIPS, 11, FRAMES, 24, 2), np.float32)
    seen = np.isfinite(flies.keypoints).any(axis=(2, 3, 4))
    assert set(seen.sum(axis=1)) <= {9, 10, 11} and len(set(seen.sum(axis=1))) > 1
    np.testing.assert_array_equal(seen, flies.sex >= 0)
    np.testing.assert_array_equal(np.isfinite(true.keypoints).all(axis=(2, 3, 4)), seen)
    for cause in (flies.actions, flies.modes):
        assert (cause[~seen] == -1).all() and (cause[seen] >= 0).all()
    assert not flies.chase[~seen].any()


def test_the_seed_decides_everything_and_the_tracker_changes_only_what_is_seen(flies, true):
    same, other = (simulate_flies(CLIPS, frames=FRAMES, seed=seed) for seed in (3, 4))
    np.testing.assert_array_equal(same.keypoints, flies.keypoints)
    assert not np.array_equal(other.actions, flies.actions)
    for name in ("actions", "modes", "sex", "strain", "light", "chase"):
        np.testing.assert_array_equal(getattr(flies, name), getattr(true, name))


def test_measures_are_what_they_are_called(true):
    place = np.moveaxis(true.keypoints[true.sex >= 0], 2, 0)
    np.testing.assert_allclose(np.linalg.norm(place[20], axis=-1), 1, rtol=1e-5)
    body = place[2] - place[7]
    np.testing.assert_allclose(body / np.linalg.norm(body, axis=-1, keepdims=True), place[20], atol=1e-4)
    np.testing.assert_allclose(place[22][..., 0], np.pi / 4 * place[21].prod(axis=-1), rtol=1e-4)
    assert (np.linalg.norm(place[19], axis=-1) < ARENA).all()


def test_flies_move_as_their_actions_are_called(true):
    there = true.sex >= 0
    speed = np.linalg.norm(np.diff(true.keypoints[there][..., 19, :], axis=1), axis=-1) * FPS
    actions = true.actions[there][:, 1:]
    assert speed[actions == WALK].mean() > 5 * np.median(speed[actions == GROOM])
    assert speed[actions == WALK].mean() < 30  # mm per second
    spread = np.abs(own_places(true.keypoints[there])[..., :2, 1]).max(axis=-1)[:, 1:]  # of the wings, across
    assert spread[actions == SING].mean() > 1.5 * spread[actions == WALK].mean()


def own_places(pairs: np.ndarray) -> np.ndarray:
    """(N, T, 19, 2): the points in the fly's own frame."""
    found = oriented_features(pairs, fruit_flies.FEATURES)
    first = found.input_names.index("point0.x")
    return found.inputs[..., first : first + 38].reshape(*pairs.shape[:2], 19, 2)


@pytest.mark.slow
def test_sex_and_light_are_in_what_flies_do():
    flies = simulate_flies(12, frames=4500, seed=0, jitter=0, gaps=0)
    social = flies.modes == MODES.index("social")
    assert social[flies.sex == 0].mean() > 1.4 * social[flies.sex == 1].mean()
    assert not (flies.actions[flies.sex == 1] == SING).any()
    chased = flies.chase.mean(axis=1)
    assert chased[flies.light == 1].mean() > 1.5 * chased[flies.light == 0].mean()
    assert 0.1 < flies.chase.any(axis=1).mean() < 0.6


def test_strain_is_in_the_rhythm_of_the_legs_and_in_no_size(true):
    rates, sizes = np.zeros((2, CLIPS))
    for i, (clip, actions) in enumerate(zip(true.keypoints, true.actions, strict=True)):
        there = (actions >= 0).all(axis=1)
        speed = np.gradient(own_places(clip[there])[:, :, 13, 0], axis=1)  # of the right front leg, along the body
        walking = actions[there] == WALK
        crossings = (np.diff(np.sign(speed), axis=1) != 0) & walking[:, 1:]
        rates[i] = crossings.sum() / walking.sum() * FPS / 2
        sizes[i] = clip[there][..., 21, 0].mean()
    slow = true.strain == 0
    assert rates[slow].max() < rates[~slow].min()
    assert abs(sizes[slow].mean() - sizes[~slow].mean()) < 0.2


@pytest.mark.parametrize("wrong", [{"clips": 0}, {"frames": 0}, {"seed": -1}, {"jitter": -1.0}, {"gaps": NAN}], ids=str)
def test_bad_arguments_are_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        simulate_flies(**{"clips": 1, **wrong})


# --- features ----------------------------------------------------------------------------------

TABLE = OrientedTable(
    points=("head",), centre="centre", orientation="looks", measures={"size": ("long", "wide")},
    order=("head", "centre", "looks", "size"),
)  # fmt: skip


def by_hand() -> np.ndarray:
    """One animal, 3 frames: it looks along y, goes 2 forward and 1 to its right, then turns left on the spot."""
    heads, centres = [[0, 1], [1, 3], [0, 2]], [[0, 0], [1, 2], [1, 2]]
    looks, sizes = [[0, 1], [0, 1], [-1, 0]], [[3, 1], [3, 1], [4, 1]]
    return np.stack([heads, centres, looks, sizes], axis=1).astype(np.float32)[None]


def column(found, name: str, kind: str = "input") -> np.ndarray:
    return getattr(found, f"{kind}s")[0, :, getattr(found, f"{kind}_names").index(name)]


def test_features_by_hand():
    found = oriented_features(by_hand(), TABLE)
    expected = {
        "centre.x": [0, 1, 1], "centre.y": [0, 2, 2], "centre.cos": [0, 0, -1], "centre.sin": [1, 1, 0],
        "centre.forward": [0, 2, 0], "centre.sideways": [0, -1, 0], "centre.turn": [0, 0, np.pi / 2],
        "head.x": [1, 1, 1], "head.y": [0, 0, 0], "head.x_change": [0, 0, 0], "head.y_change": [0, 0, 0],
        "size.long": [3, 3, 4], "size.wide": [1, 1, 1],
    }  # fmt: skip
    for name, values in expected.items():
        np.testing.assert_allclose(column(found, name), values, atol=1e-5, err_msg=name)
    assert found.inputs.shape[-1] == len(found.input_names) == len(expected) + 4
    assert found.action_names == (*MOVES, "centre.turn", *HEAD)
    assert found.valid[0].tolist() == [[False] * 5, [True] * 5, [True] * 5]
    for name in found.action_names:
        np.testing.assert_array_equal(column(found, name, "action"), column(found, name))
    with pytest.raises(ValueError, match="3 pairs; the table names 4"):
        oriented_features(by_hand()[:, :, :3], TABLE)


def test_orientation_and_measures_are_no_actions(flies):
    found = oriented_features(flies.keypoints[0], fruit_flies.FEATURES)
    assert len(found.action_names) == 3 + 2 * 19
    assert not any(part in name for name in found.action_names for part in ("orient", "axis", "area", "contrast"))
    assert {"axis_lengths.major", "areas.foreground", "contrasts.second"} <= set(found.input_names)


MOVES, HEAD = ["centre.forward", "centre.sideways"], ["head.x_change", "head.y_change"]


@pytest.mark.parametrize(
    ("pair", "lost"),
    [("head", HEAD), ("centre", MOVES + HEAD), ("looks", [*MOVES, "centre.turn", *HEAD]), ("size", [])],
)
def test_a_lost_pair_silences_what_uses_it_and_never_looks_like_a_jump(pair, lost):
    pairs = np.repeat(by_hand(), 2, axis=1)  # six frames
    pairs[0, 2:4, TABLE.order.index(pair)] = NAN
    found = oriented_features(pairs, TABLE)
    for i, name in enumerate(found.action_names):
        # across the gap nothing is known; an orientation at the second frame alone suffices for the way gone
        silent = found.valid[0, 2:4, i]
        assert not silent.any() if name in lost else silent.all(), name
        assert (column(found, name, "action")[~found.valid[0, :, i]] == 0).all()
    assert column(found, f"{pair}_observed").tolist() == [1, 1, 0, 0, 1, 1]
    assert np.isfinite(found.inputs).all()


def test_features_do_not_depend_on_where_the_fly_is_nor_on_the_future(flies):
    pairs = flies.keypoints[0][flies.sex[0] >= 0][:3, :400]
    found = oriented_features(pairs, fruit_flies.FEATURES)
    quarter = np.stack([-pairs[..., 1], pairs[..., 0]], -1)
    moved = pairs.copy()
    moved[..., :21, :] = quarter[..., :21, :]
    moved[..., :20, :] += 7
    other = oriented_features(moved, fruit_flies.FEATURES)
    np.testing.assert_allclose(other.actions, found.actions, atol=2e-4)
    np.testing.assert_array_equal(other.valid, found.valid)
    np.testing.assert_allclose(other.inputs[..., 4:], found.inputs[..., 4:], atol=2e-4)
    early = oriented_features(pairs[:, :150], fruit_flies.FEATURES)
    np.testing.assert_array_equal(early.inputs, found.inputs[:, :150])
    np.testing.assert_array_equal(early.valid, found.valid[:, :150])


# --- tracks, files and groups ------------------------------------------------------------------


def test_an_absent_individual_is_no_track(flies):
    clips = [*flies.keypoints[:2], np.full_like(flies.keypoints[0], NAN)]
    assert with_somebody(clips) == [0, 1]
    kept = [without_absent(clip) for clip in clips]
    assert [len(clip) for clip in kept] == [*(flies.sex[:2] >= 0).sum(axis=1).tolist(), 0]
    np.testing.assert_array_equal(kept[0], clips[0][flies.sex[0] >= 0])
    with pytest.raises(ValueError, match="no individual is tracked"):
        with_somebody(clips[2:])


def test_no_training_track_is_empty(flies):
    clips = list(flies.keypoints)
    parts = [
        KeypointsDataset.of_recordings([without_absent(clips[i]) for i in part], config=fruit_flies.FEATURES)
        for part in choose_parts(clips, 131, 0.1, 0)
    ]
    assert sum(part.n_tracks for part in parts) == (flies.sex >= 0).sum()
    for part in parts:
        assert all(part.valid[a:b].any() for a, b in pairwise(part.starts))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    root = tmp_path_factory.mktemp("flies") / "new"
    simulate_fly_files(root, 3, 300)
    return root


def test_simulated_files_have_the_names_and_form_of_the_real_ones(simulated):
    train, test = (np.load(simulated / f"fly_group_{kind}.npy", allow_pickle=True).item() for kind in ("train", "test"))
    names = [*train["sequences"], *test["sequences"]]
    assert len(set(names)) == len(names) and all(re.fullmatch(r"[A-Z0-9]{20}", name) for name in names)
    for sequence in (*train["sequences"].values(), *test["sequences"].values()):
        assert (sequence["keypoints"].shape, sequence["keypoints"].dtype) == ((300, 11, 24, 2), np.float32)
    assert "vocabulary" in train and "vocabulary" not in test


def test_labels_and_frame_map_are_those_of_the_test_clips(simulated):
    ids, clips = mabe_jobs.load_clips(fruit_flies.FLIES, simulated / "fly_group_test.npy")
    flies = simulate_flies(3, frames=300, seed=1)
    np.testing.assert_array_equal(np.stack(clips), flies.keypoints)
    rows = mabe_files.read_frame_map(simulated / "flies_frame_number_map.npy")
    mabe_files.check_frame_map(rows, ids, [300] * 3, "map")
    labels = files.read_pickled_dict(simulated / "fly_groups_test_labels.npy")
    assert labels["frame_number_map"] == rows
    found = dict(zip(labels["vocabulary"], labels["label_array"], strict=True))
    assert set(labels["task_type"]) == {"Discrete", "Continious"}
    for i, name in enumerate(ids):
        span = slice(*rows[name])
        assert (found["strain"][span] == flies.strain[i]).all()
        np.testing.assert_array_equal(found["light"][span], flies.light[i])
        np.testing.assert_array_equal(found["chases"][span], flies.chase[i].any(axis=0))
        for fly in range(3):
            expected = flies.chase[i, fly] if flies.sex[i, fly] >= 0 else np.full(300, NAN)
            np.testing.assert_array_equal(found[f"perframe_chase_singletask_fly_{fly}"][span], expected)
    causes = files.read_arrays(simulated / "fly_group_test_causes.npz")
    assert {*causes} == {"actions", "modes", "sex", "strain", "light"}
    for name, array in causes.items():
        np.testing.assert_array_equal(array, getattr(flies, name))


def test_zeros_are_values_in_fly_files_and_missing_in_those_of_mice(tmp_path):
    np.save(tmp_path / "a.npy", {"sequences": {"A": {"keypoints": np.zeros((2, 11, 24, 2), np.float32)}}})
    _, (clip,) = mabe_jobs.load_clips(fruit_flies.FLIES, tmp_path / "a.npy")
    assert (clip == 0).all()
    _, (clip,) = mabe_files.load_sequences(tmp_path / "a.npy", keypoints=24, individuals=11)
    assert np.isnan(clip).all()


def test_features_whose_held_out_part_is_lost_are_made_again(simulated, tmp_path, capsys):
    argv = ["--data_root", str(simulated), "--cache_path", str(tmp_path), "--skip_frames", "10", "--hoa_window", "5"]
    settings, path = cli.parse(argv, "", "fly_group", mabe_jobs.GroupConfig), simulated / "fly_group_train.npy"
    before = mabe_jobs.training_tables(settings, fruit_flies.FLIES, path)
    shutil.rmtree(next(tmp_path.glob("*/held_out")))
    after = mabe_jobs.training_tables(settings, fruit_flies.FLIES, path)
    assert len(before) == len(after) == 2 and capsys.readouterr().out.count("making the features") == 2
    np.testing.assert_array_equal(after[1].actions, before[1].actions)


def test_missing_flies_do_not_count_in_the_group(tmp_path, monkeypatch):
    """The rows of a clip with 9 flies are those of the same clip without its two empty slots, in any order."""
    monkeypatch.chdir(tmp_path)
    simulate_fly_files(tmp_path, 2, 300)
    quick = "--data_root . --epochs 1 --sequence_length 300 --batch_size 32 --ckpt_path f.pt"
    fruit_flies.main(quick.split())
    settings = cli.parse(["--job", "compute_representations", "--ckpt_path", "f.pt"], "", "custom")
    trained = cli.load_trained(settings, "fly_group")
    clip = simulate_flies(1, frames=300, seed=8, gaps=0).keypoints[0]
    clip[:2] = NAN
    whole, without, turned = (
        standardise(embed_table(trained.model, [flies], [(0, 300)], trained.inputs))
        for flies in (clip, clip[2:], clip[::-1])
    )
    assert whole.shape == (300, 256) and np.isfinite(whole).all()
    np.testing.assert_allclose(without, whole, atol=2e-3)
    np.testing.assert_allclose(turned, whole, atol=2e-3)


def test_a_frame_map_that_does_not_fit_is_refused_and_without_one_the_file_orders_the_rows(simulated, tmp_path):
    arguments = ["B", "A"], [300, 200]
    assert mabe_jobs.clip_rows(fruit_flies.FLIES, tmp_path, *arguments) == {"B": (0, 300), "A": (300, 500)}
    with pytest.raises(ValueError, match="does not fit the test file"):
        mabe_jobs.clip_rows(fruit_flies.FLIES, simulated, *arguments)
    rows = {"A": (0, 200), "B": (200, 500)}
    files.write_pickled_dict(tmp_path / "fly_group_frame_number_map.npy", rows)
    assert mabe_jobs.clip_rows(fruit_flies.FLIES, tmp_path, *arguments) == rows
