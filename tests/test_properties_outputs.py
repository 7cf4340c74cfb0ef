"""Reports, comparisons, files of embeddings, and figures, of whatever recordings there are."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    Refusal,
    any_numbers,
    names,
    numbers,
    outcome,
    recordings,
    seeds,
    share_of_examples,
)

from bams import Recording, TrackEmbedding, as_recordings, plots, write_embeddings
from bams.app.overview import draw_overview
from bams.embed.export import file_names, safe
from bams.quality.drift import compare
from bams.quality.report import data_report, plot_report
from bams.quality.shapes import find_change
from bams.quality.training_summary import describe

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
