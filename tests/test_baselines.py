"""Baselines that a trained model is compared with."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from bams import BAMS
from bams.embed.pooled import embed_recordings, embed_table
from bams.mabe import report as mabe_report
from bams.mabe.report import MabeConfig
from bams.readout.baselines import InputAlone, moving_mean, principal_components, random_weights


def small_model() -> BAMS:
    torch.manual_seed(3)
    sizes = {"num_channels": (4, 4), "kernel_size": 3}
    model = BAMS(2, predictor={"hidden_layers": (-1, 8, 6)}, short_term=sizes, long_term=sizes)
    model.scale.set(torch.tensor([1.0, -2.0]), torch.tensor([2.0, 4.0]))
    return model


def make_inputs(recording: np.ndarray) -> np.ndarray:
    """Of a track per individual the only keypoint."""
    return recording[:, :, 0]


@pytest.fixture
def recordings() -> list[np.ndarray]:
    """Two of three individuals (A, T, K=1, 2)."""
    rng = np.random.default_rng(0)
    return [rng.normal(size=(3, frames, 1, 2)).astype(np.float32) for frames in (20, 30)]


def test_random_weights_differ_by_seed_only_and_keep_the_scale():
    model = small_model()
    torch.manual_seed(0)
    before = torch.rand(1)
    torch.manual_seed(0)
    one, again, other = (random_weights(model, seed).state_dict() for seed in (1, 1, 2))
    assert torch.rand(1) == before
    weights = [name for name, value in one.items() if value.ndim > 1]
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert all(not torch.equal(one[name], other[name]) for name in weights if "encoders" in name)
    for name, value in model.scale.state_dict().items():
        assert torch.equal(one[f"scale.{name}"], value)


@pytest.mark.parametrize("frames", [1, 4, 9, 50])
def test_moving_mean_equals_a_loop(frames):
    values = np.random.default_rng(frames).normal(size=(2, 9, 3)).astype(np.float32)
    plain = [[track[max(t + 1 - frames, 0) : t + 1].mean(axis=0) for t in range(9)] for track in values]
    np.testing.assert_allclose(moving_mean(values, frames), plain, atol=1e-6)


def test_the_input_alone_is_pooled_like_an_embedding(recordings):
    model = small_model()
    table = embed_table(InputAlone(model), recordings, [(30, 50), (0, 30)], make_inputs)
    assert table.shape == (50, 4)
    scaled = [(recording[:, :, 0] - [1, -2]) / [2, 4] for recording in recordings]
    for span, rows in zip([slice(30, 50), slice(0, 30)], scaled, strict=True):
        np.testing.assert_allclose(table[span], np.concatenate([rows.mean(0), np.ptp(rows, axis=0)], 1), atol=1e-5)


def test_a_table_is_the_pooled_recordings_at_their_rows(recordings):
    model = small_model()
    table = embed_table(model, recordings, [(30, 50), (0, 30)], make_inputs)
    first, second = embed_recordings(model, recordings, make_inputs)
    np.testing.assert_array_equal(table, np.concatenate([second, first]))


@pytest.mark.parametrize("most", [1, 3, 5, 9])
def test_principal_components_are_those_of_scikit_learn(most):
    rng = np.random.default_rng(0)
    table = (rng.normal(size=(200, 5)) @ rng.normal(size=(5, 5)) + 10).astype(np.float32)
    kept = table.copy()
    found = principal_components(table, most)
    expected = PCA(min(most, 5)).fit_transform(table.astype(np.float64))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(table, kept)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-4)


def test_settings_that_leave_something_out_are_refused_before_any_work(tmp_path):
    with pytest.raises(ValueError, match="--submission"):
        mabe_report.check_settings(MabeConfig(), None)
    with pytest.raises(FileNotFoundError, match=r"s\.npy"):
        mabe_report.check_settings(MabeConfig(submission=str(tmp_path / "s.npy")), None)
    (tmp_path / "s.npy").write_bytes(b"embeddings")
    with pytest.raises(ValueError, match="--ckpt_path"):
        mabe_report.check_settings(MabeConfig(submission=str(tmp_path / "s.npy"), baselines=True), None)
    mabe_report.check_settings(MabeConfig(submission=str(tmp_path / "s.npy"), baselines=True), "m.pt")
