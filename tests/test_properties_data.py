"""Statistics and data sets of any features or keypoints: finite and of the documented axes, or refused."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    KINDS,
    Refusal,
    any_numbers,
    feature_configs,
    layouts,
    numbers,
    outcome,
    same,
    seeds,
    share_of_examples,
)

from bams import Dataset, KeypointsDataset
from bams.data.dataset import cut_windows
from bams.statistics import fit_statistics, quantise

# --- statistics ---


@given(st.data(), st.integers(1, 40), st.integers(1, 4), st.sampled_from((2, 3, 32, 256)), layouts())
def test_statistics(data, frames: int, size: int, bins: int, lay_out):
    table = data.draw(any_numbers((frames, 1, size, 1)))[:, 0, :, 0]
    valid = np.isfinite(table) & (np.random.default_rng(data.draw(seeds())).random(table.shape) < 0.8)
    found = outcome(lambda: fit_statistics(lay_out(table), lay_out(table), valid, bins), refused=not valid.any())
    if isinstance(found, Refusal):
        return
    for part, axes in ((found.centre, (size,)), (found.scale, (size,)), (found.edges, (size, bins - 1))):
        assert part.shape == axes and part.dtype == np.float32 and np.isfinite(part).all()
    assert (found.scale > 0).all() and (np.diff(found.edges) >= 0).all()
    assert found.counts.dtype == np.int64
    np.testing.assert_array_equal(found.counts.sum(axis=1), valid.sum(axis=0))
    quantised = outcome(lambda: quantise(lay_out(table), found.edges), refused=False)
    plain = (np.nan_to_num(table)[:, :, None] >= found.edges[None]).sum(axis=-1)
    np.testing.assert_array_equal(quantised, plain)
    outcome(lambda: quantise(table[:, :-1], found.edges), refused=True)


# --- data sets ---


@st.composite
def keypoint_arrays(draw: st.DrawFn) -> tuple:
    """Keypoints or series as an array, or as a list of tracks of any length, and what must be true of them."""
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
    laid = [lay_out(track) for track in keypoints] if isinstance(keypoints, list) else lay_out(keypoints)
    found = outcome(
        lambda: KeypointsDataset(laid, individuals=individuals, config=config, sequence_length=length, hoa_bins=8)
    )
    one_frame = max(map(len, keypoints)) < 2
    if isinstance(found, Refusal):
        # what is of two frames and moves is something to learn from
        full = all(len(track) > 2 and np.isfinite(track).all() for track in keypoints)
        movement = config is None or config.predict == ("movement",)
        assert not (full and movement and len(keypoints) % individuals == 0), found.sentence
        return
    assert not one_frame
    check_items(found)
    plain = KeypointsDataset(keypoints, individuals=individuals, config=config, sequence_length=length, hoa_bins=8)
    for part in ("inputs", "actions", "valid"):
        np.testing.assert_array_equal(getattr(found, part), getattr(plain, part))
    assert len(found.feature_names["inputs"]) == found.input_size
    assert len(found.feature_names["actions"]) == found.target_size
    assert [len(row) for row in found.present] == found.lengths.tolist()


def check_items(found: Dataset) -> None:
    """All items have the documented axes and are finite, also scaled; each frame is in one of them."""
    covered = [np.zeros(length, bool) for length in found.lengths]
    for i, (track, first) in enumerate(found.windows):
        item, again = found[i], found[i]
        assert item["input"].shape == (found.sequence_length, found.input_size)
        assert item["actions"].shape == item["valid"].shape == (found.sequence_length, found.target_size)
        assert int(item["actions"].max()) < found.statistics.bins
        scaled = (item["input"].numpy() - found.statistics.centre) / found.statistics.scale
        assert np.isfinite(scaled).all()
        covered[track][first : first + found.sequence_length] = True
        rows = np.minimum(first + np.arange(found.sequence_length), found.lengths[track] - 1)
        same(item["input"].numpy(), found.track_input(track)[rows])
        assert not item["valid"][found.lengths[track] - first :].any()
        assert all((item[name] == again[name]).all() for name in ("input", "actions", "valid"))
    assert all(row.all() for row in covered)


@given(st.data(), st.integers(1, 3), st.sampled_from((1, 2, 9)), layouts())
def test_data_set_of_any_features(data, tracks: int, frames: int, lay_out):
    inputs = data.draw(any_numbers((tracks, frames, 3)))
    targets = data.draw(any_numbers((tracks, frames, 2)))
    axes = data.draw(
        st.sampled_from(
            (
                (tracks, frames, 2),
                (tracks, frames),
                (tracks, frames, 1),
                None,
                (tracks, frames, 3),
                (tracks + 1, frames),
            )
        )
    )
    valid = None if axes is None else np.random.default_rng(0).random(axes) < 0.7
    if data.draw(st.booleans()):
        inputs[0, 0, 0] = np.inf
    labels = {"whole": np.arange(tracks), "frames": np.zeros((tracks, frames)), "names": np.array(["ü"] * tracks)}
    found = outcome(
        lambda: Dataset(
            lay_out(inputs), lay_out(targets), valid, hoa_bins=data.draw(st.sampled_from((2, 256))), labels=labels
        ),
        refused=True if np.isinf(inputs).any() or axes in ((tracks, frames, 3), (tracks + 1, frames)) else None,
    )
    if not isinstance(found, Refusal):
        check_items(found)
        assert found[0]["whole"] == 0 and found[0]["names"] == "ü"


@given(st.lists(st.integers(1, 50), min_size=1, max_size=4), st.integers(-1, 60))
def test_windows_cover_every_frame(lengths: list[int], window: int):
    found = outcome(lambda: cut_windows(np.array(lengths), window), refused=window < 1)
    if isinstance(found, Refusal):
        return
    for track, length in enumerate(lengths):
        firsts = found[found[:, 0] == track, 1]
        assert len(firsts) == -(-length // window)
        covered = {t for first in firsts for t in range(first, min(first + window, length))}
        assert covered == set(range(length)) and (firsts >= 0).all()


@share_of_examples(0.1)
@given(seeds(), st.sampled_from(KINDS), st.sampled_from((0, 1, 2)))
def test_loader_workers_do_not_matter(seed: int, kind: str, workers: int):
    import torch

    inputs = numbers((3, 9, 2), seed, kind)
    found = Dataset(inputs, numbers((3, 9, 1), seed), None, hoa_bins=4, sequence_length=4)
    context = "fork" if workers else None
    loader = torch.utils.data.DataLoader(found, batch_size=2, num_workers=workers, multiprocessing_context=context)
    loaded = outcome(lambda: torch.cat([batch["input"] for batch in loader]), refused=False)
    same(loaded.numpy(), np.stack([found[i]["input"].numpy() for i in range(len(found))]))
