"""Checkpoints of version 0.1 load, and give the embeddings that version 0.1 gave.

Inputs in and after a gap differ since version 0.2 (see CHANGELOG.md), so that frames before the first one are compared.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bams
import mouse_triplets
from bams.embedder.estimator import BAMSEmbedder
from bams.recordings.cleaning import clean

DATA = Path(__file__).parent / "data"
ATOL = 2e-6


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    with np.load(DATA / "embeddings_0.1.npz") as file:
        return dict(file)


def test_a_model_of_ones_own_recordings(expected):
    names = [f"k{i}" for i in range(12)]
    recording = bams.Recording("r0", expected["keypoints"][:2], None, ["m0", "m1"], names, 30.0)
    embedder = BAMSEmbedder.load(DATA / "custom_0.1.pt", device="cpu")
    assert embedder.features == bams.FeatureConfig(heading="k9:k0") and embedder.cleaning.interpolate == 3
    cleaned = clean([recording], embedder.cleaning)[0].keypoints
    whole = int(np.flatnonzero(np.isnan(cleaned).any(axis=(0, 2, 3)))[0])  # frames before the first gap
    assert whole > 60
    for i, found in enumerate(embedder.transform([recording])):
        for encoder in ("short_term", "long_term"):
            np.testing.assert_allclose(found[encoder][:whole], expected[f"custom_{i}_{encoder}"][:whole], atol=ATOL)


def test_a_model_of_mouse_triplets(expected):
    path = DATA / "mouse_triplet_0.1.pt"
    encoder = bams.StreamingEncoder(path, mouse_triplets.features)
    frames = expected["keypoints"][:, :60]
    found = [encoder.embed(frames[:, t]) for t in range(frames.shape[1])]
    for name in ("short_term", "long_term"):
        embs = np.stack([one[name] for one in found], axis=1)
        np.testing.assert_allclose(embs, expected[f"mouse_triplet_{name}"], atol=ATOL)
    with pytest.raises(ValueError, match="does not say how its features are made"):
        bams.StreamingEncoder(path)


@pytest.mark.parametrize("change", [{"tracks": "joint"}, {"features": "camera"}])
def test_features_that_are_not_made_any_more_are_refused_by_their_name(change):
    trained = bams.checkpoint.load(DATA / "custom_0.1.pt")
    other = replace(trained, settings=trained.settings | change)
    with pytest.raises(ValueError, match=r"--tracks joint or --features camera, which only bams 0\.1 has"):
        bams.checkpoint.trained_features(other)
