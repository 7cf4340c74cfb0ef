"""embedder.py and embedder.py: fit and transform of recordings, in Python."""

import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from bams import BAMSEmbedder, Recording, checkpoint, simulate
from bams.embed.tracks import embed
from bams.embedder.drift import _some_embeddings
from bams.features.config import FeatureConfig
from bams.recordings.cleaning import CleaningConfig
from bams.recordings.segments import Segment, cut_segments
from bams.training.interrupts import Interrupted

ROOT = Path(__file__).parents[1]
QUICK = {"epochs": 1, "sequence_length": 100, "batch_size": 8, "device": "cpu"}


def some_recordings(lengths=(260, 200, 330, 240), individuals=(2, 1, 2, 3), fps=30.0, seed=0) -> list[Recording]:
    """Simulated mice, in recordings that differ in length and in number of individuals."""
    mice = simulate.simulate_mice(len(lengths), frames=max(lengths), individuals=max(individuals), seed=seed)
    return [
        Recording(f"r{i}", points[:count, :total], None, [f"m{k}" for k in range(count)], list(simulate.KEYPOINTS), fps)
        for i, (points, total, count) in enumerate(zip(mice.keypoints, lengths, individuals, strict=True))
    ]


@pytest.fixture(scope="module")
def fitted() -> BAMSEmbedder:
    return BAMSEmbedder(**QUICK).fit(some_recordings())


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert (one.recording, one.individual) == (other.recording, other.individual)
        np.testing.assert_equal(one.embs, other.embs)


def test_every_individual_of_every_recording_has_its_own_table(fitted):
    recordings = some_recordings()
    found = fitted.transform(recordings)
    expected = [(r.name, name, r.keypoints.shape[1], 32) for r in recordings for name in r.individuals]
    assert [(one.recording, one.individual, *one["long_term"].shape) for one in found] == expected
    assert all(np.isfinite(one.table()).all() for one in found)
    parts = cut_segments(recordings, [Segment("r0", 10, 109), Segment("r0", 150, 249), Segment("r2", 0, 99)])
    expected = [(name, who, first) for name, first in (("r0", 10), ("r0", 150), ("r2", 0)) for who in ("m0", "m1")]
    assert [(one.recording, one.individual, one.first_frame) for one in fitted.transform(parts)] == expected


@pytest.mark.slow
def test_a_loaded_model_embeds_the_same_in_another_process(fitted, tmp_path):
    recordings = some_recordings()
    fitted.save(tmp_path / "m.pt")
    (tmp_path / "r.pkl").write_bytes(pickle.dumps(recordings))
    code = (
        "import pickle; from bams import BAMSEmbedder; "
        "found = BAMSEmbedder.load('m.pt', device='cpu').transform(pickle.load(open('r.pkl', 'rb'))); "
        "pickle.dump(found, open('e.pkl', 'wb'))"
    )
    options = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(ROOT)}, "capture_output": True, "check": False}
    done = subprocess.run([sys.executable, "-c", code], **options)
    assert (done.returncode, done.stderr) == (0, b"")  # there is no drift to speak of
    assert_same(pickle.loads((tmp_path / "e.pkl").read_bytes()), fitted.transform(recordings))


def test_same_seed_same_embeddings():
    made = [BAMSEmbedder(**QUICK, seed=s).fit(some_recordings()).transform(some_recordings()) for s in (3, 3, 4)]
    assert_same(made[0], made[1])
    assert not np.array_equal(made[0][0]["short_term"], made[2][0]["short_term"])


def test_conventions_of_scikit_learn(fitted):
    recordings = some_recordings()
    features, settings = FeatureConfig(others=0), {"lr": 1e-3}
    embedder = BAMSEmbedder(features=features, settings=settings, **QUICK)
    params = embedder.get_params()
    assert params["features"] is features and params["settings"] is settings
    twin = clone(embedder)
    assert twin.get_params() == params and not hasattr(twin, "checkpoint_")
    with pytest.raises(NotFittedError):
        twin.transform(recordings)
    with pytest.raises(NotFittedError):
        twin.save("m.pt")
    assert embedder.set_params(epochs=2).epochs == 2
    assert_same(pickle.loads(pickle.dumps(fitted)).transform(recordings), fitted.transform(recordings))
    tables = FunctionTransformer(lambda found: np.concatenate([one.table() for one in found]))
    pipeline = make_pipeline(BAMSEmbedder(**QUICK), tables)
    total = sum(r.keypoints.shape[1] * len(r.individuals) for r in recordings)
    assert pipeline.fit_transform(recordings).shape == (total, 64)


def test_arrays_are_recordings_too():
    recordings = [replace(one, keypoints=one.keypoints[:1], individuals=["m0"]) for one in some_recordings()]
    expected = BAMSEmbedder(**QUICK).fit(recordings).transform(recordings)
    arrays = [one.keypoints[0] for one in recordings]
    padded = np.full((4, 330, *arrays[0].shape[1:]), np.nan)
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    for given in ([array[None] for array in arrays], padded):
        found = BAMSEmbedder(**QUICK).fit(given).transform(given)
        np.testing.assert_equal([one["short_term"] for one in found], [one["short_term"] for one in expected])
    steps = np.random.default_rng(0).normal(size=(3, 150, 5)).cumsum(axis=1)  # series have no keypoints
    assert BAMSEmbedder(**QUICK).fit(steps).transform(steps)[2]["short_term"].shape == (150, 64)
    with pytest.raises(ValueError, match=r"recording1 has axes \(7,\)"):
        BAMSEmbedder(**QUICK).fit([arrays[0], np.zeros(7)])
    with pytest.raises(ValueError, match="no recording"):
        BAMSEmbedder(**QUICK).fit([])


