"""Recordings of arrays, cleaned, cut, reported on, compared; embeddings written; figures of all there is."""

import csv
import io
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
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

from bams import CleaningConfig, Recording, TrackEmbedding, as_recordings, load_poses, plots, write_embeddings
from bams.cleaning import clean, resample
from bams.drift import compare
from bams.exports import file_names
from bams.overview import draw_overview
from bams.pose_report import data_report, plot_report
from bams.recordings import check_keypoints
from bams.reference import describe
from bams.safe_names import safe
from bams.segments import Segment, cut_segments, read_segments
from bams.shapes import body_length, find_change

AXES = (
    (2, 9, 3),
    (2, 9, 3, 2),
    (2, 2, 9, 3, 2),
    (1, 1, 1, 1),
    (2, 1, 2),
    (2, 9, 3, 4),
    (9, 3),
    (2, 0, 3, 2),
    (),
    (1,) * 6,
)
RATES = (None, 30.0, 29.97, 0.0, -1.0, np.nan, np.inf)


def with_values(array: np.ndarray, dtype: str, infinite: bool) -> np.ndarray:
    """The array in another dtype, perhaps with an infinite number in it."""
    if array.size and infinite:
        array = array.copy()
        array[(0,) * array.ndim] = np.inf
    with np.errstate(all="ignore"):
        return array.astype(dtype)


DTYPES = ("float32", "float64", "float16", "int16", "uint8", "bool", "complex64", "U20", "O")


@given(st.data(), st.sampled_from(AXES), st.sampled_from(DTYPES), st.booleans(), layouts(), st.sampled_from(RATES))
@example(None, (2, 9, 3, 2), "float64", False, np.asarray, 0.0)
def test_recordings_from_arrays(data, axes, dtype: str, infinite: bool, lay_out, fps):
    array = data.draw(any_numbers(axes)) if data and len(axes) > 1 else np.zeros(axes, np.float32)
    array = with_values(lay_out(array) if array.ndim and array.size else array, dtype, infinite)
    draw = data.draw if data else (lambda _: None)
    given_names = draw(
        st.none()
        | st.fixed_dictionaries(
            {},
            optional={
                "recording_ids": st.lists(names(), min_size=2, max_size=2),
                "individual_names": st.lists(names(), max_size=2),
                "keypoint_names": st.lists(names(), min_size=3, max_size=3),
                "colours": st.just(["red"]),
            },
        )
    )
    lengths = draw(st.none() | st.lists(st.sampled_from((1, 9, 0, 10, 2.5, -1)), min_size=1, max_size=2))
    before = array.copy()
    finite = array.dtype.kind in "fiub" and not np.isinf(array).any()
    right = finite and len(axes) in (3, 4, 5) and 0 not in axes and axes[-1] < 4
    right = right and (fps is None or (np.isfinite(fps) and fps > 0))
    plain = given_names is None and lengths is None
    found = outcome(
        lambda: as_recordings(array, given_names, lengths, fps),
        refused=True if not right else False if plain else None,
    )
    assert (before == array).all() or array.dtype.kind not in "iubf" or np.isnan(array).any()
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


@share_of_examples(0.5)
@given(
    st.data(),
    st.sampled_from(AXES[:6]),
    st.sampled_from(DTYPES[:8]),
    st.booleans(),
    st.sampled_from(RATES),
    layouts(),
)
def test_poses_of_files_of_arrays(tmp_path, data, axes, dtype: str, infinite: bool, fps, lay_out):
    array = with_values(lay_out(data.draw(any_numbers(axes))), dtype, infinite)
    about = data.draw(
        st.fixed_dictionaries(
            {},
            optional={
                "keypoint_names": st.lists(names(), min_size=axes[-2], max_size=axes[-2]).map(np.array),
                "recording_ids": st.lists(names(), min_size=axes[0], max_size=axes[0]).map(np.array),
                "fps": st.sampled_from((25.0, 0.0, np.nan)),
            },
        )
    )
    path = tmp_path / "tracks.npz"
    np.savez(path, keypoints=array, **about)
    found = outcome(lambda: load_poses(path, fps=fps))
    for recording in [] if isinstance(found, Refusal) else found:
        assert recording.keypoints.dtype == np.float32 and not np.isinf(recording.keypoints).any()
        gaps = np.isnan(recording.keypoints)
        assert recording.keypoints.ndim == 3 or (gaps.any(axis=-1) == gaps.all(axis=-1)).all()
        assert recording.fps is None or recording.fps > 0
    if (
        dtype.startswith("float")
        and not infinite
        and fps in (None, 30.0)
        and not about
        and axes[-1] < 4
        and axes[-3] > 1
    ):
        assert not isinstance(found, Refusal) or "1 frame" in found.sentence, found.sentence


