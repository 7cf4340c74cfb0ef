"""Your own recordings: look at them, train, and embed them or others.

    python custom_dataset.py --job report --data_root "tracks/*.csv"
    python custom_dataset.py --job train --data_root "tracks/*.csv" --fps 30
    python custom_dataset.py --job compute_representations --data_root "new/*.csv" --ckpt_path bams-custom-DATE.pt

For files of another form edit `load_data`. With labels to read out take custom_dataset_w_labels.py.
"""

from collections.abc import Sequence
from typing import Any

from bams import Recording, load_poses
from bams.app import custom
from bams.app.script import script


def load_data(path: str, **options: Any) -> list[Recording]:
    """Recordings from `--data_root`; the one function to edit for another kind of file.

    This reads files of DeepLabCut, LightningPose, SLEAP and movement, one, a folder of them, or a pattern; and a
    `.npy` or `.npz` with the array `keypoints`: (N, T, F) series, (N, T, K, d) keypoints, or (S, A, T, K, d)
    keypoints of several individuals in each recording; NaN = missing. For another file, return
    `bams.as_recordings(keypoints)` of an array like these, or a list of `bams.Recording`. `options` are the settings
    about files, such as fps, by name; see `bams.load_poses`.
    """
    return load_poses(path, **options)


@script
def main(argv: Sequence[str]) -> None:
    """Run one job."""
    custom.main(argv, load_data)


if __name__ == "__main__":
    main()
