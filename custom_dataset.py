"""Your own recordings: train, and embed them.

    python custom_dataset.py --job train --data_root tracks.npz --epochs 50
    python custom_dataset.py --job compute_representations --data_root tracks.npz --ckpt_path bams-custom-DATE.pt

For files of another form edit `load_data`.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from bams import cli, files
from bams.data import KeypointsDataset
from bams.recordings import Recordings, as_recordings
from bams.represent import compute_representations, pool_recordings
from bams.train import pick_device

NAME = "custom"

SIZES = {
    "short_term": {"num_channels": (64, 64, 64, 64), "kernel_size": 3},
    "long_term": {"num_channels": (64, 64, 64, 64, 64), "kernel_size": 3, "dilation": 4},
    "hidden_layers": (256, 512, 512),
}


def load_data(path: str) -> Recordings:
    """Recordings from a file; the one function to edit for another kind of file.

    Args:
        path: `--data_root`: a `.npy` array, or an `.npz` with the array `keypoints`: (N, T, F) series,
            (N, T, K, d) keypoints, or (S, A, T, K, d) keypoints of several individuals in each recording; any
            unit; NaN = missing, or padding at the end. If wanted, the `.npz` also has `keypoint_names` (K),
            `recording_ids` (S or N), `individual_names` (A), and `lengths` (S or N), the frames of each recording.
    """
    arrays = files.read_arrays(path)
    if "keypoints" not in arrays:
        raise ValueError(f"{path} has the arrays {', '.join(arrays) or 'none'}; expected one named keypoints")
    kinds = ("keypoint_names", "recording_ids", "individual_names")
    names = {kind: arrays[kind].astype(str).tolist() for kind in kinds if kind in arrays}
    return as_recordings(arrays["keypoints"], names, arrays.get("lengths"))


@cli.script
def main(argv: Sequence[str]) -> None:
    """Run one job."""
    settings = cli.parse(argv, "BAMS on recordings of your own.")
    if not settings.run.data_root:
        raise ValueError("--data_root FILE is needed: an .npy or .npz with the array keypoints (see README.md)")
    recordings = load_data(settings.run.data_root)
    if settings.run.job == "train":
        run_train(settings, recordings)
    else:
        run_compute_representations(settings, recordings)


def make_dataset(recordings: list[np.ndarray], settings: cli.Settings, **options: object) -> KeypointsDataset:
    """One track per individual, with features that need no hand-work."""
    return KeypointsDataset(
        [track for recording in recordings for track in recording],
        hoa_bins=settings.run.hoa_bins,
        sequence_length=settings.run.sequence_length,
        cache_path=settings.run.cache_path,
        cache=settings.run.cache_path is not None,
        **options,
    )


def run_train(settings: cli.Settings, recordings: Recordings) -> None:
    """Train on the recordings, some of them held out."""
    make = partial(make_dataset, settings=settings, keypoint_names=recordings.keypoint_names)
    train_set, val_set = cli.split_datasets(recordings.keypoints, settings, make)
    cli.run_training(settings, NAME, train_set, val_set, SIZES, train_set.feature_names)


def run_compute_representations(settings: cli.Settings, recordings: Recordings) -> None:
    """Embed every recording whole and write X_representations.npz beside the checkpoint X.pt."""
    path = Path(settings.run.ckpt_path)
    target = path.with_name(f"{path.stem}_representations.npz")
    files.check_writable(target.parent)
    trained = cli.load_trained(settings, NAME)
    dataset = make_dataset(
        recordings.keypoints, settings, keypoint_names=recordings.keypoint_names, statistics=trained.statistics
    )
    cli.check_features(trained, dataset.feature_names, settings.run.ckpt_path)
    embs = compute_representations(trained.model, dataset, pick_device(settings.train.device))
    arrays = {**embs, "track_names": np.array(recordings.track_names)}
    if recordings.grouped:
        arrays |= {f"group_{name}": pool_recordings(emb, recordings.keypoints) for name, emb in embs.items()}
        arrays["recording_names"] = np.array(recordings.names)
    files.write_arrays(target, **arrays)
    print(f"representations: {target}")
    for name, array in arrays.items():
        print(f"  {name} {array.shape} {array.dtype}")


if __name__ == "__main__":
    main()
