"""Statistics and data sets of any keypoints and features."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from strategies import Refusal, any_numbers, feature_configs, layouts, outcome, same, seeds

from bams import Dataset, KeypointsDataset
from bams.statistics import fit_statistics, quantise


@given(st.data(), st.integers(1, 40), st.integers(1, 4), st.sampled_from((2, 3, 32, 256)), layouts())
def test_statistics_are_finite_and_count_the_valid_frames(data, frames: int, size: int, bins: int, lay_out):
    table = data.draw(any_numbers((frames, 1, size, 1)))[:, 0, :, 0]
    valid = np.isfinite(table) & (np.random.default_rng(data.draw(seeds())).random(table.shape) < 0.8)
    found = outcome(lambda: fit_statistics(lay_out(table), lay_out(table), valid, bins), refused=not valid.any())
    if isinstance(found, Refusal):
        return
    for part, axes in ((found.centre, (size,)), (found.scale, (size,)), (found.edges, (size, bins - 1))):
        assert part.shape == axes and part.dtype == np.float32 and np.isfinite(part).all()
    assert (found.scale > 0).all() and (np.diff(found.edges) >= 0).all()
    np.testing.assert_array_equal(found.counts.sum(axis=1), valid.sum(axis=0))
    plain = (np.nan_to_num(table)[:, :, None] >= found.edges[None]).sum(axis=-1)
    np.testing.assert_array_equal(quantise(lay_out(table), found.edges), plain)


@st.composite
def keypoint_arrays(draw: st.DrawFn) -> tuple[np.ndarray | list[np.ndarray], tuple[int, ...]]:
    """Keypoints or series, as one array or as a list of tracks of any length, and the axes of a frame."""
    count, frames = draw(st.integers(1, 4)), draw(st.sampled_from((1, 2, 3, 20)))
    size = draw(st.sampled_from(((1, 1), (2, 2), (5, 3), (7, 2), (3,), (1,))))
    array = draw(any_numbers((count, frames, *size)))
    if draw(st.booleans()):
        return array, size
    ends = draw(st.lists(st.integers(1, frames), min_size=count, max_size=count))
    return [track[:end] for track, end in zip(array, ends, strict=True)], size


@given(st.data(), keypoint_arrays(), layouts(), st.sampled_from((1, 2)), st.sampled_from((None, 1, 7, 1000)))
def test_data_set_of_any_keypoints(data, made: tuple, lay_out, individuals: int, length: int | None):
    keypoints, size = made
    config = data.draw(st.none() | feature_configs(size[0], size[-1])) if len(size) == 2 else None
    options = {"individuals": individuals, "config": config, "sequence_length": length, "hoa_bins": 8}
    laid = [lay_out(track) for track in keypoints] if isinstance(keypoints, list) else lay_out(keypoints)
    found = outcome(lambda: KeypointsDataset(laid, **options))
    if isinstance(found, Refusal):
        full = all(len(track) > 2 and np.isfinite(track).all() for track in keypoints)
        movement = config is None or config.predict == ("movement",)
        assert not (full and movement and len(keypoints) % individuals == 0), found.sentence
        return
    check_items(found)
    plain = KeypointsDataset(keypoints, **options)
    for part in ("inputs", "actions", "valid"):
        np.testing.assert_array_equal(getattr(found, part), getattr(plain, part))
    assert len(found.feature_names["inputs"]) == found.input_size
    assert len(found.feature_names["actions"]) == found.target_size


def check_items(found: Dataset) -> None:
    """Items have the documented axes, are finite also when scaled, are the same twice, and cover each frame."""
    covered = [np.zeros(length, bool) for length in found.lengths]
    for i, (track, first) in enumerate(found.windows):
        item, again = found[i], found[i]
        assert item["input"].shape == (found.sequence_length, found.input_size)
        assert item["actions"].shape == item["valid"].shape == (found.sequence_length, found.target_size)
        assert int(item["actions"].max()) < found.statistics.bins
        assert np.isfinite((item["input"].numpy() - found.statistics.centre) / found.statistics.scale).all()
        covered[track][first : first + found.sequence_length] = True
        rows = np.minimum(first + np.arange(found.sequence_length), found.lengths[track] - 1)
        same(item["input"].numpy(), found.track_input(track)[rows])
        assert not item["valid"][found.lengths[track] - first :].any()
        assert all((item[name] == again[name]).all() for name in ("input", "actions", "valid"))
    assert all(row.all() for row in covered)


@given(st.data(), st.integers(1, 3), st.sampled_from((2, 9)), layouts(), st.sampled_from((2, 256)))
def test_data_set_of_any_features(data, tracks: int, frames: int, lay_out, bins: int):
    inputs, targets = (data.draw(any_numbers((tracks, frames, size))) for size in (3, 2))
    valid = np.random.default_rng(0).random((tracks, frames, 2)) < 0.7
    labels = {"frames": np.zeros((tracks, frames)), "names": np.array(["ü"] * tracks)}
    found = outcome(lambda: Dataset(lay_out(inputs), lay_out(targets), valid, hoa_bins=bins, labels=labels))
    if not isinstance(found, Refusal):
        check_items(found)
        assert found[0]["names"] == "ü"
