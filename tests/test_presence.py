"""Frames in which an individual is not there, on the way out: embeddings, groups, shares tracked, figures, files."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas
import pytest
from test_stream import custom_checkpoint, gappy

import custom_dataset
from bams import BAMSEmbedder, Recording, checkpoint
from bams.app.overview import draw_overview
from bams.embed import offline
from bams.embed.offline import embed_recording
from bams.embed.tracks import GROUP, embed
from bams.recordings.cleaning import CleaningConfig, clean

FRAMES, NAMES = 40, ["nose", "neck", "tail", "tip"]
SEEN = [(0, 40), (10, 31), None, (39, 40), (5, 6)]  # of each individual, the first frame and the one after the last


def comings_and_goings(series: bool = False, individuals: int = 5, name: str = "r", **about) -> Recording:
    """Individuals seen as `SEEN` says, with gaps of single keypoints and one of all keypoints in the middle."""
    points = gappy(individuals, FRAMES, len(NAMES))
    points = np.where(np.isnan(points), np.float32(0), points)
    points[np.random.default_rng(1).random(points.shape[:3]) < 0.2] = np.nan
    points[:, 15:18] = np.nan
    for track, span in zip(points, SEEN, strict=False):
        first, end = span or (0, 0)
        track[:first] = track[end:] = np.nan
        if span:
            track[[first, end - 1], 1] = 1.0
    whose = [f"m{i}" for i in range(individuals)]
    values, names = (points[..., 0], []) if series else (points, NAMES)
    return Recording(name, values, None, whose, names, 30.0, **about)


def present(individuals: int) -> np.ndarray:
    frames = np.arange(FRAMES)
    spans = [span or (0, 0) for span in SEEN[:individuals]]
    return np.array([(frames >= first) & (frames < end) for first, end in spans])


@pytest.mark.parametrize("block", [7, 2**14])
@pytest.mark.parametrize("individuals", [1, 5])
@pytest.mark.parametrize("series", [False, True])
def test_embeddings_are_nan_before_the_first_and_after_the_last_sight(monkeypatch, series, individuals, block):
    monkeypatch.setattr(offline, "BLOCK", block)
    recording = comings_and_goings(series, individuals, first_frame=7, frame_step=2.0)
    trained = custom_checkpoint(recording.keypoints, names=recording.keypoint_names or None)
    there, width = present(individuals), trained.model.sizes["short_term"]
    (found,) = embed(trained, [recording], pooled=True)
    assert [one.individual for one in found] == [*recording.individuals, GROUP]
    make_inputs = partial(trained.inputs, names=recording.keypoint_names or None)
    blocks = list(embed_recording(trained.model, recording.keypoints, make_inputs))
    whole = np.concatenate([embs["short_term"] for _, embs in blocks], axis=1)
    assert np.isfinite(whole).all()
    seen = np.isfinite(recording.keypoints).reshape(individuals, FRAMES, len(NAMES), -1).all(axis=-1)
    for i, one in enumerate(found[:-1]):
        np.testing.assert_array_equal(one["short_term"], np.where(there[i, :, None], whole[i], np.nan))
        assert one.tracked.dtype == np.float32
        np.testing.assert_allclose(one.tracked, [sum(frame) / len(NAMES) for frame in seen[i]])
        assert (one.frame[0], one.frame[1], one.time_s[1]) == (7, 9, 9 / 60)
    group = found[-1]
    np.testing.assert_allclose(group.tracked, [seen[:, t].sum() / (4 * individuals) for t in range(FRAMES)], rtol=1e-6)
    for t in range(FRAMES):
        some = whole[there[:, t], t]  # of the individuals present, at least one
        np.testing.assert_allclose(group["short_term"][t, :width], some.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(group["short_term"][t, width:], some.max(axis=0) - some.min(axis=0), atol=1e-6)


def test_a_transform_and_its_drift_take_individuals_that_are_never_there():
    recording = comings_and_goings()
    embedder = BAMSEmbedder(epochs=1, sequence_length=20, settings={"skip_frames": 2, "hoa_window": 5}, device="cpu")
    found = embedder.fit([recording, replace(recording, name="s")]).transform([recording])
    for one, there in zip(found, present(5), strict=True):
        np.testing.assert_array_equal(np.isfinite(one.table()), np.repeat(there[:, None], 64, axis=1))
    gone = replace(recording, keypoints=np.full_like(recording.keypoints, np.nan))
    assert not any(np.isfinite(one.table()).any() for one in embedder.transform([gone]))
    assert not any("embeddings" in said for said in embedder.drift([gone]).findings)


def test_figures_leave_out_frames_without_an_animal():
    nobody = replace(comings_and_goings(name="empty"), keypoints=np.full((5, FRAMES, 4, 2), np.nan, np.float32))
    late = replace(comings_and_goings(first_frame=60, frame_step=2.0), fps=15.0)
    late = late.of_individuals(np.arange(5) > 0)  # the first comes at index 10, frame 80 of a file of 30 a second
    recordings = [nobody, late]
    trained = custom_checkpoint(late.keypoints, names=NAMES)
    figures = draw_overview(recordings, list(embed(trained, recordings)))
    dots = figures["latents"].axes[0].collections
    assert sum(len(drawn.get_offsets()) for drawn in dots) == present(5)[1:].sum()
    panel = figures["recording"].axes[0]
    assert panel.get_xlim()[0] == pytest.approx(80 / 30)


@pytest.fixture
def model(tmp_path, monkeypatch) -> Path:
    """A network with random weights, in a folder with a recording of five individuals and one of one."""
    monkeypatch.chdir(tmp_path)
    pair, solo = comings_and_goings(), comings_and_goings(individuals=1, name="solo")
    checkpoint.save("m.pt", custom_checkpoint(pair.keypoints, names=NAMES))
    monkeypatch.setattr(custom_dataset, "load_data", lambda *_: [pair, solo])
    return tmp_path


def run(*flags: str) -> None:
    custom_dataset.main(["--job", "compute_representations", "--data_root", ".", "--ckpt_path", "m.pt", *flags])


def test_arrays_say_what_is_tracked_and_hold_groups_of_single_individuals(model):
    run("--format", "arrays")
    with np.load("m_representations.npz") as arrays:
        found = dict(arrays)
    there = np.concatenate([present(5), present(1)])
    for name in ("short_term", "long_term"):
        np.testing.assert_array_equal(np.isfinite(found[name]), np.repeat(there[..., None], found[name].shape[2], 2))
        alone, group = found[name][5], found[f"group_{name}"][1]
        np.testing.assert_array_equal(group, np.concatenate([alone, np.zeros_like(alone)], axis=1))
    seen = np.concatenate([np.isfinite(one.keypoints).all(-1).mean(-1) for one in custom_dataset.load_data()])
    np.testing.assert_allclose(found["tracked"], seen)
    np.testing.assert_allclose(found["group_tracked"], [seen[:5].mean(axis=0), seen[5]], rtol=1e-6)


@pytest.mark.parametrize("rate", [15, 25, 60])
def test_tables_of_resampled_segments_name_the_frames_of_the_file(model, monkeypatch, rate):
    Path("parts.csv").write_text("recording,start,end\nr,0,20\nr,21,39\nsolo,3,12\n")
    trained = checkpoint.load("m.pt")
    checkpoint.save("m.pt", replace(trained, settings={**trained.settings, "resample": float(rate)}))
    run("--format", "csv", "--segments", "parts.csv")
    assert len(list(Path("m_representations").iterdir())) == 4
    step, expected = 30 / rate, []
    for start, end in ((0, 20), (21, 39)):
        expected += [start + i * step for i in range(1000) if start + i * step <= end + 1e-9]
    whole = custom_dataset.load_data()[0]
    for suffix, individuals in (("", 5), ("_group", 1)):
        table = pandas.read_csv(f"m_representations/r{suffix}_embeddings.csv")
        np.testing.assert_allclose(table["frame"], expected * individuals, atol=1e-6)
        np.testing.assert_allclose(table["time_s"], table["frame"] / 30, atol=1e-6)
        assert (table["frame"].dtype == int) == (rate == 15)
    (resampled,) = clean([whole.at_frames(slice(0, 21))], CleaningConfig(resample=rate))
    rows = pandas.read_csv("m_representations/r_embeddings.csv").query("individual == 'm0' and frame <= 20")
    np.testing.assert_allclose(rows["tracked"], np.isfinite(resampled.keypoints[0]).all(-1).mean(-1))
