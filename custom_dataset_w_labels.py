"""Your own recordings with labels: train without them, and see what can be read out of the embedding.

    python custom_dataset_w_labels.py --job train --data_root labelled.npz
    python custom_dataset_w_labels.py --job compute_representations --data_root labelled.npz \
        --ckpt_path bams-custom-DATE.pt

For files of another form edit `load_data` and `load_annotations`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bams import Recording, checkpoint, load_poses
from bams.app import cli, custom
from bams.app.config import CustomConfig
from bams.app.labelled import evaluate_model, to_log
from bams.app.script import script
from bams.compute import distributed
from bams.compute.devices import pick_device
from bams.data import labels
from bams.data.keypoints import KeypointsDataset
from bams.models.bams import BAMS
from bams.storage import files
from bams.training.run import steps_and_epochs


@dataclass(frozen=True)
class LabelConfig(CustomConfig):
    """Settings of labelled recordings alone."""

    ignore_classes: str = ""
    """classes to take for not labelled, as label:class by name or number, several joined by commas"""
    eval_every: int = 10
    """epochs between read-outs for TensorBoard; there is one at the end too, and 0 leaves it at that"""
    eval_frames: int = 200_000
    """most frames to read out; of more, each n-th of a recording is taken"""
    eval_folds: int = 5
    """folds of the cross-validation; as many as there are recordings if those are fewer"""

    def __post_init__(self):
        super().__post_init__()
        least = {"eval_every": 0, "eval_frames": 1, "eval_folds": 2}
        for name, lowest in least.items():
            if not lowest <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}; it must be finite and at least {lowest}")
        if self.segments:
            raise ValueError("segments are not for labelled recordings; mark frames to leave out as not labelled")


def load_data(path: str, fps: float | None = None, individuals: int | None = None) -> list[Recording]:
    """Recordings from the file `--data_root`; edit this for another kind of file.

    This reads a `.npy` or `.npz` with the array `keypoints`: (N, T, F) series, (N, T, K, d) keypoints, or
    (S, A, T, K, d) keypoints of several individuals in each recording; NaN = missing. For another file, return
    `bams.as_recordings(keypoints)` of an array like these, or a list of `bams.Recording`.
    """
    return load_poses(path, fps=fps, individuals=individuals)


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

    Labels of S recordings are read out of all their individuals together, those of N tracks (S-major) each out of
    its own.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path} is not a file; labels are read from one .npz, with the keypoints that they are of")
    return labels.annotations_of(files.read_arrays(path))


@script
def main(argv: Sequence[str]) -> None:
    """Run one job."""
    what = "BAMS on labelled recordings of your own."
    settings = cli.parse(argv, what, checkpoint.CUSTOM, LabelConfig, custom.DEFAULTS, custom.JOBS[:3])
    recordings = custom.read_recordings(settings, load_data)
    if settings.run.job == "train":
        run_train(settings, recordings)
    else:
        custom.run(settings, recordings)


def run_train(settings: cli.Settings, recordings: list[Recording]) -> None:
    """Train without the labels, and read them out as training goes on and at its end."""
    annotations, eval_utils = load_annotations(settings.run.data_root)
    settings, recordings = custom.prepare(settings, recordings)
    settings, train_set, val_set, training = custom.split_datasets(settings, recordings)
    dataset = labelled_dataset(settings, recordings, annotations, eval_utils, train_set)
    config = settings.script
    read_out = partial(
        evaluate_model,
        dataset=dataset,
        fps=recordings[0].fps or 30,
        most_frames=config.eval_frames,
        folds=config.eval_folds,
        device=pick_device(settings.train.device),
    )
    read_out(None)  # what cannot be read out is said now, not after hours of training

    _, epochs = steps_and_epochs(settings.train, len(train_set))

    def evaluate(model: BAMS, epoch: int) -> tuple[dict, dict]:
        due = epoch == epochs or (config.eval_every and epoch % config.eval_every == 0)
        return to_log(read_out(model, baselines=False)) if due else ({}, {})

    path = custom.train_model(settings, train_set, val_set, training, evaluate)
    if not distributed.is_first():
        return
    table = read_out(checkpoint.load(path).model)
    target = Path(path).with_name(f"{path.stem}_scores.csv")
    files.write_text(target, table.to_csv())
    print(f"\n{table}\n\nscores of held-out recordings ± deviation over folds: {target}")


def labelled_dataset(
    settings: cli.Settings,
    recordings: list[Recording],
    annotations: dict[str, Any],
    eval_utils: dict[str, Any],
    train_set: KeypointsDataset,
) -> KeypointsDataset:
    """All recordings with their labels, scaled as those in training are."""
    return custom.make_dataset(
        recordings,
        settings,
        statistics=train_set.statistics,
        annotations=annotations,
        eval_utils=eval_utils | {"ignore_classes": settings.script.ignore_classes},
    )


if __name__ == "__main__":
    main()
