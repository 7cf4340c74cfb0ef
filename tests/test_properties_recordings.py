"""Recordings of arrays, cleaned, at other rates, and cut into segments."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import Refusal, any_numbers, layouts, names, numbers, outcome, recordings, same, seeds

from bams import CleaningConfig, Recording, as_recordings, load_poses
from bams.recordings.body_length import body_length
from bams.recordings.cleaning import clean, resample
from bams.recordings.segments import Segment, cut_segments

AXES = st.sampled_from(((2, 9, 3), (2, 9, 3, 2), (2, 2, 9, 3, 2), (2, 1, 2)))
DTYPES = st.sampled_from(("float64", "float32", "int16", "bool"))


@given(st.data(), AXES, DTYPES, layouts())
def test_recordings_hold_the_numbers_of_their_array(tmp_path, data, axes, dtype: str, lay_out):
    with np.errstate(all="ignore"):
        array = np.nan_to_num(data.draw(any_numbers(axes))).clip(-9999, 9999).astype(dtype)
    about = {
        "recording_ids": data.draw(st.lists(names(), min_size=2, max_size=2, unique=True)),
        "keypoint_names": data.draw(st.lists(names(), min_size=axes[-2], max_size=axes[-2], unique=True)),
    }
    given_names = about if len(axes) > 3 else {"recording_ids": about["recording_ids"]}
    found = outcome(lambda: as_recordings(lay_out(array), given_names, None, 30.0))
    if not isinstance(found, Refusal):
        assert [one.name for one in found] == about["recording_ids"]
        for recording, one in zip(found, array, strict=True):
            whole = (one if len(axes) == 5 else one[None]).astype(np.float32)
            same(recording.keypoints, whole)
            assert len(recording.individuals) == len(whole)
    np.savez(tmp_path / "tracks.npz", keypoints=lay_out(array))
    loaded = outcome(lambda: load_poses(tmp_path / "tracks.npz"))
    if not isinstance(loaded, Refusal):
        same(np.stack([one.keypoints for one in loaded]).reshape(axes), array.astype(np.float32))


CLEANING = {
    "resample": st.sampled_from((0.5, 10.0, 29.97, 60.0, 1000.0)),
    "rename": st.sampled_from(("keypoint0:nose", "keypoint0:keypoint1", "a:b", "ü:ß")),
    "keypoints": st.sampled_from(("keypoint0", "keypoint1,keypoint0", "nose")),
    "min_confidence": st.sampled_from((0.5, 1.0)),
    "max_jump": st.sampled_from((1e-30, 0.5, 1.0, 1e30)),
    "interpolate": st.sampled_from((1, 5, 1000)),
    "unit": st.sampled_from(("file", "body")),
}


@pytest.mark.parametrize("setting", CLEANING)
@given(st.data(), recordings(), layouts())
def test_each_setting_of_cleaning_does_nothing_else(setting: str, data, recording: Recording, lay_out):
    config = CleaningConfig(**{setting: data.draw(CLEANING[setting])})
    given_ = replace(recording, keypoints=lay_out(recording.keypoints.copy()).astype(np.float32, copy=False))
    found = outcome(lambda: clean([given_], config))
    same(given_.keypoints, recording.keypoints)
    if isinstance(found, Refusal):
        return
    (one,), keypoints = found, recording.keypoints
    check_cleaned(one)
    if setting in ("min_confidence", "max_jump"):  # these only remove
        kept = np.isfinite(one.keypoints)
        same(one.keypoints[kept], keypoints[kept])
    if setting == "interpolate":  # this only fills
        known = np.isfinite(keypoints)
        same(one.keypoints[known], keypoints[known])
    if setting == "unit" and config.unit == "body" and np.isfinite(body_length(keypoints)):
        assert body_length(one.keypoints) == pytest.approx(1, rel=1e-5)
    if setting == "resample":
        assert one.fps == config.resample
        same(one.keypoints[:, 0], keypoints[:, 0])


def check_cleaned(recording: Recording) -> None:
    """Finite or NaN in all coordinates of a keypoint, with the documented axes."""
    keypoints = recording.keypoints
    individuals, frames, count, _ = keypoints.shape
    assert keypoints.dtype == np.float32 and not np.isinf(keypoints).any() and frames > 0
    assert (np.isnan(keypoints).any(axis=-1) == np.isnan(keypoints).all(axis=-1)).all()
    assert len(recording.individuals) == individuals and len(recording.keypoint_names) == count
    assert recording.confidence is None or recording.confidence.shape == keypoints.shape[:3]


@given(recordings(), st.fixed_dictionaries({}, optional=CLEANING))
def test_all_settings_of_cleaning_together(recording: Recording, options: dict):
    found = outcome(lambda: clean([recording], CleaningConfig(**options)))
    if not isinstance(found, Refusal):
        check_cleaned(found[0])


@given(seeds(), st.integers(-80, 80), st.sampled_from((0.5, 2.0)))
def test_cleaning_does_not_depend_on_the_unit(seed: int, power: int, jump: float):
    keypoints = numbers((2, 40, 4, 2), seed, "jumps", gaps=0.2)
    config = CleaningConfig(max_jump=jump, interpolate=2, unit="body")
    one, other = (
        clean(as_recordings(array[None]), config)[0].keypoints
        for array in (keypoints, keypoints * np.float32(2.0**power))
    )
    np.testing.assert_allclose(other, one, rtol=1e-6)


@given(recordings(fps=30.0), st.sampled_from((1e-3, 7.0, 15.0, 29.97, 30.0, 60.0, 1000.0)))
def test_another_rate_stays_between_the_observations(recording: Recording, fps: float):
    found = outcome(lambda: resample(recording, fps), refused=False)
    check_cleaned(found)
    seconds = (recording.keypoints.shape[1] - 1) / 30
    assert found.keypoints.shape[1] == int(seconds * fps + 1e-6) + 1
    low, high = (limit(np.nan_to_num(recording.keypoints)) for limit in (np.min, np.max))
    within, slack = found.keypoints[np.isfinite(found.keypoints)], 1e-6 * max(abs(low), abs(high))
    assert within.size == 0 or (within.min() >= low - slack and within.max() <= high + slack)
    if fps == 60:
        same(resample(found, 30.0).keypoints, recording.keypoints)


SEGMENTS = st.builds(Segment, st.sampled_from(("clip", "other")), st.integers(-4, 30), st.integers(-4, 80))


@given(recordings(name="clip"), st.lists(SEGMENTS, max_size=3))
def test_segments_are_the_frames_that_they_name(recording: Recording, segments: list[Segment]):
    first, total = recording.first_frame, recording.keypoints.shape[1]
    frames = sorted((segment.start, segment.end) for segment in segments)
    right = all(before[1] < after[0] for before, after in pairwise(frames)) and all(
        one.recording == "clip" and first <= one.start < one.end < first + total for one in segments
    )
    found = outcome(lambda: cut_segments([recording], segments), refused=not right)
    if not isinstance(found, Refusal):
        assert [(one.first_frame, one.first_frame + one.keypoints.shape[1] - 1) for one in found] == frames
        for one in found:
            same(one.keypoints, recording.keypoints[:, one.first_frame - first :][:, : one.keypoints.shape[1]])
