"""The jobs of the MABe 2022 scripts: what mice and flies share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from bams import cli, files, mabe
from bams.checkpoint import Checkpoint
from bams.data import Dataset
from bams.features import Features
from bams.represent import embed_recordings, standardise
from bams.statistics import Statistics
from bams.train import pick_device


@dataclass(frozen=True)
class Group:
    """One of the data sets of MABe 2022.

    Attributes:
        name: of the data set; checkpoints are named after it.
        download: what `download_mabe.sh` calls it, which is also what the animals are called.
        train_file, test_file: names of the sequences files.
        frame_maps: names under which a frame map may lie beside them.
        individuals: A of the files.
        keypoints: K of the files.
        zero_missing: whether two zeros mean missing (see `mabe.load_sequences`).
        features: (N, T, K, 2), NaN = not tracked -> `Features`.
        sizes: encoders by name, and `hidden_layers` of the action predictor without its last size.
        most_columns: C at most of a submission.
        simulate: (folder, clips) -> None, writes simulated files.
    """

    name: str
    download: str
    train_file: str
    test_file: str
    frame_maps: Sequence[str]
    individuals: int
    keypoints: int
    zero_missing: bool
    features: Callable[[np.ndarray], Features]
    sizes: Mapping[str, Any]
    most_columns: int
    simulate: Callable[[Path, int], None]


@dataclass(frozen=True)
class GroupConfig:
    """Settings of the MABe 2022 scripts alone."""

    simulate: bool = False
    """use simulated files in data_root/simulated, made on first use, instead of the downloaded ones"""
    simulated_clips: int = 60
    """clips in each of the two simulated files"""


def run(argv: Sequence[str], group: Group, defaults: Mapping[str, Any]) -> None:
    """Run one job of a script, whose own defaults are these."""
    settings = cli.parse(argv, f"BAMS on the {group.download} of MABe 2022.", GroupConfig, defaults)
    root = data_folder(settings, group)
    if settings.run.job == "train":
        run_train(settings, group, root)
    else:
        run_compute_representations(settings, group, root)


def data_folder(settings: cli.Settings, group: Group) -> Path:
    """The folder with both files; simulated first if asked for.

    Raises:
        FileNotFoundError: they are not there.
    """
    root = Path(settings.run.data_root)
    names = group.train_file, group.test_file
    if settings.script.simulate:
        root = root / "simulated"
        if not all((root / name).exists() for name in names):
            print(f"simulating 2 x {settings.script.simulated_clips} clips of {group.download} in {root}")
            group.simulate(root, settings.script.simulated_clips)
    missing = [str(root / name) for name in names if not (root / name).exists()]
    if missing:
        raise FileNotFoundError(
            f"{' and '.join(missing)} not found: fetch them with ./download_mabe.sh {group.download} (or name "
            "their folder with --data_root), or add --simulate to use simulated files"
        )
    return root


def load_clips(group: Group, path: Path) -> tuple[list[str], list[np.ndarray]]:
    """Clip ids, and per clip (A, T, K, 2) float32; NaN = not tracked."""
    return mabe.load_sequences(
        path, keypoints=group.keypoints, individuals=group.individuals, zero_missing=group.zero_missing
    )


def make_dataset(
    clips: list[np.ndarray], group: Group, settings: cli.Settings, statistics: Statistics | None = None
) -> Dataset:
    """One track per individual, with the features of the group."""
    made = [group.features(clip) for clip in clips]
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


def run_train(settings: cli.Settings, group: Group, root: Path) -> None:
    """Train on the clips of the training file, some of them held out."""
    _, clips = load_clips(group, root / group.train_file)
    names = feature_names(group, clips[0])
    train_set, val_set = cli.split_datasets(clips, settings, partial(make_dataset, group=group, settings=settings))
    del clips
    cli.run_training(settings, group.name, train_set, val_set, group.sizes, names)


def run_compute_representations(settings: cli.Settings, group: Group, root: Path) -> None:
    """Embed the test clips and write X_submission.npy beside the checkpoint X.pt."""
    path = Path(settings.run.ckpt_path)
    target = path.with_name(f"{path.stem}_submission.npy")
    files.check_writable(target.parent)
    ids, clips = load_clips(group, root / group.test_file)
    trained = cli.load_trained(settings, group.name)
    cli.check_features(trained, feature_names(group, clips[0]), settings.run.ckpt_path)
    rows = clip_rows(group, root, ids, [clip.shape[1] for clip in clips])
    embeddings = embed_clips(settings, group, trained, [rows[name] for name in ids], clips)
    mabe.write_submission(target, rows, embeddings, rows, group.most_columns)
    print(f"submission: {target} ({len(embeddings)} frames x {embeddings.shape[1]})")


def clip_rows(group: Group, root: Path, ids: Sequence[str], lengths: Sequence[int]) -> mabe.FrameMap:
    """Which rows of a submission belong to which clip: as the folder's frame map says, else in file order.

    Raises:
        ValueError: the frame map does not fit the clips.
    """
    for found in (root / name for name in group.frame_maps if (root / name).exists()):
        rows = mabe.read_frame_map(found)
        mabe.check_frame_map(rows, ids, lengths, str(found))
        print(f"rows are placed as {found} says")
        return rows
    return mabe.frame_map(ids, lengths)


def embed_clips(
    settings: cli.Settings,
    group: Group,
    trained: Checkpoint,
    spans: Sequence[tuple[int, int]],
    clips: list[np.ndarray],
) -> np.ndarray:
    """Pooled embeddings of all clips, (frames, 2*C) float32, each column standardised over all frames.

    Args:
        settings: from `cli.parse`.
        group: which animals.
        trained: what to embed with.
        spans: (start, end) of the rows of each clip.
        clips: (A, T, K, 2) float32 each; NaN = not tracked.
    """
    columns = 2 * sum(encoder.output_size for encoder in trained.model.encoders.values())
    embeddings = np.empty((sum(clip.shape[1] for clip in clips), columns), np.float32)
    make = partial(make_dataset, group=group, settings=settings, statistics=trained.statistics)
    pooled = embed_recordings(trained.model, clips, make, pick_device(settings.train.device))
    for span, table in zip(spans, tqdm(pooled, "clips", total=len(clips)), strict=True):
        embeddings[slice(*span)] = table
    return standardise(embeddings)


def feature_names(group: Group, clip: np.ndarray) -> dict[str, list[str]]:
    """Names of the input and action features, as the checkpoint keeps them."""
    made = group.features(clip[:, :1])
    return {"inputs": list(made.input_names), "actions": list(made.action_names)}
