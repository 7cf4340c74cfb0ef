"""Cleaning, by hand and against plain loops; and the size of a body, on which it rests."""

from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bams.recordings.body_length import body_length
from bams.recordings.cleaning import CleaningConfig, clean, fill_short_gaps, resample, without_jumps
from bams.recordings.recording import Recording

NAN = np.nan


def tracks(seed: int = 0, individuals: int = 2, frames: int = 60, count: int = 4, dims: int = 2) -> np.ndarray:
    """(A, T, K, d) float32: bodies that wander, with gaps and jumps."""
    rng = np.random.default_rng(seed)
    place = rng.normal(size=(individuals, frames, 1, dims)).cumsum(axis=1)
    keypoints = place + 8 * rng.normal(size=(individuals, 1, count, dims))
    keypoints[rng.random((individuals, frames, count)) < 0.05] += 70
    keypoints[rng.random((individuals, frames, count)) < 0.3] = NAN
    return keypoints.astype(np.float32)


def recording(keypoints: np.ndarray, confidence: np.ndarray | None = None, **changes) -> Recording:
    individuals, _, count, _ = keypoints.shape
    names = [f"animal{i}" for i in range(individuals)], list("abcdefghijklmnopqrstuvwxyz"[:count])
    return replace(Recording("one", keypoints, confidence, *names), **changes)


def on_a_line(*places: float) -> np.ndarray:
    """One keypoint of one animal, (1, T, 1, 2), on the x axis."""
    x = np.array(places, np.float32)
    return np.stack([x, np.where(np.isnan(x), NAN, 0)], axis=-1)[None, :, None].astype(np.float32)


def places(keypoints: np.ndarray) -> list[float | None]:
    return [None if np.isnan(x) else float(x) for x in keypoints[0, :, 0, 0]]


def plain_without_jumps(keypoints: np.ndarray, limit: float) -> np.ndarray:
    out = keypoints.copy()
    for a, k in np.ndindex(keypoints.shape[0], keypoints.shape[2]):
        left = list(np.flatnonzero(np.isfinite(keypoints[a, :, k]).all(axis=-1)))
        while True:
            stay, gone = left[:1], []
            for t in left[1:]:
                far = np.sqrt(np.sum((keypoints[a, t, k] - keypoints[a, stay[-1], k]) ** 2.0))
                (stay if far <= limit * (t - stay[-1]) else gone).append(t)
            first = [t for t in stay if not gone or t < gone[0]]
            after = [t for t in left if gone and t >= gone[0]]
            at_once = next((i for i, t in enumerate(after) if t in stay), len(after))
            if at_once <= len(first):
                out[a, gone, k] = NAN
                break
            out[a, first, k] = NAN
            left = after
    return out


def plain_fill(keypoints: np.ndarray, most: int) -> np.ndarray:
    out = keypoints.copy()
    for a, k in np.ndindex(keypoints.shape[0], keypoints.shape[2]):
        seen = np.flatnonzero(np.isfinite(keypoints[a, :, k]).all(axis=-1))
        for before, after in pairwise(seen):
            for t in range(before + 1, after) if after - before - 1 <= most else ():
                share = (t - before) / (after - before)
                out[a, t, k] = keypoints[a, before, k] * (1 - share) + keypoints[a, after, k] * share
    return out


def plain_length(keypoints: np.ndarray) -> float:
    """Without the rule for pairs that are hardly ever seen together."""
    frames = keypoints.reshape(-1, *keypoints.shape[2:]).astype(float)
    apart = (np.linalg.norm(frames[:, p] - frames[:, q], axis=-1) for p, q in combinations(range(frames.shape[1]), 2))
    return max(np.median(each[np.isfinite(each)]) for each in apart)


def test_by_default_nothing_is_done():
    one = recording(tracks(), np.zeros((2, 60, 4), np.float32))
    (found,) = clean([one], CleaningConfig())
    assert np.array_equal(found.keypoints, one.keypoints, equal_nan=True)
    assert replace(found, keypoints=one.keypoints) == one


