"""Reports, comparisons and files of embeddings, of whatever recordings there are."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import any_numbers, names, numbers, outcome, recordings, seeds, share_of_examples

from bams import Recording, TrackEmbedding, as_recordings, write_embeddings
from bams.embed.export import file_names
from bams.quality.drift import compare
from bams.quality.report import data_report
from bams.quality.shapes import find_change
from bams.quality.training_summary import describe


@given(st.lists(recordings(), min_size=1, max_size=3))
def test_reports_name_every_recording_and_stay_in_their_bounds(given_: list[Recording]):
    found = outcome(lambda: data_report(given_), refused=False)
    assert all(one.name in str(found) for one in given_)
    for one, recording in zip(found.recordings, given_, strict=True):
        assert ((one.tracked >= 0) & (one.tracked <= 1)).all()
        assert (one.longest_gap <= recording.keypoints.shape[1]).all()
        assert (one.jumps <= one.steps).all()
        assert not np.isinf(one.travel).any() and not np.isinf(one.body_length)


@share_of_examples(0.5)
@given(st.data(), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3))
def test_recordings_do_not_drift_from_themselves(data, count: int, dims: int, number: int):
    old, new = ([data.draw(recordings(count=count, dims=dims)) for _ in range(number)] for _ in range(2))
    reference = outcome(lambda: describe(old), refused=False)
    assert outcome(lambda: compare(reference, old), refused=False).findings == []
    found = outcome(lambda: compare(reference, new), refused=False)
    assert len(set(found.findings)) == len(found.findings) and str(found)


@share_of_examples(0.2)
@given(seeds(), st.integers(-70, 70))
def test_another_unit_is_a_drift_of_scale_alone(seed: int, power: int):
    old = as_recordings(numbers((3, 1, 60, 4, 2), seed, "walk"))
    scaled = [replace(one, keypoints=one.keypoints * np.float32(2.0**power)) for one in old]
    found = outcome(lambda: compare(describe(old), scaled), refused=False)
    assert len(found.findings) <= 1 and all("times as long" in finding for finding in found.findings)
    assert found.findings or abs(power) < 4


@given(seeds(), st.integers(1, 7), st.integers(1, 3), st.sampled_from((0.0, 0.05, np.nan)))
def test_a_shape_has_not_changed_from_itself(seed: int, count: int, dims: int, spread: float):
    rng = np.random.default_rng(seed)
    shape, other = rng.normal(size=(2, count, dims))
    spreads, tolerance = np.where(rng.random(count) < 0.5, spread, 0.05), np.full(count, 0.08)
    for changed in (shape, other, shape * np.where(np.arange(dims) == 0, -1, 1)):
        found = outcome(lambda changed=changed: find_change(shape, changed, tolerance, spreads), refused=False)
        assert sorted(found.order) == list(range(count))
        assert changed is not shape or not (found.mirrored or found.exchanged or found.moved.any())


@st.composite
def embeddings(draw: st.DrawFn) -> list[TrackEmbedding]:
    """Of one to four recordings and individuals of any name, with gaps."""
    found = []
    for name in draw(st.lists(names(), min_size=1, max_size=4, unique=True)):
        fps, frames = draw(st.sampled_from((None, 29.97))), draw(st.sampled_from((1, 5)))
        step = draw(st.sampled_from((1.0, 2.0, 0.8)))
        for individual in draw(st.lists(names() | st.just("group"), min_size=1, max_size=2, unique=True)):
            embs = {e: draw(any_numbers((frames, 2))) for e in ("short_term", "long_term")}
            tracked = draw(st.none() | any_numbers((frames,)))
            found.append(TrackEmbedding(name, individual, embs, draw(st.sampled_from((0, 7))), fps, tracked, step))
    return found


@pytest.mark.parametrize("kind", ["csv", "parquet", "hdf5", "npz"])
@share_of_examples(0.2)
@given(embeddings(), st.integers(0, 10**9))
def test_embeddings_of_any_name_stay_in_their_folder(tmp_path, kind: str, tracks: list[TrackEmbedding], number: int):
    around = tmp_path / kind
    folder = around / f"{number}-{len(list(around.iterdir())) if around.exists() else 0}" / "written here"
    found = outcome(lambda: write_embeddings(folder, tracks, kind), refused=False)
    files = {(track.recording, track.individual == "group") for track in tracks}
    assert len(set(found)) == len(found) == len(files)
    assert sorted(found) == sorted(folder.iterdir()) and list(folder.parent.iterdir()) == [folder]
    if kind == "csv":
        rows = []
        for path in found:
            with path.open(newline="", encoding="utf-8") as file:
                rows += list(csv.reader(file))[1:]
        values = np.array([[float(cell or "nan") for cell in row[4:]] for row in rows], np.float32)
        unknown = np.full(5, np.nan, np.float32)
        tracked = [unknown[: len(track)] if track.tracked is None else track.tracked for track in tracks]
        expected = np.concatenate([np.c_[known, track.table()] for known, track in zip(tracked, tracks, strict=True)])
        np.testing.assert_array_equal(np.sort(values, axis=0), np.sort(expected, axis=0))


@given(st.lists(names() | st.text(max_size=3), max_size=6))
def test_recordings_of_any_name_have_files_of_their_own(given_: list[str]):
    found = outcome(lambda: file_names(given_), refused=False)
    assert set(found) == set(given_)
    taken = [f"{name}{suffix}".casefold() for name in found.values() for suffix in ("", "_group")]
    assert len(set(taken)) == len(taken)
    for name in found.values():
        assert name == Path(name).name and name not in (".", "..") and len(name.encode()) < 200
