"""Mouse triplets of MABe 2022: train, write a submission, and score it.

python mouse_triplets.py --job train --simulate --epochs 2
python mouse_triplets.py --job compute_representations --simulate --ckpt_path bams-mouse-triplet-DATE.pt
python mouse_triplets.py --job evaluate --simulate --submission bams-mouse-triplet-DATE_submission.npy
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from bams import cli, files, mabe, mabe_report, simulate
from bams.baselines import InputAlone, principal_components, random_weights
from bams.config import MabeConfig
from bams.data import Dataset
from bams.features import Body, PoseTable, Segment, pose_features
from bams.models import BAMS
from bams.represent import embed_table, standardise
from bams.statistics import Statistics
from bams.train import pick_device

NAME = "mouse_triplet"
INDIVIDUALS = 3
TRAIN_FILE, TEST_FILE = "mouse_triplet_train.npy", "mouse_triplet_test.npy"
FRAME_MAPS = ("mouse_triplet_frame_number_map.npy", "mouse_frame_number_map.npy")
LABELS_FILE, SPLIT_FILE, TASKS_FILE = "mouse_triplets_test_labels.npy", "jax_split.json", "jax_tasks.json"
MOST_COLUMNS = 128

FEATURES = PoseTable(
    keypoints=simulate.KEYPOINTS,
    bodies=(
        Body("head", origin="neck", front="nose"),
        Body("rear", origin="tail_base", front="centre_back"),
    ),
    segments=(
        Segment("spine", start="tail_base", end="neck", body="rear"),
        Segment("left_forepaw", start="neck", end="left_forepaw", body="rear"),
        Segment("right_forepaw", start="neck", end="right_forepaw", body="rear"),
        Segment("left_hindpaw", start="tail_base", end="left_hindpaw", body="rear"),
        Segment("right_hindpaw", start="tail_base", end="right_hindpaw", body="rear"),
        Segment("tail", start="tail_base", end="tail_middle", body="rear"),
        Segment("tail_end", start="tail_middle", end="tail_tip", body="rear"),
        Segment("nose", start="neck", end="nose", body="rear"),
    ),
    moving_segments=("spine", "left_forepaw", "right_forepaw", "left_hindpaw", "right_hindpaw", "nose"),
)

SIZES = {
    "short_term": {"num_channels": (64, 64, 32, 32), "kernel_size": 3},
    "long_term": {"num_channels": (64, 64, 64, 32, 32), "kernel_size": 3, "dilation": 4},
    "hidden_layers": (256, 512, 512),
}


@dataclass(frozen=True)
class MouseConfig(MabeConfig):
    """Settings of the mouse triplets alone."""

    simulate: bool = False
    """use simulated files in data_root/simulated, made on first use, instead of the downloaded ones"""
    simulated_clips: int = 60
    """clips in each of the two simulated files"""


@cli.script
def main(argv: Sequence[str]) -> None:
    """Run one job."""
    settings = cli.parse(
        argv,
        "BAMS on the mouse triplets of MABe 2022.",
        MouseConfig,
        {"data_root": "data/mabe", "skip_frames": 60},
        ("train", "compute_representations", "evaluate"),
    )
    if settings.run.job == "evaluate":
        mabe_report.check_settings(settings.script, settings.run.ckpt_path)
    root = data_folder(settings)
    if settings.run.job == "train":
        run_train(settings, root)
    elif settings.run.job == "compute_representations":
        run_compute_representations(settings, root)
    else:
        run_evaluate(settings, root)


def data_folder(settings: cli.Settings) -> Path:
    """The folder with both files (which a submission is scored without); simulated first if asked for."""
    root = Path(settings.run.data_root)
    if settings.script.simulate:
        root = root / "simulated"
        if not (root / TRAIN_FILE).exists() or not (root / TEST_FILE).exists():
            print(f"simulating 2 x {settings.script.simulated_clips} clips of three mice in {root}")
            mabe.simulate_mouse_files(root, settings.script.simulated_clips)
    missing = [str(root / name) for name in (TRAIN_FILE, TEST_FILE) if not (root / name).exists()]
    if missing and (settings.run.job != "evaluate" or settings.script.baselines):
        raise FileNotFoundError(
            f"{' and '.join(missing)} not found: fetch them with ./download_mabe.sh mice (or name their folder "
            "with --data_root), or add --simulate to use simulated files"
        )
    return root


def load_tracks(path: Path) -> tuple[list[str], list[np.ndarray]]:
    """Clip ids, and per clip (3, T, 12, 2) float32, px; NaN = not tracked."""
    return mabe.load_sequences(path, keypoints=len(FEATURES.keypoints), individuals=INDIVIDUALS)


def make_dataset(clips: list[np.ndarray], settings: cli.Settings, statistics: Statistics | None = None) -> Dataset:
    """One track per mouse, with the features of the table above."""
    made = [pose_features(clip, FEATURES) for clip in clips]
    return Dataset(
        [track for features in made for track in features.inputs],
        [track for features in made for track in features.actions],
        [track for features in made for track in features.valid],
        hoa_bins=settings.run.hoa_bins,
        sequence_length=settings.run.sequence_length,
        cache_path=settings.run.cache_path,
        cache=settings.run.cache_path is not None,
        statistics=statistics,
    )


def run_train(settings: cli.Settings, root: Path) -> None:
    """Train on the clips of the training file, some of them held out."""
    _, clips = load_tracks(root / TRAIN_FILE)
    names = feature_names(clips[0])
    train_set, val_set = cli.split_datasets(clips, settings, partial(make_dataset, settings=settings))
    del clips
    cli.run_training(settings, NAME, train_set, val_set, SIZES, names)


def run_compute_representations(settings: cli.Settings, root: Path) -> None:
    """Embed the test clips and write X_submission.npy beside the checkpoint X.pt."""
    path = Path(settings.run.ckpt_path)
    target = path.with_name(f"{path.stem}_submission.npy")
    files.check_writable(target.parent)
    ids, clips = load_tracks(root / TEST_FILE)
    lengths = [clip.shape[1] for clip in clips]
    trained = cli.load_trained(settings, NAME)
    cli.check_features(trained, feature_names(clips[0]), settings.run.ckpt_path)
    rows = expected = mabe.frame_map(ids, lengths)
    for found in (root / name for name in FRAME_MAPS if (root / name).exists()):
        rows = expected = mabe.read_frame_map(found)
        mabe.check_frame_map(rows, ids, lengths, str(found))
        print(f"rows are placed as {found} says")
        break

    make = partial(make_dataset, settings=settings, statistics=trained.statistics)
    device = pick_device(settings.train.device)
    embeddings = standardise(embed_table(trained.model, clips, [rows[name] for name in ids], make, device))
    mabe.write_submission(target, rows, embeddings, expected, MOST_COLUMNS)
    print(f"submission: {target} ({len(embeddings)} frames x {embeddings.shape[1]})")


def run_evaluate(settings: cli.Settings, root: Path) -> None:
    """Score a submission as the evaluator of MABe 2022 does."""
    defaults = {"labels": root / LABELS_FILE, "splits": root / SPLIT_FILE, "tasks": root / TASKS_FILE}
    others = baselines(settings, root) if settings.script.baselines else {}
    mabe_report.run_evaluate(settings.script, defaults, MOST_COLUMNS, others)


def baselines(settings: cli.Settings, root: Path) -> dict[str, Callable[[mabe.FrameMap], np.ndarray]]:
    """Embeddings of the test clips that a submission is to beat."""
    trained = cli.load_trained(settings, NAME)
    ids, clips = load_tracks(root / TEST_FILE)
    cli.check_features(trained, feature_names(clips[0]), settings.run.ckpt_path)
    make = partial(make_dataset, settings=settings, statistics=trained.statistics)
    device = pick_device(settings.train.device)

    def embed(model: BAMS | InputAlone, rows: mabe.FrameMap) -> np.ndarray:
        mabe.check_frame_map(rows, ids, [clip.shape[1] for clip in clips], "the labels' frame map")
        return embed_table(model, clips, [rows[name] for name in ids], make, device)

    return {
        "PCA of the input": lambda rows: principal_components(
            embed(InputAlone(trained.model), rows), MOST_COLUMNS
        ),
        "random weights": lambda rows: standardise(embed(random_weights(trained.model), rows)),
    }


def feature_names(clip: np.ndarray) -> dict[str, list[str]]:
    """Names of the input and action features, as the checkpoint keeps them."""
    made = pose_features(clip[:, :1], FEATURES)
    return {"inputs": list(made.input_names), "actions": list(made.action_names)}


if __name__ == "__main__":
    main()