def test_the_length_of_a_body_is_that_between_the_keypoints_farthest_apart():
    frame = np.float32([[0, 0], [3, 0], [3, 4]])
    keypoints = np.stack([frame, frame + 7, frame + np.float32([100, -5])])[None]
    assert body_length(keypoints) == 5
    keypoints[0, 1, 0] = NAN  # a gap
    keypoints[0, 2, 2] += 400  # a jump of one frame in two of the pair a-c, in one of three of b-c
    assert body_length(np.concatenate([keypoints, keypoints[:, :1]], axis=1)) == 5
    keypoints = np.zeros((1, 100, 3, 2), np.float32) + np.float32([[0, 0], [2, 0], [50, 0]])
    keypoints[0, 5:, 2] = NAN  # hardly ever seen
    assert body_length(keypoints) == 2
    for unknown in (np.full((1, 4, 3, 2), NAN, np.float32), frame[None, None, :1], np.zeros((1, 4, 3, 2), np.float32)):
        assert np.isnan(body_length(unknown))


@pytest.mark.parametrize(("seed", "dims"), [(0, 2), (1, 3), (2, 1)])
def test_the_length_of_a_body_equals_a_loop(seed, dims):
    keypoints = tracks(seed, dims=dims)
    assert body_length(keypoints) == pytest.approx(plain_length(keypoints), rel=1e-6)
    assert body_length(keypoints * 1024) == pytest.approx(1024 * body_length(keypoints), rel=1e-6)


@pytest.mark.parametrize(
    ("track", "kept"),
    [
        ((0, 1, 50, 51, 3, NAN, 4), [0, 1, None, None, 3, None, 4]),  # until the track is back
        ((0, 0, 0, 0, 0, *[10.0] * 8), [*[0] * 5, *[None] * 4, *[10] * 4]),  # or the animal could have got there
        ((99, *range(39)), [None, *range(39)]),  # a false detection at the beginning
        ((99, 98, *range(9), 99, 9), [None, None, *range(9), None, 9]),
        ((0, NAN, NAN, NAN, NAN, 10), [0, *[None] * 4, 10]),
    ],
)
def test_jumps_are_taken_out(track, kept):
    assert places(without_jumps(on_a_line(*track), 2)) == kept


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), limit=st.floats(0.1, 40), most=st.integers(0, 6), dims=st.integers(1, 3))
def test_jumps_and_filling_equal_a_loop(seed, limit, most, dims):
    keypoints = tracks(seed, dims=dims)
    before = keypoints.copy()
    found = without_jumps(keypoints, limit)
    assert np.array_equal(found, plain_without_jumps(keypoints.astype(float), limit), equal_nan=True)
    np.testing.assert_allclose(fill_short_gaps(keypoints, most), plain_fill(keypoints, most), rtol=1e-5, atol=1e-4)
    assert np.array_equal(keypoints, before, equal_nan=True)


def test_doubtful_positions_are_taken_out_and_those_without_confidence_stay():
    confidence = np.array([0.2, 0.5, 0.9, NAN], np.float32)[None, :, None]
    one = recording(on_a_line(1, 2, 3, 4), confidence)
    (found,) = clean([one], CleaningConfig(min_confidence=0.5))
    assert places(found.keypoints) == [None, 2, 3, 4] and found.confidence is confidence
    with pytest.raises(ValueError, match="one has no confidences, so min_confidence has no use"):
        clean([replace(one, confidence=None)], CleaningConfig(min_confidence=0.5))


def test_keypoints_are_renamed_then_chosen_in_the_order_given():
    keypoints, confidence = tracks(), np.random.default_rng(0).random((2, 60, 4)).astype(np.float32)
    config = CleaningConfig(rename="a:b, b:a,d:tail", keypoints="tail,a")
    (found,) = clean([recording(keypoints, confidence)], config)
    assert found.keypoint_names == ["tail", "a"]
    assert np.array_equal(found.keypoints, keypoints[:, :, [3, 1]], equal_nan=True)
    assert np.array_equal(found.confidence, confidence[:, :, [3, 1]])


