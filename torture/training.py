"""The small training that the faults and kills hit, and how its outcome is checked."""

import time
from pathlib import Path

import numpy as np
import torch

import custom_dataset
from bams import checkpoint
from torture.children import Child, Ended, run_script, start

EPOCHS = 40


def write_tracks(path: Path) -> None:
    """Two recordings of two animals with three keypoints that move at random."""
    steps = np.random.default_rng(0).normal(size=(2, 2, 150, 3, 2))
    np.savez(path, keypoints=np.cumsum(steps, axis=2).astype(np.float32))


def training(name: str, epochs: int = EPOCHS, *more: str) -> list[str]:
    """A command line that trains the checkpoint NAME in the working folder, or goes on with it."""
    small = ["--sequence_length", "60", "--val_share", "0", "--hoa_bins", "4", "--precision", "float32"]
    files = ["--data_root", "tracks.npz", "--ckpt_path", name, "--resume", "auto", "--cache_path", "cache"]
    return ["--job", "train", *files, "--epochs", str(epochs), *small, *more]


def train(folder: Path, *more: str, name: str = "m.pt", **limits) -> Ended:
    """Train until the end or until the fault."""
    return run_script(custom_dataset.main, training(name, EPOCHS, *more), folder, **limits)


def begun(folder: Path, *more: str, name: str = "m.pt", epochs: int = EPOCHS) -> Child:
    """A training that is under way and has written its first checkpoint."""
    child = start(lambda: custom_dataset.main(training(name, epochs, *more)), folder)
    while not (folder / name).exists() and child.runs():
        time.sleep(0.002)
    return child


def differences(one: Path, other: Path) -> list[str]:
    """The weights, optimiser states and steps that are not bit for bit the same in two checkpoints."""
    found, expected = checkpoint.load(one), checkpoint.load(other)
    weights, wanted = found.model.state_dict(), expected.model.state_dict()
    wrong = [name for name in wanted if not torch.equal(weights[name], wanted[name])]
    if found.progress["step"] != expected.progress["step"]:
        wrong.append("step")
    states, known = (c.progress["optimizer"]["state"] for c in (found, expected))
    for number, state in known.items():
        if any(not torch.equal(torch.as_tensor(states[number][k]), torch.as_tensor(v)) for k, v in state.items()):
            wrong.append(f"optimizer {number}")
    return wrong


def refusal(ended: Ended, *fragments: str, status: int = 2) -> str:
    """Empty if a run ended with this status and one sentence that contains all fragments; else what it did."""
    sentence = ended.sentence() if status == 2 else ended.said
    if ended.status == status and sentence and all(part in sentence for part in fragments):
        return ""
    return f"ended with {ended.status}: {ended.said[-400:]}"


def resumed(folder: Path, name: str = "m.pt") -> str:
    """Empty if the training can go on and ends with the weights of one without a fault; else what is wrong."""
    ended = train(folder, name=name)
    if ended.status:
        return f"going on ended with {ended.status}: {ended.said[-400:]}"
    wrong = differences(folder / name, folder / "whole.pt")
    return f"after going on {', '.join(wrong)} differ" if wrong else left_behind(folder)


def left_behind(folder: Path) -> str:
    """The temporary files and locks that were not removed."""
    left = [str(found.relative_to(folder)) for found in folder.rglob(".*")]
    return f"left behind: {', '.join(left)}" if left else ""
