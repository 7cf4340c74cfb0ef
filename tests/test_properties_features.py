"""From any keypoints to features, statistics and data sets: finite and of the documented axes, or refused.

The invariances: unit, lie in memory, order of the individuals, a keypoint that is never tracked, what comes later.
"""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import (
    KINDS,
    SCALES,
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

from bams import Dataset, FeatureConfig, KeypointsDataset
from bams.animals import animal_features, with_nearest
from bams.data import cut_windows
from bams.features import (
    Body,
    Features,
    PoseTable,
    Segment,
    angle_difference,
    difference,
    egocentric,
    fill_gaps,
    keypoint_features,
    polar,
    pose_features,
    rotate,
    series_features,
    wrap_angle,
)
from bams.keypoints import recording_features
from bams.oriented import OrientedTable, oriented_features
from bams.statistics import fit_statistics, quantise

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
    joint = config.tracks == "joint"
    check_features(found, 1 if joint else shape[0], shape[1])
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
    config = data.draw(feature_configs(count, tracks="individual"))
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
        lambda: with_nearest(base, keypoints, TABLE.keypoints, points, predict),
        refused="ear" in points or not set(predict) <= known,
    )
    if not isinstance(found, Refusal):
        check_features(found, individuals, frames)


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


@given(st.data())
def test_settings_of_features_that_make_no_sense(data):
    options = data.draw(
        st.fixed_dictionaries(
            {},
            optional={
                "tracks": st.sampled_from(("individual", "joint", "", "both")),
                "features": st.sampled_from(("own", "camera", "raw", "RAW")),
                "heading": st.sampled_from(("", "keypoint1:keypoint0", "a", ":", "keypoint0:keypoint0", "ü:\0")),
                "others": st.integers(-2, 5),
                "predict": st.lists(st.sampled_from(("movement", "distances", "approach", "x")), max_size=3).map(
                    tuple
                ),
            },
        )
    )
    config = outcome(lambda: FeatureConfig(**options))
    if isinstance(config, Refusal):
        return
    found = outcome(lambda: recording_features(numbers((2, 5, 2, 2), 0), config))
    if not isinstance(found, Refusal):
        check_features(found, 1 if config.tracks == "joint" else 2, 5)
        assert config.heading in ("", "keypoint1:keypoint0")


def test_lengths_of_one_keypoint_are_nothing_to_predict():
    config = FeatureConfig(predict=("lengths", "distances"))
    found = outcome(lambda: animal_features(numbers((2, 5, 1, 2), 0), config), refused=True)
    assert "one keypoint" in found.sentence


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


def test_a_table_with_a_keypoint_too_many_is_refused():
    with pytest.raises(ValueError, match="the table names"):
        OrientedTable(("wing",), "middle", "direction", {}, ("wing",))
