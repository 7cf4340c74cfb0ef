"""Your own recordings: train, and embed them.

    python custom_dataset.py --job train --data_root tracks.npz
    python custom_dataset.py --job compute_representations --data_root tracks.npz --ckpt_path bams-custom-DATE.pt

For files of another form edit `load_data`. With labels to read out take custom_dataset_w_labels.py.
"""

from collections.abc import Sequence

from bams import cli, custom
from bams.config import FeatureConfig
from bams.recordings import Recordings


def load_data(path: str) -> Recordings:
    """Recordings from the file `--data_root`; the one function to edit for another kind of file.

    This reads a `.npy` or `.npz` with the array `keypoints`: (N, T, F) series, (N, T, K, d) keypoints, or
    (S, A, T, K, d) keypoints of several individuals in each recording; NaN = missing. For another file, return
    `bams.as_recordings(keypoints, names)` of an array like these.
    """
    return custom.read_recordings(path)


@cli.script
def main(argv: Sequence[str]) -> None:
    """Run one job."""
    settings = cli.parse(argv, "BAMS on recordings of your own.", FeatureConfig, custom.DEFAULTS)
    recordings = load_data(settings.run.data_root)
    if settings.run.job == "train":
        custom.train_model(settings, *custom.split_datasets(settings, recordings))
    else:
        custom.write_representations(settings, recordings)


if __name__ == "__main__":
    main()
