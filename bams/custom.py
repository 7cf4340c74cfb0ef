"""The jobs of the two scripts for recordings of one's own, with labels and without."""

from collections.abc import Callable
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from bams import cli, distributed, files
from bams.checkpoint import CUSTOM, Checkpoint, check_features, trained_features
from bams.config import FeatureConfig
from bams.data import Dataset
from bams.devices import pick_device
from bams.features import Features
from bams.keypoints import KeypointsDataset, recording_features
from bams.pose_files import read_padded
from bams.recordings import Recordings, tracked_presence
from bams.represent import embed_recording, pool_individuals
from bams.statistics import known_inputs
from bams.train import Evaluate

# as benchmarks/readout.py found
DEFAULTS = {
    "epochs": 0,
    "lr": 2e-3,
    "lr_schedule": "cosine",
    "sequence_length": 600,
    "skip_frames": 10,
    "views": 16,
    "near_frames": 15,
    "far_frames": 60,
}
CHANNELS = 128  # of an embedding, all encoders and the pooling of individuals taken together


def sizes(pooled: bool) -> dict[str, Any]:
    """The network's sizes; with individuals to pool, whose mean and range are joined, half the channels each."""
    each = CHANNELS // (4 if pooled else 2)
    return {
        "short_term": {"num_channels": (64, 64, 64, each), "kernel_size": 3},
        "long_term": {"num_channels": (64, 64, 64, 64, each), "kernel_size": 3, "dilation": 4},
        "hidden_layers": (256, 512, 512),
    }


def read_recordings(path: str) -> Recordings:
    """Recordings from a `.npy` or `.npz` file, as `bams.pose_files.read_padded` takes them.

    Raises:
        FileNotFoundError, ValueError: there is no such file or array, or it does not fit.
    """
    if not path:
        raise ValueError("--data_root FILE is needed: an .npy or .npz with the array keypoints (see README.md)")
    return read_padded(path)


def make_dataset(recordings: list[np.ndarray], settings: cli.Settings, **options: Any) -> KeypointsDataset:
    """The tracks of recordings (A, T, ...), with features that need no hand-work."""
    return KeypointsDataset(
        [track for recording in recordings for track in recording],
        individuals=[len(recording) for recording in recordings],
        hoa_bins=settings.run.hoa_bins,
        sequence_length=settings.run.sequence_length,
        cache_path=settings.run.cache_path,
        cache=settings.run.cache_path is not None,
        **options,
    )


def split_datasets(
    settings: cli.Settings, recordings: Recordings
) -> tuple[KeypointsDataset, KeypointsDataset | None]:
    """Training recordings, and those held out to watch the skill on."""
    config = feature_config(settings.script, recordings)
    make = partial(make_dataset, settings=settings, config=config, keypoint_names=recordings.keypoint_names)
    return cli.split_datasets(recordings.keypoints, settings, make, joint=config.tracks == "joint")


def feature_config(asked: FeatureConfig, recordings: Recordings) -> FeatureConfig:
    """The features asked for, of as many other animals as there are in any of the recordings."""
    config = FeatureConfig(**{field.name: getattr(asked, field.name) for field in fields(FeatureConfig)})
    return replace(config, others=min(config.others, len(recordings.individual_names) - 1))


def train_model(
    settings: cli.Settings, train_set: KeypointsDataset, val_set: Dataset | None, evaluate: Evaluate | None = None
) -> Path:
    """The job `train`; gives the checkpoint's path."""
    pooled = max(train_set.individuals) > 1
    settings = settings._replace(script=replace(settings.script, **asdict(train_set.config)))
    return cli.run_training(settings, CUSTOM, train_set, val_set, sizes(pooled), train_set.feature_names, evaluate)


def write_representations(settings: cli.Settings, recordings: Recordings) -> None:
    """The job `compute_representations`: embed each recording whole, X_representations.npz beside X.pt."""
    path = Path(settings.run.ckpt_path)
    target = path.with_name(f"{path.stem}_representations.npz")
    files.check_writable(target.parent)
    trained = cli.load_trained(settings, CUSTOM)
    features = partial(recording_features, config=trained_features(trained), names=recordings.keypoint_names)
    found = features(recordings.keypoints[0][:, :1])
    names = {"inputs": list(found.input_names), "actions": list(found.action_names)}
    check_features(trained.features, names, settings.run.ckpt_path)
    with distributed.common_folder(target.parent) as folder:
        arrays = _embed(trained, recordings, features, settings, folder)
        distributed.wait()
        if distributed.is_first():
            files.write_arrays(target, **arrays)
        print(f"representations: {target}")
        for name, array in arrays.items():
            print(f"  {name} {array.shape} {array.dtype}")


def _embed(
    trained: Checkpoint,
    recordings: Recordings,
    features: Callable[[np.ndarray], Features],
    settings: cli.Settings,
    folder: Path,
) -> dict[str, np.ndarray]:
    """What `write_representations` writes; the embeddings lie in files of the folder, not in memory."""
    device = pick_device(distributed.own_device(settings.train.device))
    count, frames = len(recordings.keypoints), max(recording.shape[1] for recording in recordings.keypoints)
    joint = trained_features(trained).tracks == "joint"
    each = 1 if joint else len(recordings.individual_names)
    shapes = {name: (count * each, frames, size) for name, size in trained.model.sizes.items()}
    pooled = recordings.grouped and not joint
    if pooled:
        shapes |= {f"group_{name}": (count, frames, 2 * size) for name, size in trained.model.sizes.items()}
    arrays = {
        name: distributed.common_array(folder / f"{name}.npy", shape, np.nan) for name, shape in shapes.items()
    }

    def make_inputs(part: np.ndarray) -> np.ndarray:
        return known_inputs(features(part).inputs, trained.statistics)

    for i in tqdm(distributed.share(range(count)), "recordings"):
        recording = recordings.keypoints[i]
        present = tracked_presence(recording)
        for span, embs in embed_recording(trained.model, recording, make_inputs, device):
            for name, emb in embs.items():
                arrays[name][i * each : (i + 1) * each, span] = emb
                if pooled:
                    arrays[f"group_{name}"][i, span] = pool_individuals(emb, present[:, span])
    arrays["track_names"] = np.array(recordings.names if joint else recordings.track_names)
    return arrays | ({"recording_names": np.array(recordings.names)} if pooled else {})
