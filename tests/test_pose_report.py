"""What the report says of recordings: numbers by hand and against plain loops, and a sentence for each fault."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from bams.quality.measures import longest_gaps, measure, suspected_swaps
from bams.quality.report import data_report, plot_report
from bams.recordings.load import load_poses
from bams.recordings.recording import Recording

NAN, ALL = np.nan, slice(None)
NATIVE = Path(__file__).parents[2] / "shared" / "data" / "native"
needs_native = pytest.mark.skipif(not NATIVE.exists(), reason="the files of trackers in ../shared are not here")


def walkers(seed: int = 0, individuals: int = 2, frames: int = 200, dims: int = 2, **changes) -> Recording:
    """Bodies of length 10 that walk far from one another, all tracked, with confidences."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(individuals, frames, 1, dims))
    place = steps.cumsum(axis=1) + 500 * np.arange(individuals)[:, None, None, None]
    body = np.array([[5.0, 0, 0], [0, 1, 0], [-5, 0, 0]])[:, :dims]
    keypoints = (place + body + 0.1 * rng.normal(size=(individuals, frames, 3, dims))).astype(np.float32)
    names = [f"animal{i}" for i in range(individuals)], ["nose", "back", "tail"]
    confidence = rng.uniform(0.5, 1, keypoints.shape[:3]).astype(np.float32)
    return replace(Recording(f"walk{seed}", keypoints, confidence, *names, fps=50.0), **changes)


def with_gaps(one: Recording, share: float = 0.3) -> Recording:
    return without(one, np.random.default_rng(1).random(one.keypoints.shape[:3]) < share)


def without(one: Recording, *at) -> Recording:
    """The recording with NaN at some index of its keypoints."""
    keypoints = one.keypoints.copy()
    keypoints[at] = NAN
    return replace(one, keypoints=keypoints)


def said(*recordings: Recording, **options) -> str:
    return "\n".join(data_report(recordings, **options).warnings)


def test_numbers_by_hand():
    keypoints = np.zeros((1, 6, 2, 2), np.float32) + np.float32([[0, 0], [3, 4]])
    keypoints[0, 3:, :, 0] += 5.5  # further than a body
    keypoints[0, 1, 0] = keypoints[0, 4:, 1] = NAN
    confidence = np.linspace(0, 1, 12, dtype=np.float32).reshape(1, 6, 2)
    found = measure(Recording("one", keypoints, confidence, ["a"], ["p", "q"], fps=2.0))
    assert found.body_length == 5
    assert (found.frames, found.dims, found.fps, found.swaps) == (6, 2, 2.0, 0)
    np.testing.assert_allclose(found.tracked, [[5 / 6, 4 / 6]])
    assert found.longest_gap.tolist() == [[1, 2]]
    assert found.steps.tolist() == [3, 3]
    assert found.jumps.tolist() == [1, 1]
    np.testing.assert_allclose(found.confidence[1], [5 / 11, 6 / 11], rtol=1e-6)
    np.testing.assert_allclose(found.travel, [1.1, np.quantile([0, 0, 0, 1.1], 0.9)], rtol=1e-6)


def test_longest_gaps_equal_a_loop():
    seen = np.random.default_rng(0).random((3, 50, 4)) < 0.4
    for a, k in np.ndindex(3, 4):
        runs = "".join(" " if here else "x" for here in seen[a, :, k]).split()
        assert longest_gaps(seen)[a, k] == max(map(len, runs))
    assert longest_gaps(np.zeros((1, 7, 1), bool)).tolist() == [[7]]


@pytest.mark.parametrize("dims", [2, 3])
def test_animals_that_change_places_are_found(dims):
    one = with_gaps(walkers(individuals=3, dims=dims))
    assert suspected_swaps(one.keypoints, 10).tolist() == []
    swapped = one.keypoints.copy()
    swapped[[0, 2], 40:90] = swapped[[2, 0], 40:90]
    assert suspected_swaps(swapped, 10).tolist() == [40, 90]
    assert suspected_swaps(swapped * 1000, 10_000).tolist() == [40, 90]
    assert "change places at 2 frames: walk0: correct the identities" in said(replace(one, keypoints=swapped))


def test_two_that_sit_on_one_another_have_not_changed_places():
    one = walkers(individuals=1, frames=300).keypoints
    noise = 0.1 * np.random.default_rng(5).normal(size=one.shape).astype(np.float32)
    assert suspected_swaps(np.concatenate([one, one + noise]), 10).tolist() == []


def test_good_recordings_give_no_warning():
    report = data_report([walkers(0), with_gaps(walkers(1))])
    assert report.warnings == []
    assert str(report).endswith("nothing to correct was found")


@pytest.mark.parametrize("dims", [2, 3])
def test_the_unit_only_changes_lengths(dims):
    one = with_gaps(walkers(dims=dims))
    here, there = measure(one), measure(replace(one, keypoints=one.keypoints * np.float32(1024)))
    np.testing.assert_allclose(here.body_length * 1024, there.body_length, rtol=1e-5)
    np.testing.assert_allclose(here.travel, there.travel, rtol=1e-5)
    for name in ("tracked", "longest_gap", "steps", "jumps", "confidence", "swaps"):
        np.testing.assert_array_equal(getattr(here, name), getattr(there, name))


