"""The paper's simulated quadruped robots: train a model, and read the labels out of its embeddings.

python simulated_quadrupeds.py --job train --simulate --epochs 20
python simulated_quadrupeds.py --job evaluate --simulate --ckpt_path bams-quadruped-DATE.pt
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bams.app import cli
from bams.app.quadrupeds import JOINTS, Robots, load_robots, read_out_labels, read_out_split, table_of
from bams.app.script import script
from bams.checkpoint import check_features, kept
from bams.compute import distributed
from bams.compute.devices import pick_device
from bams.data.dataset import Dataset
from bams.data.split import choose_parts
from bams.embed.offline import compute_representations
from bams.simulate.quadrupeds import simulate_quadrupeds
from bams.statistics import Statistics
from bams.storage import files
from bams.training.plan import plan_training

NAME = "quadruped"
FEATURES = {
    "inputs": [f"joint{i}.position" for i in range(JOINTS)],
    "actions": [f"joint{i}.velocity" for i in range(JOINTS)],
}

# receptive fields of 4, 29 and 1365 frames
SIZES = {
    "recent_past": {"num_channels": (16, 16), "kernel_size": 2, "num_layers_per_block": 1, "bootstrap": "none"},
    "short_term": {"num_channels": (32, 32, 32), "kernel_size": 3},
    "long_term": {"num_channels": (32, 32, 32, 32, 32), "kernel_size": 3, "dilation": 4},
    "hidden_layers": (256, 512, 512),
}

EVERY = {"jobs": {"train": {}, "evaluate": {}}}
SEQUENCES = {"jobs": {job: {"simulate": True} for job in EVERY["jobs"]}}


@dataclass(frozen=True)
class QuadrupedConfig:
    """Settings of this script alone."""

    simulate: bool = field(default=False, metadata=EVERY)
    """use a simulated file in data_root/simulated, made on first use"""
    simulated_sequences: int = field(default=240, metadata=SEQUENCES)
    """number of sequences in the simulated file"""
    read_out_step: int = field(default=5, metadata={"jobs": {"evaluate": {}}})
    """labels per frame are read out of every n-th frame"""

    def __post_init__(self):
        if self.read_out_step < 1:
            raise ValueError(f"read_out_step is {self.read_out_step}; it must be at least 1")


@script
def main(argv: Sequence[str]) -> None:
    """Run one job."""
    settings = cli.parse(
        argv,
        "BAMS on simulated quadruped robots.",
        NAME,
        QuadrupedConfig,
        {"data_root": "data/quadrupeds", "sequence_length": 600, "skip_frames": 30},
        ("train", "evaluate"),
    )
    if settings.run.job == "evaluate" and not settings.run.ckpt_path:
        raise ValueError("--job evaluate needs --ckpt_path, the checkpoint to embed with")
    robots = load_robots(distributed.first_alone(lambda: data_file(settings)))
    sequences, frames, _ = robots.positions.shape
    print(f"{sequences} sequences of {frames} frames; the axes of the file are ({robots.axes})")
    if settings.run.job == "train":
        run_train(settings, robots)
    elif distributed.is_first():
        run_evaluate(settings, robots)


def data_file(settings: cli.Settings) -> Path:
    """The robots' file, which is simulated first if the settings say so."""
    root = Path(settings.run.data_root)
    path = root if root.suffix == ".npy" else root / "robot_dataset.npy"
    if settings.script.simulate:
        path = path.parent / "simulated" / "robot_dataset.npy"
        if not path.exists():
            files.check_writable(path.parent)
            print(f"simulating {settings.script.simulated_sequences} sequences in {path}")
            files.write_pickled_dict(path, simulate_quadrupeds(settings.script.simulated_sequences))
        else:
            print(f"{path} is used as it is; delete it to simulate others", file=sys.stderr)
    if not path.exists():
        raise FileNotFoundError(
            f"there is no file {path}: name robot_dataset.npy or its folder with --data_root, or add --simulate"
        )
    return path


def make_dataset(sequences: list[np.ndarray], settings: cli.Settings, statistics: Statistics | None = None) -> Dataset:
    """A data set with positions as states and velocities as actions, from (1, T, 24) per sequence."""
    return Dataset(
        [sequence[0, :, :JOINTS] for sequence in sequences],
        [sequence[0, :, JOINTS:] for sequence in sequences],
        None,
        hoa_bins=settings.run.hoa_bins,
        sequence_length=settings.run.sequence_length,
        cache_path=settings.run.cache_path,
        cache=settings.run.cache_path is not None and settings.run.job == "train",
        statistics=statistics,
    )


def as_sequences(robots: Robots) -> list[np.ndarray]:
    """Positions and velocities of each sequence, (1, T, 24)."""
    return list(np.concatenate([robots.positions, robots.velocities], axis=-1)[:, None])


def run_train(settings: cli.Settings, robots: Robots) -> None:
    """Train without labels on all sequences, some of them held out to watch the skill on."""
    run, train, resume = settings.run, settings.train, settings.resume
    sequences = as_sequences(robots)
    parts = choose_parts(sequences, train.least_frames, run.val_share, train.seed)
    training, held_out = ([sequences[i] for i in part] for part in parts)
    train_set = make_dataset(training, settings, resume.statistics if resume else None)
    val_set = make_dataset(held_out, settings, train_set.statistics) if held_out else None
    asked = kept(run, settings.script)
    cli.run_training(settings, plan_training(NAME, train_set, val_set, SIZES, train, FEATURES, asked, resume))


def run_evaluate(settings: cli.Settings, robots: Robots) -> None:
    """Read the labels out of each encoder, of all joined and of the positions; write X_scores.csv beside X.pt."""
    path = Path(settings.run.ckpt_path)
    trained = cli.load_trained(settings, NAME)
    check_features(trained.features, FEATURES, settings.run.ckpt_path)
    target = files.check_writable(path.parent) / f"{path.stem}_scores.csv"
    step = settings.script.read_out_step
    read_out_labels({}, robots.annotations, step)  # labels that cannot be read out are refused before embedding
    dataset = make_dataset(as_sequences(robots), settings, trained.statistics)
    embeddings = compute_representations(trained.model, dataset, pick_device(settings.train.device))
    embeddings["joined"] = np.concatenate(list(embeddings.values()), axis=-1)
    embeddings["positions"] = robots.positions
    table = read_out_labels(embeddings, robots.annotations, step)
    train, test = read_out_split(len(robots.positions))
    print(f"read-outs trained on {len(train)} sequences, scored on {len(test)} others")
    print(table_of(table))
    print(f"scores: {files.write_text(target, table.to_csv())}")


if __name__ == "__main__":
    main()