def test_windows_in_seconds_follow_the_rate():
    embedder = BAMSEmbedder(hoa_window_s=0.5, **QUICK).fit(some_recordings(fps=40.0))
    assert embedder.checkpoint_.settings["hoa_window"] == 20
    with pytest.raises(ValueError, match="frames per second"):
        BAMSEmbedder(hoa_window_s=0.5, **QUICK).fit(some_recordings(fps=None))


def test_new_recordings_are_cleaned_as_those_in_training(tmp_path):
    recordings = some_recordings()
    kept = simulate.KEYPOINTS[3:8]
    cleaning = CleaningConfig(rename=f"{kept[0]}:first", keypoints=",".join(["first", *kept[1:]]), interpolate=3)
    embedder = BAMSEmbedder(cleaning=cleaning, **QUICK).fit(recordings)
    assert embedder.keypoint_names_ == ["first", *kept[1:]]
    embedder.save(tmp_path / "m.pt")
    loaded = BAMSEmbedder.load(tmp_path / "m.pt", device="cpu")
    assert loaded.cleaning == cleaning and loaded.keypoint_names_ == embedder.keypoint_names_
    assert_same(loaded.transform(recordings), embedder.transform(recordings))


def test_other_skeletons_and_rates_are_refused(fitted):
    recordings = some_recordings()
    other = [replace(one, keypoint_names=["snout", *one.keypoint_names[1:]]) for one in recordings]
    with pytest.raises(ValueError, match="snout"):
        fitted.transform(other)
    with pytest.raises(ValueError, match="differ"):
        BAMSEmbedder(**QUICK).fit([recordings[0], other[1]])
    with pytest.raises(ValueError, match="60 frames per second"):
        BAMSEmbedder(**QUICK).fit([recordings[0], replace(recordings[1], fps=60.0)])


@pytest.mark.slow
def test_drift_is_named_and_what_has_not_changed_is_not(capsys):
    recordings = some_recordings((400,) * 6, (2,) * 6)
    embedder = BAMSEmbedder(**QUICK).fit(recordings)
    capsys.readouterr()
    assert embedder.drift(recordings).findings == []
    embedder.transform(recordings)
    assert capsys.readouterr().err == ""
    larger = [replace(one, keypoints=1.3 * one.keypoints) for one in recordings]
    assert any("1.30 times as long" in found for found in embedder.drift(larger).findings)
    embedder.transform(larger)
    assert "1.30 times as long" in capsys.readouterr().err


def test_checkpoints_of_the_scripts_are_taken(fitted, tmp_path):
    fitted.save(tmp_path / "m.pt")
    other = replace(fitted.checkpoint_, dataset="mouse_triplet")
    checkpoint.save(tmp_path / "o.pt", other)
    with pytest.raises(ValueError, match="trained on mouse_triplet"):
        BAMSEmbedder.load(tmp_path / "o.pt")


def test_somebody_who_is_never_there_is_no_drift_and_nothing_to_embed_is_nothing(fitted):
    recordings = some_recordings()
    nobody = [np.full_like(one.keypoints[:1], np.nan) for one in recordings]
    slots = [
        replace(one, keypoints=np.concatenate([one.keypoints, *[empty] * 6]), individuals=[*one.individuals, *"uvwxyz"])
        for one, empty in zip(recordings, nobody, strict=True)
    ]
    found = _some_embeddings(fitted.checkpoint_, slots, "cpu")
    for name, emb in _some_embeddings(fitted.checkpoint_, recordings, "cpu").items():
        np.testing.assert_array_equal(found[name], emb)
    assert list(embed(fitted.checkpoint_, [])) == []
    alone = [replace(recordings[0], keypoints=nobody[0], individuals=["m0"])]
    assert len(fitted.transform(alone)[0]) == 260


# --- what fit leaves behind ---


def test_fit_leaves_the_global_generators_as_they_were():
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    BAMSEmbedder(**QUICK, seed=3).fit(some_recordings())
    assert torch.equal(torch.get_rng_state(), states[0]) and (np.random.get_state()[1] == states[1]).all()


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda _: os.kill(os.getpid(), signal.SIGINT), "stopped at step 1"),
        (lambda optimizer: optimizer.param_groups[0]["params"][0].data.fill_(np.nan), "not finite"),
    ],
    ids=["Ctrl-C", "error"],
)
def test_a_fit_that_ends_early_names_no_file(capfd, act, error):
    embedder = BAMSEmbedder(**QUICK)

    def act_once(optimizer: torch.optim.Optimizer, *_) -> None:
        hook.remove()
        act(optimizer)

    hook = register_optimizer_step_pre_hook(act_once)
    with pytest.raises((Interrupted, FloatingPointError), match=f"{error}.*; nothing of the training is kept$") as end:
        embedder.fit(some_recordings())
    assert ".pt" not in str(end.value) and "checkpoint" not in capfd.readouterr().err
    assert not hasattr(embedder, "checkpoint_")


def test_threads_are_those_of_the_settings_and_not_of_the_file(tmp_path):
    usual = torch.get_num_threads()
    embedder = BAMSEmbedder(**QUICK, settings={"threads": 2}).fit(some_recordings())
    assert embedder.checkpoint_.settings["threads"] == 2 and torch.get_num_threads() == usual
    assert "threads" not in BAMSEmbedder.load(embedder.save(tmp_path / "m.pt")).settings