def test_the_steps_come_in_order():
    """A doubtful position is no anchor for jumps, and what jumps leave is filled."""
    line = on_a_line(0, 90, 90, 3)
    keypoints = np.concatenate([line, line + np.float32([0, 10])], axis=2)
    confidence = np.float32([0.9, 0.9, 0.1, 0.9])[None, :, None].repeat(2, axis=2)
    config = CleaningConfig(min_confidence=0.5, max_jump=0.2, interpolate=2)
    (found,) = clean([recording(keypoints, confidence)], config)
    assert places(found.keypoints) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rename": "z:y"}, "rename has 'z', a keypoint that no recording has"),
        ({"rename": "a:b"}, "with rename, one has more than one keypoint 'b'"),
        ({"keypoints": "a,z"}, "one has no keypoint 'z' to keep; it has a, b, c, d"),
        ({"keypoints": "a", "max_jump": 1}, "one has one keypoint, so it has no body length for max_jump"),
        ({"min_confidence": -0.1}, "min_confidence is -0.1; it must be finite and at least 0"),
        ({"keypoints": "a,,b"}, "keypoints is 'a,,b'; expected different names"),
        ({"rename": "a:b:c"}, "rename is 'a:b:c'; expected old:new,old:new"),
    ],
)
def test_settings_that_make_no_sense_or_do_not_fit_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        clean([recording(tracks())], CleaningConfig(**changes))


# --- rate --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("old", "new", "frames"), [(30, 60, 19), (60, 30, 5), (25, 30, 11), (30, 30, 10)])
def test_resampled_positions_are_those_between_the_frames(old, new, frames):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(2, 10, 3, 2)).astype(np.float32)
    points[0, 4, 1] = np.nan
    given = Recording("r", points, points[..., 0] ** 2, ["a", "b"], ["x", "y", "z"], float(old), first_frame=30)
    found = resample(given, new)
    assert found.keypoints.shape == (2, frames, 3, 2) and found.fps == new
    assert (found.first_frame, found.frame_step) == (30, old / new)  # the place in the file stays
    assert found.keypoints.dtype == np.float32
    for t in range(frames):  # one by one
        place = t * old / new
        low, share = int(place + 1e-9), place - int(place + 1e-9)
        high = low + (share > 1e-9)
        np.testing.assert_allclose(
            found.keypoints[:, t], (1 - share) * points[:, low] + share * points[:, high], atol=1e-6
        )
        lower = np.minimum(given.confidence[:, low], given.confidence[:, high])
        np.testing.assert_array_equal(found.confidence[:, t], lower)


def test_a_rate_that_is_not_known_cannot_be_changed():
    given = Recording("r", np.zeros((1, 5, 1, 2), np.float32), None, ["a"], ["x"])
    with pytest.raises(ValueError, match="r are not known"):
        clean([given], CleaningConfig(resample=30))
    assert clean([replace(given, fps=60.0)], CleaningConfig(resample=30))[0].keypoints.shape[1] == 3


def test_in_body_lengths_the_unit_of_the_file_does_not_matter():
    points, config = tracks(), CleaningConfig(max_jump=0.3, interpolate=2, unit="body")
    here, there = (clean([recording(factor * points)], config)[0] for factor in (np.float32(1), np.float32(0.125)))
    np.testing.assert_allclose(here.keypoints, there.keypoints, rtol=1e-5)
    assert body_length(here.keypoints) == pytest.approx(1, rel=1e-5)


def test_a_recording_without_a_body_length_is_refused_where_a_setting_needs_it():
    apart = tracks(individuals=1, count=2)
    apart[:, ::2, 0] = apart[:, 1::2, 1] = np.nan  # never tracked at once
    nobody = recording(np.full((1, 5, 2, 2), np.nan, np.float32))
    for config in (CleaningConfig(unit="body"), CleaningConfig(max_jump=1)):
        for one, why in ((recording(np.ones((1, 5, 1, 2), np.float32)), "one keypoint"), (recording(apart), "at once")):
            with pytest.raises(ValueError, match=f"one .*{why}.*no body length"):
                clean([one], config)
        assert np.isnan(clean([nobody], config)[0].keypoints).all()
