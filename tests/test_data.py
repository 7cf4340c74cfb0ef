"""From arrays to the items that the network trains on."""

import copy
import pickle
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from bams import statistics
from bams.data import feature_tables
from bams.data.dataset import Dataset, cut_windows
from bams.data.keypoints import KeypointsDataset
from bams.data.split import choose_held_out, long_enough, with_somebody
from bams.features.config import FeatureConfig
from bams.features.skeletons import Body, PoseTable, Segment, pose_features
from bams.recordings.recording import as_recordings, track_names
from bams.simulate.mice import KEYPOINTS, simulate_mice
from bams.statistics import fit_statistics, quantise

NAN = np.nan
SHARED = Path(__file__).parents[2] / "shared"
TABLE = PoseTable(
    keypoints=KEYPOINTS,
    bodies=(Body("head", origin="neck", front="nose"), Body("rear", origin="tail_base", front="centre_back")),
    segments=(Segment("spine", start="tail_base", end="neck", body="rear"),),
    moving_segments=("spine",),
)


@pytest.fixture(scope="module")
def mice() -> np.ndarray:
    """(N 6, T 600, K 12, 2) float32, px."""
    return simulate_mice(2, frames=600).keypoints.reshape(6, 600, 12, 2)


@pytest.fixture(scope="module")
def many_mice() -> np.ndarray:
    """(N 24, T 1800, K 12, 2) px: enough for a share of 1 in 10,000 to be no matter of chance."""
    return simulate_mice(8).keypoints.reshape(24, 1800, 12, 2)


def random_tracks(seed: int, lengths=(30, 30, 30), inputs: int = 4, actions: int = 3, missing: float = 0.2):
    """Three lists of arrays: inputs (T, F) with NaN, actions (T, D), valid (T, D)."""
    rng = np.random.default_rng(seed)
    x = [rng.normal(5, 3, (t, inputs)).astype(np.float32) for t in lengths]
    for track in x:
        track[rng.random(track.shape) < missing] = NAN
    y = [rng.normal(0, 2, (t, actions)).astype(np.float32) for t in lengths]
    valid = [rng.random((t, actions)) >= missing for t in lengths]
    return x, y, valid


def assert_same_item(left: dict, right: dict) -> None:
    assert list(left) == list(right)
    for name in left:
        assert type(left[name]) is type(right[name])
        assert left[name].dtype == right[name].dtype
        np.testing.assert_array_equal(np.asarray(left[name]), np.asarray(right[name]))


def assert_same_statistics(left, right) -> None:
    for name, array in asdict(left).items():
        np.testing.assert_array_equal(array, getattr(right, name), err_msg=name)
        assert array.dtype == getattr(right, name).dtype


def assert_same_data(left: Dataset, right: Dataset) -> None:
    assert len(left) == len(right)
    for i in range(len(left)):
        assert_same_item(left[i], right[i])
    assert_same_statistics(left.statistics, right.statistics)


# --- items -------------------------------------------------------------------------------------


def test_an_item_has_the_shapes_and_types_of_the_contract():
    dataset = Dataset(*random_tracks(0), hoa_bins=8, labels={"strain": [0, 1, 1]})
    assert (len(dataset), dataset.n_tracks, dataset.input_size, dataset.target_size) == (3, 3, 4, 3)
    item = dataset[1]
    assert list(item) == ["input", "actions", "valid", "strain"]
    assert item["input"].shape == (30, 4)
    assert item["actions"].shape == item["valid"].shape == (30, 3)
    assert [item[name].dtype for name in ("input", "actions", "valid")] == [torch.float32, torch.uint8, torch.bool]
    assert torch.isfinite(item["input"]).all()
    assert item["strain"] == 1