@pytest.mark.parametrize(
    ("faulty", "sentence"),
    [
        (lambda one: without(one, ALL, ALL, 1), "keypoints never tracked: back in walk0: leave"),
        (lambda one: without(one, 1, slice(3, None)), "tracked in less than 5% of the frames: animal1 in walk0"),
        (lambda one: with_gaps(one, 0.6), "less than 50% is tracked: walk0"),
        (lambda one: without(one), "nobody is ever tracked: walk0: leave"),
        (lambda one: replace(one, fps=None), "frame rates differ (50, unknown)"),
        (lambda one: replace(one, keypoints=one.keypoints * 3), "body lengths differ by more than 2 times (30"),
        (lambda one: replace(one, keypoint_names=["nose", "back", "tip"]), "keypoints that only others have: tail in"),
        (lambda one: replace(one, keypoint_names=["tail", "back", "nose"]), "keypoints are in different orders"),
        (lambda one: replace(one, keypoints=walkers(dims=3).keypoints), "different numbers of coordinates"),
    ],
)
def test_each_fault_has_a_sentence(faulty, sentence):
    assert sentence in said(faulty(walkers(0)), walkers(1))


def test_a_mark_of_the_arena_is_named():
    one = walkers(individuals=1)
    keypoints = one.keypoints.copy()
    keypoints[:, :, 1] = np.float32([3, 4]) + 0.001 * keypoints[:, :, 1]
    assert "keypoints that do not move: back in walk0" in said(replace(one, keypoints=keypoints))
    assert "do not move: nose, back, tail in walk0" in said(replace(one, keypoints=one.keypoints[:, :1].repeat(200, 1)))


def test_jumps_are_named_where_they_are_many():
    one = walkers()
    keypoints = one.keypoints.copy()
    keypoints[0, ::20, 2] += 50
    found = data_report([replace(one, keypoints=keypoints)])
    assert found.recordings[0].jumps.tolist() == [0, 0, 19]
    assert "more than 1% of the steps are longer than a body: tail in walk0: --max_jump" in found.warnings[0]


def test_recordings_too_short_are_named():
    found = said(walkers(frames=50), walkers(1, frames=130), least_frames=131)
    assert "the longest has 130 frames, 131 are needed" in found
    found = said(walkers(frames=50), walkers(1, frames=131), least_frames=131)
    assert found == "fewer than the 131 frames that learning needs: walk0 (50): training leaves them out"


def test_the_text_of_many_recordings_is_short():
    many = [replace(walkers(i, frames=140), name=f"r{i}") for i in range(100)]
    bad = [without(one, ALL, ALL, 2) for one in many]
    text = str(data_report(bad))
    assert len(text.splitlines()) == 1 + 100 + 1 + 1 + 3 + 1 + 1
    assert "! keypoints never tracked: tail in r0, r1, r2, r3, r4 and 95 more: leave" in text
    first = text.splitlines()[1].split()
    assert first[:7] == ["r0", "140", "2.8", "2", "67%", "140", "0"]


def test_the_text_of_one_recording_tells_of_each_animal():
    lines = str(data_report([without(walkers(fps=None), 1, slice(0, 100))])).splitlines()
    assert lines[1].split()[:5] == ["walk0", "200", "?", "2", "75%"]
    assert lines[3].split()[:4] == ["keypoint", "tracked", "animal0", "animal1"]
    assert lines[4].split()[:4] == ["nose", "75%", "100%", "50%"]


@pytest.mark.parametrize("frames", [1, 2])
def test_few_frames_no_rate_no_confidence_and_one_keypoint(frames):
    one = walkers(frames=frames, fps=None, confidence=None)
    for each in (one, replace(one, keypoints=one.keypoints[:, :, :1], keypoint_names=["nose"])):
        assert "too short to learn from" in str(data_report([each], least_frames=131))
        assert "?" in str(data_report([each]))


def test_the_figure_shows_the_numbers():
    recordings = [walkers(0), replace(with_gaps(walkers(1)), keypoint_names=["nose", "back", "tip"])]
    report = data_report(recordings)
    for figure in (plot_report(report), plot_report(recordings)):
        assert isinstance(figure, Figure)
        tracked, jumps, size = figure.axes[:3]
        shown = np.ma.filled(tracked.images[0].get_array(), NAN)
        nose, back, tip = report.recordings[1].tracked.mean(axis=0)
        np.testing.assert_allclose(shown, [[1, 1, 1, NAN], [nose, back, NAN, tip]])
        assert [label.get_text() for label in tracked.get_xticklabels()] == ["nose", "back", "tail", "tip"]
        assert [label.get_text() for label in tracked.get_yticklabels()] == ["walk0", "walk1"]
        assert np.nanmax(jumps.images[0].get_array()) == 0
        np.testing.assert_allclose(size.lines[0].get_xdata(), [one.body_length for one in report.recordings])


@needs_native
def test_real_files():
    mouse = data_report(load_poses(NATIVE / "dlc_EPM_15.csv"))
    marks = "tl, tr, bl, br, lt and 4 more in dlc_EPM_15"
    assert any(f"keypoints that do not move: {marks}" in warning for warning in mouse.warnings)
    rats = data_report(load_poses(NATIVE / "dlc_multianimal_rats_rec24.csv"))
    assert [warning.split(":")[0] for warning in rats.warnings] == ["individuals seem to change places at 2 frames"]
