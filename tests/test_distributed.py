"""Runs on two processes are those on one."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bams import checkpoint
from bams.compute import distributed
from bams.data.dataset import Dataset
from bams.losses import HoALoss
from bams.models.bams import BAMS
from bams.training.config import TrainConfig
from bams.training.interrupts import Interrupted
from bams.training.loop import train
from bams.training.step import TrainingStep

ROOT = Path(__file__).parents[1]
STEPS = TrainConfig(batch_size=5, epochs=2, skip_frames=5, hoa_window=6, views=3, near_frames=2, lr=5e-5)
CONFIG = replace(STEPS, precision="float32", device="cpu")


def some_data(tracks: int = 11) -> Dataset:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(tracks, 40, 3)).cumsum(axis=1).astype(np.float32)
    valid = rng.random((tracks, 40, 3)) > 0.2
    valid[3] = False  # a track without any observed action
    return Dataset(x, np.diff(x, axis=1, prepend=0), valid, hoa_bins=6, sequence_length=40)


def some_model(dataset: Dataset) -> BAMS:
    torch.manual_seed(0)
    sizes = {"num_channels": (6, 4), "dropout": 0.0}
    outputs = dataset.target_size * dataset.statistics.bins
    predictor = {"hidden_layers": (-1, 12, outputs)}
    return BAMS(dataset.input_size, predictor=predictor, short_term=sizes, long_term={**sizes, "dilation": 4})


def gradients_of(windows: list[int]) -> dict[str, torch.Tensor]:
    """Of one step on all windows, and the values that the step gives, summed over the processes."""
    dataset = some_data()
    model = some_model(dataset)
    hoa = HoALoss(6, CONFIG.hoa_window, CONFIG.skip_frames, torch.full((3,), 0.05))
    forward = distributed.over_processes(TrainingStep(model, hoa, CONFIG), torch.device("cpu"))
    values = forward(dataset.batch(distributed.share(windows)), 3, len(windows))
    values["total_loss"].backward()
    found = {name: p.grad for name, p in model.named_parameters()}
    found |= {f"value {name}": value.detach() for name, value in values.items()}
    return found | {f"buffer {name}": value for name, value in model.named_buffers() if "running" in name}


def train_here(folder: Path, **changes) -> checkpoint.Checkpoint:
    dataset = some_data()
    resume = changes.pop("resume", None)
    model = some_model(dataset) if resume is None else resume.model
    if changes.pop("stopped", False) and distributed.rank() == 1:  # one process alone is told
        model.encoders["short_term"].register_forward_pre_hook(lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    paths = {"ckpt_path": folder / "a.pt", "log_dir": folder / "runs"}
    return train(model, dataset, replace(CONFIG, **changes), val_dataset=some_data(4), resume=resume, **paths)


# --- what is run on two processes; each writes what it has found ---


def find_gradients(folder: Path, windows: str) -> None:
    torch.save(gradients_of(list(map(int, windows.split(",")))), folder / f"{distributed.rank()}.pt")


def train_until_stopped(folder: Path) -> None:
    try:
        train_here(folder, stopped=True, epochs=8)
    except Interrupted:
        (folder / f"stopped{distributed.rank()}").touch()


def share_and_gather(folder: Path) -> None:
    one = torch.tensor(float(distributed.rank() + 1), requires_grad=True)
    total = distributed.summed(one.square())
    total.backward()
    assert total == 5 and one.grad == 2 * 2 * one  # both processes have the same loss
    assert distributed.share(range(5)) == (range(0, 5, 2), range(1, 5, 2))[distributed.rank()]
    assert distributed.agreed(distributed.rank() == 1) and not distributed.agreed(False)
    assert distributed.told(f"from {distributed.rank()}") == "from 0"
    with distributed.common_folder(folder) as common:
        array = distributed.common_array(common / "x.npy", (2, 3), np.nan)
        array[distributed.rank()] = distributed.rank()
        distributed.wait()
        assert array.tolist() == [[0] * 3, [1] * 3]
    assert not distributed.is_first() or not list(folder.glob(".embeddings*"))


def torchrun(*command: str, folder: Path, processes: int = 2, fails: bool = False) -> subprocess.CompletedProcess:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    options = {"cwd": folder, "capture_output": True, "text": True, "timeout": 300}
    options["env"] = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    done = subprocess.run([*launcher, *map(str, command)], check=False, **options)
    assert (done.returncode != 0) == fails, done.stderr[-3000:]
    return done


def assert_same_embeddings(one: BAMS, other: BAMS) -> None:
    """Of models trained at a low rate, as AdamW makes whole steps of the rounding of gradients near 0."""
    input = some_data().batch(range(11))["input"]
    with torch.no_grad():
        found, expected, fresh = (model.eval().encode(input) for model in (one, other, some_model(some_data())))
    for name, emb in expected.items():
        torch.testing.assert_close(found[name], emb, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(fresh[name], emb, atol=2e-4)


# --- tests ---


@pytest.mark.slow
def test_what_processes_share_and_gather(tmp_path):
    torchrun(__file__, "share_and_gather", tmp_path, folder=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("windows", ["0,1,2,3,4", "7,8", "5", "3,5", "3"])
def test_gradients_on_two_processes_are_those_of_the_whole_batch(tmp_path, windows):
    """Also with an odd number of tracks, none for the second process, and track 3, which nobody observed."""
    expected = gradients_of(list(map(int, windows.split(","))))
    torchrun(__file__, "find_gradients", tmp_path, windows, folder=tmp_path)
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert set(found) == set(expected)
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.slow
def test_training_on_two_processes_gives_the_model_of_one(tmp_path):
    expected = train_here(tmp_path / "one")
    torchrun(__file__, "train_here", tmp_path, folder=tmp_path)
    found = checkpoint.load(tmp_path / "a.pt")
    assert found.progress["step"] == expected.progress["step"] == 6
    assert_same_embeddings(found.model, expected.model)
    assert len(list((tmp_path / "runs").iterdir())) == 1  # one process writes curves


@pytest.mark.slow
def test_a_run_of_two_processes_stops_when_one_is_told_to_and_goes_on_with_one(tmp_path):
    whole = train_here(tmp_path / "whole", epochs=8)
    torchrun(__file__, "train_until_stopped", tmp_path, folder=tmp_path)
    assert (tmp_path / "stopped0").exists() and (tmp_path / "stopped1").exists()
    half = checkpoint.load(tmp_path / "a.pt")
    assert 0 < half.progress["step"] < whole.progress["step"] == 24
    done = train_here(tmp_path, resume=half, epochs=8)
    assert_same_embeddings(done.model, whole.model)


@pytest.mark.slow
def test_scripts_run_under_torchrun(tmp_path):
    """Train on two processes, embed on three: as on one, and said once."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "k.npz", keypoints=rng.normal(size=(5, 2, 200, 3, 2)).cumsum(axis=2).astype(np.float32))
    script = ROOT / "custom_dataset.py"
    data = ["--data_root", "k.npz", "--ckpt_path", "a.pt"]
    size = ["--sequence_length", "100", "--epochs", "1", "--cache_path", "kept"]
    done = torchrun(script, "--job", "train", *data, *size, folder=tmp_path)
    assert done.stdout.count("checkpoint: a.pt") == 1
    torchrun(script, "--job", "compute_representations", *data, folder=tmp_path, processes=3)
    with np.load(tmp_path / "a_representations.npz") as arrays:
        found = dict(arrays)
    assert np.isfinite(found["group_long_term"]).all() and found["short_term"].shape == (10, 200, 32)
    os.chdir(tmp_path)
    __import__("custom_dataset").main(["--job", "compute_representations", *data])
    with np.load(tmp_path / "a_representations.npz") as arrays:
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.slow
def test_labels_are_read_out_once_under_torchrun(tmp_path):
    rng = np.random.default_rng(0)
    keypoints = rng.normal(size=(6, 120, 3, 2)).cumsum(axis=1).astype(np.float32)
    np.savez(tmp_path / "k.npz", keypoints=keypoints, labels_a=rng.integers(0, 2, (6, 120)))
    size = ["--sequence_length", "60", "--epochs", "2", "--eval_every", "1"]
    script = ROOT / "custom_dataset_w_labels.py"
    done = torchrun(script, "--data_root", "k.npz", "--ckpt_path", "a.pt", *size, folder=tmp_path)
    assert done.stdout.count("scores of held-out recordings") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"k.npz", "a.pt", "a_scores.csv", "runs"}


@pytest.mark.slow
def test_an_error_ends_all_processes_with_one_sentence(tmp_path):
    begun = time.monotonic()
    done = torchrun(ROOT / "custom_dataset.py", "--data_root", "none.npz", folder=tmp_path, fails=True)
    assert time.monotonic() - begun < 120
    assert "there is no file none.npz" in done.stderr


if __name__ == "__main__":
    with distributed.started():
        globals()[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