@given(st.sampled_from(AXES), st.sampled_from(DTYPES), layouts())
def test_a_track_is_checked(axes, dtype: str, lay_out):
    array = with_values(np.zeros(axes, np.float32), dtype, False)
    array = lay_out(array) if array.ndim and array.dtype.kind in "fiub" else array
    found = outcome(lambda: check_keypoints(array))
    assert isinstance(found, Refusal) or (found.dtype == np.float32 and found.shape == axes)


# --- cleaning ---

CLEANING = {
    "resample": st.sampled_from((0.5, 10.0, 29.97, 60.0, 1000.0, -1.0, np.nan)),
    "rename": st.sampled_from(
        ("keypoint0:nose", "keypoint0:keypoint1", "a:b", "keypoint0", "x:y:z", "ü:ß", "a:b,a:c")
    ),
    "keypoints": st.sampled_from(("keypoint0", "keypoint1,keypoint0", "nose", ",", "keypoint0,keypoint0")),
    "min_confidence": st.sampled_from((0.5, 1.0, 1e30, -1.0, np.inf)),
    "max_jump": st.sampled_from((1e-30, 0.5, 1.0, 1e30, np.nan)),
    "interpolate": st.sampled_from((1, 5, 1000, -1)),
    "unit": st.sampled_from(("file", "body", "mm")),
}


@given(st.fixed_dictionaries({}, optional=CLEANING))
def test_settings_of_cleaning(options: dict):
    outcome(lambda: CleaningConfig(**options))


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


@given(
    recordings(fps=30.0), st.sampled_from((1e-3, 7.0, 15.0, 29.97, 30.0, 60.0, 1000.0, 0.0, -1.0, np.nan, np.inf))
)
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
    if fps in (60.0,):  # and back: what lay on a frame lies there again
        same(resample(found, 30.0).keypoints, recording.keypoints)
        assert resample(found, 30.0).first_frame == recording.first_frame


# --- segments ---


@given(
    recordings(name="clip"),
    st.lists(
        st.builds(Segment, st.sampled_from(("clip", "other")), st.integers(-4, 30), st.integers(-4, 80)),
        max_size=3,
    ),
)
def test_segments(recording: Recording, segments: list[Segment]):
    first, total = recording.first_frame, recording.keypoints.shape[1]
    frames = sorted((segment.start, segment.end) for segment in segments)
    apart = all(before[1] < after[0] for before, after in pairwise(frames))
    within = all(
        segment.recording == "clip" and first <= segment.start < segment.end < first + total
        for segment in segments
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
    st.sampled_from(
        ("recording,start,end", "END;Recording;start", "start\tend", "", "sep=;\nrecording;start;end")
    ),
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


# --- reports ---


@given(st.lists(recordings(), max_size=3))
def test_reports(given_: list[Recording]):
    found = outcome(lambda: data_report(given_), refused=not given_)
    if isinstance(found, Refusal):
        return
    text = str(found)
    assert all(one.name in text for one in given_)
    for one, recording in zip(found.recordings, given_, strict=True):
        assert ((one.tracked >= 0) & (one.tracked <= 1)).all()
        assert (one.longest_gap <= recording.keypoints.shape[1]).all()
        assert (one.jumps <= one.steps).all()
        assert not np.isinf(one.travel).any() and not np.isinf(one.body_length)


@share_of_examples(0.5)
@given(st.data(), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3))
def test_drift(data, count: int, dims: int, number: int):
    old, new = ([data.draw(recordings(count=count, dims=dims)) for _ in range(number)] for _ in range(2))
    reference = outcome(lambda: describe(old), refused=False)
    alike = outcome(lambda: compare(reference, old), refused=False)
    assert alike.findings == [], alike.findings
    found = outcome(lambda: compare(reference, new), refused=False)
    assert len(set(found.findings)) == len(found.findings) and str(found)
    other = [replace(one, keypoint_names=[f"{name}'" for name in one.keypoint_names]) for one in new]
    outcome(lambda: compare(reference, other), refused=True)