def test_inputs_are_handed_on_unscaled_with_the_centre_where_they_are_not_known():
    x, y, valid = random_tracks(0)
    dataset = Dataset(x, y, valid)
    for i in range(3):
        expected = np.where(np.isnan(x[i]), dataset.statistics.centre, x[i])
        np.testing.assert_array_equal(dataset[i]["input"], expected)
        np.testing.assert_array_equal(dataset.track_input(i), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_and_lists_give_the_same(dtype):
    x, y, valid = random_tracks(1)
    assert_same_data(Dataset(x, y, valid), Dataset(np.stack(x).astype(dtype), np.stack(y).astype(dtype), valid))


def test_items_are_the_windows_of_the_tracks():
    x, y, valid = random_tracks(3, lengths=(25, 10, 4), missing=0)
    dataset = Dataset(x, y, valid, sequence_length=10, hoa_bins=8)
    assert dataset.windows.tolist() == [[0, 0], [0, 8], [0, 15], [1, 0], [2, 0]]  # 7.5 is rounded to even
    for item, (track, first) in zip(dataset, dataset.windows, strict=True):
        rows, length = slice(first, first + 10), min(10, len(x[track]))
        bins = quantise(y[track], dataset.statistics.edges)
        for name, expected in (("input", x[track]), ("actions", bins), ("valid", valid[track])):
            np.testing.assert_array_equal(item[name][:length], expected[rows])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_gives_the_items_as_they_are_with_any_number_of_workers(workers):
    labels = {"strain": np.arange(4), "chases": [np.arange(t) for t in (25, 30, 7, 12)]}
    dataset = Dataset(*random_tracks(6, lengths=(25, 30, 7, 12)), sequence_length=10, labels=labels)

    def load(what, **options) -> DataLoader:
        return DataLoader(what, shuffle=True, generator=torch.Generator().manual_seed(0), **options)

    order = [int(i) for i in load(range(len(dataset)))]
    batches = list(load(dataset, batch_size=3, num_workers=workers))
    assert sum(len(batch["input"]) for batch in batches) == len(dataset) == 9
    for name in ("input", "actions", "valid", "strain", "chases"):
        found = torch.cat([batch[name] for batch in batches])
        expected = np.stack([np.asarray(dataset[i][name]) for i in order])
        assert found.numpy().dtype == expected.dtype
        np.testing.assert_array_equal(found, expected, err_msg=name)


def test_items_and_arguments_may_be_changed_without_harm():
    arrays = [np.stack(part) for part in random_tracks(4, lengths=(25, 25, 25))]
    labels = {"frame": np.arange(75.0).reshape(3, 25), "track": np.arange(6.0).reshape(3, 2), "one": np.arange(3)}
    kept = copy.deepcopy(arrays)
    dataset = Dataset(*arrays, sequence_length=10, labels=labels)
    np.testing.assert_equal(arrays, kept)
    for array in arrays:
        array[...] = 0
    first = copy.deepcopy(list(dataset))
    np.testing.assert_array_equal(first[0]["valid"], kept[2][0, :10])
    for item in dataset:
        for value in item.values():
            np.asarray(value)[...] = 1
    for item, expected in zip(dataset, first, strict=True):
        assert_same_item(item, expected)


def test_a_mapped_data_set_goes_to_another_process_without_its_arrays(tmp_path):
    made = Dataset(*random_tracks(6, lengths=(2500, 3000)), cache_path=tmp_path, cache=True)
    sent = pickle.dumps(made)
    assert len(sent) < made.inputs.nbytes / 5
    assert_same_data(pickle.loads(sent), made)
    whole = Dataset(*random_tracks(6, lengths=(25, 30)))
    assert_same_data(pickle.loads(pickle.dumps(whole)), whole)


def test_valid_per_frame_holds_for_every_action():
    x, y, valid = random_tracks(7)
    per_frame = [v[:, 0] for v in valid]
    repeated = [np.repeat(v[:, None], 3, axis=1) for v in per_frame]
    assert_same_data(Dataset(x, y, per_frame), Dataset(x, y, repeated))
    assert_same_data(Dataset(x, y, np.stack(per_frame)), Dataset(x, y, repeated))


def test_actions_that_are_not_finite_are_never_valid():
    x, y, valid = random_tracks(9, missing=0)
    y[0][3, 1], y[1][4, 2], y[2][5, 0] = NAN, np.inf, -np.inf
    for given_valid in (None, valid, [v[:, 0] for v in valid]):
        dataset = Dataset(x, y, given_valid)
        for i in range(3):
            np.testing.assert_array_equal(dataset[i]["valid"], np.isfinite(y[i]))
        assert np.isfinite(dataset.statistics.edges).all()
        assert dataset.statistics.counts.sum() == 3 * 30 * 3 - 3


# --- statistics --------------------------------------------------------------------------------


def test_the_quantiser_by_hand():
    edges = np.float32([[-1, 0, 1]])
    values = np.float32([[-9], [-1], [-0.5], [0], [0.99], [1], [1e30]])
    assert quantise(values, edges)[:, 0].tolist() == [0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("bins", [3, 8, 32, 256])
def test_statistics_equal_a_slow_definition(bins):
    x, y, valid = (np.concatenate(arrays) for arrays in random_tracks(10, lengths=(300, 200)))
    found = fit_statistics(x, y, valid, bins)
    assert [getattr(found, name).dtype for name in ("centre", "scale", "edges")] == [np.float32] * 3
    assert (found.counts.dtype, found.bins) == (np.int64, bins)
    rows = valid.any(axis=1)
    for f in range(4):
        seen = sorted(float(value) for value in x[rows, f] if np.isfinite(value))

        def percentile(share: float, ordered: list[float] = seen) -> float:
            position = share * (len(ordered) - 1)
            below = int(position)
            return ordered[below] + (position - below) * (ordered[min(below + 1, len(ordered) - 1)] - ordered[below])

        np.testing.assert_allclose(found.centre[f], percentile(0.5), rtol=1e-5)
        np.testing.assert_allclose(found.scale[f], (percentile(0.99) - percentile(0.01)) / 2, rtol=1e-5)
    for d in range(3):
        seen = y[valid[:, d], d]
        low, high = np.percentile(seen.astype(float), [0.5, 99.5])
        width = (high - low) / (bins - 2)
        # equally spaced between the percentiles, up to a small part of a bin
        np.testing.assert_allclose(np.diff(found.edges[d]), width, rtol=1e-3)
        assert abs(found.edges[d][0] - low) <= 0.05 * width
        counts = [0] * bins
        for value in seen:
            counts[sum(edge <= value for edge in found.edges[d])] += 1
        assert found.counts[d].tolist() == counts


def test_two_bins_are_split_in_the_middle():
    values = np.linspace(-1, 3, 1001, dtype=np.float32)[:, None]
    found = fit_statistics(values, values, np.ones((1001, 1), bool), 2)
    np.testing.assert_allclose(found.edges, [[1]], atol=0.1)
    np.testing.assert_allclose(found.counts, [[500, 500]], atol=25)


def test_only_valid_frames_are_fitted():
    x, y, valid = (np.concatenate(arrays) for arrays in random_tracks(11, missing=0))
    valid[40:] = False
    alone = fit_statistics(x[:40], y[:40], valid[:40], 8)
    x[40:], y[40:] = 1e6, -1e6
    assert_same_statistics(fit_statistics(x, y, valid, 8), alone)


def test_a_few_tracker_jumps_barely_move_the_statistics():
    x, y, valid = (np.concatenate(arrays) for arrays in random_tracks(12, lengths=(4000,), missing=0))
    plain = fit_statistics(x, y, valid, 32)
    x[::800], y[::800] = 1e6, -1e6  # 5 of 4000 frames
    jumped = fit_statistics(x, y, valid, 32)
    np.testing.assert_allclose(jumped.centre, plain.centre, atol=0.01 * plain.scale.max())
    np.testing.assert_allclose(jumped.scale, plain.scale, rtol=0.05)
    width = np.diff(plain.edges[:, [0, -1]])
    assert (np.abs(jumped.edges - plain.edges) < 0.1 * width).all()


def test_channels_that_are_constant_or_never_seen_have_finite_statistics():
    x, y, valid = (np.concatenate(arrays) for arrays in random_tracks(13))
    x[:, 0], x[:, 1], y[:, 0] = 0.1, NAN, 0.1
    y[:, 1], valid[:, 1] = NAN, False
    found = fit_statistics(x, y, valid, 8)
    for name, array in asdict(found).items():
        assert np.isfinite(array).all(), name
    assert (found.scale > 0).all()
    assert found.centre[:2].tolist() == [np.float32(0.1), 0]
    assert found.scale[:2].tolist() == [1, 1]
    assert np.count_nonzero(found.counts[0]) == 1  # always the same bin
    assert found.counts[0].sum() == valid[:, 0].sum()
    assert found.counts[1].tolist() == [0] * 8


def test_a_channel_that_is_nearly_always_constant_is_scaled_by_its_standard_deviation():
    x = np.zeros((1000, 1), np.float32)
    x[[10, 20, 30]] = 7
    found = fit_statistics(x, x, np.ones((1000, 1), bool), 8)
    np.testing.assert_allclose(found.scale, np.sqrt(np.mean((x - x.mean()) ** 2)), rtol=1e-5)


def test_many_frames_are_sampled_always_alike(monkeypatch):
    monkeypatch.setattr(statistics, "SAMPLED_FRAMES", 2000)
    x, y, valid = (np.concatenate(arrays) for arrays in random_tracks(14, lengths=(20_000,)))
    found, again = fit_statistics(x, y, valid, 8), fit_statistics(x, y, valid, 8)
    monkeypatch.undo()
    whole = fit_statistics(x, y, valid, 8)
    assert_same_statistics(found, again)
    assert found.counts.sum() < 2000 * 3
    np.testing.assert_allclose(found.centre, whole.centre, atol=0.1 * whole.scale.max())
    np.testing.assert_allclose(found.scale, whole.scale, rtol=0.1)


def test_given_statistics_are_used_as_they_are():
    train = Dataset(*random_tracks(15), hoa_bins=8)
    kept = copy.deepcopy(train.statistics)
    x, y, _ = random_tracks(16)
    new = Dataset(x, y, None, statistics=train.statistics)
    assert_same_statistics(new.statistics, kept)
    for i in range(3):
        np.testing.assert_array_equal(new[i]["actions"], quantise(y[i], kept.edges))
        np.testing.assert_array_equal(new[i]["input"], np.where(np.isnan(x[i]), kept.centre, x[i]))


def test_new_data_without_anything_valid_can_be_embedded_with_given_statistics():
    train = Dataset(*random_tracks(17), hoa_bins=8)
    x, y = [np.full((5, 4), NAN)], [np.full((5, 3), NAN)]
    item = Dataset(x, y, None, statistics=train.statistics)[0]
    np.testing.assert_array_equal(item["input"], np.repeat(train.statistics.centre[None], 5, axis=0))
    assert not item["valid"].any()


def poses_dataset(keypoints: np.ndarray, **options) -> Dataset:
    found = pose_features(np.asarray(keypoints, np.float32), TABLE)
    return Dataset(found.inputs, found.actions, found.valid, **options)


# Not the polar features of parts of px: where a step is a tenth of a px, float32 itself leaves the heading open.
@pytest.mark.parametrize(
    ("make", "whole"), [(KeypointsDataset, False), (KeypointsDataset, True), (poses_dataset, True)]
)
@pytest.mark.parametrize("factor", [0.001, 1000, 0.0254])
def test_in_any_other_unit_at_most_one_bin_in_10000_differs(many_mice, make, whole, factor):
    keypoints = np.rint(many_mice) if whole else many_mice
    one, other = make(keypoints), make(keypoints.astype(float) * factor)
    np.testing.assert_array_equal(other.valid, one.valid)
    assert one.valid.sum() > 300_000
    assert (one.actions != other.actions)[one.valid].mean() <= 1e-4


# --- keypoints ---------------------------------------------------------------------------------


def test_padding_at_the_end_of_an_array_is_dropped_and_that_of_lists_is_kept(mice):
    padded = mice.copy()
    padded[1, 400:], padded[2, 599:], padded[3] = NAN, NAN, NAN
    padded[0, 100:200] = NAN  # a gap is no padding
    dataset = KeypointsDataset(padded)
    assert dataset.lengths.tolist() == [600, 400, 599, 1, 600, 600]
    shorter = [padded[0], padded[1, :400], padded[2, :599], padded[3, :1], *padded[4:]]
    assert_same_data(dataset, KeypointsDataset(shorter))
    assert not dataset[1]["valid"][400:].any()
    assert KeypointsDataset(list(padded[:2])).lengths.tolist() == [600, 600]


def test_series_are_taken_without_axes_of_keypoints(mice):
    series = KeypointsDataset(mice.reshape(6, 600, 24))
    keypoints = KeypointsDataset(mice, config=FeatureConfig(predict=("movement",), others=0))
    np.testing.assert_array_equal(series.actions, keypoints.actions)
    np.testing.assert_array_equal(series.valid, keypoints.valid)


@pytest.mark.skipif(not (SHARED / "data").exists(), reason="the shared rat recordings are not here")
def test_real_rats_have_sound_statistics():
    with np.load(SHARED / "data" / "rat_social.npz") as arrays:
        keypoints = arrays["keypoints"][:6, ..., :3000, :, :]
    tracks = keypoints.reshape(-1, *keypoints.shape[2:])
    dataset = KeypointsDataset(tracks, sequence_length=600)
    for name, array in asdict(dataset.statistics).items():
        assert np.isfinite(array).all(), name
    assert np.isfinite(dataset.inputs).all()
    np.testing.assert_array_equal(dataset.statistics.counts.sum(axis=1), dataset.valid.sum(axis=0))
    metres = KeypointsDataset(tracks.astype(float) * 0.001, sequence_length=600)
    assert (metres.actions != dataset.actions)[dataset.valid].mean() <= 1e-4


# --- labels ------------------------------------------------------------------------------------


def test_labels_per_track_are_handed_on_by_name():
    labels = {"strain": np.array([2, 0, 1]), "name": ["a", "b", "c"], "pair": np.arange(6).reshape(3, 2)}
    dataset = Dataset(*random_tracks(20), sequence_length=12, labels=labels)
    for item, (track, _) in zip(dataset, dataset.windows, strict=True):
        for name, values in labels.items():
            np.testing.assert_array_equal(item[name], values[track])


def test_labels_per_frame_are_cut_like_the_input():
    lengths = (25, 10, 4)
    labels = {
        "chases": [np.arange(t, dtype=np.float32) + 100 * i for i, t in enumerate(lengths)],
        "action": [np.arange(t) % 3 for t in lengths],
        "tasks": [np.arange(2 * t).reshape(t, 2) for t in lengths],
        "presence": [np.ones(t, bool) for t in lengths],
        "count": [np.ones(t, np.uint8) for t in lengths],
    }
    filled = {"chases": NAN, "action": -1, "tasks": -1, "presence": False, "count": 0}
    dataset = Dataset(*random_tracks(21, lengths=lengths), sequence_length=10, labels=labels)
    for item, (track, first) in zip(dataset, dataset.windows, strict=True):
        count = min(10, lengths[track])
        for name, values in labels.items():
            assert item[name].shape == (10, *values[track].shape[1:])
            assert item[name].dtype == values[track].dtype
            np.testing.assert_array_equal(item[name][:count], values[track][first : first + count])
            np.testing.assert_array_equal(item[name][count:], np.full_like(item[name][count:], filled[name]))


def test_labels_per_frame_are_cut_where_padding_is_dropped(mice):
    padded = mice.copy()
    padded[1, 400:] = NAN
    labels = {"chases": np.tile(np.arange(600), (6, 1))}
    dataset = KeypointsDataset(padded, sequence_length=100, labels=labels)
    assert (dataset.windows[:, 0] == 1).sum() == 4
    for item, (_, first) in zip(dataset, dataset.windows, strict=True):
        np.testing.assert_array_equal(item["chases"], np.arange(first, first + 100))


# --- windows and recordings --------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(lengths=st.lists(st.integers(1, 500), min_size=1, max_size=6), window=st.integers(1, 200))
def test_windows_cover_every_frame_with_as_few_as_possible(lengths, window):
    windows = cut_windows(np.array(lengths), window)
    for track, length in enumerate(lengths):
        firsts = windows[windows[:, 0] == track, 1]
        assert firsts[0] == 0 and firsts[-1] == max(length - window, 0)
        assert len(firsts) == -(-length // window)
        overlaps = window - np.diff(firsts)
        assert (overlaps >= 0).all()
        assert len(firsts) == 1 or overlaps.max() - overlaps.min() <= 2  # spread evenly, to a frame


@settings(max_examples=100, deadline=None)
@given(count=st.integers(1, 200), share=st.floats(0, 0.99), seed=st.integers(0, 1000))
def test_recordings_are_held_out_whole_and_by_seed(count, share, seed):
    train, held_out = choose_held_out(count, share, seed)
    assert sorted([*train, *held_out]) == list(range(count))
    assert list(train) == sorted(train) and list(held_out) == sorted(held_out)
    assert len(train) >= 1
    if share == 0 or count == 1:
        assert len(held_out) == 0
    else:
        assert len(held_out) >= 1
        assert abs(len(held_out) - count * share) <= 1
    assert len({tuple(choose_held_out(50, 0.2, seed)[1]) for seed in range(5)}) == 5
    for same, again in zip((train, held_out), choose_held_out(count, share, seed), strict=True):
        np.testing.assert_array_equal(same, again)


def test_recordings_that_are_too_short_are_skipped_with_a_notice(capsys):
    assert long_enough([100, 20, 99, 300], 99).tolist() == [0, 2, 3]
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert "skipped 1 " in err and "99 frames" in err
    long_enough([100, *[20] * 7], 99, list("abcdefgh"))
    assert "skipped 7 recordings shorter than 99 frames: b, c, d, e, f and 2 more" in capsys.readouterr().err
    with_somebody([np.zeros((1, 5, 2)), np.full((1, 5, 2), NAN)], ["there", "nobody"])
    assert "skipped 1 recordings in which nobody is tracked: nobody" in capsys.readouterr().err
    assert long_enough([100, 99], 99).tolist() == [0, 1]
    assert capsys.readouterr() == ("", "")
    with pytest.raises(ValueError, match=r"longest has 98 frames.* need 99"):
        long_enough([98, 20], 99)


def test_individuals_of_recordings_become_tracks_with_names():
    keypoints = np.random.default_rng(0).normal(size=(2, 3, 10, 4, 2))
    keypoints[1, :, 7:] = NAN
    keypoints[1, 0, 3:] = NAN  # one leaves earlier: the recording is as long as its longest track
    names = {"recording_ids": ["x", "y"], "individual_names": ["a", "b", "c"], "keypoint_names": list("KLMN")}
    found = as_recordings(keypoints, names)
    assert [one.keypoints.shape for one in found] == [(3, 10, 4, 2), (3, 7, 4, 2)]
    assert all(one.keypoints.dtype == np.float32 and one.keypoint_names == list("KLMN") for one in found)
    np.testing.assert_array_equal(found[1].keypoints, keypoints[1, :, :7].astype(np.float32))
    assert track_names(found) == ["x/a", "x/b", "x/c", "y/a", "y/b", "y/c"]


@pytest.mark.parametrize("shape", [(3, 10, 5), (3, 10, 5, 2)])
def test_recordings_without_individuals_are_single_tracks(shape):
    keypoints = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found = as_recordings(keypoints, {}, lengths=[10, 4, 1])
    assert [one.keypoints.shape for one in found] == [(1, n, *shape[2:]) for n in (10, 4, 1)]
    np.testing.assert_array_equal(found[1].keypoints[0], keypoints[1, :4])
    assert track_names(found) == [one.name for one in found] == ["recording0", "recording1", "recording2"]


# --- cache -------------------------------------------------------------------------------------


def cached(folder: Path) -> Dataset:
    return Dataset(*random_tracks(30), cache=True, cache_path=folder)


def cache_files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []


def test_the_second_construction_reads_the_cache_and_gives_the_same(tmp_path, monkeypatch):
    folder = tmp_path / "new" / "cache"
    plain = Dataset(*random_tracks(30), cache_path=folder)
    assert cache_files(folder) == []
    first = cached(folder)
    assert_same_data(first, plain)
    (path,) = cache_files(folder)
    before = path.stat().st_mtime_ns

    def computed_again(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(feature_tables, "fit_statistics", computed_again)
    monkeypatch.setattr(feature_tables, "quantise", computed_again)
    second = cached(folder)
    assert_same_data(first, second)
    assert cache_files(folder) == [path] and path.stat().st_mtime_ns == before
    assert all(isinstance(array, np.memmap) for array in (second.inputs, second.actions, second.valid))
    item = second[0]
    assert all(type(item[name]) is torch.Tensor for name in ("input", "actions", "valid"))
    item["input"][:] = 0  # an item is a copy
    assert not np.array_equal(second[0]["input"], item["input"])


def test_another_content_or_setting_has_another_file(tmp_path):
    x, y, valid = random_tracks(30)

    def changed(arrays: list[np.ndarray], value: float | bool) -> list[np.ndarray]:
        out = [array.copy() for array in arrays]
        out[1][3, 1] = value
        return out

    train, other = (Dataset(*random_tracks(seed), hoa_bins=16).statistics for seed in (30, 31))
    variants = [
        ((x, y, valid), {}),
        ((changed(x, 7), y, valid), {}),
        ((x, changed(y, 7), valid), {}),
        ((x, y, changed(valid, not valid[1][3, 1])), {}),
        *(((x, y, valid), options) for options in ({"hoa_bins": 16}, {"statistics": train}, {"statistics": other})),
    ]
    for count, (arrays, options) in enumerate(variants, start=1):
        Dataset(*arrays, cache=True, cache_path=tmp_path, **options)
        assert len(cache_files(tmp_path)) == count
    for arrays, options in variants:
        assert_same_data(Dataset(*arrays, cache=True, cache_path=tmp_path, **options), Dataset(*arrays, **options))
    assert len(cache_files(tmp_path)) == len(variants)


@pytest.mark.parametrize("at", ["_write_header", "append", "finish"])
def test_an_interrupted_cache_leaves_nothing_behind(tmp_path, monkeypatch, at):
    done = []

    def interrupted(*args):
        done.append(1)
        if len(done) == 4:
            raise KeyboardInterrupt
        return real(*args)

    real = getattr(feature_tables._Column, at)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(feature_tables._Column, at, interrupted)
        cached(tmp_path)
    assert cache_files(tmp_path) == []
    assert_same_data(cached(tmp_path), Dataset(*random_tracks(30)))


@pytest.mark.parametrize("name", ["inputs.npy", "actions.npy", "valid.npy", "statistics.npz"])
def test_a_damaged_cache_is_made_anew(tmp_path, name):
    first = Dataset(*random_tracks(30))
    cached(tmp_path)
    (folder,) = cache_files(tmp_path)
    whole = (folder / name).read_bytes()
    cuts = np.random.default_rng(0).integers(0, len(whole), 20)
    for content in (b"", b"not an array", *(whole[:length] for length in cuts), None):
        (folder / name).unlink()
        if content is not None:
            (folder / name).write_bytes(content)
        assert_same_data(cached(tmp_path), first)
        assert (folder / name).read_bytes() == whole
    assert cache_files(tmp_path) == [folder]


# --- what is refused ---------------------------------------------------------------------------

X, Y = np.zeros((2, 9, 4)), np.random.default_rng(0).normal(size=(2, 9, 3))
OK = np.ones((2, 9, 3), bool)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X[0], Y, OK), "input_feats must be"),
        ((X, Y[0], OK), "target_feats must be"),
        ((X[:, :0], Y[:, :0], OK[:, :0]), "none of them 0"),
        (([], [], []), "input_feats must be"),
        (([X[0], X[1, :, :3]], Y, OK), "differ in their number of features"),
        ((X[:1], Y, OK), "differ in their tracks or frames"),
        ((X[:, :8], Y, OK), "differ in their tracks or frames"),
        ((X, Y, OK[:1]), "valid must be"),
        ((X, Y, OK[:, :8]), "valid must be"),
        ((X, Y, OK[:, :, :2]), "valid must be"),
        ((X, Y[..., :1], OK[..., :1, None]), "valid must be"),
        ((X, Y, np.zeros((2, 9), bool)), "no action is valid"),
        ((X, np.full_like(Y, NAN), None), "no action is valid"),
        ((np.where(X[1, 2, 3] == X, -np.inf, X), Y, OK), "infinite"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Dataset(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(({"hoa_bins": bins}, "from 2 to 256") for bins in (-1, 1, 257)),
        ({"sequence_length": 0}, "at least 1"),
        ({"cache": True}, "cache_path"),
        ({"labels": {"strain": [1, 2, 3]}}, "label strain has 3 entries for 2 tracks"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Dataset(X, Y, OK, **options)


@pytest.mark.parametrize("share", [-0.1, 1, NAN])
def test_a_share_outside_0_to_1_is_refused(share):
    with pytest.raises(ValueError, match="held-out share"):
        choose_held_out(5, share, 0)


def test_statistics_of_other_data_are_refused():
    found = Dataset(X, Y, OK).statistics
    with pytest.raises(ValueError, match=r"give 3 input and 3 action features, the statistics are for 4 and 3"):
        Dataset(X[..., :3], Y, OK, statistics=found)
    with pytest.raises(ValueError, match=r"give 4 input and 2 action features, the statistics are for 4 and 3"):
        Dataset(X, Y[..., :2], OK[..., :2], statistics=found)


GOOD = np.random.default_rng(0).normal(size=(2, 9, 4, 2))


@pytest.mark.parametrize(
    ("keypoints", "message"),
    [
        (GOOD[:, :, 0, 0], "a track has axes"),
        (GOOD[..., None], "a track has axes"),
        (GOOD[:, :0], "a track has axes"),
        ([], "no track"),
        (np.full((2, 9, 3, 2), "x"), "not numbers"),
        (np.concatenate([GOOD, GOOD], axis=-1), "4 coordinates"),
        (np.where(GOOD > 1, np.inf, GOOD), "infinite"),
        (GOOD * 1e300, "infinite"),  # too large for float32
        ([GOOD[0], GOOD[1, :, :3]], "differ in their keypoints"),
        ([GOOD[0], GOOD[1, :, :, 0]], "differ in their keypoints"),
        (np.full((2, 9, 4, 2), NAN), "no action is valid"),
        (GOOD[:, :1], "no action is valid"),
    ],
)
def test_keypoints_that_are_none_are_refused(keypoints, message):
    with pytest.raises(ValueError, match=message):
        KeypointsDataset(keypoints)


def test_keypoint_names_of_another_number_are_refused():
    with pytest.raises(ValueError, match="3"):
        KeypointsDataset(GOOD, keypoint_names=("a", "b", "c"))
