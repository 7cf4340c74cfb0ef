"""Recordings of arrays, cleaned, at other rates, and cut into segments."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    Refusal,
    any_numbers,
    layouts,
    names,
    numbers,
    outcome,
    recordings,
    same,
    seeds,
    share_of_examples,
)

from bams import CleaningConfig, Recording, as_recordings
from bams.features.geometry import body_length
from bams.recordings.cleaning import clean, resample
from bams.recordings.segments import Segment, cut_segments, read_segments

AXES = ((2, 9, 3), (2, 9, 3, 2), (2, 2, 9, 3, 2), (1, 1, 1, 1), (2, 1, 2), (2, 9, 3, 4), (9, 3), (2, 0, 3, 2))
RATES = (None, 30.0, 29.97, 0.0, -1.0, np.nan, np.inf)


DTYPES = ("float32", "float64", "float16", "int16", "uint8", "bool", "complex64", "U20")


NAMES = {
    "recording_ids": st.lists(names(), min_size=2, max_size=2),
    "individual_names": st.lists(names(), max_size=2),
    "keypoint_names": st.lists(names(), min_size=3, max_size=3),
}
LENGTHS = st.lists(st.sampled_from((1, 9, 0, 10, 2.5, -1)), min_size=1, max_size=2)


@given(
    *(st.data(), st.sampled_from(AXES), st.sampled_from(DTYPES), st.booleans(), layouts(), st.sampled_from(RATES)),
    *(st.none() | st.fixed_dictionaries({}, optional=NAMES), st.none() | LENGTHS),
)
def test_recordings_from_arrays(data, axes, dtype, infinite, lay_out, fps, given_names, lengths):
    array = data.draw(any_numbers(axes)) if len(axes) > 2 else np.zeros(axes, np.float32)
    array = lay_out(array) if array.size else array
    if array.size and infinite:
        array[(0,) * array.ndim] = np.inf
    with np.errstate(all="ignore"):
        array = array.astype(dtype)
    before = array.copy()
    finite = array.dtype.kind in "fiub" and not np.isinf(array).any()
    right = finite and len(axes) in (3, 4, 5) and 0 not in axes and axes[-1] < 4
    right = right and (fps is None or (np.isfinite(fps) and fps > 0))
    plain = given_names is None and lengths is None
    refused = True if not right else False if plain else None
    found = outcome(lambda: as_recordings(array, given_names, lengths, fps), refused=refused)
    same(array, before)
    if isinstance(found, Refusal):
        return
    assert len(found) == axes[0]
    for i, recording in enumerate(found):
        whole = np.asarray(array[i] if len(axes) == 5 else array[i][None], np.float32)
        kept = recording.keypoints.shape[1]
        same(recording.keypoints, whole[:, :kept])
        assert kept == (lengths[i] if lengths else kept)
        assert lengths or np.isnan(whole[:, kept:]).all()
        assert len(recording.individuals) == len(whole) and len(recording.keypoint_names) in (0, axes[-2])


# --- cleaning ---

CLEANING = {
    "resample": st.sampled_from((0.5, 10.0, 29.97, 60.0, 1000.0, -1.0, np.nan)),
    "rename": st.sampled_from(("keypoint0:nose", "keypoint0:keypoint1", "a:b", "keypoint0", "x:y:z", "ü:ß", "a:b,a:c")),
    "keypoints": st.sampled_from(("keypoint0", "keypoint1,keypoint0", "nose", ",", "keypoint0,keypoint0")),
    "min_confidence": st.sampled_from((0.5, 1.0, 1e30, -1.0, np.inf)),
    "max_jump": st.sampled_from((1e-30, 0.5, 1.0, 1e30, np.nan)),
    "interpolate": st.sampled_from((1, 5, 1000, -1)),
    "unit": st.sampled_from(("file", "body", "mm")),
}


@pytest.mark.parametrize("flag", CLEANING)
@share_of_examples(0.5)
@given(st.data(), recordings(), layouts())
def test_each_flag_of_cleaning(flag: str, data, recording: Recording, lay_out):
    config = outcome(lambda: CleaningConfig(**{flag: data.draw(CLEANING[flag])}))
    if isinstance(config, Refusal):
        return
    given_ = replace(recording, keypoints=lay_out(recording.keypoints.copy()).astype(np.float32, copy=False))
    found = outcome(lambda: clean([given_], config))
    same(given_.keypoints, recording.keypoints)
    if isinstance(found, Refusal):
        return
    (one,) = found
    check_cleaned(one)
    keypoints = recording.keypoints
    if flag in ("min_confidence", "max_jump"):  # these only take out
        kept = np.isfinite(one.keypoints)
        same(one.keypoints[kept], keypoints[kept])
        (again,) = clean(found, config)
        assert flag == "max_jump" or np.isfinite(again.keypoints).tolist() == kept.tolist()
    if flag == "interpolate":  # this only fills
        known = np.isfinite(keypoints)
        same(one.keypoints[known], keypoints[known])
    if flag == "unit" and config.unit == "body" and np.isfinite(body_length(keypoints)):
        assert body_length(one.keypoints) == pytest.approx(1, rel=1e-5)
    if flag == "resample":
        assert one.fps == config.resample
        same(one.keypoints[:, 0], keypoints[:, 0])


def check_cleaned(recording: Recording) -> None:
    keypoints = recording.keypoints
    individuals, frames, count, _ = keypoints.shape
    assert keypoints.dtype == np.float32 and not np.isinf(keypoints).any() and frames > 0
    assert (np.isnan(keypoints).any(axis=-1) == np.isnan(keypoints).all(axis=-1)).all()
    assert len(recording.individuals) == individuals and len(recording.keypoint_names) == count
    assert recording.confidence is None or recording.confidence.shape == keypoints.shape[:3]


@given(recordings(), st.fixed_dictionaries({}, optional=CLEANING))
def test_all_of_cleaning(recording: Recording, options: dict):
    config = outcome(lambda: CleaningConfig(**options))
    found = config if isinstance(config, Refusal) else outcome(lambda: clean([recording], config))
    if not isinstance(found, Refusal):
        check_cleaned(found[0])


@given(seeds(), st.integers(-80, 80), st.sampled_from((0.5, 2.0)))
def test_cleaning_does_not_depend_on_the_unit(seed: int, power: int, jump: float):
    keypoints = numbers((2, 40, 4, 2), seed, "jumps", gaps=0.2)
    both = [
        clean(as_recordings(array[None]), CleaningConfig(max_jump=jump, interpolate=2, unit="body"))[0].keypoints
        for array in (keypoints, keypoints * np.float32(2.0**power))
    ]
    np.testing.assert_allclose(both[1], both[0], rtol=1e-6)


@given(recordings(fps=30.0), st.sampled_from((1e-3, 7.0, 15.0, 29.97, 30.0, 60.0, 1000.0, 0.0, -1.0, np.nan, np.inf)))
def test_another_rate(recording: Recording, fps: float):
    found = outcome(lambda: resample(recording, fps), refused=not (np.isfinite(fps) and fps > 0))
    if isinstance(found, Refusal):
        return
    check_cleaned(found)
    seconds = (recording.keypoints.shape[1] - 1) / 30
    assert found.keypoints.shape[1] == int(seconds * fps + 1e-6) + 1
    low, high = (limit(np.nan_to_num(recording.keypoints)) for limit in (np.min, np.max))
    within = found.keypoints[np.isfinite(found.keypoints)]
    slack = 1e-6 * max(abs(low), abs(high))
    assert within.size == 0 or (within.min() >= low - slack and within.max() <= high + slack)
    if fps == 60.0:  # and back: what lay on a frame lies there again
        same(resample(found, 30.0).keypoints, recording.keypoints)
        assert resample(found, 30.0).first_frame == recording.first_frame


# --- segments ---


@given(
    recordings(name="clip"),
    st.lists(
        st.builds(Segment, st.sampled_from(("clip", "other")), st.integers(-4, 30), st.integers(-4, 80)), max_size=3
    ),
)
def test_segments(recording: Recording, segments: list[Segment]):
    first, total = recording.first_frame, recording.keypoints.shape[1]
    frames = sorted((segment.start, segment.end) for segment in segments)
    apart = all(before[1] < after[0] for before, after in pairwise(frames))
    within = all(
        segment.recording == "clip" and first <= segment.start < segment.end < first + total for segment in segments
    )
    found = outcome(lambda: cut_segments([recording], segments), refused=not (apart and within))
    if isinstance(found, Refusal):
        return
    assert [(one.first_frame, one.first_frame + one.keypoints.shape[1] - 1) for one in found] == frames
    for one in found:
        same(one.keypoints, recording.keypoints[:, one.first_frame - first :][:, : one.keypoints.shape[1]])


CELLS = st.sampled_from(
    ("recording", "start", "end", "clip", "0", "9", " 12 ", "1.0", "-3", "x", "", "ü", '"', "1e3", "9" * 20)
)


@given(
    st.sampled_from(("recording,start,end", "END;Recording;start", "start\tend", "", "sep=;\nrecording;start;end")),
    st.lists(st.lists(CELLS, max_size=4), max_size=3),
    st.sampled_from((",", ";", "\t")),
    st.sampled_from(("utf-8", "utf-8-sig", "utf-16", "cp1252")),
)
def test_tables_of_segments(tmp_path, head: str, rows: list[list[str]], between: str, encoding: str):
    path = tmp_path / "segments.csv"
    path.write_bytes("\n".join([head, *(between.join(row) for row in rows)]).encode(encoding))
    found = outcome(lambda: read_segments(path))
    if not isinstance(found, Refusal):
        assert found and all(one.recording and type(one.start) is type(one.end) is int for one in found)