@given(seeds(), st.integers(1, 7), st.integers(1, 3), st.sampled_from((0.0, 0.05, np.nan)))
def test_changes_of_shape(seed: int, count: int, dims: int, spread: float):
    rng = np.random.default_rng(seed)
    shape, other = rng.normal(size=(2, count, dims))
    spreads = np.where(rng.random(count) < 0.5, spread, 0.05)
    tolerance = np.full(count, 0.08)
    for changed in (shape, other, shape * np.where(np.arange(dims) == 0, -1, 1)):
        found = outcome(lambda changed=changed: find_change(shape, changed, tolerance, spreads), refused=False)
        assert sorted(found.order) == list(range(count))
        assert changed is not shape or not (found.mirrored or found.exchanged or found.moved.any())


@share_of_examples(0.2)
@given(seeds(), st.integers(-70, 70))
def test_drift_of_a_unit_alone_is_one_of_scale(seed: int, power: int):
    old = as_recordings(numbers((3, 1, 60, 4, 2), seed, "walk"))
    reference = describe(old)
    scaled = [replace(one, keypoints=one.keypoints * np.float32(2.0**power)) for one in old]
    found = outcome(lambda: compare(reference, scaled), refused=False)
    assert len(found.findings) <= 1 and all("times as long" in finding for finding in found.findings)
    assert found.findings or abs(power) < 4


# --- files of embeddings ---


@st.composite
def embeddings(draw: st.DrawFn) -> list[TrackEmbedding]:
    """Of one to four recordings and individuals of any name, with gaps."""
    found = []
    for name in draw(st.lists(names(), min_size=1, max_size=4, unique=True)):
        fps, frames = draw(st.sampled_from((None, 29.97))), draw(st.sampled_from((1, 5)))
        for individual in draw(st.lists(names() | st.just("group"), min_size=1, max_size=2, unique=True)):
            embs = {e: draw(any_numbers((frames, 2))) for e in ("short_term", "long_term")}
            found.append(TrackEmbedding(name, individual, embs, draw(st.sampled_from((0, 7))), fps))
    return found


@pytest.mark.parametrize("kind", ["csv", "parquet", "hdf5", "npz", "xlsx"])
@share_of_examples(0.2)
@given(st.data(), embeddings(), st.integers(0, 10**9))
def test_embeddings_in_files(tmp_path, kind: str, data, tracks: list[TrackEmbedding], number: int):
    around = tmp_path / kind
    folder = around / f"{number}-{len(list(around.iterdir())) if around.exists() else 0}" / "written here"
    found = outcome(lambda: write_embeddings(folder, tracks, kind), refused=True if kind == "xlsx" else None)
    if isinstance(found, Refusal):
        return
    files = {(track.recording, track.individual == "group") for track in tracks}
    assert len(set(found)) == len(found) == len(files)
    assert sorted(found) == sorted(folder.iterdir()), "files beside those that are said"
    assert list(folder.parent.iterdir()) == [folder], "something is written outside the folder"
    if kind == "csv":
        read_back(found, tracks)


