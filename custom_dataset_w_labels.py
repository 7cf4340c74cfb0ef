"""Your own recordings with labels: train without them, and see what can be read out of the embedding.

    python custom_dataset_w_labels.py --job train --data_root labelled.npz
    python custom_dataset_w_labels.py --job train --data_root "tracks/*.csv" --labels events.csv --about recordings.csv
    python custom_dataset_w_labels.py --job compute_representations --data_root labelled.npz \
        --ckpt_path bams-custom-DATE.pt

For files of another form edit `load_data` and `load_annotations`.
"""

from collections.abc import Sequence
from typing import Any

from bams import Recording, load_poses
from bams.app import custom
from bams.app.labelled import read_labels
from bams.app.script import script


def load_data(path: str, **options: Any) -> list[Recording]:
    """Recordings from the file `--data_root`; edit this for another kind of file.

    This reads a `.npy` or `.npz` with the array `keypoints`: (N, T, F) series, (N, T, K, d) keypoints, or
    (S, A, T, K, d) keypoints of several individuals in each recording; NaN = missing. For another file, return
    `bams.as_recordings(keypoints)` of an array like these, or a list of `bams.Recording`. `options` are the settings
    about files, such as fps, by name; see `bams.load_poses`.
    """
    return load_poses(path, **options)


def load_annotations(path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Labels from the file `--data_root`, and what they are; edit this for another kind of file.

    This reads from the `.npz` the arrays `labels_X` (per frame), `seq_labels_X` (per recording) and
    `labels_X_names` (the names of class 0, 1, ...). For another file, return

        annotations = {
            "video_name": [...],             # recordings of the same name are held out together; may be left out
            "label1": array (N, T),          # a number per frame: N tracks, or S recordings
            "label2": array (N,),            # or one for the whole track or recording
        }
        eval_utils = {
            "classification_tags": ["label1"],          # classes are 0, 1, ...; -1 or NaN = not labelled
            "regression_tags": ["label2"],              # measures; NaN = not labelled
            "sequence_level_dict": {"label2": True},    # one number for all frames
            "class_names": {"label1": ["walk", "rest"]},          # may be left out
        }

    Labels of S recordings are read out of the pooled individuals of a recording, labels of N tracks (S-major) out
    of the track.
    """
    return read_labels(path)


@script
def main(argv: Sequence[str]) -> None:
    """Run one job."""
    custom.main(argv, load_data, load_annotations)


if __name__ == "__main__":
    main()