def read_back(paths: list[Path], tracks: list[TrackEmbedding]) -> None:
    """The CSVs have all frames of all tracks, and the same numbers."""
    rows = []
    for path in paths:
        with path.open(newline="", encoding="utf-8") as file:
            rows += list(csv.reader(file))[1:]
    assert len(rows) == sum(map(len, tracks))
    values = np.array([[float(cell or "nan") for cell in row[4:]] for row in rows], np.float32)
    expected = np.concatenate([track.table() for track in tracks])
    np.testing.assert_array_equal(np.sort(values, axis=0), np.sort(expected, axis=0))


@given(st.lists(names() | st.text(max_size=3), max_size=6))
def test_names_of_files(given_: list[str]):
    found = outcome(lambda: file_names(given_), refused=False)
    assert set(found) == set(given_)
    taken = [f"{name}{suffix}".casefold() for name in found.values() for suffix in ("", "_group")]
    assert len(set(taken)) == len(taken), "two recordings share a file"
    for name in found.values():
        assert name == Path(name).name and name not in (".", "..") and len(name.encode()) < 200
        assert safe(name) == name or name[-1].isdigit()


# --- figures ---


def drawn(figure) -> None:
    figure.savefig(io.BytesIO(), dpi=20)


@share_of_examples(0.15)
@given(st.data(), st.sampled_from((0, 1, 2, 3, 30)), st.sampled_from((0, 1, 2, 5)), st.sampled_from((1, 2, 6000)))
def test_figures_of_latents(data, frames: int, channels: int, most: int):
    embedding = data.draw(any_numbers((frames, channels), gaps=(0.0, 0.0, 0.0, 0.3)))
    rng = np.random.default_rng(0)
    labels = {
        "speed": (np.where(rng.random(frames) < data.draw(st.sampled_from((0.0, 1.0))), np.nan, 1.0), None),
        "class": (rng.integers(-1, 2, frames), data.draw(st.sampled_from((["a", "ü"], ["a"], [])))),
    }
    found = outcome(lambda: plots.plot_latents({"short": embedding, "long": embedding}, labels, most_points=most))
    if not isinstance(found, Refusal):
        drawn(found)


@share_of_examples(0.15)
@given(st.data(), st.sampled_from((0, 1, 2, 30)), st.sampled_from((1, 2, 5)), st.sampled_from((None, 0.001, 30.0)))
def test_figures_of_a_recording(data, frames: int, channels: int, fps: float | None):
    embedding = data.draw(any_numbers((frames, channels)))
    keypoints = data.draw(any_numbers((frames, 3, 2)))
    found = outcome(lambda: plots.plot_recording({"short": embedding, "long": embedding}, keypoints, fps=fps))
    if not isinstance(found, Refusal):
        drawn(found)


@share_of_examples(0.15)
@given(st.data(), st.sampled_from(((0,), (1,), (30,), (1, 1), (3, 30), (2, 0), ())), st.integers(0, 10))
def test_figures_of_classes(data, axes: tuple[int, ...], count: int):
    classes = np.random.default_rng(data.draw(seeds())).integers(-1, max(count, 1), axes)
    class_names = [f"ü{i}" for i in range(count)]
    found = outcome(lambda: plots.plot_ethogram(classes, class_names))
    if not isinstance(found, Refusal):
        drawn(found)
    confusion = np.where(np.eye(count) > data.draw(st.sampled_from((-1, 0.5))), np.nan, 0.5)
    found = outcome(lambda: plots.plot_confusion(confusion, class_names))
    if not isinstance(found, Refusal):
        drawn(found)


@share_of_examples(0.05)
@given(st.data(), recordings())
def test_figures_of_reports(data, recording: Recording):
    drawn(outcome(lambda: plot_report([recording]), refused=False))
    frames = recording.keypoints.shape[1]
    embs = {name: np.nan_to_num(data.draw(any_numbers((frames, 2)))) for name in ("short_term", "long_term")}
    tracks = [[TrackEmbedding("clip", name, embs) for name in recording.individuals]]
    found = outcome(lambda: draw_overview([recording], tracks))
    for figure in () if isinstance(found, Refusal) else found.values():
        drawn(figure)
